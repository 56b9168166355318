//! What is counted, of how many, and what is not held against anybody.

use shaodao_core::domain::action::{BLOWER, Body};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::statistics::{Grouping, Period, Share, Statistics};
use shaodao_tests::world::deeds::{feedback, summon, verify};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, World};

const STREET: &str = "530102001";
const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const CLEANER: &str = "P01006-08";
const CLEANER_POST: &str = "post:530102001006001/cleaner";
const INSPECTOR: &str = "P01006-05";
const SUPERVISOR: &str = "S-03";
const DISPATCHER: &str = "S-01";
const EMERGENCY: &str = "L-D01";
const DEPARTMENT: &str = "org:D01";

/// What somebody's phone counts in the street.
fn count(world: &mut World, person: &str, grouping: Grouping, key: &str) -> Statistics {
    let period = Period {
        from_ms: MORNING_MS - HOUR_MS,
        to_ms: MORNING_MS + 24 * HOUR_MS,
        area: Some(STREET.to_owned()),
    };
    let now_ms = world.now_ms();
    let device = &world.of(person).device;
    let view = device
        .statistics(now_ms, &period, grouping)
        .expect("counts");
    view.groups.get(key).cloned().unwrap_or_default()
}

fn handle(world: &mut World, person: &str, whistle: RecordId, key: &str) {
    let party = key.to_owned();
    let arrive = Body::Arrive {
        party: party.clone(),
        heads: 3,
        position: None,
        away: None,
    };
    world.on_whistle(person, whistle, arrive);
    let text = "已处理".to_owned();
    world.on_whistle(person, whistle, Body::Feedback { party, text });
}

#[test]
fn every_rate_says_of_how_many_and_nothing_of_nothing_is_a_dash() {
    // What could go wrong: a missing score counted as full marks, a late post
    // that hides behind a punctual one, an offline post blamed for its signal.
    let mut world = World::new("statistics", 1);
    for person in [SECRETARY, URBAN, CLEANER, INSPECTOR] {
        world.phone(person);
    }
    assert_eq!(
        count(&mut world, SECRETARY, Grouping::Post, "urban")
            .fed_back
            .share
            .to_string(),
        "—"
    );
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let targets = [URBAN_POST, CLEANER_POST];
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &targets, 4);
    world.settle();
    // The urban officer works without a signal, in time; a verification fails,
    // and the second one passes. The cleaner comes after the due time.
    world.of(URBAN).offline = true;
    world.pass(HOUR_MS);
    handle(&mut world, URBAN, whistle, URBAN_POST);
    world.pass(4 * HOUR_MS);
    handle(&mut world, CLEANER, whistle, CLEANER_POST);
    world.settle();
    let fed_back = count(&mut world, SECRETARY, Grouping::Community, NORTH_GATE).fed_back;
    assert_eq!(fed_back.share, Share { of: 1, out_of: 2 });
    let urban = count(&mut world, SECRETARY, Grouping::Post, "urban");
    assert_eq!(urban.fed_back.share, Share { of: 1, out_of: 1 });
    assert_eq!(
        (urban.arrivals, urban.person_times, urban.people.len()),
        (1, 3, 1)
    );
    let cleaner = count(&mut world, SECRETARY, Grouping::Post, "cleaner");
    assert_eq!(cleaner.fed_back.share, Share { of: 0, out_of: 1 });
    assert_eq!(cleaner.escalations, 1);

    world.on_whistle(INSPECTOR, whistle, verify(URBAN_POST, false));
    world.settle();
    let party = URBAN_POST.to_owned();
    let text = "已清运".to_owned();
    world.on_whistle(URBAN, whistle, Body::Feedback { party, text });
    world.settle();
    for key in targets {
        world.on_whistle(INSPECTOR, whistle, verify(key, true));
    }
    world.settle();
    world.on_whistle(
        SECRETARY,
        whistle,
        Body::Conclude {
            text: "办结".into(),
        },
    );
    let evaluate = |of: &str, score| Body::Evaluate {
        party: of.to_owned(),
        score,
        text: String::new(),
    };
    world.on_whistle(SECRETARY, whistle, evaluate(URBAN_POST, 4));
    world.settle();
    world.on_whistle(URBAN, whistle, evaluate(BLOWER, 5));
    world.settle();
    let all = count(&mut world, SECRETARY, Grouping::Community, NORTH_GATE);
    assert_eq!((all.whistles, all.concluded, all.reworks), (1, 1, 1));
    assert_eq!(
        (all.arrivals, all.person_times, all.people.len()),
        (2, 6, 2)
    );
    assert_eq!(all.targets.to_string(), "4.0");
    assert_eq!((all.targets.given, all.targets.not_scored), (1, 1));
    assert_eq!(all.blowers.to_string(), "5.0");
    assert_eq!(all.solved.len(), 1);
    let cleaner = count(&mut world, SECRETARY, Grouping::Post, "cleaner");
    assert_eq!(cleaner.targets.to_string(), "—");
}

#[test]
fn a_whole_grid_that_was_stood_down_carries_no_mark() {
    // What could go wrong: timely work offline counted as an escalation.
    let mut world = World::new("no-mark", 1);
    for person in [SECRETARY, URBAN] {
        world.phone(person);
    }
    let finding = world.report(SECRETARY, GRID, "E0103", "渣土堆放");
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4);
    world.settle();
    world.of(URBAN).offline = true;
    world.pass(HOUR_MS);
    handle(&mut world, URBAN, whistle, URBAN_POST);
    world.pass(4 * HOUR_MS);
    assert_eq!(world.server_count("SELECT COUNT(*) FROM escalation"), 1);
    world.settle();
    let urban = count(&mut world, SECRETARY, Grouping::Post, "urban");
    assert_eq!((urban.escalations, urban.stood_down), (0, 1));
    assert_eq!(urban.fed_back.share, Share { of: 1, out_of: 1 });
}

#[test]
fn marks_escalations_and_answers_are_counted_of_those_that_can_have_them() {
    // What could go wrong: a rate of marks over whistles that are never marked,
    // a withdrawn mark held against somebody, a demand that is not due yet
    // counted as missed.
    let mut world = World::new("marks-counted", 1);
    for person in [SECRETARY, URBAN, DISPATCHER, SUPERVISOR, EMERGENCY] {
        world.phone(person);
    }
    let all = |world: &mut World| count(world, DISPATCHER, Grouping::Street, STREET);
    let none = all(&mut world);
    for share in [none.escalated, none.marked, none.passed, none.replied.share] {
        assert_eq!(share.to_string(), "—");
    }
    // Two whistles; nobody comes to one of them.
    let [missed, met] = ["渣土堆放", "垃圾"].map(|title| {
        let finding = world.report(SECRETARY, GRID, "E0103", title);
        world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2)
    });
    world.sync(SECRETARY);
    world.sync_all();
    for (party, hours) in [(BLOWER, 1), (URBAN_POST, 40)] {
        let demand = Body::Supervise {
            party: party.to_owned(),
            text: "请说明进展".to_owned(),
            reply_by_ms: MORNING_MS + hours * HOUR_MS,
        };
        world.on_whistle(SUPERVISOR, met, demand);
    }
    world.answer(URBAN, met, URBAN_POST);
    world.sync(SUPERVISOR);
    world.sync(URBAN);
    world.pass(2 * HOUR_MS + 1);
    let taken_over = RecordId::of_escalation(missed, 2, 1);
    world.sync(DISPATCHER);
    world.on_whistle(DISPATCHER, taken_over, summon(DEPARTMENT));
    world.sync(DISPATCHER);
    world.sync(EMERGENCY);
    let so_far = all(&mut world);
    assert_eq!(so_far.escalated, Share { of: 1, out_of: 2 });
    assert_eq!(so_far.marked, Share { of: 0, out_of: 1 });
    // The blower owes an answer since ten; the target has until tomorrow.
    assert_eq!(so_far.replied.share, Share { of: 0, out_of: 1 });
    let post = count(&mut world, DISPATCHER, Grouping::Post, "urban");
    assert_eq!(
        post.replied.share.to_string(),
        "—",
        "not the target's to answer"
    );

    world.pass(25 * HOUR_MS);
    world.sync(DISPATCHER);
    let marked = all(&mut world);
    assert_eq!((marked.marks, marked.marks_withdrawn), (1, 0));
    assert_eq!(marked.marked, Share { of: 1, out_of: 1 });
    let department = count(&mut world, DISPATCHER, Grouping::Department, "D01");
    assert_eq!(department.marks, 1);
    assert_eq!(
        department.escalated.to_string(),
        "—",
        "no community's whistle"
    );
    let text = "已与区级协调".to_owned();
    world.on_whistle(
        DISPATCHER,
        taken_over,
        Body::WithdrawMark { text, round: 1 },
    );
    world.settle();
    let withdrawn = all(&mut world);
    assert_eq!((withdrawn.marks, withdrawn.marks_withdrawn), (0, 1));
    assert_eq!(withdrawn.marked, Share { of: 0, out_of: 1 });
    // Verified once in vain and once not.
    for passed in [false, true] {
        if passed {
            world.on_whistle(URBAN, met, feedback(URBAN_POST));
            world.sync(URBAN);
        }
        world.sync(SUPERVISOR);
        world.on_whistle(SUPERVISOR, met, verify(URBAN_POST, passed));
        world.sync(SUPERVISOR);
        world.sync(URBAN);
    }
    world.settle();
    let verified = all(&mut world);
    assert_eq!(verified.passed, Share { of: 1, out_of: 2 });
    assert_eq!(verified.reworks, 1);
}
