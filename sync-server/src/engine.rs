//! The one writer. Everything that changes the database is a method of
//! [`Engine`], split over the modules of the sentence: [`crate::ingest`] judges
//! and writes, [`crate::projection`] projects, [`crate::feed`] publishes,
//! [`crate::escalate`] escalates.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use lru::LruCache;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use shaodao_core::document::Document;
use shaodao_core::domain::action::RecordKind;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::ids::{BootId, DeviceId, PersonId, RecordId};
use shaodao_core::pack::{self, PackError};
use shaodao_core::sync::wire::{EnrolReply, EnrolRequest};

use crate::clock::{Clock, Watch};
use crate::db::{self, DbError, rows};

/// Documents kept in memory between requests.
const CACHED_DOCUMENTS: NonZeroUsize = capacity(1_000);
/// Audience keys kept in memory between requests.
const CACHED_KEYS: NonZeroUsize = capacity(4_096);
/// A ticket is worth something for so long, milliseconds.
pub const TICKET_MS: i64 = 15 * 60_000;

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
    /// The ticket is unknown, used or too old.
    #[error("the ticket is not valid")]
    Ticket,
    /// Nobody by that name in the directory.
    #[error("{0} is not in the directory")]
    UnknownPerson(String),
    /// The request's fields make no sense.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
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
}

/// The steps of a transaction that performs an escalation, for rehearsals of
/// what happens when the server dies between two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The timer is gone.
    TimerTaken,
    /// The row that makes it happen once is there.
    EscalationNoted,
    /// The escalated whistle says so.
    EscalateWritten,
    /// The street's whistle is there.
    StreetOpened,
    /// The record says when overdue phones were last heard of.
    LastHeardWritten,
    /// Everything is done and nothing is committed.
    BeforeCommit,
    /// It is on the disk, and nobody has heard of it.
    Committed,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Step; 7] = [
        Self::TimerTaken,
        Self::EscalationNoted,
        Self::EscalateWritten,
        Self::StreetOpened,
        Self::LastHeardWritten,
        Self::BeforeCommit,
        Self::Committed,
    ];
}

/// Is told of every step.
pub type Rehearse = Box<dyn FnMut(Step) + Send>;

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
    data_version: i64,
    /// Personal data was destroyed; the write-ahead log still has its pages.
    pub(crate) must_empty_log: bool,
    rng: StdRng,
}

impl Engine {
    /// Opens the database in `folder`, made if need be. An empty one starts
    /// with `directory_json`.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn open(folder: &Path, clock: Clock, directory_json: &[u8]) -> Result<Self, EngineError> {
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed).map_err(|error| EngineError::Random(error.to_string()))?;
        let mut rng = StdRng::from_seed(seed);
        let mut db = db::open(&folder.join(DATABASE))?;
        // Another process may be opening it as well.
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(now_ms) = db::meta::<i64>(&transaction, "rehearsal_now_ms")? {
            clock.set(now_ms);
        }
        let json = match db::meta::<Vec<u8>>(&transaction, "directory")? {
            Some(json) => json,
            None => {
                db::set_meta(&transaction, "directory", &directory_json)?;
                directory_json.to_vec()
            }
        };
        if db::meta::<Vec<u8>>(&transaction, "epoch")?.is_none() {
            db::set_meta(&transaction, "epoch", &DeviceId::random(&mut rng).0)?;
        }
        let (device, key) = identity(&transaction, &mut rng, clock.now_ms())?;
        transaction.commit()?;
        Ok(Self {
            data_version: data_version(&db)?,
            db,
            directory: Arc::new(pack::directory(&json)?),
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
            rng,
        })
    }

    /// Who is who and what is where.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.clone()
    }

    /// Tells `rehearse` of every step from here on; it may end the process.
    pub fn rehearse(&mut self, rehearse: Rehearse) {
        self.rehearse = Some(rehearse);
    }

    /// A step has been made.
    pub(crate) fn at(&mut self, step: Step) {
        if let Some(rehearse) = &mut self.rehearse {
            rehearse(step);
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
        self.at(Step::BeforeCommit);
        if let Err(error) = self.db.execute_batch("COMMIT") {
            let _ = self.db.execute_batch("ROLLBACK");
            self.forget();
            return Err(error.into());
        }
        self.at(Step::Committed);
        self.empty_log()?;
        Ok(result)
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
    fn empty_log(&mut self) -> Result<(), EngineError> {
        if self.must_empty_log {
            let busy: bool = self
                .db
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            self.must_empty_log = busy;
        }
        Ok(())
    }

    /// After a rollback memory may be ahead of the database.
    fn forget(&mut self) {
        self.documents.clear();
        self.keys.clear();
    }

    /// If another process has written, memory is behind the database.
    fn notice_others(&mut self) -> Result<(), EngineError> {
        let data_version = data_version(&self.db)?;
        if data_version != self.data_version {
            self.data_version = data_version;
            self.forget();
        }
        Ok(())
    }

    /// Writes down when a phone was heard of.
    pub(crate) fn note_contact(&mut self, device: DeviceId) -> Result<(), EngineError> {
        self.db
            .prepare_cached("UPDATE device SET last_sync_ms = ?2 WHERE device = ?1")?
            .execute(params![device.0, self.believed_ms()])?;
        Ok(())
    }

    /// Opens a ticket for a person: 10 characters, to be typed within 15
    /// minutes, good for one device.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn open_ticket(&mut self, person: &PersonId) -> Result<String, EngineError> {
        if self.directory.person(person).is_none() {
            return Err(EngineError::UnknownPerson(person.0.clone()));
        }
        let ticket = self.random_text(10);
        let now_ms = self.clock.now_ms();
        self.db.execute(
            "INSERT INTO ticket (hash, person, expires_ms) VALUES (?1, ?2, ?3)",
            params![sha256(ticket.as_bytes()), person.0, now_ms + TICKET_MS],
        )?;
        db::audit(&self.db, now_ms, "ticket", "administrator", &person.0)?;
        Ok(ticket)
    }

    /// Takes a ticket and makes the phone one of the street's devices.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn enrol(&mut self, request: &EnrolRequest) -> Result<EnrolReply, EngineError> {
        let now_ms = self.clock.now_ms();
        let device =
            DeviceId::from_slice(&request.device).ok_or(EngineError::Malformed("device"))?;
        let key: [u8; 32] = request
            .key
            .as_slice()
            .try_into()
            .map_err(|_| EngineError::Malformed("key"))?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key)
            .map_err(|_| EngineError::Malformed("key"))?;
        if key.is_weak() || request.app.len() > 40 {
            return Err(EngineError::Malformed("key or app"));
        }
        let ticket = request.ticket.trim().to_uppercase();
        let hash = sha256(ticket.as_bytes());
        let person: Option<String> = self
            .db
            .query_row(
                "DELETE FROM ticket WHERE hash = ?1 AND expires_ms >= ?2 RETURNING person",
                params![hash, now_ms],
                |row| row.get(0),
            )
            .optional()?;
        let person = person.ok_or(EngineError::Ticket)?;
        let token = self.random_text(52);
        let taken = self.db.execute(
            "INSERT OR IGNORE INTO device (device, person, key, token_hash, app, enrolled_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                device.0,
                person,
                key.to_bytes(),
                sha256(token.as_bytes()),
                request.app,
                now_ms
            ],
        )?;
        if taken == 0 {
            return Err(EngineError::Malformed("the device id is taken"));
        }
        db::audit(&self.db, now_ms, "enrol", &person, &device.to_string())?;
        Ok(EnrolReply {
            token,
            person,
            street: self.directory.street.clone(),
            epoch: db::meta(&self.db, "epoch")?.unwrap_or_default(),
            server_ms: now_ms,
            directory: db::meta(&self.db, "directory")?.unwrap_or_default(),
        })
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

    fn random_text(&mut self, length: usize) -> String {
        use rand::RngExt;
        // Crockford's base 32: no letter that could be read as a digit.
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        (0..length)
            .map(|_| char::from(ALPHABET[self.rng.random_range(0..32usize)]))
            .collect()
    }
}

/// Changes whenever another connection commits.
fn data_version(db: &Connection) -> Result<i64, DbError> {
    let mut statement = db.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// The size of a cache; at least one.
const fn capacity(size: usize) -> NonZeroUsize {
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

/// The server's own device and key, made on first use.
fn identity(
    db: &Connection,
    rng: &mut StdRng,
    now_ms: i64,
) -> Result<(DeviceId, SigningKey), EngineError> {
    use rand::Rng;
    let id: Option<[u8; 16]> = db::meta(db, "device")?;
    let secret: Option<[u8; 32]> = db::meta(db, "device_key")?;
    if let (Some(id), Some(secret)) = (id, secret) {
        return Ok((DeviceId(id), SigningKey::from_bytes(&secret)));
    }
    let id = DeviceId::random(rng);
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let key = SigningKey::from_bytes(&secret);
    db::set_meta(db, "device", &id.0)?;
    db::set_meta(db, "device_key", &secret)?;
    db.execute(
        "INSERT INTO device (device, person, key, token_hash, app, enrolled_ms)
         VALUES (?1, ?2, ?3, NULL, ?4, ?5)",
        params![
            id.0,
            PersonId::SERVER,
            key.verifying_key().to_bytes(),
            env!("CARGO_PKG_VERSION"),
            now_ms
        ],
    )?;
    Ok((id, key))
}
