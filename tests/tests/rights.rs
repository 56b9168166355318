//! Every cell of who may do what, against tables that were written from the
//! handbook and not from the code: role and area × action × record state ×
//! device state.
//!
//! What could go wrong: a right that nobody meant to give, or a step that
//! nobody can take.

use std::collections::BTreeMap;

use shaodao_core::domain::action::{
    BLOWER, Body, EscalationCause, Facts, Level, Order, Party, RecordKind, Target, Value, fact,
};
use shaodao_core::domain::available::{Viewer, available_actions};
use shaodao_core::domain::directory::{DeviceState, Directory, Grant, Role};
use shaodao_core::domain::evidence::{Media, Piece, Shows};
use shaodao_core::domain::ids::{EnvelopeHash, EvidenceId, PrivateId, RecordId, SealedId};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::record::capture;
use shaodao_core::pack;
use shaodao_tests::paper::{Paper, claim};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, finding_facts};

const RIGHTS: &str = include_str!("../fixtures/rights.csv");
const STATES: &str = include_str!("../fixtures/states.csv");
const DEVICES: &str = include_str!("../fixtures/devices.csv");

const COMMUNITY: &str = "530102001006";
const GRID: &str = "530102001006001";
const URBAN_POST: &str = "post:530102001006001/urban";
const DEPARTMENT: &str = "org:D01";
const UNIT: &str = "org:A01";
const DUE_MS: i64 = MORNING_MS + 100 * HOUR_MS;

/// The columns of the table of rights, as people of the sample street.
const PEOPLE: [(&str, &str); 15] = [
    ("member", "P01006-01"),
    ("member_elsewhere", "P01001-01"),
    ("reporter", "P01006-07"),
    ("target", "P01006-06"),
    ("secretary", "P01006-00"),
    ("secretary_elsewhere", "P01001-00"),
    ("inspector", "P01006-05"),
    ("inspector_elsewhere", "P01001-05"),
    ("street_supervisor", "S-03"),
    ("dispatcher", "S-01"),
    ("liaison", "L-D01"),
    ("liaison_elsewhere", "L-D02"),
    ("volunteer", "L-A01"),
    ("administrator", "S-09"),
    ("server", "server"),
];

/// A table: its rows after the comments, cells by comma.
fn table(text: &'static str) -> Vec<Vec<&'static str>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split(',').map(str::trim).collect())
        .collect()
}

/// What the tables say of (action, state): the cell.
fn states(kind: &str) -> BTreeMap<(&'static str, &'static str), &'static str> {
    let mut cells = BTreeMap::new();
    let mut heads: Vec<&str> = Vec::new();
    let mut within = false;
    for row in table(STATES) {
        match row[0] {
            "finding" | "whistle" => {
                within = row[0] == kind;
                heads = row;
            }
            action if within => {
                assert_eq!(row.len(), heads.len(), "{action}");
                for (state, cell) in heads.iter().zip(&row).skip(1) {
                    cells.insert((action, *state), *cell);
                }
            }
            _ => {}
        }
    }
    cells
}

fn text() -> String {
    "说明".to_owned()
}

/// A photo; what the reporter, or the department, has attached is the first.
fn photo(nth: u8) -> Piece {
    Piece {
        id: EvidenceId([nth; 32]),
        sealed: SealedId([nth; 32]),
        size: 1_000,
        media: Media::Jpeg,
        shows: Shows::Scene,
        taken_at_ms: MORNING_MS,
        position: None,
    }
}

fn attach(nth: u8) -> Body {
    Body::Attach {
        pieces: vec![photo(nth)],
    }
}

/// What the reporter has confided.
const CONFIDED: PrivateId = PrivateId([1; 32]);

fn finding_in(directory: &Directory, state: &str) -> Paper {
    let mut paper = Paper::new(RecordKind::Finding);
    let facts = finding_facts(GRID, "E0102", "暴露垃圾");
    let report = paper.try_act(directory, "P01006-07", MORNING_MS, facts, Body::Report);
    report.expect("reported");
    let confide = Body::Confide {
        item: CONFIDED,
        kind: PrivateKind::Phone,
    };
    let confided = paper.try_act(directory, "P01006-07", MORNING_MS, Facts::new(), confide);
    confided.expect("confided");
    let attached = paper.try_act(directory, "P01006-07", MORNING_MS, Facts::new(), attach(1));
    attached.expect("attached");
    let (urban, secretary) = ("P01006-10", "P01006-00");
    let fixed = || Body::SelfResolve { text: text() };
    let steps: Vec<(&str, Body)> = match state {
        "reported" => vec![],
        "self_resolved" => vec![(urban, fixed())],
        "accepted" => vec![(secretary, Body::Accept)],
        "closed" => vec![
            (urban, fixed()),
            (
                secretary,
                Body::Review {
                    passed: true,
                    text: text(),
                },
            ),
        ],
        "declined" => vec![(secretary, Body::Decline { reason: text() })],
        "merged" => vec![(
            secretary,
            Body::Merge {
                into: RecordId([9; 16]),
            },
        )],
        "withdrawn" => vec![("P01006-07", Body::Withdraw { reason: text() })],
        other => panic!("no state {other}"),
    };
    walk(paper, directory, state, steps)
}

fn order(parent: Option<RecordId>) -> Order {
    let target = |key: &str, mandatory| Target {
        party: Party::parse(key).expect("a party"),
        lead: key == URBAN_POST,
        mandatory,
    };
    Order {
        level: Level::Community,
        platform: 5,
        area: COMMUNITY.to_owned(),
        findings: vec![RecordId([8; 16])],
        targets: vec![
            target(URBAN_POST, true),
            target(DEPARTMENT, true),
            target(UNIT, false),
        ],
        sign_by_ms: None,
        report_by_ms: None,
        due_ms: DUE_MS,
        terms: None,
        parent,
    }
}

/// A whistle in a state, with a request to rule on, a pause to end, and two
/// answers that are owed: by the blower and by the department.
fn whistle_in(directory: &Directory, state: &str) -> (Paper, Owed) {
    let mut paper = Paper::new(RecordKind::Whistle);
    let (blower, parent) = match state {
        "stood_down" => ("server", Some(RecordId([7; 16]))),
        _ => ("P01006-00", None),
    };
    let mut at_ms = MORNING_MS;
    let mut act = |person: &str, body| {
        at_ms += 1_000;
        paper.act(directory, person, at_ms, body)
    };
    act(blower, Body::Issue(order(parent)));
    act("L-D01", attach(1));
    let request = act(
        "L-D01",
        Body::AskExtension {
            party: DEPARTMENT.to_owned(),
            until_ms: DUE_MS + HOUR_MS,
            reason: text(),
        },
    );
    let pause = act(
        "L-D01",
        Body::AskSuspension {
            party: DEPARTMENT.to_owned(),
            review_ms: DUE_MS,
            reason: text(),
        },
    );
    act(
        "P01006-00",
        Body::Rule {
            request: pause,
            granted: true,
            until_ms: None,
            text: String::new(),
        },
    );
    let supervise = |party: &str| Body::Supervise {
        party: party.to_owned(),
        text: text(),
        reply_by_ms: DUE_MS,
    };
    let by_blower = act("S-03", supervise(BLOWER));
    let by_target = act("S-03", supervise(DEPARTMENT));
    let parties = [
        ("P01006-06", URBAN_POST),
        ("L-D01", DEPARTMENT),
        ("L-A01", UNIT),
    ];
    let each = |body: &dyn Fn(String) -> Body| -> Vec<(&str, Body)> {
        parties
            .iter()
            .map(|(person, party)| (*person, body((*party).to_owned())))
            .collect()
    };
    let mut steps = Vec::new();
    if matches!(
        state,
        "in_progress" | "fed_back" | "verified" | "concluded" | "evaluated"
    ) {
        steps.extend(each(&|party| Body::Arrive {
            party,
            heads: 1,
            position: None,
            away: None,
        }));
    }
    if matches!(state, "fed_back" | "verified" | "concluded" | "evaluated") {
        steps.extend(each(&|party| Body::Feedback {
            party,
            text: text(),
        }));
    }
    if matches!(state, "verified" | "concluded" | "evaluated") {
        steps.extend(
            each(&|party| Body::Verify {
                party,
                passed: true,
                text: text(),
            })
            .into_iter()
            .map(|(_, body)| ("P01006-12", body)),
        );
    }
    if matches!(state, "concluded" | "evaluated") {
        steps.push(("P01006-00", Body::Conclude { text: text() }));
    }
    match state {
        "evaluated" => steps.push((
            "P01006-00",
            Body::Evaluate {
                party: UNIT.to_owned(),
                score: 5,
                text: text(),
            },
        )),
        "escalated" => steps.push((
            "server",
            Body::Escalate {
                cause: EscalationCause::Asked,
                into: RecordId([6; 16]),
                round: 1,
            },
        )),
        "cancelled" => steps.push(("P01006-00", Body::Cancel { reason: text() })),
        "stood_down" => steps.push((
            "server",
            Body::StandDown {
                text: text(),
                round: 1,
            },
        )),
        _ => {}
    }
    let owed = Owed {
        request,
        by_blower,
        by_target,
    };
    (walk(paper, directory, state, steps), owed)
}

/// What somebody owes an answer to.
#[derive(Clone, Copy)]
struct Owed {
    request: EnvelopeHash,
    by_blower: EnvelopeHash,
    by_target: EnvelopeHash,
}

fn walk(mut paper: Paper, directory: &Directory, state: &str, steps: Vec<(&str, Body)>) -> Paper {
    for (nth, (person, body)) in steps.into_iter().enumerate() {
        let at_ms = MORNING_MS + 60_000 + nth as i64 * 1_000;
        paper.act(directory, person, at_ms, body);
    }
    assert_eq!(paper.state().stage_word(), state);
    paper
}

/// The action of a row, as this person would take it: targets speak for
/// themselves, everybody else says it of the urban post.
fn action(label: &str, person: &str, owed: Option<Owed>) -> (Facts, Body) {
    let party = || {
        match person {
            "L-D01" => DEPARTMENT,
            "L-A01" => UNIT,
            _ => URBAN_POST,
        }
        .to_owned()
    };
    let urban = || URBAN_POST.to_owned();
    let reason = text;
    let hash = |of: fn(Owed) -> EnvelopeHash| owed.map_or(EnvelopeHash([0; 32]), of);
    let reply = |supervision| Body::Reply {
        supervision,
        text: text(),
    };
    let evaluate = |party| Body::Evaluate {
        party,
        score: 4,
        text: text(),
    };
    let fact = |name: &str| -> Facts { [(name.to_owned(), Value::Text(text()))].into() };
    let body = match label {
        "report" => return (finding_facts(GRID, "E0102", "暴露垃圾"), Body::Report),
        "correct" => return (fact(fact::TITLE), Body::Correct),
        "number" => return (fact(fact::NUMBER), Body::Number),
        "note" => Body::Note { text: text() },
        "confide" => Body::Confide {
            item: PrivateId([2; 32]),
            kind: PrivateKind::Phone,
        },
        "erase" => Body::Erase {
            item: CONFIDED,
            reason: reason(),
        },
        "attach" => attach(2),
        "erase_evidence" => Body::EraseEvidence {
            piece: photo(1).id,
            reason: reason(),
        },
        "withdraw" => Body::Withdraw { reason: reason() },
        "urge" => Body::Urge { text: text() },
        "self_resolve" => Body::SelfResolve { text: text() },
        "review" => Body::Review {
            passed: true,
            text: text(),
        },
        "accept" => Body::Accept,
        "decline" => Body::Decline { reason: reason() },
        "merge" => Body::Merge {
            into: RecordId([9; 16]),
        },
        "reopen" => Body::Reopen { reason: reason() },
        "issue" => Body::Issue(order(None)),
        "issue_escalated" => Body::Issue(order(Some(RecordId([7; 16])))),
        "summon" => Body::Summon {
            targets: order(None).targets,
        },
        "rule" => Body::Rule {
            request: hash(|owed| owed.request),
            granted: true,
            until_ms: None,
            text: text(),
        },
        "resume" => Body::Resume { reason: reason() },
        "recompute" => Body::Recompute {
            due_ms: DUE_MS,
            terms: None,
            reason: reason(),
        },
        "release" => Body::Release { party: urban() },
        "excuse" => Body::Excuse {
            party: urban(),
            reason: reason(),
        },
        "conclude" => Body::Conclude { text: text() },
        "cancel" => Body::Cancel { reason: reason() },
        "ask_escalation" => Body::AskEscalation { reason: reason() },
        "sign" => Body::Sign { party: party() },
        "arrive" => Body::Arrive {
            party: party(),
            heads: 1,
            position: None,
            away: None,
        },
        "feedback" => Body::Feedback {
            party: party(),
            text: text(),
        },
        "object" => Body::Object {
            party: party(),
            reason: reason(),
        },
        "ask_extension" => Body::AskExtension {
            party: party(),
            until_ms: DUE_MS + 1_000 * HOUR_MS,
            reason: reason(),
        },
        "ask_suspension" => Body::AskSuspension {
            party: party(),
            review_ms: DUE_MS,
            reason: reason(),
        },
        "decline_summons" => Body::DeclineSummons {
            party: party(),
            reason: reason(),
        },
        "verify" => Body::Verify {
            party: urban(),
            passed: true,
            text: text(),
        },
        "supervise" => Body::Supervise {
            party: urban(),
            text: text(),
            reply_by_ms: DUE_MS,
        },
        "reply_for_blower" => reply(hash(|owed| owed.by_blower)),
        "reply_for_target" => reply(hash(|owed| owed.by_target)),
        "evaluate_target" => evaluate(urban()),
        "evaluate_blower" => evaluate(BLOWER.to_owned()),
        "escalate" => Body::Escalate {
            cause: EscalationCause::DuePassed,
            into: RecordId([5; 16]),
            round: 1,
        },
        "propose_stand_down" => Body::ProposeStandDown {
            text: text(),
            round: 1,
        },
        "stand_down" => Body::StandDown {
            text: text(),
            round: 1,
        },
        other => panic!("no action {other}"),
    };
    (Facts::new(), body)
}

fn device_in(word: &str) -> DeviceState {
    let mut states = DeviceState::ALL.into_iter();
    states.find(|state| state.word() == word).expect("a state")
}

/// Reasons of rights, not of states.
const RIGHTS_REASONS: [Reason; 8] = [
    Reason::NotYourRole,
    Reason::NotYourArea,
    Reason::NotYours,
    Reason::NotATarget,
    Reason::NotTheBlower,
    Reason::NotAnswerable,
    Reason::OnlyTheServer,
    Reason::UnknownPerson,
];

#[test]
fn every_cell_is_as_the_handbook_says() {
    let directory = pack::directory(pack::HUASHAN).expect("the sample street");
    let rights = table(RIGHTS);
    let devices = table(DEVICES);
    let columns: Vec<&str> = PEOPLE.iter().map(|(column, _)| *column).collect();
    assert_eq!(rights[0][2..], columns, "the columns");
    let mut cells = 0;
    for kind in ["finding", "whistle"] {
        let by_state = states(kind);
        let mut names: Vec<&str> = by_state.keys().map(|(_, state)| *state).collect();
        names.sort_unstable();
        names.dedup();
        for state in names {
            let (paper, owed) = match kind {
                "finding" => (finding_in(&directory, state), None),
                _ => {
                    let (paper, owed) = whistle_in(&directory, state);
                    (paper, Some(owed))
                }
            };
            let (history, folded) = (paper.history(), paper.state());
            for row in rights.iter().filter(|row| row[0] == kind) {
                let label = row[1];
                for ((column, person), cell) in PEOPLE.iter().zip(&row[2..]) {
                    let (facts, body) = action(label, person, owed);
                    let action = paper.action(person, facts, body);
                    let by_state = match (label, *column) {
                        ("decline_summons", "volunteer") => {
                            by_state[&("decline_summons_volunteer", state)]
                        }
                        _ => by_state[&(label, state)],
                    };
                    for device in &devices[1..] {
                        let at = format!("{column} {label} {state} {}", device[0]);
                        let device_state = device_in(device[0]);
                        let claim = claim(MORNING_MS + 2 * 60_000);
                        let answer =
                            capture(&directory, device_state, &action, claim, &folded, &history);
                        let reason = answer.err().map(|refused| refused.reason);
                        let code = reason.map(Reason::code);
                        match (device[1], *cell, by_state) {
                            ("yes", "yes", "yes") => assert_eq!(code, None, "{at}"),
                            ("yes", "yes", wanted) => assert_eq!(code, Some(wanted), "{at}"),
                            ("yes", "no", _) => assert!(
                                reason.is_some_and(|it| RIGHTS_REASONS.contains(&it)),
                                "{at}: {code:?}"
                            ),
                            ("yes", "own", _) => assert!(
                                matches!(reason, Some(Reason::OwnWork | Reason::OwnScore)),
                                "{at}: {code:?}"
                            ),
                            (wanted, ..) => assert_eq!(code, Some(wanted), "{at}"),
                        }
                        cells += 1;
                    }
                }
            }
        }
    }
    println!("{cells} cells");
    // 16 actions in 7 states and 32 in 9, for 15 people, in 3 device states.
    assert_eq!(cells, (16 * 7 + 32 * 9) * 15 * 3);
}

#[test]
fn nobody_judges_their_own_work_under_another_role_either() {
    // What could go wrong: an inspector is a target by post and looks at the
    // result as a supervisor; or comes for one target and verifies it as the
    // holder of another post.
    let directory = pack::directory(pack::HUASHAN).expect("the sample street");
    let (inspector, post) = ("P01006-05", "post:530102001006001/inspector");
    let mut paper = Paper::new(RecordKind::Whistle);
    let target = Target {
        party: Party::parse(post).expect("a party"),
        lead: true,
        mandatory: true,
    };
    let order = Order {
        targets: vec![target],
        ..order(None)
    };
    paper.act(&directory, "P01006-00", MORNING_MS, Body::Issue(order));
    let arrive = Body::Arrive {
        party: post.to_owned(),
        heads: 1,
        position: None,
        away: None,
    };
    let feedback = Body::Feedback {
        party: post.to_owned(),
        text: text(),
    };
    paper.act(&directory, inspector, MORNING_MS, arrive);
    paper.act(&directory, inspector, MORNING_MS, feedback);
    let verify = || Body::Verify {
        party: post.to_owned(),
        passed: true,
        text: text(),
    };
    let reason = |paper: &mut Paper, directory: &Directory, body| {
        let facts = Facts::new();
        let tried = paper.try_act(directory, inspector, MORNING_MS, facts, body);
        tried.err().map(|refused| refused.reason)
    };
    let own = reason(&mut paper, &directory, verify());
    assert_eq!(own, Some(Reason::OwnWork), "acts for the target");
    // The post is somebody else's by now; what was done stays done.
    let mut later = directory.clone();
    if let Some(person) = later.people.get_mut(&inspector.into()) {
        person.posts.clear();
    }
    let own = reason(&mut paper, &later, verify());
    assert_eq!(own, Some(Reason::OwnWork), "was there");
    paper.act(&directory, "S-03", MORNING_MS, verify());
    paper.act(
        &directory,
        "P01006-00",
        MORNING_MS,
        Body::Conclude { text: text() },
    );
    let score = |party: &str| Body::Evaluate {
        party: party.to_owned(),
        score: 5,
        text: text(),
    };
    // Made secretary since: still no score for one's own work.
    if let Some(person) = later.people.get_mut(&inspector.into()) {
        person.grants.push(Grant {
            role: Role::Secretary,
            scope: COMMUNITY.to_owned(),
        });
    }
    for party in [post, BLOWER] {
        let own = reason(&mut paper, &later, score(party));
        assert_eq!(own, Some(Reason::OwnScore), "{party}");
    }
}

#[test]
fn who_attached_a_piece_may_erase_that_one_and_no_other() {
    // What could go wrong: whoever attached the first photo rules over all of
    // them, or nobody over the second.
    let directory = pack::directory(pack::HUASHAN).expect("the sample street");
    let mut paper = finding_in(&directory, "reported");
    let (reporter, member) = ("P01006-07", "P01006-01");
    paper.act(&directory, member, MORNING_MS, attach(2));
    let mut erases = |person, nth: u8| {
        let body = Body::EraseEvidence {
            piece: photo(nth).id,
            reason: text(),
        };
        let tried = paper.try_act(&directory, person, MORNING_MS, Facts::new(), body);
        tried.map(drop).map_err(|refused| refused.reason)
    };
    for (person, nth) in [(reporter, 2), (member, 1)] {
        let refused = erases(person, nth);
        assert!(
            refused.is_err_and(|reason| RIGHTS_REASONS.contains(&reason)),
            "{person} {nth}"
        );
    }
    assert_eq!(erases(member, 2), Ok(()));
    assert_eq!(erases(reporter, 1), Ok(()));
}

#[test]
fn whoever_may_attach_or_erase_evidence_has_a_button_for_it() {
    // What could go wrong: a photo that nobody can add, or one that is gone and
    // can be erased again and again.
    let directory = pack::directory(pack::HUASHAN).expect("the sample street");
    let mut paper = finding_in(&directory, "reported");
    let reporter = "P01006-07";
    let buttons = |paper: &Paper| -> Vec<(String, Option<EvidenceId>)> {
        let viewer = Viewer {
            directory: &directory,
            person: &reporter.into(),
            device: DeviceState::Active,
            claim: claim(MORNING_MS),
        };
        let all = available_actions(&viewer, paper.record, &paper.state(), &paper.history());
        let evidence = all
            .into_iter()
            .filter(|it| it.word.contains("attach") || it.piece.is_some());
        evidence.map(|it| (it.word, it.piece)).collect()
    };
    let attach = || ("attach".to_owned(), None);
    let erase = || ("erase_evidence".to_owned(), Some(photo(1).id));
    assert_eq!(buttons(&paper), [attach(), erase()]);
    let body = Body::EraseEvidence {
        piece: photo(1).id,
        reason: text(),
    };
    paper.act(&directory, reporter, MORNING_MS, body);
    assert_eq!(buttons(&paper), [attach()]);
}
