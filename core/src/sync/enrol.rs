//! How a phone becomes one of the street's devices: what both sides compute,
//! without clock, file or socket.
//!
//! 1. The administrator opens a ticket. It reaches the phone as an
//!    [`Invitation`] (a QR code, with the server's key in it) or as ten typed
//!    characters, a [`Ticket`].
//! 2. The phone makes its key and hands the ticket in, with a [`commitment`] to
//!    a nonce that it keeps to itself.
//! 3. The server answers with its key and a nonce of its own; then the phone
//!    reveals its nonce.
//! 4. Both show the [`check_code`] of everything said so far. The administrator
//!    compares and confirms.
//! 5. The phone opens a session by signing a challenge ([`session_proof`]), now
//!    and whenever its token is lost or too old.
//!
//! What can go wrong: (1) somebody guesses: five tries, then the ticket is
//! dead; (3) somebody in the middle swaps a key: the codes differ. Because each
//! side is bound to its nonce before it learns the other's, nobody can search
//! for a key that leads to the same six digits; one attempt in a million hits.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::pin::Pin;
use crate::domain::ids::DeviceId;

/// A ticket is worth something for so long, milliseconds; so is an enrolment
/// that waits to be confirmed.
pub const TICKET_MS: i64 = 15 * 60_000;
/// Wrong secrets after which a ticket is dead.
pub const TICKET_TRIES: u32 = 5;
/// Crockford's base 32: no letter that could be read as a digit.
pub const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters that say which ticket it is.
pub const SELECTOR_LENGTH: usize = 4;
/// Characters of the secret that is typed: 30 bits, behind five tries.
pub const TYPED_LENGTH: usize = 6;
/// Characters of the secret in a QR code: 130 bits.
pub const SCANNED_LENGTH: usize = 26;

/// What opens an enrolment: four characters that say which one, and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(String);

/// A text that is no ticket or no invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ticket: {0}")]
pub struct BadTicket(pub &'static str);

impl Ticket {
    /// Which ticket.
    pub fn selector(&self) -> &str {
        &self.0[..SELECTOR_LENGTH]
    }

    /// Its secret.
    pub fn secret(&self) -> &str {
        &self.0[SELECTOR_LENGTH..]
    }

    /// Whether the secret came out of a QR code.
    pub fn is_scanned(&self) -> bool {
        self.secret().len() == SCANNED_LENGTH
    }
}

impl FromStr for Ticket {
    type Err = BadTicket;

    /// As people type it: any case, with spaces or hyphens, O for 0, I or L
    /// for 1.
    fn from_str(text: &str) -> Result<Self, BadTicket> {
        let mut ticket = String::new();
        for letter in text.chars().filter(|c| !matches!(c, ' ' | '-' | '\t')) {
            let letter = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                letter => letter,
            };
            if !letter.is_ascii() || !ALPHABET.contains(&(letter as u8)) {
                return Err(BadTicket("it has letters and digits only"));
            }
            ticket.push(letter);
            if ticket.len() > SELECTOR_LENGTH + SCANNED_LENGTH {
                break;
            }
        }
        match ticket.len().checked_sub(SELECTOR_LENGTH) {
            Some(TYPED_LENGTH | SCANNED_LENGTH) => Ok(Self(ticket)),
            _ => Err(BadTicket("it has ten characters")),
        }
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ticket {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}…)", self.selector())
    }
}

/// What a QR code says: everything that a phone needs, so that it trusts nobody
/// on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Address of the server.
    pub server: String,
    /// The ticket.
    pub ticket: Ticket,
    /// Fingerprint of the server's key.
    pub fingerprint: Fingerprint,
    /// Pin of the key in the server's certificate, where nobody else vouches for
    /// it.
    pub pin: Option<[u8; 32]>,
}

impl Invitation {
    /// The address as a phone keeps it, pin included.
    pub fn address(&self) -> String {
        match self.pin {
            Some(pin) => format!("{}#pin={}", self.server, Pin(pin)),
            None => self.server.clone(),
        }
    }
}

const SCHEME: &str = "shaodao://enrol?";

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("server", &self.server);
        query.append_pair("ticket", &self.ticket.0);
        query.append_pair("key", &hex(&self.fingerprint.0));
        if let Some(pin) = &self.pin {
            query.append_pair("pin", &hex(pin));
        }
        write!(f, "{SCHEME}{}", query.finish())
    }
}

impl FromStr for Invitation {
    type Err = BadTicket;

    fn from_str(text: &str) -> Result<Self, BadTicket> {
        let query = text.trim().strip_prefix(SCHEME);
        let query = query.ok_or(BadTicket("an invitation begins with shaodao://enrol?"))?;
        let (mut server, mut ticket, mut key, mut pin) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "server" => server = Some(value.into_owned()),
                "ticket" => ticket = Some(value.parse::<Ticket>()?),
                "key" => key = unhex(&value).map(Fingerprint),
                "pin" => {
                    let value = unhex(&value);
                    pin = Some(value.ok_or(BadTicket("its pin is not 64 hexadecimal digits"))?);
                }
                // A newer server may say more.
                _ => {}
            }
        }
        Ok(Self {
            server: server.ok_or(BadTicket("it names no server"))?,
            ticket: ticket.ok_or(BadTicket("it carries no ticket"))?,
            fingerprint: key.ok_or(BadTicket("it carries no key of the server"))?,
            pin,
        })
    }
}

/// The first 16 bytes of the hash of a server's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Of this Ed25519 public key.
    pub fn of(server_key: &[u8; 32]) -> Self {
        let digest = hash(b"shaodao server key v1", &[server_key]);
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }
}

/// Binds a phone to its nonce before it hears the server's.
pub fn commitment(device_nonce: &[u8; 32]) -> [u8; 32] {
    hash(b"shaodao enrol commitment v1", &[device_nonce])
}

/// Everything that was said, of which both sides show the code.
#[derive(Debug, Clone, Copy)]
pub struct Transcript<'a> {
    /// Which ticket.
    pub selector: &'a str,
    /// The phone.
    pub device: &'a DeviceId,
    /// The phone's public key.
    pub device_key: &'a [u8; 32],
    /// The server's public key.
    pub server_key: &'a [u8; 32],
    /// Drawn by the server after the phone was bound to its own.
    pub server_nonce: &'a [u8; 32],
    /// Drawn by the phone, revealed last.
    pub device_nonce: &'a [u8; 32],
}

/// Six digits that are the same on both sides if both heard the same.
pub fn check_code(said: &Transcript<'_>) -> String {
    let digest = hash(
        b"shaodao check code v1",
        &[
            said.selector.as_bytes(),
            &said.device.0,
            said.device_key,
            said.server_key,
            said.server_nonce,
            said.device_nonce,
        ],
    );
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    format!("{:06}", u64::from_be_bytes(first) % 1_000_000)
}

/// What a phone signs to open a session with the server that it knows.
pub fn session_proof(device: &DeviceId, challenge: &[u8], server_key: &[u8; 32]) -> [u8; 32] {
    hash(b"shaodao session v1", &[&device.0, challenge, server_key])
}

/// SHA-256 over a domain and length-prefixed parts.
fn hash(domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in std::iter::once(&domain).chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() != LENGTH * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |letter: u8| char::from(letter).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_reads_however_it_is_typed() {
        let ticket: Ticket = "abcd-oil2 34".parse().expect("a ticket");
        assert_eq!(ticket.to_string(), "ABCD011234");
        assert_eq!((ticket.selector(), ticket.secret()), ("ABCD", "011234"));
        for bad in ["", "ABCD01123", "ABCD0112345", "ABCD01123U", "ABCD01123é"] {
            assert!(bad.parse::<Ticket>().is_err(), "{bad}");
        }
        assert!("A".repeat(1 << 20).parse::<Ticket>().is_err());
        assert!(!format!("{ticket:?}").contains("011234"));
    }

    #[test]
    fn an_invitation_survives_its_text_form() {
        let ticket: Ticket = "ABCD".repeat(8)[..30].parse().expect("a ticket");
        for pin in [None, Some([7; 32])] {
            let invitation = Invitation {
                server: "https://10.0.0.2:8470/站点?a=1&b=2".to_owned(),
                ticket: ticket.clone(),
                fingerprint: Fingerprint([5; 16]),
                pin,
            };
            assert_eq!(invitation.to_string().parse(), Ok(invitation));
        }
        for bad in [
            "",
            "http://x",
            "shaodao://enrol?",
            "shaodao://enrol?server=x&ticket=ABCD011234",
        ] {
            assert!(bad.parse::<Invitation>().is_err(), "{bad}");
        }
    }

    #[test]
    fn whatever_is_swapped_changes_the_code() {
        let device = DeviceId([1; 16]);
        let said = Transcript {
            selector: "ABCD",
            device: &device,
            device_key: &[2; 32],
            server_key: &[3; 32],
            server_nonce: &[4; 32],
            device_nonce: &[5; 32],
        };
        let code = check_code(&said);
        assert_eq!(code.len(), 6);
        let other = [9; 32];
        for swapped in [
            Transcript {
                selector: "ABCE",
                ..said
            },
            Transcript {
                device: &DeviceId([9; 16]),
                ..said
            },
            Transcript {
                device_key: &other,
                ..said
            },
            Transcript {
                server_key: &other,
                ..said
            },
            Transcript {
                server_nonce: &other,
                ..said
            },
            Transcript {
                device_nonce: &other,
                ..said
            },
        ] {
            assert_ne!(check_code(&swapped), code);
        }
    }
}
