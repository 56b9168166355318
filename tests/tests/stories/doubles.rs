//! Two reports of one problem, two whistles for one finding.

use shaodao_core::device::{DeviceError, Draft};
use shaodao_core::domain::action::{Body, Facts, RecordKind, Value, fact};
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_server::doubles::doubles;
use shaodao_tests::world::{HOUR_MS, World, finding_facts};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const CLERK: &str = "P01006-07";
const SECRETARY: &str = "P01006-00";
const URBAN_POST: &str = "post:530102001006001/urban";
const CLEANER_POST: &str = "post:530102001006001/cleaner";

fn facts(category: &str, title: &str, position: &str) -> Facts {
    let mut facts = finding_facts(GRID, category, title);
    let position = Value::Text(position.to_owned());
    facts.insert(fact::POSITION.to_owned(), position);
    facts
}

fn report(world: &mut World, person: &str, facts: Facts) -> RecordId {
    world.act(person, Draft::new(RecordKind::Finding, facts, Body::Report))
}

fn stage(world: &mut World, person: &str, finding: RecordId) -> FindingStage {
    let row = world.of(person).device.store().finding(finding);
    row.expect("reads").expect("is here").stage
}

#[test]
fn two_reports_of_one_problem_are_offered_for_a_merge_and_the_double_follows() {
    // What could go wrong: one problem solved twice, a double that escalates by
    // itself, a wrong merge that nobody can undo.
    let mut world = World::new("doubles", 1);
    for person in [HEAD, CLERK, SECRETARY] {
        world.phone(person);
    }
    // Out of each other's hearing, twenty metres apart: an event reaches that
    // far, a component does not.
    for person in [HEAD, CLERK] {
        world.of(person).offline = true;
    }
    let first = report(
        &mut world,
        HEAD,
        facts("E0102", "暴露垃圾", "25.04200,102.70650,5,gps"),
    );
    world.pass(60_000);
    let now = |world: &mut World, person: &str| {
        let now_ms = world.now_ms();
        world.of(person).now(now_ms)
    };
    let again = facts("E0102", "路口垃圾", "25.04218,102.70650,5,gps");
    let at = now(&mut world, CLERK);
    let hint = world.of(CLERK).device.similar(at, &again).expect("looks");
    assert!(hint.is_empty(), "the phone has not heard of the other one");
    let double = report(&mut world, CLERK, again.clone());
    let lid = report(
        &mut world,
        CLERK,
        facts("C0101", "井盖", "25.04218,102.70650,5,gps"),
    );
    let far = report(
        &mut world,
        HEAD,
        facts("C0101", "井盖", "25.04200,102.70650,5,gps"),
    );
    world.settle();
    // Phone and server name the same candidates.
    let there = |world: &World, finding| {
        let found = world.app().read(|db| doubles(db, finding)).expect("reads");
        found.iter().map(|it| it.record).collect::<Vec<_>>()
    };
    let here = |world: &mut World, finding| {
        let found = world.of(SECRETARY).device.doubles(finding).expect("looks");
        found.iter().map(|it| it.record).collect::<Vec<_>>()
    };
    for (finding, wanted) in [
        (double, vec![first]),
        (first, vec![double]),
        (lid, vec![]),
        (far, vec![]),
    ] {
        assert_eq!(there(&world, finding), wanted);
        assert_eq!(here(&mut world, finding), wanted);
    }
    let at = now(&mut world, CLERK);
    let hint = world.of(CLERK).device.similar(at, &again).expect("looks");
    assert_eq!(hint.len(), 2, "now the phone says so before a third report");

    // A whistle was blown for the double before anybody saw it.
    let whistle = world.whistle(SECRETARY, NORTH_GATE, double, &[URBAN_POST], 2);
    world.on_finding(SECRETARY, double, Body::Merge { into: first });
    world.settle();
    assert_eq!(
        there(&world, first),
        [],
        "merged: nothing to look at any more"
    );
    assert_eq!(world.finding(CLERK, double).merged_into, Some(first));
    assert_eq!(
        world.finding(CLERK, double).text(fact::TITLE),
        "路口垃圾",
        "both reports stand"
    );
    let accept = Draft::on(RecordKind::Finding, double, Body::Accept);
    match world.try_act(SECRETARY, accept) {
        Err(DeviceError::Refused(refused)) => assert_eq!(refused.reason, Reason::Merged),
        other => panic!("not refused: {other:?}"),
    }
    world.pass(3 * HOUR_MS);
    let escalations = "SELECT COUNT(*) FROM escalation";
    assert_eq!(
        world.server_count(escalations),
        0,
        "a double never escalates by itself"
    );

    // The merge was a mistake: opened again, its whistle answers for it again.
    let reopen = Body::Reopen {
        reason: "不是同一处".into(),
    };
    world.on_finding(SECRETARY, double, reopen);
    world.settle();
    assert_eq!(world.finding(CLERK, double).merged_into, None);
    assert_eq!(world.server_count(escalations), 1);
    assert_eq!(
        world.seen_whistle(SECRETARY, whistle).stage(),
        WhistleStage::Escalated
    );
    assert_eq!(stage(&mut world, CLERK, double), FindingStage::Whistled);
}

#[test]
fn two_findings_merged_into_each_other_do_not_vanish() {
    // What could go wrong: two offices tidy up at the same time, each merges
    // the other's report, and a problem that is nobody's any more.
    let mut world = World::new("merged-both", 1);
    let dispatcher = "S-01";
    for person in [HEAD, SECRETARY, dispatcher] {
        world.phone(person);
    }
    let one = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    let other = world.report(HEAD, GRID, "E0102", "路口有垃圾");
    world.settle();
    world.whistle(SECRETARY, NORTH_GATE, one, &[URBAN_POST], 2);
    world.on_finding(SECRETARY, one, Body::Merge { into: other });
    world.on_finding(dispatcher, other, Body::Merge { into: one });
    world.settle();
    world.pass(3 * HOUR_MS);
    let escalations = "SELECT COUNT(*) FROM escalation";
    assert_eq!(world.server_count(escalations), 1, "somebody has to look");
    world.settle();
}

#[test]
fn two_whistles_for_one_finding_both_stand_and_the_secretary_is_offered_to_join_them() {
    // What could go wrong: one of two honest orders silently gone, or two teams
    // on the way to one heap of rubbish and nobody told.
    let mut world = World::new("two-whistles", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "暴露垃圾");
    world.settle();
    world.of(SECRETARY).offline = true;
    let here = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4);
    // The secretary's second phone is somebody else's in this office.
    let there = world.whistle(SECRETARY, NORTH_GATE, finding, &[CLEANER_POST], 4);
    world.settle();
    let rivals = |world: &mut World, whistle| {
        let found = world.of(SECRETARY).device.rivals(whistle).expect("looks");
        found.iter().map(|it| it.record).collect::<Vec<_>>()
    };
    assert_eq!(rivals(&mut world, here), [there]);
    assert_eq!(rivals(&mut world, there), [here]);
    for whistle in [here, there] {
        assert_eq!(
            world.seen_whistle(HEAD, whistle).stage(),
            WhistleStage::Issued
        );
    }
    // Joining them: the targets of one are summoned in the other, and it is
    // called off with a reason that its targets read.
    let targets = world.seen_whistle(SECRETARY, there).targets;
    let targets = targets.into_values().map(|it| it.target).collect();
    world.on_whistle(SECRETARY, here, Body::Summon { targets });
    let reason = format!("并入哨令 {here}");
    world.on_whistle(SECRETARY, there, Body::Cancel { reason });
    world.settle();
    assert_eq!(rivals(&mut world, here), []);
    let joined = world.seen_whistle(HEAD, here).targets;
    assert_eq!(
        joined.keys().collect::<Vec<_>>(),
        [CLEANER_POST, URBAN_POST]
    );
    assert_eq!(stage(&mut world, HEAD, finding), FindingStage::Whistled);
}
