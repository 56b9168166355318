//! The phone's side of enrolment and sessions; [`crate::sync::enrol`] tells the
//! whole story. Every step is kept, so that the phone may be switched off
//! between any two of them.

use std::sync::Arc;

use ed25519_dalek::Signer;
use rand::Rng;
use rusqlite::ToSql;

use super::{Device, DeviceError, owner};
use crate::domain::time::Moment;
use crate::pack;
use crate::store::Store;
use crate::sync::edition::{BadEdition, Edition, KeyChange, follow};
use crate::sync::enrol::{Fingerprint, Ticket, Transcript, check_code, commitment, session_proof};
use crate::sync::wire::{EnrolOffer, EnrolReply, EnrolRequest, EnrolReveal, SessionRequest};

/// An enrolment that an administrator has still to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEnrolment {
    /// Address of the server.
    pub server: String,
    /// Six digits; the administrator must see the same ones.
    pub check_code: String,
    /// What to say to the server, and to say again to ask how it stands.
    pub reveal: EnrolReveal,
}

impl Device {
    /// Takes a ticket in hand: what to say to the server. A phone that is
    /// enrolled may do it again, for the same person with the same server, which
    /// may have forgotten it after a restore; everything on it stays.
    ///
    /// # Errors
    /// Not a ticket.
    pub fn enrol_request(
        &mut self,
        rng: &mut impl Rng,
        ticket: &str,
    ) -> Result<EnrolRequest, DeviceError> {
        let ticket: Ticket = ticket.parse()?;
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        self.store.set_meta(&[
            ("enrol_selector", &ticket.selector()),
            ("enrol_nonce", &nonce),
            ("enrol_server", &""),
        ])?;
        Ok(EnrolRequest {
            ticket: ticket.to_string(),
            device: self.id.0.to_vec(),
            key: self.key.verifying_key().to_bytes().to_vec(),
            app: self.app.clone(),
            commitment: commitment(&nonce).to_vec(),
        })
    }

    /// Takes the server's offer: what to show and to say next. `server` is the
    /// address that answered; `fingerprint` is what an invitation says of its
    /// key.
    ///
    /// # Errors
    /// Another server than the invitation's, or an offer that is none; the
    /// phone stays nobody's.
    pub fn accept_offer(
        &mut self,
        server: &str,
        fingerprint: Option<Fingerprint>,
        offer: &EnrolOffer,
    ) -> Result<PendingEnrolment, DeviceError> {
        let key: [u8; 32] = bytes(&offer.server_key)?;
        let nonce: [u8; 32] = bytes(&offer.nonce)?;
        if fingerprint.is_some_and(|wanted| wanted != Fingerprint::of(&key)) {
            return Err(DeviceError::WrongServer);
        }
        let pinned: Option<[u8; 32]> = self.store.meta("server_key")?;
        if pinned.is_some_and(|pinned| pinned != key) {
            return Err(DeviceError::WrongServer);
        }
        self.store.set_meta(&[
            ("enrol_server", &server),
            ("enrol_server_key", &key),
            ("enrol_server_nonce", &nonce),
        ])?;
        self.pending_enrolment()?.ok_or(DeviceError::NotEnrolled)
    }

    /// The enrolment that waits to be confirmed, if there is one.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn pending_enrolment(&self) -> Result<Option<PendingEnrolment>, DeviceError> {
        let store = &self.store;
        let server: String = store.meta("enrol_server")?.unwrap_or_default();
        if server.is_empty() {
            return Ok(None);
        }
        let selector: Option<String> = store.meta("enrol_selector")?;
        let device_nonce: Option<[u8; 32]> = store.meta("enrol_nonce")?;
        let server_key: Option<[u8; 32]> = store.meta("enrol_server_key")?;
        let server_nonce: Option<[u8; 32]> = store.meta("enrol_server_nonce")?;
        let (Some(selector), Some(device_nonce), Some(server_key), Some(server_nonce)) =
            (selector, device_nonce, server_key, server_nonce)
        else {
            return Ok(None);
        };
        let check_code = check_code(&Transcript {
            selector: &selector,
            device: &self.id,
            device_key: &self.key.verifying_key().to_bytes(),
            server_key: &server_key,
            server_nonce: &server_nonce,
            device_nonce: &device_nonce,
        });
        Ok(Some(PendingEnrolment {
            server,
            check_code,
            reveal: EnrolReveal {
                device: self.id.0.to_vec(),
                nonce: device_nonce.to_vec(),
            },
        }))
    }

    /// Asks for a session; without a challenge, for one to sign.
    ///
    /// # Errors
    /// This phone knows no server.
    pub fn session_request(&self, challenge: &[u8]) -> Result<SessionRequest, DeviceError> {
        let signature = match challenge {
            [] => Vec::new(),
            challenge => {
                let key = known_key(&self.store)?;
                let proof = session_proof(&self.id, challenge, &key);
                self.key.sign(&proof).to_bytes().to_vec()
            }
        };
        let held: Option<i64> = self.store.meta("directory_version")?;
        Ok(SessionRequest {
            device: self.id.0.to_vec(),
            signature,
            directory: held.map_or(0, i64::cast_unsigned),
            app: self.app.clone(),
        })
    }

    /// Takes the session: the phone becomes somebody's, or goes on being.
    /// `server` is the address that answered, `arrived_at` the moment when the
    /// answer came.
    ///
    /// # Errors
    /// Not the server that this phone knows; nothing changes.
    pub fn accept_enrolment(
        &mut self,
        server: &str,
        arrived_at: Moment,
        reply: &EnrolReply,
    ) -> Result<(), DeviceError> {
        if let Some(owner) = &self.owner
            && (owner.person.0 != reply.person || owner.street != reply.street)
        {
            return Err(DeviceError::AlreadyEnrolled(owner.person.clone()));
        }
        let known = known_key(&self.store)?;
        let changes = reply.key_changes.as_deref().unwrap_or_default();
        let vetted = vet(known, changes, &reply.directory, &reply.street, &self.store)?;
        if bytes::<32>(&reply.server_key)? != vetted.server_key {
            return Err(DeviceError::WrongServer);
        }
        let mono_ms = arrived_at.mono_ms.cast_signed();
        let mut values: Vec<(&str, &dyn ToSql)> = vec![
            ("person", &reply.person),
            ("street", &reply.street),
            ("server", &server),
            ("server_key", &vetted.server_key),
            ("token", &reply.token),
            ("enrol_server", &""),
        ];
        let fresh = vetted.edition.map(|edition| {
            let directory = pack::directory(&edition.pack)?;
            Ok::<_, DeviceError>((edition.version.cast_signed(), edition.pack, directory))
        });
        let fresh = fresh.transpose()?;
        if let Some((version, pack, _)) = &fresh {
            values.extend([
                ("directory", pack as &dyn ToSql),
                ("directory_version", version),
            ]);
        }
        if self.owner.is_none() {
            // A session that is renewed is no new anchor: the feed position
            // that belongs to one comes with the next exchange.
            values.extend([
                ("epoch", &reply.epoch as &dyn ToSql),
                ("contact_position", &0i64),
                ("contact_server_ms", &reply.server_ms),
                ("contact_boot", &arrived_at.boot.0),
                ("contact_mono_ms", &mono_ms),
            ]);
        }
        self.store.set_meta(&values)?;
        if let Some((_, _, directory)) = fresh {
            self.learn(Arc::new(directory));
        }
        self.owner = owner(&self.store)?;
        Ok(())
    }
}

/// What a reply says about directory and server key, found to be true.
pub(super) struct Vetted {
    /// The key that the server has now.
    pub(super) server_key: [u8; 32],
    /// A newer edition than the one here.
    pub(super) edition: Option<Edition>,
}

/// Checks key changes and an edition against what the phone knows; empty bytes
/// are no edition.
pub(super) fn vet(
    known: [u8; 32],
    changes: &[KeyChange],
    edition: &[u8],
    street: &str,
    store: &Store,
) -> Result<Vetted, DeviceError> {
    let server_key = follow(known, changes)?;
    if edition.is_empty() {
        let edition = None;
        return Ok(Vetted {
            server_key,
            edition,
        });
    }
    let edition = Edition::from_bytes(edition)?;
    edition.verify(&server_key)?;
    if edition.street != street {
        return Err(BadEdition::Street.into());
    }
    let held: Option<i64> = store.meta("directory_version")?;
    let held = held.map_or(0, i64::cast_unsigned);
    // The number inside is what the phone will ask with.
    let inside = pack::version(&edition.pack)?;
    if edition.version < held || inside != edition.version {
        return Err(BadEdition::Older.into());
    }
    Ok(Vetted {
        server_key,
        edition: (edition.version > held).then_some(edition),
    })
}

/// The server's key as pinned at enrolment, or as offered before it.
pub(super) fn known_key(store: &Store) -> Result<[u8; 32], DeviceError> {
    let pinned = store.meta("server_key")?;
    match pinned {
        Some(key) => Ok(key),
        None => store
            .meta("enrol_server_key")?
            .ok_or(DeviceError::NotEnrolled),
    }
}

fn bytes<const LENGTH: usize>(bytes: &[u8]) -> Result<[u8; LENGTH], DeviceError> {
    <[u8; LENGTH]>::try_from(bytes)
        .map_err(|_| crate::sync::settle::SettleError::Malformed("a key or a nonce").into())
}
