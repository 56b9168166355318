//! When the disk dies: backups, and another life of the database from one.
//!
//! 1. [`backup`] copies the database as of one moment while the server goes on.
//! 2. [`restore`] puts a backup in place of whatever is there, which is moved
//!    aside. The restored database begins another life: it has a new epoch, so
//!    that phones notice and bring what is missing, their own work and others',
//!    and a new device for the server's own actions, so that no number of the
//!    old device's chain is used twice. The server's key stays, since phones know
//!    it.
//! 3. Until phones have had a chance, or an administrator says so
//!    ([`Engine::resume`]), nothing is numbered, escalated or stood down
//!    ([`Engine::is_held`]): the old life may have done it already, and phones
//!    bring that too. What is due in the meantime is remembered and done then.
//! 4. What the old life did counts: numbers and escalations are learned from the
//!    server's own actions as they arrive ([`crate::escalate`]). Numbers of the
//!    day of a restore go on from 5001, because the old life may have given any
//!    lower one to somebody who has not called yet.
//! 5. What had arrived in time stays in time: phones show the old receipts
//!    ([`crate::receipt`]).
//!
//! What can go wrong: (1) the target exists, the disk is full: the half copy is
//! removed; (2) a server is running on the folder, or the backup has been altered
//! ([`crate::verify`]): nothing is touched. Lost for good is what no phone holds:
//! tickets, revocations and directory editions since the backup have to be
//! repeated.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rusqlite::Connection;

use shaodao_core::domain::calendar::local_date_compact;
use shaodao_core::domain::ids::{DeviceId, PersonId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::points::{Point, pass};
use shaodao_core::sync::head::Act;

use crate::audit;
use crate::clock::Clock;
use crate::db::{self, DbError, rows};
use crate::engine::{self, DATABASE, Engine, EngineError, sha256};
use crate::evidence::objects::flush_folder;
use crate::evidence::sweep::UNSURE;
use crate::keys;
use crate::verify::{Extent, Report};

/// Numbers given on the day of a restore begin behind this, the first time;
/// each further restore of the day leaves as much room again as [`FLOOR_STEP`].
const FLOOR: i64 = 5_000;
const FLOOR_STEP: i64 = 1_000;
/// [`HOLD`] before the first look at the clock.
const NOT_BEGUN: i64 = -1;
/// [`HOLD`] when an administrator has ended the wait.
const OVER: i64 = 0;
const HOLD: &str = "hold_until_ms";

/// A backup or a restore that did not happen; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The database could not.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file or folder could not be used.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The target of a backup is there already.
    #[error("{0} exists already; a backup never overwrites")]
    Exists(PathBuf),
    /// Nothing to read.
    #[error("there is no database at {0}")]
    Missing(PathBuf),
    /// Another process holds the database.
    #[error("a server is running on {0}; stop it first")]
    InUse(PathBuf),
    /// The backup is not what the server wrote.
    #[error("the backup has been altered: {} rows do not fit, the first: {} {}: {}",
        .0.bad.len(), .0.bad[0].table, .0.bad[0].row, .0.bad[0].problem)]
    Altered(Box<Report>),
}

impl From<DbError> for RestoreError {
    fn from(error: DbError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<rusqlite::Error> for RestoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// Copies the database in `folder` to the file `to` as of one moment, while a
/// server may be running on it. Returns the position of the feed that the copy
/// ends with.
///
/// # Errors
/// See [`RestoreError`].
pub fn backup(folder: &Path, to: &Path, clock: &Clock) -> Result<u64, RestoreError> {
    let path = database(folder)?;
    if to.exists() {
        return Err(RestoreError::Exists(to.to_owned()));
    }
    let db = db::connect(&path)?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    db::audit(&db, clock.now_ms(), "backup", "administrator", &name)?;
    pass(Point::BackupNoted);
    let half = with_suffix(to, "half");
    // Of a backup to the same place that was killed.
    match std::fs::remove_file(&half) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(file(&half, error));
        }
        _ => {}
    }
    let copied = copy(&db, &half).and_then(|position| {
        pass(Point::BackupDrafted);
        std::fs::rename(&half, to).map_err(|error| file(to, error))?;
        flush_folder_of(to)?;
        Ok(position)
    });
    if copied.is_err() {
        let _ = std::fs::remove_file(&half);
    }
    copied
}

/// Puts the backup `from` in place of the database in `folder` and begins
/// another life with it. A backup that does not verify is refused unless
/// `altered_too`. Returns where the former database went, if there was one.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    from: &Path,
    folder: &Path,
    clock: &Clock,
    altered_too: bool,
) -> Result<Option<PathBuf>, RestoreError> {
    restore_by(from, folder, clock, altered_too, engine::system_chance()?)
}

/// The same with this chance instead of the system's, so that a simulation can
/// be repeated; never for a server that anybody relies on.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_by(
    from: &Path,
    folder: &Path,
    clock: &Clock,
    altered_too: bool,
    chance: StdRng,
) -> Result<Option<PathBuf>, RestoreError> {
    if !from.is_file() {
        return Err(RestoreError::Missing(from.to_owned()));
    }
    let path = folder.join(DATABASE);
    check_unused(&path)?;
    let making = folder.join("restoring");
    if making.exists() {
        std::fs::remove_dir_all(&making).map_err(|error| file(&making, error))?;
    }
    std::fs::create_dir_all(&making).map_err(|error| file(&making, error))?;
    let made = begin_again(from, &making, clock, altered_too, chance)
        .and_then(|()| swap(&making.join(DATABASE), &path, clock.now_ms()));
    let _ = std::fs::remove_dir_all(&making);
    made
}

impl Engine {
    /// Whether numbers, escalations and stand-downs wait for what phones bring
    /// after a restore.
    ///
    /// # Errors
    /// The database could not.
    pub fn is_held(&self) -> Result<bool, EngineError> {
        Ok(db::meta::<i64>(&self.db, HOLD)?.is_some())
    }

    /// Says that the wait after a restore is over. Whether there was one. What
    /// has waited is done when the server next looks at its deadlines: this may
    /// be another process, which knows nothing of what the server has in memory.
    ///
    /// # Errors
    /// The database could not; nothing was done.
    pub fn resume(&mut self, who: &str) -> Result<bool, EngineError> {
        if !self.is_held()? {
            return Ok(false);
        }
        let now_ms = self.clock.now_ms();
        db::audit(&self.db, now_ms, "resume", who, "")?;
        db::set_meta(&self.db, HOLD, &OVER)?;
        Ok(true)
    }

    /// Ends the wait and does what has waited.
    fn catch_up_with_all(&mut self) -> Result<(), EngineError> {
        let now_ms = self.clock.now_ms();
        db::audit(&self.db, now_ms, "caught_up", PersonId::SERVER, "")?;
        self.db
            .execute("DELETE FROM meta WHERE name = ?1", [HOLD])?;
        let held: Vec<i64> = {
            let mut statement = self
                .db
                .prepare_cached("DELETE FROM held RETURNING record")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            let mut held: Vec<i64> = rows.collect::<Result<_, _>>()?;
            held.sort_unstable();
            held
        };
        for record in held {
            self.catch_up(record)?;
        }
        self.draw_consequences()
    }

    /// Looks at the clock: begins the wait after a restore, or ends it. Whether
    /// it goes on.
    pub(crate) fn hold_on(&mut self) -> Result<bool, EngineError> {
        let now_ms = self.believed_ms();
        match db::meta::<i64>(&self.db, HOLD)? {
            None => Ok(false),
            Some(NOT_BEGUN) => {
                let until_ms = now_ms.saturating_add(self.directory.policy.restore_hold_ms);
                db::set_meta(&self.db, HOLD, &until_ms)?;
                tracing::warn!(
                    until_ms,
                    "restored: numbers and escalations wait for phones"
                );
                Ok(true)
            }
            Some(until_ms) if now_ms < until_ms => Ok(true),
            Some(_) => self.catch_up_with_all().map(|()| false),
        }
    }

    /// Remembers that something may follow from a record once the wait is over.
    pub(crate) fn remember(&self, record: RecordId) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO held (record) SELECT id FROM record WHERE record = ?1",
            )?
            .execute([record.0])?;
        Ok(())
    }

    /// Does what follows from a record as it is now.
    fn catch_up(&mut self, record: i64) -> Result<(), EngineError> {
        let (kind, id) = rows::record_at(&self.db, record)?;
        match self.state_of(kind, id)? {
            RecordState::Finding(finding) => self.number(id, &finding),
            RecordState::Whistle(whistle) => {
                self.escalate_if_due(id, &whistle)?;
                match self.state_of(kind, id)? {
                    RecordState::Whistle(whistle) => {
                        self.answer(id, &whistle)?;
                        self.reconsider_mark(id, &whistle)
                    }
                    RecordState::Finding(_) => Ok(()),
                }
            }
        }
    }

    /// The first acts of another life, in the transaction in hand.
    fn begin_another_life(&mut self) -> Result<(), EngineError> {
        let now_ms = self.clock.now_ms();
        let new = DeviceId::random(&mut self.rng);
        let epoch = DeviceId::random(&mut self.rng).0;
        let db = &self.db;
        let restored = audit::newest(db)?.position;
        db::set_meta(db, "epoch", &epoch)?;
        keys::put_own_device(db, new, &self.key, now_ms)?;
        db.execute(
            "DELETE FROM meta WHERE name IN ('chain_length', 'chain_newest')",
            [],
        )?;
        // Tickets that were open then are not open now.
        db.execute("DELETE FROM enrolment WHERE stage < 4", [])?;
        let date = local_date_compact(now_ms);
        let floor: Option<i64> = match db::meta::<String>(db, "number_floor_date")? {
            Some(before) if before == date => db::meta(db, "number_floor")?,
            _ => None,
        };
        let floor = floor.map_or(FLOOR, |floor| floor + FLOOR_STEP);
        db::set_meta(db, "number_floor_date", &date)?;
        db::set_meta(db, "number_floor", &floor)?;
        db::set_meta(db, HOLD, &NOT_BEGUN)?;
        // Evidence is not in the backup: it may be here, or not.
        db::set_meta(db, UNSURE, &1)?;
        let about = format!("position {restored}");
        db::audit(db, now_ms, audit::RESTORE, "administrator", &about)?;
        audit::device(db, now_ms, "identity", PersonId::SERVER, new)?;
        audit::act(
            db,
            Act {
                at_ms: now_ms,
                what: audit::EPOCH,
                who: PersonId::SERVER,
                about: "",
                content: Some(sha256(&epoch)),
            },
        )?;
        self.device = new;
        Ok(())
    }
}

fn begin_again(
    from: &Path,
    making: &Path,
    clock: &Clock,
    altered_too: bool,
    chance: StdRng,
) -> Result<(), RestoreError> {
    let path = making.join(DATABASE);
    std::fs::copy(from, &path).map_err(|error| file(from, error))?;
    pass(Point::RestoreCopied);
    {
        let db = Connection::open(&path)?;
        let begun: Option<Vec<u8>> = db::meta(&db, "epoch").unwrap_or_default();
        if begun.is_none() {
            return Err(RestoreError::Missing(from.to_owned()));
        }
    }
    let mut engine = Engine::open_by(making, clock.clone(), &[], chance)?;
    let report = engine.verify(Extent::Everything, &mut |_| {})?;
    if !report.is_clean() && !altered_too {
        return Err(RestoreError::Altered(Box::new(report)));
    }
    engine.in_transaction(|engine| engine.in_savepoint(Engine::begin_another_life))??;
    pass(Point::LifeBegun);
    // One file again, to be moved as one.
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let mode = engine
        .db
        .pragma_update_and_check(None, "journal_mode", "DELETE", mode)?;
    if mode != "delete" {
        let error = std::io::Error::other("the log does not go into the database");
        return Err(file(&path, error));
    }
    pass(Point::RestoreDrafted);
    Ok(())
}

/// Puts the new database in place and keeps the former one under another name.
/// There is a database at every moment: a restore that is killed leaves the
/// former one or the new one.
fn swap(new: &Path, path: &Path, now_ms: i64) -> Result<Option<PathBuf>, RestoreError> {
    let former = match path.exists() {
        true => {
            let aside = with_suffix(path, &format!("before-{now_ms}"));
            keep(path, &aside)?;
            pass(Point::FormerKept);
            Some(aside)
        }
        false => None,
    };
    // A log or a journal that could not be brought into the former database would
    // be taken for the new one's.
    for ending in ["-wal", "-shm", "-journal"] {
        let log = PathBuf::from(format!("{}{ending}", path.display()));
        if !log.exists() {
            continue;
        }
        if let Some(former) = &former {
            keep(
                &log,
                &PathBuf::from(format!("{}{ending}", former.display())),
            )?;
        }
        std::fs::remove_file(&log).map_err(|error| file(&log, error))?;
    }
    std::fs::rename(new, path).map_err(|error| file(path, error))?;
    pass(Point::RestoreNamed);
    flush_folder_of(path)?;
    Ok(former)
}

/// Makes a rename last.
fn flush_folder_of(path: &Path) -> Result<(), RestoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    flush_folder(folder).map_err(|error| file(folder, error))
}

/// Gives a file a second name; where the file system has none, a copy.
fn keep(path: &Path, aside: &Path) -> Result<(), RestoreError> {
    let _ = std::fs::remove_file(aside);
    std::fs::hard_link(path, aside)
        .or_else(|_| std::fs::copy(path, aside).map(drop))
        .map_err(|error| file(path, error))
}

/// Copies into a file of its own, flushed; the position it ends with.
fn copy(db: &Connection, to: &Path) -> Result<u64, RestoreError> {
    let name = to
        .to_str()
        .ok_or_else(|| RestoreError::Missing(to.to_owned()))?;
    db.execute("VACUUM INTO ?1", [name])?;
    let flushed = std::fs::File::open(to).and_then(|copy| copy.sync_all());
    flushed.map_err(|error| file(to, error))?;
    let copy = Connection::open(to)?;
    Ok(audit::newest(&copy)?.position)
}

/// Nobody else has the database open: only then SQLite gives up the log that
/// its users share. That also brings everything into the one file.
fn check_unused(path: &Path) -> Result<(), RestoreError> {
    if !path.exists() {
        return Ok(());
    }
    let db = Connection::open(path)?;
    db.busy_timeout(std::time::Duration::ZERO)?;
    let alone = db.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()));
    match alone {
        Ok(()) => Ok(()),
        Err(error) => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Err(RestoreError::InUse(path.to_owned()))
            }
            // Damaged: that is what a backup is for.
            _ => Ok(()),
        },
    }
}

fn database(folder: &Path) -> Result<PathBuf, RestoreError> {
    let path = folder.join(DATABASE);
    match path.is_file() {
        true => Ok(path),
        false => Err(RestoreError::Missing(path)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn file(path: &Path, error: std::io::Error) -> RestoreError {
    RestoreError::File {
        path: path.to_owned(),
        error,
    }
}
