//! The envelopes themselves: what their bytes say against what their rows say,
//! what the server's own actions imply, and every signature.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row};

use shaodao_core::domain::action::{Body, Value, fact};
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::envelope::{self, Sealed};
use shaodao_core::sync::settle::{Cited, effective_seen};
use shaodao_core::sync::wire::Standing;

use super::chain::{Walked, blob, hex};
use super::{Progress, Report};
use crate::audit::{self, Citation};
use crate::db;
use crate::engine::EngineError;

/// What the server's own accepted actions imply for its tables.
#[derive(Debug, Default)]
pub(super) struct Implied {
    /// Escalations by whistle: round, the whistle opened, when.
    pub escalations: BTreeMap<RecordId, Vec<(u32, RecordId, i64)>>,
    /// Marks for the district: whistle, round, cause, when.
    pub marks: BTreeSet<(Vec<u8>, i64, String, i64)>,
    /// The highest number given, by category and date.
    pub numbers: BTreeMap<String, i64>,
    /// Records that have an accepted envelope, and those that have only others.
    pub records: BTreeMap<i64, bool>,
}

struct Stored {
    id: i64,
    hash: Vec<u8>,
    record: i64,
    device: Vec<u8>,
    dev_seq: i64,
    standing: i64,
    reason: Option<String>,
    bytes: Vec<u8>,
    /// It has an effective `seen`.
    seen: bool,
    of: Option<(Vec<u8>, i64)>,
}

/// Opens every envelope and compares it with its row.
pub(super) fn open_all(
    db: &Connection,
    walked: &Walked,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<Implied, EngineError> {
    let of: i64 = db.query_row("SELECT COUNT(*) FROM envelope", [], |row| row.get(0))?;
    let own = blob(db, "device")?.unwrap_or_default();
    let mut newest_own: (i64, Vec<u8>) = (0, Vec::new());
    let mut implied = Implied::default();
    let mut statement = db.prepare_cached(
        "SELECT envelope.id, hash, envelope.record, device, dev_seq, standing, reason, bytes,
                record.record, record.kind, seen IS NOT NULL
         FROM envelope LEFT JOIN record ON record.id = envelope.record ORDER BY envelope.id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stored = read(row)?;
        report.envelopes += 1;
        if report.envelopes.is_multiple_of(1_024) {
            progress(Progress {
                part: "envelopes",
                done: report.envelopes,
                of: of.cast_unsigned(),
            });
        }
        if stored.device == own && stored.dev_seq > newest_own.0 {
            newest_own = (stored.dev_seq, stored.hash.clone());
        }
        let name = hex(&stored.hash);
        if stored.seen && !is_shared(&stored) {
            report.bad(
                "envelope",
                &name,
                "it was set aside and has an effective `seen`",
            );
        }
        if walked.verdicts.get(&stored.id) != Some(&(stored.standing, stored.reason.clone())) {
            report.bad(
                "envelope",
                &name,
                "its verdict is not the one that was published",
            );
        }
        match open(&stored) {
            Ok(sealed) => {
                check_cited(db, &sealed, &name, report)?;
                imply(&stored, &sealed, &mut implied);
            }
            Err(problem) => report.bad("envelope", &name, problem),
        }
        if report.enough() {
            return Ok(implied);
        }
    }
    let length = match db::meta(db, "chain_length")? {
        Some(Sql::Integer(length)) => length,
        _ => 0,
    };
    let newest = blob(db, "chain_newest")?.unwrap_or_default();
    if (length, newest) != newest_own {
        let problem = "the server's own chain does not end where its envelopes do";
        report.bad("meta", "chain_newest", problem);
    }
    Ok(implied)
}

/// Whatever waits, waits for something that is not here and that it builds on.
pub(super) fn check_waiting(db: &Connection, report: &mut Report) -> Result<(), EngineError> {
    let mut missing: BTreeMap<i64, Vec<Vec<u8>>> = BTreeMap::new();
    {
        let mut statement = db.prepare_cached("SELECT envelope, missing FROM waiting")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            missing.entry(row.get(0)?).or_default().push(row.get(1)?);
        }
    }
    let mut statement = db.prepare_cached("SELECT id, bytes FROM envelope WHERE standing = ?1")?;
    let mut rows = statement.query([Standing::Waiting.code()])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        let awaited = missing.remove(&id).unwrap_or_default();
        let Ok(sealed) = envelope::open(&bytes) else {
            continue;
        };
        let unknown = unknown_causes(db, &sealed)?;
        let fits =
            matches!(&awaited[..], [one] if unknown.iter().any(|hash| hash.0[..] == one[..]));
        if !fits {
            report.bad(
                "waiting",
                sealed.hash,
                "it does not wait for what it builds on",
            );
        }
    }
    for id in missing.into_keys() {
        report.bad("waiting", id, "nothing waits there");
    }
    Ok(())
}

/// Verifies every signature.
pub(super) fn check_signatures(
    db: &Connection,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), EngineError> {
    let mut devices: BTreeMap<Vec<u8>, (Option<VerifyingKey>, String)> = BTreeMap::new();
    {
        let mut statement = db.prepare_cached("SELECT device, key, person FROM device")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key: Vec<u8> = row.get(1)?;
            let key = key.as_slice().try_into().ok();
            let key = key.and_then(|key| VerifyingKey::from_bytes(key).ok());
            devices.insert(row.get(0)?, (key, row.get(2)?));
        }
    }
    let mut statement = db.prepare_cached("SELECT device, bytes FROM envelope ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let device: Vec<u8> = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        // What does not open was named before.
        let Ok(sealed) = envelope::open(&bytes) else {
            continue;
        };
        report.signatures += 1;
        if report.signatures.is_multiple_of(256) {
            progress(Progress {
                part: "signatures",
                done: report.signatures,
                of: report.envelopes,
            });
        }
        let problem = match devices.get(&device) {
            None => Some("its device is unknown"),
            Some((_, person)) if *person != sealed.envelope.action.person.0 => {
                Some("its device belongs to somebody else")
            }
            Some((Some(key), _)) if sealed.verify(key) => None,
            Some(_) => Some("its signature does not verify"),
        };
        if let Some(problem) = problem {
            report.bad("envelope", sealed.hash, problem);
            if report.enough() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn open(stored: &Stored) -> Result<Sealed, String> {
    let sealed = envelope::open(&stored.bytes).map_err(|error| error.to_string())?;
    let it = &sealed.envelope;
    // What was set aside may have taken a record for the other kind.
    let fits = |(record, kind): &(Vec<u8>, i64)| {
        it.action.record.0[..] == record[..]
            && (!is_shared(stored) || i64::from(it.action.kind.code()) == *kind)
    };
    let wrong = if sealed.hash.0[..] != stored.hash[..] {
        "its bytes have another hash"
    } else if it.device.0[..] != stored.device[..] || it.dev_seq.cast_signed() != stored.dev_seq {
        "its device or chain number is another"
    } else if !stored.of.as_ref().is_some_and(fits) {
        "it belongs to another record"
    } else {
        return Ok(sealed);
    };
    Err(wrong.to_owned())
}

fn check_cited(
    db: &Connection,
    sealed: &Sealed,
    name: &str,
    report: &mut Report,
) -> Result<(), EngineError> {
    let anchor = sealed.envelope.claim.anchor;
    let cited = anchor.and_then(|anchor| Some((anchor, anchor.head?)));
    let Some((anchor, mark)) = cited else {
        return Ok(());
    };
    if audit::citation(db, anchor.position, mark, anchor.server_ms)? == Citation::Contradicts {
        let position = anchor.position;
        let problem = format!("its author was told of another history up to position {position}");
        report.bad("feed", name, problem);
    }
    Ok(())
}

fn imply(stored: &Stored, sealed: &Sealed, implied: &mut Implied) {
    let shared = is_shared(stored);
    *implied.records.entry(stored.record).or_default() |= shared;
    let action = &sealed.envelope.action;
    if !action.person.is_server() || stored.standing != i64::from(Standing::Accepted.code()) {
        return;
    }
    match &action.body {
        Body::Escalate { into, round, .. } => {
            let at_ms = sealed.envelope.claim.wall_ms;
            let of = implied.escalations.entry(action.record).or_default();
            of.push((*round, *into, at_ms));
        }
        Body::MarkDistrict { cause, round } => {
            let at_ms = sealed.envelope.claim.wall_ms;
            let whistle = action.record.0.to_vec();
            implied
                .marks
                .insert((whistle, i64::from(*round), cause.code().to_owned(), at_ms));
        }
        Body::Number => {
            if let Some(Value::Text(number)) = action.facts.get(fact::NUMBER)
                && let Some((prefix, nth)) = crate::escalate::split_number(number)
            {
                let last = implied.numbers.entry(prefix.to_owned()).or_default();
                *last = nth.max(*last);
            }
        }
        _ => {}
    }
}

fn is_shared(stored: &Stored) -> bool {
    u8::try_from(stored.standing)
        .ok()
        .and_then(Standing::from_code)
        .is_some_and(Standing::is_shared)
}

/// Everything that an envelope builds on, directly or through what was set
/// aside, and that is not here.
fn unknown_causes(db: &Connection, sealed: &Sealed) -> Result<BTreeSet<EnvelopeHash>, EngineError> {
    let mut statement =
        db.prepare_cached("SELECT standing, bytes FROM envelope WHERE hash = ?1")?;
    let mut failed = None;
    let mut unknown = BTreeSet::new();
    let mut look = |hash: &EnvelopeHash| -> rusqlite::Result<Cited> {
        let mut rows = statement.query([hash.0])?;
        let Some(row) = rows.next()? else {
            return Ok(Cited::Unknown);
        };
        let standing: i64 = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        Ok(match standing {
            1 | 2 => Cited::InHistory,
            4 => Cited::Unknown,
            _ => Cited::SetAside(
                envelope::open(&bytes).map_or_else(|_| Vec::new(), |it| it.envelope.seen),
            ),
        })
    };
    // Never "unknown" to the rule, so that it looks at everything.
    let _ = effective_seen(&sealed.envelope.seen, |hash| match look(hash) {
        Ok(Cited::Unknown) => {
            unknown.insert(*hash);
            Cited::InHistory
        }
        Ok(cited) => cited,
        Err(error) => {
            failed = Some(error);
            Cited::InHistory
        }
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(unknown),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let of: Option<Vec<u8>> = row.get(8)?;
    let kind: Option<i64> = row.get(9)?;
    Ok(Stored {
        id: row.get(0)?,
        hash: row.get(1)?,
        record: row.get(2)?,
        device: row.get(3)?,
        dev_seq: row.get(4)?,
        standing: row.get(5)?,
        reason: row.get(6)?,
        bytes: row.get(7)?,
        seen: row.get(10)?,
        of: of.zip(kind),
    })
}
