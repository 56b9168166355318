//! What follows from the envelopes: the read model is made again in temporary
//! tables of the same names, which hide the real ones from the very function
//! that wrote those, and both are compared row by row.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use shaodao_core::domain::action::{Level, RecordKind};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::record::RecordState;

use super::chain::hex;
use super::envelopes::Implied;
use super::{Progress, Report};
use crate::db::rows;
use crate::engine::{Engine, EngineError};

/// The tables that [`Engine::project`] writes.
const PROJECTED: [&str; 6] = [
    "record",
    "finding",
    "whistle",
    "target",
    "whistle_finding",
    "timer",
];

/// Compares everything derived with what is stored.
pub(super) fn compare(
    engine: &mut Engine,
    implied: &Implied,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), EngineError> {
    hide(&engine.db)?;
    let records: Vec<(i64, Option<RecordKind>, Option<RecordId>)> = {
        let mut statement = engine
            .db
            .prepare("SELECT id, kind, record FROM main.record")?;
        let rows = statement.query_map([], |row| {
            let kind: i64 = row.get(1)?;
            let kind = u8::try_from(kind).ok().and_then(RecordKind::from_code);
            let id: Vec<u8> = row.get(2)?;
            Ok((row.get(0)?, kind, RecordId::from_slice(&id)))
        })?;
        rows.collect::<Result<_, _>>()?
    };
    let mut escalations = implied.escalations.clone();
    let of = records.len() as u64;
    for (row, kind, id) in records {
        report.records += 1;
        if report.records.is_multiple_of(256) {
            progress(Progress {
                part: "records",
                done: report.records,
                of,
            });
        }
        let (Some(kind), Some(id)) = (kind, id) else {
            report.bad("record", row, "its kind or id is none");
            continue;
        };
        match implied.records.get(&row) {
            None => report.bad("record", id, "it has no envelopes"),
            // Nothing was accepted of it: no rows.
            Some(false) => {}
            Some(true) => {
                let document = match rows::document(&engine.db, kind, id) {
                    Ok(document) => document,
                    Err(error) => {
                        report.bad("record", id, format!("it cannot be made again: {error}"));
                        continue;
                    }
                };
                let state = document.fold();
                engine.project(row, &document, &state)?;
                if let RecordState::Whistle(_) = &state {
                    let wanted = escalations.remove(&id).unwrap_or_default();
                    check_escalations(&engine.db, id, &wanted, report)?;
                }
            }
        }
    }
    for table in PROJECTED {
        differences(engine, table, report)?;
    }
    check_unknown_escalations(&engine.db, implied, report)?;
    check_marks(&engine.db, implied, report)?;
    check_numbers(&engine.db, implied, report)?;
    uncover(&engine.db)
}

/// Temporary tables like the real ones, empty but for the names of records.
fn hide(db: &Connection) -> Result<(), EngineError> {
    for table in PROJECTED {
        let sql: String = db.query_row(
            "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1",
            [table],
            |row| row.get(0),
        )?;
        let sql = sql.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1);
        db.execute_batch(&sql)?;
    }
    db.execute(
        "INSERT INTO temp.record (id, record, kind, heads)
         SELECT id, record, kind, X'' FROM main.record",
        [],
    )?;
    Ok(())
}

fn uncover(db: &Connection) -> Result<(), EngineError> {
    // Whatever refers to a table goes before it.
    for table in PROJECTED.iter().rev() {
        db.execute_batch(&format!("DROP TABLE temp.{table}"))?;
    }
    Ok(())
}

/// Rows that are only on one side.
fn differences(
    engine: &Engine,
    table: &'static str,
    report: &mut Report,
) -> Result<(), EngineError> {
    let only = |here: &str, there: &str| {
        format!("SELECT * FROM {here}.{table} EXCEPT SELECT * FROM {there}.{table}")
    };
    for row in texts(&engine.db, &only("main", "temp"))? {
        report.bad(table, row, "it does not follow from the envelopes");
    }
    // A timer that has fired is gone although its time has come.
    let missing = match table {
        "timer" => format!(
            "SELECT * FROM ({}) WHERE due_at_ms > {}",
            only("temp", "main"),
            engine.clock.now_ms()
        ),
        _ => only("temp", "main"),
    };
    for row in texts(&engine.db, &missing)? {
        report.bad(table, row, "it follows from the envelopes and is not there");
    }
    Ok(())
}

fn check_escalations(
    db: &Connection,
    whistle: RecordId,
    wanted: &[(u32, RecordId, i64)],
    report: &mut Report,
) -> Result<(), EngineError> {
    let mut statement = db
        .prepare_cached("SELECT level, round, into_id, at_ms FROM escalation WHERE whistle = ?1")?;
    let mut rows = statement.query([whistle.0])?;
    let mut performed = Vec::new();
    while let Some(row) = rows.next()? {
        let (stored, round): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (into, at_ms): (Vec<u8>, i64) = (row.get(2)?, row.get(3)?);
        let follows = stored == i64::from(Level::Street.code())
            && wanted.iter().any(|(of, opened, when)| {
                i64::from(*of) == round && opened.0[..] == into[..] && *when == at_ms
            });
        if !follows {
            let problem = format!("round {round} does not follow from an escalation");
            report.bad("escalation", whistle, problem);
        }
        performed.push(round);
    }
    for (round, ..) in wanted {
        if !performed.contains(&i64::from(*round)) {
            report.bad("escalation", whistle, format!("round {round} is not there"));
        }
    }
    Ok(())
}

/// Escalations of whistles that are none.
fn check_unknown_escalations(
    db: &Connection,
    implied: &Implied,
    report: &mut Report,
) -> Result<(), EngineError> {
    let mut statement = db.prepare_cached("SELECT DISTINCT whistle FROM escalation")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let whistle: Vec<u8> = row.get(0)?;
        let known = RecordId::from_slice(&whistle)
            .is_some_and(|whistle| implied.escalations.contains_key(&whistle));
        if !known {
            report.bad("escalation", hex(&whistle), "nothing was escalated there");
        }
    }
    Ok(())
}

/// Each mark for the district follows from one action, and each action left one.
fn check_marks(db: &Connection, implied: &Implied, report: &mut Report) -> Result<(), EngineError> {
    let mut statement = db.prepare_cached("SELECT whistle, round, cause, at_ms FROM mark")?;
    let mut rows = statement.query([])?;
    let mut wanted = implied.marks.clone();
    while let Some(row) = rows.next()? {
        let whistle: Vec<u8> = row.get(0)?;
        let mark = (
            whistle.clone(),
            row.get(1)?,
            row.get(2)?,
            row.get::<_, i64>(3)?,
        );
        if !wanted.remove(&mark) {
            let problem = format!("round {} does not follow from a mark", mark.1);
            report.bad("mark", hex(&whistle), problem);
        }
    }
    for (whistle, round, ..) in wanted {
        let problem = format!("round {round} is not there");
        report.bad("mark", hex(&whistle), problem);
    }
    Ok(())
}

fn check_numbers(
    db: &Connection,
    implied: &Implied,
    report: &mut Report,
) -> Result<(), EngineError> {
    let mut numbers = implied.numbers.clone();
    let mut statement = db.prepare_cached("SELECT prefix, last FROM number_counter")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (prefix, last): (String, i64) = (row.get(0)?, row.get(1)?);
        match numbers.remove(&prefix) {
            Some(given) if given == last => {}
            Some(given) => {
                let problem = format!("it stands at {last}, the highest number given is {given}");
                report.bad("number_counter", prefix, problem);
            }
            None => report.bad("number_counter", prefix, "no number was given there"),
        }
    }
    for (prefix, given) in numbers {
        let problem = format!("it is not there, the highest number given is {given}");
        report.bad("number_counter", prefix, problem);
    }
    Ok(())
}

/// Rows for people, cut where they get long.
fn texts(db: &Connection, sql: &str) -> Result<Vec<String>, EngineError> {
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let mut text = String::new();
        for column in 0..columns {
            let value = match row.get_ref(column)? {
                ValueRef::Null => "-".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                ValueRef::Blob(bytes) => hex(bytes),
            };
            text.push_str(if column == 0 { "" } else { " " });
            text.push_str(&value);
        }
        Ok(text.chars().take(80).collect())
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
