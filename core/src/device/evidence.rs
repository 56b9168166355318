//! Evidence on this phone: attaching it, looking at it, what is kept of it
//! ([`crate::domain::evidence`]).
//!
//! 1. [`Device::attach`] reads each file once: may it be so large, is it what it
//!    should be, does the picture unpack? It seals it and makes a thumbnail and
//!    a display copy. All files are on the disk before the one action that cites
//!    them is saved.
//! 2. [`Device::evidence`] says of each piece of a record how far it has come
//!    and what of it is here; [`Device::look_at`] opens it,
//!    [`Device::watermarked`] writes below it what its action says.
//! 3. `sync::transport` sends and fetches; what has arrived is kept in the form
//!    that the owner wants ([`Keep`]).
//!
//! What can go wrong: (1) too large, not a picture, no room: refused with the
//! reason, nothing is cited, and what was written is swept.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rand::Rng;
use zeroize::Zeroizing;

use super::{Captured, Device, DeviceError, Draft, RecordView};
use crate::domain::action::{Body, fact};
use crate::domain::calendar::local_text;
use crate::domain::evidence::{
    Arrival, Arrivals, Attached, MAX_PIECES, Media, Piece, Shows, check_size,
};
use crate::domain::finding::text;
use crate::domain::ids::{RecordId, SealedId};
use crate::domain::place::Position;
use crate::domain::reason::Reason;
use crate::domain::record::{RecordState, Refused};
use crate::domain::time::{Claim, Moment};
use crate::evidence::picture::{self, PictureError};
use crate::evidence::stream::{self, PieceKey, StreamError};
use crate::evidence::watermark::{self, Font, MAX_FONT_BYTES};
use crate::points::{Point, pass};
use crate::store::StoreError;
use crate::store::evidence::OwnPiece;
use crate::store::pieces::{Begun, Form};
use crate::store::write::Along;
use crate::sync::evidence::{Errand, Link, Setting, errands};

/// A file to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// Where it is; it stays there.
    pub file: PathBuf,
    /// What it shows.
    pub shows: Shows,
    /// Where it was taken, if that is known.
    pub position: Option<Position>,
    /// When it was taken, Unix milliseconds; `None`: now.
    pub taken_at_ms: Option<i64>,
}

/// A piece of evidence as this phone sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What it is, and who attached it: on whose phone it is until it arrives.
    pub attached: Attached,
    /// How far it has come.
    pub arrival: Arrival,
    /// Whether it was sealed on this phone.
    pub own: bool,
    /// What of it is on this phone.
    pub here: Vec<Form>,
}

/// What a phone keeps of a picture that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Everything.
    #[default]
    Original,
    /// The display copy and the thumbnail.
    Display,
    /// The thumbnail.
    Thumbnail,
}

impl Keep {
    const ALL: [Keep; 3] = [Self::Original, Self::Display, Self::Thumbnail];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Display => "display",
            Self::Thumbnail => "thumbnail",
        }
    }
}

/// How many of these pieces have arrived, and whether all of them are photos.
pub fn arrivals(evidence: &[Evidence]) -> (Arrivals, bool) {
    let mut arrivals = Arrivals::default();
    let mut photos_only = true;
    let standing = evidence.iter().filter(|it| it.attached.erased.is_none());
    for one in standing {
        arrivals.count(one.arrival);
        photos_only &= one.attached.piece.shows.is_photo();
    }
    (arrivals, photos_only)
}

fn refused(reason: Reason) -> DeviceError {
    DeviceError::Refused(Refused {
        state: "new",
        action: "attach".to_owned(),
        reason,
    })
}

/// What is in a file, unless it is longer than this, and how long it is.
fn read_at_most(path: &Path, most: u64) -> Result<(Zeroizing<Vec<u8>>, u64), DeviceError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let length = File::open(path).and_then(|file| {
        let length = file.metadata()?.len();
        if length <= most {
            // It may be growing.
            file.take(most + 1).read_to_end(&mut bytes)?;
        }
        Ok(length.max(bytes.len() as u64))
    });
    let length = length.map_err(|error| DeviceError::File {
        path: path.to_owned(),
        error,
    })?;
    Ok((bytes, length))
}

impl Device {
    /// Attaches files to a record, all of them or none.
    ///
    /// # Errors
    /// See [`DeviceError`]; nothing was saved.
    pub fn attach(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        record: RecordId,
        shots: &[Shot],
    ) -> Result<Captured, DeviceError> {
        let kind = self.store.kind_of(record)?;
        let kind = kind.ok_or(DeviceError::NoSuchRecord)?;
        if shots.len() > MAX_PIECES {
            return Err(refused(Reason::TooManyPieces));
        }
        let now_ms = Claim::at(now, self.store.contact()?).reading_ms();
        let begun = self.pieces.begin()?;
        let mut pieces = Vec::new();
        let mut own = Vec::new();
        let sealed = shots.iter().try_for_each(|shot| {
            let (piece, sealed) = self.seal_shot(&begun, rng, shot, now_ms)?;
            pieces.push(piece);
            own.push(sealed);
            Ok(())
        });
        let captured = sealed.and_then(|()| {
            let along = Along {
                attached: &own,
                ..Along::default()
            };
            let draft = Draft::on(kind, record, Body::Attach { pieces });
            self.capture_along(now, rng, draft, along)
        });
        drop(begun);
        if captured.is_err() {
            // Nothing cites it; what cannot be removed now is at the next
            // opening.
            let _ = self.sweep();
        }
        captured
    }

    fn seal_shot(
        &self,
        begun: &Begun,
        rng: &mut impl Rng,
        shot: &Shot,
        now_ms: i64,
    ) -> Result<(Piece, OwnPiece), DeviceError> {
        let most = shot.shows.max_bytes();
        let (bytes, length) = read_at_most(&shot.file, most)?;
        check_size(shot.shows, length).map_err(refused)?;
        let media = picture::media_of(&bytes);
        let media = media.filter(|media| media.fits(shot.shows));
        let media = media.ok_or_else(|| refused(Reason::WrongMedia))?;
        let copies = match media.is_picture() {
            true => Some(picture::copies(media, &bytes)?),
            false => None,
        };
        let key = PieceKey::random(rng);
        let streamed = self.pieces.seal(begun, rng, &key, &bytes[..], most)?;
        if let Some(copies) = &copies {
            let sealed = stream::seal_thumbnail(rng, &key, &copies.thumbnail);
            let sealed = sealed.map_err(unsealed)?;
            self.pieces
                .put(rng, streamed.sealed, Form::Thumbnail, &sealed)?;
            let sealed = stream::seal_display(rng, &key, &copies.display);
            let sealed = sealed.map_err(unsealed)?;
            self.pieces
                .put(rng, streamed.sealed, Form::Display, &sealed)?;
        }
        let piece = Piece {
            id: streamed.id,
            sealed: streamed.sealed,
            size: streamed.size,
            media,
            shows: shot.shows,
            taken_at_ms: shot.taken_at_ms.unwrap_or(now_ms),
            position: shot.position,
        };
        let own = OwnPiece {
            sealed: streamed.sealed,
            key,
            is_photo: shot.shows.is_photo(),
            has_thumbnail: copies.is_some(),
        };
        Ok((piece, own))
    }

    /// The evidence of a record, in the order in which it was attached.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn evidence(&self, state: &RecordState) -> Result<Vec<Evidence>, DeviceError> {
        let mut evidence = Vec::new();
        for attached in state.evidence() {
            let sealed = attached.piece.sealed;
            let held = self.store.evidence(sealed)?;
            let forms = [Form::Original, Form::Display, Form::Thumbnail];
            evidence.push(Evidence {
                attached: attached.clone(),
                arrival: held.as_ref().map_or(Arrival::OnPhone, |it| it.arrival()),
                own: held.is_some_and(|held| held.own),
                here: forms
                    .into_iter()
                    .filter(|form| self.pieces.size(sealed, *form).is_some())
                    .collect(),
            });
        }
        Ok(evidence)
    }

    /// A piece in a form, from what is on this phone: a smaller form is made
    /// from the original if need be. `None` if it is not here.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn look_at(
        &self,
        piece: &Piece,
        form: Form,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DeviceError> {
        let Some(key) = self.piece_key(piece.sealed)? else {
            return Ok(None);
        };
        let small = match form {
            Form::Display | Form::Thumbnail => self.pieces.read(piece.sealed, form)?,
            Form::Original | Form::Fetched => None,
        };
        let small = small.and_then(|sealed| match form {
            Form::Display => stream::open_display(&key, &sealed).ok(),
            _ => stream::open_thumbnail(&key, &sealed).ok(),
        });
        if let Some(small) = small {
            return Ok(Some(Zeroizing::new(small)));
        }
        let opened = self.pieces.open(piece.sealed, &key, piece.size)?;
        let Some(opened) = opened.filter(|it| it.streamed.id == piece.id) else {
            return Ok(None);
        };
        let whole = opened.bytes;
        Ok(match form {
            Form::Original | Form::Fetched => Some(whole),
            _ if !piece.media.is_picture() => None,
            Form::Display => {
                let copies = picture::copies(piece.media, &whole)?;
                Some(Zeroizing::new(copies.display))
            }
            Form::Thumbnail => {
                let small = picture::thumbnail(piece.media, &whole)?;
                Some(Zeroizing::new(small))
            }
        })
    }

    /// A smaller copy of a picture with what its action says below it, written
    /// with the font of this file: when and in which grid it was taken, where, by
    /// whom for which record, and the hash by which the original is known. From
    /// what is on this phone; `None` if it is not here.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn watermarked(
        &self,
        view: &RecordView,
        attached: &Attached,
        font: &Path,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DeviceError> {
        if !attached.piece.media.is_picture() {
            return Err(PictureError::NotAPicture.into());
        }
        let (file, _) = read_at_most(font, MAX_FONT_BYTES)?;
        let font = Font::read(&file)?;
        let Some(display) = self.look_at(&attached.piece, Form::Display)? else {
            return Ok(None);
        };
        let lines = self.words_below(view, attached)?;
        let copy = watermark::stamp(Media::Jpeg, &display, &font, &lines)?;
        Ok(Some(Zeroizing::new(copy)))
    }

    /// In signs that need no translation.
    fn words_below(
        &self,
        view: &RecordView,
        attached: &Attached,
    ) -> Result<Vec<String>, DeviceError> {
        let directory = self.directory()?;
        let piece = &attached.piece;
        let facts = view.state.facts();
        let grid = match text(facts, fact::GRID) {
            "" => String::new(),
            code => directory.area_name(code),
        };
        let by = directory.name_of(&attached.by);
        let number = text(facts, fact::NUMBER);
        let mut lines = vec![format!("{} {grid}", local_text(piece.taken_at_ms))];
        if let Some(position) = &piece.position {
            let within = position
                .accuracy_dm
                .map(|dm| format!(" ±{} m", dm.div_ceil(10)));
            let (lat, lon) = (position.lat(), position.lon());
            lines.push(format!("{lat:.6}, {lon:.6}{}", within.unwrap_or_default()));
        }
        lines.push(format!("{by} {} {number}", attached.by.0));
        lines.push(format!("SHA-256 {}", piece.id));
        Ok(lines
            .iter()
            .map(|line| line.trim_end().to_owned())
            .collect())
    }

    /// What there is to send, in order.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn errands(&self, setting: Setting, link: Link) -> Result<Vec<Errand>, DeviceError> {
        Ok(errands(&self.store.waiting_evidence()?, setting, link))
    }

    /// The server has a piece, or a thumbnail of it, by its own word. After the
    /// last of several: [`Device::errands_done`].
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn errand_done(&mut self, errand: Errand, now: Moment) -> Result<(), DeviceError> {
        match errand {
            Errand::Thumbnail(sealed) => Ok(self.store.thumbnail_sent(sealed)?),
            Errand::Original(sealed) => {
                let at_ms = Claim::at(now, self.store.contact()?).reading_ms();
                self.store.evidence_arrived(sealed, at_ms)?;
                pass(Point::ArrivalNoted);
                self.let_go(sealed)
            }
        }
    }

    /// No more errands are done for now.
    pub fn errands_done(&mut self) {
        self.store.let_go_of_arrived();
    }

    /// Keeps a thumbnail that came from the server, if it is one of this piece.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn keep_thumbnail(
        &mut self,
        rng: &mut impl Rng,
        piece: &Piece,
        sealed: &[u8],
    ) -> Result<(), DeviceError> {
        let key = self.piece_key(piece.sealed)?;
        let key = key.ok_or(DeviceError::EvidenceNotHere)?;
        stream::open_thumbnail(&key, sealed).map_err(|_| DeviceError::OtherEvidence)?;
        Ok(self
            .pieces
            .put(rng, piece.sealed, Form::Thumbnail, sealed)?)
    }

    /// How much of a piece has been fetched.
    pub fn fetched(&self, piece: &Piece) -> u64 {
        self.pieces.size(piece.sealed, Form::Fetched).unwrap_or(0)
    }

    /// Keeps the next part of a piece that is being fetched; whether it is whole
    /// now. A whole one is taken only if both its hashes are right.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn keep_fetched(&mut self, piece: &Piece, part: &[u8]) -> Result<bool, DeviceError> {
        self.pieces.append_fetched(piece.sealed, part)?;
        if self.fetched(piece) < piece.sealed_size() {
            return Ok(false);
        }
        let key = self.piece_key(piece.sealed)?;
        let key = key.ok_or(DeviceError::EvidenceNotHere)?;
        let path = self.pieces.path(piece.sealed, Form::Fetched);
        let file = File::open(&path).map_err(StoreError::from)?;
        let reader = std::io::BufReader::new(file);
        match stream::open(&key, reader, std::io::sink(), piece.size) {
            Ok(it) if it.sealed == piece.sealed && it.id == piece.id => {
                self.pieces.fetched_all(piece.sealed)?;
                Ok(true)
            }
            Err(StreamError::Io(error)) => Err(StoreError::from(error).into()),
            Ok(_) | Err(_) => {
                self.pieces.remove(piece.sealed, Form::Fetched)?;
                Err(DeviceError::OtherEvidence)
            }
        }
    }

    /// Where the ciphertext of a piece lies.
    pub fn sealed_file(&self, sealed: SealedId, form: Form) -> PathBuf {
        self.pieces.path(sealed, form)
    }

    /// What is kept of pictures that have arrived.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn keep(&self) -> Result<Keep, DeviceError> {
        let word: Option<String> = self.store.meta("evidence_keep")?;
        let mut all = Keep::ALL.into_iter();
        let found = all.find(|keep| word.as_deref() == Some(keep.word()));
        Ok(found.unwrap_or_default())
    }

    /// Sets what is kept of pictures that have arrived, those here already
    /// included.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn set_keep(&mut self, keep: Keep) -> Result<(), DeviceError> {
        self.store.set_meta(&[("evidence_keep", &keep.word())])?;
        for sealed in self.store.known_evidence()? {
            self.let_go(sealed)?;
        }
        Ok(())
    }

    /// Lets evidence have so many bytes on this phone.
    pub fn limit_evidence(&mut self, bytes: Option<u64>) {
        self.pieces.limit_bytes(bytes);
    }

    /// Removes what the owner does not want to keep of a piece that has
    /// arrived. What has no smaller form stays.
    fn let_go(&self, sealed: SealedId) -> Result<(), DeviceError> {
        let arrived = self.store.evidence(sealed)?;
        if arrived.is_none_or(|held| held.arrived_at_ms.is_none()) {
            return Ok(());
        }
        let has = |form| self.pieces.size(sealed, form).is_some();
        match self.keep()? {
            Keep::Display if has(Form::Display) => self.pieces.remove(sealed, Form::Original)?,
            Keep::Thumbnail if has(Form::Thumbnail) => {
                self.pieces.remove(sealed, Form::Original)?;
                self.pieces.remove(sealed, Form::Display)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes files that no row names.
    pub(super) fn sweep(&self) -> Result<(), DeviceError> {
        self.pieces.sweep(|| self.store.known_evidence())?;
        Ok(())
    }

    fn piece_key(&self, sealed: SealedId) -> Result<Option<PieceKey>, DeviceError> {
        Ok(self.store.evidence(sealed)?.and_then(|held| held.key))
    }
}

fn unsealed(error: StreamError) -> DeviceError {
    match error {
        StreamError::Io(error) => StoreError::from(error).into(),
        other => StoreError::File(std::io::Error::other(other)).into(),
    }
}
