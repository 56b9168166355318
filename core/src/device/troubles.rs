//! What became of the owner's actions where it was not plain acceptance, what a
//! former device of theirs could not send, and doing one of them again.
//!
//! Nothing that was not accepted is taken away: it stays as it was signed, to be
//! read, copied and done again on the record as it is now. Done again on the
//! same record, a report that is released or arrives later meets its twin and
//! becomes a trace, not a second finding.

use std::sync::Arc;

use rand::Rng;

use super::{Captured, Device, DeviceError, Draft};
use crate::domain::ids::EnvelopeHash;
use crate::domain::reason::Reason;
use crate::domain::record::Refused;
use crate::domain::time::Moment;
use crate::envelope::{self, Envelope};
use crate::store::derived::Derived;
use crate::store::read::Trouble;
use crate::store::salvage::Salvaged;
use crate::store::write::Along;
use crate::sync::wire::Standing;

/// One's own action that was not plainly accepted, opened.
#[derive(Debug, Clone)]
pub struct OpenTrouble {
    /// What became of it.
    pub trouble: Trouble,
    /// The action as it was signed.
    pub envelope: Envelope,
}

impl Device {
    /// What one's own actions ran into, newest first, at most 500.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn troubles(&self) -> Result<Vec<OpenTrouble>, DeviceError> {
        let mut opened = Vec::new();
        for trouble in self.store.troubles()? {
            let envelope = envelope::open(&trouble.envelope)?.envelope;
            opened.push(OpenTrouble { trouble, envelope });
        }
        Ok(opened)
    }

    /// Does an action again, on the record as it is now: one that was not
    /// accepted, or one of a former device. The old one is marked as redone in
    /// the same transaction.
    ///
    /// # Errors
    /// There is no such action, it was done again already or may still count,
    /// or it is not possible now either: nothing was saved. Somebody else's is
    /// refused as [`Reason::NotYours`].
    pub fn redo(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        old: EnvelopeHash,
    ) -> Result<Captured, DeviceError> {
        let mut salvaged = self.store.salvaged()?.into_iter();
        if let Some(salvaged) = salvaged.find(|salvaged| salvaged.hash == old) {
            return self.redo_salvaged(now, &salvaged);
        }
        let troubles = self.troubles()?;
        let found = troubles
            .into_iter()
            .find(|open| open.trouble.hash == old)
            .ok_or(DeviceError::NothingToRedo)?;
        // What waits is judged by itself; twice would be once too often.
        if found.trouble.redone.is_some() || found.trouble.standing == Standing::Waiting {
            return Err(DeviceError::NothingToRedo);
        }
        let action = found.envelope.action;
        let draft = Draft {
            kind: action.kind,
            record: Some(action.record),
            facts: action.facts,
            body: action.body,
        };
        let along = Along {
            instead_of: Some(old),
            ..Along::default()
        };
        self.capture_along(now, rng, draft, along)
    }

    fn redo_salvaged(&mut self, now: Moment, salvaged: &Salvaged) -> Result<Captured, DeviceError> {
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let bytes = salvaged.envelope.as_ref();
        let bytes = bytes.ok_or(DeviceError::NothingToRedo)?;
        let action = envelope::open(bytes)?.envelope.action;
        if action.person != owner.person {
            return Err(DeviceError::Refused(Refused {
                state: "new",
                action: action.body.word().to_owned(),
                reason: Reason::NotYours,
            }));
        }
        let before = match self.store.derived(action.record)? {
            Some(derived) => derived,
            // Refused by name unless the action begins the record.
            None => Arc::new(Derived::none(action.kind, action.record)),
        };
        let along = Along {
            salvaged: Some(salvaged.hash),
            ..Along::default()
        };
        self.capture_on(now, &before, action.facts, action.body, along)
    }

    /// Forgets a salvaged action that its owner does not want, or of which only
    /// the name is left.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn forget_salvaged(&mut self, hash: &EnvelopeHash) -> Result<(), DeviceError> {
        Ok(self.store.settle_salvaged(hash)?)
    }
}
