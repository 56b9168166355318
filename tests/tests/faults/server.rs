//! Two scenarios of a server: restored from a backup, and taking in what a phone
//! brings.

use std::process::Command;

use shaodao_tests::process::{ServerProcess, Setup, Terminal, binary};
use shaodao_tests::world::MORNING_MS;

use super::phone::{report, text};
use super::{Files, Folder, every_n, files_of, folders, library, place, run};

const MEMBER: &str = "P01006-01";
/// What makes a disk fail, by the names that the library reads.
const LIBRARY: &str = "LD_PRELOAD";
const FOLDERS: &str = "SHAODAO_FAULT_FOLDERS";
const COUNT: &str = "SHAODAO_FAULT_COUNT";
const AT: &str = "SHAODAO_FAULT_AT";
const HOW: &str = "SHAODAO_FAULT_HOW";

#[test]
fn a_server_is_restored_on_a_failing_disk() {
    let folder = Folder::new("faults-restore");
    let mut server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let backup = folder.0.join("backup.db");
    let backup = backup.display().to_string();
    let (code, said) = server.upkeep(&["backup", &backup]).expect("runs");
    assert_eq!(code, Some(0), "{said}");
    server.stop().expect("stops");
    let data = folder.0.join("server");
    let before: Files = files_of(&data);
    let restore = || {
        let mut command = Command::new(binary("shaodao-server").expect("the server"));
        command.arg("--data").arg(&data).args(["restore", &backup]);
        command
    };
    let well = run(restore(), "", &data, u64::MAX, "error");
    assert!(well.ended_well("restore"));
    let tried = every_n(well.asked, |at, how| {
        let what = format!("restore, {how} at {at} of {}", well.asked);
        place(&data, &before);
        run(restore(), "", &data, at, how).ended_well(&what);
        // Whatever it left: the former database or the restored one, whole; and
        // restoring again works.
        let (code, said) = server.upkeep(&["verify"]).expect("runs");
        assert_eq!(code, Some(0), "{what}: {said}");
        let again = restore().output().expect("runs");
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "{what}: {said}");
    });
    println!("restore: {tried} failures");
}

#[test]
fn a_server_takes_in_on_a_failing_disk() {
    // What could go wrong: a phone hears of a verdict that is not on the disk; an
    // action counts in rows and not in its envelope; the server does not start
    // again on what it left.
    let folder = Folder::new("faults-takes-in");
    let log = folder.0.join("log");
    let setup = Setup {
        log: Some(log.clone()),
        ..Setup::default()
    };
    let mut server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let disk = folder.0.join("phone");
    let phone = Terminal::new(&disk).expect("the phone program");
    phone.enrol(&server, MEMBER).expect("enrols");
    let mut reported = Vec::new();
    for nth in 1..4 {
        let args = report(nth);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        reported.push(text(&phone.run(&args).expect("reports")["record"]));
        if nth == 1 {
            phone.run(&["sync"]).expect("syncs");
        }
    }
    server.stop().expect("stops");
    let data = folder.0.join("server");
    let before = (files_of(&data), files_of(&disk));
    let count = folder.0.join("count");
    // Starts the server on a disk that fails, syncs the phone with it, and kills
    // it; how often its disk was asked for something.
    let attempt = |server: &mut ServerProcess, at: u64, how: &str| -> u64 {
        place(&data, &before.0);
        place(&disk, &before.1);
        let _ = std::fs::remove_file(&count);
        server.set(LIBRARY, library().display());
        server.set(FOLDERS, folders(&data));
        server.set(COUNT, count.display());
        server.set(AT, at);
        server.set(HOW, how);
        // It may not even start, or be dead before it has answered.
        if server.start_again(MORNING_MS).is_ok() {
            let _ = phone.run(&["sync"]);
            server.stop().expect("stops");
        }
        for name in [LIBRARY, FOLDERS, COUNT, AT, HOW] {
            server.unset(name);
        }
        let asked = std::fs::read_to_string(&count).unwrap_or_default();
        asked.trim().parse().unwrap_or(0)
    };
    let asked = attempt(&mut server, u64::MAX, "error");
    let mut refused = 0;
    let tried = every_n(asked, |at, how| {
        let what = format!("taking in, {how} at {at} of {asked}");
        attempt(&mut server, at, how);
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        assert!(!said.contains("panicked"), "{what}: {said}");
        let status = phone.run(&["status"]).expect("a status");
        let queued = status["outbox"].as_i64().expect("a number");
        refused += usize::from(queued > 0);
        // What the phone was told is there, before it says anything again.
        let kept = server.count("SELECT COUNT(*) FROM envelope WHERE standing = 1");
        assert!(
            kept >= reported.len() as i64 - queued,
            "{what}: {kept} of it"
        );
        let (code, said) = server.upkeep(&["verify"]).expect("runs");
        assert_eq!(code, Some(0), "{what}: {said}");
        // And everything goes on.
        server.start_again(MORNING_MS).expect("starts");
        let synced = phone.run(&["sync"]);
        let synced = synced.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(synced["troubles"], serde_json::json!([]), "{what}");
        let status = phone.run(&["status"]).expect("a status");
        assert_eq!(status["outbox"], 0, "{what}");
        server.stop().expect("stops");
        let kept = server.count("SELECT COUNT(*) FROM envelope WHERE standing = 1");
        assert!(kept >= reported.len() as i64, "{what}: {kept} in the end");
    });
    println!("taking in: {tried} failures, {refused} times the phone had to come again");
}
