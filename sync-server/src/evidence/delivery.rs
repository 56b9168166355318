//! Handing pieces out: the ciphertext, whole or a range of it, to whoever the
//! record is meant for; and thumbnails, brought by the phone or made here.
//!
//! A thumbnail is made on demand: opened with the record's key, unpacked within
//! the limits of [`shaodao_core::evidence::picture`], sealed again under the same
//! key, and kept. One at a time: each may take as much memory as its picture.

use std::ops::Range;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Handle;

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::SealedId;
use shaodao_core::evidence::{picture, stream};

use super::catalogue::{Known, Thumbnail};
use super::check::{Source, reader};
use super::objects::{ByteStream, Name, blocking};
use super::{Evidence, Refused};
use crate::app::App;
use crate::engine::Caller;

/// A piece that somebody may have.
#[derive(Debug)]
pub struct Delivery {
    /// What it is.
    known: Known,
    sealed: SealedId,
    is_news: bool,
}

impl Delivery {
    /// Bytes of its ciphertext.
    pub fn length(&self) -> u64 {
        self.known.sealed_size()
    }
}

impl Evidence {
    /// A piece, for somebody whom one of its records is meant for.
    ///
    /// # Errors
    /// See [`Refused`]; who may not have it hears the same as if there were
    /// none.
    pub fn delivery(
        &self,
        app: &App,
        caller: &Caller,
        sealed: SealedId,
    ) -> Result<Delivery, Refused> {
        let known = self.readable(app, caller, &sealed)?;
        if known.arrived_at_ms.is_none() {
            return Err(Refused::NoSuch);
        }
        Ok(Delivery {
            is_news: is_news(&known, caller),
            known,
            sealed,
        })
    }

    /// A range of its ciphertext. Once the end has been handed over, it was
    /// delivered.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn send(
        &self,
        app: &Arc<App>,
        delivery: &Delivery,
        range: Range<u64>,
    ) -> Result<ByteStream, Refused> {
        let name = Name::Piece(delivery.sealed);
        let to_the_end = range.end == delivery.length();
        let range_length = range.end - range.start;
        let bytes = self.objects.read(&name, Some(range)).await?;
        let Some(mut bytes) = bytes else {
            tracing::error!(sealed = %delivery.sealed, "a piece of evidence is not where it was put");
            return Err(Refused::NoSuch);
        };
        if !(to_the_end && delivery.is_news) {
            return Ok(bytes);
        }
        let mut handing = HandingOver {
            app: app.clone(),
            row: delivery.known.row,
            left: range_length,
        };
        let counted = async_stream::stream! {
            while let Some(part) = std::future::poll_fn(|cx| bytes.as_mut().poll_next(cx)).await {
                let length = part.as_ref().map_or(0, |part| part.len() as u64);
                handing.over(length);
                yield part;
            }
        };
        Ok(Box::pin(counted))
    }

    /// A sealed thumbnail, made now if the phone sent none.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn thumbnail(
        &self,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
    ) -> Result<Vec<u8>, Refused> {
        let known = self.readable(app, caller, &sealed)?;
        let kept = match known.thumbnail {
            Thumbnail::Kept => self.small(&Name::Thumbnail(sealed)).await?,
            Thumbnail::None | Thumbnail::Impossible => None,
        };
        let thumbnail = match kept {
            Some(kept) => kept,
            None => self.make_thumbnail(app, &known, sealed).await?,
        };
        if is_news(&known, caller) {
            self.note_seen(app, known.row).await;
        }
        Ok(thumbnail)
    }

    /// Keeps a thumbnail that the phone of its author sends; the first one
    /// stays.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn keep_thumbnail(
        &self,
        app: &Arc<App>,
        caller: &Caller,
        sealed: SealedId,
        thumbnail: Vec<u8>,
    ) -> Result<(), Refused> {
        let mut rows = app.evidence_for(caller, &sealed)?;
        // Others have the key, and could put another picture in its place.
        rows.retain(|row| row.by == caller.person);
        let known = live(rows)?;
        let key = known.key.as_ref().ok_or(Refused::Key)?;
        let plain = stream::open_thumbnail(key, &thumbnail).map_err(|_| Refused::Hash)?;
        let media = picture::media_of(&plain).filter(|media| media.is_picture());
        let media = media.ok_or(Refused::Hash)?;
        picture::look(media, &plain).map_err(|_| Refused::Hash)?;
        if known.thumbnail == Thumbnail::Kept {
            return Ok(());
        }
        if self.room.free_bytes()? < thumbnail.len() as u64 {
            return Err(Refused::Full);
        }
        self.keep(app, &known, sealed, thumbnail).await
    }

    async fn keep(
        &self,
        app: &Arc<App>,
        known: &Known,
        sealed: SealedId,
        thumbnail: Vec<u8>,
    ) -> Result<(), Refused> {
        self.objects
            .put(&Name::Thumbnail(sealed), thumbnail)
            .await?;
        let row = known.row;
        app.writer
            .submit(move |engine| engine.evidence_thumbnail(row, Thumbnail::Kept))
            .await?;
        Ok(())
    }

    async fn make_thumbnail(
        &self,
        app: &Arc<App>,
        known: &Known,
        sealed: SealedId,
    ) -> Result<Vec<u8>, Refused> {
        let possible = known.arrived_at_ms.is_some()
            && known.media.is_picture()
            && known.thumbnail != Thumbnail::Impossible;
        let key = match &known.key {
            Some(key) if possible => key.clone(),
            _ => return Err(Refused::NoSuch),
        };
        let _turn = self.making.acquire().await.map_err(|_| Refused::Busy)?;
        let objects = self.objects.clone();
        let (media, size, row) = (known.media, known.size, known.row);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        let made = blocking(move || {
            let read = Handle::current().block_on(objects.read(&Name::Piece(sealed), None));
            let object = read.map_err(std::io::Error::other)?;
            let object = object.ok_or(std::io::ErrorKind::NotFound)?;
            let mut plain = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            let from = reader(Source::Object(object))?;
            stream::open(&key, from, &mut plain, size).map_err(std::io::Error::other)?;
            let Ok(small) = picture::thumbnail(media, &plain) else {
                return Ok(None);
            };
            let mut rng = StdRng::from_seed(seed);
            let sealed = stream::seal_thumbnail(&mut rng, &key, &small);
            sealed.map(Some).map_err(std::io::Error::other)
        });
        match made.await? {
            Some(made) => {
                self.keep(app, known, sealed, made.clone()).await?;
                Ok(made)
            }
            None => {
                // Its author says that it is a picture, and it does not unpack.
                let note = Thumbnail::Impossible;
                app.writer
                    .submit(move |engine| engine.evidence_thumbnail(row, note))
                    .await?;
                Err(Refused::NoSuch)
            }
        }
    }

    /// A small object, whole.
    async fn small(&self, name: &Name) -> Result<Option<Vec<u8>>, Refused> {
        let Some(mut bytes) = self.objects.read(name, None).await? else {
            return Ok(None);
        };
        let mut whole = Vec::new();
        while let Some(part) = std::future::poll_fn(|cx| bytes.as_mut().poll_next(cx)).await {
            whole.extend_from_slice(&part.map_err(super::objects::ObjectsError::from)?);
        }
        Ok(Some(whole))
    }

    fn readable(&self, app: &App, caller: &Caller, sealed: &SealedId) -> Result<Known, Refused> {
        if caller.state != DeviceState::Active {
            return Err(Refused::NoSuch);
        }
        live(app.evidence_for(caller, sealed)?)
    }

    async fn note_seen(&self, app: &Arc<App>, row: i64) {
        // A lost note is made by the next who looks.
        let noted = app
            .writer
            .submit(move |engine| engine.evidence_seen(row))
            .await;
        if noted.is_ok() {
            app.live.announce();
        }
    }
}

/// Bytes on their way out. Whoever sends them does not ask for more after the
/// last one, so that it counts when this is dropped.
struct HandingOver {
    app: Arc<App>,
    row: i64,
    left: u64,
}

impl HandingOver {
    fn over(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

impl Drop for HandingOver {
    fn drop(&mut self) {
        let (0, Ok(runtime)) = (self.left, Handle::try_current()) else {
            return;
        };
        let (app, row) = (self.app.clone(), self.row);
        runtime.spawn(async move { app.evidence.note_seen(&app, row).await });
    }
}

/// The first that stands.
fn live(rows: Vec<Known>) -> Result<Known, Refused> {
    let mut erased = false;
    for row in rows {
        match row.erased {
            true => erased = true,
            false => return Ok(row),
        }
    }
    Err(match erased {
        true => Refused::Erased,
        false => Refused::NoSuch,
    })
}

/// Whether this caller's having it is news to its author.
fn is_news(known: &Known, caller: &Caller) -> bool {
    let another = match known.device {
        Some(device) => device != caller.device,
        None => known.by != caller.person,
    };
    another && !known.seen
}
