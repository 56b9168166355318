//! What the phone's owner can do with a record, as screens offer it.

use super::{Device, DeviceError};
use crate::domain::available::Available;
use crate::domain::ids::RecordId;
use crate::domain::time::Moment;

impl Device {
    /// What to offer on a record now. A finding that a whistle has closed is
    /// only opened again, and one that is open is not: its own history would
    /// allow both ([`Device::available`]).
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn steps(&self, now: Moment, record: RecordId) -> Result<Vec<Available>, DeviceError> {
        let mut steps = self.available(now, record)?;
        if let Some(row) = self.store.finding(record)? {
            let is_over = row.stage.is_over();
            steps.retain(|step| match step.word.as_str() {
                "correct" | "note" => true,
                "reopen" => is_over,
                _ => !is_over,
            });
        }
        Ok(steps)
    }
}
