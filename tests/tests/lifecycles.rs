//! Both lifecycles, driven by random people who know much, little or nothing of
//! what the others did.
//!
//! What could go wrong: a record from which nobody finds a way out, a button
//! that is refused or one that is missing, a refusal that does not say why, a
//! state that depends on the order of arrival.

use proptest::prelude::*;

use shaodao_core::domain::action::{
    BLOWER, Body, EscalationCause, Facts, Level, Order, Party, RecordKind, Target, Value, fact,
};
use shaodao_core::domain::available::{Available, Viewer, available_actions};
use shaodao_core::domain::directory::{DeviceState, Directory};
use shaodao_core::domain::history::{Entry, History};
use shaodao_core::domain::ids::{EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::record::{RecordState, Refused, capture};
use shaodao_core::domain::whistle::{TargetStage, WhistleState};
use shaodao_core::pack;
use shaodao_tests::paper::{Paper, claim};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, finding_facts};

const COMMUNITY: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const DUE_MS: i64 = MORNING_MS + 10 * HOUR_MS;
const PEOPLE: [&str; 10] = [
    SECRETARY,
    "P01006-01",
    "P01006-05",
    "P01006-06",
    "P01001-00",
    "S-01",
    "S-03",
    "L-D01",
    "L-A01",
    "server",
];
const PARTIES: [&str; 4] = [
    "post:530102001006001/urban",
    "org:D01",
    "org:A01",
    "person:P01006-01",
];

/// One attempt: by whom, at what, about whom, and how much of the newest they
/// have not heard of.
#[derive(Debug, Clone, Copy)]
struct Step {
    who: usize,
    what: usize,
    party: usize,
    yes: bool,
    unheard: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..PEOPLE.len(),
        0..26usize,
        0..PARTIES.len(),
        any::<bool>(),
        prop_oneof![4 => Just(0usize), 1 => 1..6usize],
    );
    let step = step.prop_map(|(who, what, party, yes, unheard)| Step {
        who,
        what,
        party,
        yes,
        unheard,
    });
    proptest::collection::vec(step, 1..60)
}

fn text() -> String {
    "说明".to_owned()
}

fn target(key: &str, mandatory: bool) -> Target {
    Target {
        party: Party::parse(key).expect("a party"),
        lead: false,
        mandatory,
    }
}

fn first(directory: &Directory, kind: RecordKind) -> Paper {
    let mut paper = Paper::new(kind);
    let (facts, body) = match kind {
        RecordKind::Finding => (finding_facts(GRID, "E0102", "暴露垃圾"), Body::Report),
        RecordKind::Whistle => {
            let order = Order {
                level: Level::Community,
                platform: 5,
                area: COMMUNITY.to_owned(),
                findings: vec![RecordId([8; 16])],
                targets: vec![
                    target(PARTIES[0], true),
                    target(PARTIES[1], true),
                    target(PARTIES[2], false),
                ],
                sign_by_ms: None,
                report_by_ms: None,
                due_ms: DUE_MS,
                terms: None,
                parent: None,
            };
            (Facts::new(), Body::Issue(order))
        }
    };
    let begun = paper.try_act(directory, SECRETARY, MORNING_MS, facts, body);
    begun.expect("begins");
    paper
}

/// What a step says; requests and demands are picked from the state.
fn body(step: Step, state: &RecordState) -> (Facts, Body) {
    let party = || PARTIES[step.party].to_owned();
    let side = || match step.what % 2 {
        0 => BLOWER.to_owned(),
        _ => party(),
    };
    let passed = step.yes;
    let reason = text;
    let correction = || -> Facts { [(fact::TITLE.to_owned(), Value::Text(text()))].into() };
    let body = match state {
        RecordState::Finding(_) => match step.what {
            0 | 1 => Body::Accept,
            2 => Body::Decline { reason: reason() },
            3..=5 => Body::SelfResolve { text: text() },
            6..=8 => Body::Review {
                passed,
                text: text(),
            },
            9 => Body::Withdraw { reason: reason() },
            10 | 11 => Body::Merge {
                into: RecordId([9; 16]),
            },
            12..=14 => Body::Reopen { reason: reason() },
            15 => Body::Urge { text: text() },
            16 => Body::Note { text: text() },
            17 => {
                let number = Value::Text("E0102-20250611-0001".to_owned());
                return ([(fact::NUMBER.to_owned(), number)].into(), Body::Number);
            }
            18 => {
                return (finding_facts(GRID, "E0102", "又一次"), Body::Report);
            }
            _ => return (correction(), Body::Correct),
        },
        RecordState::Whistle(whistle) => match step.what {
            0 => Body::Sign { party: party() },
            1..=3 => Body::Arrive {
                party: party(),
                heads: 2,
                position: None,
                away: None,
            },
            4..=6 => Body::Feedback {
                party: party(),
                text: text(),
            },
            7 | 8 => Body::Verify {
                party: party(),
                passed,
                text: text(),
            },
            9 => Body::DeclineSummons {
                party: party(),
                reason: reason(),
            },
            10 => Body::Object {
                party: party(),
                reason: reason(),
            },
            11 => Body::AskExtension {
                party: party(),
                until_ms: DUE_MS + (step.unheard as i64 + 1) * HOUR_MS,
                reason: reason(),
            },
            12 => Body::AskSuspension {
                party: party(),
                review_ms: DUE_MS,
                reason: reason(),
            },
            13 | 14 => Body::Rule {
                request: pick(step, whistle.requests.iter().map(|it| it.asked.hash)),
                granted: passed,
                until_ms: None,
                text: text(),
            },
            15 => Body::Resume { reason: reason() },
            16 => Body::Supervise {
                party: side(),
                text: text(),
                reply_by_ms: DUE_MS,
            },
            17 => Body::Reply {
                supervision: pick(step, whistle.supervisions.iter().map(|it| it.deed.hash)),
                text: text(),
            },
            18 => match passed {
                true => Body::Release { party: party() },
                false => Body::Excuse {
                    party: party(),
                    reason: reason(),
                },
            },
            19 | 20 => Body::Conclude { text: text() },
            21 => Body::Evaluate {
                party: match passed {
                    true => BLOWER.to_owned(),
                    false => party(),
                },
                score: 4,
                text: text(),
            },
            22 => match passed {
                true => Body::AskEscalation { reason: reason() },
                false => Body::Urge { text: text() },
            },
            23 => Body::Escalate {
                cause: EscalationCause::DuePassed,
                into: RecordId([6; 16]),
                round: 1 + u32::try_from(whistle.escalations.len()).unwrap_or(0),
            },
            24 => match passed {
                true => Body::StandDown {
                    text: text(),
                    round: u32::try_from(whistle.escalations.len()).unwrap_or(0),
                },
                false => Body::Recompute {
                    due_ms: DUE_MS,
                    terms: None,
                    reason: reason(),
                },
            },
            _ => match (step.unheard, passed) {
                (0, true) => Body::Summon {
                    targets: vec![target(PARTIES[step.party], true)],
                },
                (0, false) => return (correction(), Body::Correct),
                (1, false) => Body::Cancel { reason: reason() },
                _ => Body::Note { text: text() },
            },
        },
    };
    (Facts::new(), body)
}

fn pick(step: Step, from: impl Iterator<Item = EnvelopeHash>) -> EnvelopeHash {
    let all: Vec<_> = from.collect();
    match all.is_empty() {
        true => EnvelopeHash([3; 32]),
        false => all[step.party % all.len()],
    }
}

/// Lets the people of the steps act, as far as they may; every refusal has to
/// explain itself.
fn lived(directory: &Directory, kind: RecordKind, steps: &[Step]) -> Paper {
    let mut paper = first(directory, kind);
    for (nth, step) in steps.iter().enumerate() {
        let known = paper.entries().len().saturating_sub(step.unheard).max(1);
        let seen = History::arrange(paper.entries()[..known].to_vec()).newest();
        let history = paper.history().as_of(&seen);
        let state = RecordState::fold(kind, &history, paper.facts().clone());
        let (facts, body) = body(*step, &state);
        let word = body.word().to_owned();
        let at_ms = MORNING_MS + (nth as i64 + 1) * 60_000;
        let tried = paper.try_act_seeing(directory, PEOPLE[step.who], at_ms, facts, body, &seen);
        if let Err(refused) = tried {
            explained(&refused, &word, state.stage_word());
        }
    }
    paper
}

fn explained(refused: &Refused, word: &str, stage: &str) {
    assert_eq!((refused.action.as_str(), refused.state), (word, stage));
    assert!(refused.reason.zh().ends_with('。') && refused.reason.en().ends_with('.'));
    let said = refused.to_string();
    assert!(said.contains(word) && said.contains(stage), "{said}");
}

fn at(paper: &Paper) -> i64 {
    MORNING_MS + (paper.entries().len() as i64 + 100) * 60_000
}

fn buttons(directory: &Directory, paper: &Paper, person: &str) -> Vec<Available> {
    let viewer = Viewer {
        directory,
        person: &PersonId::from(person),
        device: DeviceState::Active,
        claim: claim(at(paper)),
    };
    available_actions(&viewer, paper.record, &paper.state(), &paper.history())
}

fn anybody_can(directory: &Directory, paper: &Paper, word: &str) -> bool {
    let mut people = PEOPLE.iter();
    people.any(|person| {
        let mut buttons = buttons(directory, paper, person).into_iter();
        buttons.any(|button| button.word == word)
    })
}

/// Reasons that lie in what an action says, not in whether it may be said.
fn is_about_content(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotLater | Reason::AwayFromPlace | Reason::OutOfRange
    )
}

fn finding_has_a_way_out(directory: &Directory, paper: &Paper) {
    let RecordState::Finding(finding) = paper.state() else {
        panic!("a finding");
    };
    let can = |word| anybody_can(directory, paper, word);
    match finding.stage.is_over() {
        true => assert!(can("reopen"), "{:?}", finding.stage),
        // Accepted findings go on by whistles, or are fixed on the spot.
        false => assert!(
            can("accept") || can("review") || (can("self_resolve") && can("merge")),
            "{:?}",
            finding.stage
        ),
    }
}

fn whistle_has_a_way_out(directory: &Directory, paper: &Paper) {
    let whistle = whistle(paper);
    for request in whistle.open_requests() {
        let answers = Some(request.asked.hash);
        let buttons = buttons(directory, paper, SECRETARY);
        let mut rulings = buttons.iter().filter(|it| it.word == "rule");
        assert!(
            whistle.stage().is_over() || rulings.any(|it| it.answers == answers),
            "nobody rules on {request:?}"
        );
    }
    for supervision in whistle.open_supervisions() {
        let answers = Some(supervision.deed.hash);
        let mut people = PEOPLE.iter();
        let owed = |it: &Available| it.word == "reply" && it.answers == answers;
        assert!(
            people.any(|person| buttons(directory, paper, person).iter().any(owed)),
            "nobody answers {supervision:?}"
        );
    }
    if whistle.stage().is_over() {
        return;
    }
    assert!(anybody_can(directory, paper, "cancel"));
    // Every target finds its way: what it has to do next, somebody can do.
    for (key, target) in &whistle.targets {
        let next = match target.stage() {
            TargetStage::Notified | TargetStage::Signed | TargetStage::Declined => "arrive",
            TargetStage::Arrived | TargetStage::Rework => "feedback",
            TargetStage::FedBack => "verify",
            TargetStage::Verified => "release",
            TargetStage::Released | TargetStage::Excused => continue,
        };
        let mut people = PEOPLE.iter();
        let moves = |it: &Available| it.word == next && it.party.as_ref() == Some(key);
        assert!(
            people.any(|person| buttons(directory, paper, person).iter().any(moves)),
            "{key} is {:?} and nobody can {next}",
            target.stage()
        );
    }
    // And if all else fails the blower excuses everybody and concludes.
    let mut paper = paper.clone();
    let at_ms = at(&paper);
    let waiting: Vec<String> = whistle
        .targets
        .iter()
        .filter(|(_, target)| target.target.mandatory && target.stage() < TargetStage::Verified)
        .map(|(key, _)| key.clone())
        .collect();
    for party in waiting {
        let reason = text();
        paper.act(directory, SECRETARY, at_ms, Body::Excuse { party, reason });
    }
    paper.act(directory, SECRETARY, at_ms, Body::Conclude { text: text() });
    assert!(self::whistle(&paper).stage().is_over());
}

fn whistle(paper: &Paper) -> WhistleState {
    match paper.state() {
        RecordState::Whistle(whistle) => *whistle,
        RecordState::Finding(_) => panic!("a whistle"),
    }
}

fn buttons_are_exact(directory: &Directory, paper: &Paper, tries: &[Step]) {
    let (state, history) = (paper.state(), paper.history());
    // The server has no screen.
    for step in tries.iter().filter(|step| PEOPLE[step.who] != "server") {
        let person = PEOPLE[step.who];
        let (facts, body) = body(*step, &state);
        let shown = buttons(directory, paper, person).contains(&Available::of(&body));
        let action = paper.action(person, facts, body);
        let device = DeviceState::Active;
        let claim = claim(at(paper));
        let answer = capture(directory, device, &action, claim, &state, &history);
        match answer {
            Ok(()) => assert!(shown, "{person} could {action:?}, and no button says so"),
            Err(refused) if is_about_content(refused.reason) => {}
            Err(refused) => assert!(!shown, "{person} was shown {action:?}: {refused}"),
        }
    }
}

fn order_does_not_matter(paper: &Paper, shift: usize) {
    let mut entries: Vec<Entry> = paper.entries().to_vec();
    let middle = shift % entries.len();
    entries.rotate_left(middle);
    entries[middle / 2..].reverse();
    let other = RecordState::fold(
        paper.kind,
        &History::arrange(entries),
        paper.facts().clone(),
    );
    assert_eq!(paper.state(), other);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn findings_have_ways_out_and_exact_buttons(lives in steps(), tries in steps(), shift in 0..64usize) {
        let directory = directory();
        let paper = lived(directory, RecordKind::Finding, &lives);
        finding_has_a_way_out(directory, &paper);
        buttons_are_exact(directory, &paper, &tries);
        order_does_not_matter(&paper, shift);
    }

    #[test]
    fn whistles_have_ways_out_and_exact_buttons(lives in steps(), tries in steps(), shift in 0..64usize) {
        let directory = directory();
        let paper = lived(directory, RecordKind::Whistle, &lives);
        whistle_has_a_way_out(directory, &paper);
        buttons_are_exact(directory, &paper, &tries);
        order_does_not_matter(&paper, shift);
    }
}

fn directory() -> &'static Directory {
    static DIRECTORY: std::sync::OnceLock<Directory> = std::sync::OnceLock::new();
    DIRECTORY.get_or_init(|| pack::directory(pack::HUASHAN).expect("the sample street"))
}
