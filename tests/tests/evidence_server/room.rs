//! No room: text wins, evidence waits, nothing is half-written.

use std::io::Write;
use std::path::{Path, PathBuf};

use shaodao_tests::process::Setup;
use shaodao_tests::world::MORNING_MS;

use crate::street::{ByHand, GRID, MEMBER, Street, TUS};

/// More than any disk has.
const EVERYTHING: u64 = 1 << 50;

#[test]
fn a_full_disk_takes_actions_and_no_evidence_and_says_so() {
    // What could go wrong: pictures fill the disk, and the street falls silent.
    let mut street = Street::new("full", Setup::default());
    let mut li = street.phone(MEMBER);
    let (_, begun, sealed) = street.announced(&mut li, 500_000);
    let caller = li.caller();
    assert_eq!(
        caller.patch(begun.sealed, 0, &sealed[..200_000]).status,
        204
    );

    // The disk has filled up while the server was down.
    street.server.stop().expect("stops");
    let reserve = ("SHAODAO_EVIDENCE_RESERVE_BYTES", EVERYTHING);
    street.server.set(reserve.0, reserve.1);
    street.server.start_again(MORNING_MS).expect("starts");
    let record = li.report(GRID);
    let new = li.attach_voice(record, 10_000);
    street.sync(&mut li);
    assert_eq!(
        li.device.store().counts().expect("counts").outbox,
        0,
        "text wins"
    );
    let new_sealed = li.sealed(&new);
    let length = new_sealed.len().to_string();
    let metadata = format!("sealed {}", base64(&new.sealed.0));
    let create = [
        TUS,
        ("upload-length", &*length),
        ("upload-metadata", &*metadata),
    ];
    for answer in [
        caller.ask("POST", "/v1/evidence", &create, &[]),
        caller.patch(new.sealed, 0, &new_sealed),
        caller.patch(begun.sealed, 200_000, &sealed[200_000..]),
    ] {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (507, "evidence_full")
        );
        assert!(answer.header("retry-after").is_some());
        let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert!(told["zh"].as_str().expect("zh").contains("空间已满"));
        assert!(told["en"].as_str().expect("en").contains("no room"));
    }
    assert_eq!(caller.offset(begun.sealed), 200_000, "what came stays");
    assert_eq!(
        caller.get(begun.sealed, &[]).status,
        404,
        "nothing half-written"
    );

    // Somebody has made room.
    street.server.stop().expect("stops");
    street.server.set(reserve.0, 0);
    street.server.start_again(MORNING_MS).expect("starts");
    assert_eq!(
        caller
            .patch(begun.sealed, 200_000, &sealed[200_000..])
            .status,
        204
    );
    assert_eq!(caller.patch(new.sealed, 0, &new_sealed).status, 204);
    assert_eq!(caller.get(begun.sealed, &[]).body, sealed);
}

/// The system stops the server's files in the middle of a batch.
const LARGEST_FILE_KIB: u64 = 5_000;

#[test]
fn a_write_that_the_system_refuses_half_way_leaves_what_is_whole_and_text_goes_on() {
    // What could go wrong: half a batch stays behind the offset, and the rest is
    // put behind bytes that nobody checked; or one picture ends the server.
    let mut street = Street::new("half", Setup::default());
    street.server.stop().expect("stops");
    street.server.limit_files(Some(LARGEST_FILE_KIB));
    street.server.start_again(MORNING_MS).expect("starts");
    let mut li = street.phone(MEMBER);
    let (_, large, sealed) = street.announced(&mut li, 5_500_000);
    let caller = li.caller();
    let arriving = street.folder.join("server/evidence-arriving");
    let length = || {
        let mut files = std::fs::read_dir(&arriving).expect("a folder");
        let file = files.next().expect("a file").expect("reads");
        file.metadata().expect("reads").len()
    };
    let full = (507, "evidence_full");
    for _ in 0..3 {
        let offset = caller.offset(large.sealed);
        let answer = caller.patch(large.sealed, offset, &sealed[offset as usize..]);
        assert_eq!((answer.status, answer.code().as_str()), full, "{answer:?}");
        let kept = caller.offset(large.sealed);
        assert!((offset..=LARGEST_FILE_KIB * 1024).contains(&kept), "{kept}");
        assert_eq!(length(), kept, "nothing behind what is told");
    }
    let kept = caller.offset(large.sealed);
    assert!(kept > 1_000_000, "what fitted stays: {kept}");
    let file = std::fs::read_dir(&arriving).expect("a folder").next();
    let file = std::fs::read(file.expect("a file").expect("reads").path()).expect("reads");
    assert!(file == sealed[..kept as usize], "byte for byte");
    assert_eq!(caller.get(large.sealed, &[]).status, 404);
    // Text goes on, and so does what is small enough.
    let (_, small, small_sealed) = street.arrived(&mut li, 20_000);
    assert_eq!(li.device.store().counts().expect("counts").outbox, 0);
    assert_eq!(caller.get(small.sealed, &[]).body, small_sealed);

    street.server.stop().expect("stops");
    street.server.limit_files(None);
    street.server.start_again(MORNING_MS).expect("starts");
    assert_eq!(caller.offset(large.sealed), kept);
    let answer = caller.patch(large.sealed, kept, &sealed[kept as usize..]);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(caller.get(large.sealed, &[]).body == sealed, "every byte");
}

#[test]
fn a_folder_on_another_disk_that_takes_no_more_gets_no_half_of_a_piece() {
    // What could go wrong: the copy to the other disk breaks off, and its half is
    // taken for the piece or takes the last room for good.
    let shelf = Path::new("/dev/shm").join(format!("shaodao-shelf-{}", std::process::id()));
    std::fs::create_dir_all(&shelf).expect("a folder");
    let full = |full: bool, street: &mut Street| {
        street.server.limit_files(full.then_some(LARGEST_FILE_KIB));
    };
    a_shelf_that_takes_no_more("shelf", &shelf, full);
    std::fs::remove_dir_all(shelf).expect("a folder");
}

/// A piece of which the last byte comes when there is no room on the shelf, an
/// empty folder on another disk; `full` says whether it is full.
pub fn a_shelf_that_takes_no_more(name: &str, shelf: &Path, full: impl Fn(bool, &mut Street)) {
    let setup = Setup::default()
        .with("SHAODAO_EVIDENCE_FOLDER", shelf.display())
        .with("SHAODAO_EVIDENCE_RESERVE_BYTES", 0);
    let mut street = Street::new(name, setup);
    let mut li = street.phone(MEMBER);
    let (_, piece, sealed) = street.announced(&mut li, 5_500_000);
    let caller = li.caller();
    let all_but_one = sealed.len() - 1;
    let answer = caller.patch(piece.sealed, 0, &sealed[..all_but_one]);
    assert_eq!(answer.status, 204, "{answer:?}");
    // Killed when the last byte was written and nothing else.
    street.server.stop().expect("stops");
    let arriving = street.folder.join("server/evidence-arriving");
    let file = std::fs::read_dir(&arriving).expect("a folder").next();
    let file = file.expect("a file").expect("reads").path();
    let mut file = std::fs::OpenOptions::new().append(true).open(file);
    let file = file.as_mut().expect("opens");
    file.write_all(&sealed[all_but_one..]).expect("writes");
    full(true, &mut street);
    street.server.start_again(MORNING_MS).expect("starts");
    for _ in 0..2 {
        assert_eq!(caller.head(piece.sealed).status, 507);
        assert_eq!(pieces(shelf), Vec::<PathBuf>::new(), "no half");
        assert_eq!(caller.get(piece.sealed, &[]).status, 404);
    }
    let record = li.report(GRID);
    street.sync(&mut li);
    assert_eq!(li.device.store().counts().expect("counts").outbox, 0);
    assert!(li.device.show(record).is_ok(), "text wins");

    street.server.stop().expect("stops");
    full(false, &mut street);
    street.server.start_again(MORNING_MS).expect("starts");
    assert_eq!(caller.offset(piece.sealed), sealed.len() as u64);
    assert_eq!(pieces(shelf).len(), 1);
    assert!(caller.get(piece.sealed, &[]).body == sealed, "every byte");
}

/// Files of pieces, whole or half, on a shelf.
fn pieces(shelf: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(shelf.join("pieces")) else {
        return Vec::new();
    };
    let shards = entries.flatten().map(|shard| shard.path());
    let files = shards.flat_map(|shard| std::fs::read_dir(shard).expect("a folder").flatten());
    files.map(|file| file.path()).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_days_limit_and_a_limit_of_all_are_told_and_leave_the_rest_on_the_phone() {
    let day = Setup::default().with("SHAODAO_EVIDENCE_DEVICE_BYTES_PER_DAY", 1 << 20);
    let all = Setup::default().with("SHAODAO_EVIDENCE_TOTAL_BYTES", 1 << 20);
    for (name, setup, wanted) in [
        ("day", day, (413, "evidence_quota")),
        ("all", all, (507, "evidence_full")),
    ] {
        let street = Street::new(name, setup);
        let mut li = street.phone(MEMBER);
        street.arrived(&mut li, 700_000);
        let (_, second, sealed) = street.announced(&mut li, 700_000);
        let caller = li.caller();
        let answer = caller.patch(second.sealed, 0, &sealed);
        assert_eq!((answer.status, answer.code().as_str()), wanted);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert_eq!(caller.offset(second.sealed), 0);
        // What still fits is taken.
        street.arrived(&mut li, 100_000);
        if name == "day" {
            let tomorrow = street.server.set_clock(MORNING_MS + 16 * 3_600_000);
            street.runtime.block_on(tomorrow).expect("the clock moves");
            assert_eq!(caller.patch(second.sealed, 0, &sealed).status, 204);
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_size_of_a_piece() {
    let street = Street::new("memory", Setup::default());
    let mut li = street.phone(MEMBER);
    let mut grown = Vec::new();
    for size in [1_000_000, 10_000_000] {
        // Once to warm up, once to look.
        let pieces = [(); 2].map(|()| street.announced(&mut li, size));
        let mut before = 0;
        for (_, piece, sealed) in pieces {
            before = street.server.resident_bytes().expect("reads");
            assert_eq!(li.caller().patch(piece.sealed, 0, &sealed).status, 204);
            let got = li.caller().get(piece.sealed, &[]);
            assert_eq!(got.body.len(), sealed.len());
        }
        let after = street.server.resident_bytes().expect("reads");
        grown.push(after.saturating_sub(before));
        println!("{size} bytes: {before} before, {after} after");
    }
    // Ten times the bytes; a server that held them would hold ten megabytes.
    assert!(grown[1] < 5_000_000, "{grown:?}");
}
