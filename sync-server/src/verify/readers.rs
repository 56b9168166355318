//! Who may read what: everything that was accepted is written again into its
//! record, in the order and under the directory in which it was, and lets in
//! whom it lets in. What comes of that is compared with `audience`, and every
//! publication (`feed_key`) with the moment at which it was due.
//!
//! 1. [`replay`] walks the feed. An event is an envelope that was accepted: its
//!    record's readers may grow, and so may those of linked records. Who is new
//!    gets the history of the record again: before the event's own position for
//!    its own record, behind it for linked ones. Everybody gets the event.
//! 2. [`compare`] looks for each of these between the event before and the one
//!    after. What is left over must be news for the author: of what was set
//!    aside, and of what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, params};

use shaodao_core::document::{Document, Member};
use shaodao_core::domain::ids::{DeviceId, PersonId};
use shaodao_core::envelope;
use shaodao_core::pack;
use shaodao_core::sync::wire::Standing;

use super::{Progress, Report};
use crate::audience::{self, device_key, person_key};
use crate::audit::DIRECTORY;
use crate::db::rows;
use crate::directory;
use crate::engine::{Engine, EngineError};

/// The tables that readers follow from, and those that say who they are.
const HIDDEN: [&str; 7] = [
    "record",
    "finding",
    "whistle",
    "target",
    "whistle_finding",
    "audience_key",
    "audience",
];

/// Between which positions (exclusive) a publication is due.
type Window = (i64, i64);

/// What follows from the feed.
#[derive(Default)]
struct Due {
    /// Publications by envelope and key.
    publications: BTreeMap<(i64, String), Vec<Window>>,
    /// The history of each record so far: envelope rows.
    histories: BTreeMap<i64, BTreeSet<i64>>,
    /// Verdicts of each envelope row: position and standing.
    verdicts: BTreeMap<i64, Vec<(i64, Option<Standing>)>>,
}

/// A row of the feed.
struct Entry {
    position: i64,
    envelope: Option<i64>,
    standing: Option<Standing>,
    /// The edition that the act puts in force.
    edition: Option<u64>,
}

/// Compares everything that says who may read what.
pub(super) fn check(
    engine: &mut Engine,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), EngineError> {
    hide(&engine.db)?;
    let today = engine.directory.clone();
    let due = replay(engine, report, progress);
    engine.directory = today;
    let due = due?;
    compare_audiences(&engine.db, report)?;
    compare(&engine.db, due, report)?;
    for table in HIDDEN.iter().rev() {
        engine
            .db
            .execute_batch(&format!("DROP TABLE temp.{table}"))?;
    }
    Ok(())
}

fn hide(db: &Connection) -> Result<(), EngineError> {
    for table in HIDDEN {
        let sql: String = db.query_row(
            "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1",
            [table],
            |row| row.get(0),
        )?;
        let sql = sql.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1);
        db.execute_batch(&sql)?;
    }
    db.execute_batch(
        "INSERT INTO temp.record (id, record, kind, heads)
             SELECT id, record, kind, X'' FROM main.record;
         INSERT INTO temp.audience_key (id, name) SELECT id, name FROM main.audience_key;",
    )?;
    Ok(())
}

fn replay(
    engine: &mut Engine,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<Due, EngineError> {
    let feed = entries(&engine.db)?;
    let mut due = Due::default();
    let mut documents: BTreeMap<i64, Document> = BTreeMap::new();
    let mut written = BTreeSet::new();
    let mut before = 0;
    for (at, entry) in feed.iter().enumerate() {
        if at.is_multiple_of(1_024) {
            progress(Progress {
                part: "readers",
                done: at as u64,
                of: feed.len() as u64,
            });
        }
        if let Some(version) = entry.edition {
            let pack = directory::pack_of(&engine.db, version);
            // An edition that is gone or does not read was named before.
            if let Some(pack) = pack.ok().and_then(|pack| pack::directory(&pack).ok()) {
                engine.directory = Arc::new(pack);
            }
        }
        let Some(row) = entry.envelope else {
            continue;
        };
        let verdict = (entry.position, entry.standing);
        due.verdicts.entry(row).or_default().push(verdict);
        let shared = entry.standing.is_some_and(Standing::is_shared);
        if !shared || !written.insert(row) {
            continue;
        }
        let Some((record, member)) = member(&engine.db, row)? else {
            continue;
        };
        if rows::record(&engine.db, member.sealed.envelope.action.record)? != Some(record) {
            continue;
        }
        let action = &member.sealed.envelope.action;
        let (kind, id) = (action.kind, action.record);
        let document = match documents.entry(record) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Document::new(kind, id)),
        };
        if let Err(error) = document.write(member) {
            let problem = format!("it does not fit into its record any more: {error}");
            report.bad("envelope", row, problem);
            continue;
        }
        let state = document.fold();
        engine.write_rows(record, id, &state)?;
        // What its record had so far goes to whoever is new.
        let (new, linked) = widen(engine, record)?;
        let own = entry.position;
        let next = feed[at + 1..].iter().find(|it| {
            let shared = it.standing.is_some_and(Standing::is_shared);
            shared && it.envelope.is_some_and(|row| !written.contains(&row))
        });
        let next = next.map_or(i64::MAX, |next| next.position);
        due.publish(record, &new, (before, own));
        due.histories.entry(record).or_default().insert(row);
        for key in audience::names(&engine.db, record)? {
            let of = due.publications.entry((row, key)).or_default();
            of.push((own - 1, own + 1));
        }
        for record in linked {
            let (new, _) = widen(engine, record)?;
            due.publish(record, &new, (own, next));
        }
        before = own;
    }
    Ok(due)
}

impl Due {
    fn publish(&mut self, record: i64, new: &[String], window: Window) {
        let history = self.histories.get(&record).into_iter().flatten();
        for row in history {
            for key in new {
                let of = self.publications.entry((*row, key.clone())).or_default();
                of.push(window);
            }
        }
    }
}

/// Lets in whom a record's rows let in: who is new, and what is linked.
fn widen(engine: &Engine, record: i64) -> Result<(Vec<String>, Vec<i64>), EngineError> {
    let readers = audience::implied(&engine.db, &engine.directory, record)?;
    let mut new = Vec::new();
    for name in readers.keys {
        engine
            .db
            .prepare_cached("INSERT OR IGNORE INTO temp.audience_key (name) VALUES (?1)")?
            .execute([&name])?;
        let added = engine
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO temp.audience (record, key)
                 SELECT ?1, id FROM temp.audience_key WHERE name = ?2",
            )?
            .execute(params![record, name])?;
        if added == 1 {
            new.push(name);
        }
    }
    Ok((new, readers.linked))
}

fn entries(db: &Connection) -> Result<Vec<Entry>, EngineError> {
    let mut statement = db.prepare(
        "SELECT feed.position, feed.envelope, feed.standing, audit.what, audit.about
         FROM feed LEFT JOIN audit ON audit.position = feed.position ORDER BY feed.position",
    )?;
    let rows = statement.query_map([], |row| {
        let standing: Option<i64> = row.get(2)?;
        let standing = standing.and_then(|code| u8::try_from(code).ok());
        let what: Option<String> = row.get(3)?;
        let about: Option<String> = row.get(4)?;
        let edition = about.filter(|_| what.as_deref() == Some(DIRECTORY));
        Ok(Entry {
            position: row.get(0)?,
            envelope: row.get(1)?,
            standing: standing.and_then(Standing::from_code),
            edition: edition.and_then(|version| version.parse().ok()),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An envelope as it was written; `None` if it cannot be: that was named before.
fn member(db: &Connection, row: i64) -> Result<Option<(i64, Member)>, EngineError> {
    let mut statement = db.prepare_cached(
        "SELECT bytes, hash, standing, reason, seen, received_at_ms, record FROM main.envelope
         WHERE id = ?1",
    )?;
    let mut rows = statement.query([row])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let bytes: Vec<u8> = row.get(0)?;
    let Ok(sealed) = envelope::open(&bytes) else {
        return Ok(None);
    };
    let seen = rows::judgement(row, 1)?.seen;
    let received_at_ms = row.get(5)?;
    let member = Member {
        seen: seen.unwrap_or_else(|| sealed.envelope.seen.clone()),
        sealed,
        received_at_ms: Some(received_at_ms),
    };
    Ok(Some((row.get(6)?, member)))
}

fn compare_audiences(db: &Connection, report: &mut Report) -> Result<(), EngineError> {
    let side = |schema: &str| {
        format!(
            "SELECT audience.record, COALESCE(name, '?') FROM {schema}.audience
             LEFT JOIN {schema}.audience_key ON audience_key.id = audience.key"
        )
    };
    for (here, there, problem) in [
        ("main", "temp", "may read it, and nothing lets them in"),
        ("temp", "main", "may read it, and is not let in"),
    ] {
        let sql = format!("{} EXCEPT {}", side(here), side(there));
        let mut statement = db.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (record, name): (i64, String) = (row.get(0)?, row.get(1)?);
            report.bad("audience", record, format!("{name} {problem}"));
        }
    }
    Ok(())
}

fn compare(db: &Connection, mut due: Due, report: &mut Report) -> Result<(), EngineError> {
    let mut told: BTreeMap<i64, Vec<(i64, String)>> = BTreeMap::new();
    {
        let mut statement = db.prepare(
            "SELECT feed_key.position, feed.envelope, COALESCE(audience_key.name, '?')
             FROM main.feed_key LEFT JOIN main.feed ON feed.position = feed_key.position
             LEFT JOIN main.audience_key ON audience_key.id = feed_key.key
             ORDER BY feed_key.position",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (position, row, name): (i64, Option<i64>, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let Some(row) = row else {
                report.bad("feed_key", position, "nothing is published there");
                continue;
            };
            // What is set aside is published to nobody.
            let verdicts = due.verdicts.get(&row).into_iter().flatten();
            let shared = verdicts
                .into_iter()
                .any(|(at, standing)| *at == position && standing.is_some_and(Standing::is_shared));
            let windows = due.publications.get_mut(&(row, name.clone()));
            let windows = windows.filter(|_| shared);
            let found = windows.and_then(|windows| {
                let mut windows_at = windows.iter();
                let at = windows_at.position(|(from, to)| *from < position && position < *to)?;
                Some(windows.remove(at))
            });
            if found.is_none() {
                told.entry(row).or_default().push((position, name));
            }
        }
    }
    for ((row, name), windows) in &due.publications {
        for (from, to) in windows {
            let problem = format!("envelope {row} was not published to {name}");
            report.bad("feed_key", format!("{from}..{to}"), problem);
        }
    }
    for (row, verdicts) in &due.verdicts {
        let told = told.remove(row).unwrap_or_default();
        let author = author(db, *row)?;
        if !author.is_none_or(|(device, person)| is_news(verdicts, &told, &device, &person)) {
            let problem = "its author was not told of it, or somebody else was";
            report.bad("feed_key", row, problem);
        }
    }
    for (row, _) in told {
        report.bad("feed_key", row, "nothing is published there");
    }
    Ok(())
}

fn author(db: &Connection, row: i64) -> Result<Option<(String, String)>, EngineError> {
    let mut statement = db.prepare_cached("SELECT bytes FROM main.envelope WHERE id = ?1")?;
    let mut rows = statement.query([row])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let bytes: Vec<u8> = row.get(0)?;
    Ok(envelope::open(&bytes).ok().map(|sealed| {
        let device: DeviceId = sealed.envelope.device;
        let person: &PersonId = &sealed.envelope.action.person;
        (device_key(device), person_key(person))
    }))
}

/// Whether an author was told of what was set aside, and of what became of it.
/// Setting aside for a person to look tells the person, and takes a position of
/// its own besides; each later verdict tells the phone, and one that a person
/// gave tells the person as well.
fn is_news(
    verdicts: &[(i64, Option<Standing>)],
    told: &[(i64, String)],
    device: &str,
    person: &str,
) -> bool {
    let mut said = String::new();
    for (position, standing) in verdicts {
        let here: Vec<&str> = told
            .iter()
            .filter(|(at, _)| at == position)
            .map(|(_, name)| name.as_str())
            .collect();
        said.push(match (standing, &here[..]) {
            (Some(Standing::Waiting), []) => 'w',
            (Some(Standing::Quarantined), []) => 'q',
            (Some(Standing::Quarantined), [one]) if *one == device => 'd',
            (Some(Standing::Quarantined), [one]) if *one == person => 'p',
            // Published, and nothing besides.
            (Some(standing), []) if standing.is_shared() => continue,
            (Some(standing), [one]) if standing.is_shared() && *one == device => 'D',
            (Some(standing), [one]) if standing.is_shared() && *one == person => 'P',
            _ => return false,
        });
    }
    // It may have waited; then it was accepted, or set aside. A person may then
    // have looked at it, once or several times: judged again by one directory or
    // two, and told.
    let mut rest = said.trim_start_matches('w');
    let waited = rest.len() < said.len();
    if rest.is_empty() || (waited && rest == "D") {
        return true;
    }
    let Some(after) = rest.strip_prefix(if waited { "pqd" } else { "pq" }) else {
        return false;
    };
    rest = after;
    let mut judged_again = false;
    loop {
        if let Some(after) = rest.strip_prefix("pq") {
            (rest, judged_again) = (after, true);
        } else if let Some(after) = rest.strip_prefix("dp") {
            (rest, judged_again) = (after, false);
        } else {
            return rest == "DP" || (rest.is_empty() && !judged_again);
        }
    }
}
