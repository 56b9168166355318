//! What screens read. While the lease runs, all that is on the phone; after it,
//! the owner's own records ([`crate::domain::lease`]). Screens ask here, not
//! the database.

use super::{Device, DeviceError, RecordView};
use crate::domain::directory::DeviceState;
use crate::domain::ids::RecordId;
use crate::domain::lease::{Sight, sight};
use crate::domain::time::Moment;
use crate::store::read::{FindingFilter, FindingSummary, WhistleFilter, WhistleSummary};

impl Device {
    /// Whether the server lets this phone take part, as it last said.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn state(&self) -> Result<DeviceState, DeviceError> {
        let code: Option<u8> = self.store.meta("device_state")?;
        Ok(code
            .and_then(DeviceState::from_code)
            .unwrap_or(DeviceState::Active))
    }

    /// How much this phone may show.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn sight(&self, now: Moment) -> Result<Sight, DeviceError> {
        let policy = self.directory.as_ref().map(|directory| directory.policy);
        let lease_ms = policy.unwrap_or_default().lease_ms;
        Ok(sight(self.state()?, self.store.contact()?, now, lease_ms))
    }

    /// Findings, newest report first.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn findings(
        &self,
        now: Moment,
        filter: &FindingFilter,
    ) -> Result<Vec<FindingSummary>, DeviceError> {
        let mut filter = filter.clone();
        if let Sight::OwnOnly(_) = self.sight(now)? {
            filter.reporter = Some(self.person());
        }
        Ok(self.store.findings(&filter)?)
    }

    /// Whistles, newest first.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn whistles(
        &self,
        now: Moment,
        filter: &WhistleFilter,
    ) -> Result<Vec<WhistleSummary>, DeviceError> {
        let mut filter = filter.clone();
        if let Sight::OwnOnly(_) = self.sight(now)? {
            filter.blower = Some(self.person());
        }
        Ok(self.store.whistles(&filter)?)
    }

    /// Records that contain all of these words, best first.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn search(
        &self,
        now: Moment,
        text: &str,
        limit: u32,
    ) -> Result<Vec<RecordId>, DeviceError> {
        let mut found = self.store.search(text, limit)?;
        if let Sight::OwnOnly(_) = self.sight(now)? {
            let mut own = Vec::new();
            for record in found {
                if self.is_own(record)? {
                    own.push(record);
                }
            }
            found = own;
        }
        Ok(found)
    }

    /// A record with everything in it, if this phone may show it.
    ///
    /// # Errors
    /// It may not ([`DeviceError::Hidden`]), or there is none.
    pub fn view(&self, now: Moment, record: RecordId) -> Result<RecordView, DeviceError> {
        match self.sight(now)? {
            Sight::OwnOnly(blind) if !self.is_own(record)? => Err(DeviceError::Hidden(blind)),
            _ => self.show(record),
        }
    }

    /// Whether the phone's owner began the record.
    fn is_own(&self, record: RecordId) -> Result<bool, DeviceError> {
        Ok(self.store.begun_by(record, &self.person())?)
    }

    pub(super) fn person(&self) -> String {
        let owner = self.owner.as_ref();
        owner.map_or_else(String::new, |owner| owner.person.0.clone())
    }
}
