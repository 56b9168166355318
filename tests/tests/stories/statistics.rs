//! What is counted, of how many, and what is not held against anybody.

use shaodao_core::domain::action::{BLOWER, Body};
use shaodao_core::domain::statistics::{Grouping, Period, Share, Statistics};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const CLEANER: &str = "P01006-08";
const CLEANER_POST: &str = "post:530102001006001/cleaner";
const INSPECTOR: &str = "P01006-05";

fn count(world: &mut World, grouping: Grouping, key: &str) -> Statistics {
    let period = Period {
        from_ms: MORNING_MS - HOUR_MS,
        to_ms: MORNING_MS + 24 * HOUR_MS,
        area: Some(NORTH_GATE.to_owned()),
    };
    let now_ms = world.now_ms();
    let device = &world.of(SECRETARY).device;
    let view = device
        .statistics(now_ms, &period, grouping)
        .expect("counts");
    view.groups.get(key).cloned().unwrap_or_default()
}

fn handle(
    world: &mut World,
    person: &str,
    whistle: shaodao_core::domain::ids::RecordId,
    key: &str,
) {
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

fn verify(passed: bool, key: &str) -> Body {
    Body::Verify {
        party: key.to_owned(),
        passed,
        text: String::new(),
    }
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
        count(&mut world, Grouping::Post, "urban")
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
    let fed_back = count(&mut world, Grouping::Community, NORTH_GATE).fed_back;
    assert_eq!(fed_back.share, Share { of: 1, out_of: 2 });
    let urban = count(&mut world, Grouping::Post, "urban");
    assert_eq!(urban.fed_back.share, Share { of: 1, out_of: 1 });
    assert_eq!(
        (urban.arrivals, urban.person_times, urban.people.len()),
        (1, 3, 1)
    );
    let cleaner = count(&mut world, Grouping::Post, "cleaner");
    assert_eq!(cleaner.fed_back.share, Share { of: 0, out_of: 1 });
    assert_eq!(cleaner.escalations, 1);

    world.on_whistle(INSPECTOR, whistle, verify(false, URBAN_POST));
    world.settle();
    let party = URBAN_POST.to_owned();
    let text = "已清运".to_owned();
    world.on_whistle(URBAN, whistle, Body::Feedback { party, text });
    world.settle();
    for key in targets {
        world.on_whistle(INSPECTOR, whistle, verify(true, key));
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
    let all = count(&mut world, Grouping::Community, NORTH_GATE);
    assert_eq!((all.whistles, all.concluded, all.reworks), (1, 1, 1));
    assert_eq!(
        (all.arrivals, all.person_times, all.people.len()),
        (2, 6, 2)
    );
    assert_eq!(all.targets.to_string(), "4.0");
    assert_eq!((all.targets.given, all.targets.not_scored), (1, 1));
    assert_eq!(all.blowers.to_string(), "5.0");
    assert_eq!(all.solved.len(), 1);
    let cleaner = count(&mut world, Grouping::Post, "cleaner");
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
    let urban = count(&mut world, Grouping::Post, "urban");
    assert_eq!((urban.escalations, urban.stood_down), (0, 1));
    assert_eq!(urban.fed_back.share, Share { of: 1, out_of: 1 });
}
