//! For how long a phone that hears nothing goes on showing what others did.
//!
//! Every contact renews the lease. When it is over, the phone shows its owner's
//! own records only, and goes on recording and handing in. A lost phone that is
//! kept away from every network thus falls silent by itself.

use super::directory::DeviceState;
use super::time::{LastContact, Moment};

/// How much a phone may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Everything that is on it.
    All,
    /// What its owner began, and why no more.
    OwnOnly(Blind),
}

/// Why a phone does not show what others did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blind {
    /// The lease is over.
    LeaseOver,
    /// The server said that the phone is suspended.
    Suspended,
    /// The server said that the phone was revoked.
    Revoked,
}

impl Blind {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::LeaseOver => "lease_over",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

/// What a phone may show at `now`, `lease_ms` after its last contact at most.
pub fn sight(
    state: DeviceState,
    contact: Option<LastContact>,
    now: Moment,
    lease_ms: i64,
) -> Sight {
    match state {
        DeviceState::Suspended => Sight::OwnOnly(Blind::Suspended),
        DeviceState::Revoked => Sight::OwnOnly(Blind::Revoked),
        DeviceState::Active => match contact.and_then(|contact| silence_ms(contact, now)) {
            Some(silence_ms) if silence_ms <= lease_ms => Sight::All,
            _ => Sight::OwnOnly(Blind::LeaseOver),
        },
    }
}

/// How long ago the last contact was, milliseconds; `None` if nobody can tell:
/// after a restart, with a wall clock that stands before the contact.
fn silence_ms(contact: LastContact, now: Moment) -> Option<i64> {
    if contact.boot == now.boot {
        let passed = now.mono_ms.checked_sub(contact.mono_ms)?;
        return i64::try_from(passed).ok();
    }
    now.wall_ms
        .checked_sub(contact.server_ms)
        .filter(|passed| *passed >= 0)
}

#[cfg(test)]
mod tests {
    use super::super::ids::BootId;
    use super::*;

    const DAY: i64 = 24 * 3_600_000;
    const BOOTS: [BootId; 2] = [BootId([1; 8]), BootId([2; 8])];

    fn after(days: i64, boot: BootId, wall_error_days: i64) -> Sight {
        let contact = LastContact {
            position: 1,
            server_ms: 100 * DAY,
            boot: BOOTS[0],
            mono_ms: 0,
        };
        let now = Moment {
            wall_ms: (100 + days + wall_error_days) * DAY,
            boot,
            mono_ms: (days * DAY).unsigned_abs(),
        };
        sight(DeviceState::Active, Some(contact), now, 14 * DAY)
    }

    #[test]
    fn the_lease_ends_with_its_last_day() {
        let over = Sight::OwnOnly(Blind::LeaseOver);
        for boot in BOOTS {
            assert_eq!(after(14, boot, 0), Sight::All);
            assert_eq!(after(15, boot, 0), over);
        }
    }

    #[test]
    fn a_wall_clock_matters_after_a_restart_only_and_never_before_the_contact() {
        let over = Sight::OwnOnly(Blind::LeaseOver);
        for error in [-3_650, 3_650] {
            assert_eq!(after(1, BOOTS[0], error), Sight::All);
            assert_eq!(after(20, BOOTS[0], error), over);
            assert_eq!(after(1, BOOTS[1], error), over);
        }
    }

    #[test]
    fn nobody_sees_by_a_phone_that_the_server_shut_out() {
        let now = Moment {
            wall_ms: 0,
            boot: BOOTS[0],
            mono_ms: 0,
        };
        for (state, blind) in [
            (DeviceState::Suspended, Blind::Suspended),
            (DeviceState::Revoked, Blind::Revoked),
            (DeviceState::Active, Blind::LeaseOver),
        ] {
            assert_eq!(sight(state, None, now, DAY), Sight::OwnOnly(blind));
        }
    }
}
