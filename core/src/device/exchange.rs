//! An exchange with the server in two halves; whoever carries the bytes between
//! them is replaceable.
//!
//! 1. [`Device::prepare_sync`] makes the next request, of what the phone has.
//! 2. [`Device::settle_sync`] takes the reply: verdicts, what others did, a newer
//!    directory if the phone's own server signed it. All of it is saved together.
//!
//! What can go wrong: (2) the reply is not one, or comes from another server:
//! nothing changes, everything stays queued.

use ed25519_dalek::VerifyingKey;
use std::sync::Arc;

use super::{Device, DeviceError, enrol};
use crate::domain::directory::Directory;
use crate::domain::ids::EnvelopeHash;
use crate::domain::time::Moment;
use crate::pack::{self};
use crate::store::apply::Applied;
use crate::sync::edition::follow;
use crate::sync::plan::{PUSH_BUDGET_BYTES, PUSH_KEYS, PUSH_PRIVATE, plan};
use crate::sync::put_off::PutOff;
use crate::sync::settle::{Known, SettleError, Settlement, Vetted, settle};
use crate::sync::wire::{self, Judgement, SyncReply};

/// The first half of an exchange.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Body of the request.
    pub body: Vec<u8>,
    /// Session token to send it with.
    pub token: String,
    sent: Vec<EnvelopeHash>,
    epoch: Vec<u8>,
    evidence_cursor: u64,
}

impl Outgoing {
    /// Own actions in it.
    pub fn actions(&self) -> usize {
        self.sent.len()
    }
}

/// What an exchange changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncOutcome {
    /// Own actions that were accepted.
    pub accepted: usize,
    /// Own actions that were not plainly accepted, and why.
    pub troubles: Vec<Judgement>,
    /// Envelopes of others that are new here.
    pub pulled: usize,
    /// There is more to say: exchange again.
    pub more: bool,
}

impl SyncOutcome {
    /// Adds what a further exchange changed.
    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.troubles.extend(other.troubles);
        self.pulled += other.pulled;
        self.more = other.more;
    }
}

impl Device {
    /// The first half of an exchange: the next request.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn prepare_sync(&self) -> Result<Outgoing, DeviceError> {
        self.prepare(PUSH_BUDGET_BYTES)
    }

    /// The first half of an exchange that sends nothing and only fetches.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn prepare_pull(&self) -> Result<Outgoing, DeviceError> {
        self.prepare(0)
    }

    fn prepare(&self, push_bytes: usize) -> Result<Outgoing, DeviceError> {
        let token: String = self.store.meta("token")?.ok_or(DeviceError::NotEnrolled)?;
        let progress = self.store.progress()?;
        let outbox = match push_bytes {
            0 => Vec::new(),
            bytes => self.store.outbox(bytes)?,
        };
        let private = self.store.unsent_private(PUSH_PRIVATE)?;
        let keys = self.store.unsent_keys(PUSH_KEYS)?;
        let request = plan(&progress, &outbox, private, keys, &self.app);
        let going = outbox.iter().take(request.push.len());
        let sent = going.map(|queued| queued.hash).collect();
        Ok(Outgoing {
            body: wire::to_bytes(&request),
            token,
            sent,
            epoch: progress.epoch,
            evidence_cursor: progress.evidence_cursor,
        })
    }

    /// What the server asked this phone to wait for, while that holds.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn put_off(&self, now: Moment) -> Result<Option<PutOff>, DeviceError> {
        let text = |name: &str| self.store.meta::<String>(name);
        let Some(until_ms) = self.store.meta("put_off_until_ms")? else {
            return Ok(None);
        };
        let put_off = PutOff {
            until_ms,
            code: text("put_off_code")?.unwrap_or_default(),
            zh: text("put_off_zh")?.unwrap_or_default(),
            en: text("put_off_en")?.unwrap_or_default(),
        };
        Ok(put_off.holds(now.wall_ms).then_some(put_off))
    }

    /// Remembers, also over a restart, that the server asked to wait.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn remember_put_off(&mut self, put_off: &PutOff) -> Result<(), DeviceError> {
        Ok(self.store.set_meta(&[
            ("put_off_until_ms", &put_off.until_ms),
            ("put_off_code", &put_off.code),
            ("put_off_zh", &put_off.zh),
            ("put_off_en", &put_off.en),
        ])?)
    }

    /// The second half: what the reply means, saved in one transaction.
    /// `arrived_at` is the moment when the reply arrived.
    ///
    /// # Errors
    /// See [`DeviceError`]; nothing changed, and everything stays queued.
    pub fn settle_sync(
        &mut self,
        outgoing: &Outgoing,
        arrived_at: Moment,
        reply: &[u8],
    ) -> Result<SyncOutcome, DeviceError> {
        let reply: SyncReply = wire::from_bytes(reply)?;
        let key = self.server_key(&reply)?;
        let known = Known {
            epoch: &outgoing.epoch,
            evidence_cursor: outgoing.evidence_cursor,
            head: self.store.head()?,
            key: Some(&key),
        };
        let mut settlement = settle(&reply, &outgoing.sent, known)?;
        let head = match (settlement.contradiction, settlement.head) {
            (None, Some(newest)) => Some(newest.head),
            _ => known.head.filter(|_| !settlement.offer_again),
        };
        let contact = crate::domain::time::LastContact {
            position: head.map_or(settlement.cursor, |head| head.position),
            head: head.map(|head| head.mark()),
            server_ms: settlement.server_ms,
            boot: arrived_at.boot,
            mono_ms: arrived_at.mono_ms,
        };
        let directory = self.vet_directory(&mut settlement)?;
        // The rows go by the directory that comes with them; one that could not
        // be saved is not gone by.
        let directory = directory.map(Arc::new);
        if let Some(directory) = &directory {
            self.store.go_by(directory.clone());
        }
        let applied = self.store.apply(&settlement, contact);
        match (&applied, directory, &self.directory) {
            (Ok(_), Some(directory), _) => self.learn(directory),
            (Err(_), Some(_), Some(before)) => self.store.go_by(before.clone()),
            _ => {}
        }
        let Applied {
            accepted,
            troubles,
            pulled,
            erased,
            ..
        } = applied?;
        if erased {
            let _ = self.sweep();
        }
        let unsent = self.store.counts()?.outbox > 0
            || !self.store.unsent_private(1)?.is_empty()
            || !self.store.unsent_keys(1)?.is_empty();
        // An envelope that the server did not name would be sent for ever:
        // only progress asks for another exchange.
        let kept = settlement.private_kept.len() + settlement.evidence_kept.len();
        let progressed = accepted + troubles.len() + pulled + kept > 0;
        Ok(SyncOutcome {
            accepted,
            troubles,
            pulled,
            more: settlement.more || settlement.start_over || (unsent && progressed),
        })
    }

    /// The server's key: the one pinned at enrolment, or where its vouched-for
    /// changes lead.
    fn server_key(&self, reply: &SyncReply) -> Result<VerifyingKey, DeviceError> {
        let changes = reply.key_changes.as_deref().unwrap_or_default();
        let key = follow(enrol::known_key(&self.store)?, changes)?;
        let key = VerifyingKey::from_bytes(&key);
        Ok(key.map_err(|_| SettleError::Malformed("the server's key"))?)
    }

    /// Checks the edition of the directory that came with a reply; only a newer
    /// one that the phone's own server signed stays in the settlement.
    fn vet_directory(&self, settlement: &mut Settlement) -> Result<Option<Directory>, DeviceError> {
        let Some(edition) = settlement.directory.take() else {
            return Ok(None);
        };
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let known = enrol::known_key(&self.store)?;
        let changes = &settlement.key_changes;
        let vetted = enrol::vet(known, changes, &edition, &owner.street, &self.store)?;
        let Some(edition) = vetted.edition else {
            return Ok(None);
        };
        // A pack of a newer server must not keep verdicts from the phone: it
        // goes on with the directory that it can read.
        let directory = pack::directory(&edition.pack).ok();
        settlement.vetted = Some(Vetted {
            version: edition.version,
            pack: edition.pack,
            server_key: vetted.server_key,
            is_readable: directory.is_some(),
        });
        Ok(directory)
    }
}
