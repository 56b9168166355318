//! Phones whose clocks are set back, set forward, drifting or restarted: none
//! gains or loses a deadline by it. The tests know the true time; the phones do
//! not.

use proptest::prelude::*;
use shaodao_core::domain::ids::BootId;
use shaodao_core::domain::time::{
    Anchor, Bracket, Claim, Doubt, Judged, LastContact, Moment, Published, TimePolicy,
};

use super::at::{DAY_MS, HOUR_MS, MINUTE_MS};

const POLICY: TimePolicy = TimePolicy {
    max_anchor_age_ms: 72 * HOUR_MS as u64,
    max_drift_ms: 5 * MINUTE_MS as u64,
};
/// When the server answered, in the tests that look at one contact.
const CONTACT_MS: i64 = 100 * HOUR_MS;

fn boot(nth: u8) -> BootId {
    BootId([nth; 8])
}

/// What an action claims `age_ms` after the contact, with the wall clock that
/// much off.
fn claim(age_ms: i64, wall_error_ms: i64) -> Claim {
    let contact = LastContact {
        position: 5,
        server_ms: CONTACT_MS,
        boot: boot(1),
        mono_ms: 1_000,
    };
    let now = Moment {
        wall_ms: CONTACT_MS + age_ms + wall_error_ms,
        boot: boot(1),
        mono_ms: 1_000 + age_ms.unsigned_abs(),
    };
    Claim::at(now, Some(contact))
}

fn judge(claim: &Claim, received_ms: Option<i64>, due_ms: i64) -> Judged {
    Bracket::of(claim, received_ms, &POLICY).judge(due_ms)
}

#[test]
fn a_fresh_anchor_decides_although_the_proof_arrives_late() {
    let claim = claim(3 * HOUR_MS, 0);
    let bracket = Bracket::of(&claim, Some(200 * HOUR_MS), &POLICY);
    assert_eq!(bracket.earliest_ms, Some(CONTACT_MS));
    assert_eq!(bracket.latest_ms, Some(200 * HOUR_MS));
    assert_eq!(bracket.counts_ms, 103 * HOUR_MS);
    assert!(!bracket.late_sync);
    // The deadline itself is in time; what the quartz leaves open (3 h / 5,000)
    // is not held against anybody.
    let after = 103 * HOUR_MS;
    assert_eq!(bracket.margin_ms, 2_160);
    assert_eq!(bracket.judge(after), Judged::Kept);
    assert_eq!(bracket.judge(after - 1), Judged::CannotSay);
    assert_eq!(bracket.judge(after - 2_160), Judged::CannotSay);
    assert_eq!(bracket.judge(after - 2_161), Judged::Missed);
    // The phone says the same before it has synced.
    assert_eq!(judge(&claim, None, after), Judged::Kept);
    assert_eq!(judge(&claim, None, after - HOUR_MS), Judged::Missed);
}

#[test]
fn receipt_and_anchor_decide_whatever_the_wall_clock_says() {
    for wall in [0, -10 * 365 * DAY_MS, 10 * 365 * DAY_MS] {
        let claim = claim(3 * HOUR_MS, wall);
        let judged = |due_ms| judge(&claim, Some(200 * HOUR_MS), due_ms);
        assert_eq!(judged(200 * HOUR_MS), Judged::Kept);
        assert_eq!(judged(CONTACT_MS - 1), Judged::Missed);
        let inside = if wall == 0 {
            Judged::Kept
        } else {
            Judged::CannotSay
        };
        assert_eq!(judged(104 * HOUR_MS), inside);
    }
}

#[test]
fn belief_ends_at_72_hours_and_5_minutes_as_the_policy_says() {
    let believed = |age_ms: i64, wall: i64, received_ms: i64| {
        !Bracket::of(&claim(age_ms, wall), Some(received_ms), &POLICY).late_sync
    };
    let late = 400 * HOUR_MS;
    assert!(believed(72 * HOUR_MS - 1, 0, late));
    assert!(!believed(72 * HOUR_MS, 0, late));
    for sign in [1, -1] {
        assert!(believed(HOUR_MS, sign * (5 * MINUTE_MS - 1), late));
        assert!(!believed(HOUR_MS, sign * 5 * MINUTE_MS, late));
    }
    // A monotonic clock that has run ahead of the receipt is wrong.
    let after = CONTACT_MS + HOUR_MS;
    assert!(believed(HOUR_MS, 0, after - 5 * MINUTE_MS));
    assert!(!believed(HOUR_MS, 0, after - 5 * MINUTE_MS - 1));
    let ahead = Bracket::of(&claim(HOUR_MS, 0), Some(after - MINUTE_MS), &POLICY);
    assert_eq!(ahead.counts_ms, after - MINUTE_MS);
    let strict = TimePolicy {
        max_anchor_age_ms: 0,
        max_drift_ms: 0,
    };
    assert!(Bracket::of(&claim(0, 0), Some(late), &strict).late_sync);
    assert_eq!(TimePolicy::default(), POLICY);
}

#[test]
fn a_restart_leaves_the_anchor_as_a_lower_bound_only() {
    let contact = LastContact {
        position: 5,
        server_ms: CONTACT_MS,
        boot: boot(1),
        mono_ms: 5_000,
    };
    // Another boot; or a monotonic clock that went backwards within one.
    for (boot, mono_ms) in [(boot(2), 9_000), (boot(1), 4_999)] {
        let now = Moment {
            wall_ms: CONTACT_MS + HOUR_MS,
            boot,
            mono_ms,
        };
        let claim = Claim::at(now, Some(contact));
        assert_eq!(claim.anchored_ms(), None);
        assert_eq!(claim.reading_ms(), now.wall_ms);
        let bracket = Bracket::of(&claim, Some(200 * HOUR_MS), &POLICY);
        assert!(bracket.late_sync);
        assert_eq!(bracket.counts_ms, 200 * HOUR_MS);
        assert_eq!(bracket.judge(CONTACT_MS - 1), Judged::Missed);
        assert_eq!(bracket.judge(CONTACT_MS), Judged::CannotSay);
        assert_eq!(bracket.judge(199 * HOUR_MS), Judged::CannotSay);
        assert_eq!(bracket.judge(200 * HOUR_MS), Judged::Kept);
    }
}

#[test]
fn a_phone_that_never_met_a_server_is_judged_by_its_receipt() {
    let now = Moment {
        wall_ms: 7,
        boot: boot(1),
        mono_ms: 0,
    };
    let claim = Claim::at(now, None);
    assert_eq!(judge(&claim, Some(10), 10), Judged::Kept);
    assert_eq!(judge(&claim, Some(10), 9), Judged::CannotSay);
    assert_eq!(judge(&claim, None, 9), Judged::CannotSay);
    let unsent = Bracket::of(&claim, None, &POLICY);
    assert_eq!((unsent.counts_ms, unsent.late_sync), (7, true));
}

#[test]
fn a_server_whose_clock_was_wrong_makes_nobody_late() {
    // The server was a day ahead when it answered, and has been set right.
    let claim = claim(MINUTE_MS, 0);
    let received_ms = CONTACT_MS - DAY_MS + HOUR_MS;
    let bracket = Bracket::of(&claim, Some(received_ms), &POLICY);
    assert_eq!(bracket.earliest_ms, None);
    assert!(bracket.late_sync);
    assert_eq!(bracket.judge(received_ms - 1), Judged::CannotSay);
    assert_eq!(bracket.judge(received_ms), Judged::Kept);
    // An anchor of the very moment of the receipt is a good one.
    let same = Bracket::of(&claim, Some(CONTACT_MS), &POLICY);
    assert_eq!(same.earliest_ms, Some(CONTACT_MS));
}

#[test]
fn absurd_claims_overflow_nowhere() {
    let extremes = [i64::MIN, -1, 0, 1, i64::MAX];
    for server_ms in extremes {
        for wall_ms in extremes {
            for age_ms in [
                None,
                Some(0),
                Some(1),
                Some(i64::MAX as u64),
                Some(u64::MAX),
            ] {
                let claim = Claim {
                    wall_ms,
                    boot: boot(1),
                    mono_ms: u64::MAX,
                    anchor: Some(Anchor {
                        position: u64::MAX,
                        server_ms,
                        age_ms,
                    }),
                };
                let _ = claim.reading_ms();
                let any = TimePolicy {
                    max_anchor_age_ms: u64::MAX,
                    max_drift_ms: u64::MAX,
                };
                for received_ms in extremes.map(Some).into_iter().chain([None]) {
                    for policy in [POLICY, any] {
                        let bracket = Bracket::of(&claim, received_ms, &policy);
                        for due_ms in extremes {
                            let judged = bracket.judge(due_ms);
                            let in_hand = received_ms.is_some_and(|at| at <= due_ms);
                            assert!(!in_hand || judged == Judged::Kept);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_anchor_that_the_server_never_gave_is_noticed() {
    let anchor = |position, server_ms| Anchor {
        position,
        server_ms,
        age_ms: Some(0),
    };
    let published = Published {
        head: 10,
        at_ms: Some(1_000),
    };
    let doubt = |position, server_ms| anchor(position, server_ms).doubt(&published, 5_000);
    assert_eq!(doubt(10, 1_000), None);
    assert_eq!(doubt(7, 5_000), None);
    assert_eq!(doubt(11, 1_000), Some(Doubt::NeverPublished));
    assert_eq!(doubt(10, 999), Some(Doubt::BeforePublication));
    assert_eq!(doubt(10, 5_001), Some(Doubt::AfterReceipt));
    let beginning = Published {
        head: 0,
        at_ms: None,
    };
    assert_eq!(anchor(0, i64::MIN).doubt(&beginning, 0), None);
    let words = [
        Doubt::NeverPublished,
        Doubt::BeforePublication,
        Doubt::AfterReceipt,
    ];
    let distinct: std::collections::BTreeSet<_> = words.iter().map(|it| it.word()).collect();
    assert!(distinct.len() == 3 && distinct.iter().all(|word| word.starts_with("anchor_")));
}

/// What happens to a phone, one thing after the other.
#[derive(Debug, Clone)]
enum Event {
    /// So much true time goes by.
    Pass(i64),
    /// An exchange; the reply takes so long.
    Contact(i64),
    /// Switched off and on again.
    Restart,
    /// Somebody sets the wall clock that far from the truth.
    SetWall(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0..20 * HOUR_MS).prop_map(Event::Pass),
        1 => (0..10 * DAY_MS).prop_map(Event::Pass),
        3 => (0..MINUTE_MS).prop_map(Event::Contact),
        1 => Just(Event::Restart),
        1 => (-MINUTE_MS..MINUTE_MS).prop_map(Event::SetWall),
        1 => (-3_650 * DAY_MS..3_650 * DAY_MS).prop_map(Event::SetWall),
    ];
    proptest::collection::vec(event, 1..12)
}

/// A phone and the truth about it.
struct Phone {
    true_ms: i64,
    /// The monotonic clock, which runs a little fast or slow, and its boot.
    mono_ms: f64,
    boot: u8,
    ppm: i64,
    wall_error_ms: i64,
    /// The newest contact, and when it truly was.
    contact: Option<(LastContact, i64)>,
    /// The slowest reply, milliseconds.
    slowest_ms: i64,
}

impl Phone {
    fn new(ppm: i64) -> Self {
        Self {
            true_ms: CONTACT_MS,
            mono_ms: 0.0,
            boot: 1,
            ppm,
            wall_error_ms: 0,
            contact: None,
            slowest_ms: 0,
        }
    }

    fn pass(&mut self, ms: i64) {
        self.true_ms += ms;
        self.mono_ms += ms as f64 * (1.0 + self.ppm as f64 / 1e6);
    }

    fn live(&mut self, event: &Event) {
        match event {
            Event::Pass(ms) => self.pass(*ms),
            Event::Contact(reply_ms) => {
                let server_ms = self.true_ms;
                self.pass(*reply_ms);
                let contact = LastContact {
                    position: 1,
                    server_ms,
                    boot: boot(self.boot),
                    mono_ms: self.mono_ms.floor() as u64,
                };
                self.contact = Some((contact, server_ms));
                self.slowest_ms = self.slowest_ms.max(*reply_ms);
            }
            Event::Restart => {
                self.boot += 1;
                self.mono_ms = 0.0;
            }
            Event::SetWall(error_ms) => self.wall_error_ms = *error_ms,
        }
    }

    fn act(&self) -> Claim {
        self.act_by(self.true_ms + self.wall_error_ms)
    }

    fn act_by(&self, wall_ms: i64) -> Claim {
        let now = Moment {
            wall_ms,
            boot: boot(self.boot),
            mono_ms: self.mono_ms.floor() as u64,
        };
        Claim::at(now, self.contact.map(|(contact, _)| contact))
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever happens to the clocks of a phone whose quartz is sound: what was
    /// in time is never missed, what was late is kept by no more than a slow
    /// reply and the quartz, and the bracket contains the truth.
    #[test]
    fn no_phone_gains_or_loses_a_deadline(
        life in events(),
        ppm in -150i64..150,
        arrives_after in 0..20 * DAY_MS,
        due_after in -3 * DAY_MS..3 * DAY_MS,
    ) {
        let mut phone = Phone::new(ppm);
        life.iter().for_each(|event| phone.live(event));
        let (true_ms, claim) = (phone.true_ms, phone.act());
        let received_ms = true_ms + arrives_after;
        let due_ms = true_ms + due_after;
        let bracket = Bracket::of(&claim, Some(received_ms), &POLICY);
        let judged = bracket.judge(due_ms);
        prop_assert!(bracket.earliest_ms.is_none_or(|earliest| earliest <= true_ms));
        prop_assert!(bracket.latest_ms.is_none_or(|latest| true_ms <= latest));
        prop_assert!(bracket.earliest_ms.is_none_or(|earliest| earliest <= bracket.counts_ms));
        prop_assert!(bracket.counts_ms <= received_ms);
        if true_ms <= due_ms {
            prop_assert_ne!(judged, Judged::Missed);
        } else {
            let age_ms = claim.anchor.and_then(|anchor| anchor.age_ms).unwrap_or(0);
            let open = phone.slowest_ms + age_ms as i64 / 5_000 + 2;
            prop_assert!(judged != Judged::Kept || true_ms - due_ms <= open);
        }
        // On the phone, before it is sent, the same.
        let unsent = Bracket::of(&claim, None, &POLICY).judge(due_ms);
        prop_assert!(true_ms > due_ms || unsent != Judged::Missed);
    }

    /// A phone that has not been restarted, with a fair wall clock and a fresh
    /// anchor, and in time: kept, however late it syncs.
    #[test]
    fn an_honest_phone_in_time_has_kept_the_deadline(
        reply_ms in 0..MINUTE_MS,
        age_ms in 0..71 * HOUR_MS,
        wall_error_ms in -3 * MINUTE_MS..3 * MINUTE_MS,
        arrives_after in 0..20 * DAY_MS,
        spare_ms in 0..3 * DAY_MS,
    ) {
        let mut phone = Phone::new(0);
        phone.live(&Event::Contact(reply_ms));
        phone.live(&Event::Pass(age_ms));
        phone.live(&Event::SetWall(wall_error_ms));
        let received_ms = phone.true_ms + arrives_after;
        let judged = judge(&phone.act(), Some(received_ms), phone.true_ms + spare_ms);
        prop_assert_eq!(judged, Judged::Kept);
    }

    /// The wall clock never moves a verdict from one side to the other: of two
    /// readings that differ in nothing else, one cannot be kept and the other
    /// missed.
    #[test]
    fn a_lying_wall_clock_can_only_take_belief_away(
        life in events(),
        walls in (any::<i64>(), -10 * MINUTE_MS..10 * MINUTE_MS),
        arrives_after in 0..20 * DAY_MS,
        due_after in -3 * DAY_MS..3 * DAY_MS,
    ) {
        let mut phone = Phone::new(0);
        life.iter().for_each(|event| phone.live(event));
        let due_ms = phone.true_ms + due_after;
        let received_ms = Some(phone.true_ms + arrives_after);
        let verdicts = [walls.0, phone.true_ms + walls.1, phone.true_ms]
            .map(|wall_ms| judge(&phone.act_by(wall_ms), received_ms, due_ms));
        let both = verdicts.contains(&Judged::Kept) && verdicts.contains(&Judged::Missed);
        prop_assert!(!both, "{:?}", verdicts);
    }

    /// A phone that lies about everything but cites a true contact: kept only
    /// if that was possible by what the server can prove.
    #[test]
    fn no_lie_reaches_behind_the_newest_contact(
        wall_ms in any::<i64>(),
        age_ms in proptest::option::of(any::<u64>()),
        arrives_after in 0..20 * DAY_MS,
        due_after in -3 * DAY_MS..3 * DAY_MS,
    ) {
        let anchor = Anchor { position: 1, server_ms: CONTACT_MS, age_ms };
        let claim = Claim { wall_ms, boot: boot(1), mono_ms: 0, anchor: Some(anchor) };
        let received_ms = CONTACT_MS + arrives_after;
        let due_ms = CONTACT_MS + due_after;
        let judged = judge(&claim, Some(received_ms), due_ms);
        prop_assert!(judged != Judged::Kept || CONTACT_MS <= due_ms);
        prop_assert!(judged != Judged::Missed || due_ms < received_ms);
    }
}
