//! One finding from the patrol to the evaluation, and a week without signal.

use rand::RngExt;
use shaodao_core::domain::action::{BLOWER, Body, fact};
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_tests::world::network::Weather;
use shaodao_tests::world::{HOUR_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const INSPECTOR: &str = "P01006-05";

#[test]
fn one_finding_end_to_end() {
    // What could go wrong: a step that works only online, or a step of one
    // person that another does not see.
    let mut world = World::new("end-to-end", 1);
    for person in [HEAD, SECRETARY, URBAN, INSPECTOR] {
        world.phone(person);
    }
    world.of(HEAD).offline = true;
    let finding = world.report(HEAD, GRID, "E0403", "北门街燃气泄漏");
    assert!(!world.sync(HEAD), "no signal in the stairwell");
    world.of(HEAD).offline = false;
    assert!(world.sync(HEAD));

    world.sync(SECRETARY);
    world.on_finding(SECRETARY, finding, Body::Accept);
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4);
    assert_eq!(
        world.finding(SECRETARY, finding).text(fact::NUMBER),
        "",
        "待编号"
    );
    world.sync(SECRETARY);
    assert_eq!(
        world.finding(SECRETARY, finding).text(fact::NUMBER),
        "E0403-20250611-0001"
    );

    world.sync(URBAN);
    let party = || URBAN_POST.to_owned();
    world.on_whistle(URBAN, whistle, Body::Sign { party: party() });
    world.pass(HOUR_MS);
    world.on_whistle(
        URBAN,
        whistle,
        Body::Arrive {
            party: party(),
            heads: 2,
            position: None,
            away: None,
        },
    );
    world.on_whistle(
        URBAN,
        whistle,
        Body::Feedback {
            party: party(),
            text: "已关阀".into(),
        },
    );
    world.sync(URBAN);
    world.sync(INSPECTOR);
    world.on_whistle(
        INSPECTOR,
        whistle,
        Body::Verify {
            party: party(),
            passed: true,
            text: String::new(),
        },
    );
    world.sync(INSPECTOR);
    world.sync(SECRETARY);
    world.on_whistle(
        SECRETARY,
        whistle,
        Body::Conclude {
            text: "已恢复供气".into(),
        },
    );
    world.on_whistle(
        SECRETARY,
        whistle,
        Body::Evaluate {
            party: party(),
            score: 5,
            text: String::new(),
        },
    );
    world.sync(SECRETARY);
    world.sync(URBAN);
    world.on_whistle(
        URBAN,
        whistle,
        Body::Evaluate {
            party: BLOWER.into(),
            score: 4,
            text: String::new(),
        },
    );
    world.settle();

    assert_eq!(
        world.seen_whistle(HEAD, whistle).stage(),
        WhistleStage::Evaluated
    );
    let row = world
        .of(HEAD)
        .device
        .store()
        .finding(finding)
        .expect("reads")
        .expect("is here");
    assert_eq!(row.stage, FindingStage::Closed);
    for person in world.people() {
        assert_eq!(
            world
                .of(&person)
                .device
                .store()
                .counts()
                .expect("counts")
                .troubles,
            0,
            "{person}"
        );
    }
}

#[test]
fn an_offline_week_arrives_whole_through_bad_weather() {
    // What could go wrong: a second batch dropped, a reply lost after the
    // server has judged, a request that overtakes an older one.
    for seed in 10..16 {
        let mut world = World::new("offline-week", seed);
        for person in [HEAD, SECRETARY, URBAN] {
            world.phone(person);
        }
        world.of(HEAD).offline = true;
        let mut findings = Vec::new();
        for day in 0..7 {
            for nth in 0..12 {
                findings.push(world.report(
                    HEAD,
                    GRID,
                    "E0102",
                    &format!("第{day}天第{nth}处垃圾"),
                ));
            }
            let note = Body::Note {
                text: format!("第{day}天小结"),
            };
            let at = world.rng.random_range(0..findings.len());
            world.on_finding(HEAD, findings[at], note);
            world.pass(24 * HOUR_MS);
        }
        world.of(HEAD).offline = false;
        world.weather = Weather::bad();
        for _ in 0..10 {
            world.sync_all();
        }
        world.settle();
        let counts = world.of(SECRETARY).device.store().counts().expect("counts");
        assert_eq!(counts.findings, 84);
        assert_eq!(
            world.server_count("SELECT COUNT(*) FROM envelope WHERE standing = 1"),
            91
        );
        assert_eq!(
            world.server_count("SELECT MAX(position) - COUNT(*) FROM feed"),
            0,
            "feed positions have no gaps"
        );
    }
}
