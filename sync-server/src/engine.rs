//! The one writer. Everything that changes the database is a method of
//! [`Engine`], split over the modules of the sentence: [`crate::ingest`] judges
//! and writes, [`crate::projection`] projects, [`crate::feed`] publishes,
//! [`crate::escalate`] escalates; and over what administrators do:
//! [`crate::enrol`], [`crate::devices`], [`crate::directory`],
//! [`crate::quarantine`], [`crate::keys`].
//!
//! An administrator's command is another process with an engine of its own on
//! the same database. Whoever begins a transaction first looks whether somebody
//! else has written since ([`Engine::in_transaction`]), and then forgets what it
//! had in memory.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use lru::LruCache;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest, Sha256};

use shaodao_core::document::Document;
use shaodao_core::domain::action::RecordKind;
use shaodao_core::domain::directory::{DeviceState, Directory};
use shaodao_core::domain::ids::{BootId, DeviceId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::envelope::Sealed;
use shaodao_core::pack::PackError;
use shaodao_core::planted::{Bug, active};
use shaodao_core::points::{Point, pass};
use shaodao_core::sync::enrol::ALPHABET;

use crate::audit;
use crate::clock::{Clock, Watch};
use crate::db::{self, DbError, rows};
use crate::evidence::objects::ObjectsError;
use crate::{directory, keys};

/// Documents kept in memory between requests.
const CACHED_DOCUMENTS: NonZeroUsize = capacity(1_000);
/// Audience keys kept in memory between requests.
const CACHED_KEYS: NonZeroUsize = capacity(4_096);
/// Devices whose newest envelope is kept in memory.
const CACHED_CHAINS: NonZeroUsize = capacity(1_000);

/// The server could not do what was asked; nothing was half-done.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database could not.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The directory does not read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// No random numbers from the system.
    #[error("no random numbers from the system: {0}")]
    Random(String),
    /// Nobody by that name in the directory.
    #[error("{0} is not in the directory")]
    UnknownPerson(String),
    /// What an administrator named is not there, or more than one thing is.
    #[error("{0}")]
    NoSuch(String),
    /// What an administrator asked for is not possible.
    #[error("{0}")]
    NotPossible(String),
    /// The request's fields make no sense.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
}

impl From<ObjectsError> for EngineError {
    fn from(error: ObjectsError) -> Self {
        Self::NotPossible(error.to_string())
    }
}

impl From<rusqlite::Error> for EngineError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A device that may ask.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Which device.
    pub device: DeviceId,
    /// Whose.
    pub person: PersonId,
    /// Whether it may take part.
    pub state: DeviceState,
}

/// Is told of every point that the writer passes, for rehearsals of what happens
/// when the server dies there.
pub type Rehearse = Box<dyn FnMut(Point) + Send>;

/// The one writer. See the module.
pub struct Engine {
    pub(crate) db: Connection,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Clock,
    pub(crate) device: DeviceId,
    pub(crate) key: SigningKey,
    pub(crate) boot: BootId,
    documents: LruCache<RecordId, Document>,
    /// Ids of audience keys.
    pub(crate) keys: LruCache<String, i64>,
    /// Compares the clocks.
    pub(crate) watch: Watch,
    rehearse: Option<Rehearse>,
    /// Personal data was destroyed; the write-ahead log still has its pages.
    pub(crate) must_empty_log: bool,
    /// Number and hash of each device's newest envelope.
    pub(crate) chains: LruCache<DeviceId, (i64, EnvelopeHash)>,
    pub(crate) rng: StdRng,
    data_version: i64,
    pub(crate) witness: audit::Witness,
    /// What was accepted and whose consequences are not drawn yet.
    pub(crate) accepted: VecDeque<Sealed>,
}

impl Engine {
    /// Opens the database in `folder`, made if need be. An empty one starts
    /// with `directory_json`.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn open(folder: &Path, clock: Clock, directory_json: &[u8]) -> Result<Self, EngineError> {
        Self::open_by(folder, clock, directory_json, system_chance()?)
    }

    /// The same with this chance instead of the system's, so that a simulation
    /// can be repeated; never for a server that anybody relies on.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn open_by(
        folder: &Path,
        clock: Clock,
        directory_json: &[u8],
        mut rng: StdRng,
    ) -> Result<Self, EngineError> {
        let mut db = db::open(&folder.join(DATABASE))?;
        // Another process may be opening it as well.
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(now_ms) = db::meta::<i64>(&transaction, "rehearsal_now_ms")? {
            clock.set(now_ms);
        }
        if db::meta::<Vec<u8>>(&transaction, "epoch")?.is_none() {
            db::set_meta(&transaction, "epoch", &DeviceId::random(&mut rng).0)?;
        }
        let now_ms = clock.now_ms();
        let (device, key) = keys::identity(&transaction, &mut rng, now_ms)?;
        audit::begin(&transaction, now_ms, device, &mut rng)?;
        let directory = match directory::version(&transaction)? {
            0 => directory::first_edition(&transaction, &key, directory_json, now_ms)?,
            _ => directory::current(&transaction)?,
        };
        transaction.commit()?;
        Ok(Self {
            data_version: data_version(&db)?,
            db,
            directory: Arc::new(directory),
            clock,
            device,
            key,
            boot: BootId::random(&mut rng),
            documents: LruCache::new(CACHED_DOCUMENTS),
            keys: LruCache::new(CACHED_KEYS),
            watch: Watch::default(),
            rehearse: None,
            // A process that died in between leaves this to the next one.
            must_empty_log: true,
            chains: LruCache::new(CACHED_CHAINS),
            rng,
            witness: audit::Witness::default(),
            accepted: VecDeque::new(),
        })
    }

    /// The database, to look at.
    pub fn connection(&self) -> &Connection {
        &self.db
    }

    /// Who is who and what is where.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.clone()
    }

    /// Tells `rehearse` of every point from here on; it may end the process.
    pub fn rehearse(&mut self, rehearse: Rehearse) {
        self.rehearse = Some(rehearse);
    }

    /// The writer passes a point.
    pub(crate) fn at(&mut self, point: Point) {
        pass(point);
        if let Some(rehearse) = &mut self.rehearse {
            rehearse(point);
        }
    }

    /// Does several things in one durable transaction: `work` runs inside, and
    /// what it did counts only if the commit succeeds.
    pub fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, EngineError> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        if let Err(error) = self.notice_others() {
            let _ = self.db.execute_batch("ROLLBACK");
            return Err(error);
        }
        let result = work(self);
        self.at(Point::BeforeCommit);
        let signed = audit::sign(&self.db, &self.key);
        let committed = signed.and_then(|()| Ok(self.db.execute_batch(self.ending())?));
        if let Err(error) = committed {
            let _ = self.db.execute_batch("ROLLBACK");
            self.forget();
            return Err(error.into());
        }
        self.at(Point::Committed);
        self.empty_log();
        Ok(result)
    }

    /// How a transaction ends; otherwise only where a bug is planted.
    fn ending(&self) -> &'static str {
        let lost = active(Bug::AnswerBeforeCommit) && self.clock.now_ms() % 7 == 3;
        if lost { "ROLLBACK" } else { "COMMIT" }
    }

    /// Does one thing in a durable transaction of its own, wholly or not at
    /// all.
    ///
    /// # Errors
    /// As `work`, or the commit failed.
    pub fn alone<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.in_transaction(|engine| engine.in_savepoint(work))?
    }

    /// Does one thing inside the transaction in hand, wholly or not at all.
    ///
    /// # Errors
    /// As `work`.
    pub fn in_savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.db.execute_batch("SAVEPOINT one")?;
        let result = work(self);
        if result.is_err() {
            self.forget();
            self.db.execute_batch("ROLLBACK TO one")?;
        }
        self.db.execute_batch("RELEASE one")?;
        result
    }

    /// Empties the write-ahead log after something was destroyed, unless a
    /// reader still needs it: then at the next commit.
    fn empty_log(&mut self) {
        if self.must_empty_log {
            let busy = self
                .db
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
            self.must_empty_log = busy.unwrap_or(true);
        }
    }

    /// After a rollback memory may be ahead of the database.
    pub(crate) fn forget(&mut self) {
        self.documents.clear();
        self.keys.clear();
        self.chains.clear();
        self.accepted.clear();
        self.witness = audit::Witness::default();
    }

    /// If another process has written, memory is behind the database.
    fn notice_others(&mut self) -> Result<(), EngineError> {
        let data_version = data_version(&self.db)?;
        if data_version == self.data_version {
            return Ok(());
        }
        self.data_version = data_version;
        self.forget();
        if directory::version(&self.db)? != self.directory.version {
            self.directory = Arc::new(directory::current(&self.db)?);
        }
        let (device, key) = keys::known_identity(&self.db)?
            .ok_or(DbError::Value("the server's own key is gone"))?;
        (self.device, self.key) = (device, key);
        Ok(())
    }

    /// Remembers the time of a rehearsal, for a restart and for administrators'
    /// commands.
    ///
    /// # Errors
    /// The database could not.
    pub fn note_rehearsal(&mut self, now_ms: i64) -> Result<(), EngineError> {
        Ok(db::set_meta(&self.db, "rehearsal_now_ms", &now_ms)?)
    }

    /// Forgets the time of a rehearsal.
    ///
    /// # Errors
    /// The database could not.
    pub fn end_rehearsal(&mut self) -> Result<(), EngineError> {
        Ok(db::delete_meta(&self.db, "rehearsal_now_ms")?)
    }

    /// What a record is now.
    pub(crate) fn state_of(
        &mut self,
        kind: RecordKind,
        id: RecordId,
    ) -> Result<RecordState, EngineError> {
        self.with_document(kind, id, |_, document| Ok(document.fold()))
    }

    /// Runs `work` on a record's document, taken from memory or rebuilt.
    pub(crate) fn with_document<T>(
        &mut self,
        kind: RecordKind,
        id: RecordId,
        work: impl FnOnce(&mut Self, &mut Document) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut document = match self.documents.pop(&id) {
            Some(document) if document.kind() == kind => document,
            _ => rows::document(&self.db, kind, id)?,
        };
        let result = work(self, &mut document);
        // After an error the document may be ahead of the database.
        if result.is_ok() {
            self.documents.put(id, document);
        }
        result
    }

    /// 32 random bytes.
    pub(crate) fn random_bytes(&mut self) -> [u8; 32] {
        use rand::Rng;
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// So many characters of 5 random bits each.
    pub(crate) fn random_text(&mut self, length: usize) -> String {
        use rand::RngExt;
        (0..length)
            .map(|_| char::from(ALPHABET[self.rng.random_range(0..32usize)]))
            .collect()
    }
}

/// A generator that begins with randomness of the system's.
pub(crate) fn system_chance() -> Result<StdRng, EngineError> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|error| EngineError::Random(error.to_string()))?;
    Ok(StdRng::from_seed(seed))
}

/// Changes whenever another connection commits.
fn data_version(db: &Connection) -> Result<i64, DbError> {
    let mut statement = db.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// The size of a cache; at least one.
pub(crate) const fn capacity(size: usize) -> NonZeroUsize {
    match NonZeroUsize::new(size) {
        Some(size) => size,
        None => NonZeroUsize::MIN,
    }
}

/// Name of the database in the server's folder.
pub const DATABASE: &str = "server.db";

/// SHA-256, for secrets that are only ever compared.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
