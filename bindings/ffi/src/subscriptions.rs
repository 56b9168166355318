//! "Look again": what is told when something on the phone has changed. It says
//! nothing of what; a screen reads what it shows.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::error::PhoneError;
use crate::phone::Phone;
use crate::runtime::begin;

/// However much changes, a screen looks again at most so often.
const DAMPING: Duration = Duration::from_millis(200);

/// Somebody who shows something.
#[uniffi::export(callback_interface)]
pub trait ChangeListener: Send + Sync {
    /// Something has changed: read again what is shown. Called on a thread of the
    /// library's, never twice at once.
    fn look_again(&self);
}

/// Lasts until it is cancelled or dropped.
#[derive(uniffi::Object)]
pub struct Subscription {
    telling: AbortHandle,
}

#[uniffi::export]
impl Phone {
    /// Tells a listener to look again whenever something has changed, a sync that
    /// begins or ends included.
    pub fn subscribe(
        &self,
        listener: Box<dyn ChangeListener>,
    ) -> Result<Arc<Subscription>, PhoneError> {
        let mut changes = self.inside.changes.subscribe();
        let listener: Arc<dyn ChangeListener> = Arc::from(listener);
        let telling = begin(async move {
            let mut ticks = interval(DAMPING);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while changes.changed().await.is_ok() {
                ticks.tick().await;
                changes.borrow_and_update();
                let listener = listener.clone();
                // A listener that fails is told again the next time.
                let _ = spawn_blocking(move || listener.look_again()).await;
            }
        })?;
        Ok(Arc::new(Subscription {
            telling: telling.abort_handle(),
        }))
    }
}

#[uniffi::export]
impl Subscription {
    /// Ends it: the listener is not told any more.
    pub fn cancel(&self) -> Result<(), PhoneError> {
        self.telling.abort();
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.telling.abort();
    }
}
