//! When a whistle is due, on paper: the rules of `domain::deadline`.
//!
//! What could go wrong: time lost or won by a pause, an extension or a change of
//! the limit; a pause that is never ended; a deadline that a wrong clock moves.

use shaodao_core::domain::action::{
    Body, EscalationCause, Level, Order, Party, RecordKind, Target, Terms,
};
use shaodao_core::domain::calendar::{Calendar, Light, local_text};
use shaodao_core::domain::deadline;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::escalation::Case;
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::{Judged, TimePolicy};
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::pack;
use shaodao_tests::paper::Paper;
use shaodao_tests::world::{HOUR_MS, MORNING_MS};

const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
/// 2025-06-13, a Friday, 16:30 in Shanghai.
const FRIDAY_MS: i64 = MORNING_MS + 2 * DAY_MS + 15 * HOUR_MS / 2;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Monday, 10:00.
const MONDAY_MS: i64 = FRIDAY_MS + 3 * DAY_MS - 13 * HOUR_MS / 2;

struct Sheet {
    paper: Paper,
    directory: Directory,
}

impl Sheet {
    /// A whistle blown on Friday at 16:30, under a limit or until a date.
    fn blown(limit: Option<&str>, due_ms: i64) -> Self {
        let directory = pack::directory(pack::HUASHAN).expect("the sample street");
        let mut paper = Paper::new(RecordKind::Whistle);
        let terms = limit.map(|limit| terms(&directory, limit));
        let due_ms = match &terms {
            Some(terms) => plain_due(&directory, terms),
            None => due_ms,
        };
        let order = Order {
            level: Level::Community,
            platform: 5,
            area: "530102001006".to_owned(),
            findings: Vec::new(),
            targets: vec![Target {
                party: Party::parse(URBAN_POST).expect("a party"),
                lead: true,
                mandatory: true,
            }],
            sign_by_ms: None,
            report_by_ms: None,
            due_ms,
            terms,
            parent: None,
        };
        paper.act(&directory, SECRETARY, FRIDAY_MS, Body::Issue(order));
        Self { paper, directory }
    }

    fn asks_to_pause(&mut self, at_ms: i64, review_ms: i64) -> EnvelopeHash {
        let body = Body::AskSuspension {
            party: URBAN_POST.to_owned(),
            review_ms,
            reason: "等待挖掘许可".to_owned(),
        };
        self.paper.act(&self.directory, URBAN, at_ms, body)
    }

    fn asks_for_more(&mut self, at_ms: i64, until_ms: i64) -> Result<EnvelopeHash, Reason> {
        let body = Body::AskExtension {
            party: URBAN_POST.to_owned(),
            until_ms,
            reason: "配件未到".to_owned(),
        };
        let facts = Default::default();
        let asked = self
            .paper
            .try_act(&self.directory, URBAN, at_ms, facts, body);
        asked.map_err(|refused| refused.reason)
    }

    fn rules(&mut self, at_ms: i64, request: EnvelopeHash, granted: bool, until_ms: Option<i64>) {
        let text = "已研究".to_owned();
        let body = Body::Rule {
            request,
            granted,
            until_ms,
            text,
        };
        self.paper.act(&self.directory, SECRETARY, at_ms, body);
    }

    fn resumes(&mut self, at_ms: i64) {
        let reason = "许可已办好".to_owned();
        let body = Body::Resume { reason };
        self.paper.act(&self.directory, SECRETARY, at_ms, body);
    }

    fn recomputes(&mut self, at_ms: i64, limit: &str, start_ms: i64) -> Result<(), Reason> {
        let terms = Terms {
            start_ms,
            ..terms(&self.directory, limit)
        };
        let body = Body::Recompute {
            due_ms: plain_due(&self.directory, &terms),
            terms: Some(terms),
            reason: "分类改为疑难问题".to_owned(),
        };
        let facts = Default::default();
        let tried = self
            .paper
            .try_act(&self.directory, SECRETARY, at_ms, facts, body);
        tried.map(drop).map_err(|refused| refused.reason)
    }

    fn whistle(&self) -> WhistleState {
        match self.paper.state() {
            RecordState::Whistle(whistle) => *whistle,
            RecordState::Finding(_) => panic!("a whistle"),
        }
    }

    fn due(&self) -> String {
        local_text(self.due_ms())
    }

    fn due_ms(&self) -> i64 {
        let due = deadline::due(&self.whistle(), Some(&self.directory));
        due.expect("an order").at_ms
    }

    fn escalates_at(&self, now_ms: i64) -> bool {
        let case = Case {
            whistle: self.paper.record,
            state: &self.whistle(),
            carried: &[],
            directory: &self.directory,
        };
        case.due(now_ms).is_some()
    }
}

fn terms(directory: &Directory, limit: &str) -> Terms {
    Terms {
        start_ms: FRIDAY_MS,
        limit: limit.parse().expect("a limit"),
        calendar: directory.calendar.version().to_owned(),
        policy: directory.policy_edition(),
    }
}

fn plain_due(directory: &Directory, terms: &Terms) -> i64 {
    let due = directory.calendar.due(terms.start_ms, terms.limit, &[]);
    due.expect("within ten years").at_ms
}

#[test]
fn a_pause_stops_the_clock_and_the_time_left_goes_on() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    assert_eq!(sheet.due(), "2025-06-16 16:30");
    // Asked for on Monday at ten, ruled on in the afternoon: the waiting costs
    // the target nothing.
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 7 * DAY_MS);
    assert_eq!(
        sheet.due(),
        "2025-06-16 16:30",
        "asking alone moves nothing"
    );
    sheet.rules(MONDAY_MS + 5 * HOUR_MS, pause, true, None);
    assert!(!sheet.escalates_at(MONDAY_MS + DAY_MS));
    sheet.resumes(MONDAY_MS + 2 * DAY_MS);
    assert_eq!(sheet.due(), "2025-06-18 16:30", "the handbook's example");
    assert!(!sheet.escalates_at(sheet.due_ms()));
    assert!(sheet.escalates_at(sheet.due_ms() + 1));
}

#[test]
fn a_forgotten_pause_ends_at_its_review_date() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 7 * DAY_MS);
    // The approved date differs from the asked one.
    sheet.rules(MONDAY_MS, pause, true, Some(MONDAY_MS + 2 * DAY_MS));
    let policy = sheet.directory.policy.time;
    let until = |at_ms| deadline::suspended_until(&sheet.whistle(), &policy, at_ms);
    assert_eq!(until(MONDAY_MS - 1), None);
    assert_eq!(until(MONDAY_MS), Some(MONDAY_MS + 2 * DAY_MS));
    assert_eq!(until(MONDAY_MS + 2 * DAY_MS), None);
    assert_eq!(sheet.due(), "2025-06-18 16:30");
}

#[test]
fn a_pause_moves_nothing_beyond_its_ends() {
    // Resumed after the review date had ended it already.
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 2 * DAY_MS);
    sheet.rules(MONDAY_MS, pause, true, None);
    sheet.resumes(MONDAY_MS + 2 * DAY_MS + HOUR_MS);
    assert_eq!(sheet.due(), "2025-06-18 16:30");
    // Asked for in the last moment, when no time was left to be saved.
    let due_ms = MONDAY_MS + DAY_MS;
    let mut sheet = Sheet::blown(None, due_ms);
    let pause = sheet.asks_to_pause(due_ms, due_ms + DAY_MS);
    sheet.rules(due_ms, pause, true, None);
    assert_eq!(sheet.due_ms(), due_ms);
}

#[test]
fn clocks_are_believed_as_the_policy_of_the_whistle_says() {
    // What could go wrong: an operator trusts phones less, and nothing follows.
    let mut sheet = Sheet::blown(Some("1d"), 0);
    sheet.directory.policy.time.max_anchor_age_ms = 0;
    let policy = deadline::policy(&sheet.whistle(), Some(&sheet.directory));
    assert_eq!(policy, sheet.directory.policy.time);
    let unknown = deadline::policy(&sheet.whistle(), None);
    assert_eq!(unknown, TimePolicy::default());
}

#[test]
fn a_pause_that_ended_before_it_began_is_none() {
    // What could go wrong: the phones of target and blower disagree by a minute,
    // and time runs backwards.
    for resumed_ms in [MONDAY_MS, MONDAY_MS - HOUR_MS] {
        let mut sheet = Sheet::blown(Some("1d"), 0);
        let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + DAY_MS);
        sheet.rules(MONDAY_MS, pause, true, None);
        sheet.resumes(resumed_ms);
        let policy = sheet.directory.policy.time;
        assert_eq!(deadline::pauses(&sheet.whistle(), &policy), []);
        assert_eq!(sheet.due(), "2025-06-16 16:30");
    }
}

#[test]
fn an_escalation_that_was_asked_for_in_time_does_not_answer_the_deadline() {
    let due_ms = MONDAY_MS + DAY_MS;
    let mut sheet = Sheet::blown(None, due_ms);
    let escalate = Body::Escalate {
        cause: EscalationCause::Asked,
        into: RecordId([6; 16]),
        round: 1,
    };
    let stand_down = Body::StandDown {
        text: "社区自行处理".to_owned(),
        round: 1,
    };
    sheet
        .paper
        .act(&sheet.directory, "server", due_ms, escalate);
    assert!(!sheet.escalates_at(due_ms + 1), "one at a time");
    sheet
        .paper
        .act(&sheet.directory, "S-01", due_ms, stand_down);
    assert!(!sheet.escalates_at(due_ms));
    assert!(sheet.escalates_at(due_ms + 1));
}

#[test]
fn two_pauses_with_work_between_them_stay_two() {
    // Monday ten to eleven, and Tuesday ten to eleven.
    let mut sheet = Sheet::blown(Some("2d"), 0);
    assert_eq!(sheet.due(), "2025-06-17 16:30");
    let pauses = [0, 1].map(|day| {
        let from_ms = MONDAY_MS + day * DAY_MS;
        let pause = sheet.asks_to_pause(from_ms, from_ms + HOUR_MS);
        sheet.rules(from_ms, pause, true, None);
        (from_ms, from_ms + HOUR_MS)
    });
    let policy = sheet.directory.policy.time;
    assert_eq!(deadline::pauses(&sheet.whistle(), &policy), pauses);
    assert_eq!(sheet.due(), "2025-06-18 10:30");
    let until = |at_ms| deadline::suspended_until(&sheet.whistle(), &policy, at_ms);
    assert_eq!(until(MONDAY_MS + 2 * HOUR_MS), None);
    assert_eq!(until(MONDAY_MS + DAY_MS), Some(pauses[1].1));
}

#[test]
fn the_light_goes_by_working_time_and_by_the_due_time_in_force() {
    let light = |sheet: &Sheet, at: &str| {
        let at_ms = at_local(at);
        deadline::light(&sheet.whistle(), &sheet.directory, at_ms)
    };
    // Seven hours from Friday 16:30: a weekend uses nothing of them.
    let mut sheet = Sheet::blown(Some("1d"), 0);
    for (at, is) in [
        ("2025-06-13 16:30", Light::Green),
        ("2025-06-16 09:00", Light::Green),
        ("2025-06-16 15:05", Light::Green),
        ("2025-06-16 15:06", Light::Yellow),
        ("2025-06-16 16:29", Light::Yellow),
        ("2025-06-16 16:30", Light::Red),
    ] {
        assert_eq!(light(&sheet, at), Some(is), "{at}");
    }
    // A day more: the share is of the longer time.
    let until_ms = at_local("2025-06-17 16:30");
    let more = sheet.asks_for_more(MONDAY_MS, until_ms).expect("in time");
    sheet.rules(MONDAY_MS, more, true, None);
    assert_eq!(light(&sheet, "2025-06-16 16:30"), Some(Light::Green));
    assert_eq!(light(&sheet, "2025-06-17 13:41"), Some(Light::Green));
    assert_eq!(light(&sheet, "2025-06-17 13:42"), Some(Light::Yellow));
    assert_eq!(light(&sheet, "2025-06-17 16:30"), Some(Light::Red));
    // None while the clock stands still.
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + HOUR_MS);
    sheet.rules(MONDAY_MS, pause, true, None);
    assert_eq!(light(&sheet, "2025-06-16 10:59"), None);
    assert_eq!(light(&sheet, "2025-06-16 11:00"), Some(Light::Green));
    // A date set by hand: ten hours of the day.
    let sheet = Sheet::blown(None, FRIDAY_MS + 10 * HOUR_MS);
    assert_eq!(light(&sheet, "2025-06-14 00:29"), Some(Light::Green));
    assert_eq!(light(&sheet, "2025-06-14 00:30"), Some(Light::Yellow));
    assert_eq!(light(&sheet, "2025-06-14 02:30"), Some(Light::Red));
}

/// A time in Shanghai.
fn at_local(text: &str) -> i64 {
    let minutes = (FRIDAY_MS..FRIDAY_MS + 7 * DAY_MS).step_by(60_000);
    let mut named = minutes.filter(|ms| local_text(*ms) == text);
    named.next().expect("within a week")
}

#[test]
fn a_refused_pause_moves_nothing() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 7 * DAY_MS);
    sheet.rules(MONDAY_MS, pause, false, None);
    assert_eq!(sheet.due(), "2025-06-16 16:30");
    let whistle = sheet.whistle();
    assert_eq!(whistle.requests[0].outcome(), "refused");
    assert_eq!(whistle.open_requests().count(), 0);
}

#[test]
fn a_date_set_by_hand_moves_by_as_long_as_the_clock_stood() {
    let mut sheet = Sheet::blown(None, MONDAY_MS + DAY_MS);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 3 * HOUR_MS);
    sheet.rules(MONDAY_MS, pause, true, None);
    assert_eq!(sheet.due_ms(), MONDAY_MS + DAY_MS + 3 * HOUR_MS);
    // A second pause that overlaps the first counts once.
    let pause = sheet.asks_to_pause(MONDAY_MS + HOUR_MS, MONDAY_MS + 5 * HOUR_MS);
    sheet.rules(MONDAY_MS + HOUR_MS, pause, true, None);
    assert_eq!(sheet.due_ms(), MONDAY_MS + DAY_MS + 5 * HOUR_MS);
}

#[test]
fn an_extension_asked_in_time_counts_however_late_it_is_granted() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let due_ms = sheet.due_ms();
    let asked = sheet
        .asks_for_more(due_ms, due_ms + DAY_MS)
        .expect("in time");
    assert_eq!(sheet.due_ms(), due_ms);
    // Granted two days too late, for less than was asked.
    sheet.rules(due_ms + 2 * DAY_MS, asked, true, Some(due_ms + HOUR_MS));
    assert_eq!(sheet.due_ms(), due_ms + HOUR_MS);
    // The latest of several dates counts, not the newest ruling.
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let long = sheet
        .asks_for_more(MONDAY_MS, due_ms + 5 * DAY_MS)
        .expect("in time");
    let short = sheet
        .asks_for_more(MONDAY_MS, due_ms + DAY_MS)
        .expect("in time");
    sheet.rules(MONDAY_MS + HOUR_MS, short, true, None);
    sheet.rules(MONDAY_MS + HOUR_MS, long, true, None);
    assert_eq!(sheet.due_ms(), due_ms + 5 * DAY_MS);
}

#[test]
fn an_extension_asked_too_late_is_refused_and_never_counts() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let due_ms = sheet.due_ms();
    let late = sheet.asks_for_more(due_ms + HOUR_MS, due_ms + DAY_MS);
    assert_eq!(late, Err(Reason::PastDue));
    let shorter = sheet.asks_for_more(MONDAY_MS, due_ms);
    assert_eq!(shorter, Err(Reason::NotLater));
}

#[test]
fn an_extension_and_a_later_pause_add_up() {
    let mut sheet = Sheet::blown(None, MONDAY_MS + DAY_MS);
    let until_ms = MONDAY_MS + 3 * DAY_MS;
    let more = sheet.asks_for_more(MONDAY_MS, until_ms).expect("in time");
    sheet.rules(MONDAY_MS + HOUR_MS, more, true, None);
    let pause = sheet.asks_to_pause(MONDAY_MS + 2 * HOUR_MS, MONDAY_MS + 7 * HOUR_MS);
    sheet.rules(MONDAY_MS + 3 * HOUR_MS, pause, true, None);
    assert_eq!(sheet.due_ms(), until_ms + 5 * HOUR_MS);
    // A pause that the ruling on an extension knew of is in its date already.
    let mut sheet = Sheet::blown(None, MONDAY_MS + DAY_MS);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 2 * HOUR_MS);
    sheet.rules(MONDAY_MS, pause, true, None);
    let more = sheet
        .asks_for_more(MONDAY_MS + 3 * HOUR_MS, until_ms)
        .expect("in time");
    sheet.rules(MONDAY_MS + 3 * HOUR_MS, more, true, None);
    assert_eq!(sheet.due_ms(), until_ms);
}

#[test]
fn another_limit_keeps_the_start_and_the_paused_time() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 2 * DAY_MS);
    sheet.rules(MONDAY_MS, pause, true, None);
    assert_eq!(sheet.due(), "2025-06-18 16:30");
    let restarted = sheet.recomputes(MONDAY_MS, "2d", MONDAY_MS);
    assert_eq!(restarted, Err(Reason::ClockRestarted));
    sheet
        .recomputes(MONDAY_MS, "2d", FRIDAY_MS)
        .expect("the same start");
    assert_eq!(sheet.due(), "2025-06-19 16:30");
    let why = sheet.whistle().recomputed.expect("recomputed").deed;
    assert_eq!(
        (why.person.0.as_str(), why.text.as_str()),
        (SECRETARY, "分类改为疑难问题")
    );
}

#[test]
fn a_running_limit_keeps_its_calendar() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + 2 * DAY_MS);
    sheet.rules(MONDAY_MS, pause, true, None);
    let before = sheet.due_ms();
    // Another edition comes into force: the clock asks for its own, which is
    // not here any more, and moves by plain time, marked as provisional.
    sheet.directory.calendar = Calendar::office();
    sheet.directory.past_calendars.clear();
    let due = deadline::due(&sheet.whistle(), Some(&sheet.directory)).expect("an order");
    assert!(due.provisional);
    assert_eq!(due.at_ms, before, "two whole days either way");
    let unpaused = Sheet::blown(Some("1d"), 0);
    let due = deadline::due(&unpaused.whistle(), None).expect("an order");
    assert_eq!(
        local_text(due.at_ms),
        "2025-06-16 16:30",
        "as it was issued"
    );
}

#[test]
fn terms_that_do_not_explain_the_date_do_not_move_it() {
    // What could go wrong: a due time that leaps when the first pause comes.
    let directory = pack::directory(pack::HUASHAN).expect("the sample street");
    let mut sheet = Sheet::blown(None, MONDAY_MS + DAY_MS);
    let body = Body::Recompute {
        due_ms: MONDAY_MS + 2 * DAY_MS,
        terms: Some(terms(&directory, "1d")),
        reason: "另行约定".to_owned(),
    };
    sheet.paper.act(&directory, SECRETARY, MONDAY_MS, body);
    assert_eq!(sheet.due_ms(), MONDAY_MS + 2 * DAY_MS);
    let pause = sheet.asks_to_pause(MONDAY_MS, MONDAY_MS + HOUR_MS);
    sheet.rules(MONDAY_MS, pause, true, None);
    assert_eq!(sheet.due_ms(), MONDAY_MS + 2 * DAY_MS + HOUR_MS);
}

#[test]
fn two_failed_verifications_do_not_escalate_while_the_clock_stands() {
    let mut sheet = Sheet::blown(Some("3d"), 0);
    let party = || URBAN_POST.to_owned();
    let arrive = Body::Arrive {
        party: party(),
        heads: 1,
        position: None,
        away: None,
    };
    sheet.paper.act(&sheet.directory, URBAN, MONDAY_MS, arrive);
    for _ in 0..2 {
        let feedback = Body::Feedback {
            party: party(),
            text: "已清理".to_owned(),
        };
        let failed = Body::Verify {
            party: party(),
            passed: false,
            text: "还在".to_owned(),
        };
        sheet
            .paper
            .act(&sheet.directory, URBAN, MONDAY_MS, feedback);
        sheet.paper.act(&sheet.directory, "S-03", MONDAY_MS, failed);
    }
    assert!(sheet.escalates_at(MONDAY_MS + 1));
    let review_ms = MONDAY_MS + HOUR_MS;
    let pause = sheet.asks_to_pause(MONDAY_MS, review_ms);
    sheet.rules(MONDAY_MS, pause, true, None);
    assert!(!sheet.escalates_at(MONDAY_MS + 1));
    assert!(sheet.escalates_at(review_ms));
}

#[test]
fn the_answer_to_a_superior_has_a_clock_of_its_own() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let reply_by_ms = MONDAY_MS + HOUR_MS;
    let body = Body::Supervise {
        party: "blower".to_owned(),
        text: "为何无人到场".to_owned(),
        reply_by_ms,
    };
    let demanded = sheet.paper.act(&sheet.directory, "S-03", MONDAY_MS, body);
    let policy = sheet.directory.policy.time;
    let judged =
        |sheet: &Sheet, now_ms| deadline::reply(&sheet.whistle().supervisions[0], &policy, now_ms);
    assert_eq!(judged(&sheet, reply_by_ms), None);
    assert_eq!(judged(&sheet, reply_by_ms + 1), Some(Judged::Missed));
    let body = Body::Reply {
        supervision: demanded,
        text: "已安排".to_owned(),
    };
    let mut late = sheet.paper.clone();
    sheet
        .paper
        .act(&sheet.directory, SECRETARY, reply_by_ms, body.clone());
    assert_eq!(judged(&sheet, reply_by_ms + DAY_MS), Some(Judged::Kept));
    late.act(&sheet.directory, SECRETARY, reply_by_ms + HOUR_MS, body);
    sheet.paper = late;
    assert_eq!(judged(&sheet, reply_by_ms + DAY_MS), Some(Judged::Missed));
}

#[test]
fn rework_has_a_short_limit_while_the_whole_clock_goes_on() {
    let mut sheet = Sheet::blown(Some("3d"), 0);
    let whole = sheet.due_ms();
    let party = || URBAN_POST.to_owned();
    let arrive = Body::Arrive {
        party: party(),
        heads: 2,
        position: None,
        away: None,
    };
    let feedback = || Body::Feedback {
        party: party(),
        text: "已清理".to_owned(),
    };
    let failed = Body::Verify {
        party: party(),
        passed: false,
        text: "还在".to_owned(),
    };
    sheet.paper.act(&sheet.directory, URBAN, MONDAY_MS, arrive);
    sheet
        .paper
        .act(&sheet.directory, URBAN, MONDAY_MS, feedback());
    let rework = |sheet: &Sheet| {
        let whistle = sheet.whistle();
        let due = deadline::rework_due(&whistle, &whistle.targets[URBAN_POST], &sheet.directory);
        due.map(|due| local_text(due.at_ms))
    };
    assert_eq!(rework(&sheet), None);
    sheet.paper.act(&sheet.directory, "S-03", MONDAY_MS, failed);
    // Four working hours from ten o'clock, lunch left out.
    assert_eq!(rework(&sheet).as_deref(), Some("2025-06-16 15:00"));
    assert_eq!(sheet.due_ms(), whole);
    sheet
        .paper
        .act(&sheet.directory, URBAN, MONDAY_MS + HOUR_MS, feedback());
    assert_eq!(rework(&sheet), None, "answered");
}

#[test]
fn who_did_not_come_by_report_in_is_a_no_show_until_their_proof_arrives() {
    let mut sheet = Sheet::blown(Some("1d"), 0);
    let mut whistle = sheet.whistle();
    let report_by_ms = MONDAY_MS;
    let policy = sheet.directory.policy.time;
    let no_show = |whistle: &mut WhistleState, now_ms| {
        if let Some(order) = &mut whistle.order {
            order.report_by_ms = Some(report_by_ms);
        }
        let target = &whistle.targets[URBAN_POST];
        deadline::no_show(whistle, target, &policy, now_ms)
    };
    assert!(!no_show(&mut whistle, report_by_ms));
    assert!(no_show(&mut whistle, report_by_ms + 1));
    let arrive = Body::Arrive {
        party: URBAN_POST.to_owned(),
        heads: 1,
        position: None,
        away: None,
    };
    let mut late = sheet.paper.clone();
    sheet
        .paper
        .act(&sheet.directory, URBAN, report_by_ms, arrive.clone());
    assert!(!no_show(&mut sheet.whistle(), report_by_ms + DAY_MS));
    late.act(&sheet.directory, URBAN, report_by_ms + HOUR_MS, arrive);
    sheet.paper = late;
    assert!(no_show(&mut sheet.whistle(), report_by_ms + DAY_MS));
}
