//! Doing again what a former device of the same owner could not send.

use super::{Captured, Device, DeviceError};
use crate::document::Document;
use crate::domain::ids::EnvelopeHash;
use crate::domain::reason::Reason;
use crate::domain::record::Refused;
use crate::domain::time::Moment;
use crate::envelope;

impl Device {
    /// Does a salvaged action again, as this device: on the same record, with
    /// the same facts and words, at this time, on what is known by now. Its
    /// record keeps its id, so that what the former device has sent after all
    /// is met again instead of doubled.
    ///
    /// # Errors
    /// See [`DeviceError`]; the salvaged action stays. It is refused as
    /// [`Reason::NotYours`] to anybody but its author, and like any other
    /// action if it is not possible any more.
    pub fn redo(&mut self, now: Moment, hash: &EnvelopeHash) -> Result<Captured, DeviceError> {
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let mut salvaged = self.store.salvaged()?.into_iter();
        let salvaged = salvaged.find(|salvaged| salvaged.hash == *hash);
        let salvaged = salvaged.ok_or(DeviceError::NoSuchRecord)?;
        let bytes = salvaged.envelope.ok_or(DeviceError::NoSuchRecord)?;
        let action = envelope::open(&bytes)?.envelope.action;
        if action.person != owner.person {
            return Err(DeviceError::Refused(Refused {
                state: "new",
                action: action.body.word().to_owned(),
                reason: Reason::NotYours,
            }));
        }
        let document = match self.store.kind_of(action.record)? {
            Some(_) => self.document(action.record)?,
            // Refused by name unless the action begins the record.
            None => Document::new(action.kind, action.record)?,
        };
        self.capture_on(now, document, action.facts, action.body, Some(hash))
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
