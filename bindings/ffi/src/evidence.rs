//! Photos, voice and documents: attached by path, sent when it suits, looked at by
//! path. Bytes of photos do not cross the border, thumbnails apart.

use std::path::PathBuf;
use std::sync::Arc;

use shaodao_core::device::evidence::Shot;
use shaodao_core::device::{Device, DeviceError, Draft, RecordView};
use shaodao_core::domain::action::Body;
use shaodao_core::domain::evidence::Attached;
use shaodao_core::store::StoreError;
use shaodao_core::store::pieces::Form;
use shaodao_core::sync::transport::{EvidenceReport, Transport};
use zeroize::Zeroizing;

use crate::directory::Place;
use crate::error::{PhoneError, Sentence};
use crate::phone::{Inside, Phone, Saved, Shared, rng};
use crate::types::{ActionId, Arrival, EvidenceId, Keep, Link, RecordId, Setting, Shows};

/// A file to attach.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct Attachment {
    /// Where it is; it stays there.
    pub path: String,
    /// What it shows.
    pub shows: Shows,
    /// Where it was taken, if that is known.
    #[uniffi(default = None)]
    pub place: Option<Place>,
    /// When it was taken, Unix milliseconds; now if left out.
    #[uniffi(default = None)]
    pub taken_at_ms: Option<i64>,
}

/// A piece of evidence as this phone sees it.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct EvidenceRow {
    /// Which.
    pub piece: EvidenceId,
    /// The action that attached it.
    pub action: ActionId,
    /// Staff number of who did.
    pub by: String,
    /// What it shows.
    pub shows: Shows,
    /// `jpeg`, `png`, `m4a`, …
    pub media: String,
    /// Size, bytes.
    pub size_bytes: u64,
    /// When it was taken, Unix milliseconds.
    pub taken_at_ms: i64,
    /// Where.
    pub place: Option<Place>,
    /// How far it has come.
    pub arrival: Arrival,
    /// Sealed on this phone.
    pub own: bool,
    /// The original is on this phone.
    pub original_here: bool,
    /// A thumbnail is on this phone.
    pub thumbnail_here: bool,
    /// Why it was erased, if it was.
    pub erased: Option<String>,
}

/// What came of sending evidence.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct EvidenceSent {
    /// Thumbnails that the server has now.
    pub thumbnails: u64,
    /// Originals that the server has now.
    pub originals: u64,
    /// Bytes handed to the network.
    pub bytes_up: u64,
    /// Why pieces have to wait, one sentence for each.
    pub waiting: Vec<Sentence>,
}

#[uniffi::export]
impl Phone {
    /// Attaches files to a record, all of them or none. When this returns they are
    /// sealed on the disk, and the action that cites them is queued.
    pub async fn attach(
        &self,
        record: RecordId,
        files: Vec<Attachment>,
    ) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            let shots: Result<Vec<_>, _> = files.into_iter().map(Attachment::shot).collect();
            Ok(device.attach(now, rng, record, &shots?)?.into())
        })
        .await
    }

    /// Destroys a piece of evidence everywhere.
    pub async fn erase_evidence(
        &self,
        record: RecordId,
        piece: EvidenceId,
        reason: String,
    ) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            let kind = device.store().kind_of(record)?;
            let kind = kind.ok_or(DeviceError::NoSuchRecord)?;
            let draft = Draft::on(kind, record, Body::EraseEvidence { piece, reason });
            Ok(device.capture(now, rng, draft)?.into())
        })
        .await
    }

    /// Sends what the server lacks of this phone's evidence, as the owner's setting
    /// and the present connection allow. After `sync`; it can be cancelled and goes
    /// on where it was.
    pub async fn send_evidence(
        &self,
        setting: Setting,
        link: Link,
    ) -> Result<EvidenceSent, PhoneError> {
        self.online(move |inside| async move {
            let mut so_far = EvidenceReport::default();
            send(inside, setting, link, &mut so_far).await?;
            Ok(so_far.into())
        })
        .await
    }

    /// The thumbnail of a picture, from this phone or else from the server; none if
    /// it has none.
    pub async fn thumbnail(
        &self,
        record: RecordId,
        piece: EvidenceId,
    ) -> Result<Option<Vec<u8>>, PhoneError> {
        let look = move |device: &Device, now| {
            let piece = find(device, now, record, piece)?.1.piece;
            let small = device.look_at(&piece, Form::Thumbnail)?;
            Ok((piece, small.map(|bytes| bytes.to_vec())))
        };
        let (piece, small) = self.read(look).await?;
        if small.is_some() || !piece.media.is_picture() {
            return Ok(small);
        }
        self.online(move |inside| async move {
            let mut rng = rng()?;
            let transport = transport(&inside).await?;
            let mut phone = Shared(inside.clone());
            transport
                .fetch_thumbnail(&mut phone, &mut rng, &piece)
                .await?;
            Ok(())
        })
        .await?;
        Ok(self.read(look).await?.1)
    }

    /// Writes the original of a piece to a path of the app's, from this phone or
    /// else from the server. It lies there unencrypted: remove it after use.
    pub async fn save_evidence(
        &self,
        record: RecordId,
        piece: EvidenceId,
        path: String,
    ) -> Result<(), PhoneError> {
        self.save(record, piece, path, in_form(Form::Original))
            .await
    }

    /// Writes a picture as a screen shows it, smaller than the original and without
    /// what the camera added: from this phone, or else by way of the original from
    /// the server. It lies there unencrypted: remove it after use.
    pub async fn save_picture(
        &self,
        record: RecordId,
        piece: EvidenceId,
        path: String,
    ) -> Result<(), PhoneError> {
        self.save(record, piece, path, in_form(Form::Display)).await
    }

    /// Writes the same picture with a strip below it that says when, where and by
    /// whom it was taken, for people who need that on the picture. `font` is the
    /// path of a TrueType or OpenType font with Chinese signs, such as the system
    /// has. It proves nothing: what is signed is the action.
    pub async fn save_watermarked(
        &self,
        record: RecordId,
        piece: EvidenceId,
        font: String,
        path: String,
    ) -> Result<(), PhoneError> {
        let font = PathBuf::from(font);
        let look = move |device: &Device, view: &RecordView, one: &Attached| {
            device.watermarked(view, one, &font)
        };
        self.save(record, piece, path, look).await
    }

    /// What is kept of pictures that have arrived.
    pub async fn keeps(&self) -> Result<Keep, PhoneError> {
        self.read(|device, _| Ok(device.keep()?)).await
    }

    /// Sets what is kept of pictures that have arrived, those here already included.
    pub async fn set_keep(&self, keep: Keep) -> Result<(), PhoneError> {
        self.write(move |device, _, _| Ok(device.set_keep(keep)?))
            .await
    }
}

/// What of a piece is to be written; none if its original is needed and not here.
type Looked = Result<Option<Zeroizing<Vec<u8>>>, DeviceError>;

fn in_form(form: Form) -> impl Fn(&Device, &RecordView, &Attached) -> Looked + Clone {
    move |device, _, one| device.look_at(&one.piece, form)
}

impl Phone {
    /// Writes what `look` makes of a piece, fetching the original if it is needed.
    async fn save<L>(
        &self,
        record: RecordId,
        piece: EvidenceId,
        path: String,
        look: L,
    ) -> Result<(), PhoneError>
    where
        L: Fn(&Device, &RecordView, &Attached) -> Looked + Clone + Send + 'static,
    {
        let write = move |device: &Device, now| {
            let (view, attached) = find(device, now, record, piece)?;
            let Some(bytes) = look(device, &view, &attached)? else {
                return Ok(Some(attached.piece));
            };
            std::fs::write(&path, &bytes[..]).map_err(StoreError::from)?;
            Ok(None)
        };
        let Some(piece) = self.read(write.clone()).await? else {
            return Ok(());
        };
        self.online(move |inside| async move {
            let transport = transport(&inside).await?;
            let mut phone = Shared(inside.clone());
            transport.fetch_original(&mut phone, &piece).await?;
            Ok(())
        })
        .await?;
        match self.read(write).await? {
            None => Ok(()),
            Some(_) => Err(DeviceError::EvidenceNotHere.into()),
        }
    }
}

impl Attachment {
    fn shot(self) -> Result<Shot, PhoneError> {
        Ok(Shot {
            file: PathBuf::from(self.path),
            shows: self.shows,
            position: self.place.map(Place::position).transpose()?,
            taken_at_ms: self.taken_at_ms,
        })
    }
}

impl From<EvidenceReport> for EvidenceSent {
    fn from(report: EvidenceReport) -> Self {
        let waiting = report.waiting.into_iter();
        Self {
            thumbnails: report.thumbnails as u64,
            originals: report.originals as u64,
            bytes_up: report.bytes_up,
            waiting: waiting
                .map(|one| Sentence {
                    code: one.code,
                    zh: one.zh,
                    en: one.en,
                })
                .collect(),
        }
    }
}

/// Sends what the server lacks, and keeps what was done so far where it stands.
pub(crate) async fn send(
    inside: Arc<Inside>,
    setting: Setting,
    link: Link,
    so_far: &mut EvidenceReport,
) -> Result<(), PhoneError> {
    let transport = transport(&inside).await?;
    let hours = inside.hours.clone();
    let mut phone = Shared(inside.clone());
    let telling = inside.clone();
    let sent = transport.send_evidence(
        &mut phone,
        setting,
        link,
        || hours.now(),
        |report| {
            *so_far = report.clone();
            telling.changed();
        },
    );
    *so_far = sent.await?;
    inside.changed();
    Ok(())
}

async fn transport(inside: &Inside) -> Result<Transport, PhoneError> {
    let owner = inside.device.lock().await.device()?.owner().cloned();
    let owner = owner.ok_or(DeviceError::NotEnrolled)?;
    Ok(Transport::new(&owner.server)?)
}

fn find(
    device: &Device,
    now: shaodao_core::domain::time::Moment,
    record: RecordId,
    piece: EvidenceId,
) -> Result<(RecordView, Attached), PhoneError> {
    let view = device.view(now, record)?;
    let mut pieces = view.state.evidence().iter();
    let found = pieces.find(|one| one.piece.id == piece && one.erased.is_none());
    let found = found.ok_or(DeviceError::EvidenceNotHere)?.clone();
    Ok((view, found))
}

pub(crate) fn evidence(device: &Device, view: &RecordView) -> Result<Vec<EvidenceRow>, PhoneError> {
    let evidence = device.evidence(&view.state)?.into_iter();
    Ok(evidence
        .map(|one| {
            let piece = one.attached.piece;
            EvidenceRow {
                piece: piece.id,
                action: one.attached.hash,
                by: one.attached.by.0,
                shows: piece.shows,
                media: piece.media.word().to_owned(),
                size_bytes: piece.size,
                taken_at_ms: piece.taken_at_ms,
                place: piece.position.and_then(|it| Place::read(&it.to_string())),
                arrival: one.arrival,
                own: one.own,
                original_here: one.here.contains(&Form::Original),
                thumbnail_here: one.here.contains(&Form::Thumbnail),
                erased: one.attached.erased.map(|(_, reason)| reason),
            }
        })
        .collect())
}
