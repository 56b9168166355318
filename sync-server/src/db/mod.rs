//! The server's database: SQLite, one writer, as many readers as ask.
//!
//! 1. [`open`] opens and migrates; every connection of the server is made here.
//! 2. [`rows`] holds the statements that more than one part needs.
//!
//! What can go wrong: the disk is full or the file damaged: [`DbError`], and
//! the transaction in hand is rolled back as a whole.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, ToSql, TransactionBehavior, params};

use shaodao_core::document::WriteError;
use shaodao_core::envelope::OpenError;
use shaodao_core::sync::head::Act;

use crate::audit;

pub mod rows;

const SCHEMA_VERSION: i64 = 1;

/// The database could not do what was asked; nothing was half-done.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite says no.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Written by a newer server.
    #[error("the database has schema {0}, newer than this server knows ({SCHEMA_VERSION})")]
    Newer(i64),
    /// A stored envelope does not open.
    #[error("a stored envelope does not open: {0}")]
    Envelope(#[from] OpenError),
    /// The merge engine refused what was stored.
    #[error(transparent)]
    Document(#[from] WriteError),
    /// A stored value makes no sense.
    #[error("a stored value makes no sense: {0}")]
    Value(&'static str),
}

/// Opens or creates the database for writing.
///
/// # Errors
/// See [`DbError`].
pub fn open(path: &Path) -> Result<Connection, DbError> {
    let mut db = connect(path)?;
    // Before anything is written, be it the journal mode.
    let version = |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get(0));
    match version(&db)? {
        0..=SCHEMA_VERSION => {}
        newer => return Err(DbError::Newer(newer)),
    }
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // Of two processes that open an empty database one makes it.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match version(&transaction)? {
        0 => {
            transaction.execute_batch(include_str!("schema_v1.sql"))?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
        }
        SCHEMA_VERSION => drop(transaction),
        newer => return Err(DbError::Newer(newer)),
    }
    Ok(db)
}

/// One more connection to a database that [`open`] has opened before.
///
/// # Errors
/// See [`DbError`].
pub fn connect(path: &Path) -> Result<Connection, DbError> {
    let db = Connection::open(path)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    db.pragma_update(None, "foreign_keys", true)?;
    // A verdict that has been sent is on the disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -16_000)?;
    // What is erased is overwritten, not only unlinked. The pragma answers.
    db.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    db.set_prepared_statement_cache_capacity(128);
    // Statements are prepared once; without this, SQLite plans them again when
    // a bound value changes.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(db)
}

/// A named value; `None` if it was never set.
///
/// # Errors
/// See [`DbError`].
pub fn meta<T: rusqlite::types::FromSql>(
    db: &Connection,
    name: &str,
) -> Result<Option<T>, DbError> {
    let mut statement = db.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// Sets a named value.
///
/// # Errors
/// See [`DbError`].
pub fn set_meta(db: &Connection, name: &str, value: &dyn ToSql) -> Result<(), DbError> {
    db.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![name, value])?;
    Ok(())
}

/// Takes a named value away.
///
/// # Errors
/// See [`DbError`].
pub fn delete_meta(db: &Connection, name: &str) -> Result<(), DbError> {
    db.prepare_cached("DELETE FROM meta WHERE name = ?1")?
        .execute([name])?;
    Ok(())
}

/// Writes down what somebody did, in the chain of [`crate::audit`].
///
/// # Errors
/// See [`DbError`].
pub fn audit(
    db: &Connection,
    at_ms: i64,
    what: &str,
    who: &str,
    about: &str,
) -> Result<(), DbError> {
    audit::act(
        db,
        Act {
            at_ms,
            what,
            who,
            about,
            content: None,
        },
    )
}
