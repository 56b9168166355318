//! An edition of the directory on its way to a phone: the pack's bytes, signed
//! by the server's key, and how that key may change.
//!
//! 1. The server signs every edition once, over its street, number, time and
//!    the hash of its bytes.
//! 2. A phone takes an edition if the key that it has known since its enrolment
//!    signed it, and if it is newer than the one that it has.
//! 3. A server that changes its key says so in a [`KeyChange`], signed by the
//!    old key and the new one, which travels with the first edition that the
//!    new key signs.
//!
//! What can go wrong: (2) another key, another street or an older edition: the
//! reply is not taken at all, and what the phone has stays valid.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

/// A signed edition of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Edition {
    /// Code of the street.
    #[n(0)]
    pub street: String,
    /// Grows with every edition.
    #[n(1)]
    pub version: u64,
    /// When it was signed, milliseconds.
    #[n(2)]
    pub signed_at_ms: i64,
    /// JSON bytes of a directory pack.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub pack: Vec<u8>,
    /// Ed25519, 64 bytes.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

/// An edition or a change of keys that must not be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEdition {
    /// The bytes are not an edition.
    #[error("not an edition of a directory")]
    Malformed,
    /// Signed by somebody else, or not at all.
    #[error("the directory is not signed by the server that this phone knows")]
    Signature,
    /// Of another street.
    #[error("the directory is of another street")]
    Street,
    /// Older than what the phone has, or numbered otherwise inside.
    #[error("the directory is older than the one on this phone")]
    Older,
}

impl Edition {
    /// Signs an edition.
    pub fn sign(
        key: &SigningKey,
        street: &str,
        version: u64,
        signed_at_ms: i64,
        pack: Vec<u8>,
    ) -> Self {
        let mut edition = Self {
            street: street.to_owned(),
            version,
            signed_at_ms,
            pack,
            signature: Vec::new(),
        };
        edition.signature = key.sign(&edition.signed_bytes()).to_bytes().to_vec();
        edition
    }

    /// Whether this key signed it.
    ///
    /// # Errors
    /// See [`BadEdition`].
    pub fn verify(&self, server_key: &[u8; 32]) -> Result<(), BadEdition> {
        verify(server_key, &self.signed_bytes(), &self.signature)
    }

    /// As it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing to a Vec cannot fail, and no Encode impl here fails by itself.
        minicbor::to_vec(self).unwrap_or_default()
    }

    /// Back from the wire.
    ///
    /// # Errors
    /// See [`BadEdition`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadEdition> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let edition = decoder.decode().map_err(|_| BadEdition::Malformed)?;
        match decoder.position() == bytes.len() {
            true => Ok(edition),
            false => Err(BadEdition::Malformed),
        }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"shaodao directory v1\0".to_vec();
        put(&mut bytes, self.street.as_bytes());
        put(&mut bytes, &self.version.to_be_bytes());
        put(&mut bytes, &self.signed_at_ms.to_be_bytes());
        put(&mut bytes, &Sha256::digest(&self.pack));
        bytes
    }
}

/// A server's new key, vouched for by the old one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeyChange {
    /// The first edition that the new key signs.
    #[n(0)]
    pub version: u64,
    /// The old public key, 32 bytes.
    #[n(1)]
    pub old: ByteVec,
    /// The new public key, 32 bytes.
    #[n(2)]
    pub new: ByteVec,
    /// By the old key.
    #[n(3)]
    pub by_old: ByteVec,
    /// By the new key, which shows that somebody holds it.
    #[n(4)]
    pub by_new: ByteVec,
}

impl KeyChange {
    /// Both keys sign the change.
    pub fn sign(old: &SigningKey, new: &SigningKey, version: u64) -> Self {
        let mut change = Self {
            version,
            old: old.verifying_key().to_bytes().to_vec().into(),
            new: new.verifying_key().to_bytes().to_vec().into(),
            by_old: Vec::new().into(),
            by_new: Vec::new().into(),
        };
        let bytes = change.signed_bytes();
        change.by_old = old.sign(&bytes).to_bytes().to_vec().into();
        change.by_new = new.sign(&bytes).to_bytes().to_vec().into();
        change
    }

    /// The new key, if both keys signed.
    ///
    /// # Errors
    /// See [`BadEdition`].
    pub fn verify(&self) -> Result<[u8; 32], BadEdition> {
        let key = |bytes: &ByteVec| <[u8; 32]>::try_from(bytes.as_slice());
        let old = key(&self.old).map_err(|_| BadEdition::Malformed)?;
        let new = key(&self.new).map_err(|_| BadEdition::Malformed)?;
        let bytes = self.signed_bytes();
        verify(&old, &bytes, &self.by_old)?;
        verify(&new, &bytes, &self.by_new)?;
        Ok(new)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"shaodao key change v1\0".to_vec();
        put(&mut bytes, &self.version.to_be_bytes());
        put(&mut bytes, &self.old);
        put(&mut bytes, &self.new);
        bytes
    }
}

/// Follows changes of the server's key from the one that the phone knows.
///
/// # Errors
/// A change that continues from the known key is not signed by both.
pub fn follow(known: [u8; 32], changes: &[KeyChange]) -> Result<[u8; 32], BadEdition> {
    let mut key = known;
    for change in changes {
        if change.old.as_slice() == key {
            key = change.verify()?;
        }
    }
    Ok(key)
}

fn verify(key: &[u8; 32], bytes: &[u8], signature: &[u8]) -> Result<(), BadEdition> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| BadEdition::Signature)?;
    let signature = Signature::from_slice(signature).map_err(|_| BadEdition::Signature)?;
    key.verify_strict(bytes, &signature)
        .map_err(|_| BadEdition::Signature)
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u64).to_be_bytes());
    bytes.extend(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_key_and_the_bytes_that_it_signed_count() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let known = key.verifying_key().to_bytes();
        let edition = Edition::sign(&key, "530102001", 7, 5, b"{}".to_vec());
        assert_eq!(edition.verify(&known), Ok(()));
        assert_eq!(
            Edition::from_bytes(&edition.to_bytes()),
            Ok(edition.clone())
        );
        let other = SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes();
        assert_eq!(edition.verify(&other), Err(BadEdition::Signature));
        for changed in [
            Edition {
                version: 8,
                ..edition.clone()
            },
            Edition {
                street: "530102002".into(),
                ..edition.clone()
            },
            Edition {
                signed_at_ms: 6,
                ..edition.clone()
            },
            Edition {
                pack: b"{ }".to_vec(),
                ..edition.clone()
            },
        ] {
            assert_eq!(changed.verify(&known), Err(BadEdition::Signature));
        }
    }

    #[test]
    fn a_new_key_is_followed_only_from_the_known_one() {
        let [a, b, c] = [1, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]));
        let public = |key: &SigningKey| key.verifying_key().to_bytes();
        let changes = [KeyChange::sign(&a, &b, 2), KeyChange::sign(&b, &c, 5)];
        assert_eq!(follow(public(&a), &changes), Ok(public(&c)));
        assert_eq!(follow(public(&b), &changes), Ok(public(&c)));
        let mut forged = changes[0].clone();
        forged.new = public(&c).to_vec().into();
        assert_eq!(follow(public(&a), &[forged]), Err(BadEdition::Signature));
    }
}
