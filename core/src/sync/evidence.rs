//! Evidence between phone and server. Actions go first, thumbnails second,
//! originals last.
//!
//! Beside the envelopes of `POST /v1/sync` travel the keys
//! ([`EvidenceKey`](super::wire::EvidenceKey), from phone to server until it says
//! that it keeps them) and the news
//! ([`EvidenceNews`], from server to every phone that
//! the record is meant for: key, arrived, seen), by a cursor of their own.
//!
//! Ciphertext travels by tus 1.0 on [`PATH`], with the session of `/v1/sync`:
//!
//! | request | what the server does |
//! |---|---|
//! | `OPTIONS /v1/evidence` | `Tus-Version: 1.0.0`, `Tus-Extension: creation`, `Tus-Max-Size` |
//! | `POST /v1/evidence` with `Tus-Resumable`, `Upload-Length`, `Upload-Metadata: sealed <base64 of 32 bytes>` | 201, `Location: /v1/evidence/{sealed}`, `Upload-Offset`; again: the same, nothing is lost; with `Content-Type: application/offset+octet-stream` the beginning comes along |
//! | `HEAD /v1/evidence/{sealed}` | 200, `Upload-Offset`, `Upload-Length`; the offset is the length once all is there and verified |
//! | `PATCH /v1/evidence/{sealed}` with `Upload-Offset`, `Content-Type: application/offset+octet-stream` | 204 and the new `Upload-Offset`; what arrived before a cut counts |
//! | `PUT /v1/evidence/{sealed}/thumbnail` | 204; the body is a sealed thumbnail of at most [`MAX_SEALED_THUMBNAIL`](crate::evidence::stream::MAX_SEALED_THUMBNAIL) bytes; again: the first one stays |
//! | `GET /v1/evidence/{sealed}` with `Range` or without | the ciphertext, immutable |
//! | `GET /v1/evidence/{sealed}/thumbnail` | the sealed thumbnail; made on demand if the phone sent none |
//!
//! `{sealed}` is the hash of the ciphertext, 64 hexadecimal characters. Anything
//! about a piece that no accepted action cites, and any `GET` by somebody whom
//! the record is not meant for, is answered 404 `no_such_evidence`: a hash alone
//! opens nothing. Further answers, as JSON like all errors: 410
//! `evidence_erased`; 409 `evidence_offset`; 423 `evidence_busy` while another
//! request writes to the same piece; 413 `evidence_size` where the length is not
//! what the action says; 460 `evidence_hash` where all is there and a hash is
//! wrong (the server forgets what it has, the offset is 0 again); 425
//! `evidence_key` where all is there and the key has not come yet; 507
//! `evidence_full`.

/// Where evidence is.
pub const PATH: &str = "/v1/evidence";
/// The version of tus that both sides speak.
pub const TUS: &str = "1.0.0";
/// Type of the body of a `PATCH`.
pub const OFFSET_STREAM: &str = "application/offset+octet-stream";
/// The name of the ciphertext's hash in `Upload-Metadata`.
pub const METADATA: &str = "sealed";

use super::settle::SettleError;
use super::wire::EvidenceNews;
use crate::domain::ids::{RecordId, SealedId};
use crate::evidence::stream::PieceKey;

/// What the server says of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The record that it is attached to.
    pub record: RecordId,
    /// Which piece.
    pub sealed: SealedId,
    /// Its key; `None` while the server has not got it.
    pub key: Option<PieceKey>,
    /// When the server had all of it, milliseconds.
    pub arrived_at_ms: Option<i64>,
    /// Whether it was delivered to another phone.
    pub seen: bool,
}

impl News {
    /// Back from the wire.
    ///
    /// # Errors
    /// An id or a key has the wrong length.
    pub fn from_wire(news: &EvidenceNews) -> Result<Self, SettleError> {
        const BAD: SettleError = SettleError::Malformed("news of evidence");
        Ok(Self {
            record: RecordId::from_slice(&news.record).ok_or(BAD)?,
            sealed: SealedId::from_slice(&news.sealed).ok_or(BAD)?,
            key: match &news.key {
                Some(key) => Some(PieceKey::from_slice(key).ok_or(BAD)?),
                None => None,
            },
            arrived_at_ms: news.arrived_at_ms,
            seen: news.seen,
        })
    }
}

/// When originals are sent: the owner's setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setting {
    /// On any connection.
    #[default]
    Now,
    /// On Wi-Fi, at the station included.
    Wifi,
    /// At the station only.
    Station,
    /// Neither originals nor thumbnails.
    Never,
}

/// What the phone is connected by now; the app knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// Somebody pays for every byte.
    #[default]
    Mobile,
    /// Wi-Fi.
    Wifi,
    /// The Wi-Fi of the station.
    Station,
}

impl Setting {
    /// Whether originals go over such a connection.
    pub fn lets_originals(self, link: Link) -> bool {
        match self {
            Self::Now => true,
            Self::Wifi => link != Link::Mobile,
            Self::Station => link == Link::Station,
            Self::Never => false,
        }
    }
}

/// An own piece of which the server lacks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub sealed: SealedId,
    /// It lacks the thumbnail.
    pub thumbnail: bool,
    /// It lacks the original.
    pub original: bool,
}

/// One thing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// A thumbnail.
    Thumbnail(SealedId),
    /// An original, from where the server has it.
    Original(SealedId),
}

/// What to send, in this order: every thumbnail before the first original.
pub fn errands(waiting: &[Waiting], setting: Setting, link: Link) -> Vec<Errand> {
    let thumbnails = waiting.iter().filter(|it| it.thumbnail);
    let originals = waiting.iter().filter(|it| it.original);
    let thumbnails = thumbnails
        .filter(|_| setting != Setting::Never)
        .map(|it| Errand::Thumbnail(it.sealed));
    let originals = originals
        .filter(|_| setting.lets_originals(link))
        .map(|it| Errand::Original(it.sealed));
    thumbnails.chain(originals).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_go_first_and_originals_as_the_owner_wants() {
        let waiting = [(1, true), (2, false)].map(|(nth, thumbnail)| Waiting {
            sealed: SealedId([nth; 32]),
            thumbnail,
            original: true,
        });
        let [one, two] = waiting.map(|it| it.sealed);
        let thumbnails = vec![Errand::Thumbnail(one)];
        let everything = vec![
            Errand::Thumbnail(one),
            Errand::Original(one),
            Errand::Original(two),
        ];
        for (setting, link, wanted) in [
            (Setting::Now, Link::Mobile, &everything),
            (Setting::Wifi, Link::Mobile, &thumbnails),
            (Setting::Wifi, Link::Wifi, &everything),
            (Setting::Wifi, Link::Station, &everything),
            (Setting::Station, Link::Wifi, &thumbnails),
            (Setting::Station, Link::Station, &everything),
            (Setting::Never, Link::Station, &Vec::new()),
        ] {
            assert_eq!(&errands(&waiting, setting, link), wanted, "{setting:?}");
        }
    }
}
