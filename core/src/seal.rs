//! Sealing personal data: each text under a key of its own, so that destroying
//! the key erases the text wherever its ciphertext lies.
//!
//! ChaCha20-Poly1305 (RFC 8439) with a random key and a random nonce; the record
//! and the kind are authenticated with it, so that a ciphertext cannot be moved
//! to another place. The id is the SHA-256 of the ciphertext: an action that
//! cites it commits to exactly these bytes, and says nothing of the text.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use rand::Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::ids::{PrivateId, RecordId};
use crate::domain::private::PrivateKind;

/// Most bytes of a ciphertext that is taken from anybody.
pub const MAX_SEALED_BYTES: usize = 8 * 1024;

const DOMAIN: &[u8] = b"shaodao private v1\0";
const NONCE_BYTES: usize = 12;

/// A text under its own key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedText {
    /// SHA-256 of the ciphertext.
    pub id: PrivateId,
    /// Nonce and ciphertext.
    pub ciphertext: Vec<u8>,
    /// The key; whoever has it can read.
    pub key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for SealedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedText({})", self.id)
    }
}

/// The key does not open the ciphertext in this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the private text does not open")]
pub struct Unreadable;

/// Seals a text of a record.
///
/// # Errors
/// The text is too large for the cipher: far beyond any that is taken.
pub fn seal(
    rng: &mut impl Rng,
    record: RecordId,
    kind: PrivateKind,
    text: &str,
) -> Result<SealedText, Unreadable> {
    let mut key = Zeroizing::new([0; 32]);
    rng.fill_bytes(key.as_mut());
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let context = context(record, kind);
    let payload = Payload {
        msg: text.as_bytes(),
        aad: &context,
    };
    let sealed = cipher(&key)
        .encrypt(&Nonce::from(nonce), payload)
        .map_err(|_| Unreadable)?;
    let ciphertext = [nonce.as_slice(), &sealed].concat();
    Ok(SealedText {
        id: id_of(&ciphertext),
        ciphertext,
        key,
    })
}

/// Reads a sealed text.
///
/// # Errors
/// Another key, place or kind, or damaged.
pub fn open(
    key: &[u8; 32],
    record: RecordId,
    kind: PrivateKind,
    ciphertext: &[u8],
) -> Result<String, Unreadable> {
    let (nonce, sealed) = ciphertext
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or(Unreadable)?;
    let context = context(record, kind);
    let payload = Payload {
        msg: sealed,
        aad: &context,
    };
    let text = cipher(key)
        .decrypt(&Nonce::from(*nonce), payload)
        .map_err(|_| Unreadable)?;
    String::from_utf8(text).map_err(|_| Unreadable)
}

/// The id that commits to a ciphertext.
pub fn id_of(ciphertext: &[u8]) -> PrivateId {
    PrivateId(Sha256::digest(ciphertext).into())
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

fn context(record: RecordId, kind: PrivateKind) -> Vec<u8> {
    [DOMAIN, &record.0, kind.word().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn a_text_opens_with_its_key_in_its_place_and_nowhere_else() {
        let mut rng = StdRng::seed_from_u64(1);
        let record = RecordId([1; 16]);
        let sealed = seal(&mut rng, record, PrivateKind::Phone, "13888000111").expect("seals");
        let read = |key: &[u8; 32], record, kind| open(key, record, kind, &sealed.ciphertext);
        let key = &sealed.key;
        assert_eq!(
            read(key, record, PrivateKind::Phone).as_deref(),
            Ok("13888000111")
        );
        assert!(read(&[7; 32], record, PrivateKind::Phone).is_err());
        assert!(read(key, RecordId([2; 16]), PrivateKind::Phone).is_err());
        assert!(read(key, record, PrivateKind::Note).is_err());
        for at in 0..sealed.ciphertext.len() {
            let mut bytes = sealed.ciphertext.clone();
            bytes[at] ^= 1;
            assert!(open(key, record, PrivateKind::Phone, &bytes).is_err());
            assert_ne!(id_of(&bytes), sealed.id);
        }
    }
}
