//! Bringing a piece: resumable by offset, one file for each device and piece,
//! and no byte of it twice.
//!
//! 1. [`Evidence::begin`]: is it attached, is there room? From then on it has a
//!    row; its file is as long as its offset.
//! 2. [`Evidence::receive`] appends what comes, for as long as it comes. What
//!    has arrived when the connection is cut counts. An offset that is told is on
//!    the disk.
//! 3. [`Evidence::finish`], once all is there: hash, key, signed hash; only then
//!    does it appear in [`super::objects`] and in the news.
//!
//! What can go wrong: (2) the sender is too slow, is cut, or a newer request
//! takes over: what came stays; the disk is full: likewise, and it is told; (3)
//! the bytes are not what was signed: all of it is dropped, so that it can come
//! again; the process dies between moving the file and the row: the next request
//! finds the object and writes the row.

use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_core::Stream;
use rusqlite::params;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::time::Instant;

use shaodao_core::domain::ids::{DeviceId, SealedId};

use super::catalogue::{self, Known};
use super::check::{Checked, Source, check};
use super::objects::{Name, blocking, flush_folder};
use super::room;
use super::turns::Holding;
use super::{Evidence, Refused, full_or};
use crate::app::App;
use crate::engine::{Caller, Engine, EngineError};

/// Written at once, bytes; more is not held of one upload.
const BATCH: usize = 256 * 1024;
const HOUR_MS: i64 = 3_600_000;
/// For how long a request goes on reading once a newer one waits, at most, and
/// how long nothing may come in that time.
const LAST_BYTES: Duration = Duration::from_secs(2);
const LAST_SILENCE: Duration = Duration::from_millis(200);

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are here.
    pub offset: u64,
    /// Bytes that there will be.
    pub length: u64,
    /// When it is given up, milliseconds; `None` once all of it is here.
    pub expires_ms: Option<i64>,
}

/// A hash over the body of one request, as tus has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// By which function.
    pub by: ChecksumBy,
    /// What it has to be.
    pub value: Vec<u8>,
}

/// Functions for such a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumBy {
    /// SHA-1, which tus asks for.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Evidence {
    /// How far a piece has come from this device. A request that is still
    /// bringing it puts down what it has and ends.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn progress(
        self: &Arc<Self>,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
    ) -> Result<Progress, Refused> {
        let rows = self.attached(app, caller, sealed)?;
        let length = rows[0].sealed_size();
        if arrived(&rows) {
            return Ok(whole(length));
        }
        let turn = self.turns.take((caller.device, sealed)).await?;
        let path = self.arriving_path(caller.device, sealed);
        let offset = blocking(move || durable_length(&path)).await?;
        if offset == length {
            return self.finish(app, caller, sealed, turn).await;
        }
        if offset == 0 && self.rests_for(app, &rows, caller.device, sealed).await? {
            return Ok(whole(length));
        }
        Ok(Progress {
            offset,
            length,
            expires_ms: self.expires_ms(app, caller.device, sealed)?,
        })
    }

    /// Begins to take a piece of so many bytes, or goes on.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was begun.
    pub async fn begin(
        self: &Arc<Self>,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
        length: u64,
    ) -> Result<Progress, Refused> {
        let rows = self.attached(app, caller, sealed)?;
        if rows[0].sealed_size() != length {
            let wanted = rows[0].sealed_size();
            return Err(Refused::Size { wanted });
        }
        if !arrived(&rows) && self.expires_ms(app, caller.device, sealed)?.is_none() {
            self.admit(app, caller.device, sealed, length).await?;
        }
        self.progress(app, caller, sealed).await
    }

    /// Takes more of a piece from `offset` on.
    ///
    /// # Errors
    /// See [`Refused`]; what came may be kept all the same.
    pub async fn receive(
        self: &Arc<Self>,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
        offset: u64,
        body: Body,
        checksum: Option<Checksum>,
    ) -> Result<Progress, Refused> {
        let rows = self.attached(app, caller, sealed)?;
        let length = rows[0].sealed_size();
        if arrived(&rows) {
            return match offset == length {
                true => Ok(whole(length)),
                false => Err(Refused::Offset { offset: length }),
            };
        }
        if self.expires_ms(app, caller.device, sealed)?.is_none() {
            self.admit(app, caller.device, sealed, length).await?;
        }
        let turn = self.turns.take((caller.device, sealed)).await?;
        let path = self.arriving_path(caller.device, sealed);
        let opened = {
            let path = path.clone();
            blocking(move || open_at_end(&path))
                .await
                .map_err(full_or)?
        };
        let (file, here) = opened;
        if here != offset {
            return Err(Refused::Offset { offset: here });
        }
        let taking = Taking {
            evidence: self.clone(),
            turn,
            body: body.into_data_stream(),
            file,
            from: offset,
            offset,
            length,
            idle: self.idle,
            sums: checksum.map(|checksum| (Sums::new(checksum.by), checksum.value)),
            last_until: None,
            behind: None,
        };
        // By itself: whatever has come is kept although the connection breaks
        // and nobody waits for the answer any more.
        let taken = tokio::spawn(taking.run()).await;
        let Taken {
            turn,
            offset,
            refused,
        } = taken.map_err(|_| Refused::Busy)??;
        app.metrics.evidence.received.inc_by(offset - here);
        match refused {
            Some(refused) => Err(refused),
            None if offset == length => self.finish(app, caller, sealed, turn).await,
            None => Ok(Progress {
                offset,
                length,
                expires_ms: self.refresh(app, caller.device, sealed).await?,
            }),
        }
    }

    /// Gives up an upload of this device.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn give_up(
        &self,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
    ) -> Result<(), Refused> {
        self.attached(app, caller, sealed)?;
        self.drop_upload(app, caller.device, sealed).await
    }

    /// The rows of a piece on which this caller may bring it: those that they
    /// may read, and their own.
    fn attached(
        &self,
        app: &App,
        caller: &Caller,
        sealed: SealedId,
    ) -> Result<Vec<Known>, Refused> {
        let mut rows = app.evidence_for(caller, &sealed)?;
        if rows.is_empty() {
            return Err(Refused::NoSuch);
        }
        rows.retain(|row| !row.erased);
        match rows.is_empty() {
            true => Err(Refused::Erased),
            false => Ok(rows),
        }
    }

    /// Gives an upload its row, if there is room.
    async fn admit(
        &self,
        app: &Arc<App>,
        device: DeviceId,
        sealed: SealedId,
        length: u64,
    ) -> Result<(), Refused> {
        let now_ms = app.clock.now_ms();
        let announced = app.read(|db| {
            if let Err(refused) = room::check(db, &self.settings, device, length, now_ms) {
                return Ok(Err(refused));
            }
            room::announced(db).map(Ok)
        })??;
        let coming: u64 = announced
            .iter()
            .map(|(device, sealed, length)| {
                let here = std::fs::metadata(self.arriving_path(*device, *sealed));
                length.saturating_sub(here.map_or(0, |here| here.len()))
            })
            .sum();
        if self.room.free_bytes()? < coming.saturating_add(length) {
            return Err(Refused::Full);
        }
        let expires_ms = self.expiry(now_ms);
        let insert = move |engine: &mut Engine| put_row(engine, device, sealed, length, expires_ms);
        app.writer.submit(insert).await?;
        Ok(())
    }

    /// When an upload is given up; `None` if it was not begun.
    fn expires_ms(
        &self,
        app: &App,
        device: DeviceId,
        sealed: SealedId,
    ) -> Result<Option<i64>, Refused> {
        use rusqlite::OptionalExtension;
        let found = app.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT expires_ms FROM upload WHERE device = ?1 AND sealed = ?2",
            )?;
            let found = statement.query_row(params![device.0, sealed.0], |row| row.get(0));
            Ok(found.optional()?)
        })?;
        Ok(found)
    }

    fn expiry(&self, now_ms: i64) -> i64 {
        now_ms + i64::from(self.settings.expire_hours) * HOUR_MS
    }

    /// Puts the end of an upload off, now and then.
    async fn refresh(
        &self,
        app: &Arc<App>,
        device: DeviceId,
        sealed: SealedId,
    ) -> Result<Option<i64>, Refused> {
        let now_ms = app.clock.now_ms();
        let late_ms = self.expiry(now_ms);
        let Some(expires_ms) = self.expires_ms(app, device, sealed)? else {
            return Ok(None);
        };
        if late_ms - expires_ms < (late_ms - now_ms) / 10 {
            return Ok(Some(expires_ms));
        }
        let update = move |engine: &mut Engine| {
            let sql = "UPDATE upload SET expires_ms = ?3 WHERE device = ?1 AND sealed = ?2";
            let late = params![device.0, sealed.0, late_ms];
            engine.db.prepare_cached(sql)?.execute(late)?;
            Ok(())
        };
        app.writer.submit(update).await?;
        Ok(Some(late_ms))
    }

    /// Checks what is all there, and publishes it; goes on although nobody waits
    /// for the answer any more.
    async fn finish(
        self: &Arc<Self>,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
        turn: Holding,
    ) -> Result<Progress, Refused> {
        let (evidence, app, caller) = (self.clone(), app.clone(), caller.clone());
        let finished = tokio::spawn(async move {
            let finished = evidence.check_and_publish(&app, &caller, sealed).await;
            drop(turn);
            finished
        });
        finished.await.map_err(|_| Refused::Busy)?
    }

    async fn check_and_publish(
        &self,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
    ) -> Result<Progress, Refused> {
        let rows = self.attached(app, caller, sealed)?;
        let (device, length) = (caller.device, rows[0].sealed_size());
        // From another of this person's phones.
        if arrived(&rows) {
            return Ok(whole(length));
        }
        let path = self.arriving_path(device, sealed);
        let Checked {
            named_right,
            right,
            wrong_key,
            untrue,
        } = self
            .check(sealed, self.unarrived(app, sealed)?, &path)
            .await?;
        if !named_right || (right.is_empty() && !untrue.is_empty()) {
            tracing::warn!(%device, named_right, "evidence is not what was signed");
            app.metrics.evidence.dropped.inc();
            self.drop_upload(app, device, sealed).await?;
            return Err(Refused::Hash);
        }
        if !wrong_key.is_empty() {
            tracing::warn!(%device, "a key does not open its evidence");
            let forget = move |engine: &mut Engine| engine.forget_evidence_keys(&wrong_key);
            app.writer.submit(forget).await?;
        }
        if right.is_empty() {
            return Err(Refused::Key);
        }
        if path.exists() {
            let name = Name::Piece(sealed);
            self.objects
                .adopt(&name, &path)
                .await
                .map_err(full_or_store)?;
        }
        self.publish(app, right, device, sealed).await?;
        Ok(whole(length))
    }

    /// All rows of a piece on which it stands and has not arrived.
    fn unarrived(&self, app: &App, sealed: SealedId) -> Result<Vec<Known>, Refused> {
        let mut rows = app.read(|db| catalogue::all_of(db, &sealed))?;
        rows.retain(|row| !row.erased && row.arrived_at_ms.is_none());
        Ok(rows)
    }

    async fn check(
        &self,
        sealed: SealedId,
        rows: Vec<Known>,
        path: &Path,
    ) -> Result<Checked, Refused> {
        let (objects, path) = (self.objects.clone(), path.to_owned());
        let checked = blocking(move || {
            let source = || match path.exists() {
                true => Ok(Source::File(path.clone())),
                false => {
                    let read = Handle::current().block_on(objects.read(&Name::Piece(sealed), None));
                    let read = read.map_err(std::io::Error::other)?;
                    read.map(Source::Object)
                        .ok_or_else(|| std::io::ErrorKind::NotFound.into())
                }
            };
            check(&sealed, &rows, source)
        });
        Ok(checked.await?)
    }

    /// Whether all of a piece rests in the store already, and the key on one of
    /// these rows opens it: after a crash or a restore, or because it came with
    /// another record. Who has no such key hears nothing of it.
    async fn rests_for(
        &self,
        app: &Arc<App>,
        rows: &[Known],
        device: DeviceId,
        sealed: SealedId,
    ) -> Result<bool, Refused> {
        if rows.iter().all(|row| row.key.is_none()) {
            return Ok(false);
        }
        let size = self.objects.size(&Name::Piece(sealed)).await?;
        if size != Some(rows[0].sealed_size()) {
            return Ok(false);
        }
        let path = self.arriving_path(device, sealed);
        let checked = self.check(sealed, rows.to_vec(), &path).await?;
        if !checked.named_right || checked.right.is_empty() {
            return Ok(false);
        }
        self.publish(app, checked.right, device, sealed).await?;
        Ok(true)
    }

    async fn publish(
        &self,
        app: &Arc<App>,
        rows: Vec<i64>,
        device: DeviceId,
        sealed: SealedId,
    ) -> Result<(), Refused> {
        let publish = move |engine: &mut Engine| {
            engine.evidence_arrived(&rows, device)?;
            engine.end_uploads(sealed)
        };
        app.writer.submit(publish).await?;
        app.metrics.evidence.arrived.inc();
        app.live.announce();
        Ok(())
    }

    /// Forgets what an upload has brought.
    pub(super) async fn drop_upload(
        &self,
        app: &Arc<App>,
        device: DeviceId,
        sealed: SealedId,
    ) -> Result<(), Refused> {
        let path = self.arriving_path(device, sealed);
        blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await?;
        let delete = move |engine: &mut Engine| {
            let sql = "DELETE FROM upload WHERE device = ?1 AND sealed = ?2";
            engine.db.execute(sql, params![device.0, sealed.0])?;
            Ok(())
        };
        app.writer.submit(delete).await?;
        Ok(())
    }

    /// The file of an upload; its name says whose and what.
    pub(super) fn arriving_path(&self, device: DeviceId, sealed: SealedId) -> PathBuf {
        self.arriving.join(format!("{device}-{sealed}"))
    }
}

impl Engine {
    /// Ends all uploads of a piece that has arrived; if it was erased in the
    /// meantime, its bytes go too.
    fn end_uploads(&mut self, sealed: SealedId) -> Result<(), EngineError> {
        self.db
            .execute("DELETE FROM upload WHERE sealed = ?1", [sealed.0])?;
        if !catalogue::stands(&self.db, &sealed)? {
            self.db.execute(
                "INSERT OR IGNORE INTO evidence_trash (sealed) VALUES (?1)",
                [sealed.0],
            )?;
        }
        Ok(())
    }
}

fn put_row(
    engine: &mut Engine,
    device: DeviceId,
    sealed: SealedId,
    length: u64,
    expires_ms: i64,
) -> Result<(), EngineError> {
    engine
        .db
        .prepare_cached(
            "INSERT INTO upload (device, sealed, length, expires_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (device, sealed) DO UPDATE SET expires_ms = excluded.expires_ms",
        )?
        .execute(params![
            device.0,
            sealed.0,
            length.cast_signed(),
            expires_ms
        ])?;
    Ok(())
}

fn arrived(rows: &[Known]) -> bool {
    rows.iter().any(|row| row.arrived_at_ms.is_some())
}

fn whole(length: u64) -> Progress {
    Progress {
        offset: length,
        length,
        expires_ms: None,
    }
}

fn full_or_store(error: super::objects::ObjectsError) -> Refused {
    match error {
        super::objects::ObjectsError::File { error, .. } => full_or(error),
        error => error.into(),
    }
}

/// The length of a file, which is on the disk when this returns.
fn durable_length(path: &Path) -> std::io::Result<u64> {
    match File::open(path) {
        Ok(file) => {
            file.sync_data()?;
            Ok(file.metadata()?.len())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Opens a file to append to; a new one is in its folder when this returns.
fn open_at_end(path: &Path) -> std::io::Result<(File, u64)> {
    let is_new = !path.exists();
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if is_new && let Some(folder) = path.parent() {
        flush_folder(folder)?;
    }
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// One request that brings something.
struct Taking {
    evidence: Arc<Evidence>,
    turn: Holding,
    body: BodyDataStream,
    file: File,
    from: u64,
    offset: u64,
    length: u64,
    idle: Duration,
    sums: Option<(Sums, Vec<u8>)>,
    /// A newer request waits: until when this one goes on at most.
    last_until: Option<Instant>,
    /// What was found behind the newest batch: the end, or a cut.
    behind: Option<Result<(), Refused>>,
}

/// What came of it.
struct Taken {
    turn: Holding,
    /// How much is on the disk.
    offset: u64,
    /// Why it ended before the last byte of the body; what came may count.
    refused: Option<Refused>,
}

impl Taking {
    /// Writes what comes.
    async fn run(mut self) -> Result<Taken, Refused> {
        let mut refused = loop {
            match self.next().await {
                Ok(Some(batch)) => match self.put(batch).await {
                    Ok(()) => {}
                    Err(refused) => break Some(refused),
                },
                Ok(None) => break None,
                Err(refused) => break Some(refused),
            }
        };
        if let Some((sums, value)) = self.sums.take() {
            let right = refused.is_none() && sums.value() == value;
            // A part of what a checksum speaks of proves nothing.
            if !right {
                self.offset = self.from;
                refused = refused.or(Some(Refused::Checksum));
            }
        }
        if matches!(refused, Some(Refused::TooMuch)) {
            self.offset = self.from;
        }
        let (file, offset) = (self.file, self.offset);
        let flushed = blocking(move || {
            if file.metadata()?.len() != offset {
                file.set_len(offset)?;
            }
            file.sync_data()
        });
        flushed.await.map_err(full_or)?;
        Ok(Taken {
            turn: self.turn,
            offset,
            refused,
        })
    }

    /// What has come by now, at most a batch; waits for the first of it.
    async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Refused> {
        if let Some(behind) = self.behind.take() {
            return behind.map(|()| None);
        }
        let first = poll_fn(|cx| Pin::new(&mut self.body).poll_next(cx));
        let first = match self.last_until {
            None => tokio::select! {
                first = tokio::time::timeout(self.idle, first) => first,
                () = self.turn.interrupted() => {
                    // What is on its way still counts: the newer request comes
                    // from the same phone, which would have to send it again.
                    self.last_until = Some(Instant::now() + LAST_BYTES);
                    return Ok(Some(Vec::new()));
                }
            },
            Some(until) => {
                let silence = until.min(Instant::now() + LAST_SILENCE);
                tokio::time::timeout_at(silence, first).await
            }
        };
        let first = match first {
            Err(_) if self.last_until.is_some() => return Err(Refused::Busy),
            Err(_) => return Err(Refused::TooSlow),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Refused::Cut),
            Ok(Some(Ok(first))) => first,
        };
        let mut size = first.len();
        let mut batch = vec![first];
        while size < BATCH && self.behind.is_none() {
            let more = poll_fn(|cx| match Pin::new(&mut self.body).poll_next(cx) {
                Poll::Ready(more) => Poll::Ready(Some(more)),
                Poll::Pending => Poll::Ready(None),
            });
            match more.await {
                None => break,
                Some(None) => self.behind = Some(Ok(())),
                Some(Some(Err(_))) => self.behind = Some(Err(Refused::Cut)),
                Some(Some(Ok(bytes))) => {
                    size += bytes.len();
                    batch.push(bytes);
                }
            }
        }
        Ok(Some(batch))
    }

    /// Appends a batch, unless there is no room or it is too much. What was
    /// written of a batch that does not fit is cut off again.
    async fn put(&mut self, batch: Vec<Bytes>) -> Result<(), Refused> {
        let size: u64 = batch.iter().map(|bytes| bytes.len() as u64).sum();
        if self.offset + size > self.length {
            return Err(Refused::TooMuch);
        }
        if self.evidence.room.free_bytes()? < size {
            return Err(Refused::Full);
        }
        if let Some((sums, _)) = &mut self.sums {
            batch.iter().for_each(|bytes| sums.update(bytes));
        }
        let mut file = self.file.try_clone()?;
        let written = blocking(move || batch.iter().try_for_each(|bytes| file.write_all(bytes)));
        written.await.map_err(full_or)?;
        self.offset += size;
        Ok(())
    }
}

enum Sums {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Sums {
    fn new(by: ChecksumBy) -> Self {
        match by {
            ChecksumBy::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumBy::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(sums) => sums.update(bytes),
            Self::Sha256(sums) => sums.update(bytes),
        }
    }

    fn value(self) -> Vec<u8> {
        match self {
            Self::Sha1(sums) => sums.finalize().to_vec(),
            Self::Sha256(sums) => sums.finalize().to_vec(),
        }
    }
}
