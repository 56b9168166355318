//! What the phone's owner can do with a record, as screens offer it.

use super::{Device, DeviceError, RecordView};
use crate::domain::available::{Available, Viewer, available_actions};
use crate::domain::directory::{DeviceState, Directory};
use crate::domain::time::{Claim, Moment};

impl Device {
    /// What the phone's owner can do with a record now: exactly the actions
    /// that [`Device::capture`] would accept.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn available(&self, now: Moment, view: &RecordView) -> Result<Vec<Available>, DeviceError> {
        let directory = self.directory()?;
        let viewer = self.viewer(&directory, now)?;
        let RecordView { state, history, .. } = view;
        Ok(available_actions(&viewer, view.record, state, history))
    }

    /// What to offer on a record now. A finding that a whistle has closed is
    /// only opened again, and one that is open is not: its own history would
    /// allow both ([`Device::available`]).
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn steps(&self, now: Moment, view: &RecordView) -> Result<Vec<Available>, DeviceError> {
        let directory = self.directory()?;
        self.steps_of(&self.viewer(&directory, now)?, view)
    }

    /// The same for somebody who looks at many records.
    pub(super) fn steps_of(
        &self,
        viewer: &Viewer<'_>,
        view: &RecordView,
    ) -> Result<Vec<Available>, DeviceError> {
        let RecordView { state, history, .. } = view;
        let mut steps = available_actions(viewer, view.record, state, history);
        if let Some(row) = self.store.finding(view.record)? {
            let is_over = row.stage.is_over();
            steps.retain(|step| match step.word.as_str() {
                "correct" | "note" => true,
                "reopen" => is_over,
                _ => !is_over,
            });
        }
        Ok(steps)
    }

    /// The phone's owner, looking now.
    pub(super) fn viewer<'a>(
        &'a self,
        directory: &'a Directory,
        now: Moment,
    ) -> Result<Viewer<'a>, DeviceError> {
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        Ok(Viewer {
            directory,
            person: &owner.person,
            device: DeviceState::Active,
            claim: Claim::at(now, self.store.contact()?),
        })
    }
}
