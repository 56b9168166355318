//! Acknowledged means on the disk: phones that are real processes, killed in
//! the middle of their work.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_tests::home::Folder;
use shaodao_tests::process::{ServerProcess, Setup, Terminal};
use shaodao_tests::wanted::wanted;
use shaodao_tests::world::MORNING_MS;

const MEMBER: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const SEED: u64 = 611;
/// Kills of a phone that captures; `SHAODAO_KILLS` says otherwise.
const CAPTURE_KILLS: u64 = 100;
/// After so many it syncs, unless it is done.
const HOME_AFTER: usize = 100;
/// For one of a phone that stores a reply.
const FOR_ONE_SYNC_KILL: usize = 5;
/// Kills of a phone that rebuilds its database.
const RECOVERY_KILLS: usize = 20;
/// Findings that a list shows, and that the server takes on one day.
const MOST_LISTED: usize = 10_000;

fn enrolled(server: &ServerProcess, folder: &Path, person: &str) -> Terminal {
    let phone = Terminal::new(&folder.join(person)).expect("the phone program");
    let enrolled = phone.enrol(server, person);
    assert_eq!(enrolled.expect("enrols")["person"], person);
    phone
}

#[test]
fn kills_lose_nothing_that_was_acknowledged() {
    let kills = wanted("SHAODAO_KILLS", CAPTURE_KILLS) as usize;
    println!("durability: seed {SEED}, {kills} kills");
    let folder = Folder::new("durability");
    // All of it on one day, by one phone: more than a server usually takes.
    let setup = Setup::default()
        .with("SHAODAO_LIMITS_ACTIONS_PER_DAY", MOST_LISTED)
        .with("SHAODAO_LIMITS_RECORDS_PER_DAY", MOST_LISTED);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let phone = enrolled(&server, &folder.0, MEMBER);
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut acknowledged = BTreeSet::new();
    let mut nth = 0;
    for kill in 0..kills {
        if kill > 0 && kill.is_multiple_of(HOME_AFTER) {
            // One that never came home would compare ever more actions at every
            // opening with what its journal has of them.
            let synced = phone.run(&["sync"]).expect("syncs");
            assert_eq!(synced["troubles"], serde_json::json!([]));
        }
        let until = rng.random_range(1..12);
        acknowledged.extend(capture_until_killed(&phone, until, &mut nth));
    }
    assert!(acknowledged.len() >= kills);
    let listed = listed(&phone);
    let lost: Vec<_> = acknowledged.difference(&listed).collect();
    assert!(
        lost.is_empty(),
        "acknowledged and lost: {lost:?} (seed {SEED})"
    );
    println!("{} acknowledged", acknowledged.len());

    // What is on the disk is a whole chain: the server takes all of it, and a
    // kill in the middle of storing a reply costs another exchange, no more.
    let synced = phone.run(&["sync"]).expect("syncs");
    assert_eq!(synced["troubles"], serde_json::json!([]));
    let secretary = enrolled(&server, &folder.0, SECRETARY);
    for _ in 0..kills / FOR_ONE_SYNC_KILL {
        let mut child = secretary
            .command(&["sync"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("runs");
        // No sleep: time passes by capturing on the other phone.
        let until = rng.random_range(1..4);
        acknowledged.extend(capture_until_killed(&phone, until, &mut nth));
        let _ = child.kill();
        child.wait().expect("ends");
        phone.run(&["sync"]).expect("syncs");
    }
    secretary.run(&["sync"]).expect("syncs");
    let there = self::listed(&secretary);
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(
        lost.is_empty(),
        "did not reach the secretary: {lost:?} (seed {SEED})"
    );
    for phone in [&phone, &secretary] {
        let status = phone.run(&["status"]).expect("a status");
        assert_eq!(
            (&status["outbox"], &status["troubles"]),
            (&0.into(), &serde_json::json!([]))
        );
    }
}

#[test]
fn a_kill_during_recovery_leaves_a_state_that_recovers_again() {
    // What could go wrong: killed between two moves, a phone opens on half of
    // its files, or salvages from what it has just made.
    println!("recovery: seed {SEED}");
    let folder = Folder::new("recovery");
    let server = ServerProcess::start(&folder.0, MORNING_MS).expect("a server");
    let phone = enrolled(&server, &folder.0, MEMBER);
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut nth = 0;
    capture_until_killed(&phone, 5, &mut nth);
    let before = phone.run(&["status"]).expect("a status");
    let home = folder.0.join(MEMBER);
    let (mut kills, mut interrupted) = (0, 0);
    while interrupted < RECOVERY_KILLS {
        kills += 1;
        assert!(kills < 40 * RECOVERY_KILLS, "no kill ever hit a recovery");
        let _ = std::fs::remove_file(home.join("phone.db-wal"));
        std::fs::write(home.join("phone.db"), [0x55; 40_000]).expect("scribbles");
        let asides = unfinished(&home).1;
        let mut child = phone
            .command(&["status"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("runs");
        // No sleep: time passes by looking at the folder. Where flushes cost nothing
        // all is over in a moment, so every other time something has been made.
        let half_made = kills % 2 == 0;
        let mut looks = rng.random_range(0..if half_made { 10 } else { 400 });
        while looks > 0 && child.try_wait().expect("waits").is_none() {
            let (making, all) = unfinished(&home);
            looks -= usize::from(if half_made { making } else { all > asides });
        }
        let _ = child.kill();
        child.wait().expect("ends");
        interrupted += usize::from(unfinished(&home).0);
        let after = phone.run(&["status"]).expect("recovers");
        assert_eq!(after["device"], before["device"], "kill {kills}");
        assert_eq!(after["outbox"], before["outbox"], "kill {kills}");
        assert!(!unfinished(&home).0, "kill {kills}: left unfinished");
    }
    println!("{kills} kills, {interrupted} of them in the middle of a recovery");
    let synced = phone.run(&["sync"]).expect("syncs");
    assert_eq!(synced["accepted"], before["outbox"]);
    assert_eq!(synced["troubles"], serde_json::json!([]));
}

/// Whether a recovery has begun and not ended, and how many there were.
fn unfinished(home: &Path) -> (bool, usize) {
    let (mut unfinished, mut asides) = (false, 0);
    for entry in std::fs::read_dir(home).expect("a folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("damaged-") {
            asides += 1;
            let made = ["rebuilt.db", "rebuilt.draft"].map(|name| entry.path().join(name));
            unfinished |= made.iter().any(|path| path.exists());
        }
    }
    (unfinished, asides)
}

/// Reports findings until so many are acknowledged, then kills the process in
/// the middle of the next; the acknowledged records.
fn capture_until_killed(phone: &Terminal, until: usize, nth: &mut usize) -> Vec<String> {
    let mut child = phone
        .command(&["report", "--batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut input = child.stdin.take().expect("an input");
    let mut output = BufReader::new(child.stdout.take().expect("an output"));
    for _ in 0..until + 3 {
        *nth += 1;
        let line = format!(
            "{{\"title\":\"第{nth}处井盖破损\",\"category\":\"C0101\",\"grid\":\"530102001006001\"}}\n"
        );
        input.write_all(line.as_bytes()).expect("still alive");
    }
    let mut acknowledged = Vec::new();
    let mut line = String::new();
    while acknowledged.len() < until {
        line.clear();
        assert!(
            output.read_line(&mut line).expect("reads") > 0,
            "ended early"
        );
        acknowledged.push(record_of(&line));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("ends");
    // What it still managed to say before it died counts too.
    for line in output.lines().map_while(Result::ok) {
        if let Ok(said) = serde_json::from_str::<serde_json::Value>(&line) {
            acknowledged.extend(said["record"].as_str().map(str::to_owned));
        }
    }
    acknowledged
}

fn record_of(line: &str) -> String {
    let said: serde_json::Value = serde_json::from_str(line).expect("JSON");
    said["record"].as_str().expect("a record").to_owned()
}

fn listed(phone: &Terminal) -> BTreeSet<String> {
    let limit = MOST_LISTED.to_string();
    let rows = phone.run(&["list", "--limit", &limit]).expect("lists");
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row["record"].as_str().expect("a record").to_owned())
        .collect()
}
