//! What the HTTP handlers share: the writer, the readers, and what is known by
//! heart.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension};

use shaodao_core::domain;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, PersonId};
use shaodao_core::sync::wire::{Judgement, Standing, SyncReply, SyncRequest, Unreadable};

use crate::clock::{Clock, Jump};
use crate::db::{self, DbError};
use crate::engine::{Caller, DATABASE, Engine, EngineError, sha256};
use crate::feed;
use crate::ingest::{Checked, KnownDevice, check};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::private;
use crate::timers::BATCH;
use crate::writer::{WriteFailed, Writer};

/// A phone's digest is compared once in so long, milliseconds.
const CHECK_EVERY_MS: i64 = 3_600_000;
/// When a phone was heard of is written down once in so long, milliseconds.
const NOTE_EVERY_MS: i64 = 60_000;
/// Most envelopes judged in one transaction, so that one phone with a month's
/// backlog does not hold up the others.
const JUDGE_AT_ONCE: usize = 256;
/// Signatures checked by one task.
const CHECK_AT_ONCE: usize = 64;

/// The running server, without its sockets.
pub struct App {
    /// Time.
    pub clock: Clock,
    /// The one writer.
    pub writer: Writer,
    /// Who is who and what is where.
    pub directory: Arc<Directory>,
    /// For operators.
    pub metrics: Metrics,
    /// For phones that want to hear at once.
    pub live: Live,
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    devices: RwLock<HashMap<DeviceId, KnownDevice>>,
    /// When each phone's contact was last written down.
    noted: Mutex<HashMap<DeviceId, i64>>,
    epoch: Vec<u8>,
}

impl App {
    /// Opens the database in `folder` and starts the writer. The thread ends
    /// when the app is dropped.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn start(
        folder: &Path,
        clock: Clock,
        directory_json: &[u8],
    ) -> Result<(Arc<Self>, JoinHandle<()>), EngineError> {
        let engine = Engine::open(folder, clock.clone(), directory_json)?;
        let epoch = db::meta(&engine.db, "epoch")?.unwrap_or_default();
        let directory = engine.directory();
        let (writer, thread) = Writer::start(engine)
            .map_err(|_| EngineError::Malformed("the system gave no thread"))?;
        let app = Self {
            clock,
            writer,
            directory,
            metrics: Metrics::new(),
            live: Live::new(),
            path: folder.join(DATABASE),
            readers: Mutex::new(Vec::new()),
            devices: RwLock::new(HashMap::new()),
            noted: Mutex::new(HashMap::new()),
            epoch,
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

    /// The device that a session token belongs to.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn caller(&self, token: &str) -> Result<Option<Caller>, DbError> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT device, person FROM device WHERE token_hash = ?1")?;
            let caller = statement.query_row([sha256(token.as_bytes())], |row| {
                Ok(Caller {
                    device: row.get(0).map(DeviceId)?,
                    person: row.get(1).map(PersonId)?,
                })
            });
            Ok(caller.optional()?)
        })
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

    /// Answers a sync request: judges what was pushed, then pulls.
    ///
    /// # Errors
    /// See [`WriteFailed`]; whatever was judged before stays judged, and the
    /// phone will send everything again.
    pub async fn sync(
        self: &Arc<Self>,
        caller: Caller,
        request: SyncRequest,
    ) -> Result<SyncReply, WriteFailed> {
        let checked = self.check_all(&request).await?;
        let mut verdicts = Vec::new();
        let mut unreadable = Vec::new();
        let mut authentic = Vec::new();
        self.note_contact(caller.device).await?;
        let now_ms = self.believed_ms();
        for (index, checked) in checked.into_iter().enumerate() {
            match checked {
                Checked::Authentic(sealed) => authentic.push(*sealed),
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
        while !authentic.is_empty() {
            let rest = authentic.split_off(authentic.len().min(JUDGE_AT_ONCE));
            let batch = std::mem::replace(&mut authentic, rest);
            let judged = self
                .writer
                .submit(move |engine| {
                    batch
                        .iter()
                        .map(|sealed| engine.judge(sealed))
                        .collect::<Result<Vec<_>, _>>()
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
        for verdict in &verdicts {
            self.metrics.verdict(verdict.standing.word());
        }
        unreadable
            .iter()
            .for_each(|_| self.metrics.verdict("unreadable"));
        if !(verdicts.is_empty() && kept.is_empty()) {
            self.live.announce();
        }
        let app = self.clone();
        let reply = blocking(move || app.reply(&caller, &request, verdicts, unreadable)).await?;
        let reply = SyncReply {
            private_kept: kept.iter().map(|item| item.0.to_vec().into()).collect(),
            ..reply
        };
        Ok(reply)
    }

    /// Writes down now and then when a phone was heard of.
    async fn note_contact(&self, device: DeviceId) -> Result<(), WriteFailed> {
        let now_ms = self.clock.now_ms();
        let quiet = {
            let mut noted = lock(&self.noted);
            let before = noted.insert(device, now_ms);
            let quiet = before.filter(|before| now_ms - before < NOTE_EVERY_MS);
            noted.extend(quiet.map(|before| (device, before)));
            quiet.is_some()
        };
        match quiet {
            true => Ok(()),
            false => {
                let note = move |engine: &mut Engine| engine.note_contact(device);
                self.writer.submit(note).await
            }
        }
    }

    /// Checks what was pushed, on as many threads as there are.
    async fn check_all(
        self: &Arc<Self>,
        request: &SyncRequest,
    ) -> Result<Vec<Checked>, WriteFailed> {
        let mut parts = Vec::new();
        for part in request.push.chunks(CHECK_AT_ONCE) {
            let part: Vec<Vec<u8>> = part.iter().map(|bytes| bytes.to_vec()).collect();
            let app = self.clone();
            parts.push(tokio::spawn(blocking(move || app.check_some(&part))));
        }
        let mut checked = Vec::with_capacity(request.push.len());
        for part in parts {
            checked.extend(part.await.map_err(|_| WriteFailed::Stopping)??);
        }
        Ok(checked)
    }

    fn check_some(&self, push: &[Vec<u8>]) -> Result<Vec<Checked>, DbError> {
        let mut failed = None;
        let checked = push
            .iter()
            .map(|bytes| {
                check(bytes, &self.directory.street, |device| {
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

    fn reply(
        &self,
        caller: &Caller,
        request: &SyncRequest,
        verdicts: Vec<Judgement>,
        unreadable: Vec<Unreadable>,
    ) -> Result<SyncReply, DbError> {
        let just_sent: BTreeSet<EnvelopeHash> =
            verdicts.iter().map(|verdict| verdict.hash).collect();
        let keys = feed::keys_of(self.directory.keys_of(&caller.person), caller.device);
        let audience = sha256(keys.join("\n").as_bytes());
        let another_life = !request.epoch.is_empty() && request.epoch != self.epoch;
        // Whoever sees more than before starts over; so does whoever comes from
        // another life of this server.
        let widened = !request.audience.is_empty() && request.audience != audience;
        let cursor = match another_life || widened {
            true => 0,
            false => request.cursor,
        };
        let now_ms = self.believed_ms();
        self.read(|db| {
            // One snapshot for all of the reply.
            let snapshot = db.unchecked_transaction()?;
            let start_over =
                cursor > 0 && self.differs(&snapshot, caller, request, &keys, now_ms)?;
            let cursor = if start_over { 0 } else { cursor };
            let budget = usize::try_from(request.budget)
                .unwrap_or(usize::MAX)
                .min(2 << 20);
            let pulled = feed::pull(&snapshot, &keys, caller.device, cursor, budget, &just_sent)?;
            let readers = domain::private::keys_of(&self.directory, &caller.person);
            let private_cursor = match another_life || widened {
                true => 0,
                false => request.private_cursor,
            };
            let private = private::pull(&snapshot, &readers, private_cursor)?;
            let directory = match request.directory == self.directory.version {
                true => None,
                false => db::meta::<Vec<u8>>(&snapshot, "directory")?.map(Into::into),
            };
            self.metrics
                .feed_head
                .set(feed::head(&snapshot)?.cast_signed());
            let all = verdicts.iter().chain(&pulled.verdicts);
            Ok(SyncReply {
                epoch: self.epoch.clone(),
                server_ms: now_ms,
                verdicts: all.map(Judgement::to_wire).collect(),
                items: pulled.items,
                cursor: pulled.cursor,
                more: pulled.more || private.more,
                directory,
                // The reply itself begins at 0 already; the phone keeps the
                // cursor that it ends with.
                start_over: false,
                drops: Vec::new(),
                audience: audience.to_vec(),
                unreadable,
                private: private.items,
                private_cursor: private.cursor,
                private_kept: Vec::new(),
            })
        })
    }

    /// Whether phone and server hold different things up to the phone's
    /// cursor; looked at once in [`CHECK_EVERY_MS`].
    fn differs(
        &self,
        db: &Connection,
        caller: &Caller,
        request: &SyncRequest,
        keys: &[String],
        now_ms: i64,
    ) -> Result<bool, DbError> {
        let checked: Option<i64> = db.query_row(
            "SELECT checked_ms FROM device WHERE device = ?1",
            [caller.device.0],
            |row| row.get(0),
        )?;
        // What is being pushed is not in the phone's count yet.
        let quiet = request.push.is_empty();
        if !quiet || checked.is_some_and(|checked| now_ms - checked < CHECK_EVERY_MS) {
            return Ok(false);
        }
        let (count, digest) = feed::census(db, keys, request.cursor)?;
        let app = self.writer.clone();
        let device = caller.device;
        tokio::runtime::Handle::current().spawn(async move {
            // Only a note for the next time; a lost one costs one more check.
            let _ = app
                .submit(move |engine| {
                    engine.db.execute(
                        "UPDATE device SET checked_ms = ?2 WHERE device = ?1",
                        rusqlite::params![device.0, now_ms],
                    )?;
                    Ok(())
                })
                .await;
        });
        let same = count == request.count && digest.as_slice() == request.digest;
        if !same {
            tracing::warn!(device = %caller.device, count, theirs = request.count, "digests differ");
        }
        Ok(!same)
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
