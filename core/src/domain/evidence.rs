//! Evidence (佐证): photos, voice notes and files that show what somebody found
//! or did. The bytes are in no document.
//!
//! 1. A piece is sealed once, on the phone that takes it, under a key of its
//!    own ([`crate::evidence::stream`]). The action that *attaches* it says what
//!    it is: the hash of its bytes, the hash of its ciphertext, size, type, what
//!    it shows, when and where it was taken.
//! 2. The ciphertext is the same on the phone, on its way, in the server's store
//!    and on other phones. The key travels beside the envelopes, to everybody
//!    whom the record is meant for.
//! 3. Somebody *erases* it: an action like any other. Whoever learns of it, the
//!    server and every phone, destroys the key and the ciphertext. What stays is
//!    that there was something, and who erased it and why.
//!
//! What can go wrong: (1) not what it says, too large, too many: refused before
//! anything is saved ([`check`], [`fits`]); (2) the bytes have not arrived yet:
//! [`Arrivals`] says how many have; (3) two people attach the same picture at the
//! same time: both stand, and one erasure erases both.

use super::history::Entry;
use super::ids::{EnvelopeHash, EvidenceId, PersonId, SealedId};
use super::place::Position;
use super::reason::Reason;

use super::action::Body;

/// Most pieces of one action.
pub const MAX_PIECES: usize = 20;
/// Most pieces that an author may know on a record when attaching another.
pub const MAX_PIECES_OF_RECORD: usize = 100;
/// Largest photo or file, bytes.
pub const MAX_PHOTO_BYTES: u64 = 20 * 1024 * 1024;
/// Largest voice note, bytes.
pub const MAX_VOICE_BYTES: u64 = 10 * 1024 * 1024;
/// Largest thumbnail, bytes, before it is sealed.
pub const MAX_THUMBNAIL_BYTES: usize = 16 * 1024;

/// A piece is sealed in chunks of so many bytes, the last one as long as what
/// is left.
pub const CHUNK_BYTES: u64 = 64 * 1024;
/// Sealing makes each chunk longer by so many bytes.
pub const TAG_BYTES: u64 = 16;

/// What a piece shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shows {
    /// 现场照片: the scene as it was found.
    Scene,
    /// 处理前照片: before somebody worked on it.
    Before,
    /// 处理后照片: after that.
    After,
    /// 录音: somebody speaks.
    Voice,
    /// 文件: a document.
    File,
}

impl Shows {
    /// Everything that a piece may show.
    pub const ALL: [Shows; 5] = [
        Self::Scene,
        Self::Before,
        Self::After,
        Self::Voice,
        Self::File,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Scene => "scene",
            Self::Before => "before",
            Self::After => "after",
            Self::Voice => "voice",
            Self::File => "file",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Scene => "现场照片",
            Self::Before => "处理前照片",
            Self::After => "处理后照片",
            Self::Voice => "录音",
            Self::File => "文件",
        }
    }

    /// What this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shows| shows.word() == word)
    }

    /// Whether it is a photo.
    pub fn is_photo(self) -> bool {
        matches!(self, Self::Scene | Self::Before | Self::After)
    }

    /// Largest piece of this kind, bytes.
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Voice => MAX_VOICE_BYTES,
            Self::Scene | Self::Before | Self::After | Self::File => MAX_PHOTO_BYTES,
        }
    }
}

/// The type of a piece's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Media {
    /// A JPEG picture.
    Jpeg,
    /// A PNG picture.
    Png,
    /// A WebP picture.
    WebP,
    /// Audio in an MPEG-4 container, as most phones record it.
    M4a,
    /// MP3 audio.
    Mp3,
    /// Audio in an Ogg container.
    Ogg,
    /// AMR audio, as older phones record it.
    Amr,
    /// Uncompressed audio.
    Wav,
    /// A PDF document.
    Pdf,
    /// Plain text.
    Text,
}

impl Media {
    /// Every type.
    pub const ALL: [Media; 10] = [
        Self::Jpeg,
        Self::Png,
        Self::WebP,
        Self::M4a,
        Self::Mp3,
        Self::Ogg,
        Self::Amr,
        Self::Wav,
        Self::Pdf,
        Self::Text,
    ];

    /// The media type, as in HTTP; the stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::M4a => "audio/mp4",
            Self::Mp3 => "audio/mpeg",
            Self::Ogg => "audio/ogg",
            Self::Amr => "audio/amr",
            Self::Wav => "audio/wav",
            Self::Pdf => "application/pdf",
            Self::Text => "text/plain",
        }
    }

    /// The type with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.word() == word)
    }

    /// How the name of such a file ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::M4a => "m4a",
            Self::Mp3 => "mp3",
            Self::Ogg => "ogg",
            Self::Amr => "amr",
            Self::Wav => "wav",
            Self::Pdf => "pdf",
            Self::Text => "txt",
        }
    }

    /// Whether bytes of this type can be what a piece shows.
    pub fn fits(self, shows: Shows) -> bool {
        match self {
            Self::Jpeg | Self::Png | Self::WebP => shows.is_photo() || shows == Shows::File,
            Self::M4a | Self::Mp3 | Self::Ogg | Self::Amr | Self::Wav => shows == Shows::Voice,
            Self::Pdf | Self::Text => shows == Shows::File,
        }
    }

    /// Whether it is a picture, which has a thumbnail and a display copy.
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::WebP)
    }
}

/// One photo, voice note or file, as the action that attaches it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// SHA-256 of its bytes.
    pub id: EvidenceId,
    /// SHA-256 of its ciphertext.
    pub sealed: SealedId,
    /// How many bytes it has.
    pub size: u64,
    /// Their type.
    pub media: Media,
    /// What they show.
    pub shows: Shows,
    /// When it was taken, by the phone's best reading, Unix milliseconds.
    pub taken_at_ms: i64,
    /// Where, if the phone knew.
    pub position: Option<Position>,
}

impl Piece {
    /// How many bytes its ciphertext has: it follows from the size.
    pub fn sealed_size(&self) -> u64 {
        sealed_size(self.size)
    }
}

/// How many bytes the ciphertext of so many bytes has.
pub fn sealed_size(size: u64) -> u64 {
    let chunks = size.div_ceil(CHUNK_BYTES).max(1);
    size.saturating_add(chunks.saturating_mul(TAG_BYTES))
}

/// A piece on a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// What it is.
    pub piece: Piece,
    /// The action that attached it.
    pub hash: EnvelopeHash,
    /// Who did: on their phone it is until the server has it.
    pub by: PersonId,
    /// Clock reading of that action, milliseconds.
    pub at_ms: i64,
    /// Who erased it and why; `None` while it stands.
    pub erased: Option<(PersonId, String)>,
}

/// Whether an action may say these pieces.
///
/// # Errors
/// The first thing that cannot be meant.
pub fn check(pieces: &[Piece]) -> Result<(), Reason> {
    if pieces.is_empty() {
        return Err(Reason::Empty);
    }
    if pieces.len() > MAX_PIECES {
        return Err(Reason::TooManyPieces);
    }
    for (at, piece) in pieces.iter().enumerate() {
        let twice = |other: &Piece| other.id == piece.id || other.sealed == piece.sealed;
        if pieces[..at].iter().any(twice) {
            return Err(Reason::AttachedAlready);
        }
        check_size(piece.shows, piece.size)?;
        if !piece.media.fits(piece.shows) {
            return Err(Reason::WrongMedia);
        }
    }
    Ok(())
}

/// Whether a piece that shows this may have so many bytes.
///
/// # Errors
/// Nothing, or too much.
pub fn check_size(shows: Shows, size: u64) -> Result<(), Reason> {
    match size {
        0 => Err(Reason::Empty),
        size if size > shows.max_bytes() => Err(Reason::PieceTooLarge),
        _ => Ok(()),
    }
}

/// Whether pieces can be attached to what an author knew to be there.
///
/// # Errors
/// One of them stands there already, or there are too many.
pub fn fits(pieces: &[Piece], there: &[Attached]) -> Result<(), Reason> {
    let stands = |piece: &Piece| {
        let same = |it: &&Attached| it.piece.id == piece.id && it.erased.is_none();
        there.iter().find(same).is_some()
    };
    if pieces.iter().any(stands) {
        return Err(Reason::AttachedAlready);
    }
    match there.len() + pieces.len() > MAX_PIECES_OF_RECORD {
        true => Err(Reason::TooManyPieces),
        false => Ok(()),
    }
}

/// Applies an action to the evidence of a record.
///
/// # Errors
/// The reason why it has no effect; nothing changed.
pub(super) fn apply(evidence: &mut Vec<Attached>, entry: &Entry) -> Result<(), Reason> {
    match &entry.body {
        Body::Attach { pieces } => {
            let known = |piece: &Piece| evidence.iter().any(|it| it.piece.sealed == piece.sealed);
            if pieces.iter().any(known) {
                return Err(Reason::AttachedAlready);
            }
            evidence.extend(pieces.iter().map(|piece| Attached {
                piece: *piece,
                hash: entry.hash,
                by: entry.person.clone(),
                at_ms: entry.claim.reading_ms(),
                erased: None,
            }));
            Ok(())
        }
        Body::EraseEvidence { piece, reason } => {
            let mut same: Vec<_> = evidence
                .iter_mut()
                .filter(|it| it.piece.id == *piece)
                .collect();
            if same.is_empty() {
                return Err(Reason::NoSuchEvidence);
            }
            same.retain(|it| it.erased.is_none());
            if same.is_empty() {
                return Err(Reason::EvidenceErased);
            }
            for attached in same {
                attached.erased = Some((entry.person.clone(), reason.clone()));
            }
            Ok(())
        }
        _ => Err(Reason::NoSuchEvidence),
    }
}

/// How far a piece has come, as far as whoever asks can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrival {
    /// On its author's phone only, as far as is known.
    OnPhone,
    /// The server has all of it, and its hash is right.
    AtServer,
    /// The server has delivered it to another phone.
    Seen,
}

impl Arrival {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::OnPhone => "on_phone",
            Self::AtServer => "at_server",
            Self::Seen => "seen",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::OnPhone => "在手机上",
            Self::AtServer => "已到服务器",
            Self::Seen => "已有人查看",
        }
    }
}

/// How many of the pieces that stand have arrived at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrivals {
    /// How many stand.
    pub pieces: usize,
    /// How many of them have arrived.
    pub arrived: usize,
    /// How many more belong only to actions that were not accepted: nobody waits
    /// for them.
    pub set_aside: usize,
}

impl Arrivals {
    /// Counts one more piece.
    pub fn count(&mut self, arrival: Arrival) {
        self.pieces += 1;
        self.arrived += usize::from(arrival >= Arrival::AtServer);
    }

    /// Whether something is still on the way.
    pub fn is_waiting(&self) -> bool {
        self.arrived < self.pieces
    }

    /// Whether there is anything to say of pieces on the way.
    pub fn is_worth_a_line(&self) -> bool {
        self.is_waiting() || self.set_aside > 0
    }

    /// In Chinese: 9 张照片已到 7 张 if all of them are photos, else 份.
    pub fn zh(&self, photos_only: bool) -> String {
        let Self {
            pieces,
            arrived,
            set_aside,
        } = self;
        let arrived = match photos_only {
            true => format!("{pieces} 张照片已到 {arrived} 张"),
            false => format!("{pieces} 份佐证已到 {arrived} 份"),
        };
        match (set_aside, pieces) {
            (0, _) => arrived,
            (_, 0) => format!("{set_aside} 份佐证属于未被接受的操作,没有计入"),
            (_, _) => format!("{arrived};另有 {set_aside} 份属于未被接受的操作,没有计入"),
        }
    }

    /// In English: 7 of 9 photos arrived.
    pub fn en(&self, photos_only: bool) -> String {
        let Self {
            pieces,
            arrived,
            set_aside,
        } = self;
        let what = match (photos_only, pieces) {
            (true, 1) => "photo",
            (true, _) => "photos",
            (false, 1) => "piece of evidence",
            (false, _) => "pieces of evidence",
        };
        let aside = "of actions that were not accepted, which do not count";
        match (set_aside, pieces) {
            (0, _) => format!("{arrived} of {pieces} {what} arrived"),
            (_, 0) => format!("{set_aside} pieces {aside}"),
            (_, _) => format!("{arrived} of {pieces} {what} arrived; {set_aside} more {aside}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(nth: u8) -> Piece {
        Piece {
            id: EvidenceId([nth; 32]),
            sealed: SealedId([nth; 32]),
            size: 1_000,
            media: Media::Jpeg,
            shows: Shows::Scene,
            taken_at_ms: 0,
            position: None,
        }
    }

    #[test]
    fn what_cannot_be_evidence_is_refused_with_its_reason() {
        let of = |change: fn(&mut Piece)| {
            let mut piece = piece(1);
            change(&mut piece);
            check(&[piece])
        };
        assert_eq!(check(&[piece(1), piece(2)]), Ok(()));
        assert_eq!(check(&[]), Err(Reason::Empty));
        assert_eq!(
            check(&[piece(1), piece(1)]),
            Err(Reason::AttachedAlready),
            "the same twice"
        );
        let many: Vec<_> = (0..21).map(piece).collect();
        assert_eq!(check(&many), Err(Reason::TooManyPieces));
        assert_eq!(of(|it| it.size = 0), Err(Reason::Empty));
        let too_large = Err(Reason::PieceTooLarge);
        assert_eq!(of(|it| it.size = MAX_PHOTO_BYTES + 1), too_large);
        assert_eq!(of(|it| it.shows = Shows::Voice), Err(Reason::WrongMedia));
        assert_eq!(of(|it| it.media = Media::Pdf), Err(Reason::WrongMedia));
    }

    #[test]
    fn ciphertext_is_as_long_as_its_chunks_say() {
        for (size, wanted) in [
            (1, 17),
            (CHUNK_BYTES, CHUNK_BYTES + 16),
            (CHUNK_BYTES + 1, CHUNK_BYTES + 1 + 32),
        ] {
            assert_eq!(sealed_size(size), wanted, "{size}");
        }
    }
}
