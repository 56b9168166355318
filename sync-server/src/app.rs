//! What the HTTP handlers share: the writer, the readers, and what is known by
//! heart.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use shaodao_core::domain::directory::{DeviceState, Directory};
use shaodao_core::domain::ids::{DeviceId, PersonId, SealedId};
use shaodao_core::sync::wire::{
    EnrolReply, Judgement, SessionReply, SessionRequest, Standing, SyncReply, SyncRequest,
    Unreadable,
};

use crate::clock::{Clock, Jump};
use crate::db::{self, DbError};
use crate::devices::Note;
use crate::directory;
use crate::engine::{Caller, DATABASE, Engine, EngineError, sha256};
use crate::evidence::settings::Settings;
use crate::evidence::{Evidence, Refused};
use crate::feed;
use crate::ingest::{Arrived, Checked, KnownDevice, check};
use crate::limits::Limits;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::quota::{self, OverQuota};
use crate::receipt::Receipts;
use crate::session::{self, Challenges};
use crate::timers::BATCH;
use crate::writer::{WriteFailed, Writer};

/// What a quiet phone says of itself is written down once in so long,
/// milliseconds.
const NOTE_EVERY_MS: i64 = 60_000;
/// Most envelopes judged in one transaction, so that one phone with a month's
/// backlog does not hold up the others.
const JUDGE_AT_ONCE: usize = 256;
/// Signatures checked by one task.
const CHECK_AT_ONCE: usize = 64;

mod reply;

/// The running server, without its sockets.
pub struct App {
    /// Time.
    pub clock: Clock,
    /// The one writer.
    pub writer: Writer,
    /// For operators.
    pub metrics: Metrics,
    /// For phones that want to hear at once.
    pub live: Live,
    /// Photos and voice notes.
    pub evidence: Arc<Evidence>,
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    devices: RwLock<HashMap<DeviceId, KnownDevice>>,
    /// The edition in force when somebody last looked.
    directory: RwLock<Arc<Directory>>,
    /// When each phone's contact was last written down.
    noted: Mutex<HashMap<DeviceId, i64>>,
    /// Digests of audience keys that are in the database.
    audiences: Mutex<BTreeSet<[u8; 32]>>,
    challenges: Challenges,
    epoch: Vec<u8>,
    receipts: Receipts,
}

/// Whose reply it is, and what it is made from.
struct Answering {
    caller: Caller,
    directory: Arc<Directory>,
    keys: Vec<String>,
    audience: [u8; 32],
}

/// A sync request that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum SyncFailed {
    /// Something could not be written or read.
    #[error(transparent)]
    Write(#[from] WriteFailed),
    /// The day's limit of the device is reached, and nothing of what was pushed
    /// fits.
    #[error("the day's limit is reached")]
    OverQuota(OverQuota),
}

impl App {
    /// Opens the database in `folder` and starts the writer, with the settings
    /// that nobody has changed. The thread ends when the app is dropped.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start(
        folder: &Path,
        clock: Clock,
        directory_json: &[u8],
    ) -> Result<(Arc<Self>, JoinHandle<()>), EngineError> {
        let engine = Engine::open(folder, clock, directory_json)?;
        Self::start_on(folder, engine, Settings::default())
    }

    /// The same on an open database, with settings of evidence.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start_on(
        folder: &Path,
        engine: Engine,
        evidence: Settings,
    ) -> Result<(Arc<Self>, JoinHandle<()>), EngineError> {
        let idle = Duration::from_secs(Limits::default().body_timeout_s);
        let evidence = Evidence::open(evidence, folder, idle)?;
        Self::start_with(folder, engine, evidence)
    }

    /// The same with evidence of its own.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start_with(
        folder: &Path,
        engine: Engine,
        evidence: Arc<Evidence>,
    ) -> Result<(Arc<Self>, JoinHandle<()>), EngineError> {
        let clock = engine.clock.clone();
        let epoch = db::meta(&engine.db, "epoch")?.unwrap_or_default();
        let receipts = Receipts::open(&engine.db)?;
        let directory = engine.directory();
        let (writer, thread) = Writer::start(engine)
            .map_err(|_| EngineError::Malformed("the system gave no thread"))?;
        let app = Self {
            clock,
            writer,
            metrics: Metrics::new(),
            live: Live::new(),
            evidence,
            path: folder.join(DATABASE),
            readers: Mutex::new(Vec::new()),
            devices: RwLock::new(HashMap::new()),
            directory: RwLock::new(directory),
            noted: Mutex::new(HashMap::new()),
            audiences: Mutex::new(BTreeSet::new()),
            challenges: Challenges::new(),
            epoch,
            receipts,
        };
        Ok((Arc::new(app), thread))
    }

    /// Runs `work` on a reading connection.
    ///
    /// # Errors
    /// As `work`, or no connection.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let pooled = lock(&self.readers).pop();
        let reader = match pooled {
            Some(reader) => reader,
            None => db::connect(&self.path)?,
        };
        let result = work(&reader);
        lock(&self.readers).push(reader);
        result
    }

    /// The directory in force; an administrator's process may have made a new
    /// edition a moment ago.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn directory(&self) -> Result<Arc<Directory>, EngineError> {
        let known = {
            let directory = self.directory.read();
            directory.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let version = self.read(directory::version)?;
        if version == known.version {
            return Ok(known);
        }
        let pack = self.read(|db| Ok(directory::current(db)))?;
        let fresh = Arc::new(pack?);
        let mut directory = self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        directory.clone_from(&fresh);
        tracing::info!(version, "a new edition of the directory");
        Ok(fresh)
    }

    /// The device that a session token belongs to.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn caller(&self, token: &str) -> Result<Option<Caller>, DbError> {
        let now_ms = self.clock.now_ms();
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT device, person, state FROM device
                 WHERE token_hash = ?1 AND token_expires_ms > ?2",
            )?;
            let key = rusqlite::params![sha256(token.as_bytes()), now_ms];
            let caller = statement.query_row(key, |row| {
                let state: u8 = row.get(2)?;
                Ok(Caller {
                    device: row.get(0).map(DeviceId)?,
                    person: row.get(1).map(PersonId)?,
                    state: DeviceState::from_code(state).unwrap_or(DeviceState::Suspended),
                })
            });
            Ok(caller.optional()?)
        })
    }

    /// Looks at the clock. A server does so before it answers anybody: receipts and
    /// what phones anchor their clocks in follow the time that is believed, and
    /// before the first look there is nothing to doubt the machine's clock by.
    ///
    /// # Errors
    /// See [`WriteFailed`].
    pub async fn look_at_clock(&self) -> Result<(), WriteFailed> {
        let jump = self.writer.submit(Engine::watch_clock).await?;
        self.heed_clock(jump);
        Ok(())
    }

    /// Fires what is due, oldest first, and says so if the clock is not to be
    /// believed. Returns how many escalations and marks were performed.
    ///
    /// # Errors
    /// See [`WriteFailed`]; what was not fired stays due.
    pub async fn watch_deadlines(&self) -> Result<usize, WriteFailed> {
        let mut performed = 0;
        let mut after = None;
        loop {
            let fired = self
                .writer
                .submit(move |engine| engine.fire_timers(after, BATCH))
                .await?;
            performed += fired.performed;
            self.heed_clock(fired.jump);
            after = fired.more;
            if after.is_none() {
                break;
            }
        }
        if performed > 0 {
            self.metrics.escalations.inc_by(performed as u64);
            self.live.announce();
        }
        Ok(performed)
    }

    /// The server's time as far as it is believed: phones anchor theirs in it.
    fn believed_ms(&self) -> i64 {
        let ahead_ms = self.metrics.clock_jump_ms.get().max(0);
        self.clock.now_ms().saturating_sub(ahead_ms)
    }

    /// Says once what the clock does, and keeps it for operators to see.
    fn heed_clock(&self, jump: Option<Jump>) {
        let ahead_ms = jump.map_or(0, |jump| jump.ahead_ms);
        let before_ms = self.metrics.clock_jump_ms.set(ahead_ms);
        match (before_ms.signum(), ahead_ms.signum()) {
            (before, now) if before == now => {}
            (_, 1) => tracing::error!(
                ahead_ms,
                "the clock has jumped forward: no deadline fires until it is right again, or \
                 `shaodao-server admin clock confirm` says that it is"
            ),
            (_, -1) => tracing::warn!(
                ahead_ms,
                "the clock has been set back: deadlines fire late; `shaodao-server admin clock \
                 confirm` says that it is right"
            ),
            _ => tracing::info!("the clock is plausible"),
        }
    }

    /// Gives a device a challenge, or a session for a signed one; `None` if it
    /// is not one of the street's devices or did not prove that it is.
    ///
    /// # Errors
    /// See [`WriteFailed`].
    pub async fn session(
        &self,
        request: SessionRequest,
    ) -> Result<Option<SessionReply>, WriteFailed> {
        let device =
            DeviceId::from_slice(&request.device).ok_or(EngineError::Malformed("device"))?;
        let now_ms = self.clock.now_ms();
        // Whether there is such a device is told to whoever proves to be it: a
        // challenge is drawn for anybody, and its answer checked against some key.
        let known = self.known_device(device).map_err(EngineError::from)?;
        if request.signature.is_empty() {
            let challenge = match known {
                Some(_) => self.challenges.draw(device, now_ms)?,
                None => session::random_challenge()?,
            };
            return Ok(Some(SessionReply {
                challenge,
                session: None,
            }));
        }
        let challenge = self.challenges.take(device, now_ms);
        let proven = self
            .read(|db| {
                let nobodys = session::nobodys_key(db)?;
                let key = known.as_ref().map_or(&nobodys, |known| &known.key);
                let drawn = challenge.as_deref().unwrap_or_default();
                session::is_proven(db, device, key, drawn, &request.signature)
            })
            .map_err(EngineError::from)?;
        if !proven || known.is_none() || challenge.is_none() {
            return Ok(None);
        }
        let session: EnrolReply = self
            .writer
            .submit(move |engine| engine.open_session(device, request.directory, &request.app))
            .await?;
        Ok(Some(SessionReply {
            challenge: Vec::new(),
            session: Some(session),
        }))
    }

    /// Answers a sync request: judges what was pushed, then pulls.
    ///
    /// # Errors
    /// See [`SyncFailed`]; whatever was judged before stays judged, and the
    /// phone will send everything again.
    pub async fn sync(
        self: &Arc<Self>,
        caller: Caller,
        request: SyncRequest,
        limits: &Limits,
    ) -> Result<SyncReply, SyncFailed> {
        let directory = self.directory().map_err(WriteFailed::Engine)?;
        let checked = self.check_all(&request, &directory.street).await?;
        let mut verdicts = Vec::new();
        let mut unreadable = Vec::new();
        let mut authentic = Vec::new();
        let now_ms = self.believed_ms();
        let mut note = self.note(&caller, &request);
        for (index, checked) in checked.into_iter().enumerate() {
            match checked {
                Checked::Authentic(sealed) => authentic.push(Arrived {
                    received_before_ms: self.receipts.received_at_ms(&request, index, &sealed.hash),
                    sealed: *sealed,
                }),
                Checked::Refused(hash, reason) => verdicts.push(Judgement {
                    hash,
                    standing: Standing::Refused,
                    reason: Some(reason),
                    seen: None,
                    received_at_ms: now_ms,
                }),
                Checked::Unreadable(reason) => unreadable.push(Unreadable {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    reason: reason.code().to_owned(),
                }),
            }
        }
        if !authentic.is_empty() {
            let (app, limits, device) = (self.clone(), limits.clone(), caller.device);
            let fitted = blocking(move || {
                app.read(|db| quota::fitting(db, &limits, device, now_ms, authentic))
            });
            let (fits, over) = fitted.await?;
            match over {
                Some(over) if fits.is_empty() && verdicts.is_empty() && unreadable.is_empty() => {
                    return Err(SyncFailed::OverQuota(over));
                }
                // The rest gets no verdict: it stays in the phone's outbox.
                _ => authentic = fits,
            }
        }
        while !authentic.is_empty() {
            let rest = authentic.split_off(authentic.len().min(JUDGE_AT_ONCE));
            let batch = std::mem::replace(&mut authentic, rest);
            let note = note.take();
            let judged = self
                .writer
                .submit(move |engine| {
                    if let Some(note) = &note {
                        engine.note_contact(note)?;
                    }
                    engine.judge_all(&batch)
                })
                .await?;
            verdicts.extend(judged);
        }
        let kept = match request.private.is_empty() {
            true => Vec::new(),
            false => {
                let items = request.private.clone();
                let device = caller.device;
                self.writer
                    .submit(move |engine| engine.take_private(device, &items))
                    .await?
            }
        };
        let evidence_kept = self.keep_evidence_keys(&caller, &request).await?;
        for verdict in &verdicts {
            self.metrics.verdict(verdict.standing.word());
        }
        unreadable
            .iter()
            .for_each(|_| self.metrics.verdict("unreadable"));
        if !(verdicts.is_empty() && kept.is_empty() && evidence_kept.is_empty()) {
            self.live.announce();
        }
        if let Some(note) = note {
            // Nobody waits for it; a lost one is made again in a minute.
            let writer = self.writer.clone();
            tokio::spawn(async move {
                let _ = writer
                    .submit(move |engine| engine.note_contact(&note))
                    .await;
            });
        }
        let answering = self.answering(caller, directory).await?;
        let app = self.clone();
        let reply = blocking(move || app.reply(&answering, &request, verdicts, unreadable)).await?;
        let reply = SyncReply {
            private_kept: kept.iter().map(|item| item.0.to_vec().into()).collect(),
            evidence_kept: (!evidence_kept.is_empty()).then(|| {
                let kept = evidence_kept.iter();
                kept.map(|sealed| sealed.0.to_vec().into()).collect()
            }),
            ..reply
        };
        Ok(reply)
    }

    /// Keeps keys of evidence that a phone brings, and makes sure, after a
    /// restore, that the news which it gets are true.
    async fn keep_evidence_keys(
        self: &Arc<Self>,
        caller: &Caller,
        request: &SyncRequest,
    ) -> Result<Vec<SealedId>, WriteFailed> {
        match self.evidence.be_sure(self).await {
            Ok(()) => {}
            Err(Refused::Write(error)) => return Err(error),
            Err(error) => {
                let said = error.to_string();
                return Err(EngineError::NotPossible(said).into());
            }
        }
        let Some(items) = request.evidence.clone().filter(|items| !items.is_empty()) else {
            return Ok(Vec::new());
        };
        let caller = caller.clone();
        self.writer
            .submit(move |engine| engine.take_evidence_keys(&caller, &items))
            .await
    }

    /// What a phone says of itself, if it is to be written down: with what it
    /// pushed, else now and then.
    fn note(&self, caller: &Caller, request: &SyncRequest) -> Option<Note> {
        let now_ms = self.believed_ms();
        let mut noted = lock(&self.noted);
        let before = noted.get(&caller.device);
        let quiet = before.is_some_and(|before| now_ms - before < NOTE_EVERY_MS);
        if quiet && request.push.is_empty() {
            return None;
        }
        noted.insert(caller.device, now_ms);
        let sent = u32::try_from(request.push.len()).unwrap_or(u32::MAX);
        Some(Note {
            device: caller.device,
            at_ms: now_ms,
            backlog: request.backlog.unwrap_or(0).saturating_sub(sent),
            app: request.app.clone(),
        })
    }

    /// The audience keys of a caller; they are kept by their digest, so that a
    /// phone that comes with another one can be told what it lost.
    async fn answering(
        &self,
        caller: Caller,
        directory: Arc<Directory>,
    ) -> Result<Answering, WriteFailed> {
        let keys = feed::keys_of(directory.keys_of(&caller.person), caller.device);
        let joined = keys.join("\n");
        let audience = sha256(joined.as_bytes());
        let known = lock(&self.audiences).contains(&audience);
        if !known {
            self.writer
                .submit(move |engine| {
                    engine.db.execute(
                        "INSERT OR IGNORE INTO audience_set (digest, keys) VALUES (?1, ?2)",
                        rusqlite::params![audience, joined],
                    )?;
                    Ok(())
                })
                .await?;
            lock(&self.audiences).insert(audience);
        }
        Ok(Answering {
            caller,
            directory,
            keys,
            audience,
        })
    }

    /// Checks what was pushed, on as many threads as there are.
    async fn check_all(
        self: &Arc<Self>,
        request: &SyncRequest,
        street: &str,
    ) -> Result<Vec<Checked>, WriteFailed> {
        let mut parts = Vec::new();
        for part in request.push.chunks(CHECK_AT_ONCE) {
            let part: Vec<Vec<u8>> = part.iter().map(|bytes| bytes.to_vec()).collect();
            let (app, street) = (self.clone(), street.to_owned());
            let check = move || app.check_some(&part, &street);
            parts.push(tokio::spawn(blocking(check)));
        }
        let mut checked = Vec::with_capacity(request.push.len());
        for part in parts {
            checked.extend(part.await.map_err(|_| WriteFailed::Stopping)??);
        }
        Ok(checked)
    }

    fn check_some(&self, push: &[Vec<u8>], street: &str) -> Result<Vec<Checked>, DbError> {
        let mut failed = None;
        let checked = push
            .iter()
            .map(|bytes| {
                check(bytes, street, |device| {
                    self.known_device(device).unwrap_or_else(|error| {
                        failed = Some(error);
                        None
                    })
                })
            })
            .collect();
        match failed {
            Some(error) => Err(error),
            None => Ok(checked),
        }
    }

    fn known_device(&self, device: DeviceId) -> Result<Option<KnownDevice>, DbError> {
        let remembered = {
            let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
            devices.get(&device).cloned()
        };
        if remembered.is_some() {
            return Ok(remembered);
        }
        let found: Option<([u8; 32], String)> = self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT key, person FROM device WHERE device = ?1")?;
            let found = statement.query_row([device.0], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(found.optional()?)
        })?;
        let Some((key, person)) = found else {
            return Ok(None);
        };
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key)
            .map_err(|_| DbError::Value("a device's key"))?;
        let known = KnownDevice {
            key,
            person: PersonId(person),
        };
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        devices.insert(device, known.clone());
        Ok(Some(known))
    }
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, WriteFailed> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| WriteFailed::Engine(error.into())),
        Err(_) => Err(WriteFailed::Stopping),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
