//! What the phone takes on the device, and giving some of it back.

use crate::error::PhoneError;
use crate::phone::Phone;

/// What the phone takes on the device, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct StorageReport {
    /// The database, its log included.
    pub database_bytes: u64,
    /// Of that, room that nothing uses any more.
    pub unused_bytes: u64,
    /// The second copy of what the server has not accepted.
    pub journal_bytes: u64,
    /// Photos and other evidence, sealed; `set_keep` says what stays of them.
    pub evidence_bytes: u64,
    /// Files that were set aside when the phone started over.
    pub aside_bytes: u64,
}

#[uniffi::export]
impl Phone {
    /// What the phone takes on the device.
    pub async fn storage(&self) -> Result<StorageReport, PhoneError> {
        self.read(|device, _| {
            let room = device.store().room()?;
            Ok(StorageReport {
                database_bytes: room.database_bytes,
                unused_bytes: room.unused_bytes,
                journal_bytes: room.journal_bytes,
                evidence_bytes: device.evidence_bytes()?,
                aside_bytes: room.aside_bytes,
            })
        })
        .await
    }

    /// Gives unused room back to the device, and the files that were set aside if
    /// `aside` says so: ask the owner first, they are the last copy of what could
    /// not be salvaged. Nothing that lists show goes. Returns the bytes gained.
    pub async fn purge(&self, aside: bool) -> Result<u64, PhoneError> {
        self.write(move |device, _, _| Ok(device.purge(aside)?))
            .await
    }
}
