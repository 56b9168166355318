//! Names of things. All of them are opaque: nothing is ever read out of an id.
//!
//! Records and devices carry 16 random bytes, drawn where they are made, so
//! that a phone without signal can name what it makes. The record that an
//! escalation opens is the exception: its id is *derived*, so that two servers
//! which never spoke to each other open the same one.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use sha2::{Digest, Sha256};

/// A text that should have been the hexadecimal form of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected {expected} hexadecimal characters, got `{got}`")]
pub struct BadId {
    /// How many characters the id has.
    pub expected: usize,
    /// What was given, cut to 80 characters.
    pub got: String,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// Takes the bytes if there are exactly as many as the id has.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut bytes = [0; $len];
                from_hex(text, &mut bytes).map(|()| Self(bytes))
            }
        }
    };
}

byte_id!(
    /// A finding or a whistle.
    RecordId, 16
);
byte_id!(
    /// One installation of the app; a phone that is set up again is another.
    DeviceId, 16
);
byte_id!(
    /// One run of a device's operating system, between two restarts. Monotonic
    /// times compare only within one boot.
    BootId, 8
);
byte_id!(
    /// SHA-256 of an envelope's signed bytes: the identity of an action, on
    /// the wire, in both stores and in every receipt.
    EnvelopeHash, 32
);
byte_id!(
    /// What an action cites of a server's history: the first 16 bytes of the
    /// hash over everything that the server had published by then.
    HeadMark, 16
);

byte_id!(
    /// SHA-256 of the ciphertext of something confided to a finding.
    PrivateId, 32
);
byte_id!(
    /// SHA-256 of a piece of evidence, as it was taken.
    EvidenceId, 32
);
byte_id!(
    /// SHA-256 of the ciphertext of a piece of evidence: by this name it is
    /// kept, sent and asked for.
    SealedId, 32
);

impl RecordId {
    /// Draws a new id.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The whistle that an escalation of `whistle` to `level` opens in its
    /// `round`-th escalation (from 1). The same arguments give the same id on
    /// every server, which makes the escalation happen once by construction.
    pub fn of_escalation(whistle: RecordId, level: u8, round: u32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"shaodao escalation v1\0");
        hasher.update(whistle.0);
        hasher.update([level]);
        hasher.update(round.to_be_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl DeviceId {
    /// Draws a new id.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl BootId {
    /// Draws a new id, once at every start of the device.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 8];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl EnvelopeHash {
    /// The first 16 bytes: enough to tell apart the actions of one record.
    pub fn short(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[..16]);
        bytes
    }
}

/// A person as the office numbers them, for example `P01006-03`; 1 to 40
/// characters. `server` is the sync server itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub String);

impl PersonId {
    /// The sync server, author of numbers, escalations and stand-downs.
    pub const SERVER: &'static str = "server";

    /// The sync server as a person.
    pub fn server() -> Self {
        Self(Self::SERVER.to_owned())
    }

    /// Whether this is the sync server.
    pub fn is_server(&self) -> bool {
        self.0 == Self::SERVER
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for PersonId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

fn from_hex(text: &str, into: &mut [u8]) -> Result<(), BadId> {
    let bad = || BadId {
        expected: into.len() * 2,
        got: text.chars().take(80).collect(),
    };
    if text.len() != into.len() * 2 || !text.is_ascii() {
        return Err(bad());
    }
    let mut parsed = Vec::with_capacity(into.len());
    for pair in text.as_bytes().chunks_exact(2) {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(bad);
        parsed.push((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    }
    into.copy_from_slice(&parsed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = RecordId([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("07".parse::<RecordId>().is_err());
        assert!("é".repeat(16).parse::<RecordId>().is_err());
        assert!("+1".repeat(16).parse::<RecordId>().is_err());
    }

    #[test]
    fn an_escalation_has_one_id_per_level_and_round() {
        let whistle = RecordId([1; 16]);
        let first = RecordId::of_escalation(whistle, 2, 1);
        assert_eq!(first, RecordId::of_escalation(whistle, 2, 1));
        assert_ne!(first, RecordId::of_escalation(whistle, 2, 2));
        assert_ne!(first, RecordId::of_escalation(whistle, 3, 1));
    }
}
