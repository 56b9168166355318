//! From every released schema to the newest one, and dead at every single thing
//! that is asked of the disk on the way. A phone or a server of an older version is
//! made of a present one: its rows, in the tables that there were.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use shaodao_tests::process::{ServerProcess, binary};
use shaodao_tests::world::MORNING_MS;

use super::phone::{DATABASE, Phone, Scenario};
use super::{Files, Folder, every_n_in, files_of, place, run};

const KILL: &[&str] = &["kill"];

/// The released schemas in a folder of the source, oldest first.
fn released(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let read = |nth| {
        let path = root.join(folder).join(format!("schema_v{nth}.sql"));
        std::fs::read_to_string(path).ok()
    };
    (1..).map_while(read).collect()
}

/// Opens a phone's database.
fn opened(path: &Path, key: &[u8]) -> Connection {
    let db = Connection::open(path).expect("opens");
    db.execute_batch(&format!(
        "PRAGMA key = \"{}\"; PRAGMA cipher_compatibility = 4",
        hex(key)
    ))
    .expect("a key");
    db
}

fn hex(key: &[u8]) -> String {
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{digits}'")
}

fn version(db: &Connection) -> i64 {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
        .expect("a version")
}

/// What all tables that are not of a search index hold.
fn rows(db: &Connection, tables: &[String]) -> Vec<(String, i64)> {
    let count = |table: &String| {
        let sql = format!("SELECT COUNT(*) FROM \"{table}\"");
        let count = db.query_row(&sql, [], |row| row.get(0)).expect("a count");
        (table.clone(), count)
    };
    tables.iter().map(count).collect()
}

fn tables(db: &Connection) -> Vec<String> {
    let mut statement = db
        .prepare(
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'search%' AND name NOT LIKE 'sqlite%'",
        )
        .expect("prepares");
    let names = statement.query_map([], |row| row.get(0)).expect("reads");
    names.collect::<Result<_, _>>().expect("reads")
}

/// Makes the database at `path` anew as the first schemas make one, with the rows
/// that it had in their tables; returns those.
fn go_back(path: &Path, key: &[u8], schemas: &[String]) -> Vec<(String, i64)> {
    let newer = path.with_extension("newer");
    std::fs::rename(path, &newer).expect("moves");
    let db = opened(path, key);
    for schema in schemas {
        db.execute_batch(schema).expect("an older schema");
    }
    db.execute(
        "ATTACH ?1 AS newer KEY ?2",
        [newer.to_str().expect("a path"), &hex(key)],
    )
    .expect("attaches");
    let tables = tables(&db);
    for table in &tables {
        let copy = format!("INSERT INTO main.\"{table}\" SELECT * FROM newer.\"{table}\"");
        db.execute(&copy, []).expect("the same columns");
    }
    // What is in the index is not kept in it: a search finds nothing of before.
    db.execute_batch(&format!(
        "DETACH newer; PRAGMA user_version = {}; PRAGMA journal_mode = WAL",
        schemas.len()
    ))
    .expect("an older version");
    let rows = rows(&db, &tables);
    drop(db);
    std::fs::remove_file(newer).expect("goes");
    rows
}

#[test]
fn a_phone_of_every_version_is_brought_up_to_date_whenever_it_dies() {
    // What could go wrong: half a schema; the version is written and the tables
    // are not; what was not sent is gone.
    let schemas = released("core/src/store");
    let newest = schemas.len() as i64;
    for before in 1..schemas.len() {
        let it = Phone::new(&format!("faults-upgrade-{before}"));
        it.report(1);
        it.phone.run(&["sync"]).expect("syncs");
        it.report(2);
        let key = std::fs::read(it.disk.join("key")).expect("a key");
        let path = it.disk.join("phone.db");
        assert_eq!(
            version(&opened(&path, &key)),
            newest,
            "a schema is not released"
        );
        let kept = go_back(&path, &key, &schemas[..before]);
        assert_eq!(version(&opened(&path, &key)), before as i64);
        assert!(
            kept.iter()
                .any(|(table, count)| table == "outbox" && *count == 1)
        );
        let old = files_of(&it.disk);
        it.fail_in(
            KILL,
            &Scenario {
                name: "an older phone",
                before: old.clone(),
                args: vec!["status".to_owned()],
                input: String::new(),
            },
        );
        // Nothing but the schema has changed.
        place(&it.disk, &old);
        it.phone.run(&["status"]).expect("a status");
        let db = opened(&path, &key);
        assert_eq!(version(&db), newest);
        let tables: Vec<String> = kept.iter().map(|(table, _)| table.clone()).collect();
        assert_eq!(rows(&db, &tables), kept);
        assert!(old.contains_key(DATABASE));
    }
}

#[test]
fn a_server_is_begun_whenever_it_dies() {
    // There is one released schema of a server: what leads to it leads from
    // nothing. A second one needs more than this.
    assert_eq!(
        released("sync-server/src/db").len(),
        1,
        "upgrade from the first one"
    );
    let folder = Folder::new("faults-server-begun");
    let data: PathBuf = folder.0.join("server");
    let nothing = Files::new();
    let ticket = || {
        let mut command = Command::new(binary("shaodao-server").expect("the server"));
        command.arg("--data").arg(&data);
        command.args([
            "admin",
            "--json",
            "--as",
            "Wen",
            "ticket",
            "--person",
            "P01006-01",
        ]);
        command
    };
    place(&data, &nothing);
    let well = run(ticket(), "", &data, u64::MAX, "error");
    assert!(well.ended_well("begun"));
    let tried = every_n_in(KILL, well.asked, |at, how| {
        let what = format!("a server begun, {how} at {at} of {}", well.asked);
        place(&data, &nothing);
        run(ticket(), "", &data, at, how).ended_well(&what);
        let again = ticket().output().expect("runs");
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "{what}: {said}");
    });
    println!("a server begun: {tried} deaths");
    let server = ServerProcess::start(&folder.0, MORNING_MS).expect("starts");
    let (code, said) = server.upkeep(&["verify"]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
}
