//! What happens when nobody answers, and when somebody did but was not heard.

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, EscalationCause, Party, RecordKind, Target};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_tests::world::{HOUR_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const SUPERVISOR: &str = "S-03";
const DISPATCHER: &str = "S-01";
const EMERGENCY: &str = "L-D01";

fn party() -> String {
    URBAN_POST.to_owned()
}

/// A whistle for one finding, due in two hours, that the urban post has on the
/// phone.
fn whistled(world: &mut World) -> RecordId {
    for person in [SECRETARY, URBAN, SUPERVISOR, DISPATCHER, EMERGENCY] {
        world.phone(person);
    }
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    world.sync(SECRETARY);
    world.sync(URBAN);
    whistle
}

#[test]
fn nobody_comes_and_the_street_takes_over_once() {
    // What could go wrong: escalating twice, escalating at the deadline instead
    // of after it, or the street not seeing what it has to solve.
    let mut world = World::new("ladder", 1);
    let whistle = whistled(&mut world);
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 0, "due is still in time");
    world.pass(1);
    world.stop_server();
    world.start_server();
    world.pass(HOUR_MS);
    assert_eq!(world.escalations(), 1);

    world.sync(DISPATCHER);
    let below = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(below.stage(), WhistleStage::Escalated);
    let escalation = below.escalations[0].clone();
    assert_eq!(escalation.cause, EscalationCause::DuePassed);
    assert_eq!(escalation.into, RecordId::of_escalation(whistle, 2, 1));

    let street = escalation.into;
    let emergency = Party::Organisation("D01".into());
    let target = Target {
        party: emergency.clone(),
        lead: true,
        mandatory: true,
    };
    world.on_whistle(
        DISPATCHER,
        street,
        Body::Summon {
            targets: vec![target],
        },
    );
    world.sync(DISPATCHER);
    world.sync(EMERGENCY);
    let key = || emergency.key();
    world.on_whistle(EMERGENCY, street, Body::Sign { party: key() });
    world.on_whistle(
        EMERGENCY,
        street,
        Body::Arrive {
            party: key(),
            heads: 3,
            position: None,
            away: None,
        },
    );
    world.on_whistle(
        EMERGENCY,
        street,
        Body::Feedback {
            party: key(),
            text: "已清运".into(),
        },
    );
    world.sync(EMERGENCY);
    world.sync(SUPERVISOR);
    world.on_whistle(
        SUPERVISOR,
        street,
        Body::Verify {
            party: key(),
            passed: true,
            text: String::new(),
        },
    );
    world.sync(SUPERVISOR);
    world.sync(DISPATCHER);
    world.on_whistle(
        DISPATCHER,
        street,
        Body::Conclude {
            text: "办结".into(),
        },
    );
    world.settle();
    // The level below keeps reading.
    assert_eq!(
        world.seen_whistle(SECRETARY, street).stage(),
        WhistleStage::Concluded
    );
    assert_eq!(world.escalations(), 1);
}

#[test]
fn late_but_valid_stands_down_and_leaves_the_reason() {
    // What could go wrong: blaming somebody who solved it in time in a place
    // without signal.
    let mut world = World::new("late-but-valid", 1);
    let whistle = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.pass(HOUR_MS);
    world.answer(URBAN, whistle, URBAN_POST);
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 1);
    world.settle();
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::FedBack);
    let why = state.escalations[0].stood_down.clone().expect("stood down");
    assert!(why.contains("2025-06-11 10:00"), "{why}");
    let street = state.escalations[0].into;
    assert_eq!(
        world.seen_whistle(DISPATCHER, street).stage(),
        WhistleStage::StoodDown
    );
}

#[test]
fn once_the_street_has_acted_a_stand_down_is_only_proposed() {
    // What could go wrong: sending a department home that is on its way,
    // without asking the dispatcher.
    let mut world = World::new("proposed", 1);
    let whistle = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.pass(HOUR_MS);
    world.answer(URBAN, whistle, URBAN_POST);
    world.pass(2 * HOUR_MS);
    world.sync(DISPATCHER);
    let street = RecordId::of_escalation(whistle, 2, 1);
    let party = Party::Organisation("D01".into());
    let target = Target {
        party: party.clone(),
        lead: true,
        mandatory: true,
    };
    world.on_whistle(
        DISPATCHER,
        street,
        Body::Summon {
            targets: vec![target],
        },
    );
    world.sync(DISPATCHER);
    world.sync(EMERGENCY);
    world.on_whistle(EMERGENCY, street, Body::Sign { party: party.key() });
    world.sync(EMERGENCY);
    world.of(URBAN).offline = false;
    world.sync(URBAN);
    world.sync(DISPATCHER);
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
    let text = state.escalations[0].proposed.clone().expect("proposed");
    world.on_whistle(DISPATCHER, street, Body::StandDown { text, round: 1 });
    world.settle();
    assert_eq!(
        world.seen_whistle(EMERGENCY, street).stage(),
        WhistleStage::StoodDown
    );
}

#[test]
fn a_clock_set_back_gains_nothing() {
    // What could go wrong: feedback after the deadline that claims to be from
    // before it.
    let mut world = World::new("clock-back", 1);
    let whistle = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.pass(3 * HOUR_MS);
    world.of(URBAN).clock_error_ms = -2 * HOUR_MS;
    world.answer(URBAN, whistle, URBAN_POST);
    world.settle();
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::Escalated);
}

#[test]
fn two_failed_verifications_escalate_before_the_deadline() {
    // What could go wrong: a third round of the same, while the time runs out.
    let mut world = World::new("two-failed", 1);
    let whistle = whistled(&mut world);
    for _ in 0..2 {
        world.answer(URBAN, whistle, URBAN_POST);
        world.sync(URBAN);
        world.sync(SECRETARY);
        let failed = Body::Verify {
            party: party(),
            passed: false,
            text: "还在".into(),
        };
        world.on_whistle(SECRETARY, whistle, failed);
        world.sync(SECRETARY);
        world.sync(URBAN);
    }
    world.settle();
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(
        state.escalations[0].cause,
        EscalationCause::TwoFailedVerifications
    );
}

#[test]
fn the_secretary_asks_and_the_server_escalates() {
    // What could go wrong: two phones of one community asking at once, and two
    // street whistles for it.
    let mut world = World::new("asked", 1);
    let whistle = whistled(&mut world);
    world.on_whistle(
        SECRETARY,
        whistle,
        Body::AskEscalation {
            reason: "需要执法权".into(),
        },
    );
    world.settle();
    let street = RecordId::of_escalation(whistle, 2, 1);
    assert_eq!(
        world.seen_whistle(SECRETARY, street).stage(),
        WhistleStage::Issued
    );
    let again = Body::AskEscalation {
        reason: "再报一次".into(),
    };
    let draft = Draft::on(RecordKind::Whistle, whistle, again);
    let refused = world
        .try_act(SECRETARY, draft)
        .expect_err("escalated already");
    assert!(
        refused.to_string().contains("escalated already"),
        "{refused}"
    );
    world.settle();
}
