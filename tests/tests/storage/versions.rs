//! Files of a newer version: refused by name, and left as they are, to the byte.
//! There is one released version of either schema; what makes it is one
//! transaction, whose every write is failed and killed in `faults.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rusqlite::Connection;

use shaodao_core::device::{Device, DeviceError};
use shaodao_core::pack;
use shaodao_core::store::StoreError;
use shaodao_server::clock::Clock;
use shaodao_server::db::DbError;
use shaodao_server::engine::{DATABASE, Engine, EngineError};
use shaodao_tests::home::home;
use shaodao_tests::world::{MORNING_MS, World};

use super::Memory;

const HEAD: &str = "P01006-01";

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).expect("inside").to_owned();
                    let bytes = std::fs::read(&path).expect("reads");
                    files.insert(name.to_string_lossy().into_owned(), bytes);
                }
            }
        }
    }
    files
}

#[test]
fn a_phone_leaves_the_files_of_a_newer_app_alone() {
    let mut world = World::new("newer-phone", 1);
    world.phone(HEAD);
    world.report(HEAD, "530102001006001", "E0102", "还没有上传");
    let mut before = BTreeMap::new();
    let mut refused = None;
    let mut newer = 0;
    world.switched_off(HEAD, |folder| {
        let db = Connection::open(folder.join("phone.db")).expect("opens");
        let key = format!("PRAGMA key = \"x'{}'\"", "5d".repeat(32));
        db.execute_batch(&key).expect("a key");
        db.execute_batch("PRAGMA cipher_compatibility = 4")
            .expect("a format");
        let version: i64 = db
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .expect("the right key");
        newer = version + 1;
        db.execute_batch(&format!("PRAGMA user_version = {newer}"))
            .expect("a newer app");
        drop(db);
        before = files(folder);
        let mut rng = StdRng::seed_from_u64(1);
        refused = Device::open(&home(folder, MORNING_MS), &mut rng).err();
        assert_eq!(files(folder), before, "something was changed");
        // The newer app comes back.
        let db = Connection::open(folder.join("phone.db")).expect("opens");
        db.execute_batch(&key).expect("a key");
        db.execute_batch(&format!("PRAGMA user_version = {version}"))
            .expect("as it was");
    });
    match refused {
        Some(DeviceError::Store(StoreError::Newer(found))) => assert_eq!(found, newer),
        other => panic!("{other:?}"),
    }
    let counts = world.of(HEAD).device.store().counts().expect("counts");
    assert_eq!(counts.outbox, 1);
    world.settle();
}

#[test]
fn a_server_leaves_the_database_of_a_newer_one_alone() {
    let memory = Memory::new("newer-server");
    let clock = || Clock::rehearsal(MORNING_MS);
    drop(Engine::open(&memory.0, clock(), pack::HUASHAN).expect("a database"));
    let db = Connection::open(memory.0.join(DATABASE)).expect("opens");
    // A newer server may have chosen another journal mode as well.
    db.execute_batch("PRAGMA user_version = 2; PRAGMA journal_mode = DELETE;")
        .expect("a newer server");
    drop(db);
    let before = files(&memory.0);
    let refused = Engine::open(&memory.0, clock(), pack::HUASHAN).err();
    assert!(
        matches!(refused, Some(EngineError::Db(DbError::Newer(2)))),
        "{refused:?}"
    );
    assert_eq!(files(&memory.0), before, "something was changed");
}
