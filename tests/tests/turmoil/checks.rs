//! What must be true in the evening, of the files that everybody left.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::Device;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::pack;
use shaodao_core::sync::wire::Standing;
use shaodao_server::clock::Clock;
use shaodao_server::engine::Engine;
use shaodao_server::verify::Extent;
use shaodao_tests::home::home;
use shaodao_tests::world::MORNING_MS;

use super::plan::Plan;
use super::street::Street;

/// A day after the start.
const LATER_MS: i64 = MORNING_MS + 24 * 3_600_000;

/// Checks everything; the heads on which all agree.
pub fn check(plan: &Plan, street: &Street) -> BTreeMap<RecordId, Vec<u8>> {
    let clock = Clock::rehearsal(LATER_MS);
    let chance = StdRng::seed_from_u64(1);
    let engine = Engine::open_by(&street.server_folder(), clock, pack::HUASHAN, chance);
    let mut engine = engine.expect("the server's database opens");
    let heads = heads(&engine);
    let mut phones = BTreeMap::new();
    for person in &plan.people {
        let home = home(&street.phone_folder(person.id), LATER_MS);
        let device = Device::open(&home, &mut StdRng::seed_from_u64(1));
        phones.insert(person.id, device.expect("the phone opens"));
    }
    for (name, device) in &phones {
        the_queue_is_empty(name, device);
        everybody_agrees(name, device, &heads);
    }
    every_action_has_one_verdict(street, &engine, &phones);
    every_accepted_action_has_its_place(&engine);
    let report = engine.alone(|engine| engine.verify(Extent::Everything, &mut |_| {}));
    let report = report.expect("verifies");
    assert!(report.is_clean(), "{report:#?}");
    heads
}

fn the_queue_is_empty(name: &str, device: &Device) {
    let counts = device.store().counts().expect("counts");
    assert_eq!(counts.outbox, 0, "{name}: the queue is not empty");
    let unsent = device.store().unsent_private(1).expect("reads");
    assert!(unsent.is_empty(), "{name}: personal data was not sent");
    assert!(device.report().incident.is_none(), "{name}: an incident");
}

fn everybody_agrees(name: &str, device: &Device, server: &BTreeMap<RecordId, Vec<u8>>) {
    for (record, heads) in device.store().heads().expect("heads") {
        assert_eq!(
            server.get(&record),
            Some(&heads),
            "{name}: {record} differs"
        );
    }
}

/// Whatever a phone acknowledged is on the server once, with a verdict, and the
/// phone says the same one.
fn every_action_has_one_verdict(street: &Street, engine: &Engine, phones: &BTreeMap<&str, Device>) {
    let db = engine.connection();
    for (hash, deed) in street.deeds.borrow().iter() {
        let what = format!("{} of {} ({hash})", deed.word, deed.phone);
        let mut kept = db
            .prepare_cached("SELECT standing FROM envelope WHERE hash = ?1")
            .expect("prepares");
        let kept: Vec<u8> = kept
            .query_map([hash.0], |row| row.get(0))
            .expect("reads")
            .collect::<Result<_, _>>()
            .expect("reads");
        assert_eq!(kept.len(), 1, "{what} was saved, and is not there once");
        let standing = Standing::from_code(kept[0]).expect("a standing");
        // Whoever acts on what they saw is right, or too late.
        assert!(
            matches!(standing, Standing::Accepted | Standing::Late),
            "{what} is {standing:?}"
        );
        let store = phones[deed.phone].store();
        let account = store.account(deed.record).expect("an account");
        let told: Vec<_> = account.iter().filter(|it| it.0 == *hash).collect();
        assert_eq!(told.len(), 1, "{what} is not on its phone once");
        assert_eq!(told[0].1, standing, "{what}, on its phone");
    }
}

/// The feed has no gap; each accepted action has its place in it, and nothing
/// else has.
fn every_accepted_action_has_its_place(engine: &Engine) {
    let db = engine.connection();
    let count = |sql: &str| -> i64 { db.query_row(sql, [], |row| row.get(0)).expect("a count") };
    assert_eq!(
        count("SELECT COUNT(*) FROM feed"),
        count("SELECT MAX(position) FROM feed"),
        "the feed has gaps"
    );
    assert_eq!(
        count("SELECT COUNT(DISTINCT envelope) FROM feed WHERE standing = 1"),
        count("SELECT COUNT(*) FROM envelope WHERE standing = 1"),
        "accepted actions and their places"
    );
    assert_eq!(
        count("SELECT COUNT(*) FROM envelope WHERE standing = 4"),
        0,
        "something waits for what never came"
    );
}

fn heads(engine: &Engine) -> BTreeMap<RecordId, Vec<u8>> {
    let mut statement = engine
        .connection()
        .prepare("SELECT record, heads FROM record")
        .expect("prepares");
    let rows = statement
        .query_map([], |row| Ok((row.get(0).map(RecordId)?, row.get(1)?)))
        .expect("reads");
    rows.collect::<Result<_, _>>().expect("reads")
}
