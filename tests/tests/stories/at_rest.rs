//! The phone lies on a table: what its files give away, what becomes of them
//! when a bit flips, a file is lost or a backup wakes up elsewhere.

use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::{Device, DeviceError};
use shaodao_core::domain::action::Body;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::reason::Reason;
use shaodao_core::store::StoreError;
use shaodao_core::store::key::DatabaseKey;
use shaodao_core::store::salvage::Why;
use shaodao_tests::home::{copied, home, unbacked};
use shaodao_tests::world::World;

const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";

#[test]
fn the_files_of_a_phone_say_nothing_without_its_key() {
    // What could go wrong: a build without the cipher, or a file beside the
    // database that is written in the clear.
    let mut world = World::new("at-rest", 1);
    world.phone(HEAD);
    let canary = "金丝雀在北门街唱歌";
    let finding = world.report(HEAD, GRID, "E0102", canary);
    let found = world.of(HEAD).device.store().search("北门", 10);
    assert_eq!(found.expect("searches"), [finding]);
    let folder = world.folder().join(HEAD);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("reads");
        for clear in [
            canary.as_bytes(),
            "金丝雀".as_bytes(),
            b"SQLite format 3",
            HEAD.as_bytes(),
        ] {
            let shown = bytes.windows(clear.len()).any(|window| window == clear);
            assert!(!shown, "{} is readable", path.display());
        }
        files += 1;
    }
    assert!(files >= 3, "database, write-ahead log and journal");
    world.settle();
}

#[test]
fn another_key_opens_nothing_and_changes_nothing() {
    // What could go wrong: a wrong key taken for damage, and a healthy phone
    // set aside.
    let mut world = World::new("wrong-key", 1);
    world.phone(HEAD);
    world.report(HEAD, GRID, "E0102", "还没有上传");
    let now_ms = world.now_ms();
    let mut refused = None;
    world.switched_off(HEAD, |folder| {
        let mut home = home(folder, now_ms);
        home.key = DatabaseKey::new([9; 32]);
        let before = names(folder);
        refused = Device::open(&home, &mut rand::rng()).err();
        assert_eq!(names(folder), before);
    });
    let refused = refused.expect("refused");
    assert!(
        matches!(refused, DeviceError::Store(StoreError::WrongKey)),
        "{refused}"
    );
    let device = &world.of(HEAD).device;
    assert_eq!(*device.report(), Default::default());
    assert_eq!(device.store().counts().expect("counts").outbox, 1);
    world.settle();
}

#[test]
fn a_damaged_database_is_rebuilt_and_what_was_not_sent_goes_out() {
    // What could go wrong: unsent work lost with the file, a chain that begins
    // again, or the records of others gone for good.
    let mut world = World::new("damaged", 1);
    world.phone(HEAD);
    world.phone(SECRETARY);
    let sent = world.report(HEAD, GRID, "E0102", "已上传");
    world.sync_all();
    world.on_finding(SECRETARY, sent, Body::Accept);
    world.sync_all();
    let unsent = world.report(HEAD, GRID, "E0102", "未上传");
    let note = || Body::Note {
        text: "补充情况".to_owned(),
    };
    world.on_finding(HEAD, sent, note());
    world.on_finding(HEAD, unsent, note());
    let before = world.of(HEAD).device.id();
    world.switched_off(HEAD, |folder| {
        let database = folder.join("phone.db");
        let length = fs::metadata(&database).expect("a database").len();
        fs::write(&database, vec![0x55; length as usize]).expect("scribbles");
    });
    let device = &world.of(HEAD).device;
    let incident = device.report().incident.clone().expect("an incident");
    assert_eq!((incident.why, incident.same_device), (Why::Damaged, true));
    assert_eq!(
        (incident.queued, incident.salvaged, incident.lost),
        (3, 0, 0)
    );
    assert_eq!(incident.aside, "damaged-20250611T010000Z");
    assert_eq!(device.store().incidents().expect("reads"), [incident]);
    assert_eq!(device.id(), before);
    let aside = world.folder().join(HEAD).join("damaged-20250611T010000Z");
    assert!(names(&aside).contains(&"phone.db".to_owned()));
    // Its own report is there at once, the note on the other one after a sync.
    assert_eq!(notes(&mut world, HEAD, unsent), 1);
    world.settle();
    assert_eq!(notes(&mut world, HEAD, sent), 1);
    assert_eq!(notes(&mut world, SECRETARY, sent), 1);
    assert_eq!(notes(&mut world, SECRETARY, unsent), 1);
    // The chain goes on where it was.
    world.report(HEAD, GRID, "E0102", "损坏之后");
    world.settle();
    let device = &world.of(HEAD).device;
    assert!(device.store().troubles().expect("troubles").is_empty());
}

#[test]
fn a_log_that_ends_too_early_costs_nothing() {
    // What could go wrong: SQLite takes a damaged write-ahead log to end there
    // and says nothing; everything after it would be gone without a name.
    let mut world = World::new("log", 1);
    world.phone(HEAD);
    let mut reports = Vec::new();
    for nth in 0..5 {
        reports.push(world.report(HEAD, GRID, "E0102", &format!("第{nth}处")));
    }
    // The phone dies with its log beside it.
    let copy = world.folder().join("copy");
    let folder = world.folder().join(HEAD);
    copied(&folder, &copy);
    world.switched_off(HEAD, |folder| {
        fs::remove_dir_all(folder).expect("gone");
        fs::rename(&copy, folder).expect("moves");
        let log = folder.join("phone.db-wal");
        let length = fs::metadata(&log).expect("a log").len();
        let file = fs::OpenOptions::new().write(true).open(&log);
        file.and_then(|file| file.set_len(length / 3))
            .expect("cut short");
    });
    let device = &world.of(HEAD).device;
    assert!(device.report().incident.is_none());
    assert!(device.report().restored > 0);
    for report in reports {
        assert!(device.store().finding(report).expect("reads").is_some());
    }
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 5);
}

#[test]
fn a_lost_database_file_comes_back_from_the_journal() {
    // What could go wrong: a missing file taken for a new phone.
    let mut world = World::new("lost-file", 1);
    world.phone(HEAD);
    world.report(HEAD, GRID, "E0102", "未上传");
    let before = world.of(HEAD).device.id();
    world.switched_off(HEAD, |folder| {
        fs::remove_file(folder.join("phone.db")).expect("gone");
    });
    let device = &world.of(HEAD).device;
    let incident = device.report().incident.clone().expect("an incident");
    assert_eq!((incident.queued, incident.same_device), (1, true));
    assert_eq!(device.id(), before);
    // The directory was in the database only.
    assert!(matches!(device.directory(), Err(DeviceError::NoDirectory)));
    world.settle();
    world.report(HEAD, GRID, "E0102", "同步以后");
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 2);
}

#[test]
fn damage_to_both_copies_of_an_action_leaves_its_name() {
    // What could go wrong: an action gone that nobody ever hears of.
    let mut world = World::new("both", 1);
    world.phone(HEAD);
    let kept = world.report(HEAD, GRID, "E0102", "读得出");
    let lost = world.report(HEAD, GRID, "E0102", "读不出");
    world.switched_off(HEAD, |folder| {
        fs::write(folder.join("phone.db"), b"nothing of a database").expect("scribbles");
        let journal = folder.join("phone.journal");
        let mut bytes = fs::read(&journal).expect("reads");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&journal, bytes).expect("writes");
    });
    let device = &world.of(HEAD).device;
    let incident = device.report().incident.clone().expect("an incident");
    // Where the chain stands is not certain: another device.
    assert!(!incident.same_device && device.owner().is_none());
    assert_eq!((incident.salvaged, incident.lost), (1, 1));
    let salvaged = device.store().salvaged().expect("salvaged");
    let find = |record| salvaged.iter().find(|it| it.record == record);
    assert!(find(kept).expect("kept").envelope.is_some());
    let lost = find(lost).expect("named");
    assert!(lost.envelope.is_none());
    let lost = lost.hash;
    let folder = world.folder().join(HEAD);
    world.phone_in(HEAD, folder);
    world.sync(HEAD);
    let device = &mut world.of(HEAD).device;
    device.forget_salvaged(&lost).expect("seen");
    redo_all(&mut world);
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 1);
}

#[test]
fn a_restored_backup_is_a_new_device_and_its_work_is_done_again() {
    // What could go wrong: two phones with one chain, or work that was on the
    // old phone only and is gone with it.
    let mut world = World::new("restored", 1);
    world.phone(HEAD);
    world.phone(SECRETARY);
    let sent = world.report(HEAD, GRID, "E0102", "已上传");
    world.sync_all();
    let unsent = world.report(HEAD, GRID, "E0102", "未上传");
    let note = Body::Note {
        text: "补充情况".to_owned(),
    };
    world.on_finding(HEAD, sent, note.clone());
    world.on_finding(HEAD, unsent, note);
    let before = world.of(HEAD).device.id();
    let (old, new) = (world.folder().join(HEAD), world.folder().join("new"));
    copied(&old, &new);
    // The old phone falls into the lake.
    world.phone_in(HEAD, new);
    let device = &world.of(HEAD).device;
    let incident = device.report().incident.clone().expect("an incident");
    assert_eq!((incident.why, incident.same_device), (Why::Restored, false));
    assert_eq!((incident.queued, incident.salvaged), (0, 3));
    assert_ne!(device.id(), before);
    assert_eq!(device.store().counts().expect("counts").outbox, 0);
    world.sync(HEAD);
    redo_all(&mut world);
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 2);
    assert_eq!(notes(&mut world, SECRETARY, sent), 1);
    assert_eq!(notes(&mut world, SECRETARY, unsent), 1);
    // Done once, settled for good, also in the journal.
    world.switched_off(HEAD, |_| {});
    let device = &world.of(HEAD).device;
    assert!(device.store().salvaged().expect("salvaged").is_empty());
    world.settle();
}

#[test]
fn what_the_original_sends_after_all_is_not_sent_twice() {
    // What could go wrong: the copy and the original both report one finding.
    let mut world = World::new("copied", 1);
    world.phone(HEAD);
    let finding = world.report(HEAD, GRID, "E0102", "两台手机上都有");
    let (old, new) = (world.folder().join(HEAD), world.folder().join("new"));
    copied(&old, &new);
    world.sync(HEAD);
    world.phone_in(HEAD, new);
    let salvaged = world.of(HEAD).device.store().salvaged().expect("salvaged");
    assert_eq!(salvaged.len(), 1);
    world.sync(HEAD);
    // It has arrived by itself and is off the list.
    let device = &world.of(HEAD).device;
    assert!(device.store().salvaged().expect("salvaged").is_empty());
    assert!(device.store().finding(finding).expect("reads").is_some());
    let now_ms = world.now_ms();
    let phone = world.of(HEAD);
    let now = phone.now(now_ms);
    let again = phone.device.redo(now, &mut rng(), salvaged[0].hash);
    assert!(matches!(again, Err(DeviceError::NothingToRedo)));
    world.settle();
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 1);
}

#[test]
fn an_older_copy_on_the_same_phone_is_told_apart() {
    // What could go wrong: a folder put back from last week numbers its next
    // action like one that was sent since.
    let mut world = World::new("older", 1);
    world.phone(HEAD);
    world.report(HEAD, GRID, "E0102", "上周");
    let (folder, backup) = (world.folder().join(HEAD), world.folder().join("backup"));
    copied(&folder, &backup);
    world.restart(HEAD);
    world.report(HEAD, GRID, "E0102", "本周");
    world.sync(HEAD);
    world.switched_off(HEAD, |folder| {
        fs::remove_dir_all(folder).expect("gone");
        fs::rename(&backup, folder).expect("put back");
    });
    let device = &world.of(HEAD).device;
    let incident = device.report().incident.clone().expect("an incident");
    assert_eq!((incident.why, incident.same_device), (Why::Restored, false));
    assert!(device.owner().is_none());
    world.phone_in(HEAD, folder);
    world.settle();
    let store = world.of(HEAD).device.store();
    assert!(store.salvaged().expect("salvaged").is_empty());
    assert_eq!(world.server_count("SELECT COUNT(*) FROM finding"), 2);
}

#[test]
fn only_its_author_does_salvaged_work_again() {
    // What could go wrong: a phone passed on, and one person signs for another.
    let mut world = World::new("passed-on", 1);
    world.phone(HEAD);
    world.report(HEAD, GRID, "E0102", "网格长的");
    let (old, new) = (world.folder().join(HEAD), world.folder().join("new"));
    copied(&old, &new);
    world.phone_in(SECRETARY, new);
    let now_ms = world.now_ms();
    let phone = world.of(SECRETARY);
    let now = phone.now(now_ms);
    let salvaged = phone.device.store().salvaged().expect("salvaged");
    match phone.device.redo(now, &mut rng(), salvaged[0].hash) {
        Err(DeviceError::Refused(refused)) => assert_eq!(refused.reason, Reason::NotYours),
        other => panic!("{other:?}"),
    }
    world.settle();
}

#[test]
fn a_damaged_mark_does_not_make_a_phone_another_one() {
    // What could go wrong: one bad sector, and an honest phone must enrol again.
    let mut world = World::new("mark", 1);
    world.phone(HEAD);
    world.report(HEAD, GRID, "E0102", "未上传");
    world.switched_off(HEAD, |folder| {
        fs::write(unbacked(folder).join("installation"), b"?").expect("scribbles");
    });
    let device = &world.of(HEAD).device;
    assert_eq!(*device.report(), Default::default());
    assert!(device.owner().is_some());
    world.settle();
}

/// Chance for what draws no id of its own.
fn rng() -> StdRng {
    StdRng::seed_from_u64(5)
}

fn redo_all(world: &mut World) {
    let now_ms = world.now_ms();
    let phone = world.of(HEAD);
    for salvaged in phone.device.store().salvaged().expect("salvaged") {
        let now = phone.now(now_ms);
        phone
            .device
            .redo(now, &mut rng(), salvaged.hash)
            .expect("possible");
    }
}

/// How many notes somebody sees on a record.
fn notes(world: &mut World, person: &str, record: RecordId) -> usize {
    let history = world.show(person, record).history;
    let notes = history.entries().iter();
    notes
        .filter(|entry| matches!(entry.body, Body::Note { .. }))
        .count()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
