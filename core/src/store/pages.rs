//! Lists as screens turn them: page by page, with how many there are in all, and
//! the window of a map.
//!
//! A page continues after the last row of the one before, not after so many
//! rows: what arrives in between neither repeats a row nor hides one.

use std::collections::BTreeMap;

use rusqlite::{params_from_iter, types::Value as Sql};

use super::read::{
    FINDINGS, FindingSummary, WHISTLES, WhistleSummary, at_most, finding_summary, whistle_summary,
};
use super::{Store, StoreError, unsigned};
use crate::domain::finding::FindingStage;
use crate::domain::ids::RecordId;
use crate::domain::whistle::WhistleStage;

/// The last row that somebody has seen; the next page begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bookmark {
    /// Its time in the list, Unix milliseconds.
    pub at_ms: i64,
    /// Its record.
    pub record: RecordId,
}

/// A part of the earth, WGS-84 degrees; edges belong to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Lowest latitude.
    pub south: f64,
    /// Lowest longitude.
    pub west: f64,
    /// Highest latitude.
    pub north: f64,
    /// Highest longitude.
    pub east: f64,
}

/// Which findings; everything unset matches all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FindingQuery {
    /// Visible stages; empty for all.
    pub stages: Vec<FindingStage>,
    /// Only those of which something is still expected.
    pub open: bool,
    /// Grid, or any area around it.
    pub area: Option<String>,
    /// Category code, or its beginning.
    pub category: Option<String>,
    /// Only those that this person reported.
    pub reporter: Option<String>,
    /// Only those about which people disagree.
    pub conflicts: bool,
    /// Only those at least so severe, 1 to 4; 0 for all.
    pub severity_from: i64,
    /// Only those with a position in this window.
    pub window: Option<Window>,
    /// Only what comes after this row.
    pub after: Option<Bookmark>,
    /// At most so many; 50 if 0.
    pub limit: u32,
}

/// Which whistles; everything unset matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhistleQuery {
    /// Stages; empty for all.
    pub stages: Vec<WhistleStage>,
    /// Only open ones.
    pub open: bool,
    /// Area of the blower, or any area around it.
    pub area: Option<String>,
    /// Only those that summon one of these targets, by key; empty for all.
    pub parties: Vec<String>,
    /// Only those that this person blew.
    pub blower: Option<String>,
    /// Only what comes after this row.
    pub after: Option<Bookmark>,
    /// At most so many; 50 if 0.
    pub limit: u32,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// How many match in all, on every page.
    pub total: u64,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Bookmark>,
}

/// A condition in SQL with its values.
#[derive(Default)]
struct Condition {
    sql: String,
    values: Vec<Sql>,
}

impl Condition {
    fn and(&mut self, sql: &str, values: impl IntoIterator<Item = Sql>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(sql);
        self.values.extend(values);
    }

    fn one_of(&mut self, column: &str, words: &[&str]) {
        let marks = vec!["?"; words.len()].join(", ");
        let values = words.iter().map(|word| Sql::from((*word).to_owned()));
        self.and(&format!("{column} IN ({marks})"), values);
    }

    fn begins(&mut self, column: &str, with: &str) {
        let with = || Sql::from(with.to_owned());
        self.and(
            &format!("substr({column}, 1, length(?)) = ?"),
            [with(), with()],
        );
    }

    fn after(&mut self, column: &str, bookmark: Bookmark) {
        let Bookmark { at_ms, record } = bookmark;
        let record = Sql::Blob(record.0.to_vec());
        let sql = format!("({column}, record.record) < (?, ?)");
        self.and(&sql, [Sql::from(at_ms), record]);
    }
}

impl FindingQuery {
    fn condition(&self) -> Condition {
        let mut condition = Condition::default();
        if !self.stages.is_empty() {
            let words: Vec<_> = self.stages.iter().map(|stage| stage.word()).collect();
            condition.one_of("stage", &words);
        }
        if self.open {
            let open = FindingStage::ALL.into_iter().filter(|it| !it.is_over());
            let words: Vec<_> = open.map(FindingStage::word).collect();
            condition.one_of("stage", &words);
        }
        if let Some(area) = &self.area {
            condition.begins("grid", area);
        }
        if let Some(category) = &self.category {
            condition.begins("category", category);
        }
        if let Some(reporter) = &self.reporter {
            condition.and("reporter = ?", [Sql::from(reporter.clone())]);
        }
        if self.conflicts {
            condition.and("conflicts > 0", []);
        }
        if self.severity_from > 0 {
            condition.and("severity >= ?", [Sql::from(self.severity_from)]);
        }
        if let Some(window) = self.window {
            // A cast reads the number that a text begins with.
            condition.and(
                "position <> '' AND CAST(position AS REAL) BETWEEN ? AND ?
                 AND CAST(substr(position, instr(position, ',') + 1) AS REAL) BETWEEN ? AND ?",
                [window.south, window.north, window.west, window.east].map(Sql::from),
            );
        }
        condition
    }
}

impl WhistleQuery {
    fn condition(&self) -> Condition {
        let mut condition = Condition::default();
        if !self.stages.is_empty() {
            let words: Vec<_> = self.stages.iter().map(|stage| stage.word()).collect();
            condition.one_of("whistle.stage", &words);
        }
        if self.open {
            let open = WhistleStage::ALL.into_iter().filter(|it| !it.is_over());
            let words: Vec<_> = open.map(WhistleStage::word).collect();
            condition.one_of("whistle.stage", &words);
        }
        if let Some(area) = &self.area {
            condition.begins("area", area);
        }
        if !self.parties.is_empty() {
            let marks = vec!["?"; self.parties.len()].join(", ");
            let values = self.parties.iter().map(|party| Sql::from(party.clone()));
            condition.and(
                &format!(
                    "EXISTS (SELECT 1 FROM target WHERE target.whistle = whistle.record
                     AND target.party IN ({marks}))"
                ),
                values,
            );
        }
        if let Some(blower) = &self.blower {
            condition.and("whistle.blower = ?", [Sql::from(blower.clone())]);
        }
        condition
    }
}

impl Store {
    /// A page of findings, newest report first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn finding_page(&self, query: &FindingQuery) -> Result<Page<FindingSummary>, StoreError> {
        let condition = query.condition();
        let total = self.count("finding", &condition)?;
        let rows = self.rows(
            FINDINGS,
            "reported_at_ms",
            condition,
            (query.after, query.limit),
            finding_summary,
        )?;
        Ok(page(rows, total, query.limit, |row| Bookmark {
            at_ms: row.reported_at_ms,
            record: row.record,
        }))
    }

    /// A page of whistles, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn whistle_page(&self, query: &WhistleQuery) -> Result<Page<WhistleSummary>, StoreError> {
        let condition = query.condition();
        let total = self.count("whistle", &condition)?;
        let rows = self.rows(
            WHISTLES,
            "whistle.issued_at_ms",
            condition,
            (query.after, query.limit),
            whistle_summary,
        )?;
        Ok(page(rows, total, query.limit, |row| Bookmark {
            at_ms: row.issued_at_ms,
            record: row.record,
        }))
    }

    /// How many findings stand where; of one reporter only, if one is named.
    /// Stages without any are left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn stage_counts(
        &self,
        reporter: Option<&str>,
    ) -> Result<BTreeMap<FindingStage, u64>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT stage, COUNT(*) FROM finding WHERE ?1 IS NULL OR reporter = ?1 GROUP BY stage",
        )?;
        let rows = statement.query_map([reporter], |row| {
            let stage: String = row.get(0)?;
            let stage = FindingStage::from_word(&stage).ok_or(rusqlite::Error::InvalidQuery)?;
            Ok((stage, unsigned(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn count(&self, table: &str, condition: &Condition) -> Result<u64, StoreError> {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE 1{}", condition.sql);
        let mut statement = self.db.prepare_cached(&sql)?;
        let values = params_from_iter(&condition.values);
        Ok(unsigned(statement.query_row(values, |row| row.get(0))?))
    }

    /// The rows of a page, and one more if there is one.
    fn rows<T>(
        &self,
        select: &str,
        time: &str,
        mut condition: Condition,
        (after, limit): (Option<Bookmark>, u32),
        read: fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        if let Some(bookmark) = after {
            condition.after(time, bookmark);
        }
        let Condition { sql, mut values } = condition;
        values.push(Sql::from(i64::from(at_most(limit)) + 1));
        let sql = format!("{select} WHERE 1{sql} ORDER BY {time} DESC, record.record DESC LIMIT ?");
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Takes the row too many away and says where the next page begins.
fn page<T>(mut rows: Vec<T>, total: u64, limit: u32, mark: impl Fn(&T) -> Bookmark) -> Page<T> {
    let limit = at_most(limit) as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(mark).filter(|_| more);
    Page { rows, total, next }
}
