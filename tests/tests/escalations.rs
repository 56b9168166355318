//! Who goes up, when, and what late proof changes, on paper: the rules of
//! `domain::escalation`. The stories tell the same with phones and a server.
//!
//! What could go wrong: a whistle goes up although everybody was in time, or does
//! not although somebody was late; one person's proof speaks for another; what a
//! person has decided is decided again.

use shaodao_core::domain::action::{
    Body, EscalationCause, Level, Order, RecordKind, Target, Terms,
};
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::escalation::{AT_ONCE, Answer, Carried, Case, Due, To, is_double};
use shaodao_core::domain::history::History;
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::ladder::Rung;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::TimePolicy;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::pack;
use shaodao_tests::paper::Paper;
use shaodao_tests::world::deeds::{arrive, feedback, rule, summon, verify};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, order};

use EscalationCause::{Asked, DuePassed, NoArrival, ObjectionUpheld, TwoFailedVerifications};

const NORTH_GATE: &str = "530102001006";
const STREET: &str = "530102001";
const SECRETARY: &str = "P01006-00";
const DISPATCHER: &str = "S-01";
const SUPERVISOR: &str = "S-03";
const URBAN: (&str, &str) = ("P01006-06", "post:530102001006001/urban");
const CLEANER: (&str, &str) = ("P01006-08", "post:530102001006001/cleaner");
const POLICE: (&str, &str) = ("P01006-09", "post:530102001006001/police");
const EMERGENCY: (&str, &str) = ("L-D01", "org:D01");
const ALLIANCE: (&str, &str) = ("L-A01", "org:A01");
/// When feedback is due at a community's whistle, arrival at one of the street.
const BY_MS: i64 = MORNING_MS + 4 * HOUR_MS;

struct Sheet {
    paper: Paper,
    directory: Directory,
    carried: Vec<Carried>,
    late: Vec<Late>,
}

/// An action that was made out of signal.
struct Late {
    action: EnvelopeHash,
    received_at_ms: i64,
    /// The phone was switched off and on since: nobody can tell when it was made.
    restarted: bool,
}

impl Sheet {
    /// A whistle of a community.
    fn of_community(targets: &[(&str, &str)]) -> Self {
        let keys: Vec<_> = targets.iter().map(|(_, key)| *key).collect();
        Self::blown(SECRETARY, order(NORTH_GATE, Vec::new(), &keys, BY_MS))
    }

    /// A whistle of the street; one that summons nobody yet took over from a
    /// community.
    fn of_street(targets: &[(&str, &str)]) -> Self {
        let keys: Vec<_> = targets.iter().map(|(_, key)| *key).collect();
        let due_ms = BY_MS + 100 * HOUR_MS;
        let order = Order {
            report_by_ms: Some(BY_MS),
            parent: targets.is_empty().then_some(RecordId([7; 16])),
            ..order(STREET, Vec::new(), &keys, due_ms)
        };
        let by = match targets {
            [] => "server",
            _ => DISPATCHER,
        };
        Self::blown(by, order)
    }

    fn blown(by: &str, order: Order) -> Self {
        let mut sheet = Self {
            paper: Paper::new(RecordKind::Whistle),
            directory: pack::directory(pack::HUASHAN).expect("the sample street"),
            carried: Vec::new(),
            late: Vec::new(),
        };
        sheet.act(by, MORNING_MS, Body::Issue(order));
        sheet
    }

    fn act(&mut self, person: &str, at_ms: i64, body: Body) -> EnvelopeHash {
        self.paper.act(&self.directory, person, at_ms, body)
    }

    /// A target comes and feeds back; the feedback.
    fn answers(&mut self, (person, key): (&str, &str), at_ms: i64) -> EnvelopeHash {
        self.act(person, at_ms, arrive(key));
        self.act(person, at_ms, feedback(key))
    }

    /// The server performs what is due for this cause.
    fn goes_up(&mut self, cause: EscalationCause, at_ms: i64) {
        let round = self.round();
        let into = RecordId([6; 16]);
        self.act("server", at_ms, Body::Escalate { cause, into, round });
    }

    fn is_marked(&mut self, cause: EscalationCause, at_ms: i64) {
        let round = self.round();
        self.act("server", at_ms, Body::MarkDistrict { cause, round });
    }

    fn round(&self) -> u32 {
        let state = self.state();
        (state.escalations.len() + state.marks.len()) as u32 + 1
    }

    /// An action is heard of only then.
    fn delayed(&mut self, action: EnvelopeHash, received_at_ms: i64, restarted: bool) {
        self.late.push(Late {
            action,
            received_at_ms,
            restarted,
        });
    }

    fn state(&self) -> WhistleState {
        let mut entries = self.paper.entries().to_vec();
        for entry in &mut entries {
            let Some(late) = self.late.iter().rfind(|it| it.action == entry.hash) else {
                continue;
            };
            entry.received_at_ms = Some(late.received_at_ms);
            if let Some(anchor) = entry.claim.anchor.as_mut().filter(|_| late.restarted) {
                anchor.age_ms = None;
            }
        }
        let facts = self.paper.facts().clone();
        match RecordState::fold(RecordKind::Whistle, &History::arrange(entries), facts) {
            RecordState::Whistle(whistle) => *whistle,
            RecordState::Finding(_) => panic!("a whistle"),
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(&Case<'_>) -> T) -> T {
        ask(&Case {
            whistle: self.paper.record,
            state: &self.state(),
            carried: &self.carried,
            directory: &self.directory,
        })
    }

    /// What happens next, and the last moment until which it does not; held
    /// against what is due around it.
    fn next(&self) -> Option<(EscalationCause, i64)> {
        self.ask(|case| {
            let next = case.next()?;
            assert_eq!(case.due(next.at_ms), None, "not before");
            let due = case.due(next.at_ms + 1).expect("and not later");
            assert_eq!((due.cause, due.to), (next.cause, next.to));
            Some((next.cause, next.at_ms))
        })
    }

    /// What is due at last, if nobody does anything.
    fn at_last(&self) -> Option<Due> {
        self.ask(|case| case.due(i64::MAX))
    }

    /// What late proof means, with the street's whistle beside it.
    fn answer(&self, street: &Sheet) -> Answer {
        self.ask(|case| case.answer(&street.state()))
    }
}

fn text() -> String {
    "说明".to_owned()
}

#[test]
fn a_community_goes_up_once_its_time_has_passed_without_feedback_of_all() {
    let mut sheet = Sheet::of_community(&[URBAN, CLEANER]);
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
    let street = RecordId::of_escalation(sheet.paper.record, 2, 1);
    let due = Due {
        cause: DuePassed,
        round: 1,
        to: To::Street(street),
    };
    assert_eq!(sheet.at_last(), Some(due));
    sheet.answers(URBAN, MORNING_MS);
    sheet.act(CLEANER.0, MORNING_MS, arrive(CLEANER.1));
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)), "one is missing");
    let overdue = |sheet: &Sheet| -> Vec<String> {
        sheet.ask(|case| {
            let overdue = case.overdue().into_iter();
            overdue.map(|it| it.target.party.key()).collect()
        })
    };
    assert_eq!(overdue(&sheet), [CLEANER.1]);
    // The deadline itself is in time; a moment later is not.
    let mut late = sheet.paper.clone();
    sheet.act(CLEANER.0, BY_MS, feedback(CLEANER.1));
    assert_eq!((sheet.next(), sheet.at_last()), (None, None));
    assert_eq!(overdue(&sheet), [""; 0]);
    late.act(
        &sheet.directory,
        CLEANER.0,
        BY_MS + 20_000,
        feedback(CLEANER.1),
    );
    sheet.paper = late;
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
    assert_eq!(overdue(&sheet), [CLEANER.1]);
}

#[test]
fn nobody_waits_for_volunteers_or_for_who_was_excused() {
    let mut order = order(NORTH_GATE, Vec::new(), &[URBAN.1, CLEANER.1], BY_MS);
    order.targets[1] = Target {
        mandatory: false,
        ..order.targets[1].clone()
    };
    let mut sheet = Sheet::blown(SECRETARY, order);
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
    let mut excused = sheet.paper.clone();
    sheet.answers(URBAN, MORNING_MS);
    assert_eq!(sheet.next(), None);
    let party = URBAN.1.to_owned();
    let excuse = Body::Excuse {
        party,
        reason: text(),
    };
    excused.act(&sheet.directory, SECRETARY, MORNING_MS, excuse);
    sheet.paper = excused;
    assert_eq!(sheet.next(), None, "nobody missed anything");
}

#[test]
fn what_the_secretary_asks_for_is_done_at_once() {
    let mut sheet = Sheet::of_community(&[URBAN]);
    let ask = Body::AskEscalation { reason: text() };
    sheet.act(SECRETARY, MORNING_MS, ask);
    assert_eq!(sheet.next(), Some((Asked, AT_ONCE)));
    // Named before what has passed as well.
    assert_eq!(sheet.at_last().map(|due| due.cause), Some(Asked));
    sheet.goes_up(Asked, MORNING_MS);
    assert_eq!(sheet.next(), None, "once");
    // Proof is no answer to it: nobody had missed anything.
    sheet.answers(URBAN, MORNING_MS + 1);
    assert_eq!(sheet.answer(&Sheet::of_street(&[])), Answer::None);
}

#[test]
fn the_second_failed_verification_goes_up_and_the_first_does_not() {
    let mut sheet = Sheet::of_community(&[URBAN, CLEANER, POLICE]);
    let fails = |sheet: &mut Sheet, at_ms| {
        sheet.answers(URBAN, at_ms);
        sheet.act(SUPERVISOR, at_ms, verify(URBAN.1, false));
    };
    fails(&mut sheet, MORNING_MS + HOUR_MS);
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
    let second_ms = MORNING_MS + 2 * HOUR_MS;
    fails(&mut sheet, second_ms);
    assert_eq!(sheet.next(), Some((TwoFailedVerifications, second_ms - 1)));
    // What passed since changes nothing about when the second failed.
    sheet.answers(CLEANER, second_ms + 1);
    sheet.act(SUPERVISOR, second_ms + 2, verify(CLEANER.1, true));
    assert_eq!(sheet.next(), Some((TwoFailedVerifications, second_ms - 1)));
    // Stood down by a person: the same two do not count again, nor does a third.
    sheet.goes_up(TwoFailedVerifications, second_ms);
    let stand_down = Body::StandDown {
        text: text(),
        round: 1,
    };
    sheet.act(DISPATCHER, second_ms, stand_down);
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
    fails(&mut sheet, second_ms + 3);
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
    // The next one is another escalation.
    let second = RecordId::of_escalation(sheet.paper.record, 2, 2);
    let due = Due {
        cause: DuePassed,
        round: 2,
        to: To::Street(second),
    };
    assert_eq!(sheet.at_last(), Some(due));
}

#[test]
fn a_deadline_that_was_answered_for_does_not_pass_again() {
    let mut sheet = Sheet::of_community(&[URBAN]);
    let stand_down = |round| Body::StandDown {
        text: text(),
        round,
    };
    sheet.goes_up(DuePassed, BY_MS + 1);
    assert_eq!(sheet.next(), None, "one at a time");
    sheet.act(DISPATCHER, BY_MS + 2, stand_down(1));
    assert_eq!(sheet.next(), None, "a person has decided");
    // One that went up before the time answers nothing, not even at the last moment.
    let mut sheet = Sheet::of_community(&[URBAN]);
    sheet.goes_up(Asked, BY_MS);
    sheet.act(DISPATCHER, BY_MS, stand_down(1));
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
}

#[test]
fn nothing_goes_up_while_the_clock_stands_still() {
    let review_ms = BY_MS + HOUR_MS;
    let pause = |sheet: &mut Sheet, (person, key): (&str, &str), by, at_ms| {
        let ask = Body::AskSuspension {
            party: key.to_owned(),
            review_ms,
            reason: text(),
        };
        let asked = sheet.act(person, at_ms, ask);
        sheet.act(by, at_ms, rule(asked, true, None));
    };
    // To the end of a pause that the moment falls into, and not beyond.
    let mut sheet = Sheet::of_street(&[EMERGENCY]);
    pause(&mut sheet, EMERGENCY, DISPATCHER, MORNING_MS);
    assert_eq!(sheet.next(), Some((NoArrival, review_ms - 1)));
    // One that begins with the next moment counts, a later one does not.
    let mut sheet = Sheet::of_street(&[EMERGENCY]);
    pause(&mut sheet, EMERGENCY, DISPATCHER, BY_MS + 1);
    assert_eq!(sheet.next(), Some((NoArrival, review_ms - 1)));
    let mut sheet = Sheet::of_street(&[EMERGENCY]);
    pause(&mut sheet, EMERGENCY, DISPATCHER, BY_MS + 2);
    assert_eq!(sheet.next(), Some((NoArrival, BY_MS)));
}

#[test]
fn whoever_only_carries_doubles_follows_the_findings_that_stay() {
    let findings = [RecordId([8; 16]), RecordId([9; 16])];
    let order = order(NORTH_GATE, findings.to_vec(), &[URBAN.1], BY_MS);
    let mut sheet = Sheet::blown(SECRETARY, order);
    let carried = |double| Carried {
        double,
        category: "E0103".to_owned(),
    };
    let goes_up = Some((DuePassed, BY_MS));
    for (doubles, next) in [
        (vec![true, true], None),
        (vec![true, false], goes_up),
        (vec![false, false], goes_up),
        // One that has not arrived is nobody's double.
        (vec![true], goes_up),
        (vec![], goes_up),
    ] {
        sheet.carried = doubles.iter().map(|double| carried(*double)).collect();
        assert_eq!(sheet.next(), next, "{doubles:?}");
    }
}

#[test]
fn a_double_is_what_leads_to_one_that_stays() {
    let finding = |nth| RecordId([nth; 16]);
    // 1 → 2 → 3, which stays; 4 ↔ 5; 6 → 7, which is not here.
    let into = |record: RecordId| {
        Ok::<_, ()>(match record.0[0] {
            1 => Some(Some(finding(2))),
            2 => Some(Some(finding(3))),
            3 => Some(None),
            4 => Some(Some(finding(5))),
            5 => Some(Some(finding(4))),
            6 => Some(Some(finding(7))),
            _ => None,
        })
    };
    for (nth, wanted) in [
        (1, true),
        (2, true),
        (3, false),
        (4, false),
        (5, false),
        (6, false),
        (7, false),
    ] {
        assert_eq!(is_double(finding(nth), into), Ok(wanted), "{nth}");
    }
}

#[test]
fn an_objection_that_is_upheld_goes_to_the_district_and_nothing_else_that_is_granted() {
    let mut sheet = Sheet::of_street(&[EMERGENCY, ALLIANCE]);
    let object = Body::Object {
        party: EMERGENCY.1.to_owned(),
        reason: text(),
    };
    let more = Body::AskExtension {
        party: EMERGENCY.1.to_owned(),
        until_ms: BY_MS + 200 * HOUR_MS,
        reason: text(),
    };
    let no_arrival = Some((NoArrival, BY_MS));
    let more = sheet.act(EMERGENCY.0, MORNING_MS, more);
    sheet.act(DISPATCHER, MORNING_MS, rule(more, true, None));
    assert_eq!(sheet.next(), no_arrival);
    let objection = sheet.act(EMERGENCY.0, MORNING_MS, object);
    assert_eq!(sheet.next(), no_arrival, "asking is not enough");
    let mut refused = sheet.paper.clone();
    refused.act(
        &sheet.directory,
        DISPATCHER,
        MORNING_MS,
        rule(objection, false, None),
    );
    sheet.act(DISPATCHER, MORNING_MS, rule(objection, true, None));
    assert_eq!(sheet.next(), Some((ObjectionUpheld, AT_ONCE)));
    let due = sheet.at_last().expect("a mark");
    assert_eq!((due.round, due.to), (1, To::District));
    // A mark that was withdrawn does not come back for the same reason, but for
    // another.
    sheet.is_marked(ObjectionUpheld, MORNING_MS);
    assert_eq!(sheet.next(), None, "one at a time");
    assert!(
        !sheet.ask(|case| case.mark_unfounded()),
        "a person's to say"
    );
    let withdraw = |round| Body::WithdrawMark {
        text: text(),
        round,
    };
    sheet.act(DISPATCHER, MORNING_MS, withdraw(1));
    assert_eq!(sheet.next(), no_arrival);
    assert_eq!(sheet.at_last().map(|due| due.round), Some(2));
    sheet.is_marked(NoArrival, BY_MS + 1);
    sheet.act(DISPATCHER, BY_MS + 1, withdraw(2));
    assert_eq!(sheet.next(), None);
    sheet.paper = refused;
    assert_eq!(sheet.next(), no_arrival);
    // Marked for not coming first: what is upheld afterwards is another reason.
    let mut sheet = Sheet::of_street(&[EMERGENCY, ALLIANCE]);
    sheet.is_marked(NoArrival, BY_MS + 1);
    sheet.act(DISPATCHER, BY_MS + 1, withdraw(1));
    let object = Body::Object {
        party: EMERGENCY.1.to_owned(),
        reason: text(),
    };
    let objection = sheet.act(EMERGENCY.0, BY_MS + 2, object);
    sheet.act(DISPATCHER, BY_MS + 2, rule(objection, true, None));
    assert_eq!(sheet.next(), Some((ObjectionUpheld, AT_ONCE)));
}

#[test]
fn everybody_whom_the_street_summons_has_to_come() {
    let mut sheet = Sheet::of_street(&[EMERGENCY, ALLIANCE]);
    assert_eq!(sheet.ask(|case| case.expected_by_ms()), Some(BY_MS));
    let overdue = |sheet: &Sheet| sheet.ask(|case| case.overdue().len());
    assert_eq!(
        (sheet.next(), overdue(&sheet)),
        (Some((NoArrival, BY_MS)), 2)
    );
    sheet.act(EMERGENCY.0, BY_MS, arrive(EMERGENCY.1));
    assert_eq!(
        (sheet.next(), overdue(&sheet)),
        (Some((NoArrival, BY_MS)), 1)
    );
    let second = sheet.act(ALLIANCE.0, BY_MS, arrive(ALLIANCE.1));
    assert_eq!((sheet.next(), overdue(&sheet)), (None, 0));
    // The mark was made before the proof arrived: it has no ground any more.
    sheet.is_marked(NoArrival, BY_MS + 1);
    assert!(sheet.ask(|case| case.mark_unfounded()));
    // Nor where nobody can tell; where somebody certainly came too late it has.
    sheet.delayed(second, BY_MS + HOUR_MS, true);
    assert!(sheet.ask(|case| case.mark_unfounded()));
    let mut late = Sheet::of_street(&[EMERGENCY]);
    assert!(!late.ask(|case| case.mark_unfounded()), "there is none");
    late.is_marked(NoArrival, BY_MS + 1);
    late.act(EMERGENCY.0, BY_MS + HOUR_MS, arrive(EMERGENCY.1));
    assert!(!late.ask(|case| case.mark_unfounded()));
    // Nobody was even summoned.
    let mut nobody = Sheet::of_street(&[]);
    assert_eq!(nobody.next(), Some((NoArrival, BY_MS)));
    nobody.act(DISPATCHER, MORNING_MS, summon(EMERGENCY.1));
    nobody.act(EMERGENCY.0, MORNING_MS, arrive(EMERGENCY.1));
    assert_eq!(nobody.next(), None);
}

#[test]
fn late_proof_stands_down_or_asks_whoever_has_acted() {
    let street = Sheet::of_street(&[EMERGENCY]);
    let mut sheet = Sheet::of_community(&[URBAN, CLEANER]);
    sheet.answers(CLEANER, MORNING_MS);
    sheet.goes_up(DuePassed, BY_MS + 1);
    assert_eq!(sheet.answer(&street), Answer::None, "no proof");
    assert!(!sheet.ask(|case| case.is_unsure()));
    let proof = sheet.answers(URBAN, BY_MS - HOUR_MS);
    sheet.delayed(proof, BY_MS + HOUR_MS, false);
    assert_eq!(sheet.answer(&street), Answer::StandDown);
    // Whatever anybody of the street has done since, the dispatcher is asked.
    for deeds in 1..=3 {
        let mut acted = Sheet::of_street(&[EMERGENCY, ALLIANCE]);
        let party = EMERGENCY.1.to_owned();
        let deed = match deeds {
            1 => Body::Sign { party },
            2 => arrive(EMERGENCY.1),
            _ => {
                acted.act(EMERGENCY.0, BY_MS + 2, arrive(EMERGENCY.1));
                feedback(EMERGENCY.1)
            }
        };
        acted.act(EMERGENCY.0, BY_MS + 2, deed);
        assert_eq!(sheet.answer(&acted), Answer::Propose, "{deeds}");
    }
    let mut over = Sheet::of_street(&[EMERGENCY]);
    over.act(DISPATCHER, BY_MS + 2, Body::Cancel { reason: text() });
    assert_eq!(sheet.answer(&over), Answer::None);
    // The time of one of the two cannot be told: a person decides, and that
    // stands.
    sheet.delayed(proof, BY_MS + HOUR_MS, true);
    assert!(sheet.ask(|case| case.is_unsure()));
    assert_eq!(sheet.answer(&street), Answer::AskAPerson);
    let uphold = Body::Uphold {
        reason: text(),
        round: 1,
    };
    sheet.act(DISPATCHER, BY_MS + 2 * HOUR_MS, uphold);
    assert_eq!(sheet.answer(&street), Answer::None);
    // Proof that came too late is none.
    let mut sheet = Sheet::of_community(&[URBAN]);
    sheet.goes_up(DuePassed, BY_MS + 1);
    sheet.answers(URBAN, BY_MS + HOUR_MS);
    assert_eq!(sheet.answer(&street), Answer::None);
    assert!(!sheet.ask(|case| case.is_unsure()));
    // A second feedback that nobody can date takes nothing from a first that was
    // in time, and a late one takes nothing from one that may have been.
    let mut sheet = Sheet::of_community(&[URBAN]);
    let first = sheet.answers(URBAN, MORNING_MS);
    let second = sheet.act(URBAN.0, MORNING_MS + 1, feedback(URBAN.1));
    sheet.delayed(second, BY_MS + HOUR_MS, true);
    assert!(!sheet.ask(|case| case.is_unsure()));
    assert_eq!(sheet.next(), None);
    sheet.delayed(first, BY_MS + HOUR_MS, true);
    sheet.act(URBAN.0, BY_MS + HOUR_MS, feedback(URBAN.1));
    assert!(sheet.ask(|case| case.is_unsure()));
}

#[test]
fn an_extension_granted_late_undoes_an_escalation_and_a_date_set_anew_does_not() {
    let street = Sheet::of_street(&[EMERGENCY]);
    let up_ms = BY_MS + 1;
    let extended = |until_ms| {
        let mut sheet = Sheet::of_community(&[URBAN]);
        let more = Body::AskExtension {
            party: URBAN.1.to_owned(),
            until_ms,
            reason: text(),
        };
        let asked = sheet.act(URBAN.0, MORNING_MS, more);
        sheet.goes_up(DuePassed, up_ms);
        sheet.act(SECRETARY, up_ms + 1, rule(asked, true, None));
        sheet
    };
    // It had gone up within the time that holds now: at its last moment, too.
    assert_eq!(extended(up_ms).answer(&street), Answer::StandDown);
    let until_ms = BY_MS + 9 * HOUR_MS;
    assert_eq!(extended(until_ms).answer(&street), Answer::StandDown);
    let recompute = |terms: Option<Terms>| Body::Recompute {
        due_ms: until_ms,
        terms,
        reason: text(),
    };
    // Before it went up a new date is a date like any other; from then on it is
    // for a person to say what it means.
    for (at_ms, wanted) in [
        (BY_MS, Answer::StandDown),
        (up_ms, Answer::AskAPerson),
        (up_ms + 1, Answer::AskAPerson),
    ] {
        let mut sheet = Sheet::of_community(&[URBAN]);
        if at_ms < up_ms {
            sheet.act(SECRETARY, at_ms, recompute(None));
            sheet.goes_up(DuePassed, up_ms);
        } else {
            sheet.goes_up(DuePassed, up_ms);
            sheet.act(SECRETARY, at_ms, recompute(None));
        }
        assert_eq!(sheet.answer(&street), wanted, "{at_ms}");
    }
}

#[test]
fn the_ladder_holds_a_passed_time_and_names_what_counts() {
    let hold_ms = HOUR_MS / 2;
    let held = |from| Rung {
        hold_ms,
        ..Rung::usual(from)
    };
    let mut sheet = Sheet::of_community(&[URBAN]);
    sheet.directory.ladder.rungs = vec![held(Level::Community)];
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS + hold_ms)));
    assert_eq!(
        sheet.ask(|case| case.expected_by_ms()),
        Some(BY_MS + hold_ms)
    );
    let mut street = Sheet::of_street(&[EMERGENCY]);
    street.directory.ladder.rungs = vec![held(Level::Street)];
    assert_eq!(street.next(), Some((NoArrival, BY_MS + hold_ms)));
    // A level without a rung goes nowhere; nor does one by a cause that its rung
    // does not name.
    street.directory.ladder.rungs = vec![held(Level::Community)];
    assert_eq!((street.next(), street.at_last()), (None, None));
    sheet.directory.ladder.rungs = vec![Rung {
        causes: vec![Asked],
        ..Rung::usual(Level::Community)
    }];
    assert_eq!(sheet.next(), None);
    // What is over does not go up.
    let mut over = Sheet::of_community(&[URBAN]);
    over.act(SECRETARY, MORNING_MS, Body::Cancel { reason: text() });
    assert_eq!(over.next(), None);
}

#[test]
fn clocks_are_believed_as_far_as_the_policy_says() {
    // What could go wrong: an operator trusts phones less, and the ladder goes on
    // as it was.
    let mut sheet = Sheet::of_community(&[URBAN]);
    let proof = sheet.answers(URBAN, BY_MS - HOUR_MS);
    sheet.delayed(proof, BY_MS + HOUR_MS, false);
    assert_eq!(sheet.next(), None);
    sheet.directory.policy.time = TimePolicy {
        max_anchor_age_ms: 0,
        max_drift_ms: 0,
    };
    assert_eq!(sheet.next(), Some((DuePassed, BY_MS)));
    assert!(sheet.ask(|case| case.is_unsure()));
}
