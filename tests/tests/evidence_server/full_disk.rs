//! Disks that are really full, on both sides: text wins as long as anything does,
//! photos wait, nothing is half-written, and it goes on when there is room again.

use std::path::Path;

use rand::Rng;

use shaodao_core::device::evidence::Shot;
use shaodao_core::device::{Captured, DeviceError, Draft};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::evidence::Shows;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::store::StoreError;
use shaodao_core::sync::transport::Transport;
use shaodao_tests::process::Setup;
use shaodao_tests::small_disk::SmallDisk;
use shaodao_tests::world::{MORNING_MS, finding_facts};

use crate::room::a_shelf_that_takes_no_more;
use crate::street::{ByHand, GRID, MEMBER, Phone, Street, now};

const MIB: u64 = 1 << 20;
const FULL: (u16, &str) = (507, "evidence_full");

#[test]
fn a_servers_disk_that_is_full_takes_text_first_and_loses_nothing() {
    // What could go wrong: pictures take the last byte and the street falls
    // silent; or a disk that somebody else has filled ends the server, or costs
    // what was acknowledged.
    let name = "full-server";
    let folder = Street::folder(name);
    let Some(disk) = SmallDisk::mount(&folder.join("server"), 24 * MIB) else {
        // The same by a reserve that no disk can have: in `room`.
        return;
    };
    let setup = Setup::default().with("SHAODAO_EVIDENCE_RESERVE_BYTES", 4 * MIB);
    let mut street = Street::in_folder(folder, setup);
    let mut li = street.phone(MEMBER);
    let (_, begun, sealed) = street.announced(&mut li, 5_500_000);
    let caller = li.caller();
    let first = caller.patch(begun.sealed, 0, &sealed[..2_000_000]);
    assert_eq!(first.status, 204, "{first:?}");

    // Somebody else fills the disk: there is the reserve and a little more.
    disk.fill(5 * MIB);
    for _ in 0..3 {
        let offset = caller.offset(begun.sealed);
        let answer = caller.patch(begun.sealed, offset, &sealed[offset as usize..]);
        assert_eq!((answer.status, answer.code().as_str()), FULL, "{answer:?}");
    }
    let kept = caller.offset(begun.sealed);
    assert!((2_000_000..4_000_000).contains(&kept), "{kept}");
    assert_eq!(caller.get(begun.sealed, &[]).status, 404);
    let second = li.report(GRID);
    street.sync(&mut li);
    assert_eq!(outbox(&li), 0, "text wins");

    // Not a byte is left, for nothing: text waits on the phone too.
    disk.fill(0);
    let third = li.report(GRID);
    let note = li.attach_voice(third, 10_000);
    let transport = Transport::new(&street.server.address()).expect("an address");
    for _ in 0..3 {
        let synced = transport.sync(&mut li.device, now, |_| {});
        assert!(street.runtime.block_on(synced).is_err(), "there is no room");
        let answer = caller.patch(begun.sealed, kept, &sealed[kept as usize..]);
        assert_eq!((answer.status, answer.code().as_str()), FULL, "{answer:?}");
    }
    assert_eq!(outbox(&li), 2, "nothing is lost");
    assert_eq!(caller.offset(begun.sealed), kept);
    assert_eq!(caller.get(begun.sealed, &[]).status, 404);
    // Killed and started without room, it comes back with all that it had.
    street.server.stop().expect("stops");
    disk.make_room();
    street.server.start_again(MORNING_MS).expect("starts");
    street.sync(&mut li);
    assert_eq!(outbox(&li), 0);
    for finding in [second, third] {
        assert!(li.device.show(finding).is_ok());
    }
    assert_eq!(street.server.count("SELECT COUNT(*) FROM finding"), 3);
    let rest = caller.patch(begun.sealed, kept, &sealed[kept as usize..]);
    assert_eq!(rest.status, 204, "{rest:?}");
    assert!(caller.get(begun.sealed, &[]).body == sealed, "every byte");
    let sealed = li.sealed(&note);
    assert_eq!(caller.patch(note.sealed, 0, &sealed).status, 204);
}

#[test]
fn a_shelf_on_a_disk_that_is_full_gets_no_half_of_a_piece() {
    // What could go wrong: the copy to the other disk breaks off, and its half is
    // taken for the piece or takes the last room for good.
    let shelf = Street::folder("full-shelf-disk");
    let Some(disk) = SmallDisk::mount(&shelf, 8 * MIB) else {
        // By the largest file that the system allows: in `room`.
        return;
    };
    let full = |full: bool, _: &mut Street| match full {
        true => disk.fill(3 * MIB),
        false => disk.make_room(),
    };
    a_shelf_that_takes_no_more("full-shelf", &shelf, full);
}

#[test]
fn a_phones_disk_that_is_full_takes_text_first_and_half_writes_nothing() {
    // What could go wrong: a report that is lost because of its photo; an action
    // that cites half a file; a phone that does not open any more.
    let name = "full-phone";
    let folder = Street::folder(name);
    let home = folder.join(MEMBER);
    let Some(disk) = SmallDisk::mount(&home, 12 * MIB) else {
        // By limits of its folder and of its database: in the stories `evidence`
        // and `storage`.
        return;
    };
    let street = Street::in_folder(folder, Setup::default());
    let mut li = street.phone(MEMBER);
    let finding = li.report(GRID);
    attach(&street, &mut li, finding, 1_000_000).expect("there is room");

    // A film leaves half a megabyte.
    disk.fill(MIB / 2);
    let before = files(&home);
    for _ in 0..3 {
        let refused = attach(&street, &mut li, finding, 2_000_000).expect_err("no room");
        assert!(is_full(&refused), "{refused}");
        assert_eq!(files(&home), before, "nothing is half-written");
    }
    let second = li.report(GRID);
    street.sync(&mut li);
    assert_eq!(outbox(&li), 0, "text wins");

    // Not a byte is left: what does not fit into what the files have already is
    // refused, and says so.
    disk.fill(0);
    let mut saved = 2;
    let refused = loop {
        match report(&mut li) {
            Ok(_) => saved += 1,
            Err(error) => break error,
        }
        assert!(saved < 1_000, "the disk never filled");
    };
    assert!(is_full(&refused), "{refused}");
    assert!(li.device.show(second).is_ok(), "it can still be read");
    // The app is closed, room is made, the app is opened: all of it goes on.
    let li = li.closed();
    disk.make_room();
    let mut li = li.opened();
    report(&mut li).expect("there is room");
    attach(&street, &mut li, finding, 2_000_000).expect("there is room");
    street.sync(&mut li);
    assert_eq!(outbox(&li), 0);
    let findings = street.server.count("SELECT COUNT(*) FROM finding");
    assert_eq!(findings, saved + 1, "all that was saved, and nothing else");
    assert_eq!(li.pieces(finding).len(), 2);
}

fn report(phone: &mut Phone) -> Result<Captured, DeviceError> {
    let facts = finding_facts(GRID, "E0403", "北门街燃气泄漏");
    let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
    phone.device.capture(now(), &mut phone.rng, draft)
}

/// Attaches noise from a file elsewhere.
fn attach(
    street: &Street,
    phone: &mut Phone,
    record: RecordId,
    size: usize,
) -> Result<Captured, DeviceError> {
    let mut bytes = b"#!AMR\n".to_vec();
    bytes.resize(size, 0);
    phone.rng.fill_bytes(&mut bytes[6..]);
    let file = street.folder.join("taken");
    std::fs::write(&file, bytes).expect("writes");
    let shot = Shot {
        file,
        shows: Shows::Voice,
        position: None,
        taken_at_ms: None,
    };
    phone.device.attach(now(), &mut phone.rng, record, &[shot])
}

fn is_full(error: &DeviceError) -> bool {
    matches!(error, DeviceError::Store(StoreError::Full))
}

fn outbox(phone: &Phone) -> u64 {
    phone.device.store().counts().expect("counts").outbox
}

/// Names of the files of evidence on a phone.
fn files(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home.join("evidence")).expect("a folder");
    let names = entries.flatten().map(|it| it.file_name());
    let mut names: Vec<_> = names.map(|it| it.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
