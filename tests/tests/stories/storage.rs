//! The disk is full, the app dies, the screen searches.

use rand::SeedableRng;
use rand::rngs::StdRng;
use shaodao_core::device::{Device, DeviceError, Draft};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::store::StoreError;
use shaodao_tests::home::home;
use shaodao_tests::world::{World, rows};

const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";

#[test]
fn a_full_disk_refuses_and_keeps_what_was_saved() {
    // What could go wrong: an action half saved, or shown as saved and lost.
    let mut world = World::new("disk-full", 1);
    world.phone(HEAD);
    let store = world.of(HEAD).device.store();
    let pages = store.limit_pages(1).expect("a limit");
    let limit = store.limit_pages(pages + 10).expect("a limit");
    assert_eq!(limit, pages + 10);
    let mut saved = 0;
    let refused = loop {
        let facts = shaodao_tests::world::finding_facts(GRID, "E0102", "又一处垃圾");
        let draft = shaodao_core::device::Draft::new(
            shaodao_core::domain::action::RecordKind::Finding,
            facts,
            shaodao_core::domain::action::Body::Report,
        );
        match world.try_act(HEAD, draft) {
            Ok(_) => saved += 1,
            Err(error) => break error,
        }
        assert!(saved < 10_000, "the disk never filled");
    };
    assert!(
        matches!(refused, DeviceError::Store(StoreError::Full)),
        "{refused}"
    );
    assert!(saved > 0);
    let counts = world.of(HEAD).device.store().counts().expect("counts");
    assert_eq!((counts.findings, counts.outbox), (saved, saved));
    // Somebody deletes a film: the phone goes on where it stopped.
    world
        .of(HEAD)
        .device
        .store()
        .limit_pages(100_000)
        .expect("a limit");
    world.report(HEAD, GRID, "E0102", "删了电影以后");
    world.settle();
    assert_eq!(
        world.server_count("SELECT COUNT(*) FROM finding"),
        saved as i64 + 1
    );
}

#[test]
fn a_phone_that_restarts_goes_on_from_its_database_alone() {
    // What could go wrong: something that lived in memory only.
    let mut world = World::new("restart", 1);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "E0102", "小菜园暴露垃圾");
    let before = rows(world.of(HEAD).device.store());
    world.restart(HEAD);
    assert_eq!(rows(world.of(HEAD).device.store()), before);
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 1);
    let store = world.of(HEAD).device.store();
    assert_eq!(store.search("菜园", 10).expect("searches"), [finding]);
    assert_eq!(store.search("垃圾", 10).expect("searches"), [finding]);
    assert!(store.search("北门", 10).expect("searches").is_empty());
    let found = store.find(&finding.to_string()[..8]).expect("finds");
    assert_eq!(found, Some(finding));
}

#[test]
fn a_record_is_shown_as_it_is_saved_whoever_saves_it() {
    // What could go wrong: what was derived for a screen is shown again, although
    // the disk refused it, another process wrote since, or a reply did.
    let mut world = World::new("shown-as-saved", 1);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "E0102", "楼道堆物");
    world.settle();
    let shown = |world: &mut World| world.show(HEAD, finding).history.entries().len();
    let note = |text: &str| {
        let text = text.to_owned();
        Draft::on(RecordKind::Finding, finding, Body::Note { text })
    };
    assert_eq!(shown(&mut world), 1);

    let store = world.of(HEAD).device.store();
    store.limit_pages(1).expect("a limit");
    let mut saved = 1;
    let refused = loop {
        match world.try_act(HEAD, note("又看了一次")) {
            Ok(_) => saved += 1,
            Err(error) => break error,
        }
        assert_eq!(shown(&mut world), saved);
    };
    assert!(matches!(refused, DeviceError::Store(StoreError::Full)));
    assert_eq!(
        shown(&mut world),
        saved,
        "what the disk refused is not shown"
    );
    let store = world.of(HEAD).device.store();
    store.limit_pages(100_000).expect("a limit");

    let folder = world.of(HEAD).folder().to_owned();
    let now_ms = world.now_ms();
    let now = world.of(HEAD).now(now_ms);
    let mut rng = StdRng::seed_from_u64(2);
    let mut other = Device::open(&home(&folder, now_ms), &mut rng).expect("opens");
    other
        .capture(now, &mut rng, note("命令行里记的"))
        .expect("saves");
    assert_eq!(shown(&mut world), saved + 1, "another process wrote it");
    drop(other);

    let received = |world: &mut World| {
        let view = world.show(HEAD, finding);
        let entries = view.history.entries().iter();
        entries
            .filter(|entry| entry.received_at_ms.is_some())
            .count()
    };
    assert_eq!(received(&mut world), 1);
    world.settle();
    assert_eq!(received(&mut world), saved + 1, "a reply says when it came");
}
