//! The server's time, and whether it can be believed.
//!
//! 1. [`Clock`] is normally the machine's; in a rehearsal the time that whoever
//!    leads the rehearsal says it is, kept in the database, so that a whole day
//!    can be rehearsed in minutes and a restart does not lose it.
//! 2. Deadlines are looked at again and again, and each time [`Watch::look`]
//!    compares the wall clock with the monotonic one: as much time has passed
//!    on both. The newest time that was believed is stored.
//! 3. After a restart there is no monotonic time to compare with: the stored
//!    time has to do, and the policy says how long a server may have been down.
//!
//! What can go wrong: (2) the wall clock is set forward, and every deadline of
//! next month would seem to have passed: nothing fires by time until the clock
//! is plausible again or an administrator confirms it, and the server says so.
//! It is set back: nothing fires twice, nothing is undone, and what is due waits
//! for the clock; the server says that too. (3) The clock is wrong from the
//! start, within the limit: then so are the deadlines, as on any server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// Where time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock, and when this process began to look at it.
    System(Instant),
    /// Set by hand.
    Rehearsal(Arc<Rehearsed>),
}

/// The time of a rehearsal, Unix milliseconds.
#[derive(Debug)]
pub struct Rehearsed {
    /// As time passes; never runs backwards.
    passing_ms: AtomicI64,
    /// How far the wall clock has jumped from that.
    jumped_ms: AtomicI64,
}

impl Clock {
    /// The machine's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "with `now_ms` and `mono_ms`, where the server reads the machine's clocks"
    )]
    pub fn system() -> Self {
        Self::System(Instant::now())
    }

    /// A rehearsal that begins at `now_ms`.
    pub fn rehearsal(now_ms: i64) -> Self {
        Self::Rehearsal(Arc::new(Rehearsed {
            passing_ms: AtomicI64::new(now_ms),
            jumped_ms: AtomicI64::new(0),
        }))
    }

    /// The wall clock, Unix milliseconds.
    #[expect(
        clippy::disallowed_methods,
        reason = "with `system` and `mono_ms`, where the server reads the machine's clocks"
    )]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System(_) => chrono::Utc::now().timestamp_millis(),
            Self::Rehearsal(time) => time
                .passing_ms
                .load(Ordering::SeqCst)
                .saturating_add(time.jumped_ms.load(Ordering::SeqCst)),
        }
    }

    /// A clock that nobody can set, milliseconds since some moment; on Linux the
    /// sleep of the machine included.
    pub fn mono_ms(&self) -> i64 {
        match self {
            Self::System(began) => uptime_ms()
                .unwrap_or_else(|| i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX)),
            Self::Rehearsal(time) => time.passing_ms.load(Ordering::SeqCst),
        }
    }

    /// Lets a rehearsal's time pass until `now_ms`; it never runs backwards.
    /// Nothing happens to the machine's clock.
    pub fn set(&self, now_ms: i64) {
        if let Self::Rehearsal(time) = self {
            time.passing_ms.fetch_max(now_ms, Ordering::SeqCst);
        }
    }

    /// Sets a rehearsal's wall clock wrong by so much, without any time passing.
    pub fn jump(&self, by_ms: i64) {
        if let Self::Rehearsal(time) = self {
            time.jumped_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }
}

fn uptime_ms() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let hundredths: i64 = hundredths.get(..2)?.parse().ok()?;
    seconds
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(hundredths * 10)
}

/// What the database says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// The newest time that was believed; `None` in a new database.
    pub newest_ms: Option<i64>,
    /// Whether deadlines were held when somebody last looked.
    pub held: bool,
    /// The time that an administrator confirmed last.
    pub confirmed_ms: Option<i64>,
}

/// How far the clock may be off, milliseconds; policy data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Between two looks.
    pub jump_ms: i64,
    /// While the server was down.
    pub downtime_ms: i64,
}

/// The wall clock is not where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// How far ahead of the expected time, milliseconds; negative if behind.
    pub ahead_ms: i64,
    /// The time that is expected, Unix milliseconds.
    pub expected_ms: i64,
}

impl Jump {
    /// Whether nothing may fire by this clock. One that is behind fires late,
    /// and nothing too early.
    pub fn holds(&self) -> bool {
        self.ahead_ms > 0
    }
}

/// Compares looks at the clocks.
#[derive(Debug, Default)]
pub struct Watch {
    /// The newest wall time that was believed, and the monotonic time then.
    base: Option<(i64, i64)>,
    /// Nothing has been believed since the process began.
    fresh: bool,
    confirmed_ms: Option<i64>,
}

impl Watch {
    /// One look at the clocks; a jump if they disagree.
    pub fn look(
        &mut self,
        wall_ms: i64,
        mono_ms: i64,
        stored: Stored,
        limits: Limits,
    ) -> Option<Jump> {
        let Some((base_ms, base_mono_ms)) = self.base else {
            self.confirmed_ms = stored.confirmed_ms;
            self.base = Some((stored.newest_ms.unwrap_or(wall_ms), mono_ms));
            self.fresh = true;
            return self.look(wall_ms, mono_ms, stored, limits);
        };
        let expected_ms = base_ms.saturating_add(mono_ms.saturating_sub(base_mono_ms));
        let ahead_ms = wall_ms.saturating_sub(expected_ms);
        // A server that was held when it went down may not have waited it out.
        let may_be_ahead_ms = match self.fresh && !stored.held {
            true => limits.downtime_ms.max(limits.jump_ms),
            false => limits.jump_ms,
        };
        let news = stored.confirmed_ms != self.confirmed_ms;
        let confirmed = stored.confirmed_ms.filter(|confirmed_ms| {
            news && wall_ms.saturating_sub(*confirmed_ms).saturating_abs() <= limits.jump_ms
        });
        let plausible = (-limits.jump_ms..=may_be_ahead_ms).contains(&ahead_ms);
        if confirmed.is_none() && !plausible {
            return Some(Jump {
                ahead_ms,
                expected_ms,
            });
        }
        self.confirmed_ms = stored.confirmed_ms;
        self.base = Some((wall_ms, mono_ms));
        self.fresh = false;
        None
    }
}

impl Watch {
    /// The time that a look would find: the wall clock's, or where it should
    /// be if it has jumped ahead since the last look.
    pub fn believed_ms(&self, wall_ms: i64, mono_ms: i64, limits: Limits) -> i64 {
        let Some((base_ms, base_mono_ms)) = self.base else {
            return wall_ms;
        };
        let limit_ms = match self.fresh {
            true => limits.downtime_ms.max(limits.jump_ms),
            false => limits.jump_ms,
        };
        let expected_ms = base_ms.saturating_add(mono_ms.saturating_sub(base_mono_ms));
        match wall_ms.saturating_sub(expected_ms) > limit_ms {
            true => expected_ms,
            false => wall_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    const LIMITS: Limits = Limits {
        jump_ms: 10 * MINUTE,
        downtime_ms: 3 * DAY,
    };

    fn stored(newest_ms: i64) -> Stored {
        Stored {
            newest_ms: Some(newest_ms),
            ..Stored::default()
        }
    }

    /// How far ahead the clock seems to be, minutes; 0: believed.
    fn ahead(watch: &mut Watch, wall: i64, mono: i64, stored: Stored) -> i64 {
        let jump = watch.look(wall * MINUTE, mono * MINUTE, stored, LIMITS);
        jump.map_or(0, |jump| jump.ahead_ms / MINUTE)
    }

    #[test]
    fn time_that_passes_is_believed_and_a_jump_is_not() {
        let mut watch = Watch::default();
        assert_eq!(ahead(&mut watch, 1_000, 5, Stored::default()), 0);
        assert_eq!(
            ahead(&mut watch, 2_000, 1_005, stored(0)),
            0,
            "as much on both"
        );
        assert_eq!(
            ahead(&mut watch, 2_010, 1_005, stored(0)),
            0,
            "within the limit"
        );
        assert_eq!(ahead(&mut watch, 2_021, 1_005, stored(0)), 11);
        assert_eq!(ahead(&mut watch, 2_026, 1_010, stored(0)), 11, "still");
        assert_eq!(
            ahead(&mut watch, 2_015, 1_010, stored(0)),
            0,
            "plausible again"
        );
        assert_eq!(ahead(&mut watch, 1_900, 1_010, stored(0)), -115, "set back");
        assert_eq!(
            ahead(&mut watch, 2_020, 1_015, stored(0)),
            0,
            "and right again"
        );
    }

    #[test]
    fn after_a_restart_the_stored_time_has_to_do() {
        let day = DAY / MINUTE;
        assert_eq!(ahead(&mut Watch::default(), 3 * day, 0, stored(0)), 0);
        assert_eq!(
            ahead(&mut Watch::default(), 3 * day + 1, 0, stored(0)),
            3 * day + 1
        );
        let held = Stored {
            held: true,
            ..stored(0)
        };
        assert_eq!(
            ahead(&mut Watch::default(), day, 0, held),
            day,
            "held before"
        );
        let mut watch = Watch::default();
        assert_eq!(ahead(&mut watch, day, 0, stored(0)), 0);
        assert_eq!(ahead(&mut watch, 2 * day, 0, stored(0)), day, "only once");
    }

    #[test]
    fn a_confirmation_counts_once_and_for_the_time_that_was_confirmed() {
        let mut watch = Watch::default();
        assert_eq!(ahead(&mut watch, 0, 0, stored(0)), 0);
        let confirmed = |minute: i64| Stored {
            confirmed_ms: Some(minute * MINUTE),
            ..stored(0)
        };
        assert_eq!(
            ahead(&mut watch, 500, 0, confirmed(300)),
            500,
            "another time"
        );
        assert_eq!(ahead(&mut watch, 500, 0, confirmed(495)), 0);
        assert_eq!(
            ahead(&mut watch, 900, 0, confirmed(495)),
            400,
            "another jump"
        );
    }
}
