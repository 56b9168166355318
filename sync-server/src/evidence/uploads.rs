//! Bringing a piece: resumable by offset, one file for each device and piece,
//! and no byte of it twice.
//!
//! 1. [`Evidence::begin`]: is it attached, is there room? From then on it has a
//!    row; its file is as long as its offset.
//! 2. [`Evidence::receive`] appends what comes ([`super::receiving`]). What has
//!    arrived when the connection is cut counts.
//! 3. [`Evidence::progress`] says how far it is; the offset that it tells is on the
//!    disk.
//! 4. Once all is there it is checked and published (`publishing`).
//!
//! What can go wrong: nobody goes on with it: its row expires, and the next
//! [`super::sweep`] gives it up; the disk fills up: what came stays.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use rusqlite::params;

use shaodao_core::domain::ids::{DeviceId, SealedId};
use shaodao_core::points::{Point, pass};

use super::catalogue::Known;
use super::check::Look;
use super::objects::{blocking, flush_folder};
use super::receiving::{Arriving, Checksum, Taken, Taking};
use super::room;
use super::{Evidence, Refused, full_or};
use crate::app::App;
use crate::engine::{Caller, Engine, EngineError};

const HOUR_MS: i64 = 3_600_000;

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
            return self.finish(app, caller, sealed, turn, None).await;
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
        // Before anything that takes time: whoever asks afterwards how far it is
        // has to hear of what this request brings, or the phone goes on at the
        // wrong place, and sends a part for nothing.
        let upload = (caller.device, sealed);
        let turn = self.turns.take(upload).await?;
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
        let path = self.arriving_path(caller.device, sealed);
        let opened = blocking(move || Arriving::open(&path)).await;
        let file = opened.map_err(full_or)?;
        let here = file.length;
        if here != offset {
            return Err(Refused::Offset { offset: here });
        }
        let look = match here {
            0 => Look::at_few(&self.unarrived(app, sealed)?),
            _ => self.looks.take(&upload, here),
        };
        let taking = Taking::new(self, turn, body, file, length, look, checksum);
        // By itself: whatever has come is kept although the connection breaks
        // and nobody waits for the answer any more.
        let taken = tokio::spawn(taking.run()).await;
        let Taken {
            turn,
            offset,
            look,
            refused,
        } = taken.map_err(|_| Refused::Busy)??;
        app.metrics.evidence.received.inc_by(offset - here);
        if refused.is_none() && offset == length {
            return self.finish(app, caller, sealed, turn, look).await;
        }
        if let Some(look) = look {
            self.looks.keep(upload, look);
        }
        // Whoever goes on finds the look.
        drop(turn);
        match refused {
            Some(refused) => Err(refused),
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
        let _turn = self.turns.take((caller.device, sealed)).await?;
        self.drop_upload(app, caller.device, sealed).await
    }

    /// The rows of a piece on which this caller may bring it: those that they
    /// may read, and their own.
    pub(super) fn attached(
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

    /// Forgets what an upload has brought. Whoever calls this has the turn.
    pub(super) async fn drop_upload(
        &self,
        app: &Arc<App>,
        device: DeviceId,
        sealed: SealedId,
    ) -> Result<(), Refused> {
        self.looks.forget(&(device, sealed));
        let path = self.arriving_path(device, sealed);
        blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await?;
        pass(Point::UploadRemoved);
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

pub(super) fn arrived(rows: &[Known]) -> bool {
    rows.iter().any(|row| row.arrived_at_ms.is_some())
}

pub(super) fn whole(length: u64) -> Progress {
    Progress {
        offset: length,
        length,
        expires_ms: None,
    }
}

/// The length of a file, which is on the disk when this returns.
fn durable_length(path: &Path) -> std::io::Result<u64> {
    match File::open(path) {
        Ok(file) => {
            file.sync_data()?;
            path.parent().map_or(Ok(()), flush_folder)?;
            Ok(file.metadata()?.len())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
