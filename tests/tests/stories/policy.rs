//! An operator changes the policy while limits run.

use serde_json::{Value as Json, json};

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind, Terms, Value, fact};
use shaodao_core::domain::calendar::{Light, Limit};
use shaodao_core::domain::deadline;
use shaodao_core::domain::ids::RecordId;
use shaodao_tests::world::deeds::{arrive, verify};
use shaodao_tests::world::{HOUR_MS, World, order};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const SUPERVISOR: &str = "S-03";

fn street(name: &str) -> World {
    let mut world = World::new(name, 1);
    for person in [SECRETARY, URBAN, SUPERVISOR] {
        world.phone(person);
    }
    world
}

/// The terms of two urgent hours from now, by the policy that somebody knows.
fn terms(world: &mut World, person: &str) -> Terms {
    let start_ms = world.now_ms();
    let directory = world.of(person).device.directory().expect("a directory");
    Terms {
        start_ms,
        limit: "2u".parse::<Limit>().expect("a limit"),
        calendar: directory.calendar.version().to_owned(),
        policy: directory.policy_edition(),
    }
}

/// A whistle that is due in two hours, by the policy that the secretary knows.
fn whistled(world: &mut World) -> RecordId {
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let due_ms = world.now_ms() + 2 * HOUR_MS;
    let mut order = order(NORTH_GATE, vec![finding], &[URBAN_POST], due_ms);
    order.terms = Some(terms(world, SECRETARY));
    let title = [(fact::TITLE.to_owned(), Value::Text("清运".to_owned()))];
    let draft = Draft::new(RecordKind::Whistle, title.into(), Body::Issue(order));
    let whistle = world.act(SECRETARY, draft);
    world.sync(SECRETARY);
    world.sync_all();
    whistle
}

#[test]
fn a_running_limit_keeps_the_ladder_that_it_began_under() {
    // What could go wrong: a ladder that is changed at noon calls off, or calls
    // up, what was promised in the morning; phone and server go by different
    // ones; a limit that the blower recomputes goes on by the old one.
    let mut world = street("ladder-edition");
    let first = whistled(&mut world);
    let recomputed = whistled(&mut world);
    let only_marks = json!([{ "from": "street", "causes": ["no_arrival"] }]);
    let edition = world.edit_directory("another policy", |pack| {
        pack["policy"]["ladder"] = only_marks
    });
    world.sync_all();
    let second = whistled(&mut world);
    let directory = world.of(URBAN).device.directory().expect("a directory");
    assert_eq!(directory.version, edition.expect("an edition"));
    assert!(world.timers().contains_key(&first));
    assert!(!world.timers().contains_key(&second));

    // The explicit act: the same limit under the policy that is in force.
    assert!(world.timers().contains_key(&recomputed));
    let mut terms = terms(&mut world, SECRETARY);
    let state = world.seen_whistle(SECRETARY, recomputed);
    terms.start_ms = state.started_at_ms();
    let recompute = Body::Recompute {
        due_ms: world.now_ms() + 2 * HOUR_MS,
        terms: Some(terms),
        reason: "按新政策".into(),
    };
    world.on_whistle(SECRETARY, recomputed, recompute);
    world.sync(SECRETARY);
    assert!(!world.timers().contains_key(&recomputed));

    world.pass(2 * HOUR_MS + 1);
    assert_eq!(world.escalations(), 1);
    world.settle();
    let state = world.seen_whistle(URBAN, first);
    assert!(state.escalated().is_some());
}

#[test]
fn a_date_set_by_hand_follows_the_policy_in_force_at_once() {
    // What could go wrong: what was armed yesterday fires by yesterday's ladder.
    let mut world = street("by-hand");
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
    world.sync_all();
    let before_ms = world.timers()[&whistle];
    let held = json!([{ "from": "community", "causes": ["due_passed"], "hold_minutes": 30 }]);
    world
        .edit_directory("another policy", |pack| pack["policy"]["ladder"] = held)
        .expect("an edition");
    let half_ms = HOUR_MS / 2;
    assert_eq!(world.timers()[&whistle], before_ms + half_ms);
    world.sync_all();
    world.pass(2 * HOUR_MS + half_ms);
    assert_eq!(world.escalations(), 0);
    world.pass(1);
    assert_eq!(world.escalations(), 1);
    world.settle();
}

#[test]
fn a_third_policy_leaves_the_first_and_the_second_alone() {
    // What could go wrong: only the newest of the former policies is kept, or
    // an edition that changes people alone takes one away.
    let mut world = street("three-policies");
    let limits = ["4h", "2h", "1h"];
    let mut running = vec![whistled(&mut world)];
    for limit in &limits[1..] {
        let set = |pack: &mut Json| pack["policy"]["rework_limit"] = json!(limit);
        world
            .edit_directory("another policy", set)
            .expect("an edition");
        world
            .edit_directory("another policy", |pack| {
                pack["posts"][0]["name"] = json!("网格长")
            })
            .expect("an edition");
        world.sync_all();
        running.push(whistled(&mut world));
    }
    for whistle in &running {
        world.answer(URBAN, *whistle, URBAN_POST);
        world.sync(URBAN);
        world.sync(SUPERVISOR);
        world.on_whistle(SUPERVISOR, *whistle, verify(URBAN_POST, false));
    }
    world.settle();
    let directory = world.of(URBAN).device.directory().expect("a directory");
    assert_eq!(directory.past_policies.len(), 2);
    for (whistle, hours) in running.iter().zip([4, 2, 1]) {
        let state = world.seen_whistle(URBAN, *whistle);
        let target = &state.targets[URBAN_POST];
        let due = deadline::rework_due(&state, target, &directory).expect("a limit");
        let failed = target.rework().expect("failed").entry.claim.reading_ms();
        let whole = failed.div_euclid(60_000) * 60_000 + hours * HOUR_MS;
        let lunch = if hours == 4 { HOUR_MS } else { 0 };
        assert_eq!(due.at_ms, whole + lunch, "{hours} working hours");
    }
}

#[test]
fn belief_in_clocks_does_not_change_under_a_running_limit() {
    // What could go wrong: an operator who trusts phones for a shorter time
    // from today turns yesterday's punctual work into a question.
    let mut world = street("belief-edition");
    let whistle = whistled(&mut world);
    world.of(URBAN).offline = true;
    world.pass(HOUR_MS + HOUR_MS / 2);
    world.on_whistle(URBAN, whistle, arrive(URBAN_POST));
    world.answer(URBAN, whistle, URBAN_POST);
    world.pass(HOUR_MS);
    let set = |pack: &mut Json| pack["policy"]["max_anchor_age_hours"] = json!(1);
    world
        .edit_directory("another policy", set)
        .expect("an edition");
    world.of(URBAN).offline = false;
    world.settle();
    let state = world.seen_whistle(SECRETARY, whistle);
    assert!(state.escalations[0].stood_down.is_some(), "kept");
}

#[test]
fn lights_turn_yellow_where_the_policy_of_the_whistle_says() {
    // What could go wrong: a morning's whistle that turns yellow at once,
    // because somebody wants to be warned earlier from today.
    let mut world = street("yellow-edition");
    let before = whistled(&mut world);
    let refused = world.edit_directory("another policy", |pack| {
        pack["policy"]["yellow_percent"] = json!(0);
    });
    assert!(refused.is_err(), "nothing is yellow from the start");
    let set = |pack: &mut Json| pack["policy"]["yellow_percent"] = json!(50);
    world
        .edit_directory("another policy", set)
        .expect("an edition");
    world.sync_all();
    let after = whistled(&mut world);
    world.pass(HOUR_MS);
    let now_ms = world.now_ms();
    let directory = world.of(URBAN).device.directory().expect("a directory");
    for (whistle, light) in [(before, Light::Green), (after, Light::Yellow)] {
        let state = world.seen_whistle(URBAN, whistle);
        let seen = deadline::light(&state, &directory, now_ms);
        assert_eq!(seen, Some(light));
    }
    world.settle();
}

#[test]
fn a_calendar_that_limits_run_by_is_not_changed_under_its_name() {
    // What could go wrong: a typing mistake is mended in the file, and every
    // running limit moves without anybody having said so.
    let mut world = street("same-name");
    let mend = |pack: &mut Json| pack["calendars"][1]["working_day_minutes"] = json!(400);
    let refused = world
        .edit_directory("another policy", mend)
        .expect_err("limits run by it");
    assert!(refused.to_string().contains("office-2026"), "{refused}");
    // One that is left out is kept.
    let leave_out = |pack: &mut Json| {
        let calendars = pack["calendars"].as_array_mut().expect("calendars");
        calendars.remove(0);
    };
    world
        .edit_directory("another policy", leave_out)
        .expect("an edition");
    world.settle();
    let directory = world.of(URBAN).device.directory().expect("a directory");
    assert!(directory.calendar("office-2025").is_some());
}
