//! The server's read model: rows of the folded state, written in the same
//! transaction as the envelope that changed it, rebuildable at any time.

use rusqlite::{OptionalExtension, params};

use shaodao_core::document::Document;
use shaodao_core::document::rows::{FindingRow, Rows, WhistleRow, project};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::record::RecordState;

use crate::db::rows;
use crate::engine::{Engine, EngineError};

impl Engine {
    /// Writes heads, rows and timer of a record.
    ///
    /// # Errors
    /// The database could not.
    pub(crate) fn project(
        &mut self,
        record: i64,
        document: &Document,
        state: &RecordState,
    ) -> Result<(), EngineError> {
        self.db
            .prepare_cached("UPDATE record SET heads = ?2 WHERE id = ?1")?
            .execute(params![record, document.heads()])?;
        match project(document.id(), state, Some(&self.directory)) {
            Rows::Finding(row) => {
                let moves = self.moves_timers(record, &row)?;
                self.write_finding(record, &row)?;
                if moves {
                    self.arm_whistles_of(document.id())?;
                }
            }
            Rows::Whistle(row) => self.write_whistle(record, &row)?,
        }
        if let RecordState::Whistle(whistle) = state {
            self.arm(record, document.id(), whistle, document.len())?;
        }
        Ok(())
    }

    /// Writes the rows of a state and nothing else: neither heads nor timers.
    pub(crate) fn write_rows(
        &self,
        record: i64,
        id: RecordId,
        state: &RecordState,
    ) -> Result<(), EngineError> {
        match project(id, state, Some(&self.directory)) {
            Rows::Finding(row) => self.write_finding(record, &row),
            Rows::Whistle(row) => self.write_whistle(record, &row),
        }
    }

    /// Projects every record again from its envelopes; returns how many.
    ///
    /// # Errors
    /// The database could not; the rows are as they were.
    pub fn rebuild(&mut self) -> Result<usize, EngineError> {
        self.db.execute_batch(
            "DELETE FROM timer; DELETE FROM target; DELETE FROM whistle_finding;
             DELETE FROM whistle; DELETE FROM finding;",
        )?;
        let records: Vec<i64> = {
            let mut statement = self
                .db
                .prepare("SELECT DISTINCT record FROM envelope WHERE standing IN (1, 2)")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for record in &records {
            let (kind, id) = rows::record_at(&self.db, *record)?;
            let document = rows::document(&self.db, kind, id)?;
            self.project(*record, &document, &document.fold())?;
        }
        // A whistle may have come before the findings that decide its timer.
        self.arm_all()?;
        Ok(records.len())
    }

    /// Whether what the ladder has to know of a finding is about to change.
    fn moves_timers(&self, record: i64, row: &FindingRow) -> Result<bool, EngineError> {
        let mut before = self
            .db
            .prepare_cached("SELECT merged_into, category FROM finding WHERE record = ?1")?;
        let before: Option<(Option<[u8; 16]>, String)> = before
            .query_row([record], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(before.is_none_or(|(into, category)| {
            into.map(RecordId) != row.merged_into || category != row.category
        }))
    }

    fn write_finding(&self, record: i64, row: &FindingRow) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT INTO finding
                     (record, own_stage, number, category, title, grid, position, severity,
                      reporter, reported_at_ms, reopened_at_ms, merged_into, conflicts, traces)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                 ON CONFLICT (record) DO UPDATE SET
                     own_stage = excluded.own_stage, number = excluded.number,
                     category = excluded.category, title = excluded.title,
                     grid = excluded.grid, position = excluded.position,
                     severity = excluded.severity, reporter = excluded.reporter,
                     reported_at_ms = excluded.reported_at_ms,
                     reopened_at_ms = excluded.reopened_at_ms,
                     merged_into = excluded.merged_into, conflicts = excluded.conflicts, traces = excluded.traces",
            )?
            .execute(params![
                record,
                row.own_stage.word(),
                row.number,
                row.category,
                row.title,
                row.grid,
                row.position,
                row.severity,
                row.reporter,
                row.reported_at_ms,
                row.reopened_at_ms,
                row.merged_into.map(|finding| finding.0),
                row.conflicts,
                row.traces,
            ])?;
        Ok(())
    }

    fn write_whistle(&self, record: i64, row: &WhistleRow) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT INTO whistle
                     (record, stage, level, platform, area, title, blower, issued_at_ms,
                      due_at_ms, paused_until_ms, open_requests, parent, traces)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT (record) DO UPDATE SET
                     stage = excluded.stage, level = excluded.level,
                     platform = excluded.platform, area = excluded.area,
                     title = excluded.title, blower = excluded.blower,
                     issued_at_ms = excluded.issued_at_ms, due_at_ms = excluded.due_at_ms,
                     paused_until_ms = excluded.paused_until_ms,
                     open_requests = excluded.open_requests, parent = excluded.parent, traces = excluded.traces",
            )?
            .execute(params![
                record,
                row.stage.word(),
                row.level.map_or(0, |level| level.code()),
                row.platform,
                row.area,
                row.title,
                row.blower,
                row.issued_at_ms,
                row.due_at_ms,
                row.paused_until_ms,
                row.open_requests,
                row.parent.map(|parent| parent.0),
                row.traces,
            ])?;
        self.db
            .prepare_cached("DELETE FROM target WHERE whistle = ?1")?
            .execute([record])?;
        let mut target = self.db.prepare_cached(
            "INSERT INTO target (whistle, party, stage, lead, mandatory)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for row in &row.targets {
            target.execute(params![
                record,
                row.party,
                row.stage.word(),
                row.lead,
                row.mandatory
            ])?;
        }
        let mut link = self.db.prepare_cached(
            "INSERT OR IGNORE INTO whistle_finding (finding, whistle) VALUES (?1, ?2)",
        )?;
        for finding in &row.findings {
            link.execute(params![finding.0, record])?;
        }
        Ok(())
    }
}
