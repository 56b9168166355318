//! The only place of this program that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;
use shaodao_core::domain::ids::BootId;
use shaodao_core::domain::time::Moment;

/// The clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    boot: BootId,
}

impl Clock {
    /// Finds out in which boot we are. Where the system does not say (not
    /// Linux), every start counts as a boot of its own: times are then lower
    /// bounds only, never wrong.
    pub fn new(rng: &mut impl Rng) -> Self {
        Self {
            boot: system_boot().unwrap_or_else(|| BootId::random(rng)),
        }
    }

    /// What the clocks show.
    #[expect(clippy::disallowed_methods, reason = "the clock of this program")]
    pub fn now(&self) -> Moment {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Moment {
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
            boot: self.boot,
            mono_ms: uptime_ms().unwrap_or(0),
        }
    }
}

fn system_boot() -> Option<BootId> {
    uptime_ms()?;
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    hex.get(..16)?.parse().ok()
}

/// Since boot, sleep included.
fn uptime_ms() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1_000 + hundredths.parse::<u64>().ok()? * 10)
}
