//! Tidying up, now and then: what was erased, what nobody goes on with, what a
//! crash left behind; and, after a restore, what is there at all.

use std::sync::Arc;

use shaodao_core::domain::ids::{DeviceId, SealedId};
use shaodao_core::points::{Point, pass};

use super::objects::{Name, blocking};
use super::{Evidence, Refused, catalogue};
use crate::app::App;
use crate::db;

const HOUR_MS: i64 = 3_600_000;
/// Set by a restore until somebody has looked what is there.
pub(crate) const UNSURE: &str = "evidence_unsure";

/// What was tidied up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Erased pieces whose bytes are gone now.
    pub erased: usize,
    /// Pieces of actions that were sent back and not done again.
    pub sent_back: usize,
    /// Uploads that were given up.
    pub expired: usize,
    /// Files that belonged to nothing.
    pub orphans: usize,
}

impl Evidence {
    /// Removes the bytes of what was erased, pieces of actions that were sent
    /// back, uploads that nobody goes on with, and files that a crash left behind.
    ///
    /// # Errors
    /// See [`Refused`]; what was not removed is removed the next time.
    pub async fn sweep(&self, app: &Arc<App>) -> Result<Swept, Refused> {
        let mut swept = Swept::default();
        let now_ms = app.clock.now_ms();
        let wait_ms = i64::from(self.settings.expire_hours) * HOUR_MS;
        let forget =
            move |engine: &mut crate::engine::Engine| engine.forget_sent_back(now_ms - wait_ms);
        swept.sent_back = app.writer.submit(forget).await?;
        let trash: Vec<SealedId> = app.read(|db| {
            let mut statement = db.prepare_cached("SELECT sealed FROM evidence_trash")?;
            let rows = statement.query_map([], |row| row.get(0).map(SealedId))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        for sealed in trash {
            self.remove_bytes(app, sealed).await?;
            swept.erased += 1;
        }
        let expired: Vec<(DeviceId, SealedId)> = app.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT device, sealed FROM upload WHERE expires_ms <= ?1")?;
            let rows = statement.query_map([now_ms], |row| {
                Ok((row.get(0).map(DeviceId)?, row.get(1).map(SealedId)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })?;
        for (device, sealed) in expired {
            let Ok(_turn) = self.turns.take((device, sealed)).await else {
                continue;
            };
            self.drop_upload(app, device, sealed).await?;
            swept.expired += 1;
        }
        swept.orphans = self.remove_orphans(app).await?;
        Ok(swept)
    }

    /// Removes what is left of an erased piece, unless it stands elsewhere.
    async fn remove_bytes(&self, app: &Arc<App>, sealed: SealedId) -> Result<(), Refused> {
        if !app.read(|db| catalogue::stands(db, &sealed))? {
            self.objects.remove(&Name::Piece(sealed)).await?;
            self.objects.remove(&Name::Thumbnail(sealed)).await?;
            pass(Point::BytesRemoved);
        }
        let done = move |engine: &mut crate::engine::Engine| {
            let trash = "DELETE FROM evidence_trash WHERE sealed = ?1";
            engine.db.execute(trash, [sealed.0])?;
            if !catalogue::stands(&engine.db, &sealed)? {
                let uploads = "DELETE FROM upload WHERE sealed = ?1";
                engine.db.execute(uploads, [sealed.0])?;
            }
            Ok(())
        };
        app.writer.submit(done).await?;
        Ok(())
    }

    /// Removes files of uploads that have no row.
    async fn remove_orphans(&self, app: &Arc<App>) -> Result<usize, Refused> {
        let folder = self.arriving.clone();
        let names = blocking(move || {
            let entries = std::fs::read_dir(folder)?;
            let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            names.collect::<std::io::Result<Vec<String>>>()
        })
        .await?;
        let mut orphans = 0;
        for name in names {
            let known = app.read(|db| {
                let mut statement = db.prepare_cached(
                    "SELECT 1 FROM upload
                     WHERE lower(hex(device)) || '-' || lower(hex(sealed)) = ?1",
                )?;
                Ok(statement.exists([&name])?)
            })?;
            if !known {
                let path = self.arriving.join(&name);
                blocking(move || std::fs::remove_file(path)).await?;
                pass(Point::OrphanRemoved);
                orphans += 1;
            }
        }
        Ok(orphans)
    }

    /// After a restore: a piece that the backup says is here, and is not, has
    /// not arrived; its author's phone is asked for it again. Before that nobody
    /// hears any news.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn be_sure(&self, app: &Arc<App>) -> Result<(), Refused> {
        let mut sure = self.sure.lock().await;
        if *sure {
            return Ok(());
        }
        let unsure = app.read(|db| Ok(db::meta::<i64>(db, UNSURE)?.is_some()))?;
        if unsure {
            let lost = self.lost(app).await?;
            tracing::warn!(
                lost = lost.len(),
                "evidence that the backup knew and that is not here"
            );
            let note = move |engine: &mut crate::engine::Engine| {
                for row in &lost {
                    engine.evidence_lost(*row)?;
                }
                Ok(db::delete_meta(&engine.db, UNSURE)?)
            };
            app.writer.submit(note).await?;
        }
        *sure = true;
        Ok(())
    }

    /// Rows of pieces that should be here and are not.
    async fn lost(&self, app: &Arc<App>) -> Result<Vec<i64>, Refused> {
        let mut lost = Vec::new();
        for known in app.read(catalogue::all_arrived)? {
            let size = self.objects.size(&Name::Piece(known.sealed)).await?;
            if size != Some(known.sealed_size()) {
                lost.push(known.row);
            }
        }
        Ok(lost)
    }
}
