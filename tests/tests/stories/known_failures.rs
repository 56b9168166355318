//! How other systems of this kind have failed their users, by the name that the
//! failure has, and what watches that it does not happen here:
//!
//! - *silent reject* (the upload is refused, the app says "sent"):
//!   `disagreement::a_poisoned_item_does_not_block_the_queue`,
//!   `disagreement::what_is_not_possible_any_more_comes_back_with_one_plain_sentence`,
//!   and `refusals_are_explained` in every week of the simulation;
//! - *second photo batch lost* (the first photos go, what is taken after them is
//!   dropped, and the app says "sent"):
//!   `evidence::seven_of_nine_photos_have_arrived_and_everybody_knows_where_the_others_are`,
//!   `evidence_show::twenty_photos_arrive_over_a_connection_that_breaks_whoever_is_killed`;
//! - *twin tasks* (sent again after a lost answer, done twice):
//!   [`twin_tasks`];
//! - *equal timestamps* (of two changes in one millisecond one is lost, or each
//!   phone keeps another one): [`equal_timestamps`];
//! - *partial data escalating* (the alarm goes off while the proof is still
//!   being uploaded): [`partial_data_escalating`];
//! - *empty pull overwriting* (an empty answer is taken for an empty street):
//!   [`empty_pull_overwriting`];
//! - *deleted item resurrected after a long absence*:
//!   [`resurrected_after_a_long_absence`];
//! - *crash inside recovery* (the second crash loses what the first one left):
//!   `durability::a_kill_during_recovery_leaves_a_state_that_recovers_again`.

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind, Value, fact};
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_tests::world::network::Weather;
use shaodao_tests::world::{HOUR_MS, World, rows};

const GRID: &str = "530102001006001";
const NORTH_GATE: &str = "530102001006";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";

#[test]
fn twin_tasks() {
    // The answer is lost again and again, and the app dies in between.
    let mut world = World::new("twins", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.weather = Weather {
        reply_lost: 100,
        ..Weather::fine()
    };
    for _ in 0..4 {
        assert!(!world.sync(HEAD));
        world.restart(HEAD);
    }
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 1);
    world.weather = Weather::fine();
    world.sync_all();
    world.sync_all();
    world.on_finding(SECRETARY, finding, Body::Accept);
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 1);
    assert_eq!(world.server_count("SELECT COUNT(*) FROM envelope"), 3);
    let counts = world.of(HEAD).device.store().counts().expect("counts");
    assert_eq!((counts.findings, counts.troubles), (1, 0));
}

#[test]
fn equal_timestamps() {
    // Both phones show the same millisecond, and neither has heard of the other.
    let mut world = World::new("equal", 2);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync_all();
    world.sync_all();
    for (person, address) in [(HEAD, "北门街1号"), (SECRETARY, "北门街2号")] {
        let facts = [(fact::ADDRESS.to_owned(), Value::Text(address.to_owned()))];
        let draft = Draft::on(RecordKind::Finding, finding, Body::Correct);
        world.act(person, draft.with_facts(facts.into()));
    }
    world.settle();
    let [here, there] = [HEAD, SECRETARY].map(|person| world.finding(person, finding));
    assert_eq!(here, there);
    let address = &here.facts[fact::ADDRESS];
    let mut both = vec![address.value.clone(), address.others[0].0.clone()];
    both.sort();
    let wanted = ["北门街1号", "北门街2号"].map(|text| Value::Text(text.to_owned()));
    assert_eq!(both, wanted);
    // Whoever has seen both decides.
    let facts = [(fact::ADDRESS.to_owned(), wanted[0].clone())];
    let draft = Draft::on(RecordKind::Finding, finding, Body::Correct);
    world.act(SECRETARY, draft.with_facts(facts.into()));
    world.settle();
    assert!(world.finding(HEAD, finding).conflicts().is_empty());
}

#[test]
fn partial_data_escalating() {
    // The work was done in time without a signal. The due time has passed when
    // it arrives, piece by piece: after each piece the server could think that
    // the rest is missing.
    let mut world = World::new("partial", 3);
    for person in [HEAD, SECRETARY, URBAN] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync_all();
    world.sync_all();
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    world.sync_all();
    world.sync_all();
    let party = || URBAN_POST.to_owned();
    world.pass(HOUR_MS);
    world.on_whistle(URBAN, whistle, Body::Sign { party: party() });
    let arrive = Body::Arrive {
        party: party(),
        heads: 2,
        position: None,
        away: None,
    };
    world.on_whistle(URBAN, whistle, arrive);
    let text = "已清理".to_owned();
    let done = Body::Feedback {
        party: party(),
        text,
    };
    world.on_whistle(URBAN, whistle, done);
    // Nobody has looked yet when the whole of it comes.
    world.wait(HOUR_MS + 1);
    world.sync(URBAN);
    world.pass(HOUR_MS);
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM escalation"), 0);
    let stage = world.seen_whistle(SECRETARY, whistle).stage();
    assert_eq!(stage, WhistleStage::FedBack);
}

#[test]
fn empty_pull_overwriting() {
    // The server has nothing new to say, over and over, in whole and in broken
    // replies, and the phone has things that the server never heard of.
    let mut world = World::new("empty-pull", 4);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    for nth in 0..5 {
        world.report(HEAD, GRID, "E0102", &format!("第{nth}处"));
    }
    world.sync_all();
    world.sync_all();
    let unsent = world.report(SECRETARY, GRID, "E0102", "还没有上传");
    let listed = |world: &mut World| rows(world.of(SECRETARY).device.store());
    let before = listed(&mut world);
    world.weather = Weather {
        reply_cut: 50,
        lost: 50,
        ..Weather::fine()
    };
    for _ in 0..20 {
        world.sync(SECRETARY);
        assert_eq!(listed(&mut world), before);
    }
    world.weather = Weather::fine();
    for _ in 0..3 {
        world.pass(2 * HOUR_MS);
        world.sync_all();
        let counts = world.of(SECRETARY).device.store().counts();
        assert_eq!(counts.expect("counts").findings, 6);
    }
    assert!(world.of(HEAD).device.show(unsent).is_ok());
    world.settle();
}

#[test]
fn resurrected_after_a_long_absence() {
    // Somebody is away for three months with what was closed long ago, has gone
    // on working on it, and comes back.
    let mut world = World::new("resurrected", 5);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync_all();
    world.sync_all();
    world.of(HEAD).offline = true;
    world.pass(HOUR_MS);
    let reason = "不属于本社区".to_owned();
    world.on_finding(SECRETARY, finding, Body::Decline { reason });
    world.sync(SECRETARY);
    world.pass(90 * 24 * HOUR_MS);
    let text = "已自行清理".to_owned();
    world.on_finding(HEAD, finding, Body::SelfResolve { text });
    world.restart(HEAD);
    world.settle();
    for person in [HEAD, SECRETARY] {
        let state = world.finding(person, finding);
        assert_eq!(state.stage, FindingStage::Declined, "{person}");
        // What was done is kept and shown, without effect.
        assert_eq!(state.traces.len(), 1);
    }
    assert_eq!(world.of(HEAD).device.troubles().expect("one").len(), 1);
}
