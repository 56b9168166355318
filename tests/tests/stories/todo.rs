//! What waits for whose answer.

use shaodao_core::device::Draft;
use shaodao_core::device::todo::ToDo;
use shaodao_core::domain::action::{BLOWER, Body, RecordKind, Value, fact};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::todo::{Question, Waiting};
use shaodao_tests::world::deeds::{arrive, rule, summon, verify};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const SUPERVISOR: &str = "S-03";
const DISPATCHER: &str = "S-01";
const EMERGENCY: &str = "L-D01";
const DEPARTMENT: &str = "org:D01";
const EVERYBODY: [&str; 6] = [HEAD, SECRETARY, URBAN, SUPERVISOR, DISPATCHER, EMERGENCY];

fn street(name: &str) -> World {
    let mut world = World::new(name, 1);
    for person in EVERYBODY {
        world.phone(person);
    }
    world
}

fn whistled(world: &mut World) -> (RecordId, RecordId) {
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    world.on_finding(SECRETARY, finding, Body::Accept);
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    world.sync(SECRETARY);
    world.sync_all();
    (finding, whistle)
}

/// What a phone asks its owner; every question has a button that answers it.
fn todo(world: &mut World, person: &str) -> Vec<(RecordId, Waiting)> {
    let now_ms = world.now_ms();
    let phone = world.of(person);
    let now = phone.now(now_ms);
    let todo = phone.device.todo(now).expect("asks");
    for ToDo {
        record, waiting, ..
    } in &todo
    {
        let view = phone.device.view(now, *record).expect("is shown");
        let steps = phone.device.steps(now, &view).expect("steps");
        let answer = match waiting.question {
            Question::Reply => "reply",
            Question::Answer => "feedback",
            Question::Objection | Question::Extension | Question::Suspension => "rule",
            Question::StandDown => "stand_down",
            Question::Mark => "withdraw_mark",
            Question::Summon => "summon",
            Question::Overtaken => "summon",
            Question::Verify => "verify",
            Question::Conclude => "conclude",
            Question::Accept => "accept",
            Question::Double => "merge",
            Question::Review => "review",
            Question::Disputed => "correct",
        };
        let before_arrival = waiting.question == Question::Answer;
        let mut words = steps.iter().map(|step| step.word.as_str());
        assert!(
            words.any(|word| word == answer || before_arrival && word == "arrive"),
            "{person} is asked {waiting:?} and cannot answer"
        );
    }
    todo.into_iter().map(|it| (it.record, it.waiting)).collect()
}

/// The questions about one record.
fn questions(world: &mut World, person: &str, record: RecordId) -> Vec<Question> {
    let todo = todo(world, person).into_iter();
    let about = todo.filter(|(about, _)| *about == record);
    about.map(|(_, waiting)| waiting.question).collect()
}

fn one(world: &mut World, person: &str, record: RecordId, question: Question) -> Waiting {
    let mut todo = todo(world, person).into_iter();
    let found = todo.find(|(about, waiting)| *about == record && waiting.question == question);
    found.unwrap_or_else(|| panic!("{person}: {question:?}")).1
}

#[test]
fn a_request_waits_for_the_blower_and_for_nobody_else() {
    // What could go wrong: a request that nobody is told of, or one that asks
    // those who may not rule.
    let mut world = street("todo-requests");
    let (_, whistle) = whistled(&mut world);
    assert_eq!(questions(&mut world, URBAN, whistle), [Question::Answer]);
    for body in [
        Body::AskExtension {
            party: URBAN_POST.into(),
            until_ms: MORNING_MS + 5 * HOUR_MS,
            reason: "要等吊车".into(),
        },
        Body::AskSuspension {
            party: URBAN_POST.into(),
            review_ms: MORNING_MS + 9 * HOUR_MS,
            reason: "等待挖掘许可".into(),
        },
        Body::Object {
            party: URBAN_POST.into(),
            reason: "不归城管".into(),
        },
    ] {
        world.on_whistle(URBAN, whistle, body);
    }
    world.sync(URBAN);
    world.sync_all();
    let asked = [
        Question::Extension,
        Question::Suspension,
        Question::Objection,
    ];
    assert_eq!(questions(&mut world, SECRETARY, whistle), asked);
    let waiting = one(&mut world, SECRETARY, whistle, Question::Extension);
    assert_eq!(waiting.text, "要等吊车");
    assert_eq!(waiting.party.as_deref(), Some(URBAN_POST));
    assert_eq!(waiting.at_ms, Some(MORNING_MS + 5 * HOUR_MS));
    assert!(!waiting.unsure, "asked in time");
    for person in [HEAD, SUPERVISOR, DISPATCHER, EMERGENCY] {
        assert_eq!(questions(&mut world, person, whistle), [], "{person}");
    }
    for _ in asked {
        let request = world.request(SECRETARY, whistle);
        world.on_whistle(SECRETARY, whistle, rule(request, false, None));
    }
    assert_eq!(questions(&mut world, SECRETARY, whistle), []);
    world.settle();
}

#[test]
fn where_no_clock_can_tell_the_blower_is_told_that_it_is_theirs_to_say() {
    // What could go wrong: a blower who rules on a late request and is not told
    // that it may have been asked for in time.
    let mut world = street("todo-unsure");
    let (_, whistle) = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.restart(URBAN);
    world.pass(HOUR_MS);
    let ask = Body::AskExtension {
        party: URBAN_POST.into(),
        until_ms: MORNING_MS + 5 * HOUR_MS,
        reason: "要等吊车".into(),
    };
    world.on_whistle(URBAN, whistle, ask);
    world.pass(2 * HOUR_MS);
    world.of(URBAN).offline = false;
    world.sync(URBAN);
    world.sync_all();
    let waiting = one(&mut world, SECRETARY, whistle, Question::Extension);
    assert!(waiting.unsure);
    world.settle();
}

#[test]
fn a_demand_waits_for_the_side_that_owes_it_even_after_the_end() {
    // What could go wrong: everybody thinks that the other side answers, or the
    // whistle ends and the superior is forgotten.
    let mut world = street("todo-demand");
    let (_, whistle) = whistled(&mut world);
    for (party, text) in [(BLOWER, "为何还没到场"), (URBAN_POST, "请说明进展")] {
        let body = Body::Supervise {
            party: party.to_owned(),
            text: text.to_owned(),
            reply_by_ms: MORNING_MS + 20 * HOUR_MS,
        };
        world.on_whistle(SUPERVISOR, whistle, body);
    }
    world.sync(SUPERVISOR);
    world.sync_all();
    let waiting = one(&mut world, SECRETARY, whistle, Question::Reply);
    assert_eq!(waiting.text, "为何还没到场");
    assert_eq!(waiting.party.as_deref(), Some(BLOWER));
    let waiting = one(&mut world, URBAN, whistle, Question::Reply);
    assert_eq!(waiting.text, "请说明进展");
    assert_eq!(questions(&mut world, SUPERVISOR, whistle), []);
    let reason = "误报".to_owned();
    world.on_whistle(SECRETARY, whistle, Body::Cancel { reason });
    world.sync(SECRETARY);
    world.sync_all();
    assert_eq!(questions(&mut world, URBAN, whistle), [Question::Reply]);
    let reply = Body::Reply {
        supervision: waiting.answers.expect("what is answered"),
        text: "已撤销".into(),
    };
    world.on_whistle(URBAN, whistle, reply);
    assert_eq!(questions(&mut world, URBAN, whistle), []);
    world.settle();
}

#[test]
fn the_dispatcher_is_asked_whatever_only_a_dispatcher_may_answer() {
    // What could go wrong: an escalation that nobody at the street takes up, a
    // proposal or a mark that waits in a record that nobody opens.
    let mut world = street("todo-dispatcher");
    let (_, whistle) = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.pass(HOUR_MS);
    world.answer(URBAN, whistle, URBAN_POST);
    world.pass(2 * HOUR_MS);
    let taken_over = RecordId::of_escalation(whistle, 2, 1);
    world.sync(DISPATCHER);
    assert_eq!(
        questions(&mut world, DISPATCHER, taken_over),
        [Question::Summon]
    );
    world.on_whistle(DISPATCHER, taken_over, summon(DEPARTMENT));
    world.sync(DISPATCHER);
    assert_eq!(questions(&mut world, DISPATCHER, taken_over), []);
    world.sync(EMERGENCY);
    assert_eq!(
        questions(&mut world, EMERGENCY, taken_over),
        [Question::Answer]
    );
    let party = DEPARTMENT.to_owned();
    world.on_whistle(EMERGENCY, taken_over, Body::Sign { party });
    world.sync(EMERGENCY);
    // The work was done in time, and the street has acted: proposed.
    world.of(URBAN).offline = false;
    world.sync(URBAN);
    world.sync_all();
    let waiting = one(&mut world, DISPATCHER, whistle, Question::StandDown);
    assert!(waiting.text.contains("按时完成"), "{}", waiting.text);
    assert!(!waiting.unsure);
    for person in [SECRETARY, SUPERVISOR, URBAN] {
        let asked = questions(&mut world, person, whistle);
        assert!(!asked.contains(&Question::StandDown), "{person}");
    }
    // Nobody comes to the street: marked, and that waits too.
    world.pass(26 * HOUR_MS);
    world.sync(DISPATCHER);
    one(&mut world, DISPATCHER, taken_over, Question::Mark);
    world.sync(EMERGENCY);
    world.on_whistle(EMERGENCY, taken_over, arrive(DEPARTMENT));
    let text = "按时处理,解除".to_owned();
    world.on_whistle(DISPATCHER, whistle, Body::StandDown { text, round: 1 });
    world.sync(DISPATCHER);
    world.sync_all();
    let left = todo(&mut world, DISPATCHER);
    let dispatchers =
        |it: &&(RecordId, Waiting)| matches!(it.1.question, Question::StandDown | Question::Mark);
    assert_eq!(left.iter().find(dispatchers), None);
    world.settle();
}

#[test]
fn a_time_that_no_clock_tells_is_put_to_the_dispatcher_as_that() {
    // What could go wrong: a person who decides about somebody's punctuality
    // and does not know that they do.
    let mut world = street("todo-cannot-say");
    let (_, whistle) = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.restart(URBAN);
    world.pass(HOUR_MS);
    world.answer(URBAN, whistle, URBAN_POST);
    world.pass(2 * HOUR_MS);
    world.of(URBAN).offline = false;
    world.sync(URBAN);
    world.sync(DISPATCHER);
    assert!(one(&mut world, DISPATCHER, whistle, Question::StandDown).unsure);
    let reason = "下午才清理".to_owned();
    world.on_whistle(DISPATCHER, whistle, Body::Uphold { reason, round: 1 });
    let asked = questions(&mut world, DISPATCHER, whistle);
    assert!(!asked.contains(&Question::StandDown), "decided");
    world.settle();
}

#[test]
fn findings_wait_for_acceptance_review_and_for_those_who_disagree() {
    // What could go wrong: a double that is accepted twice because nobody said
    // so, or a disputed address that everybody leaves to the other.
    let mut world = street("todo-findings");
    let first = world.report(HEAD, GRID, "E0103", "渣土堆放");
    let place = Value::Text("25.0420,102.7065".to_owned());
    let at_place = [(fact::POSITION.to_owned(), place)];
    let correct = |finding| Draft {
        kind: RecordKind::Finding,
        record: Some(finding),
        facts: at_place.clone().into(),
        body: Body::Correct,
    };
    world.act(HEAD, correct(first));
    world.sync(HEAD);
    world.sync(SECRETARY);
    assert_eq!(questions(&mut world, HEAD, first), []);
    assert_eq!(questions(&mut world, SECRETARY, first), [Question::Accept]);
    world.on_finding(SECRETARY, first, Body::Accept);
    let second = world.report(HEAD, GRID, "E0103", "渣土");
    world.act(HEAD, correct(second));
    let fixed = world.report(HEAD, GRID, "E0201", "非法小广告");
    let text = "当场清除".to_owned();
    world.on_finding(HEAD, fixed, Body::SelfResolve { text });
    world.sync(HEAD);
    world.sync(SECRETARY);
    assert_eq!(questions(&mut world, SECRETARY, first), []);
    assert_eq!(questions(&mut world, SECRETARY, second), [Question::Double]);
    assert_eq!(questions(&mut world, SECRETARY, fixed), [Question::Review]);

    let says = |text: &str| Draft {
        kind: RecordKind::Finding,
        record: Some(first),
        facts: [(fact::ADDRESS.to_owned(), Value::Text(text.to_owned()))].into(),
        body: Body::Correct,
    };
    world.act(HEAD, says("北门街1号"));
    world.act(SECRETARY, says("北门街3号"));
    world.settle();
    for person in [HEAD, SECRETARY, DISPATCHER] {
        assert_eq!(questions(&mut world, person, first), [Question::Disputed]);
    }
    assert_eq!(questions(&mut world, URBAN, first), []);
    world.act(HEAD, says("北门街3号"));
    assert_eq!(questions(&mut world, HEAD, first), []);
    world.settle();
}

#[test]
fn verification_conclusion_and_what_overtakes_it_wait_in_turn() {
    // What could go wrong: the blower concludes, somebody on site sees that
    // nothing was done, and the blower never hears of it; whoever was first.
    for blower_first in [true, false] {
        let mut world = street("todo-overtaken");
        let (_, whistle) = whistled(&mut world);
        world.answer(URBAN, whistle, URBAN_POST);
        world.sync(URBAN);
        world.sync_all();
        assert_eq!(
            questions(&mut world, SECRETARY, whistle),
            [Question::Verify]
        );
        assert_eq!(questions(&mut world, URBAN, whistle), [], "own work");
        let fails = |world: &mut World| {
            world.on_whistle(SUPERVISOR, whistle, verify(URBAN_POST, false));
            world.pass(1_000);
        };
        if !blower_first {
            fails(&mut world);
        }
        world.on_whistle(SECRETARY, whistle, verify(URBAN_POST, true));
        let asked = questions(&mut world, SECRETARY, whistle);
        assert_eq!(asked, [Question::Conclude]);
        let text = "办结".to_owned();
        world.on_whistle(SECRETARY, whistle, Body::Conclude { text });
        world.pass(1_000);
        if blower_first {
            fails(&mut world);
        }
        world.settle();
        let asked = questions(&mut world, SECRETARY, whistle);
        assert_eq!(asked, [Question::Overtaken]);
        assert_eq!(questions(&mut world, SUPERVISOR, whistle), []);
        assert_eq!(questions(&mut world, URBAN, whistle), [Question::Answer]);
    }
}
