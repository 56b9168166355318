//! The phone's database: SQLite in WAL mode, one writer, every page encrypted and
//! authenticated by SQLCipher.
//!
//! 1. [`opening`] looks whether the files are whole and this installation's, and
//!    [`salvage`] starts over with what nobody else has where they are not.
//! 2. A new action is saved by [`Store::commit`]: in the journal, flushed, and
//!    then envelope, record, read model and outbox row in one transaction. Only
//!    then is it shown as saved or sent. A power cut may take the transaction
//!    (`Flush::Later`); the next opening takes the action from the journal.
//! 3. A reply is saved by [`Store::apply`]: a whole page with its cursor in one
//!    transaction. A power cut may take it, too; the cursor goes with it, so the
//!    page is pulled again. With verdicts in it, it is flushed, because the
//!    journal then lets go of what has one.
//! 4. [`read`] and [`search`] answer screens from rows, without documents.
//!
//! What can go wrong: (2, 3) the disk is full or failing: [`StoreError`], the
//! transaction is rolled back as a whole, and what was saved before stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior, params};

use crate::document::WriteError;
use crate::domain::directory::Directory;
use crate::domain::ids::{EnvelopeHash, RecordId};
use crate::envelope::{Chain, OpenError, Sealed};
use crate::planted::{Part, left_out};
use crate::points::{Point, pass};
use crate::sync::head::{self as feed, SignedHead};
use crate::sync::plan::Progress;

use derived::Lately;
use evidence::OwnPiece;
use journal::{Head, Journal};
use key::DatabaseKey;
use mark::Mark;

pub mod key;
// In the order of the sentences above.
pub mod opening;
//
pub mod salvage;
//
mod mark;
//
mod journal;
//
pub mod write;
//
pub mod apply;
//
pub mod derived;
//
pub mod read;
//
pub mod pages;
//
pub mod room;
//
pub mod private;
//
pub mod evidence;
//
pub mod pieces;
//
pub mod search;

const SCHEMA_VERSION: i64 = 2;
/// Version of the directory that the due times in the rows go by.
const ROWS_DIRECTORY: &str = "rows_directory_version";

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
    /// This build cannot encrypt; nothing is kept unencrypted instead.
    #[error("this build has no cipher for the database")]
    NoCipher,
    /// The files are encrypted with another key.
    #[error("the files are encrypted with another key")]
    WrongKey,
    /// The journal or a folder beside the database cannot be used.
    #[error("a file beside the database: {0}")]
    File(std::io::Error),
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

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::File(error),
        }
    }
}

/// Where the phone's files are, and what it takes to open them.
#[derive(Debug, Clone)]
pub struct Files {
    /// The database; the journal and what is set aside lie beside it.
    pub database: PathBuf,
    /// A folder that backups and moves to another phone leave out.
    pub unbacked: PathBuf,
    /// What they are encrypted with.
    pub key: DatabaseKey,
    /// The wall clock, Unix milliseconds, to name what is set aside.
    pub wall_ms: i64,
}

impl Files {
    fn journal(&self) -> PathBuf {
        self.database.with_extension("journal")
    }

    fn folder(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new("."))
    }
}

/// The phone's database.
pub struct Store {
    db: Connection,
    /// Calendar and policy for due times.
    directory: Option<Arc<Directory>>,
    journal: Journal,
    mark: Mark,
    installation: [u8; 16],
    /// Whether this run has begun its generation.
    begun: bool,
    lately: Lately,
}

impl Store {
    /// Whose calendar and policy the rows written from now on go by.
    pub fn go_by(&mut self, directory: Arc<Directory>) {
        self.directory = Some(directory);
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

    /// A named value; `None` if it was never set.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn meta<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let value = get_meta(&self.db, name);
        authentic(&self.db)?;
        value
    }

    /// Sets named values, all or none, durably.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn set_meta(&mut self, values: &[(&str, &dyn ToSql)]) -> Result<(), StoreError> {
        self.trust_journal()?;
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (name, value) in values {
            put_meta(&transaction, name, *value)?;
        }
        if values.iter().all(|(name, _)| REPLACEABLE.contains(name)) {
            authentic(&transaction)?;
            return Ok(transaction.commit()?);
        }
        let head = next_head(&transaction)?;
        commit_twice(transaction, &mut self.journal, Some(&head), None, &[])?;
        self.advance(&head);
        Ok(())
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
            private_cursor: unsigned(self.meta("private_cursor")?),
            evidence_cursor: unsigned(self.meta("evidence_cursor")?),
            backlog: self.backlog()?,
            head: self.head()?,
        })
    }

    /// Envelopes that no verdict has named yet.
    fn backlog(&self) -> Result<u64, StoreError> {
        let mut statement = self.db.prepare_cached("SELECT COUNT(*) FROM outbox")?;
        Ok(unsigned(Some(statement.query_row([], |row| row.get(0))?)))
    }

    /// The newest head of the server's feed that this phone has verified.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn head(&self) -> Result<Option<feed::Head>, StoreError> {
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
            head: feed::Head {
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
        chain(&self.db)
    }

    /// Does one transaction with this flush.
    fn flushing<T>(
        &mut self,
        flush: Flush,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if flush == Flush::Now {
            return work(self);
        }
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        let done = work(self);
        self.db.pragma_update(None, "synchronous", "FULL")?;
        done
    }

    /// Writes the journal anew if the database may have refused its end.
    fn trust_journal(&mut self) -> Result<(), StoreError> {
        match self.journal.in_doubt() {
            true => self.rewrite_journal(),
            false => Ok(()),
        }
    }

    /// Brings the journal to what the database holds and the server has not
    /// accepted.
    fn rewrite_journal(&mut self) -> Result<(), StoreError> {
        // The lock keeps other processes from appending.
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head = head(&transaction)?;
        let envelopes = write::unaccepted(&transaction)?;
        let envelopes: Vec<_> = envelopes.into_iter().map(|(_, bytes)| bytes).collect();
        let pieces = evidence::unarrived(&transaction)?;
        authentic(&transaction)?;
        self.journal.rewrite(&head, &envelopes, &pieces)
    }

    /// A generation has begun and is on the disk.
    fn advance(&mut self, head: &Head) {
        self.begun = true;
        // A mark that stays behind tells a restored copy apart a little later;
        // what was saved is saved.
        let _ = self.mark.write(self.installation, head.generation);
    }
}

/// When a transaction has to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// When it returns.
    Now,
    /// With the next one that is, or at a checkpoint of the log: until then a
    /// power cut may take it, the death of the process may not.
    Later,
}

/// Named values that the server sends again, or that count what it has sent.
const REPLACEABLE: [&str; 10] = [
    "audience",
    "count",
    "cursor",
    "digest",
    "directory",
    "directory_version",
    "epoch",
    "evidence_cursor",
    "private_cursor",
    ROWS_DIRECTORY,
];

/// What must survive of the database's named values.
fn head(db: &Connection) -> Result<Head, StoreError> {
    let mut statement = db.prepare_cached("SELECT name, value FROM meta ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut values: Vec<(String, rusqlite::types::Value)> = rows.collect::<Result<_, _>>()?;
    values.retain(|(name, _)| name != "generation" && !REPLACEABLE.contains(&name.as_str()));
    Ok(Head {
        generation: generation(db)?,
        values,
    })
}

/// Begins the next generation.
fn next_head(db: &Connection) -> Result<Head, StoreError> {
    put_meta(db, "generation", &(generation(db)? + 1).cast_signed())?;
    head(db)
}

/// Appends to the journal and flushes it, then commits: what is saved is in two
/// files.
fn commit_twice(
    transaction: Transaction<'_>,
    journal: &mut Journal,
    head: Option<&Head>,
    sealed: Option<&Sealed>,
    pieces: &[(RecordId, OwnPiece)],
) -> Result<(), StoreError> {
    authentic(&transaction)?;
    let before = journal.append(head, sealed, pieces)?;
    pass(Point::Journalled);
    let committed = transaction.commit();
    if committed.is_err() {
        journal.cut(before);
    }
    committed?;
    pass(Point::SavedTwice);
    Ok(())
}

/// Whether every page that this connection has read was authentic. To SQLCipher
/// one that is not reads as zeroes, and only the tree notices: a long value may
/// come out half empty without an error. So whoever has read a long value asks,
/// and so does every transaction before it commits.
fn authentic(db: &Connection) -> Result<(), StoreError> {
    if left_out(Part::Encrypting) {
        return Ok(());
    }
    // Answered while it is prepared: a cached statement would say what was.
    let status: String = db.query_row("PRAGMA cipher_status", [], |row| row.get(0))?;
    match status.as_str() {
        "1" => Ok(()),
        _ => Err(StoreError::Damaged("a page is not authentic".to_owned())),
    }
}

fn generation(db: &Connection) -> Result<u64, StoreError> {
    Ok(unsigned(get_meta(db, "generation")?))
}

fn chain(db: &Connection) -> Result<Chain, StoreError> {
    let newest: Option<[u8; 32]> = get_meta(db, "chain_newest")?;
    Ok(Chain {
        length: unsigned(get_meta(db, "chain_length")?),
        newest: newest.map(EnvelopeHash),
    })
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
    put_meta(db, "audience", &progress.audience)?;
    put_meta(db, "private_cursor", &progress.private_cursor.cast_signed())?;
    let evidence_cursor = progress.evidence_cursor.cast_signed();
    put_meta(db, "evidence_cursor", &evidence_cursor)
}
