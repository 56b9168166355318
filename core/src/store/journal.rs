//! The journal: a second copy of what nobody but this phone has, in a file of
//! its own beside the database.
//!
//! 1. Before an action is committed to the database it is appended here and
//!    flushed. The first time in each run, and whenever the phone's identity or
//!    enrolment changes, a *head* goes along: the named values without which
//!    the phone would be another one, and a *generation* that only grows.
//!    Keys of evidence that the action attaches go along too: without them the
//!    action would cite what nobody can open.
//! 2. What the server has accepted, and keys of evidence that it has got, are
//!    taken out by writing the file anew.
//! 3. At every opening the two are compared ([`super::opening`]): each mends the
//!    other, and one flipped bit never hits both.
//!
//! A frame is a header in the clear (which record, which action, how long) with
//! a checksum of its own, and the encrypted rest. A damaged rest is thus still
//! named, and a damaged header costs its own frame only: the next one is found
//! again by its beginning.
//!
//! What can go wrong: (1) the disk is full: nothing is appended, and the action
//! is refused before anything is saved; the database refuses what is appended
//! already: it is cut off again, and where even that fails the journal is *in
//! doubt* and written anew before the next action; (2) the same: it then holds
//! more than it must; (3) bytes that are no frame: counted, and passed over.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use rusqlite::types::Value;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::StoreError;
use super::evidence::OwnPiece;
use super::key::DatabaseKey;
use crate::domain::ids::{EnvelopeHash, RecordId, SealedId};
use crate::envelope::{self, Sealed};
use crate::evidence::stream::PieceKey;
use crate::points::{Point, pass};

/// How every frame begins.
const MAGIC: [u8; 4] = [0xe5, 0x93, 0xa8, b'J'];
const HEAD: u8 = 1;
const ENVELOPE: u8 = 2;
/// The key of a piece of evidence; the frame's hash is that of its ciphertext.
const KEY: u8 = 3;
/// Magic, kind, length, record, hash.
const NAMED: usize = 4 + 1 + 4 + 16 + 32;
const CHECK: usize = 8;
const HEADER: usize = NAMED + CHECK;
/// No frame is longer; a length beyond it is damage.
const LONGEST: usize = 1024 * 1024;

/// The named values without which this phone would be another one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Head {
    /// Grows with every head.
    pub generation: u64,
    /// Name and value, by name.
    pub values: Vec<(String, Value)>,
}

impl Drop for Head {
    fn drop(&mut self) {
        // The device's secret key is among the values.
        for (_, value) in &mut self.values {
            match value {
                Value::Blob(bytes) => bytes.zeroize(),
                Value::Text(text) => text.zeroize(),
                _ => {}
            }
        }
    }
}

impl Head {
    pub fn value(&self, name: &str) -> Option<&Value> {
        let mut values = self.values.iter();
        values.find(|(its, _)| its == name).map(|(_, value)| value)
    }
}

/// What the journal says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The newest head.
    pub head: Option<Head>,
    /// Own actions, oldest first, each once.
    pub envelopes: Vec<Sealed>,
    /// Own evidence that the server has not got, by its record.
    pub pieces: Vec<(RecordId, OwnPiece)>,
    /// Actions whose bytes are damaged: all that is left is their name.
    pub lost: Vec<(RecordId, EnvelopeHash)>,
    /// Frames that did not decrypt, heads included.
    pub undecipherable: usize,
    /// Bytes that belong to no frame.
    pub stray: usize,
    /// Bytes altogether.
    pub length: usize,
}

impl Contents {
    /// Whether every byte reads as it was written.
    pub fn is_whole(&self) -> bool {
        self.undecipherable == 0 && self.stray == 0
    }

    /// Whether there are frames and none of them takes the key.
    pub fn refuses_the_key(&self) -> bool {
        self.undecipherable > 0 && self.head.is_none() && self.envelopes.is_empty()
    }
}

/// The file. It is opened anew for every write, by its name, under the write
/// lock of the database: another process may have replaced it.
pub(super) struct Journal {
    path: PathBuf,
    cipher: Aes256GcmSiv,
    in_doubt: bool,
}

impl Journal {
    pub fn new(path: PathBuf, key: &DatabaseKey) -> Result<Self, StoreError> {
        let key = key.derive("shaodao journal v1");
        let key = key.ok_or(StoreError::NoCipher)?;
        Ok(Self {
            path,
            cipher: Aes256GcmSiv::new_from_slice(key.as_ref()).map_err(|_| StoreError::NoCipher)?,
            in_doubt: false,
        })
    }

    /// Whether its end may hold what the database refused.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Everything in it; nothing if there is no file.
    pub fn read(&self) -> Result<Contents, StoreError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(error.into()),
        };
        Ok(self.parse(&bytes))
    }

    /// Appends and flushes, all or nothing; returns the length before, to cut
    /// it back to.
    pub fn append(
        &mut self,
        head: Option<&Head>,
        sealed: Option<&Sealed>,
        pieces: &[(RecordId, OwnPiece)],
    ) -> Result<u64, StoreError> {
        let mut frames = Vec::new();
        frames.extend(head.map(|head| self.head_frame(head)).transpose()?);
        for (record, piece) in pieces {
            frames.push(self.key_frame(*record, piece)?);
        }
        frames.extend(
            sealed
                .map(|sealed| self.envelope_frame(sealed))
                .transpose()?,
        );
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let before = file.metadata()?.len();
        let written = file
            .write_all(&frames.concat())
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            self.in_doubt |= file.set_len(before).is_err();
            return Err(error.into());
        }
        Ok(before)
    }

    /// Takes back what was appended at `length`: the database refused it.
    pub fn cut(&mut self, length: u64) {
        let file = OpenOptions::new().write(true).open(&self.path);
        let cut = file.and_then(|file| file.set_len(length).and_then(|()| file.sync_data()));
        self.in_doubt |= cut.is_err();
    }

    /// Writes it anew, whole or not at all.
    pub fn rewrite(
        &mut self,
        head: &Head,
        envelopes: &[Vec<u8>],
        pieces: &[(RecordId, OwnPiece)],
    ) -> Result<(), StoreError> {
        let draft = self.path.with_extension("draft");
        let mut bytes = self.head_frame(head)?;
        for (record, piece) in pieces {
            bytes.extend(self.key_frame(*record, piece)?);
        }
        for envelope in envelopes {
            bytes.extend(self.envelope_frame(&envelope::open(envelope)?)?);
        }
        let mut file = File::create(&draft)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        pass(Point::JournalDrafted);
        fs::rename(&draft, &self.path)?;
        pass(Point::JournalNamed);
        sync_folder(&self.path)?;
        self.in_doubt = false;
        Ok(())
    }

    fn head_frame(&self, head: &Head) -> Result<Vec<u8>, StoreError> {
        self.frame(HEAD, &[0; 16], &[0; 32], &encode_head(head))
    }

    fn key_frame(&self, record: RecordId, piece: &OwnPiece) -> Result<Vec<u8>, StoreError> {
        let mut clear = Zeroizing::new(piece.key.as_bytes().to_vec());
        clear.push(u8::from(piece.is_photo));
        self.frame(KEY, &record.0, &piece.sealed.0, &clear)
    }

    fn envelope_frame(&self, sealed: &Sealed) -> Result<Vec<u8>, StoreError> {
        let record = &sealed.envelope.action.record.0;
        self.frame(ENVELOPE, record, &sealed.hash.0, &sealed.bytes)
    }

    fn frame(
        &self,
        kind: u8,
        record: &[u8; 16],
        hash: &[u8; 32],
        clear: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        const TAG: usize = 16;
        let length = u32::try_from(clear.len() + TAG).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(HEADER + clear.len() + TAG);
        frame.extend(MAGIC);
        frame.push(kind);
        frame.extend(length.to_be_bytes());
        frame.extend(record);
        frame.extend(hash);
        let digest = Sha256::digest(&frame);
        frame.extend(&digest[..CHECK]);
        let payload = Payload {
            msg: clear,
            aad: &frame,
        };
        let rest = self.cipher.encrypt(&nonce(&digest), payload);
        // Fails only for more than 2^36 bytes.
        frame.extend(rest.map_err(|_| StoreError::NoCipher)?);
        Ok(frame)
    }

    fn parse(&self, bytes: &[u8]) -> Contents {
        let mut contents = Contents {
            length: bytes.len(),
            ..Contents::default()
        };
        let mut known = Known::default();
        let mut at = 0;
        while at < bytes.len() {
            let Some(header) = Header::read(&bytes[at..]) else {
                let next = bytes[at + 1..]
                    .windows(MAGIC.len())
                    .position(|window| window == MAGIC);
                let end = next.map_or(bytes.len(), |next| at + 1 + next);
                contents.stray += end - at;
                at = end;
                continue;
            };
            let from = at + HEADER;
            let to = (from + header.length).min(bytes.len());
            let clear = self.cipher.decrypt(
                &nonce(&header.digest),
                Payload {
                    msg: &bytes[from..to],
                    aad: &bytes[at..from],
                },
            );
            match clear {
                Ok(clear) => contents.take(&header, &Zeroizing::new(clear), &mut known),
                Err(_) => contents.undecipher(&header),
            }
            at = to;
        }
        // What another frame still holds is not lost.
        contents
            .lost
            .retain(|(_, hash)| !known.envelopes.contains(hash));
        contents
    }
}

/// What was read already: a frame may stand twice.
#[derive(Default)]
struct Known {
    envelopes: BTreeSet<EnvelopeHash>,
    pieces: BTreeSet<SealedId>,
}

impl Contents {
    fn take(&mut self, header: &Header, clear: &[u8], known: &mut Known) {
        match header.kind {
            HEAD => match decode_head(clear) {
                Some(head) => self.head = Some(head),
                None => self.undecipher(header),
            },
            KEY => match own_piece(header, clear) {
                Some(piece) if known.pieces.insert(piece.sealed) => {
                    self.pieces.push((header.record, piece));
                }
                Some(_) => {}
                None => self.undecipher(header),
            },
            _ => match envelope::open(clear) {
                Ok(sealed) if known.envelopes.insert(sealed.hash) => self.envelopes.push(sealed),
                Ok(_) => {}
                Err(_) => self.undecipher(header),
            },
        }
    }

    fn undecipher(&mut self, header: &Header) {
        self.undecipherable += 1;
        if header.kind == ENVELOPE {
            self.lost.push((header.record, header.hash));
        }
    }
}

struct Header {
    kind: u8,
    length: usize,
    record: RecordId,
    hash: EnvelopeHash,
    digest: [u8; 32],
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let digest: [u8; 32] = Sha256::digest(&header[..NAMED]).into();
        let kind = header[4];
        let length = u32::from_be_bytes(header[5..9].try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        let is_one = header[..4] == MAGIC
            && header[NAMED..] == digest[..CHECK]
            && matches!(kind, HEAD | ENVELOPE | KEY)
            && length <= LONGEST;
        is_one.then_some(Self {
            kind,
            length,
            record: RecordId::from_slice(&header[9..25])?,
            hash: EnvelopeHash::from_slice(&header[25..NAMED])?,
            digest,
        })
    }
}

fn own_piece(header: &Header, clear: &[u8]) -> Option<OwnPiece> {
    let (is_photo, key) = clear.split_last()?;
    Some(OwnPiece {
        sealed: SealedId(header.hash.0),
        key: PieceKey::from_slice(key)?,
        is_photo: *is_photo == 1,
        has_thumbnail: *is_photo == 1,
    })
}

/// A nonce that comes from what the frame is about. AES-GCM-SIV gives nothing
/// away by it but that two frames say the same, which their names tell anyway.
fn nonce(digest: &[u8]) -> Nonce {
    let mut nonce = Nonce::default();
    for (to, from) in nonce.iter_mut().zip(digest) {
        *to = *from;
    }
    nonce
}

fn encode_head(head: &Head) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let mut encoder = Encoder::new(&mut *bytes);
    // Writing to a vector cannot fail.
    let _ = (|| {
        encoder.array(2)?.u64(head.generation)?;
        encoder.map(head.values.len() as u64)?;
        for (name, value) in &head.values {
            encoder.str(name)?;
            match value {
                Value::Null => encoder.null()?,
                Value::Integer(number) => encoder.i64(*number)?,
                Value::Real(number) => encoder.f64(*number)?,
                Value::Text(text) => encoder.str(text)?,
                Value::Blob(bytes) => encoder.bytes(bytes)?,
            };
        }
        Ok::<_, minicbor::encode::Error<std::convert::Infallible>>(())
    })();
    bytes
}

fn decode_head(bytes: &[u8]) -> Option<Head> {
    let mut decoder = Decoder::new(bytes);
    (decoder.array().ok()? == Some(2)).then_some(())?;
    let generation = decoder.u64().ok()?;
    let count = decoder.map().ok()??;
    let mut values = Vec::new();
    for _ in 0..count {
        let name = decoder.str().ok()?.to_owned();
        let value = match decoder.datatype().ok()? {
            Type::Null => decoder.null().map(|()| Value::Null),
            Type::F64 => decoder.f64().map(Value::Real),
            Type::String => decoder.str().map(|text| Value::Text(text.to_owned())),
            Type::Bytes => decoder.bytes().map(|bytes| Value::Blob(bytes.to_vec())),
            _ => decoder.i64().map(Value::Integer),
        };
        values.push((name, value.ok()?));
    }
    Some(Head { generation, values })
}

/// Makes a rename in the folder of `path` last.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
