//! Announcing: a content-free "pull now" to every phone that listens. Nothing
//! depends on it; a phone that misses one pulls at its next occasion.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use tokio::sync::watch;

/// The count of changes that ends the streams.
const STOPPED: u64 = u64::MAX;

/// The announcer.
#[derive(Debug)]
pub struct Live {
    changes: watch::Sender<u64>,
}

impl Live {
    /// Nothing announced yet.
    pub fn new() -> Self {
        Self {
            changes: watch::Sender::new(0),
        }
    }

    /// Something changed.
    pub fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Ends every stream, so that a server that stops need not wait for them.
    pub fn stop(&self) {
        self.changes.send_replace(STOPPED);
    }

    /// A stream of `pull` events; several changes in a row may come as one.
    pub fn stream(
        &self,
    ) -> Sse<impl futures_core::Stream<Item = Result<Event, Infallible>> + use<>> {
        let mut changes = self.changes.subscribe();
        let events = async_stream::stream! {
            while changes.changed().await.is_ok() {
                if *changes.borrow_and_update() == STOPPED {
                    break;
                }
                yield Ok(Event::default().event("pull").data(""));
            }
        };
        Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(30)))
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}
