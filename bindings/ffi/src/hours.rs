//! The clocks of a phone: the only place of this library that reads them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

use rand::rngs::StdRng;
use shaodao_core::domain::ids::BootId;
use shaodao_core::domain::time::Moment;

/// What the clocks of the device show at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Reading {
    /// Wall clock, Unix milliseconds; may be wrong by years.
    pub wall_ms: i64,
    /// Milliseconds since the device was started, sleep included.
    pub since_boot_ms: u64,
}

/// Another source of time than the system's clocks: for rehearsals and tests.
#[uniffi::export(callback_interface)]
pub trait TimeSource: Send + Sync {
    /// What the clocks show. Called for every action: return at once.
    fn read(&self) -> Reading;
}

/// The clocks that a phone goes by.
pub(crate) struct Hours {
    boot: BootId,
    source: Option<Box<dyn TimeSource>>,
}

impl Hours {
    /// `boot` tells this start of the device from every other. Without it every
    /// opening counts as a start of its own: times are then lower bounds only,
    /// never wrong.
    pub(crate) fn new(
        boot: Option<&str>,
        source: Option<Box<dyn TimeSource>>,
        rng: &mut StdRng,
    ) -> Arc<Self> {
        let boot = match boot {
            Some(name) => {
                let digest: [u8; 32] = Sha256::digest(name).into();
                let mut id = [0; 8];
                id.copy_from_slice(&digest[..8]);
                BootId(id)
            }
            None => BootId::random(rng),
        };
        Arc::new(Self { boot, source })
    }

    pub(crate) fn now(&self) -> Moment {
        let reading = self.source.as_ref().map_or_else(system, |it| it.read());
        Moment {
            wall_ms: reading.wall_ms,
            boot: self.boot,
            mono_ms: reading.since_boot_ms,
        }
    }
}

/// The system's clocks.
#[expect(clippy::disallowed_methods, reason = "the clock of this library")]
fn system() -> Reading {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall_ms = wall.unwrap_or_default().as_millis();
    let since = clock_gettime(SINCE_BOOT);
    let seconds = u64::try_from(since.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(since.tv_nsec).unwrap_or_default();
    Reading {
        wall_ms: i64::try_from(wall_ms).unwrap_or(i64::MAX),
        since_boot_ms: seconds * 1_000 + nanoseconds / 1_000_000,
    }
}

/// Goes on while the device sleeps.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// Goes on while the device sleeps, on Apple's systems.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;
