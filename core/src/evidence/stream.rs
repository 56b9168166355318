//! Sealing evidence: each piece under a key of its own, so that destroying the
//! key erases the piece wherever its ciphertext lies.
//!
//! 1. [`PieceKey::random`] draws 32 bytes. Two keys are derived from them (HKDF,
//!    SHA-256): for the piece, for its thumbnails, for its display copies; one key
//!    erases all.
//! 2. [`seal`] encrypts as it reads: ChaCha20-Poly1305 in the STREAM
//!    construction, chunks of [`CHUNK_BYTES`]. The key seals one stream only, so
//!    its nonce starts at zero; the chunks' numbers and the mark of the last one
//!    are in their nonces, so that none can be moved, left out or cut off.
//! 3. [`open`] decrypts as it reads, and says what it has read: both hashes;
//!    [`Opening`] does so with parts of any length, as they come.
//!    [`open_chunk`] opens one chunk alone, for a range.
//! 4. A thumbnail or a display copy is small and may be made twice, by several
//!    phones and by the server: its nonce is random and stands before it.
//!
//! What can go wrong: (3) another key, a changed, moved or missing byte:
//! [`StreamError::Unreadable`], and what was written so far must not be used.

use std::fmt;
use std::io::{self, Read, Write};

use aead_stream::{EncryptorBE32, NewStream, StreamBE32, StreamPrimitive};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use rand::Rng;
use ring::aead::{self, Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::evidence::{CHUNK_BYTES, MAX_THUMBNAIL_BYTES, TAG_BYTES};
use crate::domain::ids::{EvidenceId, SealedId};

/// Most bytes of a sealed thumbnail that is taken from anybody.
pub const MAX_SEALED_THUMBNAIL: usize = NONCE_BYTES + MAX_THUMBNAIL_BYTES + TAG;
/// Bytes of a sealed chunk that is not the last.
pub const SEALED_CHUNK: usize = CHUNK + TAG;

const CHUNK: usize = CHUNK_BYTES as usize;
const TAG: usize = TAG_BYTES as usize;
const NONCE_BYTES: usize = 12;
const OF_PIECE: &[u8] = b"shaodao evidence v1 piece";
const OF_THUMBNAIL: &[u8] = b"shaodao evidence v1 thumbnail";
const OF_DISPLAY: &[u8] = b"shaodao evidence v1 display";

/// The key of a piece; whoever has it can see the piece.
#[derive(Clone, PartialEq, Eq)]
pub struct PieceKey(Zeroizing<[u8; 32]>);

impl PieceKey {
    /// Draws a key; `rng` must be one fit for secrets.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// A key that was kept or sent; `None` unless there are 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The raw bytes, to keep or send them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, purpose: &[u8]) -> Key {
        let mut derived = Zeroizing::new([0; 32]);
        // Fails only for more output than 255 hashes.
        let _ = Hkdf::<Sha256>::new(None, self.0.as_ref()).expand(purpose, derived.as_mut());
        Key::from(*derived)
    }
}

impl fmt::Debug for PieceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PieceKey(..)")
    }
}

/// What was sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streamed {
    /// SHA-256 of the bytes.
    pub id: EvidenceId,
    /// SHA-256 of the ciphertext.
    pub sealed: SealedId,
    /// How many bytes, before sealing.
    pub size: u64,
}

/// A piece could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The key does not open it, or it was changed.
    #[error("the evidence does not open")]
    Unreadable,
    /// It has more bytes than it may.
    #[error("the evidence has more than {0} bytes")]
    TooLarge(u64),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Seals everything that `from` gives, at most `most` bytes, into `to`.
///
/// # Errors
/// See [`StreamError`]; what was written is not to be used.
pub fn seal(
    key: &PieceKey,
    mut from: impl Read,
    to: impl Write,
    most: u64,
) -> Result<Streamed, StreamError> {
    let cipher = ChaCha20Poly1305::new(&key.derive(OF_PIECE));
    let mut encryptor = EncryptorBE32::from_aead(cipher, &Default::default());
    let (mut plain, mut sealed) = (Account::new(io::sink()), Account::new(to));
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    let mut next = Zeroizing::new(vec![0; CHUNK]);
    let mut filled = fill(&mut from, &mut chunk)?;
    loop {
        plain.take(&chunk[..filled], most)?;
        let ahead = match filled == CHUNK {
            true => fill(&mut from, &mut next)?,
            false => 0,
        };
        if ahead == 0 {
            let last = encryptor.encrypt_last(&chunk[..filled]);
            sealed.take(&last.map_err(|_| StreamError::Unreadable)?, u64::MAX)?;
            return streamed(plain, sealed);
        }
        let next_one = encryptor.encrypt_next(&chunk[..filled]);
        sealed.take(&next_one.map_err(|_| StreamError::Unreadable)?, u64::MAX)?;
        std::mem::swap(&mut chunk, &mut next);
        filled = ahead;
    }
}

/// Opens all of a ciphertext, at most `most` bytes once open, into `to`. The
/// caller compares what was read with what should have been.
///
/// # Errors
/// See [`StreamError`]; what was written is not to be used.
pub fn open(
    key: &PieceKey,
    mut from: impl Read,
    to: impl Write,
    most: u64,
) -> Result<Streamed, StreamError> {
    let mut opening = Opening::new(key, to, most);
    let mut sealed = Account::new(io::sink());
    let mut part = vec![0; CHUNK];
    loop {
        let filled = fill(&mut from, &mut part)?;
        if filled == 0 {
            return streamed(opening.last()?, sealed);
        }
        sealed.take(&part[..filled], u64::MAX)?;
        opening.take(&part[..filled])?;
    }
}

/// Opening a ciphertext that comes in parts of any length.
pub struct Opening<W> {
    /// The same cipher from another library, which opens it in two thirds of the
    /// time: this is what a server does with every byte that comes.
    key: Option<LessSafeKey>,
    /// The number of the chunk.
    nth: u32,
    /// What came of the newest chunk: it is opened once it is known whether it
    /// is the last one.
    chunk: Zeroizing<Vec<u8>>,
    plain: Account<W>,
    most: u64,
}

impl<W: Write> Opening<W> {
    /// Begins to open into `to`, at most `most` bytes once open.
    pub fn new(key: &PieceKey, to: W, most: u64) -> Self {
        // Fails only for a key of another length.
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key.derive(OF_PIECE));
        Self {
            key: key.ok().map(LessSafeKey::new),
            nth: 0,
            chunk: Zeroizing::new(Vec::with_capacity(SEALED_CHUNK)),
            plain: Account::new(to),
            most,
        }
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// See [`StreamError`]; nothing more is to be taken, and what was written is
    /// not to be used.
    pub fn take(&mut self, mut part: &[u8]) -> Result<(), StreamError> {
        while !part.is_empty() {
            if self.chunk.len() == SEALED_CHUNK {
                self.open_chunk(false)?;
            }
            let fits = part.len().min(SEALED_CHUNK - self.chunk.len());
            let (now, later) = part.split_at(fits);
            self.chunk.extend_from_slice(now);
            part = later;
        }
        Ok(())
    }

    /// There is no more: the hash of what was opened, and its length.
    ///
    /// # Errors
    /// See [`StreamError`]; what was written is not to be used.
    pub fn end(self) -> Result<(EvidenceId, u64), StreamError> {
        let (hash, size) = self.last()?.end()?;
        Ok((EvidenceId(hash), size))
    }

    fn last(mut self) -> Result<Account<W>, StreamError> {
        self.open_chunk(true)?;
        Ok(self.plain)
    }

    fn open_chunk(&mut self, is_last: bool) -> Result<(), StreamError> {
        // As STREAM has it: a prefix, which is zero here, the number, the mark.
        let mut nonce = [0; NONCE_BYTES];
        nonce[7..11].copy_from_slice(&self.nth.to_be_bytes());
        nonce[11] = u8::from(is_last);
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let key = self.key.as_ref().ok_or(StreamError::Unreadable)?;
        let opened = key.open_in_place(nonce, Aad::empty(), &mut self.chunk);
        let opened = opened.map_err(|_| StreamError::Unreadable)?;
        self.plain.take(opened, self.most)?;
        self.chunk.clear();
        self.nth = self.nth.checked_add(1).ok_or(StreamError::Unreadable)?;
        Ok(())
    }
}

/// Opens the `nth` chunk (from 0) alone: the bytes from `nth` × [`SEALED_CHUNK`]
/// of the ciphertext on, [`SEALED_CHUNK`] of them or, in the last chunk, what is
/// left.
///
/// # Errors
/// Another key or place, or changed.
pub fn open_chunk(
    key: &PieceKey,
    nth: u32,
    is_last: bool,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, StreamError> {
    let cipher = ChaCha20Poly1305::new(&key.derive(OF_PIECE));
    let stream = StreamBE32::from_aead(cipher, &Default::default());
    let opened = stream.decrypt(nth, is_last, sealed);
    opened
        .map(Zeroizing::new)
        .map_err(|_| StreamError::Unreadable)
}

/// Seals a thumbnail under the key of its piece.
///
/// # Errors
/// It is larger than [`MAX_THUMBNAIL_BYTES`].
pub fn seal_thumbnail(
    rng: &mut impl Rng,
    key: &PieceKey,
    thumbnail: &[u8],
) -> Result<Vec<u8>, StreamError> {
    if thumbnail.len() > MAX_THUMBNAIL_BYTES {
        return Err(StreamError::TooLarge(MAX_THUMBNAIL_BYTES as u64));
    }
    seal_copy(rng, &key.derive(OF_THUMBNAIL), thumbnail)
}

/// Opens a thumbnail with the key of its piece.
///
/// # Errors
/// Another key, or changed.
pub fn open_thumbnail(key: &PieceKey, sealed: &[u8]) -> Result<Vec<u8>, StreamError> {
    open_copy(&key.derive(OF_THUMBNAIL), sealed)
}

/// Seals a display copy under the key of its piece.
///
/// # Errors
/// It is too large for the cipher: far beyond any copy.
pub fn seal_display(
    rng: &mut impl Rng,
    key: &PieceKey,
    display: &[u8],
) -> Result<Vec<u8>, StreamError> {
    seal_copy(rng, &key.derive(OF_DISPLAY), display)
}

/// Opens a display copy with the key of its piece.
///
/// # Errors
/// Another key, or changed.
pub fn open_display(key: &PieceKey, sealed: &[u8]) -> Result<Vec<u8>, StreamError> {
    open_copy(&key.derive(OF_DISPLAY), sealed)
}

fn seal_copy(rng: &mut impl Rng, key: &Key, copy: &[u8]) -> Result<Vec<u8>, StreamError> {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let sealed = ChaCha20Poly1305::new(key).encrypt(&Nonce::from(nonce), copy);
    let sealed = sealed.map_err(|_| StreamError::Unreadable)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open_copy(key: &Key, sealed: &[u8]) -> Result<Vec<u8>, StreamError> {
    let (nonce, sealed) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(StreamError::Unreadable)?;
    let opened = ChaCha20Poly1305::new(key).decrypt(&Nonce::from(*nonce), sealed);
    opened.map_err(|_| StreamError::Unreadable)
}

fn streamed(
    plain: Account<impl Write>,
    sealed: Account<impl Write>,
) -> Result<Streamed, StreamError> {
    let ((id, size), (sealed, _)) = (plain.end()?, sealed.end()?);
    Ok(Streamed {
        id: EvidenceId(id),
        sealed: SealedId(sealed),
        size,
    })
}

/// Hash and length of what is written, on the way.
struct Account<W> {
    to: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Account<W> {
    fn new(to: W) -> Self {
        Self {
            to,
            hash: Sha256::new(),
            size: 0,
        }
    }

    fn take(&mut self, bytes: &[u8], most: u64) -> Result<(), StreamError> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        match self.size > most {
            true => Err(StreamError::TooLarge(most)),
            false => Ok(self.to.write_all(bytes)?),
        }
    }

    fn end(mut self) -> io::Result<([u8; 32], u64)> {
        self.to.flush()?;
        Ok((self.hash.finalize().into(), self.size))
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::evidence::sealed_size;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn bytes(rng: &mut StdRng, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        rng.fill_bytes(&mut bytes);
        bytes
    }

    fn sealed(key: &PieceKey, plain: &[u8]) -> (Vec<u8>, Streamed) {
        let mut sealed = Vec::new();
        let streamed = seal(key, plain, &mut sealed, u64::MAX).expect("seals");
        (sealed, streamed)
    }

    #[test]
    fn a_piece_of_any_length_opens_whole_and_chunk_by_chunk() {
        let mut rng = StdRng::seed_from_u64(1);
        for size in [1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 200_000] {
            let key = PieceKey::random(&mut rng);
            let plain = bytes(&mut rng, size);
            let (ciphertext, streamed) = sealed(&key, &plain);
            assert_eq!(ciphertext.len() as u64, sealed_size(size as u64));
            assert_eq!(streamed.id.0[..], Sha256::digest(&plain)[..]);
            assert_eq!(streamed.sealed.0[..], Sha256::digest(&ciphertext)[..]);
            let mut opened = Vec::new();
            let again = open(&key, &ciphertext[..], &mut opened, size as u64);
            assert_eq!((again.expect("opens"), &opened), (streamed, &plain));
            for part in [7_001, SEALED_CHUNK, 3 * SEALED_CHUNK] {
                let mut opened = Vec::new();
                let mut opening = Opening::new(&key, &mut opened, size as u64);
                for part in ciphertext.chunks(part) {
                    opening.take(part).expect("opens");
                }
                let again = opening.end().expect("opens");
                assert_eq!((again, &opened), ((streamed.id, streamed.size), &plain));
            }
            let chunks: Vec<_> = ciphertext.chunks(SEALED_CHUNK).collect();
            for (nth, chunk) in chunks.iter().enumerate() {
                let is_last = nth + 1 == chunks.len();
                let opened = open_chunk(&key, nth as u32, is_last, chunk).expect("opens");
                let from = nth * CHUNK;
                assert_eq!(opened[..], plain[from..(from + CHUNK).min(size)]);
            }
        }
    }

    #[test]
    fn what_was_changed_moved_or_cut_does_not_open() {
        let mut rng = StdRng::seed_from_u64(2);
        let key = PieceKey::random(&mut rng);
        let plain = bytes(&mut rng, 2 * CHUNK + 5);
        let (ciphertext, _) = sealed(&key, &plain);
        let opens = |key: &PieceKey, bytes: &[u8]| open(key, bytes, io::sink(), u64::MAX).is_ok();
        assert!(opens(&key, &ciphertext));
        assert!(!opens(&PieceKey::random(&mut rng), &ciphertext));
        let chunks: Vec<_> = ciphertext.chunks(SEALED_CHUNK).collect();
        let other_order = [chunks[1], chunks[0], chunks[2]].concat();
        for damaged in [
            ciphertext[..ciphertext.len() - 1].to_vec(),
            ciphertext[..2 * SEALED_CHUNK].to_vec(),
            ciphertext[SEALED_CHUNK..].to_vec(),
            [&ciphertext[..], &[0]].concat(),
            other_order,
            Vec::new(),
        ] {
            assert!(!opens(&key, &damaged), "{} bytes", damaged.len());
        }
        for at in [0, SEALED_CHUNK - 1, SEALED_CHUNK, ciphertext.len() - 1] {
            let mut damaged = ciphertext.clone();
            damaged[at] ^= 1;
            assert!(!opens(&key, &damaged), "byte {at}");
        }
        let too_large = seal(&key, &plain[..], io::sink(), plain.len() as u64 - 1);
        assert!(matches!(too_large, Err(StreamError::TooLarge(_))));
    }

    #[test]
    fn a_thumbnail_opens_with_the_key_of_its_piece_only() {
        let mut rng = StdRng::seed_from_u64(3);
        let key = PieceKey::random(&mut rng);
        let sealed = seal_thumbnail(&mut rng, &key, b"small").expect("seals");
        let again = seal_thumbnail(&mut rng, &key, b"small").expect("seals");
        assert_ne!(sealed, again, "never twice with one nonce");
        assert_eq!(open_thumbnail(&key, &sealed).expect("opens"), b"small");
        assert!(open_thumbnail(&PieceKey::random(&mut rng), &sealed).is_err());
        assert!(open_thumbnail(&key, &sealed[..sealed.len() - 1]).is_err());
        let large = vec![0; MAX_THUMBNAIL_BYTES + 1];
        assert!(seal_thumbnail(&mut rng, &key, &large).is_err());
        assert_eq!(format!("{key:?}"), "PieceKey(..)");
    }
}
