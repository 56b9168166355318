//! Personal data on the phone: kept beside the findings, gone with its key as
//! soon as an erasure is written.

use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::{Store, StoreError};
use crate::domain::ids::{PrivateId, RecordId};
use crate::domain::record::RecordState;
use crate::points::{Point, pass};
use crate::seal::SealedText;
use crate::sync::wire::PrivateItem;

impl Store {
    /// Key and ciphertext of something confided; `None` if they are not here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn private(&self, item: PrivateId) -> Result<Option<SealedText>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT ciphertext, key FROM private WHERE item = ?1")?;
        let found = statement.query_row([item.0], |row| {
            Ok(SealedText {
                id: item,
                ciphertext: row.get(0)?,
                key: Zeroizing::new(row.get(1)?),
            })
        });
        Ok(found.optional()?)
    }

    /// Personal data that the server has not confirmed, at most so much of it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn unsent_private(&self, limit: u32) -> Result<Vec<PrivateItem>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT record, ciphertext, key FROM private WHERE unsent = 1 ORDER BY item LIMIT ?1",
        )?;
        let rows = statement.query_map([limit], |row| {
            Ok(PrivateItem {
                record: row.get(0)?,
                ciphertext: row.get(1)?,
                key: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes back and empties the write-ahead log, which would otherwise keep
    /// pages from before an erasure.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(super) fn empty_log(&self) -> Result<(), StoreError> {
        pass(Point::LogStillFull);
        Ok(self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

/// Keeps personal data; what is here already stays as it is.
pub(super) fn keep(
    db: &Connection,
    record: RecordId,
    sealed: &SealedText,
    unsent: bool,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO private (item, record, ciphertext, key, unsent)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        sealed.id.0,
        record.0,
        sealed.ciphertext,
        &*sealed.key,
        unsent
    ])?;
    Ok(())
}

/// The server has it.
pub(super) fn confirm(db: &Connection, item: PrivateId) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE private SET unsent = 0 WHERE item = ?1")?
        .execute([item.0])?;
    Ok(())
}

/// Destroys what the record says is erased; whether anything was.
pub(super) fn destroy_erased(db: &Connection, state: &RecordState) -> Result<bool, StoreError> {
    let RecordState::Finding(finding) = state else {
        return Ok(false);
    };
    let mut destroyed = false;
    for (item, confided) in &finding.confided {
        if confided.erased.is_some() {
            let mut statement = db.prepare_cached("DELETE FROM private WHERE item = ?1")?;
            destroyed |= statement.execute([item.0])? > 0;
        }
    }
    Ok(destroyed)
}
