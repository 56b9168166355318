//! Doubles: findings that may be reports of the same problem, for somebody who
//! accepts or merges them to look at. The rule is the core's
//! ([`Sighting::doubles`]), the same as the hint on a phone; the server compares
//! with everything that anybody has sent.

use rusqlite::{Connection, OptionalExtension, params};

use shaodao_core::domain::finding::{DUPLICATE_MS, FindingStage, Sighting, stage_with};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::whistle::WhistleStage;

use crate::db::DbError;

/// A finding that may be a double of another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Double {
    /// Which finding.
    pub record: RecordId,
    /// Where it stands, whistles included.
    pub stage: FindingStage,
    /// One line.
    pub title: String,
    /// How far away, metres.
    pub distance_m: f64,
}

/// The open findings that a finding may double, nearest first; empty if it is
/// not here, is over, or has no position.
///
/// # Errors
/// See [`DbError`].
pub fn doubles(db: &Connection, finding: RecordId) -> Result<Vec<Double>, DbError> {
    let own: Option<(i64, Row)> = db
        .prepare_cached(&format!("{ROWS} WHERE record.record = ?1"))?
        .query_row([finding.0], |row| Ok((row.get(0)?, read(row)?)))
        .optional()?;
    let Some((own_row, own)) = own else {
        return Ok(Vec::new());
    };
    let is_over = visible_stage(db, &own)?.is_over();
    let Some(sighting) = own.sighting().filter(|_| !is_over) else {
        return Ok(Vec::new());
    };
    let mut statement = db.prepare_cached(&format!(
        "{ROWS} WHERE category = ?1 AND reported_at_ms BETWEEN ?2 AND ?3 AND record.id <> ?4"
    ))?;
    let at_ms = sighting.reported_at_ms;
    let window = params![
        own.category,
        at_ms.saturating_sub(DUPLICATE_MS),
        at_ms.saturating_add(DUPLICATE_MS),
        own_row
    ];
    let mut found = Vec::new();
    for other in statement.query_map(window, read)? {
        let other = other?;
        let distance_m = other.sighting().and_then(|other| sighting.doubles(&other));
        let Some(distance_m) = distance_m else {
            continue;
        };
        let stage = visible_stage(db, &other)?;
        if !stage.is_over() {
            found.push(Double {
                record: other.record,
                stage,
                title: other.title,
                distance_m,
            });
        }
    }
    found.sort_by(|one, other| one.distance_m.total_cmp(&other.distance_m));
    Ok(found)
}

const ROWS: &str = "SELECT record.id, record.record, own_stage, reopened_at_ms, category, position,
     reported_at_ms, title
     FROM finding JOIN record ON record.id = finding.record";

struct Row {
    record: RecordId,
    own_stage: FindingStage,
    reopened_at_ms: i64,
    category: String,
    position: String,
    reported_at_ms: i64,
    title: String,
}

impl Row {
    fn sighting(&self) -> Option<Sighting> {
        Sighting::read(&self.category, &self.position, self.reported_at_ms)
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let word: String = row.get(2)?;
    Ok(Row {
        record: row.get(1).map(RecordId)?,
        own_stage: FindingStage::from_word(&word).ok_or(rusqlite::Error::InvalidQuery)?,
        reopened_at_ms: row.get(3)?,
        category: row.get(4)?,
        position: row.get(5)?,
        reported_at_ms: row.get(6)?,
        title: row.get(7)?,
    })
}

fn visible_stage(db: &Connection, finding: &Row) -> Result<FindingStage, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT whistle.stage, whistle.issued_at_ms FROM whistle_finding
         JOIN whistle ON whistle.record = whistle_finding.whistle
         WHERE whistle_finding.finding = ?1",
    )?;
    let rows = statement.query_map([finding.record.0], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?))
    })?;
    let mut whistles = Vec::new();
    for row in rows {
        let (word, issued_at_ms): (String, i64) = row?;
        whistles.extend(WhistleStage::from_word(&word).map(|stage| (stage, issued_at_ms)));
    }
    Ok(stage_with(
        finding.own_stage,
        finding.reopened_at_ms,
        &whistles,
    ))
}
