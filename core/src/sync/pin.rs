//! The pin of a server: which key its certificate must carry. A station that
//! nobody on the internet vouches for is recognised by it; the phone gets it
//! with the enrolment, face to face.
//!
//! The key is pinned and not the certificate, so a certificate can be made
//! anew for other names without any phone noticing.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// SHA-256 of the certificate's SubjectPublicKeyInfo (as in RFC 7469), written
/// as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub [u8; 32]);

/// Not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a pin: 64 hexadecimal digits are expected")]
pub struct BadPin;

impl Pin {
    /// The pin of a DER-encoded SubjectPublicKeyInfo.
    pub fn of_key_info(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

/// An address as a phone keeps it, taken apart: `https://host:port#pin=…`. The
/// part behind `#` never travels.
///
/// # Errors
/// Something other than a pin stands behind `#`.
pub fn split_address(address: &str) -> Result<(&str, Option<Pin>), BadPin> {
    match address.split_once('#') {
        None => Ok((address, None)),
        Some((base, fragment)) => {
            let pin = fragment.strip_prefix("pin=").ok_or(BadPin)?;
            Ok((base, Some(pin.parse()?)))
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl FromStr for Pin {
    type Err = BadPin;

    fn from_str(text: &str) -> Result<Self, BadPin> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(BadPin);
        }
        let mut pin = [0; 32];
        for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16).ok_or(BadPin);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).map_err(|_| BadPin)?;
        }
        Ok(Self(pin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_carries_its_pin() {
        let pin = Pin([0xa7; 32]);
        let address = format!("https://10.0.0.5:8470#pin={pin}");
        assert_eq!(
            split_address(&address),
            Ok(("https://10.0.0.5:8470", Some(pin)))
        );
        assert_eq!(split_address("https://a"), Ok(("https://a", None)));
        for bad in [
            "https://a#",
            "https://a#pin=",
            "https://a#pin=zz",
            "https://a#x",
        ] {
            assert_eq!(split_address(bad), Err(BadPin), "{bad}");
        }
        let not_hex = format!("https://a#pin={}", "哨".repeat(22));
        assert!(split_address(&not_hex[..]).is_err());
    }
}
