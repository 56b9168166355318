//! What screens read: lists, counts and the account of what was sent. Rows only,
//! no documents.

use rusqlite::{OptionalExtension, Row, params_from_iter, types::Value as Sql};

use super::write::{id, standing};
use super::{Store, StoreError, authentic, get_meta, unsigned};
use crate::domain::finding::{DUPLICATE_MS, FindingStage, Sighting};
use crate::domain::ids::{BootId, EnvelopeHash, HeadMark, RecordId};
use crate::domain::reason::Reason;
use crate::domain::time::LastContact;
use crate::domain::whistle::WhistleStage;
use crate::planted::{Bug, active};
use crate::sync::plan::Queued;
use crate::sync::wire::Standing;

/// Which findings; everything unset matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FindingFilter {
    /// Visible stage.
    pub stage: Option<FindingStage>,
    /// Grid, or any area around it.
    pub area: Option<String>,
    /// Category code, or its beginning.
    pub category: Option<String>,
    /// Only those that this person reported.
    pub reporter: Option<String>,
    /// Only those about which people disagree.
    pub conflicts: bool,
    /// Only those reported before this clock reading, milliseconds: paging.
    pub before_ms: Option<i64>,
    /// At most so many; 50 if 0.
    pub limit: u32,
}

/// Which whistles; everything unset matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WhistleFilter {
    /// Where it stands.
    pub stage: Option<WhistleStage>,
    /// Key of a target.
    pub party: Option<String>,
    /// Only those that this person blew.
    pub blower: Option<String>,
    /// Only open ones.
    pub open: bool,
    /// At most so many; 50 if 0.
    pub limit: u32,
}

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingSummary {
    /// Which finding.
    pub record: RecordId,
    /// Where it stands, whistles included.
    pub stage: FindingStage,
    /// Number; empty while 待编号.
    pub number: String,
    /// Category code.
    pub category: String,
    /// One line.
    pub title: String,
    /// Grid or area code.
    pub grid: String,
    /// 1 to 4.
    pub severity: i64,
    /// Person id.
    pub reporter: String,
    /// Clock reading of the report, milliseconds.
    pub reported_at_ms: i64,
    /// Facts about which people disagree.
    pub conflicts: u32,
    /// Position in text form; empty if unknown.
    pub position: String,
    /// The finding that it was merged into and follows.
    pub merged_into: Option<RecordId>,
}

/// A whistle in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhistleSummary {
    /// Which whistle.
    pub record: RecordId,
    /// Where it stands.
    pub stage: WhistleStage,
    /// 1 community, 2 street.
    pub level: u8,
    /// 1 to 5.
    pub platform: u8,
    /// Area code of the blower.
    pub area: String,
    /// One line.
    pub title: String,
    /// Clock reading of the issue, milliseconds.
    pub issued_at_ms: i64,
    /// Due time in force, milliseconds.
    pub due_at_ms: i64,
    /// End of the newest pause of the clock, milliseconds; 0 if there was none.
    pub paused_until_ms: i64,
    /// Requests on which nobody has ruled.
    pub open_requests: u32,
    /// The whistle that was escalated into this one.
    pub parent: Option<RecordId>,
}

/// One's own action that was not plainly accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which action.
    pub hash: EnvelopeHash,
    /// On which record.
    pub record: RecordId,
    /// What became of it.
    pub standing: Standing,
    /// Why.
    pub reason: Option<Reason>,
    /// The action as it was sealed; nothing of it is lost.
    pub envelope: Vec<u8>,
    /// The action that its author did instead.
    pub redone: Option<EnvelopeHash>,
}

/// How many of what is on this phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Findings.
    pub findings: u64,
    /// Whistles.
    pub whistles: u64,
    /// Envelopes of any standing.
    pub envelopes: u64,
    /// Envelopes that no verdict has named yet.
    pub outbox: u64,
    /// Own actions that were not plainly accepted and not redone.
    pub troubles: u64,
    /// Findings about whose facts people disagree.
    pub conflicts: u64,
}

impl Store {
    /// Findings, newest report first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn findings(&self, filter: &FindingFilter) -> Result<Vec<FindingSummary>, StoreError> {
        let mut sql = format!("{FINDINGS} WHERE 1");
        let mut values = Vec::new();
        if let Some(stage) = filter.stage {
            sql.push_str(" AND stage = ?");
            values.push(Sql::from(stage.word().to_owned()));
        }
        if let Some(area) = &filter.area {
            sql.push_str(" AND substr(grid, 1, length(?)) = ?");
            values.extend([Sql::from(area.clone()), Sql::from(area.clone())]);
        }
        if let Some(category) = &filter.category {
            sql.push_str(" AND substr(category, 1, length(?)) = ?");
            values.extend([Sql::from(category.clone()), Sql::from(category.clone())]);
        }
        if let Some(reporter) = &filter.reporter {
            sql.push_str(" AND reporter = ?");
            values.push(Sql::from(reporter.clone()));
        }
        if filter.conflicts {
            sql.push_str(" AND conflicts > 0");
        }
        if let Some(before) = filter.before_ms {
            sql.push_str(" AND reported_at_ms < ?");
            values.push(Sql::from(before));
        }
        sql.push_str(" ORDER BY reported_at_ms DESC LIMIT ?");
        values.push(Sql::from(i64::from(at_most(filter.limit))));
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), finding_summary)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One finding's row; `None` if it is not here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn finding(&self, record: RecordId) -> Result<Option<FindingSummary>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached(&format!("{FINDINGS} WHERE record.record = ?1"))?;
        Ok(statement
            .query_row([record.0], finding_summary)
            .optional()?)
    }

    /// Open findings that may be the same problem as the one sighted
    /// ([`Sighting::doubles`]), nearest first; the hint before a report, and it
    /// works offline.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn similar(&self, sighting: &Sighting) -> Result<Vec<FindingSummary>, StoreError> {
        let mut statement = self.db.prepare_cached(&format!(
            "{FINDINGS} WHERE category = ?1 AND reported_at_ms BETWEEN ?2 AND ?3"
        ))?;
        let at_ms = sighting.reported_at_ms;
        let rows = statement.query_map(
            (
                sighting.category.to_string(),
                at_ms.saturating_sub(DUPLICATE_MS),
                at_ms.saturating_add(DUPLICATE_MS),
            ),
            finding_summary,
        )?;
        let mut near = Vec::new();
        for finding in rows {
            let finding = finding?;
            let at_ms = finding.reported_at_ms;
            let other = Sighting::read(&finding.category, &finding.position, at_ms);
            let distance_m = other.and_then(|other| sighting.doubles(&other));
            if let (false, Some(distance_m)) = (finding.stage.is_over(), distance_m) {
                near.push((distance_m, finding));
            }
        }
        near.sort_by(|one, other| one.0.total_cmp(&other.0));
        Ok(near.into_iter().map(|(_, finding)| finding).collect())
    }

    /// Whistles, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn whistles(&self, filter: &WhistleFilter) -> Result<Vec<WhistleSummary>, StoreError> {
        let mut sql = format!("{WHISTLES} WHERE 1");
        let mut values = Vec::new();
        if let Some(stage) = filter.stage {
            sql.push_str(" AND whistle.stage = ?");
            values.push(Sql::from(stage.word().to_owned()));
        }
        if let Some(party) = &filter.party {
            sql.push_str(
                " AND EXISTS (SELECT 1 FROM target
                   WHERE target.whistle = whistle.record AND target.party = ?)",
            );
            values.push(Sql::from(party.clone()));
        }
        if let Some(blower) = &filter.blower {
            sql.push_str(" AND whistle.blower = ?");
            values.push(Sql::from(blower.clone()));
        }
        if filter.open {
            let over = WhistleStage::ALL
                .into_iter()
                .filter(|stage| stage.is_over());
            for stage in over {
                sql.push_str(" AND whistle.stage <> ?");
                values.push(Sql::from(stage.word().to_owned()));
            }
        }
        sql.push_str(" ORDER BY whistle.issued_at_ms DESC LIMIT ?");
        values.push(Sql::from(i64::from(at_most(filter.limit))));
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), whistle_summary)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One whistle's row; `None` if it is not here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn whistle(&self, record: RecordId) -> Result<Option<WhistleSummary>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached(&format!("{WHISTLES} WHERE record.record = ?1"))?;
        Ok(statement
            .query_row([record.0], whistle_summary)
            .optional()?)
    }

    /// Other open whistles for the same findings, oldest first. A whistle and
    /// the one that it was escalated into are not rivals.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn rivals(&self, whistle: RecordId) -> Result<Vec<WhistleSummary>, StoreError> {
        let mut statement = self.db.prepare_cached(&format!(
            "{WHISTLES} WHERE whistle.record IN (
                 SELECT other.whistle FROM whistle_finding AS mine
                 JOIN whistle_finding AS other ON other.finding = mine.finding
                 JOIN record ON record.id = mine.whistle WHERE record.record = ?1
             ) AND record.record <> ?1 ORDER BY whistle.issued_at_ms, record.record"
        ))?;
        let own_parent = self.whistle(whistle)?.and_then(|row| row.parent);
        let rows = statement.query_map([whistle.0], whistle_summary)?;
        let mut rivals = rows.collect::<Result<Vec<_>, _>>()?;
        rivals.retain(|other| {
            let related = other.parent == Some(whistle) || own_parent == Some(other.record);
            !other.stage.is_over() && !related
        });
        Ok(rivals)
    }

    /// Whether this person reported or blew the record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn begun_by(&self, record: RecordId, person: &str) -> Result<bool, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM record
                 LEFT JOIN finding ON finding.record = record.id
                 LEFT JOIN whistle ON whistle.record = record.id
                 WHERE record.record = ?1 AND (reporter = ?2 OR whistle.blower = ?2))",
        )?;
        Ok(statement.query_row((record.0, person), |row| row.get(0))?)
    }

    /// The whistles that carry a finding, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn whistles_of(&self, finding: RecordId) -> Result<Vec<RecordId>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT record.record FROM whistle_finding
             JOIN record ON record.id = whistle_finding.whistle
             WHERE whistle_finding.finding = ?1 ORDER BY record.id",
        )?;
        let rows = statement.query_map([finding.0], |row| id(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whistles issued from one clock reading until before another, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn whistles_issued(&self, from_ms: i64, to_ms: i64) -> Result<Vec<RecordId>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT record.record FROM whistle JOIN record ON record.id = whistle.record
             WHERE whistle.issued_at_ms >= ?1 AND whistle.issued_at_ms < ?2
             ORDER BY whistle.issued_at_ms, record.id",
        )?;
        let rows = statement.query_map([from_ms, to_ms], |row| id(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many findings reported from one clock reading until before another,
    /// in an area whose code begins so, are closed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn closed_findings(&self, from_ms: i64, to_ms: i64, area: &str) -> Result<u64, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COUNT(*) FROM finding WHERE stage = ?1 AND reported_at_ms >= ?2
                 AND reported_at_ms < ?3 AND substr(grid, 1, length(?4)) = ?4",
        )?;
        let closed = FindingStage::Closed.word();
        let count: i64 = statement
            .query_row(rusqlite::params![closed, from_ms, to_ms, area], |row| {
                row.get(0)
            })?;
        Ok(unsigned(Some(count)))
    }

    /// What one's own actions ran into, newest first, at most 500.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn troubles(&self) -> Result<Vec<Trouble>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT envelope.hash, record.record, envelope.standing, envelope.reason,
                    envelope.bytes, redone.by_hash
             FROM envelope JOIN record ON record.id = envelope.record
             LEFT JOIN redone ON redone.envelope = envelope.id
             WHERE envelope.own > 0 AND envelope.standing > 1
             ORDER BY envelope.id DESC LIMIT 500",
        )?;
        let rows = statement.query_map([], |row| {
            let reason: Option<String> = row.get(3)?;
            Ok(Trouble {
                hash: super::write::hash(row, 0)?,
                record: id(row, 1)?,
                standing: standing(row, 2)?,
                reason: reason.as_deref().and_then(Reason::from_code),
                envelope: row.get(4)?,
                redone: row.get::<_, Option<[u8; 32]>>(5)?.map(EnvelopeHash),
            })
        })?;
        let troubles = rows.collect::<Result<_, _>>()?;
        authentic(&self.db)?;
        Ok(troubles)
    }

    /// The outbox, oldest first, up to so many bytes (and always one).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn outbox(&self, max_bytes: usize) -> Result<Vec<Queued>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT envelope.hash, envelope.bytes, received_at_ms, tag FROM outbox
             JOIN envelope ON envelope.id = outbox.envelope ORDER BY outbox.envelope",
        )?;
        let mut rows = statement.query([])?;
        let mut outbox: Vec<Queued> = Vec::new();
        let mut total = 0;
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get(1)?;
            total += bytes.len();
            if total > max_bytes && !outbox.is_empty() {
                break;
            }
            let received_at_ms: Option<i64> = row.get(2)?;
            outbox.push(Queued {
                hash: super::write::hash(row, 0)?,
                bytes,
                receipt: received_at_ms.zip(row.get(3)?),
            });
        }
        authentic(&self.db)?;
        if active(Bug::SentMeansGone) {
            self.db.execute("DELETE FROM outbox", [])?;
        }
        Ok(outbox)
    }

    /// Heads of every record, by record id: what two replicas compare.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn heads(&self) -> Result<Vec<(RecordId, Vec<u8>)>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT record, heads FROM record ORDER BY record")?;
        let rows = statement.query_map([], |row| Ok((id(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Standing and reason of every envelope of a record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn account(
        &self,
        record: RecordId,
    ) -> Result<Vec<(EnvelopeHash, Standing, Option<Reason>)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT envelope.hash, envelope.standing, envelope.reason
             FROM envelope JOIN record ON record.id = envelope.record
             WHERE record.record = ?1 ORDER BY envelope.id",
        )?;
        let rows = statement.query_map([record.0], |row| {
            let reason: Option<String> = row.get(2)?;
            let reason = reason.as_deref().and_then(Reason::from_code);
            Ok((super::write::hash(row, 0)?, standing(row, 1)?, reason))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many of what is here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT (SELECT COUNT(*) FROM finding), (SELECT COUNT(*) FROM whistle),
                    (SELECT COUNT(*) FROM envelope), (SELECT COUNT(*) FROM outbox),
                    (SELECT COUNT(*) FROM envelope WHERE own > 0 AND standing > 1
                         AND NOT EXISTS (SELECT 1 FROM redone WHERE envelope = envelope.id)),
                    (SELECT COUNT(*) FROM finding WHERE conflicts > 0)",
        )?;
        Ok(statement.query_row([], |row| {
            let count = |at| row.get::<_, i64>(at).map(|count| unsigned(Some(count)));
            Ok(Counts {
                findings: count(0)?,
                whistles: count(1)?,
                envelopes: count(2)?,
                outbox: count(3)?,
                troubles: count(4)?,
                conflicts: count(5)?,
            })
        })?)
    }

    /// The newest contact with the server, if there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn contact(&self) -> Result<Option<LastContact>, StoreError> {
        let boot: Option<[u8; 8]> = get_meta(&self.db, "contact_boot")?;
        let server_ms: Option<i64> = get_meta(&self.db, "contact_server_ms")?;
        let (Some(boot), Some(server_ms)) = (boot, server_ms) else {
            return Ok(None);
        };
        Ok(Some(LastContact {
            position: unsigned(get_meta(&self.db, "contact_position")?),
            head: get_meta::<Vec<u8>>(&self.db, "contact_head")?
                .and_then(|mark| HeadMark::from_slice(&mark)),
            server_ms,
            boot: BootId(boot),
            mono_ms: unsigned(get_meta(&self.db, "contact_mono_ms")?),
        }))
    }
}

pub(super) const FINDINGS: &str =
    "SELECT record.record, stage, number, category, title, grid, severity,
     reporter, reported_at_ms, conflicts, position, merged_into
     FROM finding JOIN record ON record.id = finding.record";

pub(super) const WHISTLES: &str =
    "SELECT record.record, whistle.stage, level, platform, area, title,
     issued_at_ms, due_at_ms, parent, paused_until_ms, open_requests
     FROM whistle JOIN record ON record.id = whistle.record";

pub(super) fn at_most(limit: u32) -> u32 {
    match limit {
        0 => 50,
        limit => limit.min(10_000),
    }
}

pub(super) fn finding_summary(row: &Row<'_>) -> rusqlite::Result<FindingSummary> {
    let stage: String = row.get(1)?;
    let merged_into: Option<[u8; 16]> = row.get(11)?;
    Ok(FindingSummary {
        record: id(row, 0)?,
        stage: FindingStage::from_word(&stage).ok_or(rusqlite::Error::InvalidQuery)?,
        number: row.get(2)?,
        category: row.get(3)?,
        title: row.get(4)?,
        grid: row.get(5)?,
        severity: row.get(6)?,
        reporter: row.get(7)?,
        reported_at_ms: row.get(8)?,
        conflicts: row.get(9)?,
        position: row.get(10)?,
        merged_into: merged_into.map(RecordId),
    })
}

pub(super) fn whistle_summary(row: &Row<'_>) -> rusqlite::Result<WhistleSummary> {
    let stage: String = row.get(1)?;
    let parent: Option<[u8; 16]> = row.get(8)?;
    Ok(WhistleSummary {
        record: id(row, 0)?,
        stage: WhistleStage::from_word(&stage).ok_or(rusqlite::Error::InvalidQuery)?,
        level: row.get(2)?,
        platform: row.get(3)?,
        area: row.get(4)?,
        title: row.get(5)?,
        issued_at_ms: row.get(6)?,
        due_at_ms: row.get(7)?,
        paused_until_ms: row.get(9)?,
        open_requests: row.get(10)?,
        parent: parent.map(RecordId),
    })
}
