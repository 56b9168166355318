//! A thousand phones with one bad bit each. Every flip is either harmless or
//! detected, the phone stays the same device, and no unsent action is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::device::{Device, DeviceError, Home};
use shaodao_core::domain::action::Body;
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, RecordId};
use shaodao_core::store::StoreError;
use shaodao_core::store::read::{FindingFilter, WhistleFilter};
use shaodao_core::sync::plan::PUSH_BUDGET_BYTES;
use shaodao_tests::home::{home, unbacked};
use shaodao_tests::world::{MORNING_MS, World};

const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const SEED: u64 = 1_000;
const FLIPS: usize = 1_000;
const DATABASE: &str = "phone/phone.db";
const LOG: &str = "phone/phone.db-wal";
const JOURNAL: &str = "phone/phone.journal";

/// What a phone says when every screen is opened.
#[derive(Debug, PartialEq)]
struct Look {
    device: DeviceId,
    outbox: BTreeSet<EnvelopeHash>,
    cursor: u64,
    screens: String,
}

#[test]
fn a_thousand_flipped_bits_lose_no_unsent_action() {
    println!("damage: seed {SEED}");
    let mut world = World::new("damage", SEED);
    world.phone(HEAD);
    world.phone(SECRETARY);
    let mut sent = Vec::new();
    for nth in 0..6 {
        sent.push(world.report(HEAD, GRID, "E0102", &format!("已上传的第{nth}处")));
    }
    world.sync_all();
    for finding in &sent {
        world.on_finding(SECRETARY, *finding, Body::Accept);
    }
    world.whistle(SECRETARY, "530102001006", sent[0], &["person:P01006-01"], 4);
    world.sync_all();
    let mut unsent = Vec::new();
    for nth in 0..8 {
        unsent.push(world.report(HEAD, GRID, "E0102", &format!("未上传的第{nth}处")));
        let text = format!("补充情况{nth}");
        world.on_finding(HEAD, sent[nth % sent.len()], Body::Note { text });
    }
    let every: Vec<RecordId> = sent.into_iter().chain(unsent).collect();
    // Once as the phone lies there with its battery empty and nothing written
    // back, once as it was switched off.
    let folder = world.folder().join(HEAD);
    let empty = files_of(&folder);
    let mut off = Vec::new();
    world.switched_off(HEAD, |folder| off = files_of(folder));
    assert!(empty.len() > off.len(), "a write-ahead log");

    let case = Case::new();
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut tally: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let states = [empty, off].map(|files| {
        case.place(&files);
        let whole = look(&case.open(&mut rng), &every).expect("a whole phone");
        assert_eq!(whole.outbox.len(), 16);
        (files, whole)
    });
    for nth in 0..FLIPS {
        let (files, whole) = &states[nth % 2];
        case.place(files);
        // Every file is as likely as any other: most bytes are the log's.
        let (path, bytes) = &files[rng.random_range(0..files.len())];
        let (at, bit) = (rng.random_range(0..bytes.len()), rng.random_range(0..8));
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        fs::write(case.0.join(path), &flipped).expect("writes");
        let what = format!("flip {nth}, {path} byte {at} bit {bit} (seed {SEED})");

        let mut device = case.open(&mut rng);
        let mut found = *device.report() != Default::default();
        let mut seen = look(&device, &every);
        if let Err(error) = &seen {
            let said = matches!(error, DeviceError::Store(StoreError::Damaged(_)));
            assert!(said, "{what}: {error}");
            drop(device);
            device = Device::repair(&case.home(), &mut rng).expect("repairs");
            assert!(device.report().incident.is_some(), "{what}: not repaired");
            found = true;
            seen = look(&device, &every);
        }
        let seen = seen.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(seen.device, whole.device, "{what}: another device");
        let missing: Vec<_> = whole.outbox.difference(&seen.outbox).collect();
        assert!(missing.is_empty(), "{what}: lost {missing:?}");
        if !found && seen != *whole {
            // An older state of the feed, cursor and all: pulled again.
            assert!(seen.cursor < whole.cursor, "{what}: {seen:#?}");
            found = true;
        }
        // Both copies are whole again: the next flip may come.
        drop(device);
        found |= path == JOURNAL && fs::read(case.0.join(path)).expect("reads") != flipped;
        let again = case.open(&mut rng);
        assert_eq!(*again.report(), Default::default(), "{what}: not settled");
        let (flips, detected) = tally.entry(path.clone()).or_default();
        *flips += 1;
        *detected += usize::from(found);
    }
    println!("{FLIPS} flips, by file (flips, detected): {tally:?}");
    // While there is a log, most of the database is out of date.
    for path in [DATABASE, LOG] {
        assert!(tally[path].1 * 3 > tally[path].0, "{path} is hardly read");
    }
    let (flips, mended) = tally[JOURNAL];
    assert_eq!(flips, mended, "a bad bit stayed in the journal");
    world.settle();
}

/// Opens every screen.
fn look(device: &Device, records: &[RecordId]) -> Result<Look, DeviceError> {
    let store = device.store();
    let mut screens = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        store.findings(&FindingFilter::default())?,
        store.whistles(&WhistleFilter::default())?,
        store.heads()?,
        store.troubles()?,
        store.search("上传", 100)?,
    );
    for record in records {
        match device.show(*record) {
            Ok(view) => screens.push_str(&format!("{:?}", view.state)),
            Err(DeviceError::NoSuchRecord) => {}
            Err(error) => return Err(error),
        }
    }
    let outbox = store.outbox(PUSH_BUDGET_BYTES)?;
    Ok(Look {
        device: device.id(),
        outbox: outbox.into_iter().map(|(hash, _)| hash).collect(),
        cursor: store.progress()?.cursor,
        screens,
    })
}

/// Files by their path: a phone's, and what backups leave out of it.
type Files = Vec<(String, Vec<u8>)>;

fn files_of(folder: &Path) -> Files {
    let mut files: Files = Vec::new();
    for (folder, prefix) in [(folder, "phone/"), (&unbacked(folder), "phone.unbacked/")] {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            files.push((format!("{prefix}{name}"), fs::read(&path).expect("reads")));
        }
    }
    files.sort();
    files
}

/// One phone after another, in memory where the system has such a folder: what
/// is tried are the bytes, not the disk.
struct Case(PathBuf);

impl Case {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let base = match memory.is_dir() {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        Self(base.join(format!("shaodao-damage-{}", std::process::id())))
    }

    fn place(&self, files: &Files) {
        let _ = fs::remove_dir_all(&self.0);
        for (path, bytes) in files {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("writes");
        }
    }

    fn home(&self) -> Home {
        home(&self.0.join("phone"), MORNING_MS)
    }

    fn open(&self, rng: &mut StdRng) -> Device {
        Device::open(&self.home(), rng).expect("opens")
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
