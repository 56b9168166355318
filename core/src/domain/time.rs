//! Time that can be trusted without a network.
//!
//! 1. The device says what it knows: wall clock, boot and monotonic clock
//!    ([`Moment`]).
//! 2. Every contact with a server leaves an anchor ([`LastContact`]).
//! 3. An action claims a time ([`Claim`]): the wall clock, and the anchor with
//!    its age if the device has not restarted since.
//! 4. With the server's receipt time this gives a [`Bracket`]: not before the
//!    newest server time that the device had seen, not after receipt.
//! 5. A deadline is then [`Judged`]: kept, missed, or "cannot say yet".
//!
//! What can go wrong: (1) clocks are set by hand, so the wall clock alone never
//! decides; (2) a restart loses the monotonic base, the anchor then is a lower
//! bound only; (3) an old or drifting anchor counts for nothing more than that
//! either, the receipt counts, and a person is asked.
//!
//! All times are Unix milliseconds, UTC.

use super::ids::{BootId, HeadMark};

/// What the platform's clocks show at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Wall clock; may be wrong by years.
    pub wall_ms: i64,
    /// The current boot.
    pub boot: BootId,
    /// Milliseconds of the monotonic clock of this boot.
    pub mono_ms: u64,
}

/// The newest word from a server that this device has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastContact {
    /// Newest feed position that the device had heard of.
    pub position: u64,
    /// What the server's history was up to there; `None` if it did not say.
    pub head: Option<HeadMark>,
    /// The server's time when it answered.
    pub server_ms: i64,
    /// The boot in which the answer arrived.
    pub boot: BootId,
    /// Monotonic clock when the request was *sent*: the true time is never
    /// earlier than the anchor claims, whatever the network's delay.
    pub mono_ms: u64,
}

/// The anchor that an action cites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Feed position of that contact.
    pub position: u64,
    /// The server's history up to there, as the device heard of it.
    pub head: Option<HeadMark>,
    /// Server time of that contact.
    pub server_ms: i64,
    /// Monotonic time since then; `None` after a restart of the device.
    pub age_ms: Option<u64>,
}

/// The time that an action claims for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Wall clock of the device.
    pub wall_ms: i64,
    /// Boot of the device.
    pub boot: BootId,
    /// Monotonic clock of the device.
    pub mono_ms: u64,
    /// The newest contact; `None` on a phone that never met a server.
    pub anchor: Option<Anchor>,
}

impl Claim {
    /// The claim that a device can make at `now`.
    pub fn at(now: Moment, contact: Option<LastContact>) -> Self {
        Self {
            wall_ms: now.wall_ms,
            boot: now.boot,
            mono_ms: now.mono_ms,
            anchor: contact.map(|contact| Anchor {
                position: contact.position,
                head: contact.head,
                server_ms: contact.server_ms,
                age_ms: (contact.boot == now.boot)
                    .then(|| now.mono_ms.checked_sub(contact.mono_ms))
                    .flatten(),
            }),
        }
    }

    /// Anchored time (校准时间): server time plus monotonic time since. `None`
    /// without an anchor or after a restart.
    pub fn anchored_ms(&self) -> Option<i64> {
        let anchor = self.anchor?;
        let age = i64::try_from(anchor.age_ms?).ok()?;
        anchor.server_ms.checked_add(age)
    }

    /// The best single reading, for showing and for ordering concurrent
    /// actions the same way everywhere; never for judging a deadline.
    pub fn reading_ms(&self) -> i64 {
        self.anchored_ms().unwrap_or(self.wall_ms)
    }
}

/// Limits for believing an anchor; policy data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimePolicy {
    /// Oldest anchor that is believed, milliseconds.
    pub max_anchor_age_ms: u64,
    /// Largest difference between wall clock and anchored time, milliseconds.
    pub max_drift_ms: u64,
}

impl Default for TimePolicy {
    /// 72 hours and 5 minutes.
    fn default() -> Self {
        Self {
            max_anchor_age_ms: 72 * 3_600_000,
            max_drift_ms: 5 * 60_000,
        }
    }
}

/// When an action happened, as far as anybody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// Not before this server time; `None` on a phone that never met a server.
    pub earliest_ms: Option<i64>,
    /// Not after this receipt; `None` while no server has it.
    pub latest_ms: Option<i64>,
    /// The time that counts, inside the bracket.
    pub counts_ms: i64,
    /// 补传: the anchor was not good enough, the receipt counts, and a person
    /// should look before anybody is blamed.
    pub late_sync: bool,
}

/// Whether a deadline was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// In time.
    Kept,
    /// Too late.
    Missed,
    /// The bracket contains the deadline and the anchor is not believed: a
    /// person decides.
    CannotSay,
}

impl Bracket {
    /// Brackets a claim by what the server knows.
    pub fn of(claim: &Claim, received_at_ms: Option<i64>, policy: &TimePolicy) -> Self {
        let earliest_ms = claim.anchor.map(|anchor| anchor.server_ms);
        let anchored = claim.anchored_ms().filter(|anchored| {
            let fresh = claim
                .anchor
                .and_then(|anchor| anchor.age_ms)
                .is_some_and(|age| age <= policy.max_anchor_age_ms);
            fresh && anchored.abs_diff(claim.wall_ms) <= policy.max_drift_ms
        });
        let counts = anchored
            .or(received_at_ms)
            .unwrap_or_else(|| claim.reading_ms());
        // Nobody acts after the server already holds the action.
        let counts_ms = received_at_ms.map_or(counts, |received| counts.min(received));
        Self {
            earliest_ms,
            latest_ms: received_at_ms,
            counts_ms,
            late_sync: anchored.is_none(),
        }
    }

    /// Whether what happened inside this bracket met `due_ms`.
    pub fn judge(&self, due_ms: i64) -> Judged {
        if self.latest_ms.is_some_and(|latest| latest <= due_ms) {
            Judged::Kept
        } else if self.earliest_ms.is_some_and(|earliest| earliest > due_ms) {
            Judged::Missed
        } else if self.late_sync {
            Judged::CannotSay
        } else if self.counts_ms <= due_ms {
            Judged::Kept
        } else {
            Judged::Missed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const BOOT: BootId = BootId([1; 8]);

    fn claim(wall_ms: i64, age_h: i64) -> Claim {
        let contact = LastContact {
            position: 5,
            head: None,
            server_ms: 100 * HOUR,
            boot: BOOT,
            mono_ms: 0,
        };
        let now = Moment {
            wall_ms,
            boot: BOOT,
            mono_ms: (age_h * HOUR) as u64,
        };
        Claim::at(now, Some(contact))
    }

    #[test]
    fn a_fresh_anchor_decides_although_the_proof_arrives_late() {
        let bracket = Bracket::of(
            &claim(103 * HOUR, 3),
            Some(200 * HOUR),
            &TimePolicy::default(),
        );
        assert_eq!(bracket.judge(104 * HOUR), Judged::Kept);
        assert_eq!(bracket.judge(102 * HOUR), Judged::Missed);
        assert!(!bracket.late_sync);
    }

    #[test]
    fn a_clock_set_back_or_forward_neither_gains_nor_loses_a_deadline() {
        let ten_years = 87_600 * HOUR;
        for wall in [103 * HOUR - ten_years, 103 * HOUR + ten_years] {
            let bracket = Bracket::of(&claim(wall, 3), Some(200 * HOUR), &TimePolicy::default());
            assert_eq!(bracket.judge(104 * HOUR), Judged::CannotSay);
            // Whatever the clock says: received before due is kept, and an
            // anchor newer than due is missed.
            assert_eq!(bracket.judge(200 * HOUR), Judged::Kept);
            assert_eq!(bracket.judge(99 * HOUR), Judged::Missed);
        }
    }

    #[test]
    fn a_restart_leaves_the_anchor_as_a_lower_bound_only() {
        let mut after = claim(103 * HOUR, 3);
        if let Some(anchor) = after.anchor.as_mut() {
            anchor.age_ms = None;
        }
        let bracket = Bracket::of(&after, Some(200 * HOUR), &TimePolicy::default());
        assert!(bracket.late_sync);
        assert_eq!(bracket.judge(99 * HOUR), Judged::Missed);
        assert_eq!(bracket.judge(150 * HOUR), Judged::CannotSay);
    }
}
