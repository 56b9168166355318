//! What a wrong clock of the server does to deadlines: nothing.

use shaodao_core::domain::action::Body;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_tests::world::{HOUR_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const DAY_MS: i64 = 24 * HOUR_MS;

/// A whistle that is due in two hours, on the phones of both.
fn whistled(world: &mut World) -> RecordId {
    for person in [SECRETARY, URBAN] {
        world.phone(person);
    }
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    world.sync(SECRETARY);
    world.sync(URBAN);
    world.pass(60_000);
    whistle
}

#[test]
fn a_clock_set_forward_holds_every_deadline_and_says_so() {
    // What could go wrong: a typing mistake in the machine's date, and a month
    // of whistles goes to the street at once.
    let mut world = World::new("forward", 1);
    let whistle = whistled(&mut world);
    assert_eq!(world.get("/readyz"), "ready\n");
    world.set_server_clock_wrong(30 * DAY_MS);
    world.look_at_deadlines();
    assert_eq!(world.escalations(), 0);
    let ready = world.get("/readyz");
    assert!(ready.contains("no deadline fires"), "{ready}");
    assert!(world.get("/metrics").contains("clock_jump_ms 2592000000"));

    // Work goes on meanwhile, and its times are not those of next month.
    world.answer(URBAN, whistle, URBAN_POST);
    world.sync(URBAN);
    world.sync(SECRETARY);
    let failed = Body::Verify {
        party: URBAN_POST.into(),
        passed: false,
        text: "还在".into(),
    };
    world.on_whistle(SECRETARY, whistle, failed);
    world.sync(SECRETARY);
    world.sync(URBAN);
    assert_eq!(world.escalations(), 0);
    let contact = world.of(URBAN).device.store().contact().expect("reads");
    let anchored_ms = contact.map_or(0, |contact| contact.server_ms);
    assert_eq!(anchored_ms, world.now_ms(), "phones are not in next month");
    world.set_server_clock_wrong(-30 * DAY_MS);
    world.look_at_deadlines();
    assert_eq!(world.get("/readyz"), "ready\n");
    world.answer(URBAN, whistle, URBAN_POST);
    world.sync(URBAN);
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 0, "answered in time");
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    assert_eq!(state.stage(), WhistleStage::FedBack);
    for deed in &state.targets[URBAN_POST].feedback {
        assert!(deed.entry.received_at_ms.expect("arrived") <= world.now_ms());
    }
}

#[test]
fn a_restart_does_not_make_a_wrong_clock_right() {
    // What could go wrong: somebody restarts the server, and what was held an
    // hour ago passes for downtime.
    let mut world = World::new("forward-restart", 1);
    whistled(&mut world);
    world.set_server_clock_wrong(2 * DAY_MS);
    world.look_at_deadlines();
    world.stop_server();
    world.start_server_with_clock_wrong(2 * DAY_MS);
    world.look_at_deadlines();
    assert_eq!(world.escalations(), 0);
    assert!(world.get("/readyz").contains("no deadline fires"));

    // Two days later it is the truth, and a person says so.
    world.confirm_clock();
    world.look_at_deadlines();
    assert_eq!(world.get("/readyz"), "ready\n");
    assert_eq!(world.escalations(), 1);
    assert_eq!(
        world.server_count("SELECT COUNT(*) FROM audit WHERE what = 'clock_confirm'"),
        1
    );
    world.settle();
}

#[test]
fn whoever_comes_first_to_a_server_that_starts_on_a_wrong_clock_is_not_misled() {
    // What could go wrong: the first phone comes before the first look at the
    // deadlines, is told next month's time and has proof of having come too late.
    let mut world = World::new("wrong-from-the-start", 1);
    let whistle = whistled(&mut world);
    world.answer(URBAN, whistle, URBAN_POST);
    world.stop_server();
    world.start_server_with_clock_wrong(30 * DAY_MS);
    world.sync(URBAN);
    let contact = world.of(URBAN).device.store().contact().expect("reads");
    let anchored_ms = contact.map_or(0, |contact| contact.server_ms);
    assert!(anchored_ms <= world.now_ms(), "in next month");
    world.sync(SECRETARY);
    let state = world.seen_whistle(SECRETARY, whistle);
    for deed in &state.targets[URBAN_POST].feedback {
        assert!(deed.entry.received_at_ms.expect("arrived") <= world.now_ms());
    }
    assert!(world.get("/readyz").contains("no deadline fires"));

    world.set_server_clock_wrong(-30 * DAY_MS);
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 0, "answered in time");
    world.settle();
}

#[test]
fn a_clock_set_back_undoes_nothing_and_repeats_nothing() {
    // What could go wrong: the same deadline passes twice.
    let mut world = World::new("back", 1);
    let whistle = whistled(&mut world);
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 1);
    world.set_server_clock_wrong(-5 * HOUR_MS);
    world.look_at_deadlines();
    let ready = world.get("/readyz");
    assert!(ready.contains("deadlines fire late"), "{ready}");
    let second = world.whistle(SECRETARY, NORTH_GATE, RecordId([9; 16]), &[URBAN_POST], 1);
    world.sync(SECRETARY);
    world.pass(2 * HOUR_MS);
    assert_eq!(world.escalations(), 1, "by this clock it is not due");
    world.set_server_clock_wrong(5 * HOUR_MS);
    world.look_at_deadlines();
    assert_eq!(world.get("/readyz"), "ready\n");
    assert_eq!(world.escalations(), 2);
    world.settle();
    for whistle in [whistle, second] {
        let state = world.seen_whistle(SECRETARY, whistle);
        assert_eq!(state.escalations.len(), 1);
        assert_eq!(state.stage(), WhistleStage::Escalated);
    }
}

#[test]
fn after_downtime_levels_are_neither_skipped_nor_burst() {
    // What could go wrong: the server was down over both limits, and a
    // department is marked for the district for a whistle that nobody could
    // have known of.
    let mut world = World::new("downtime", 1);
    let whistle = whistled(&mut world);
    let later = world.whistle(SECRETARY, NORTH_GATE, RecordId([9; 16]), &[URBAN_POST], 1);
    world.sync(SECRETARY);
    world.stop_server();
    world.wait(2 * DAY_MS + 3 * HOUR_MS);
    world.start_server();
    world.look_at_deadlines();
    world.look_at_deadlines();
    assert_eq!(world.escalations(), 2);
    assert_eq!(world.marks(), 0);
    // Oldest first: the one that was due in an hour before the one in two.
    world.sync(SECRETARY);
    let of = |world: &mut World, whistle| {
        let state = world.seen_whistle(SECRETARY, whistle);
        let street = state.escalations[0].into;
        let order = world.seen_whistle(SECRETARY, street).order;
        (state.escalations[0].at_ms, order.expect("an order"))
    };
    let first = "SELECT hex(record.record) = hex(escalation.into_id) FROM escalation
         JOIN record ON record.record IN (SELECT into_id FROM escalation)
         WHERE escalation.whistle = X'LATER' ORDER BY record.id LIMIT 1";
    let first = first.replace("LATER", &later.to_string());
    assert_eq!(world.server_count(&first), 1, "the oldest goes first");
    for whistle in [whistle, later] {
        let (at_ms, order) = of(&mut world, whistle);
        let whole_ms = order.report_by_ms.expect("a limit") - at_ms;
        assert!(whole_ms > DAY_MS - 60_000, "the street has its whole limit");
    }
    world.pass(DAY_MS + 60_000);
    assert_eq!(world.marks(), 2);
    world.settle();
}
