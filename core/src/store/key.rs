//! The key of the phone's files.
//!
//! 1. The app draws 32 random bytes once and keeps them where the system keeps
//!    secrets: Android's Keystore, the Keychain of iOS. The command line keeps
//!    them in a file that only its owner may read.
//! 2. The database is given them raw, and SQLCipher encrypts and authenticates
//!    every page with them.
//! 3. Whatever else the phone encrypts beside the database takes a key of its
//!    own, derived from them.
//!
//! What can go wrong: (1) the key is gone, and with it everything on the phone
//! that the server has not got. It is never written into a log, an error or
//! the database, and its memory is wiped.

use std::fmt;

use hkdf::Hkdf;
use rand::Rng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The 32 bytes that a phone's files are encrypted with.
#[derive(Clone)]
pub struct DatabaseKey(Zeroizing<[u8; 32]>);

impl DatabaseKey {
    /// A key that was kept.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Draws a key for a new phone; `rng` must be one fit for secrets.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// The raw bytes, to keep them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for another purpose, which says nothing about this one.
    pub(super) fn derive(&self, purpose: &str) -> Option<Zeroizing<[u8; 32]>> {
        let mut derived = Zeroizing::new([0; 32]);
        let expanded =
            Hkdf::<Sha256>::new(None, self.0.as_ref()).expand(purpose.as_bytes(), derived.as_mut());
        // Fails only for more output than 255 hashes.
        expanded.ok().map(|()| derived)
    }

    /// The statement that hands the key to SQLCipher, as it is: without a
    /// passphrase there is nothing to stretch.
    pub(super) fn statement(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut statement = Zeroizing::new(String::with_capacity(96));
        statement.push_str("PRAGMA key = \"x'");
        for byte in self.0.iter() {
            statement.push(char::from(DIGITS[usize::from(byte >> 4)]));
            statement.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        statement.push_str("'\"");
        statement
    }
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows_itself() {
        let key = DatabaseKey::new([0xab; 32]);
        assert_eq!(format!("{key:?}"), "DatabaseKey(..)");
        let statement = key.statement();
        assert!(statement.ends_with(&format!("x'{}'\"", "ab".repeat(32))));
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_key() {
        let (one, other) = (DatabaseKey::new([1; 32]), DatabaseKey::new([2; 32]));
        let keys = [
            one.derive("a"),
            one.derive("b"),
            other.derive("a"),
            Some(one.0.clone()),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(key.is_some() && keys[..at].iter().all(|before| before != key));
        }
    }
}
