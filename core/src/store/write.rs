//! Saving: the one transaction behind "saved", and the projection that it and
//! [`super::apply`] share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::derived::{Derived, Written};
use super::evidence::OwnPiece;
use super::salvage::settle;
use super::search::grams;
use super::{
    Flush, ROWS_DIRECTORY, Store, StoreError, authentic, commit_twice, evidence, get_meta,
    next_head, private, put_meta, put_progress,
};
use crate::document::rows::{FindingRow, Rows, WhistleRow, project, search_text};
use crate::document::{Document, Member};
use crate::domain::action::RecordKind;
use crate::domain::directory::Directory;
use crate::domain::finding::{FindingStage, stage_with};
use crate::domain::ids::{EnvelopeHash, RecordId};
use crate::domain::record::RecordState;
use crate::domain::whistle::WhistleStage;
use crate::envelope::{self, Sealed};
use crate::planted::{Bug, active};
use crate::seal::SealedText;
use crate::sync::settle::{Cited, effective_seen};
use crate::sync::wire::Standing;

/// What is saved along with an action, in the same transaction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Along<'a> {
    /// The personal data that it confides.
    pub confided: Option<&'a SealedText>,
    /// The evidence that it attaches; its files are on the disk.
    pub attached: &'a [OwnPiece],
    /// An action that was not accepted, which it redoes.
    pub instead_of: Option<EnvelopeHash>,
    /// An action of a former device, which it redoes.
    pub salvaged: Option<EnvelopeHash>,
}

impl Along<'_> {
    fn is_nothing(&self) -> bool {
        self.confided.is_none()
            && self.attached.is_empty()
            && self.instead_of.is_none()
            && self.salvaged.is_none()
    }
}

impl Store {
    /// Saves a new action of this phone: envelope, chain, record, read model
    /// and outbox row, and what comes `along` with it. When this returns they
    /// are on the disk. `derived` is the record with the action in it.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was saved.
    pub fn commit(
        &mut self,
        sealed: &Sealed,
        derived: Derived,
        along: Along<'_>,
    ) -> Result<(), StoreError> {
        self.trust_journal()?;
        // The journal is flushed in any case and brings back the action; what
        // comes along with it, and a new generation, are nowhere else.
        let flush = match self.begun && along.is_nothing() {
            true => Flush::Later,
            false => Flush::Now,
        };
        self.flushing(flush, |store| store.commit_flushed(sealed, &derived, along))?;
        self.lately.keep(derived);
        Ok(())
    }

    fn commit_flushed(
        &mut self,
        sealed: &Sealed,
        Derived {
            document, state, ..
        }: &Derived,
        along: Along<'_>,
    ) -> Result<(), StoreError> {
        let directory = self.directory.as_deref();
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(confided) = along.confided {
            private::keep(&transaction, document.id(), confided, true)?;
        }
        for piece in along.attached {
            evidence::keep(&transaction, document.id(), piece)?;
        }
        let record = record_row(&transaction, document.kind(), document.id())?;
        let envelope = insert_envelope(&transaction, record, sealed, Standing::Pending, OWN)?;
        if !(active(Bug::SaveWithoutQueue) && sealed.envelope.dev_seq.is_multiple_of(5)) {
            transaction
                .prepare_cached("INSERT INTO outbox (envelope) VALUES (?1)")?
                .execute([envelope])?;
        }
        if let Some(old) = along.instead_of {
            transaction
                .prepare_cached(
                    "INSERT INTO redone (envelope, by_hash)
                     SELECT id, ?2 FROM envelope WHERE hash = ?1",
                )?
                .execute([old.0, sealed.hash.0])?;
        }
        put_meta(
            &transaction,
            "chain_length",
            &sealed.envelope.dev_seq.cast_signed(),
        )?;
        put_meta(&transaction, "chain_newest", &sealed.hash.0)?;
        let destroyed = write_record(&transaction, record, document, state, directory)?;
        write_search(&transaction, record, &grams(&search_text(state)))?;
        if let Some(salvaged) = &along.salvaged {
            settle(&transaction, salvaged)?;
        }
        let head = match self.begun {
            true => None,
            false => Some(next_head(&transaction)?),
        };
        if active(Bug::AcknowledgeBeforeDisk) && sealed.envelope.dev_seq.is_multiple_of(5) {
            return Ok(());
        }
        let pieces = along.attached.iter().cloned();
        let pieces: Vec<_> = pieces.map(|piece| (document.id(), piece)).collect();
        let journaled = Some(sealed).filter(|_| !active(Bug::NoJournal));
        let journal = &mut self.journal;
        commit_twice(transaction, journal, head.as_ref(), journaled, &pieces)?;
        if let Some(head) = head {
            self.advance(&head);
        }
        if destroyed {
            self.empty_log()?;
        }
        if destroyed || along.salvaged.is_some() {
            // What is settled may stay in the journal until the next opening.
            let _ = self.rewrite_journal();
        }
        Ok(())
    }

    /// Projects every record again from its envelopes.
    ///
    /// # Errors
    /// See [`StoreError`]; the rows are as they were.
    pub fn rebuild(&mut self) -> Result<(), StoreError> {
        let directory = self.directory.as_deref();
        let transaction = self.db.transaction()?;
        transaction.execute_batch(
            "DELETE FROM target; DELETE FROM whistle_finding; DELETE FROM whistle;
             DELETE FROM finding; DELETE FROM search;",
        )?;
        let records: Vec<(i64, RecordKind, RecordId)> = {
            let mut statement = transaction.prepare("SELECT id, kind, record FROM record")?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, kind(row, 1)?, id(row, 2)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        for (record, kind, id) in records {
            let (document, _) = Document::rebuild(kind, id, members(&transaction, record)?)?;
            let state = document.fold();
            write_record(&transaction, record, &document, &state, directory)?;
            write_search(&transaction, record, &grams(&search_text(&state)))?;
        }
        let mut progress = super::Progress {
            epoch: get_meta(&transaction, "epoch")?.unwrap_or_default(),
            cursor: super::unsigned(get_meta(&transaction, "cursor")?),
            audience: get_meta(&transaction, "audience")?.unwrap_or_default(),
            private_cursor: super::unsigned(get_meta(&transaction, "private_cursor")?),
            evidence_cursor: super::unsigned(get_meta(&transaction, "evidence_cursor")?),
            ..super::Progress::default()
        };
        {
            let mut shared =
                transaction.prepare("SELECT hash FROM envelope WHERE standing IN (1, 2)")?;
            let mut rows = shared.query([])?;
            while let Some(row) = rows.next()? {
                progress.add(&hash(row, 0)?);
            }
        }
        put_progress(&transaction, &progress)?;
        if let Some(directory) = directory {
            put_meta(
                &transaction,
                ROWS_DIRECTORY,
                &directory.version.cast_signed(),
            )?;
        }
        authentic(&transaction)?;
        Ok(transaction.commit()?)
    }

    /// The members of a record as this phone sees it: the shared history and
    /// its own pending actions on top. Empty if the record is not here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn members(&self, record: RecordId) -> Result<Vec<Member>, StoreError> {
        let members = match find_record(&self.db, record)? {
            Some((row, _)) => members(&self.db, row),
            None => Ok(Vec::new()),
        };
        authentic(&self.db)?;
        members
    }

    /// A record, derived from its [`Store::members`]; `None` if it is not here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn derived(&self, record: RecordId) -> Result<Option<Arc<Derived>>, StoreError> {
        let written = Written::now(&self.db)?;
        if let Some(derived) = self.lately.as_of(written, record) {
            return Ok(Some(derived));
        }
        let Some((row, kind)) = find_record(&self.db, record)? else {
            authentic(&self.db)?;
            return Ok(None);
        };
        let members = members(&self.db, row);
        authentic(&self.db)?;
        let derived = self.lately.of(kind, record, members?, Some(written))?;
        Ok(Some(derived))
    }

    /// The kind of a record; `None` if it is not here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn kind_of(&self, record: RecordId) -> Result<Option<RecordKind>, StoreError> {
        Ok(find_record(&self.db, record)?.map(|(_, kind)| kind))
    }
}

pub(super) fn find_record(
    db: &Connection,
    record: RecordId,
) -> Result<Option<(i64, RecordKind)>, StoreError> {
    let mut statement = db.prepare_cached("SELECT id, kind FROM record WHERE record = ?1")?;
    let found = statement.query_row([record.0], |row| Ok((row.get(0)?, kind(row, 1)?)));
    Ok(found.optional()?)
}

/// The row of a record, made if need be.
pub(super) fn record_row(
    db: &Connection,
    kind: RecordKind,
    record: RecordId,
) -> Result<i64, StoreError> {
    if let Some((row, _)) = find_record(db, record)? {
        return Ok(row);
    }
    db.prepare_cached("INSERT INTO record (record, kind, heads) VALUES (?1, ?2, X'')")?
        .execute(params![record.0, kind.code()])?;
    Ok(db.last_insert_rowid())
}

/// Values of `envelope.own`.
pub(super) const SOMEBODY_ELSES: u8 = 0;
/// Signed on this phone.
pub(super) const OWN: u8 = 1;
/// Signed by the phone's owner on another phone.
pub(super) const OWNERS_OTHER_PHONE: u8 = 2;

pub(super) fn insert_envelope(
    db: &Connection,
    record: i64,
    sealed: &Sealed,
    standing: Standing,
    own: u8,
) -> Result<i64, StoreError> {
    db.prepare_cached(
        "INSERT INTO envelope (hash, record, standing, own, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        sealed.hash.0,
        record,
        standing.code(),
        own,
        sealed.bytes
    ])?;
    Ok(db.last_insert_rowid())
}

/// Row and standing of an envelope; `None` if it is not here.
pub(super) fn find_envelope(
    db: &Connection,
    hash: &EnvelopeHash,
) -> Result<Option<(i64, Standing)>, StoreError> {
    let mut find = db.prepare_cached("SELECT id, standing FROM envelope WHERE hash = ?1")?;
    let found = find.query_row([hash.0], |row| Ok((row.get(0)?, standing(row, 1)?)));
    Ok(found.optional()?)
}

/// What nobody but this phone has for certain: own envelopes that the server
/// has not accepted, oldest first, and those of a former device.
pub(super) fn unaccepted(db: &Connection) -> Result<Vec<(EnvelopeHash, Vec<u8>)>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT id, hash, bytes FROM envelope JOIN outbox ON outbox.envelope = envelope.id
         WHERE own = 1 AND standing = 0
         UNION ALL SELECT id, hash, bytes FROM envelope
         WHERE own = 1 AND standing > 1 AND standing <> 2
         ORDER BY 1",
    )?;
    let mut envelopes = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        envelopes.push((hash(row, 1)?, row.get(2)?));
    }
    let mut statement = db.prepare_cached(
        "SELECT hash, bytes FROM salvaged WHERE bytes IS NOT NULL AND settled = 0 ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        envelopes.push((hash(row, 0)?, row.get(1)?));
    }
    Ok(envelopes)
}

/// Saves own envelopes that were sealed before, as pending, and queues them.
pub(super) fn queue(db: &Connection, sealed: &[Sealed]) -> Result<(), StoreError> {
    let mut touched = BTreeMap::new();
    for sealed in sealed {
        let action = &sealed.envelope.action;
        let record = record_row(db, action.kind, action.record)?;
        let envelope = insert_envelope(db, record, sealed, Standing::Pending, OWN)?;
        db.prepare_cached("INSERT INTO outbox (envelope) VALUES (?1)")?
            .execute([envelope])?;
        touched.insert(record, (action.kind, action.record));
    }
    for (record, (kind, id)) in touched {
        let (document, _) = Document::rebuild(kind, id, members(db, record)?)?;
        let state = document.fold();
        write_record(db, record, &document, &state, None)?;
        write_search(db, record, &grams(&search_text(&state)))?;
    }
    Ok(())
}

/// The members of a record row; see [`Store::members`].
pub(super) fn members(db: &Connection, record: i64) -> Result<Vec<Member>, StoreError> {
    struct Held {
        standing: Standing,
        sealed: Sealed,
        seen: Option<Vec<EnvelopeHash>>,
        received_at_ms: Option<i64>,
    }
    let mut statement = db.prepare_cached(
        "SELECT standing, bytes, seen, received_at_ms FROM envelope WHERE record = ?1 ORDER BY id",
    )?;
    let mut rows = statement.query([record])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        held.push(Held {
            standing: standing(row, 0)?,
            sealed: envelope::open(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?,
            seen: row
                .get_ref(2)?
                .as_blob_or_null()
                .map_err(rusqlite::Error::from)?
                .map(split_hashes),
            received_at_ms: row.get(3)?,
        });
    }
    let in_history = |held: &Held| held.standing.is_shared() || held.standing == Standing::Pending;
    let all_accepted = held.iter().all(|held| held.standing.is_shared());
    let cited = |hash: &EnvelopeHash| match held.iter().find(|held| held.sealed.hash == *hash) {
        Some(found) if in_history(found) => Cited::InHistory,
        Some(found) => Cited::SetAside(found.sealed.envelope.seen.clone()),
        None => Cited::Unknown,
    };
    let mut members = Vec::with_capacity(held.len());
    for held in held.iter().filter(|held| in_history(held)) {
        let claimed = &held.sealed.envelope.seen;
        let seen = match (&held.seen, held.standing) {
            (Some(seen), _) => seen.clone(),
            // Only what is pending can cite what was set aside here.
            (None, Standing::Pending) if !all_accepted => {
                effective_seen(claimed, cited).unwrap_or_else(|_| claimed.clone())
            }
            (None, _) => claimed.clone(),
        };
        members.push(Member {
            sealed: held.sealed.clone(),
            seen,
            received_at_ms: held.received_at_ms,
        });
    }
    Ok(members)
}

/// Writes heads and rows of one record, and destroys what it says is erased;
/// whether anything was. Its search text is written apart.
pub(super) fn write_record(
    db: &Connection,
    record: i64,
    document: &Document,
    state: &RecordState,
    directory: Option<&Directory>,
) -> Result<bool, StoreError> {
    db.prepare_cached("UPDATE record SET heads = ?2 WHERE id = ?1")?
        .execute(params![record, document.heads()])?;
    match project(document.id(), state, directory) {
        Rows::Finding(row) => write_finding(db, record, &row)?,
        Rows::Whistle(row) => write_whistle(db, record, &row)?,
    }
    let evidence = evidence::destroy_erased(db, state)?;
    Ok(private::destroy_erased(db, state)? || evidence)
}

/// Writes the search text of one record. Where many are written, all of them
/// come after the rows: the index flushes what it has gathered whenever another
/// statement begins that may have to be undone.
pub(super) fn write_search(db: &Connection, record: i64, grams: &str) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO search (rowid, grams) VALUES (?1, ?2)")?
        .execute(params![record, grams])?;
    Ok(())
}

fn write_finding(db: &Connection, record: i64, row: &FindingRow) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO finding
             (record, own_stage, stage, number, category, title, grid, position, severity,
              reporter, reported_at_ms, reopened_at_ms, touched_at_ms, merged_into, conflicts,
              traces)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (record) DO UPDATE SET
             own_stage = excluded.own_stage, stage = excluded.stage, number =
             excluded.number, category = excluded.category, title = excluded.title, grid =
             excluded.grid, position = excluded.position, severity = excluded.severity,
             reporter = excluded.reporter, reported_at_ms = excluded.reported_at_ms,
             reopened_at_ms = excluded.reopened_at_ms, touched_at_ms =
             excluded.touched_at_ms, merged_into = excluded.merged_into, conflicts =
             excluded.conflicts, traces = excluded.traces",
    )?
    .execute(params![
        record,
        row.own_stage.word(),
        stage_with(
            row.own_stage,
            row.reopened_at_ms,
            &whistles_of(db, row.record)?
        )
        .word(),
        row.number,
        row.category,
        row.title,
        row.grid,
        row.position,
        row.severity,
        row.reporter,
        row.reported_at_ms,
        row.reopened_at_ms,
        row.touched_at_ms,
        row.merged_into.map(|finding| finding.0),
        row.conflicts,
        row.traces,
    ])?;
    Ok(())
}

fn write_whistle(db: &Connection, record: i64, row: &WhistleRow) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO whistle
             (record, stage, level, platform, area, title, blower, issued_at_ms, due_at_ms,
              paused_until_ms, open_requests, touched_at_ms, parent, traces)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (record) DO UPDATE SET
             stage = excluded.stage, level = excluded.level, platform = excluded.platform,
             area = excluded.area, title = excluded.title, blower = excluded.blower,
             issued_at_ms = excluded.issued_at_ms, due_at_ms = excluded.due_at_ms,
             paused_until_ms = excluded.paused_until_ms, open_requests =
             excluded.open_requests,
             touched_at_ms = excluded.touched_at_ms, parent = excluded.parent, traces =
             excluded.traces",
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
        row.touched_at_ms,
        row.parent.map(|parent| parent.0),
        row.traces,
    ])?;
    db.prepare_cached("DELETE FROM target WHERE whistle = ?1")?
        .execute([record])?;
    let mut insert = db.prepare_cached(
        "INSERT INTO target (whistle, party, stage, lead, mandatory) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for target in &row.targets {
        insert.execute(params![
            record,
            target.party,
            target.stage.word(),
            target.lead,
            target.mandatory
        ])?;
    }
    let before = unlink(db, record)?;
    for finding in &row.findings {
        db.prepare_cached(
            "INSERT OR IGNORE INTO whistle_finding (finding, whistle) VALUES (?1, ?2)",
        )?
        .execute(params![finding.0, record])?;
    }
    // An order that was set aside carries nothing any more.
    for finding in before.union(&row.findings.iter().copied().collect()) {
        move_on(db, *finding)?;
    }
    Ok(())
}

/// Takes the findings of a whistle off it, and says which they were.
pub(super) fn unlink(db: &Connection, whistle: i64) -> Result<BTreeSet<RecordId>, StoreError> {
    let mut statement =
        db.prepare_cached("DELETE FROM whistle_finding WHERE whistle = ?1 RETURNING finding")?;
    let rows = statement.query_map([whistle], |row| id(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Brings a finding's visible stage in line with its whistles.
pub(super) fn move_on(db: &Connection, finding: RecordId) -> Result<(), StoreError> {
    let Some((row, _)) = find_record(db, finding)? else {
        return Ok(());
    };
    let own: Option<(String, i64)> = db
        .prepare_cached("SELECT own_stage, reopened_at_ms FROM finding WHERE record = ?1")?
        .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((own, reopened_at_ms)) = own else {
        return Ok(());
    };
    let Some(own) = FindingStage::from_word(&own) else {
        return Ok(());
    };
    let stage = stage_with(own, reopened_at_ms, &whistles_of(db, finding)?);
    db.prepare_cached("UPDATE finding SET stage = ?2 WHERE record = ?1")?
        .execute(params![row, stage.word()])?;
    Ok(())
}

/// Stage and issue time of the whistles that carry a finding.
fn whistles_of(db: &Connection, finding: RecordId) -> Result<Vec<(WhistleStage, i64)>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT whistle.stage, whistle.issued_at_ms FROM whistle_finding
         JOIN whistle ON whistle.record = whistle_finding.whistle
         WHERE whistle_finding.finding = ?1",
    )?;
    let mut rows = statement.query([finding.0])?;
    let mut stages = Vec::new();
    while let Some(row) = rows.next()? {
        let word = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if let Some(stage) = WhistleStage::from_word(word) {
            stages.push((stage, row.get(1)?));
        }
    }
    Ok(stages)
}

pub(super) fn join_hashes(hashes: &[EnvelopeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn split_hashes(bytes: &[u8]) -> Vec<EnvelopeHash> {
    let chunks = bytes.chunks_exact(32);
    chunks.filter_map(EnvelopeHash::from_slice).collect()
}

pub(super) fn hash(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<EnvelopeHash> {
    row.get(at).map(EnvelopeHash)
}

pub(super) fn id(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<RecordId> {
    row.get(at).map(RecordId)
}

pub(super) fn kind(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<RecordKind> {
    let code = row.get(at)?;
    RecordKind::from_code(code).ok_or(rusqlite::Error::IntegralValueOutOfRange(at, code.into()))
}

pub(super) fn standing(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Standing> {
    let code = row.get(at)?;
    Standing::from_code(code).ok_or(rusqlite::Error::IntegralValueOutOfRange(at, code.into()))
}
