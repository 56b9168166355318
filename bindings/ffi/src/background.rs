//! What the phone does with the time that the system gives an app in the
//! background.

use std::time::Duration;

use shaodao_core::sync::transport::{EvidenceReport, SyncReport};
use tokio::time::timeout;

use crate::error::PhoneError;
use crate::evidence::{EvidenceSent, send};
use crate::phone::Phone;
use crate::sync::{SyncDone, exchange};
use crate::types::{Link, Setting};

/// What was done in the background.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct BackgroundDone {
    /// What both sides said.
    pub synced: SyncDone,
    /// What went of this phone's evidence; of a piece that was cut, nothing is
    /// counted yet.
    pub sent: EvidenceSent,
    /// Everything was said, and everything sent that the setting and the connection
    /// let through; otherwise time ran out, and the next time goes on from here.
    pub finished: bool,
}

#[uniffi::export]
impl Phone {
    /// Uses the time that the system gives an app in the background: actions first,
    /// then thumbnails, then originals as the owner's setting and the present
    /// connection allow. Ends after `max_seconds`, waiting for another call that
    /// uses the network included.
    pub async fn run_background(
        &self,
        max_seconds: u32,
        setting: Setting,
        link: Link,
    ) -> Result<BackgroundDone, PhoneError> {
        self.until_stopped(move |inside| async move {
            let mut synced = SyncReport::default();
            let mut sent = EvidenceReport::default();
            let work = async {
                let _network = inside.network.lock().await;
                exchange(inside.clone(), &mut synced).await?;
                send(inside.clone(), setting, link, &mut sent).await
            };
            let ended = timeout(Duration::from_secs(max_seconds.into()), work).await;
            let finished = ended.is_ok();
            ended.unwrap_or(Ok(()))?;
            Ok(BackgroundDone {
                synced: synced.into(),
                sent: sent.into(),
                finished,
            })
        })
        .await
    }
}
