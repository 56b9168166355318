//! Statements about records and envelopes that more than one part needs.

use rusqlite::{Connection, OptionalExtension, Row, params};

use shaodao_core::document::{Document, Member};
use shaodao_core::domain::action::RecordKind;
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, RecordId};
use shaodao_core::domain::reason::Reason;
use shaodao_core::envelope::{self, Sealed};
use shaodao_core::sync::wire::{Judgement, Standing};

use super::DbError;

/// A stored envelope without its bytes.
#[derive(Debug, Clone)]
pub struct StoredEnvelope {
    /// Row id.
    pub id: i64,
    /// Its verdict.
    pub judgement: Judgement,
}

/// The stored verdict about an envelope.
///
/// # Errors
/// See [`DbError`].
pub fn envelope(db: &Connection, hash: &EnvelopeHash) -> Result<Option<StoredEnvelope>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT id, hash, standing, reason, seen, received_at_ms FROM envelope WHERE hash = ?1",
    )?;
    let stored = statement.query_row([hash.0], |row| {
        Ok(StoredEnvelope {
            id: row.get(0)?,
            judgement: judgement(row, 1)?,
        })
    });
    Ok(stored.optional()?)
}

/// Reads hash, standing, reason, seen and receipt from five columns.
///
/// # Errors
/// A column has another type.
pub fn judgement(row: &Row<'_>, first: usize) -> rusqlite::Result<Judgement> {
    let standing: u8 = row.get(first + 1)?;
    let reason: Option<String> = row.get(first + 2)?;
    let seen: Option<Vec<u8>> = row.get(first + 3)?;
    Ok(Judgement {
        hash: row.get(first).map(EnvelopeHash)?,
        standing: Standing::from_code(standing).unwrap_or(Standing::Refused),
        reason: reason.as_deref().and_then(Reason::from_code),
        seen: seen.as_deref().map(split_hashes),
        received_at_ms: row.get(first + 4)?,
    })
}

/// The row of a record; `None` if it is not here.
///
/// # Errors
/// See [`DbError`].
pub fn record(db: &Connection, record: RecordId) -> Result<Option<i64>, DbError> {
    let mut statement = db.prepare_cached("SELECT id FROM record WHERE record = ?1")?;
    Ok(statement
        .query_row([record.0], |row| row.get(0))
        .optional()?)
}

/// The row of a record, made if need be.
///
/// # Errors
/// See [`DbError`].
pub fn ensure_record(db: &Connection, kind: RecordKind, id: RecordId) -> Result<i64, DbError> {
    if let Some(row) = record(db, id)? {
        return Ok(row);
    }
    db.prepare_cached("INSERT INTO record (record, kind, heads) VALUES (?1, ?2, X'')")?
        .execute(params![id.0, kind.code()])?;
    Ok(db.last_insert_rowid())
}

/// The row of a record that this action is part of. What was set aside before
/// may have named the id for the other kind of record: a record is of the kind
/// of what is in its history.
///
/// # Errors
/// See [`DbError`].
pub fn begin_record(db: &Connection, kind: RecordKind, id: RecordId) -> Result<i64, DbError> {
    let row = ensure_record(db, kind, id)?;
    db.prepare_cached("UPDATE record SET kind = ?2 WHERE id = ?1 AND kind <> ?2")?
        .execute(params![row, kind.code()])?;
    Ok(row)
}

/// Whether a record of the other kind has a history under this id.
///
/// # Errors
/// See [`DbError`].
pub fn is_of_other_kind(db: &Connection, kind: RecordKind, id: RecordId) -> Result<bool, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM record JOIN envelope ON envelope.record = record.id
             WHERE record.record = ?1 AND record.kind <> ?2 AND envelope.standing IN (1, 2))",
    )?;
    Ok(statement.query_row(params![id.0, kind.code()], |row| row.get(0))?)
}

/// A record by its row: kind and id.
///
/// # Errors
/// See [`DbError`].
pub fn record_at(db: &Connection, row: i64) -> Result<(RecordKind, RecordId), DbError> {
    let mut statement = db.prepare_cached("SELECT kind, record FROM record WHERE id = ?1")?;
    let (kind, id) = statement.query_row([row], |row| {
        Ok((row.get::<_, u8>(0)?, row.get(1).map(RecordId)?))
    })?;
    let kind = RecordKind::from_code(kind).ok_or(DbError::Value("record kind"))?;
    Ok((kind, id))
}

/// Stores an envelope with its verdict.
///
/// # Errors
/// See [`DbError`].
pub fn insert_envelope(
    db: &Connection,
    record: i64,
    sealed: &Sealed,
    judgement: &Judgement,
) -> Result<i64, DbError> {
    db.prepare_cached(
        "INSERT INTO envelope
             (hash, record, device, dev_seq, standing, bytes, received_at_ms, seen, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        sealed.hash.0,
        record,
        sealed.envelope.device.0,
        sealed.envelope.dev_seq.cast_signed(),
        judgement.standing.code(),
        sealed.bytes,
        judgement.received_at_ms,
        judgement.seen.as_deref().map(join_hashes),
        judgement.reason.map(|reason| reason.code()),
    ])?;
    Ok(db.last_insert_rowid())
}

/// Replaces the verdict of a stored envelope; its receipt stays.
///
/// # Errors
/// See [`DbError`].
pub fn update_judgement(db: &Connection, id: i64, judgement: &Judgement) -> Result<(), DbError> {
    db.prepare_cached("UPDATE envelope SET standing = ?2, seen = ?3, reason = ?4 WHERE id = ?1")?
        .execute(params![
            id,
            judgement.standing.code(),
            judgement.seen.as_deref().map(join_hashes),
            judgement.reason.map(|reason| reason.code()),
        ])?;
    Ok(())
}

/// Whether another envelope than `hash` carries this number of the device's
/// chain.
///
/// # Errors
/// See [`DbError`].
pub fn is_cloned(
    db: &Connection,
    device: DeviceId,
    dev_seq: u64,
    hash: &EnvelopeHash,
) -> Result<bool, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM envelope
             WHERE device = ?1 AND dev_seq = ?2 AND hash <> ?3 AND standing <> 5)",
    )?;
    let cloned = statement.query_row(params![device.0, dev_seq.cast_signed(), hash.0], |row| {
        row.get(0)
    });
    Ok(cloned?)
}

/// A record as a document, from its accepted envelopes; an empty document for
/// a record that is not here, or here as one of the other kind.
///
/// # Errors
/// See [`DbError`].
pub fn document(db: &Connection, kind: RecordKind, id: RecordId) -> Result<Document, DbError> {
    let mut of_kind = db.prepare_cached("SELECT id FROM record WHERE record = ?1 AND kind = ?2")?;
    let row: Option<i64> = of_kind
        .query_row(params![id.0, kind.code()], |row| row.get(0))
        .optional()?;
    let Some(row) = row else {
        return Ok(Document::new(kind, id));
    };
    let mut statement = db.prepare_cached(
        "SELECT bytes, hash, standing, reason, seen, received_at_ms FROM envelope
         WHERE record = ?1 AND standing IN (1, 2) ORDER BY id",
    )?;
    let mut rows = statement.query([row])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let sealed = envelope::open(bytes)?;
        let judgement = judgement(row, 1)?;
        members.push(Member {
            seen: judgement
                .seen
                .unwrap_or_else(|| sealed.envelope.seen.clone()),
            sealed,
            received_at_ms: Some(judgement.received_at_ms),
        });
    }
    let (document, _) = Document::rebuild(kind, id, members)?;
    Ok(document)
}

/// Hashes one after another.
pub fn join_hashes(hashes: &[EnvelopeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn split_hashes(bytes: &[u8]) -> Vec<EnvelopeHash> {
    let chunks = bytes.chunks_exact(32);
    chunks.filter_map(EnvelopeHash::from_slice).collect()
}
