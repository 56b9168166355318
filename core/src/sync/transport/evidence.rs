//! Evidence over HTTP: tus 1.0 to the server, ranges from it. See
//! [`crate::sync::evidence`] for what goes when.
//!
//! What can go wrong: the connection breaks: the server is asked how far it got,
//! and the rest is sent; three times without a byte of progress end this
//! synchronisation, not the transfer; the app dies: the next synchronisation
//! asks the server and goes on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::stream;
use rand::Rng;
use reqwest::Method;

use super::{Answered, Hold, Transport, TransportError};
use crate::device::{Device, DeviceError};
use crate::domain::evidence::Piece;
use crate::domain::ids::SealedId;
use crate::domain::time::Moment;
use crate::evidence::stream::MAX_SEALED_THUMBNAIL;
use crate::store::pieces::Form;
use crate::sync::evidence::{Errand, Link, METADATA, OFFSET_STREAM, PATH, Setting, TUS};

/// Most pieces on their way at once.
const AT_ONCE: usize = 3;
/// Bytes of one part: as many as come through, between these.
const SMALLEST_PART: u64 = 64 * 1024;
const LARGEST_PART: u64 = 4 * 1024 * 1024;
const FIRST_PART: u64 = 256 * 1024;
/// Bytes of one part of what is fetched.
const FETCHED_PART: u64 = 1024 * 1024;
/// Breaks without progress after which a piece has to wait.
const PATIENCE: u32 = 3;

/// What came of sending evidence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EvidenceReport {
    /// Thumbnails that the server has now.
    pub thumbnails: usize,
    /// Originals that the server has now.
    pub originals: usize,
    /// Bytes handed to the network.
    pub bytes_up: u64,
    /// What has to wait, and why.
    pub waiting: Vec<Carried>,
}

/// A piece that could not be sent now, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Which.
    pub sealed: SealedId,
    /// Machine code.
    pub code: String,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

impl Transport {
    /// Sends what the server lacks of this phone's evidence, as the owner's
    /// setting and the present connection allow; several pieces at a time. What
    /// has to wait is in the report. `progress` hears of every piece.
    ///
    /// # Errors
    /// See [`TransportError`]: the server cannot be reached at all. What the
    /// server has confirmed before stays confirmed.
    pub async fn send_evidence(
        &self,
        phone: &mut impl Hold,
        setting: Setting,
        link: Link,
        now: impl Fn() -> Moment,
        mut progress: impl FnMut(&EvidenceReport),
    ) -> Result<EvidenceReport, TransportError> {
        let errands = phone.hold(|device| device.errands(setting, link)).await?;
        let mut report = EvidenceReport::default();
        if errands.is_empty() {
            return Ok(report);
        }
        let token = phone.hold(|device| Ok(device.store().meta::<String>("token")?));
        let token = token.await?.ok_or(DeviceError::NotEnrolled)?;
        let is_thumbnail = |errand: &Errand| matches!(errand, Errand::Thumbnail(_));
        let (thumbnails, originals): (Vec<_>, Vec<_>) = errands.into_iter().partition(is_thumbnail);
        let sent = async {
            for batch in [thumbnails, originals] {
                let sent = self.send_all(phone, &token, batch, &now, &mut report, &mut progress);
                sent.await?;
            }
            Ok(())
        };
        let sent: Result<(), TransportError> = sent.await;
        if report.originals > 0 {
            let done = |device: &mut Device| {
                device.errands_done();
                Ok(())
            };
            phone.hold(done).await?;
        }
        sent.map(|()| report)
    }

    /// Sends these, several at a time.
    async fn send_all(
        &self,
        phone: &mut impl Hold,
        token: &str,
        errands: Vec<Errand>,
        now: &impl Fn() -> Moment,
        report: &mut EvidenceReport,
        progress: &mut impl FnMut(&EvidenceReport),
    ) -> Result<(), TransportError> {
        let files = phone.hold(|device| {
            let file = |errand| {
                let (sealed, form) = match errand {
                    Errand::Thumbnail(sealed) => (sealed, Form::Thumbnail),
                    Errand::Original(sealed) => (sealed, Form::Original),
                };
                (errand, sealed, form, device.sealed_file(sealed, form))
            };
            Ok(errands.into_iter().map(file).collect::<Vec<_>>())
        });
        let files = files.await?.into_iter();
        let going = files.map(|(errand, sealed, form, path)| async move {
            let mut sent = 0;
            let done = match form {
                Form::Thumbnail => self.put_thumbnail(token, sealed, path, &mut sent).await,
                _ => self.upload(token, sealed, &path, &mut sent).await,
            };
            (errand, sealed, sent, done)
        });
        let going: Vec<_> = going.collect();
        let mut going = stream::iter(going).buffer_unordered(AT_ONCE);
        while let Some((errand, sealed, sent, done)) = going.next().await {
            report.bytes_up += sent;
            match done {
                Ok(()) => {
                    let done_at = now();
                    phone
                        .hold(|device| device.errand_done(errand, done_at))
                        .await?;
                    match errand {
                        Errand::Thumbnail(_) => report.thumbnails += 1,
                        Errand::Original(_) => report.originals += 1,
                    }
                }
                Err(TransportError::Refused { code, zh, en, .. }) => {
                    report.waiting.push(Carried {
                        sealed,
                        code,
                        zh,
                        en,
                    });
                }
                Err(error) => return Err(error),
            }
            progress(report);
        }
        Ok(())
    }

    /// Fetches the thumbnail of a piece.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn fetch_thumbnail(
        &self,
        phone: &mut impl Hold,
        rng: &mut (impl Rng + Send),
        piece: &Piece,
    ) -> Result<(), TransportError> {
        let token = phone.hold(|device| device.prepare_pull()).await?.token;
        let address = format!("{}/thumbnail", address(piece.sealed));
        let request = self.evidence_request(Method::GET, &address, &token);
        let answered = self.ask(request, MAX_SEALED_THUMBNAIL).await?;
        let kept = phone.hold(|device| device.keep_thumbnail(rng, piece, &answered.body));
        Ok(kept.await?)
    }

    /// Fetches a piece, from where an earlier attempt ended; it is taken only if
    /// its hashes are right.
    ///
    /// # Errors
    /// See [`TransportError`]; what was fetched stays.
    pub async fn fetch_original(
        &self,
        phone: &mut impl Hold,
        piece: &Piece,
    ) -> Result<(), TransportError> {
        let token = phone.hold(|device| device.prepare_pull()).await?.token;
        let length = piece.sealed_size();
        loop {
            let from = phone.hold(|device| Ok(device.fetched(piece))).await?;
            let to = length.min(from.saturating_add(FETCHED_PART));
            let part = match from < to {
                true => {
                    let request =
                        self.evidence_request(Method::GET, &address(piece.sealed), &token);
                    let last = to - 1;
                    let request = request.header("range", format!("bytes={from}-{last}"));
                    let most = usize::try_from(to - from).unwrap_or(usize::MAX);
                    let answered = self.ask(request, most).await?;
                    if answered.body.is_empty() {
                        return Err(DeviceError::OtherEvidence.into());
                    }
                    answered.body
                }
                false => Vec::new(),
            };
            if phone
                .hold(|device| device.keep_fetched(piece, &part))
                .await?
            {
                return Ok(());
            }
        }
    }

    async fn put_thumbnail(
        &self,
        token: &str,
        sealed: SealedId,
        path: PathBuf,
        sent: &mut u64,
    ) -> Result<(), TransportError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            // The server makes one of its own.
            Err(_) => return Ok(()),
        };
        *sent += bytes.len() as u64;
        let address = format!("{}/thumbnail", address(sealed));
        let request = self.evidence_request(Method::PUT, &address, token);
        let request = request.header("content-type", "application/octet-stream");
        self.ask(request.body(bytes), super::MAX_BODY_BYTES).await?;
        Ok(())
    }

    /// Sends an original from where the server has it.
    async fn upload(
        &self,
        token: &str,
        sealed: SealedId,
        path: &Path,
        sent: &mut u64,
    ) -> Result<(), TransportError> {
        let gone = |_| lost();
        let mut file = File::open(path).map_err(gone)?;
        let length = file.metadata().map_err(gone)?.len();
        // A small piece goes along with the beginning, and the server takes it
        // unless it has some of it already.
        let all = match length <= FIRST_PART {
            true => read_part(&mut file, 0, length).map_err(gone)?,
            false => Vec::new(),
        };
        *sent += all.len() as u64;
        let mut offset = match self.create(token, sealed, length, all).await {
            Err(TransportError::Unreachable(_)) if length <= FIRST_PART => {
                self.offset_after_break(token, sealed).await?
            }
            created => created?,
        };
        let (mut part, mut breaks) = (FIRST_PART, 0);
        while offset < length {
            let size = part.min(length - offset);
            let bytes = read_part(&mut file, offset, size).map_err(gone)?;
            *sent += bytes.len() as u64;
            let request = self
                .evidence_request(Method::PATCH, &address(sealed), token)
                .header("tus-resumable", TUS)
                .header("upload-offset", offset)
                .header("content-type", OFFSET_STREAM)
                .body(bytes);
            let after = match self.ask(request, super::MAX_BODY_BYTES).await {
                Ok(Answered {
                    offset: Some(after),
                    ..
                }) => {
                    part = (part * 4).min(LARGEST_PART);
                    after
                }
                // Broken, or somebody else was quicker: ask how far it is.
                Ok(_) | Err(TransportError::Unreachable(_)) => {
                    part = (part / 2).max(SMALLEST_PART);
                    self.offset_after_break(token, sealed).await?
                }
                Err(TransportError::Refused { code, .. }) if code == "evidence_offset" => {
                    self.offset_after_break(token, sealed).await?
                }
                Err(error) => return Err(error),
            };
            match after > offset {
                true => breaks = 0,
                false => breaks += 1,
            }
            if breaks >= PATIENCE {
                let why = "no progress".to_owned();
                return Err(TransportError::Unreachable(why));
            }
            offset = after;
        }
        Ok(())
    }

    /// The same, where the first answer may break as well.
    async fn offset_after_break(
        &self,
        token: &str,
        sealed: SealedId,
    ) -> Result<u64, TransportError> {
        let mut breaks = 0;
        loop {
            match self.offset(token, sealed).await {
                Ok(offset) => return Ok(offset.unwrap_or(0)),
                Err(TransportError::Unreachable(_)) if breaks < PATIENCE => breaks += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// How much of a piece the server has; `None` if it has not begun.
    async fn offset(&self, token: &str, sealed: SealedId) -> Result<Option<u64>, TransportError> {
        let request = self
            .evidence_request(Method::HEAD, &address(sealed), token)
            .header("tus-resumable", TUS);
        match self.ask(request, super::MAX_BODY_BYTES).await {
            Ok(answered) => Ok(answered.offset),
            // An answer to HEAD has no body that could say more.
            Err(TransportError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a piece, or goes on: how much of it the server has. `all` of it
    /// may come along.
    async fn create(
        &self,
        token: &str,
        sealed: SealedId,
        length: u64,
        all: Vec<u8>,
    ) -> Result<u64, TransportError> {
        let request = self
            .evidence_request(Method::POST, PATH, token)
            .header("tus-resumable", TUS)
            .header("upload-length", length)
            .header(
                "upload-metadata",
                format!("{METADATA} {}", STANDARD.encode(sealed.0)),
            );
        let request = match all.is_empty() {
            true => request,
            false => request.header("content-type", OFFSET_STREAM).body(all),
        };
        let answered = self.ask(request, super::MAX_BODY_BYTES).await?;
        Ok(answered.offset.unwrap_or(0))
    }

    fn evidence_request(&self, method: Method, path: &str, token: &str) -> reqwest::RequestBuilder {
        let address = format!("{}{path}", self.base);
        self.client.request(method, address).bearer_auth(token)
    }
}

fn address(sealed: SealedId) -> String {
    format!("{PATH}/{sealed}")
}

fn read_part(file: &mut File, offset: u64, size: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The original is not on this phone any more: nobody can send it.
fn lost() -> TransportError {
    TransportError::Refused {
        status: 0,
        code: "evidence_lost".to_owned(),
        zh: "原件已不在这部手机上,无法上传。".to_owned(),
        en: "The original is not on this phone any more and cannot be sent.".to_owned(),
        retry_after_s: None,
    }
}
