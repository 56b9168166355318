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
//! 6. A server compares an anchor with what it published itself
//!    ([`Anchor::doubt`]), and a person hears of one that does not fit.
//!
//! What can go wrong: (1) clocks are set by hand, so the wall clock alone never
//! decides; it can only take belief away, never move a time. (2) A reply is slow:
//! the anchor then lags behind the truth, never ahead of it, so that a bad
//! network costs nobody a deadline. (3) A restart loses the monotonic base, the
//! anchor then is a lower bound only; (4) an old or drifting anchor counts for
//! nothing more than that either, the receipt counts, and a person is asked. An
//! anchor from after the receipt means that the server's own clock was wrong (or
//! that the anchor was made up): it counts for nothing at all. (5) Quartz is
//! not exact: what it leaves open is not held against anybody.
//!
//! All times are Unix milliseconds, UTC.

use super::ids::{BootId, HeadMark};
use crate::planted::{Bug, active};

/// How far a sound monotonic clock strays: at most one part in so many. Twice
/// what a phone's quartz does between frost and fever.
const QUARTZ_PART: u64 = 5_000;

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
    /// Monotonic clock when the answer *arrived*: the true time is never
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
    /// An anchor is believed while it is younger than this, milliseconds.
    pub max_anchor_age_ms: u64,
    /// An anchor is believed while wall clock and anchored time differ by less
    /// than this, milliseconds.
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
    /// Not before this server time; `None` on a phone that never met a server,
    /// or whose anchor the receipt contradicts.
    pub earliest_ms: Option<i64>,
    /// Not after this receipt; `None` while no server has it.
    pub latest_ms: Option<i64>,
    /// The time that counts, inside the bracket.
    pub counts_ms: i64,
    /// By how much the true time may lie before the one that counts,
    /// milliseconds: what the quartz of the phone leaves open.
    pub margin_ms: i64,
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
    /// The bracket contains the deadline and the anchor is not believed (or too
    /// close to it): a person decides.
    CannotSay,
}

impl Bracket {
    /// Brackets a claim by what the server knows.
    pub fn of(claim: &Claim, received_at_ms: Option<i64>, policy: &TimePolicy) -> Self {
        let is_after_receipt =
            |ms: i64, by: u64| received_at_ms.is_some_and(|at| ms.saturating_sub_unsigned(by) > at);
        let anchor = claim
            .anchor
            .filter(|anchor| !is_after_receipt(anchor.server_ms, 0));
        let earliest_ms = anchor.map(|anchor| anchor.server_ms);
        let believed = anchor.and_then(|anchor| {
            if active(Bug::TrustWallClock) {
                return Some((claim.wall_ms, 0));
            }
            let age_ms = anchor.age_ms?;
            let anchored_ms = claim.anchored_ms()?;
            let is_believed = age_ms < policy.max_anchor_age_ms
                && anchored_ms.abs_diff(claim.wall_ms) < policy.max_drift_ms
                && !is_after_receipt(anchored_ms, policy.max_drift_ms);
            is_believed.then_some((anchored_ms, age_ms.div_ceil(QUARTZ_PART)))
        });
        let (counts, margin) = match (believed, received_at_ms) {
            (Some(believed), _) => believed,
            (None, Some(received)) => (received, 0),
            (None, None) => (claim.reading_ms(), 0),
        };
        // Nobody acts before what they have seen, or after the server already
        // holds the action.
        let counts = earliest_ms.map_or(counts, |earliest| counts.max(earliest));
        let counts_ms = received_at_ms.map_or(counts, |received| counts.min(received));
        Self {
            earliest_ms,
            latest_ms: received_at_ms,
            counts_ms,
            margin_ms: i64::try_from(margin).unwrap_or(i64::MAX),
            late_sync: believed.is_none(),
        }
    }

    /// Whether what happened inside this bracket met `due_ms`; the deadline
    /// itself is still in time.
    pub fn judge(&self, due_ms: i64) -> Judged {
        let due_ms = due_ms.saturating_sub(i64::from(active(Bug::LastMomentIsLate)));
        if self.latest_ms.is_some_and(|latest| latest <= due_ms) {
            Judged::Kept
        } else if self.earliest_ms.is_some_and(|earliest| earliest > due_ms) {
            Judged::Missed
        } else if self.late_sync {
            Judged::CannotSay
        } else if self.counts_ms <= due_ms {
            Judged::Kept
        } else if self.counts_ms.saturating_sub(self.margin_ms) > due_ms {
            Judged::Missed
        } else {
            Judged::CannotSay
        }
    }
}

/// What a server knows of the feed position that an anchor cites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Newest position at receipt.
    pub head: u64,
    /// When the cited position was published, by the server's clock of that
    /// time; `None` for the beginning of the feed.
    pub at_ms: Option<i64>,
}

/// Why an anchor does not fit what the server published. It accuses nobody: a
/// server whose clock was set, or that was restored from a backup, contradicts
/// honest phones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The server never published that position.
    NeverPublished,
    /// The anchor is older than the position that it cites.
    BeforePublication,
    /// The anchor is newer than the receipt.
    AfterReceipt,
}

impl Doubt {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NeverPublished => "anchor_never_published",
            Self::BeforePublication => "anchor_before_publication",
            Self::AfterReceipt => "anchor_after_receipt",
        }
    }
}

impl Anchor {
    /// What speaks against this anchor, as far as the server can prove it.
    pub fn doubt(&self, published: &Published, received_at_ms: i64) -> Option<Doubt> {
        if self.position > published.head {
            Some(Doubt::NeverPublished)
        } else if self.server_ms > received_at_ms {
            Some(Doubt::AfterReceipt)
        } else if published.at_ms.is_some_and(|at| self.server_ms < at) {
            Some(Doubt::BeforePublication)
        } else {
            None
        }
    }
}
