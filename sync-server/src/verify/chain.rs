//! The chain, its signed end, and what its acts seal.

use std::collections::BTreeMap;

use ed25519_dalek::{SigningKey, VerifyingKey};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row};

use shaodao_core::domain::ids::{DeviceId, EnvelopeHash};
use shaodao_core::domain::reason::Reason;
use shaodao_core::sync::head::{Act, Entry, Head, SignedHead};
use shaodao_core::sync::wire::{Judgement, Standing};

use super::{Progress, Report};
use crate::audit;
use crate::db::{self, DbError};
use crate::engine::{EngineError, sha256};

/// What the walk learned.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// The newest verdict about each envelope row: standing and reason.
    pub verdicts: BTreeMap<i64, (i64, Option<String>)>,
    /// The newest seal of each device, by its id in hexadecimal.
    devices: BTreeMap<String, Vec<u8>>,
    /// The newest seal of each edition of the directory, by its number.
    editions: BTreeMap<String, Vec<u8>>,
    /// The newest seal of everything else, by what was done.
    others: BTreeMap<String, Vec<u8>>,
}

/// A position of the feed with whatever stands at it.
struct Position {
    position: i64,
    envelope: Option<i64>,
    standing: Option<i64>,
    reason: Option<String>,
    head: Vec<u8>,
    act: Option<StoredAct>,
    stored: Option<StoredEnvelope>,
}

struct StoredAct {
    at_ms: i64,
    what: String,
    who: String,
    about: String,
    content: Option<Vec<u8>>,
}

struct StoredEnvelope {
    hash: Vec<u8>,
    seen: Option<Vec<u8>>,
    received_at_ms: i64,
}

/// Hashes everything again, from the first position on.
pub(super) fn walk(
    db: &Connection,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<Walked, EngineError> {
    let of: i64 = db.query_row("SELECT COUNT(*) FROM feed", [], |row| row.get(0))?;
    let mut walked = Walked::default();
    let mut head = Head::EMPTY;
    let mut statement = db.prepare_cached(
        "SELECT feed.position, feed.envelope, feed.standing, feed.reason, feed.head,
                audit.at_ms, audit.what, audit.who, audit.about, audit.content,
                envelope.hash, envelope.seen, envelope.received_at_ms
         FROM feed LEFT JOIN audit ON audit.position = feed.position
         LEFT JOIN envelope ON envelope.id = feed.envelope ORDER BY feed.position",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let stored = read(row)?;
        report.positions += 1;
        if report.positions.is_multiple_of(1_024) {
            progress(Progress {
                part: "chain",
                done: report.positions,
                of: of.cast_unsigned(),
            });
        }
        let wanted = head.position.cast_signed() + 1;
        if stored.position != wanted {
            let missing = format!("position {wanted} is missing before it");
            report.bad("feed", stored.position, missing);
        }
        // From here on positions count from where the row says it stands.
        head.position = (stored.position - 1).cast_unsigned();
        head = step(head, &stored, &mut walked, report);
        if report.enough() {
            return Ok(walked);
        }
    }
    check_end(db, head, report)?;
    check_orphans(db, report)?;
    Ok(walked)
}

/// Compares what the acts seal with what is there.
pub(super) fn check_seals(
    db: &Connection,
    walked: &Walked,
    report: &mut Report,
) -> Result<(), EngineError> {
    let mut statement = db.prepare_cached("SELECT device FROM device")?;
    let mut rows = statement.query([])?;
    let mut devices = walked.devices.clone();
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(0)?;
        let Some(device) = DeviceId::from_slice(&bytes) else {
            report.bad("device", hex(&bytes), "its id has not 16 bytes");
            continue;
        };
        let name = device.to_string();
        let content = audit::device_content(db, device)?;
        match devices.remove(&name) {
            None => report.bad("device", name, "no act enrolled it"),
            Some(seal) if content.is_none_or(|content| content[..] != seal[..]) => {
                report.bad("device", name, "its person, key, time or state was changed");
            }
            Some(_) => {}
        }
    }
    for device in devices.into_keys() {
        report.bad("device", device, "it was enrolled and is gone");
    }
    check_editions(db, walked, report)?;
    for (name, what) in [("epoch", audit::EPOCH), ("receipt_key", audit::RECEIPT_KEY)] {
        let value = blob(db, name)?;
        let same = match (value, walked.others.get(what)) {
            (Some(value), Some(seal)) => sha256(&value)[..] == seal[..],
            (None, None) => true,
            _ => false,
        };
        if !same {
            report.bad("meta", name, "it is not what an act put in place");
        }
    }
    if own_key(db)?.is_none() {
        let problem = "the server's key does not belong to its device";
        report.bad("meta", "device_key", problem);
    }
    Ok(())
}

/// Compares the editions of the directory with the acts that put them in force.
fn check_editions(
    db: &Connection,
    walked: &Walked,
    report: &mut Report,
) -> Result<(), EngineError> {
    let mut statement = db.prepare_cached("SELECT version FROM edition")?;
    let mut rows = statement.query([])?;
    let mut editions = walked.editions.clone();
    while let Some(row) = rows.next()? {
        let version: i64 = row.get(0)?;
        let content = audit::edition_content(db, version.cast_unsigned())?;
        match editions.remove(&version.to_string()) {
            None => report.bad("edition", version, "no act put it in force"),
            Some(seal) if content.is_none_or(|content| content[..] != seal[..]) => {
                report.bad("edition", version, "it was changed");
            }
            Some(_) => {}
        }
    }
    for version in editions.into_keys() {
        report.bad("edition", version, "it was in force and is gone");
    }
    Ok(())
}

/// The server's public key, if its device, secret and row agree.
pub(super) fn own_key(db: &Connection) -> Result<Option<VerifyingKey>, DbError> {
    let device = blob(db, "device")?;
    let secret = blob(db, "device_key")?;
    let secret = secret.and_then(|secret| <[u8; 32]>::try_from(secret).ok());
    let (Some(device), Some(secret)) = (device, secret) else {
        return Ok(None);
    };
    let key: Option<Vec<u8>> = db
        .query_row(
            "SELECT key FROM device WHERE device = ?1",
            [device],
            |row| row.get(0),
        )
        .optional()?;
    let own = SigningKey::from_bytes(&secret).verifying_key();
    Ok((key.as_deref() == Some(own.as_bytes())).then_some(own))
}

/// A named value, if it is there and of bytes.
pub(super) fn blob(db: &Connection, name: &str) -> Result<Option<Vec<u8>>, DbError> {
    Ok(match db::meta(db, name)? {
        Some(Value::Blob(bytes)) => Some(bytes),
        _ => None,
    })
}

/// One position: the head after it, as far as what is stored allows.
fn step(head: Head, stored: &Position, walked: &mut Walked, report: &mut Report) -> Head {
    let next = match (stored.envelope, &stored.act) {
        (Some(envelope), None) => {
            let verdict = (stored.standing.unwrap_or(0), stored.reason.clone());
            walked.verdicts.insert(envelope, verdict);
            judgement(stored).map(|judgement| head.then(Entry::Verdict(&judgement)))
        }
        (None, Some(_)) if stored.standing.is_some() || stored.reason.is_some() => {
            Err("it is an act and has a standing")
        }
        (None, Some(act)) => {
            report.acts += 1;
            seal(act, walked);
            entry(act).map(|act| head.then(Entry::Act(act)))
        }
        (Some(_), Some(_)) => Err("it is a verdict and an act at once"),
        (None, None) => Err("its act is gone"),
    };
    let next = match next {
        Ok(next) => next,
        Err(problem) => {
            report.bad("feed", stored.position, problem);
            Head {
                position: stored.position.cast_unsigned(),
                ..head
            }
        }
    };
    match <[u8; 32]>::try_from(stored.head.as_slice()) {
        Ok(hash) if hash == next.hash => next,
        Ok(hash) => {
            let problem = "it does not hash onto the one before: it, its verdict or its act \
                           was changed";
            report.bad("feed", stored.position, problem);
            // One bad row is one line: the walk goes on from what is stored.
            Head { hash, ..next }
        }
        Err(_) => {
            report.bad("feed", stored.position, "its hash has not 32 bytes");
            next
        }
    }
}

fn judgement(stored: &Position) -> Result<Judgement, &'static str> {
    let envelope = stored.stored.as_ref().ok_or("its envelope is gone")?;
    let standing = stored
        .standing
        .and_then(|code| u8::try_from(code).ok())
        .and_then(Standing::from_code)
        .ok_or("its standing is none")?;
    let reason = match &stored.reason {
        Some(code) => Some(Reason::from_code(code).ok_or("its reason is none")?),
        None => None,
    };
    // Only what is part of the history has an effective `seen`.
    let seen = envelope.seen.as_ref().filter(|_| standing.is_shared());
    Ok(Judgement {
        hash: EnvelopeHash::from_slice(&envelope.hash).ok_or("its envelope has no hash")?,
        standing,
        reason,
        seen: match seen {
            Some(seen) => Some(hashes(seen).ok_or("what it had seen is cut")?),
            None => None,
        },
        received_at_ms: envelope.received_at_ms,
    })
}

fn entry(act: &StoredAct) -> Result<Act<'_>, &'static str> {
    Ok(Act {
        at_ms: act.at_ms,
        what: &act.what,
        who: &act.who,
        about: &act.about,
        content: match &act.content {
            Some(content) => {
                let content = content.as_slice().try_into();
                Some(content.map_err(|_| "its content hash has not 32 bytes")?)
            }
            None => None,
        },
    })
}

fn seal(act: &StoredAct, walked: &mut Walked) {
    let Some(content) = act.content.clone() else {
        return;
    };
    match act.about.parse::<DeviceId>() {
        Ok(device) => walked.devices.insert(device.to_string(), content),
        Err(_) if act.what == audit::DIRECTORY => {
            walked.editions.insert(act.about.clone(), content)
        }
        Err(_) => walked.others.insert(act.what.clone(), content),
    };
}

/// The end of the chain is what the server signed.
fn check_end(db: &Connection, head: Head, report: &mut Report) -> Result<(), EngineError> {
    let signed: Option<(i64, Vec<u8>)> = db
        .query_row("SELECT position, signature FROM signed_head", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((position, signature)) = signed else {
        report.bad("signed_head", 1, "the end of the feed is not signed");
        return Ok(());
    };
    if position != head.position.cast_signed() {
        let problem = format!(
            "it signs position {position}, the feed ends at {}",
            head.position
        );
        report.bad("signed_head", 1, problem);
        return Ok(());
    }
    let epoch = blob(db, "epoch")?.unwrap_or_default();
    let key = own_key(db)?;
    let signature = signature.as_slice().try_into().ok();
    let holds = signature
        .zip(key)
        .is_some_and(|(signature, key)| SignedHead { head, signature }.verify(&epoch, &key));
    if !holds {
        report.bad(
            "signed_head",
            1,
            "the end of the feed is not what the server signed",
        );
    }
    Ok(())
}

/// Acts that stand at no position.
fn check_orphans(db: &Connection, report: &mut Report) -> Result<(), EngineError> {
    let mut statement = db.prepare_cached(
        "SELECT position FROM audit
         WHERE NOT EXISTS (SELECT 1 FROM feed WHERE feed.position = audit.position)",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.bad("audit", row.get::<_, i64>(0)?, "it is not in the chain");
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Position> {
    let at_ms: Option<i64> = row.get(5)?;
    let hash: Option<Vec<u8>> = row.get(10)?;
    Ok(Position {
        position: row.get(0)?,
        envelope: row.get(1)?,
        standing: row.get(2)?,
        reason: row.get(3)?,
        head: row.get(4)?,
        act: match at_ms {
            Some(at_ms) => Some(StoredAct {
                at_ms,
                what: row.get(6)?,
                who: row.get(7)?,
                about: row.get(8)?,
                content: row.get(9)?,
            }),
            None => None,
        },
        stored: match hash {
            Some(hash) => Some(StoredEnvelope {
                hash,
                seen: row.get(11)?,
                received_at_ms: row.get(12)?,
            }),
            None => None,
        },
    })
}

fn hashes(bytes: &[u8]) -> Option<Vec<EnvelopeHash>> {
    let chunks = bytes.chunks(32);
    chunks.map(EnvelopeHash::from_slice).collect()
}

/// Bytes for people.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
