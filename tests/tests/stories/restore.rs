//! A backup at noon, work goes on, the disk dies, and the phones are the rest
//! of the backup.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind, fact};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_core::sync::wire::Standing;
use shaodao_server::restore::RestoreError;
use shaodao_tests::world::deeds::{arrive, feedback};
use shaodao_tests::world::network::Weather;
use shaodao_tests::world::{HOUR_MS, World, finding_facts};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
const DISPATCHER: &str = "S-01";
const EVERYBODY: [&str; 4] = [HEAD, SECRETARY, URBAN, DISPATCHER];

fn street(name: &str, seed: u64) -> World {
    let mut world = World::new(name, seed);
    for person in EVERYBODY {
        world.phone(person);
    }
    world
}

/// A finding that was reported, accepted and numbered.
fn numbered(world: &mut World, title: &str) -> RecordId {
    let finding = world.report(HEAD, GRID, "E0102", title);
    world.sync(HEAD);
    world.sync(SECRETARY);
    world.on_finding(SECRETARY, finding, Body::Accept);
    world.sync(SECRETARY);
    finding
}

fn number(world: &mut World, person: &str, finding: RecordId) -> String {
    world.finding(person, finding).text(fact::NUMBER).to_owned()
}

#[test]
fn a_backup_at_noon_and_a_dead_disk_lose_nothing() {
    // What could go wrong: work after the backup is gone; a number is given
    // twice or changes; an escalation is performed again; the server's chain
    // numbers are used twice, so that its own old work looks like a clone's.
    for seed in 1..5 {
        let mut world = street("dead-disk", seed);
        let before = numbered(&mut world, "备份前");
        let early = world.whistle(SECRETARY, NORTH_GATE, before, &[URBAN_POST], 2);
        world.sync_all();
        let backup = world.backup("noon.db");

        let after = numbered(&mut world, "备份后");
        let late = world.whistle(SECRETARY, NORTH_GATE, after, &[URBAN_POST], 1);
        world.sync_all();
        // Both whistles go up to the street in the first life.
        world.pass(3 * HOUR_MS);
        world.sync_all();
        assert_eq!(
            world.seen_whistle(DISPATCHER, late).stage(),
            WhistleStage::Escalated
        );
        let acknowledged = world.acknowledged();
        let numbers = [before, after].map(|finding| number(&mut world, HEAD, finding));
        assert_eq!(numbers, ["E0102-20250611-0001", "E0102-20250611-0002"]);

        world.disk_dies();
        let offline = world.report(HEAD, GRID, "E0102", "断网期间");
        world.restore(&backup).expect("restores");
        world.start_server();
        // Deadlines are looked at before anybody has called.
        world.pass(1);
        world.pass(HOUR_MS / 2);
        assert_eq!(world.escalations(), 0);
        world.sync_all();
        world.sync_all();
        // Accepted while numbers wait.
        world.on_finding(SECRETARY, offline, Body::Accept);
        world.sync(SECRETARY);
        assert_eq!(number(&mut world, SECRETARY, offline), "", "numbers wait");
        world.pass(HOUR_MS);
        world.settle();

        assert!(acknowledged.is_subset(&world.kept()), "seed {seed}");
        for (finding, wanted) in [before, after].into_iter().zip(numbers) {
            assert_eq!(number(&mut world, DISPATCHER, finding), wanted);
        }
        assert_eq!(
            number(&mut world, HEAD, offline),
            "E0102-20250611-5001",
            "no lower number of the day can be given twice"
        );
        for whistle in [early, late] {
            let state = world.seen_whistle(SECRETARY, whistle);
            assert_eq!(state.escalations.len(), 1);
            let into = RecordId::of_escalation(whistle, 2, 1);
            assert_eq!(state.escalations[0].into, into);
        }
        assert_eq!(world.escalations(), 2);
        assert_eq!(
            world.server_count(
                "SELECT COUNT(*) FROM envelope WHERE reason IS NOT NULL AND standing <> 1"
            ),
            0,
            "nothing became a trace or was set aside"
        );
        // Tomorrow's numbers begin again: none of them was ever given.
        world.pass(24 * HOUR_MS);
        let tomorrow = numbered(&mut world, "第二天");
        world.settle();
        let number = number(&mut world, HEAD, tomorrow);
        assert_eq!(number, "E0102-20250612-0001");
    }
}

#[test]
fn work_that_arrived_in_time_stays_in_time_after_a_restore() {
    // What could go wrong: the feedback of a phone that had restarted counts by
    // its receipt; the receipt is lost with the disk, and its author is blamed.
    for shown in [true, false] {
        let mut world = street("old-receipt", u64::from(shown));
        let finding = numbered(&mut world, "渣土堆放");
        let backup = world.backup("noon.db");
        let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 2);
        world.sync(SECRETARY);
        world.sync(URBAN);
        world.restart(URBAN);
        world.answer(URBAN, whistle, URBAN_POST);
        world.sync(URBAN);

        world.disk_dies();
        if !shown {
            // A phone that cannot show what it was told.
            let path = world.folder().join(URBAN).join("phone.db");
            let db = rusqlite::Connection::open(path).expect("opens");
            let unlocked = db.execute_batch(&format!("PRAGMA key = \"x'{}'\"", "5d".repeat(32)));
            unlocked.expect("unlocks");
            db.execute("UPDATE envelope SET tag = NULL", [])
                .expect("forgets");
        }
        world.pass(5 * HOUR_MS);
        world.restore(&backup).expect("restores");
        world.start_server();
        world.pass(1);
        world.sync_all();
        world.sync_all();
        world.pass(HOUR_MS);
        world.settle();
        let escalated = world.escalations();
        assert_eq!(escalated, i64::from(!shown));
        assert_eq!(world.seen_whistle(HEAD, whistle).targets.len(), 1);
    }
}

#[test]
fn a_number_that_comes_behind_its_acceptance_is_not_given_twice() {
    // What could go wrong: the wait is over, one phone brings an acceptance and
    // its number of the old life in one request, and the server numbers the
    // acceptance before it has read on.
    let mut world = street("late-bringer", 3);
    let backup = world.backup("noon.db");
    let finding = numbered(&mut world, "井盖松动");
    world.sync_all();
    world.of(SECRETARY).offline = true;
    world.of(HEAD).offline = true;
    world.disk_dies();
    world.restore(&backup).expect("restores");
    world.start_server();
    world.pass(1);
    assert!(world.resume());
    world.pass(1);
    assert!(!world.resume(), "once");
    world.settle();
    let of_everybody: BTreeSet<String> = EVERYBODY
        .iter()
        .take(2)
        .map(|person| number(&mut world, person, finding))
        .collect();
    assert_eq!(of_everybody, ["E0102-20250611-0001".to_owned()].into());
    assert_eq!(
        world.finding(HEAD, finding).facts[fact::NUMBER]
            .others
            .len(),
        0
    );
}

#[test]
fn what_was_set_aside_comes_back_too() {
    // What could go wrong: only accepted work is brought back, and an action
    // that was kept apart "whole" is gone.
    let mut world = street("set-aside", 4);
    let finding = numbered(&mut world, "违规占道");
    world.sync_all();
    let backup = world.backup("noon.db");
    // One report is quarantined, as if by a clone.
    let title = finding_facts(GRID, "E0102", "疑似克隆");
    let apart = Draft::new(RecordKind::Finding, title, Body::Report);
    let apart = world.try_act(HEAD, apart).expect("captures").hash;
    world.poison(HEAD, &apart);
    world.sync(HEAD);
    let standing = |world: &mut World| {
        let troubles = world.of(HEAD).device.store().troubles();
        let troubles = troubles.expect("troubles").into_iter();
        let mut of = troubles.filter(|it| it.hash == apart);
        of.next().map(|it| it.standing)
    };
    assert_eq!(standing(&mut world), Some(Standing::Quarantined));
    // Both decide about the same report; the second comes too late.
    let other = world.report(HEAD, GRID, "E0102", "重复报告");
    world.sync(HEAD);
    world.sync(SECRETARY);
    world.of(SECRETARY).offline = true;
    world.on_finding(
        SECRETARY,
        other,
        Body::Decline {
            reason: "重复".into(),
        },
    );
    world.on_finding(
        HEAD,
        other,
        Body::Withdraw {
            reason: "报错了".into(),
        },
    );
    world.sync(HEAD);
    world.of(SECRETARY).offline = false;
    world.sync_all();
    let acknowledged = world.acknowledged();
    world.disk_dies();
    world.restore(&backup).expect("restores");
    world.start_server();
    world.pass(2 * HOUR_MS);
    world.settle();
    assert!(acknowledged.contains(&apart));
    assert!(acknowledged.is_subset(&world.kept()));
    assert_eq!(
        standing(&mut world),
        None,
        "the restored server knows of no clone"
    );
    assert_eq!(number(&mut world, HEAD, finding), "E0102-20250611-0001");
}

#[test]
fn a_restore_touches_nothing_that_it_should_not() {
    // What could go wrong: a running server loses its database under its feet;
    // an altered backup becomes the truth; the former database is deleted.
    let mut world = street("careful", 5);
    numbered(&mut world, "路灯不亮");
    let backup = world.backup("noon.db");
    let refused = world.restore(&backup);
    assert!(
        matches!(refused, Err(RestoreError::InUse(_))),
        "{refused:?}"
    );
    assert!(world.sync(HEAD), "the server goes on");
    world.stop_server();

    let altered = world.folder().join("altered.db");
    std::fs::copy(&backup, &altered).expect("copies");
    let db = rusqlite::Connection::open(&altered).expect("opens");
    let acts = db.execute("UPDATE audit SET who = 'nobody'", []);
    assert!(acts.expect("alters") > 0, "there are acts to alter");
    drop(db);
    let refused = world.restore(&altered);
    assert!(
        matches!(refused, Err(RestoreError::Altered(_))),
        "{refused:?}"
    );
    let nothing = world.restore(&world.folder().join("nothing.db"));
    assert!(matches!(nothing, Err(RestoreError::Missing(_))));

    let former = world.restore(&backup).expect("restores");
    assert!(former.is_some_and(|former| former.is_file()));
    world.start_server();
    world.resume();
    world.pass(1);
    world.settle();
}

#[test]
fn random_days_with_a_dead_disk_end_the_same_for_everybody() {
    // What could go wrong: some order of work, backup, death and calls that
    // loses an acknowledged action, changes a number, gives one twice, or
    // escalates twice.
    for seed in 100..116 {
        let mut world = street("random-death", seed);
        world.weather = Weather::bad();
        let mut findings = Vec::new();
        let mut whistles = Vec::new();
        work(&mut world, 15, &mut findings, &mut whistles);
        let backup = world.backup("noon.db");
        work(&mut world, 25, &mut findings, &mut whistles);
        let acknowledged = world.acknowledged();
        let numbers = numbers(&mut world);
        let escalated = escalated(&mut world);
        world.disk_dies();
        work(&mut world, 5, &mut findings, &mut whistles);
        world.restore(&backup).expect("restores");
        world.start_server();
        world.pass(1);
        for _ in 0..6 {
            world.sync_all();
        }
        world.weather = Weather::fine();
        world.sync_all();
        world.sync_all();
        world.pass(HOUR_MS);
        world.weather = Weather::bad();
        work(&mut world, 10, &mut findings, &mut whistles);
        world.settle();

        assert!(acknowledged.is_subset(&world.kept()), "seed {seed}");
        let now = self::numbers(&mut world);
        for (finding, number) in &numbers {
            assert_eq!(now.get(finding), Some(number), "seed {seed}");
        }
        let distinct: BTreeSet<&String> = now.values().collect();
        assert_eq!(distinct.len(), now.len(), "seed {seed}: a number twice");
        for whistle in escalated {
            let state = world.seen_whistle(SECRETARY, whistle);
            assert_eq!(state.escalations.len(), 1, "seed {seed}");
        }
        let opened = "SELECT COUNT(*) - COUNT(DISTINCT parent) FROM whistle
                      WHERE parent IS NOT NULL";
        assert_eq!(world.server_count(opened), 0, "seed {seed}");
    }
}

/// So many steps of people who report, accept, whistle, come and call.
fn work(
    world: &mut World,
    steps: usize,
    findings: &mut Vec<RecordId>,
    whistles: &mut Vec<RecordId>,
) {
    for step in 0..steps {
        let pick = |world: &mut World, of: &[RecordId]| match of.len() {
            0 => None,
            count => Some(of[world.rng.random_range(0..count)]),
        };
        match world.rng.random_range(0..10) {
            0..=2 => findings.push(world.report(HEAD, GRID, "E0102", &format!("第{step}处"))),
            3 | 4 => {
                if let Some(finding) = pick(world, findings) {
                    let accept = Draft::on(RecordKind::Finding, finding, Body::Accept);
                    let _ = world.try_act(SECRETARY, accept);
                }
            }
            5 => {
                if let Some(finding) = pick(world, findings)
                    && world.of(SECRETARY).device.show(finding).is_ok()
                {
                    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 1);
                    whistles.push(whistle);
                }
            }
            6 | 7 => {
                if let Some(whistle) = pick(world, whistles) {
                    for body in [arrive(URBAN_POST), feedback(URBAN_POST)] {
                        let _ = world.try_act(URBAN, Draft::on(RecordKind::Whistle, whistle, body));
                    }
                }
            }
            8 => {
                let person = EVERYBODY[world.rng.random_range(0..EVERYBODY.len())];
                if world.rng.random_bool(0.3) {
                    world.restart(person);
                }
                world.sync(person);
            }
            _ => {
                let minutes = world.rng.random_range(1..40);
                world.pass(minutes * 60_000);
            }
        }
        if world.rng.random_bool(0.4) {
            world.sync_all();
        }
    }
}

/// Every number that somebody has been told.
fn numbers(world: &mut World) -> BTreeMap<RecordId, String> {
    let mut numbers = BTreeMap::new();
    for person in EVERYBODY {
        let filter = shaodao_core::store::read::FindingFilter {
            limit: 10_000,
            ..Default::default()
        };
        let rows = world.of(person).device.store().findings(&filter);
        for row in rows.expect("findings") {
            if !row.number.is_empty() {
                numbers.insert(row.record, row.number);
            }
        }
    }
    numbers
}

/// Every whistle of which somebody has been told that it went up.
fn escalated(world: &mut World) -> BTreeSet<RecordId> {
    let mut escalated = BTreeSet::new();
    for person in EVERYBODY {
        let filter = shaodao_core::store::read::WhistleFilter {
            limit: 10_000,
            ..Default::default()
        };
        let rows = world.of(person).device.store().whistles(&filter);
        escalated.extend(rows.expect("whistles").iter().filter_map(|row| row.parent));
    }
    escalated
}

#[test]
fn a_backup_is_not_mixed_with_the_log_of_what_it_replaces() {
    // What could go wrong: the former database cannot take in its own log, which
    // stays where it is, and SQLite reads it into the restored one.
    let mut world = street("stray-log", 7);
    numbered(&mut world, "备份前");
    let backup = world.backup("noon.db");
    for nth in 0..4 {
        numbered(&mut world, &format!("备份后第{nth}处"));
    }
    let (database, log) = (
        world.server_folder().join("server.db"),
        world.server_folder().join("server.db-wal"),
    );
    // As the power went: a log that nobody has brought home, and a database that
    // does not read.
    let left = std::fs::read(&log).expect("a log");
    assert!(!left.is_empty());
    world.stop_server();
    std::fs::write(&log, &left).expect("writes");
    let mut bytes = std::fs::read(&database).expect("reads");
    let end = bytes.len();
    bytes[100..end].fill(0x55);
    std::fs::write(&database, bytes).expect("writes");
    let former = world
        .restore(&backup)
        .expect("restores")
        .expect("the former");
    assert!(!log.exists());
    assert!(former.exists());
    world.start_server();
    world.resume();
    world.settle();
}
