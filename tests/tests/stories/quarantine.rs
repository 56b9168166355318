//! Phones that are lost, copied or shut out; what is set aside and comes back.

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::{DeviceError, Draft};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::lease::{Blind, Sight};
use shaodao_core::domain::reason::Reason;
use shaodao_core::store::read::FindingFilter;
use shaodao_core::sync::wire::Standing;
use shaodao_tests::world::World;

const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const NEW_PHONE: &str = "P01006-01, new phone";
const SECRETARY: &str = "P01006-00";
const DAY_MS: i64 = 24 * 3_600_000;

/// What a person's phone says was not accepted: standing and reason.
fn troubles(world: &mut World, who: &str) -> Vec<(Standing, Option<Reason>)> {
    let troubles = world.of(who).device.troubles().expect("troubles");
    let line = |open: &shaodao_core::device::troubles::OpenTrouble| {
        (open.trouble.standing, open.trouble.reason)
    };
    troubles.iter().map(line).collect()
}

fn set_state(world: &mut World, who: &str, state: DeviceState) {
    let device = world.of(who).device.id().to_string();
    world
        .admin(move |engine| engine.set_device_state(&device, state, "Wen"))
        .expect("a device");
}

#[test]
fn a_lost_phone_is_revoked_and_honest_work_on_it_is_not_lost() {
    // What could go wrong: the finder reads the street's records or writes in
    // the owner's name; or the owner's unsent report is thrown away.
    let mut world = World::new("lost-phone", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let honest = world.report(HEAD, GRID, "E0403", "北门街燃气泄漏");
    set_state(&mut world, HEAD, DeviceState::Revoked);
    let forged = world.report(HEAD, GRID, "E0102", "找到手机的人乱写");
    let other = world.report(SECRETARY, GRID, "E0102", "门口有垃圾");
    world.sync(SECRETARY);
    world.sync(HEAD);

    // It receives nothing, shows nothing of others, and counts for nothing.
    let revoked = (Standing::Quarantined, Some(Reason::DeviceRevoked));
    assert_eq!(troubles(&mut world, HEAD), [revoked; 2]);
    assert!(world.of(HEAD).device.show(other).is_err());
    let now_ms = world.now_ms();
    let now = world.of(HEAD).now(now_ms);
    let sight = world.of(HEAD).device.sight(now).expect("a sight");
    assert_eq!(sight, Sight::OwnOnly(Blind::Revoked));
    let why = [Blind::Revoked, Blind::Suspended, Blind::LeaseOver].map(Blind::word);
    assert_eq!(why, ["revoked", "suspended", "lease_over"], "apps know it");
    world.sync(SECRETARY);
    assert!(world.of(SECRETARY).device.show(honest).is_err());

    // Revoked is for ever.
    let device = world.of(HEAD).device.id().to_string();
    world
        .admin(move |engine| engine.set_device_state(&device, DeviceState::Active, "Wen"))
        .expect_err("for ever");

    // The owner hears of both on the new phone, and an administrator decides.
    world.another_phone(NEW_PHONE, HEAD);
    world.sync(NEW_PHONE);
    assert_eq!(troubles(&mut world, NEW_PHONE), [revoked; 2]);
    let on_record = |world: &mut World, record| {
        let troubles = world.of(NEW_PHONE).device.troubles().expect("troubles");
        let found = troubles.iter().find(|it| it.trouble.record == record);
        found.expect("a trouble").trouble.hash
    };
    let (good, bad) = (on_record(&mut world, honest), on_record(&mut world, forged));
    let released = world
        .admin(move |engine| engine.release(&good.to_string(), "Wen"))
        .expect("released");
    assert_eq!(released.standing, Standing::Accepted);
    world
        .admin(move |engine| engine.send_back(&bad.to_string()[..8], "Wen"))
        .expect("sent back");
    world.settle();
    let returned = (Standing::Quarantined, Some(Reason::Returned));
    assert_eq!(troubles(&mut world, NEW_PHONE), [returned]);
    let title = |world: &mut World, who: &str| world.finding(who, honest).text("title").to_owned();
    assert_eq!(title(&mut world, SECRETARY), "北门街燃气泄漏");
    assert_eq!(title(&mut world, NEW_PHONE), "北门街燃气泄漏");
    let by_wen = "SELECT COUNT(*) FROM audit WHERE who = 'Wen'
                  AND what IN ('revoke', 'release', 'return')";
    assert_eq!(world.server_count(by_wen), 3);
}

#[test]
fn what_came_back_is_done_again_once() {
    // What could go wrong: the author types it all again, or it counts twice.
    let mut world = World::new("redo", 2);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    set_state(&mut world, HEAD, DeviceState::Suspended);
    let finding = world.report(HEAD, GRID, "E0403", "北门街燃气泄漏");
    world.sync(HEAD);
    let suspended = (Standing::Quarantined, Some(Reason::DeviceSuspended));
    assert_eq!(troubles(&mut world, HEAD), [suspended]);
    set_state(&mut world, HEAD, DeviceState::Active);
    world.sync(HEAD);
    let old = world.of(HEAD).device.troubles().expect("one")[0]
        .trouble
        .hash;
    let now_ms = world.now_ms();
    let mut rng = StdRng::seed_from_u64(world.seed);
    let now = world.of(HEAD).now(now_ms);
    let redone = world.of(HEAD).device.redo(now, &mut rng, old);
    let redone = redone.expect("redone");
    assert_eq!(redone.record, finding);
    let again = world.of(HEAD).device.redo(now, &mut rng, old);
    assert!(matches!(again, Err(DeviceError::NothingToRedo)));
    world.settle();
    assert_eq!(
        world.finding(SECRETARY, finding).text("title"),
        "北门街燃气泄漏"
    );
    let open = &world.of(HEAD).device.troubles().expect("one")[0];
    assert_eq!(open.trouble.redone, Some(redone.hash));
    assert_eq!(
        world
            .of(HEAD)
            .device
            .store()
            .counts()
            .expect("counts")
            .troubles,
        0
    );

    // Released after all, one of the twins is a trace, and nothing counts twice.
    // Which one follows from their hashes: neither had seen the other.
    let judged = world.admin(move |engine| engine.release(&old.to_string(), "Wen"));
    assert!(judged.expect("judged").standing.is_shared());
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 1);
    assert_eq!(world.server_count("SELECT traces FROM finding"), 1);
}

#[test]
fn two_phones_with_one_identity_are_seen() {
    // What could go wrong: a copied phone writes in the owner's name unnoticed.
    let mut world = World::new("clone", 3);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync(HEAD);
    world.copy_phone("copy", HEAD);
    let original = world.report(HEAD, GRID, "E0102", "原机上报");
    let copied = world.report("copy", GRID, "E0102", "副本上报");
    world.sync(HEAD);
    world.sync("copy");
    let cloned = (Standing::Quarantined, Some(Reason::Cloned));
    assert_eq!(troubles(&mut world, "copy"), [cloned]);
    // The next one of the copy builds on another predecessor.
    let third = world.report("copy", GRID, "E0102", "副本又上报");
    world.sync("copy");
    let id = world.of(HEAD).device.id().to_string();
    let line = world
        .admin(move |engine| engine.device(&id))
        .expect("a line");
    assert_eq!(line.clone_signs, 2);
    world.sync(SECRETARY);
    assert!(world.of(SECRETARY).device.show(original).is_ok());
    assert!(world.of(SECRETARY).device.show(copied).is_err());

    // A person looks, and what was honest on the copy counts.
    let hash = world.of("copy").device.troubles().expect("one")[0]
        .trouble
        .hash;
    let judged = world.admin(move |engine| engine.release(&hash.to_string(), "Wen"));
    assert_eq!(judged.expect("judged").standing, Standing::Accepted);
    world.settle();
    for finding in [original, copied, third] {
        assert!(world.of(SECRETARY).device.show(finding).is_ok());
    }
}

#[test]
fn a_missing_action_is_seen_until_it_arrives_and_is_not_waited_for_for_ever() {
    // What could go wrong: an action is lost and nobody knows; or whatever
    // builds on it waits for ever.
    let mut world = World::new("gap", 4);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    let text = "已联系物业".to_owned();
    world.on_finding(HEAD, finding, Body::Note { text });
    let text = "物业明早来".to_owned();
    world.on_finding(HEAD, finding, Body::Note { text });
    world.push_only(HEAD, &[2]);
    let id = world.of(HEAD).device.id().to_string();
    let gaps = |world: &mut World| {
        let id = id.clone();
        let line = world
            .admin(move |engine| engine.device(&id))
            .expect("a line");
        let gaps = line.gaps.iter().map(|gap| (gap.from_seq, gap.to_seq));
        gaps.collect::<Vec<_>>()
    };
    assert_eq!(gaps(&mut world), [(1, 2)]);
    let waiting = "SELECT COUNT(*) FROM envelope WHERE standing = 4";
    assert_eq!(world.server_count(waiting), 1);

    // After the policy's fortnight it is judged without what never came.
    world.pass(13 * DAY_MS);
    assert_eq!(world.server_count(waiting), 1);
    // Not by a clock that nobody believes.
    world.set_server_clock_wrong(30 * DAY_MS);
    world.look_at_deadlines();
    assert_eq!(world.server_count(waiting), 1);
    world.set_server_clock_wrong(-30 * DAY_MS);
    world.pass(DAY_MS);
    assert_eq!(world.server_count(waiting), 0);
    world.push_only(HEAD, &[1]);
    assert_eq!(gaps(&mut world), [(1, 1)]);

    // Then the phone comes back after all.
    world.settle();
    assert_eq!(gaps(&mut world), []);
    let stage = world.finding(SECRETARY, finding).stage;
    assert_eq!(stage, FindingStage::Reported);
    let told = troubles(&mut world, HEAD);
    assert_eq!(told, [(Standing::Quarantined, Some(Reason::NoSuchRecord))]);
}

#[test]
fn a_phone_that_hears_nothing_for_a_fortnight_shows_its_own_records_only() {
    // What could go wrong: a lost phone in flight mode shows the street's
    // records for ever; or an honest one in the hills stops recording.
    let mut world = World::new("lease", 5);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let own = world.report(HEAD, GRID, "E0102", "自己上报的垃圾");
    let others = world.report(SECRETARY, GRID, "E0102", "书记上报的垃圾");
    world.settle();
    let list = |world: &mut World| {
        let now_ms = world.now_ms();
        let phone = world.of(HEAD);
        let now = phone.now(now_ms);
        let rows = phone.device.findings(now, &FindingFilter::default());
        let mut listed: Vec<_> = rows.expect("a list").iter().map(|row| row.record).collect();
        let mut found = phone.device.search(now, "垃圾", 20).expect("a search");
        listed.sort_unstable();
        found.sort_unstable();
        assert_eq!(listed, found);
        let seen = phone.device.view(now, others).is_ok();
        assert_eq!(seen, listed.contains(&others));
        listed
    };
    let mut both = vec![own, others];
    both.sort_unstable();
    world.of(HEAD).offline = true;
    world.pass(14 * DAY_MS);
    assert_eq!(list(&mut world), both);
    world.pass(DAY_MS);
    assert_eq!(list(&mut world), [own]);
    // A restart with a clock set back does not help.
    world.of(HEAD).clock_error_ms = -30 * DAY_MS;
    world.restart(HEAD);
    assert_eq!(list(&mut world), [own]);
    let facts = shaodao_tests::world::finding_facts(GRID, "E0102", "山里的垃圾");
    let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
    let newest = world.act(HEAD, draft);
    assert_eq!(list(&mut world).len(), 2);
    world.settle();
    assert!(list(&mut world).contains(&others));
    assert!(world.of(SECRETARY).device.show(newest).is_ok());
}

#[test]
fn an_order_that_is_set_aside_moves_no_finding() {
    // What could go wrong: the finding stays "whistled" on the phone of whoever
    // blew, although nobody was summoned, and they wait for somebody to come.
    let mut world = World::new("order-aside", 6);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync_all();
    world.sync_all();
    world.on_finding(SECRETARY, finding, Body::Accept);
    world.sync(SECRETARY);
    set_state(&mut world, SECRETARY, DeviceState::Suspended);
    let post = ["post:530102001006001/urban"];
    world.whistle(SECRETARY, "530102001006", finding, &post, 2);
    let stage = |world: &mut World| {
        let row = world.of(SECRETARY).device.store().finding(finding);
        row.expect("reads").expect("is here").stage
    };
    assert_eq!(stage(&mut world), FindingStage::Whistled);
    world.sync(SECRETARY);
    let suspended = (Standing::Quarantined, Some(Reason::DeviceSuspended));
    assert_eq!(troubles(&mut world, SECRETARY), [suspended]);
    assert_eq!(stage(&mut world), FindingStage::Accepted);
    set_state(&mut world, SECRETARY, DeviceState::Active);
    world.settle();
}

#[test]
fn what_a_copy_did_too_late_has_a_reason_on_the_original() {
    // What could go wrong: the feed brings the action back without the verdict's
    // reason, and its owner reads that something is wrong and not what.
    let mut world = World::new("late-copy", 7);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "门口有垃圾");
    world.sync(HEAD);
    world.copy_phone("copy", HEAD);
    world.sync(SECRETARY);
    let reason = "不属于本社区".to_owned();
    world.on_finding(SECRETARY, finding, Body::Decline { reason });
    world.sync(SECRETARY);
    world.pass(60_000);
    let reason = "重复上报".to_owned();
    world.on_finding("copy", finding, Body::Withdraw { reason });
    world.sync("copy");
    world.sync(HEAD);
    let late = (Standing::Late, Some(Reason::Closed));
    assert_eq!(troubles(&mut world, "copy"), [late]);
    assert_eq!(troubles(&mut world, HEAD), [late]);
    world.settle();
}
