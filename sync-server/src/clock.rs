//! The server's time. Normally the machine's; in a rehearsal the time that
//! whoever leads the rehearsal says it is, kept in the database, so that a
//! whole day can be rehearsed in minutes and a restart does not lose it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Set by hand, Unix milliseconds.
    Rehearsal(Arc<AtomicI64>),
}

impl Clock {
    /// A rehearsal that begins at `now_ms`.
    pub fn rehearsal(now_ms: i64) -> Self {
        Self::Rehearsal(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => system_ms(),
            Self::Rehearsal(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Sets a rehearsal's time; it never runs backwards. Nothing happens to
    /// the machine's clock.
    pub fn set(&self, now_ms: i64) {
        if let Self::Rehearsal(now) = self {
            now.fetch_max(now_ms, Ordering::SeqCst);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the server reads the machine's clock"
)]
fn system_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
