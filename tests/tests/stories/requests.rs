//! What targets ask of the blower, what superiors ask of both, and what becomes
//! of the clock.

use shaodao_core::device::{DeviceError, Draft};
use shaodao_core::domain::action::{BLOWER, Body, Facts, Party, RecordKind, Target, Value, fact};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::whistle::{TargetStage, WhistleStage, WhistleState};
use shaodao_tests::world::deeds::rule;
use shaodao_tests::world::{HOUR_MS, World, order};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const CLEANER: &str = "P01006-08";
const CLEANER_POST: &str = "post:530102001006001/cleaner";
const SUPERVISOR: &str = "S-03";
const DISPATCHER: &str = "S-01";
const UNIT: &str = "L-A01";

fn party() -> String {
    URBAN_POST.to_owned()
}

fn ask_until(until_ms: i64) -> Body {
    Body::AskExtension {
        party: party(),
        until_ms,
        reason: "要等吊车".into(),
    }
}

/// A whistle for one finding, due in two hours, that everybody has on the phone.
fn whistled(world: &mut World, targets: &[&str]) -> RecordId {
    for person in [SECRETARY, URBAN, SUPERVISOR, DISPATCHER] {
        world.phone(person);
    }
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, targets, 2);
    world.sync(SECRETARY);
    world.sync_all();
    whistle
}

fn refused(world: &mut World, person: &str, whistle: RecordId, body: Body) -> Reason {
    match world.try_act(person, Draft::on(RecordKind::Whistle, whistle, body)) {
        Err(DeviceError::Refused(refused)) => refused.reason,
        other => panic!("{person} was not refused: {other:?}"),
    }
}

/// The due time in a phone's list and the server's.
fn listed_due(world: &mut World, person: &str, whistle: RecordId) -> i64 {
    let row = world.of(person).device.store().whistle(whistle);
    let here = row.expect("reads").expect("is here").due_at_ms;
    let there = world.server_count(&format!(
        "SELECT due_at_ms FROM whistle JOIN record ON record.id = whistle.record
         WHERE hex(record.record) = '{}'",
        whistle.to_string().to_uppercase()
    ));
    assert_eq!(here, there, "phone and server say the same");
    here
}

#[test]
fn an_extension_asked_in_a_dead_zone_counts_although_it_is_ruled_on_late() {
    // What could go wrong: an escalation that stands although its target asked
    // in time, or a new due time that nobody watches.
    let mut world = World::new("extension", 1);
    let whistle = whistled(&mut world, &[URBAN_POST]);
    world.of(URBAN).offline = true;
    world.pass(HOUR_MS);
    let due_ms = world.now_ms() + HOUR_MS;
    world.on_whistle(URBAN, whistle, ask_until(due_ms + 8 * HOUR_MS));
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 1, "nobody could know");
    world.of(URBAN).offline = false;
    world.sync(URBAN);
    world.sync(SECRETARY);
    // The approved date differs from the asked one.
    let asked = world.request(SECRETARY, whistle);
    let until_ms = due_ms + 3 * HOUR_MS;
    world.on_whistle(SECRETARY, whistle, rule(asked, true, Some(until_ms)));
    world.settle();
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::Issued);
    let why = state.escalations[0].stood_down.clone().expect("stood down");
    assert!(why.contains("已获同意"), "{why}");
    let street = state.escalations[0].into;
    let street = world.seen_whistle(DISPATCHER, street);
    assert_eq!(street.stage(), WhistleStage::StoodDown);
    for person in [URBAN, SECRETARY] {
        assert_eq!(listed_due(&mut world, person, whistle), until_ms);
    }
    // The new due time is watched like the old one.
    let left_ms = until_ms - world.now_ms();
    world.pass(left_ms);
    assert_eq!(world.escalations(), 1, "due is still in time");
    world.pass(1);
    assert_eq!(world.escalations(), 2);
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    assert_eq!(state.escalations[1].round, 2);
}

#[test]
fn an_extension_asked_after_the_deadline_by_a_clock_set_back_counts_for_nothing() {
    // What could go wrong: a deadline that a wrong clock moves.
    let mut world = World::new("extension-clock", 1);
    let whistle = whistled(&mut world, &[URBAN_POST]);
    world.pass(3 * HOUR_MS);
    assert_eq!(world.escalations(), 1);
    // The phone has heard the server after the deadline: it is told at once.
    world.sync(URBAN);
    world.of(URBAN).clock_error_ms = -2 * HOUR_MS;
    let until_ms = world.now_ms() + 8 * HOUR_MS;
    let reason = refused(&mut world, URBAN, whistle, ask_until(until_ms));
    assert_eq!(reason, Reason::PastDue);
    world.settle();
}

#[test]
fn a_suspended_whistle_does_not_escalate_and_goes_on_with_the_time_left() {
    // What could go wrong: a pause that does not pause, or that never ends.
    let mut world = World::new("suspension", 1);
    let whistle = whistled(&mut world, &[URBAN_POST]);
    world.pass(HOUR_MS);
    let asked_ms = world.now_ms();
    let due_ms = asked_ms + HOUR_MS;
    let ask = Body::AskSuspension {
        party: party(),
        review_ms: asked_ms + 48 * HOUR_MS,
        reason: "等待挖掘许可".into(),
    };
    world.on_whistle(URBAN, whistle, ask.clone());
    world.sync(URBAN);
    world.sync(SECRETARY);
    let asked = world.request(SECRETARY, whistle);
    world.on_whistle(SECRETARY, whistle, rule(asked, true, None));
    world.sync(SECRETARY);
    world.pass(20 * HOUR_MS);
    assert_eq!(world.escalations(), 0, "the clock stands");
    let resume = Body::Resume {
        reason: "许可已办好".into(),
    };
    world.on_whistle(SECRETARY, whistle, resume.clone());
    world.settle();
    let again = refused(&mut world, SECRETARY, whistle, resume);
    assert_eq!(again, Reason::NotSuspended);
    for person in [URBAN, SECRETARY] {
        assert_eq!(
            listed_due(&mut world, person, whistle),
            due_ms + 20 * HOUR_MS
        );
    }
    world.pass(HOUR_MS);
    assert_eq!(world.escalations(), 0, "due is still in time");
    world.pass(1);
    assert_eq!(world.escalations(), 1);
    world.settle();
}

#[test]
fn an_objection_is_made_once_and_ruled_on() {
    // What could go wrong: an order that is nobody's, or a target that objects
    // instead of coming.
    let mut world = World::new("objection", 1);
    world.phone(CLEANER);
    let whistle = whistled(&mut world, &[URBAN_POST, CLEANER_POST]);
    let object = |party: &str| Body::Object {
        party: party.to_owned(),
        reason: "不在本岗位职责内".into(),
    };
    world.on_whistle(URBAN, whistle, object(URBAN_POST));
    world.on_whistle(CLEANER, whistle, object(CLEANER_POST));
    let twice = refused(&mut world, URBAN, whistle, object(URBAN_POST));
    assert_eq!(twice, Reason::AlreadyObjected);
    world.settle();
    // Only the blower rules; a refusal says why.
    let asked = |world: &mut World, party: &str| {
        let state = world.seen_whistle(SECRETARY, whistle);
        let mut requests = state.open_requests();
        let request = requests.find(|it| it.party == party);
        request.expect("asked").asked.hash
    };
    let upheld = asked(&mut world, URBAN_POST);
    let denied = asked(&mut world, CLEANER_POST);
    let own = refused(&mut world, URBAN, whistle, rule(upheld, true, None));
    assert_eq!(own, Reason::NotTheBlower);
    let mute = Body::Rule {
        request: denied,
        granted: false,
        until_ms: None,
        text: String::new(),
    };
    assert_eq!(refused(&mut world, SECRETARY, whistle, mute), Reason::Empty);
    world.on_whistle(SECRETARY, whistle, rule(upheld, true, None));
    world.on_whistle(SECRETARY, whistle, rule(denied, false, None));
    let again = refused(&mut world, SECRETARY, whistle, rule(denied, true, None));
    assert_eq!(again, Reason::AlreadyRuled);
    world.settle();
    let state = world.seen_whistle(CLEANER, whistle);
    assert_eq!(state.targets[URBAN_POST].stage(), TargetStage::Excused);
    assert_eq!(state.targets[CLEANER_POST].stage(), TargetStage::Notified);
    let sign = Body::Sign { party: party() };
    assert_eq!(refused(&mut world, URBAN, whistle, sign), Reason::Excused);
    world.settle();
}

#[test]
fn volunteers_decline_without_penalty_and_may_come_after_all() {
    // What could go wrong: a mandatory target that stays away, or a volunteer
    // who is turned away at the door.
    let mut world = World::new("volunteers", 1);
    world.phone(UNIT);
    let whistle = whistled(&mut world, &[URBAN_POST]);
    let unit = Party::Organisation("A01".into());
    let volunteer = Target {
        party: unit.clone(),
        lead: false,
        mandatory: false,
    };
    let summon = Body::Summon {
        targets: vec![volunteer],
    };
    world.on_whistle(SECRETARY, whistle, summon);
    world.settle();
    let decline = |party: String| Body::DeclineSummons {
        party,
        reason: "当天有活动".into(),
    };
    let mandatory = refused(&mut world, URBAN, whistle, decline(party()));
    assert_eq!(mandatory, Reason::NotVoluntary);
    world.on_whistle(UNIT, whistle, decline(unit.key()));
    world.settle();
    let stage =
        |world: &mut World| world.seen_whistle(SECRETARY, whistle).targets[&unit.key()].stage();
    assert_eq!(stage(&mut world), TargetStage::Declined);
    let arrive = Body::Arrive {
        party: unit.key(),
        heads: 6,
        position: None,
        away: None,
    };
    world.on_whistle(UNIT, whistle, arrive);
    let gone = refused(&mut world, UNIT, whistle, decline(unit.key()));
    assert_eq!(gone, Reason::AlreadyArrived);
    world.settle();
    assert_eq!(stage(&mut world), TargetStage::Arrived);
}

#[test]
fn who_arrives_elsewhere_says_why() {
    // What could go wrong: an arrival from the office chair, or somebody in a
    // basement without satellites who cannot report in at all.
    let mut world = World::new("elsewhere", 1);
    for person in [SECRETARY, URBAN] {
        world.phone(person);
    }
    let place = Value::Text("25.0420,102.7065,8,gps".into());
    let title = Value::Text("处置燃气泄漏".into());
    let facts: Facts = [
        (fact::TITLE.to_owned(), title),
        (fact::POSITION.to_owned(), place),
    ]
    .into();
    let due_ms = world.now_ms() + 2 * HOUR_MS;
    let order = order(NORTH_GATE, Vec::new(), &[URBAN_POST], due_ms);
    let draft = Draft::new(RecordKind::Whistle, facts, Body::Issue(order));
    let whistle = world.act(SECRETARY, draft);
    world.settle();
    let from = |position: Option<&str>, away: Option<&str>| Body::Arrive {
        party: party(),
        heads: 2,
        position: position.map(|position| position.parse().expect("a position")),
        away: away.map(str::to_owned),
    };
    let office = Some("25.0480,102.7065,8,gps");
    let near = Some("25.0430,102.7065,8,gps");
    for nowhere in [from(office, None), from(None, None)] {
        let reason = refused(&mut world, URBAN, whistle, nowhere);
        assert_eq!(reason, Reason::AwayFromPlace);
    }
    let mute = refused(&mut world, URBAN, whistle, from(office, Some(" ")));
    assert_eq!(mute, Reason::Empty);
    world.on_whistle(URBAN, whistle, from(None, Some("地下室没有信号")));
    world.on_whistle(URBAN, whistle, from(near, None));
    world.settle();
    let target = &world.seen_whistle(SECRETARY, whistle).targets[URBAN_POST];
    assert_eq!(target.heads(), 4);
    let said: Vec<_> = target.arrivals.iter().map(|(deed, _)| &deed.text).collect();
    assert_eq!(said, ["地下室没有信号", ""]);
}

#[test]
fn a_superior_is_answered_by_the_one_who_was_asked() {
    // What could go wrong: a demand that nobody has to answer, or an urging that
    // moves a deadline.
    let mut world = World::new("supervision", 1);
    let whistle = whistled(&mut world, &[URBAN_POST]);
    let due_ms = listed_due(&mut world, SUPERVISOR, whistle);
    let reply_by_ms = world.now_ms() + HOUR_MS;
    let demand = |party: &str| Body::Supervise {
        party: party.to_owned(),
        text: "为何无人到场".into(),
        reply_by_ms,
    };
    let reason = refused(&mut world, SECRETARY, whistle, demand(URBAN_POST));
    assert_eq!(reason, Reason::NotYourRole);
    world.on_whistle(SUPERVISOR, whistle, demand(BLOWER));
    let urge = Body::Urge {
        text: "请尽快".into(),
    };
    world.on_whistle(SUPERVISOR, whistle, urge);
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    let supervision = state.open_supervisions().next().expect("open").deed.hash;
    let reply = Body::Reply {
        supervision,
        text: "城管已在路上".into(),
    };
    let other = refused(&mut world, URBAN, whistle, reply.clone());
    assert_eq!(other, Reason::NotAnswerable);
    world.on_whistle(SECRETARY, whistle, reply.clone());
    let twice = refused(&mut world, SECRETARY, whistle, reply);
    assert_eq!(twice, Reason::AlreadyAnswered);
    world.settle();
    let state = world.seen_whistle(SUPERVISOR, whistle);
    assert_eq!(
        (state.open_supervisions().count(), state.urges.len()),
        (0, 1)
    );
    assert_eq!(listed_due(&mut world, SUPERVISOR, whistle), due_ms);
}

#[test]
fn one_whistle_solves_two_findings_and_is_scored_both_ways() {
    // What could go wrong: a finding left open behind its concluded whistle, a
    // missing score taken for full marks, somebody who scores twice.
    let mut world = World::new("both-ways", 1);
    for person in [SECRETARY, URBAN, CLEANER, SUPERVISOR] {
        world.phone(person);
    }
    let findings = ["渣土堆放", "围挡破损"].map(|title| {
        let finding = world.report(SECRETARY, GRID, "E0103", title);
        world.on_finding(SECRETARY, finding, Body::Accept);
        finding
    });
    let due_ms = world.now_ms() + 4 * HOUR_MS;
    let order = order(
        NORTH_GATE,
        findings.to_vec(),
        &[URBAN_POST, CLEANER_POST],
        due_ms,
    );
    let title = [(fact::TITLE.to_owned(), Value::Text("一并处理".into()))];
    let draft = Draft::new(RecordKind::Whistle, title.into(), Body::Issue(order));
    let whistle = world.act(SECRETARY, draft);
    world.settle();
    world.answer(URBAN, whistle, URBAN_POST);
    world.settle();
    world.on_whistle(
        SUPERVISOR,
        whistle,
        Body::Verify {
            party: party(),
            passed: true,
            text: String::new(),
        },
    );
    world.settle();
    let excuse = Body::Excuse {
        party: CLEANER_POST.into(),
        reason: "城管已一并清扫".into(),
    };
    world.on_whistle(SECRETARY, whistle, excuse);
    world.on_whistle(
        SECRETARY,
        whistle,
        Body::Conclude {
            text: "办结".into(),
        },
    );
    world.settle();
    for finding in findings {
        let row = world.of(CLEANER).device.store().finding(finding);
        let stage = row.expect("reads").expect("is here").stage;
        assert!(stage.is_over(), "{stage:?}");
    }
    let score = |party: &str, score| Body::Evaluate {
        party: party.to_owned(),
        score,
        text: String::new(),
    };
    world.on_whistle(SECRETARY, whistle, score(URBAN_POST, 5));
    world.on_whistle(URBAN, whistle, score(BLOWER, 4));
    world.on_whistle(CLEANER, whistle, score(BLOWER, 3));
    let own = refused(&mut world, URBAN, whistle, score(URBAN_POST, 5));
    assert_eq!(own, Reason::OwnScore);
    let twice = refused(&mut world, SECRETARY, whistle, score(URBAN_POST, 1));
    assert_eq!(twice, Reason::AlreadyScored);
    world.settle();
    let state: WhistleState = world.seen_whistle(SUPERVISOR, whistle);
    assert_eq!(state.stage(), WhistleStage::Evaluated);
    assert_eq!(state.scores(URBAN_POST), [5]);
    let mut scores = state.scores(BLOWER);
    scores.sort_unstable();
    assert_eq!(scores, [3, 4], "every target has its own word");
    assert_eq!(state.scores(CLEANER_POST), [0u32; 0], "not scored");
}
