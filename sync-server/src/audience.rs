//! Who may read a record, as its rows say: those around it, who reported or blew
//! it, whom its whistles summon.
//!
//! A whistle shares a finding with its targets only where its own area covers
//! the finding's. Anybody may write any finding's id into an order; a secretary
//! who has read it somewhere would otherwise summon people to records of another
//! community.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use shaodao_core::domain::action::Party;
use shaodao_core::domain::directory::{Directory, covers};
use shaodao_core::domain::ids::{DeviceId, PersonId, RecordId};

use crate::db::{DbError, rows};

/// What a record's rows say of its readers.
#[derive(Debug, Default)]
pub struct Audience {
    /// Their keys.
    pub keys: BTreeSet<String>,
    /// Rows of the records whose readers depend on this one.
    pub linked: Vec<i64>,
}

/// The readers that follow from what a record is now. It keeps those that it
/// had.
///
/// # Errors
/// See [`DbError`].
pub fn implied(db: &Connection, directory: &Directory, record: i64) -> Result<Audience, DbError> {
    let finding: Option<(String, String)> = db
        .prepare_cached("SELECT grid, reporter FROM finding WHERE record = ?1")?
        .query_row([record], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match finding {
        Some((grid, reporter)) => of_finding(db, directory, record, &grid, &reporter),
        None => of_whistle(db, directory, record),
    }
}

fn of_finding(
    db: &Connection,
    directory: &Directory,
    record: i64,
    grid: &str,
    reporter: &str,
) -> Result<Audience, DbError> {
    let mut audience = Audience::default();
    audience.keys.extend(directory.keys_around(grid));
    audience.keys.extend(person(reporter));
    let (_, id) = rows::record_at(db, record)?;
    for whistle in whistles_over(db, id, grid)? {
        audience.keys.extend(targets(db, whistle)?);
        audience.linked.push(whistle);
    }
    Ok(audience)
}

fn of_whistle(db: &Connection, directory: &Directory, record: i64) -> Result<Audience, DbError> {
    let mut audience = Audience::default();
    let whistle: Option<(String, String, Option<[u8; 16]>)> = db
        .prepare_cached("SELECT area, blower, parent FROM whistle WHERE record = ?1")?
        .query_row([record], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((area, blower, parent)) = whistle else {
        return Ok(audience);
    };
    audience.keys.extend(targets(db, record)?);
    audience.keys.extend(person(&blower));
    audience.keys.extend(directory.keys_around(&area));
    for (finding, grid) in carried(db, record)? {
        if covers(&area, &grid) {
            audience.keys.extend(directory.keys_around(&grid));
            audience.linked.push(finding);
        }
    }
    // The level below keeps reading.
    if let Some(parent) = parent {
        let parent = rows::record(db, RecordId(parent))?;
        let names = parent.map(|parent| names(db, parent)).transpose()?;
        audience.keys.extend(names.unwrap_or_default());
    }
    Ok(audience)
}

/// Rows of the whistles that carry a finding which lies in this area.
///
/// # Errors
/// See [`DbError`].
pub fn whistles_over(db: &Connection, finding: RecordId, area: &str) -> Result<Vec<i64>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT whistle.record, whistle.area FROM whistle_finding
         JOIN whistle ON whistle.record = whistle_finding.whistle
         WHERE whistle_finding.finding = ?1 ORDER BY whistle.record",
    )?;
    let rows = statement.query_map([finding.0], |row| {
        Ok((row.get(0)?, row.get::<_, String>(1)?))
    })?;
    let mut whistles = Vec::new();
    for row in rows {
        let (whistle, blown_in) = row?;
        if covers(&blown_in, area) {
            whistles.push(whistle);
        }
    }
    Ok(whistles)
}

/// The names of the keys that a record has been given.
///
/// # Errors
/// See [`DbError`].
pub fn names(db: &Connection, record: i64) -> Result<Vec<String>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT name FROM audience JOIN audience_key ON audience_key.id = audience.key
         WHERE audience.record = ?1",
    )?;
    let rows = statement.query_map([record], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The key of a person.
pub fn person_key(person: &PersonId) -> String {
    Party::Person(person.clone()).key()
}

/// The key of one phone.
pub fn device_key(device: DeviceId) -> String {
    format!("device:{device}")
}

/// The key of whoever stands in a row; the server reads no feed.
fn person(stored: &str) -> Option<String> {
    let person = PersonId::from(stored);
    (!stored.is_empty() && !person.is_server()).then(|| person_key(&person))
}

fn targets(db: &Connection, whistle: i64) -> Result<Vec<String>, DbError> {
    let mut statement = db.prepare_cached("SELECT party FROM target WHERE whistle = ?1")?;
    let rows = statement.query_map([whistle], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The findings of a whistle that are here: row and grid.
fn carried(db: &Connection, whistle: i64) -> Result<Vec<(i64, String)>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT finding.record, finding.grid FROM whistle_finding
         JOIN record ON record.record = whistle_finding.finding
         JOIN finding ON finding.record = record.id
         WHERE whistle_finding.whistle = ?1 ORDER BY finding.record",
    )?;
    let rows = statement.query_map(params![whistle], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
