//! What became of the owner's actions where it was not plain acceptance, and
//! doing one of them again.
//!
//! Nothing that was not accepted is taken away: it stays as it was signed, to be
//! read, copied and done again on the record as it is now. Done again on the
//! same record, a report that is released later meets its twin and becomes a
//! trace, not a second finding.

use rand::Rng;

use super::{Captured, Device, DeviceError, Draft};
use crate::domain::ids::EnvelopeHash;
use crate::domain::time::Moment;
use crate::envelope::{self, Envelope};
use crate::store::read::Trouble;
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

    /// Does an action again, on the record as it is now; the old one is marked
    /// as redone in the same transaction.
    ///
    /// # Errors
    /// There is no such action, it was done again already or may still count,
    /// or it is not possible now either: nothing was saved.
    pub fn do_again(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        old: EnvelopeHash,
    ) -> Result<Captured, DeviceError> {
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
        self.capture_again(now, rng, draft, Some(old))
    }
}
