//! What is not for everybody: who reads a resident's telephone number, and what
//! is left of it once it is erased.

use std::path::{Path, PathBuf};

use shaodao_core::device::Confidence;
use shaodao_core::domain::action::Body;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::reason::Reason;
use shaodao_core::sync::wire::Standing;
use shaodao_tests::world::{HOUR_MS, World};

const NORTH_GATE: &str = "530102001006";
const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const URBAN_POST: &str = "post:530102001006001/urban";
/// Works in the same grid, and has nothing to do with it.
const CLEANER: &str = "P01006-08";
const DISPATCHER: &str = "S-01";

/// Nobody's number; found nowhere by chance.
const CANARY: &str = "13800138000-王秀英-canary";

fn readers(world: &mut World, finding: RecordId) -> Vec<(String, Option<String>)> {
    let mut read = Vec::new();
    for person in world.people() {
        let Ok(view) = world.of(&person).device.show(finding) else {
            read.push((person, None));
            continue;
        };
        let shaodao_core::domain::record::RecordState::Finding(state) = view.state else {
            panic!("a finding");
        };
        let device = &world.of(&person).device;
        let found = device.confidences(finding, &state).expect("reads");
        read.push((person, found.into_iter().find_map(|one| one.text)));
    }
    read
}

fn only(world: &mut World, person: &str, finding: RecordId) -> Confidence {
    let state = world.finding(person, finding);
    let device = &world.of(person).device;
    let mut found = device.confidences(finding, &state).expect("reads");
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn confide(world: &mut World, person: &str, finding: RecordId) {
    world
        .confide(person, finding, PrivateKind::Phone, CANARY)
        .expect("confided");
}

/// Files below a folder that contain the bytes.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).expect("reads");
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn only_those_who_need_a_telephone_number_read_it() {
    // What could go wrong: a resident's number on every phone of the grid.
    let mut world = World::new("privacy", 1);
    for person in [HEAD, SECRETARY, URBAN, CLEANER, DISPATCHER] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0403", "北门街燃气泄漏");
    world.of(HEAD).offline = true;
    confide(&mut world, HEAD, finding);
    assert_eq!(
        only(&mut world, HEAD, finding).text.as_deref(),
        Some(CANARY)
    );
    world.settle();
    let yes = Some(CANARY.to_owned());
    let expect = |who: &[&str]| -> Vec<(String, Option<String>)> {
        let mut all = [SECRETARY, HEAD, CLEANER, URBAN, DISPATCHER].map(str::to_owned);
        all.sort_unstable();
        all.into_iter()
            .map(|person| {
                let reads = who.contains(&person.as_str());
                (person, reads.then(|| CANARY.to_owned()))
            })
            .collect()
    };
    assert_eq!(readers(&mut world, finding), expect(&[HEAD, SECRETARY]));
    // Whoever is summoned needs it, from then on; the street does once the
    // whistle is its own.
    let whistle = world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4);
    world.settle();
    assert_eq!(
        readers(&mut world, finding),
        expect(&[HEAD, SECRETARY, URBAN])
    );
    world.pass(5 * HOUR_MS);
    world.settle();
    assert!(world.seen_whistle(SECRETARY, whistle).escalated().is_some());
    assert_eq!(
        readers(&mut world, finding),
        expect(&[HEAD, SECRETARY, URBAN, DISPATCHER])
    );
    assert_eq!(only(&mut world, URBAN, finding).text, yes);
    // The cleaner sees that there is something, and not what.
    assert_eq!(only(&mut world, CLEANER, finding).text, None);
}

#[test]
fn after_an_erasure_nothing_is_left_in_any_file() {
    // What could go wrong: a row that is unlinked and still there, in a free
    // page, in the write-ahead log, or on a phone that was away.
    let mut world = World::new("erasure", 2);
    for person in [HEAD, SECRETARY, URBAN, CLEANER, DISPATCHER] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0403", "北门街燃气泄漏");
    confide(&mut world, HEAD, finding);
    world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 4);
    world.settle();
    let item = only(&mut world, HEAD, finding).item;
    let sealed = world
        .of(HEAD)
        .device
        .store()
        .private(item)
        .expect("reads")
        .expect("is here");
    // The search can find: before the erasure the server's files have the key.
    let folder = world.folder().to_owned();
    assert!(!files_with(&folder.join("server"), sealed.key.as_slice()).is_empty());
    assert!(files_with(&folder, CANARY.as_bytes()).is_empty());

    world.of(URBAN).offline = true;
    world.on_finding(
        HEAD,
        finding,
        Body::Erase {
            item,
            reason: "居民要求".into(),
        },
    );
    assert_eq!(only(&mut world, HEAD, finding).text, None);
    world.settle();
    for person in world.people() {
        let device = &world.of(&person).device;
        assert_eq!(device.store().private(item).expect("reads"), None);
        let erased = only(&mut world, &person, finding);
        assert_eq!(
            (erased.text, erased.confided.erased.is_some()),
            (None, true)
        );
    }
    world.backup("backup.db");
    for needle in [CANARY.as_bytes(), sealed.key.as_slice(), &sealed.ciphertext] {
        assert_eq!(files_with(&folder, needle), Vec::<PathBuf>::new());
    }
    // Nor does it come back: whoever offers it again is told that it is gone.
    world.stop_server();
    world.start_server();
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM private"), 0);
}

#[test]
fn somebody_else_does_not_erase_it() {
    // What could go wrong: evidence destroyed by whoever it is about.
    let mut world = World::new("not-yours", 3);
    for person in [HEAD, SECRETARY, CLEANER] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0403", "北门街燃气泄漏");
    confide(&mut world, HEAD, finding);
    world.settle();
    let item = only(&mut world, CLEANER, finding).item;
    let reason = "看着不舒服".to_owned();
    let erase = shaodao_core::device::Draft::on(
        shaodao_core::domain::action::RecordKind::Finding,
        finding,
        Body::Erase { item, reason },
    );
    let refused = world.try_act(CLEANER, erase).expect_err("not theirs");
    assert!(refused.to_string().contains(Reason::NotYours.en()));
    world.settle();
    assert_eq!(
        only(&mut world, SECRETARY, finding).text.as_deref(),
        Some(CANARY)
    );
    let view = world.show(HEAD, finding);
    assert!(
        view.account
            .iter()
            .all(|(_, standing, _)| *standing == Standing::Accepted)
    );
}
