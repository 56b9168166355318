//! Publishing a piece of which every byte is here: hash, key, signed hash; only
//! then does it appear in [`super::objects`] and in the news.
//!
//! What can go wrong: the bytes are not what was signed: all of it is dropped, so
//! that it can come again; the key has not come, or does not open it: the bytes
//! wait for it; the store is full: likewise; the process dies between moving the
//! file and the row: the next request finds the object and writes the row.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use shaodao_core::domain::ids::{DeviceId, SealedId};

use super::catalogue::{self, Known};
use super::check::{Checked, Look, Source, check};
use super::objects::{Name, ObjectsError, blocking};
use super::turns::Holding;
use super::uploads::{Progress, arrived, whole};
use super::{Evidence, Refused, full_or};
use crate::app::App;
use crate::engine::{Caller, Engine, EngineError};

impl Evidence {
    /// Checks what is all there, and publishes it; goes on although nobody waits
    /// for the answer any more. `look` has seen what the disk has, or it is read
    /// again.
    pub(super) async fn finish(
        self: &Arc<Self>,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
        turn: Holding,
        look: Option<Look>,
    ) -> Result<Progress, Refused> {
        let (evidence, app, caller) = (self.clone(), app.clone(), caller.clone());
        let finished = tokio::spawn(async move {
            let finished = evidence
                .check_and_publish(&app, &caller, sealed, look)
                .await;
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
        look: Option<Look>,
    ) -> Result<Progress, Refused> {
        let rows = self.attached(app, caller, sealed)?;
        let (device, length) = (caller.device, rows[0].sealed_size());
        // From another of this person's phones.
        if arrived(&rows) {
            return Ok(whole(length));
        }
        let path = self.arriving_path(device, sealed);
        let rows = self.unarrived(app, sealed)?;
        let seen = look.filter(|look| look.at() == length && look.knows(&rows) && path.exists());
        let Checked {
            named_right,
            right,
            wrong_key,
            untrue,
        } = match seen {
            Some(look) => look.end(&sealed),
            None => self.check(sealed, rows, &path).await?,
        };
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
    pub(super) fn unarrived(&self, app: &App, sealed: SealedId) -> Result<Vec<Known>, Refused> {
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
    pub(super) async fn rests_for(
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

fn full_or_store(error: ObjectsError) -> Refused {
    match error {
        ObjectsError::File { error, .. } => full_or(error),
        error => error.into(),
    }
}
