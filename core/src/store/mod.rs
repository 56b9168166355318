//! The phone's database: SQLite in WAL mode, one writer.
//!
//! 1. A new action is saved by [`Store::commit`]: envelope, record, read model
//!    and outbox row in one transaction, flushed before it returns
//!    (`synchronous = FULL`). Only then is it shown as saved or sent.
//! 2. A reply is saved by [`Store::apply`]: a whole page with its cursor in one
//!    transaction. It may be lost in a power cut (`synchronous = NORMAL`); the
//!    cursor goes with it, so the page is pulled again.
//! 3. [`read`] and [`search`] answer screens from rows, without documents.
//!
//! What can go wrong: (1, 2) the disk is full or failing: [`StoreError`], the
//! transaction is rolled back as a whole, and what was saved before stays.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::document::WriteError;
use crate::domain::ids::EnvelopeHash;
use crate::envelope::{Chain, OpenError};
use crate::sync::head::{Head, SignedHead};
use crate::sync::plan::Progress;

pub mod write;
// In the order of the sentences above.
pub mod apply;
//
pub mod read;
//
pub mod search;

const SCHEMA_VERSION: i64 = 1;

/// The database could not do what was asked; nothing was half-done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk (or the quota) is full.
    #[error("no room left on this device")]
    Full,
    /// Another process holds the database.
    #[error("the database is in use by another process")]
    Busy,
    /// The file is not a database, or damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Written by a newer app.
    #[error("the database has schema {0}, newer than this app knows ({SCHEMA_VERSION})")]
    Newer(i64),
    /// A stored envelope or row does not read back.
    #[error("a stored envelope does not open: {0}")]
    Envelope(#[from] OpenError),
    /// The merge engine refused what was stored.
    #[error(transparent)]
    Document(#[from] WriteError),
    /// Anything else that SQLite says.
    #[error("database: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Sqlite(error),
        }
    }
}

/// The phone's database.
pub struct Store {
    db: Connection,
}

impl Store {
    /// Opens or creates the database.
    ///
    /// # Errors
    /// See [`StoreError`]; a file that cannot be used is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        // The journal mode answers with a row.
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        db.pragma_update(None, "foreign_keys", true)?;
        // Without it statements are planned again whenever a value changes.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.set_prepared_statement_cache_capacity(64);
        let mut store = Self { db };
        store.migrate()?;
        Ok(store)
    }

    /// Limits the database to so many pages (of 4 KiB): a quota, and the way to
    /// meet a full disk on purpose. Returns the limit in force.
    ///
    /// # Errors
    /// SQLite refused it.
    pub fn limit_pages(&self, pages: u32) -> Result<u32, StoreError> {
        Ok(self
            .db
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| {
                row.get(0)
            })?)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let version: i64 = self
            .db
            .pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => {
                let transaction = self.db.transaction()?;
                transaction.execute_batch(include_str!("schema_v1.sql"))?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                transaction.commit()?;
                Ok(())
            }
            SCHEMA_VERSION => Ok(()),
            newer => Err(StoreError::Newer(newer)),
        }
    }

    /// A named value; `None` if it was never set.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn meta<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<Option<T>, StoreError> {
        get_meta(&self.db, name)
    }

    /// Sets named values, all or none, durably.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set_meta(&mut self, values: &[(&str, &dyn ToSql)]) -> Result<(), StoreError> {
        let transaction = self.db.transaction()?;
        for (name, value) in values {
            put_meta(&transaction, name, *value)?;
        }
        Ok(transaction.commit()?)
    }

    /// Where this phone stands with its server.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn progress(&self) -> Result<Progress, StoreError> {
        Ok(Progress {
            epoch: self.meta("epoch")?.unwrap_or_default(),
            cursor: unsigned(self.meta("cursor")?),
            count: unsigned(self.meta("count")?),
            digest: self.meta("digest")?.unwrap_or_default(),
            directory: unsigned(self.meta("directory_version")?),
            audience: self.meta("audience")?.unwrap_or_default(),
            head: self.head()?,
        })
    }

    /// The newest head of the server's feed that this phone has verified.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.signed_head("head")?.map(|signed| signed.head))
    }

    /// A signed head by the name that it is kept under.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn signed_head(&self, name: &str) -> Result<Option<SignedHead>, StoreError> {
        let position: Option<i64> = self.meta(&format!("{name}_position"))?;
        let hash: Option<[u8; 32]> = self.meta(&format!("{name}_hash"))?;
        let signature: Option<[u8; 64]> = self.meta(&format!("{name}_signature"))?;
        let (Some(position), Some(hash), Some(signature)) = (position, hash, signature) else {
            return Ok(None);
        };
        Ok(Some(SignedHead {
            head: Head {
                position: position.cast_unsigned(),
                hash,
            },
            signature,
        }))
    }

    /// Where this device's chain stands.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn chain(&self) -> Result<Chain, StoreError> {
        let newest: Option<[u8; 32]> = self.meta("chain_newest")?;
        Ok(Chain {
            length: unsigned(self.meta("chain_length")?),
            newest: newest.map(EnvelopeHash),
        })
    }
}

fn unsigned(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

fn get_meta<T: rusqlite::types::FromSql>(
    db: &Connection,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let mut statement = db.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn put_meta(db: &Connection, name: &str, value: &dyn ToSql) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?;
    statement.execute(params![name, value])?;
    Ok(())
}

fn put_progress(db: &Connection, progress: &Progress) -> Result<(), StoreError> {
    put_meta(db, "epoch", &progress.epoch)?;
    put_meta(db, "cursor", &progress.cursor.cast_signed())?;
    put_meta(db, "count", &progress.count.cast_signed())?;
    put_meta(db, "digest", &progress.digest)?;
    put_meta(db, "audience", &progress.audience)
}
