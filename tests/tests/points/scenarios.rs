//! What is done while a process dies. Each scenario may be done again by whoever
//! finds the files: what is done already is passed over.

use std::collections::BTreeSet;
use std::path::Path;

use shaodao_core::device::evidence::Shot;
use shaodao_core::device::{Captured, DATABASE, DeviceError, Draft};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::evidence::{Piece, Shows};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::store::pieces::Form;
use shaodao_server::engine::Engine;
use shaodao_tests::home::{copied, unbacked};
use shaodao_tests::photos::photo;
use shaodao_tests::world::{HOUR_MS, World, finding_facts};

const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const GRID: &str = "530102001006001";
const NORTH_GATE: &str = "530102001006";
const URBAN_POST: &str = "post:530102001006001/urban";
/// The phone of somebody who gets another one.
const NEW: &str = "new phone";
/// Longer than uploads that nobody goes on with are kept, hours.
const EXPIRY_H: i64 = 8 * 24;

/// Hears of whatever was saved.
type Saved<'a> = &'a mut dyn FnMut(Captured);

/// Something to die in.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What was before.
    pub before: fn(&mut World, Saved<'_>),
    /// What happens to the files while everything is switched off.
    pub meanwhile: fn(&Path),
    /// What is done.
    pub during: fn(&mut World, Saved<'_>),
    /// What must be true at the end, apart from what always must.
    pub after: fn(&mut World),
}

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a new phone",
        before: |_, _| {},
        meanwhile: |_| {},
        during: new_phone,
        after: |world| assert_eq!(world.of(NEW).device.owner().expect("its").person.0, HEAD),
    },
    Scenario {
        name: "saving",
        before: |_, _| {},
        meanwhile: |_| {},
        during: |world, saved| {
            world.pick_up(HEAD);
            report(world, saved);
            report(world, saved);
        },
        after: |_| {},
    },
    Scenario {
        name: "attaching",
        before: |world, saved| {
            world.pick_up(HEAD);
            report(world, saved);
            take_photo(world);
        },
        meanwhile: |folder| {
            // What an app that died has begun.
            let evidence = folder.join(HEAD).join("evidence");
            std::fs::create_dir_all(&evidence).expect("a folder");
            std::fs::write(evidence.join("begun-0000000000000000"), b"half").expect("writes");
        },
        during: |world, saved| {
            world.pick_up(HEAD);
            attach(world, saved);
        },
        after: |world| assert!(look(world, HEAD).is_some(), "the photo does not open"),
    },
    Scenario {
        name: "erasing",
        before: |world, saved| {
            world.pick_up(HEAD);
            world.pick_up(SECRETARY);
            let finding = report(world, saved);
            let confided = world.confide(HEAD, finding, PrivateKind::Phone, "13800000000");
            saved(confided.expect("confided"));
            take_photo(world);
            attach(world, saved);
            world.settle();
        },
        meanwhile: |_| {},
        during: erase,
        after: |world| assert!(look(world, HEAD).is_none(), "it opens"),
    },
    Scenario {
        name: "syncing",
        before: |world, saved| {
            world.pick_up(HEAD);
            world.pick_up(SECRETARY);
            let finding = report(world, saved);
            world.settle();
            world.on_finding(SECRETARY, finding, Body::Accept);
            report(world, saved);
        },
        meanwhile: |_| {},
        during: |world, _| {
            world.pick_up(HEAD);
            world.pick_up(SECRETARY);
            world.sync(SECRETARY);
            world.sync(HEAD);
        },
        after: |_| {},
    },
    Scenario {
        name: "a lost log",
        before: |world, saved| {
            world.pick_up(HEAD);
            report(world, saved);
            world.sync(HEAD);
            let older = world.folder().join("older");
            copied(&world.phone_folder(HEAD), &older);
            report(world, saved);
            report(world, saved);
        },
        meanwhile: |folder| {
            for entry in std::fs::read_dir(folder.join("older")).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path.file_name().expect("a name");
                if name.to_string_lossy().starts_with(DATABASE) {
                    std::fs::copy(&path, folder.join(HEAD).join(name)).expect("copies");
                }
            }
        },
        during: |world, _| world.pick_up(HEAD),
        after: |_| {},
    },
    Scenario {
        name: "a damaged database",
        before: two_reports,
        meanwhile: |folder| damage(&folder.join(HEAD).join(DATABASE)),
        during: |world, saved| {
            world.pick_up(HEAD);
            world.sync(HEAD);
            report(world, saved);
        },
        after: |world| assert!(world.of(HEAD).device.owner().is_some()),
    },
    Scenario {
        name: "on another phone",
        before: two_reports,
        meanwhile: |folder| {
            std::fs::remove_dir_all(unbacked(&folder.join(HEAD))).expect("stays behind");
        },
        during: |world, _| {
            world.pick_up(HEAD);
            if world.of(HEAD).device.owner().is_none() {
                world.enrol(HEAD, HEAD);
            }
        },
        after: |_| {},
    },
    Scenario {
        name: "evidence arrives",
        before: |world, saved| {
            world.pick_up(HEAD);
            world.pick_up(SECRETARY);
            report(world, saved);
            take_photo(world);
            attach(world, saved);
            world.settle();
        },
        meanwhile: |_| {},
        during: evidence_arrives,
        after: |world| {
            let photo = std::fs::read(world.folder().join(PHOTO)).expect("reads");
            assert_eq!(look(world, SECRETARY), Some(photo));
        },
    },
    Scenario {
        name: "evidence goes",
        before: |world, saved| {
            world.pick_up(HEAD);
            world.pick_up(SECRETARY);
            report(world, saved);
            take_photo(world);
            attach(world, saved);
            world.sync(HEAD);
            evidence_arrives(world, saved);
            erase(world, saved);
            report(world, saved);
            take_photo(world);
            attach(world, saved);
            world.sync(HEAD);
            let (_, begun) = piece(world, HEAD).expect("a piece");
            world.begin_upload(HEAD, &begun);
            world.settle();
        },
        meanwhile: |folder| {
            // What a server that died has begun.
            let arriving = folder.join("server/evidence-arriving/nobodys");
            std::fs::write(arriving, b"half").expect("writes");
        },
        during: |world, _| {
            world.pick_up(HEAD);
            world.pick_up(SECRETARY);
            world.wait(EXPIRY_H * HOUR_MS);
            world.sweep_evidence();
        },
        after: |world| {
            for table in ["evidence_trash", "upload"] {
                let left = world.server_count(&format!("SELECT COUNT(*) FROM {table}"));
                assert_eq!(left, 0, "{table}");
            }
        },
    },
    Scenario {
        name: "whistles go up",
        before: |world, saved| {
            world.pick_up(SECRETARY);
            world.pick_up(URBAN);
            for _ in 0..2 {
                let finding = report_by(SECRETARY, world, saved);
                world.on_finding(SECRETARY, finding, Body::Accept);
                world.whistle(SECRETARY, NORTH_GATE, finding, &[URBAN_POST], 1);
            }
            world.sync(SECRETARY);
        },
        meanwhile: |_| {},
        during: |world, _| {
            world.wait(2 * HOUR_MS);
            world.look_at_deadlines();
            world.pick_up(SECRETARY);
            world.pick_up(URBAN);
        },
        after: |world| {
            assert_eq!(world.escalations(), 2);
            let whistles = "SELECT COUNT(*) FROM whistle WHERE parent IS NOT NULL";
            assert_eq!(world.server_count(whistles), 2);
        },
    },
    Scenario {
        name: "a backup",
        before: two_reports,
        meanwhile: |_| {},
        during: |world, _| {
            world.pick_up(HEAD);
            if !world.folder().join(BACKUP).exists() {
                world.backup(BACKUP);
            }
        },
        after: restored,
    },
    Scenario {
        name: "a restore",
        before: |world, saved| {
            world.pick_up(HEAD);
            report(world, saved);
            world.sync(HEAD);
            world.backup(BACKUP);
            report(world, saved);
            world.sync(HEAD);
        },
        meanwhile: |_| {},
        during: |world, saved| {
            world.pick_up(HEAD);
            report(world, saved);
            restore(world);
        },
        after: |_| {},
    },
    Scenario {
        name: "a new edition",
        before: |_, _| {},
        meanwhile: |_| {},
        during: |world, _| {
            world.pick_up(HEAD);
            let edit = |engine: &mut Engine| {
                let pack = engine.pack()?;
                engine.publish_edition(&pack, "Wen", "nothing")
            };
            world.admin(edit).expect("an edition");
            world.sync(HEAD);
        },
        after: |world| {
            let known = world
                .of(HEAD)
                .device
                .directory()
                .expect("a directory")
                .version;
            assert_eq!(known, world.app().directory().expect("one").version);
        },
    },
];

const PHOTO: &str = "IMG_0001.jpg";
const BACKUP: &str = "noon.db";

/// Envelopes that anybody still has, or that wait for their author to do them
/// again.
pub fn there(world: &mut World) -> BTreeSet<String> {
    let mut there: BTreeSet<String> = world.kept().iter().map(ToString::to_string).collect();
    for person in world.people() {
        let salvaged = world.of(&person).device.store().salvaged();
        there.extend(
            salvaged
                .expect("a list")
                .iter()
                .map(|it| it.hash.to_string()),
        );
    }
    there
}

fn new_phone(world: &mut World, _: Saved<'_>) {
    world.pick_up(NEW);
    if world.of(NEW).device.owner().is_none() {
        world.enrol(NEW, HEAD);
    }
}

fn two_reports(world: &mut World, saved: Saved<'_>) {
    world.pick_up(HEAD);
    report(world, saved);
    world.sync(HEAD);
    report(world, saved);
}

fn report(world: &mut World, saved: Saved<'_>) -> RecordId {
    report_by(HEAD, world, saved)
}

fn report_by(person: &str, world: &mut World, saved: Saved<'_>) -> RecordId {
    let facts = finding_facts(GRID, "E0102", "渣土堆放");
    let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
    let captured = world.try_act(person, draft).expect("reports");
    saved(captured);
    captured.record
}

fn take_photo(world: &mut World) {
    let bytes = photo(&mut world.rng, 320, 240, 6);
    std::fs::write(world.folder().join(PHOTO), bytes).expect("writes");
}

/// The newest finding on somebody's phone.
fn newest(world: &mut World, person: &str) -> RecordId {
    let heads = world.of(person).device.store().heads().expect("heads");
    heads.last().expect("a finding").0
}

fn attach(world: &mut World, saved: Saved<'_>) {
    let finding = newest(world, HEAD);
    let shot = Shot {
        file: world.folder().join(PHOTO),
        shows: Shows::Scene,
        position: None,
        taken_at_ms: None,
    };
    match world.attach(HEAD, finding, &[shot]) {
        Ok(captured) => saved(captured),
        // Before it died.
        Err(DeviceError::Refused(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// The one piece of a finding as somebody's phone knows it, if it stands.
fn piece(world: &mut World, person: &str) -> Option<(RecordId, Piece)> {
    let heads = world.of(person).device.store().heads().expect("heads");
    heads.into_iter().find_map(|(finding, _)| {
        let state = world.show(person, finding).state;
        let attached = state.evidence().iter().find(|it| it.erased.is_none())?;
        Some((finding, attached.piece))
    })
}

fn look(world: &mut World, person: &str) -> Option<Vec<u8>> {
    let (_, piece) = piece(world, person)?;
    let looked = world.of(person).device.look_at(&piece, Form::Original);
    looked.expect("reads").map(|bytes| bytes.to_vec())
}

fn evidence_arrives(world: &mut World, _: Saved<'_>) {
    for person in [HEAD, SECRETARY] {
        if !world.people().contains(&person.to_owned()) {
            world.pick_up(person);
        }
    }
    let sent = world.send_evidence(HEAD).expect("sends");
    assert!(sent.waiting.is_empty(), "{:?}", sent.waiting);
    world.sync(HEAD);
    world.sync(SECRETARY);
    let (_, piece) = piece(world, SECRETARY).expect("a piece");
    world.fetch_evidence(SECRETARY, &piece).expect("fetches");
}

fn erase(world: &mut World, saved: Saved<'_>) {
    for person in [HEAD, SECRETARY] {
        if !world.people().contains(&person.to_owned()) {
            world.pick_up(person);
        }
    }
    if let Some((finding, piece)) = piece(world, HEAD) {
        let reason = "拍到路人".to_owned();
        let erase = Body::EraseEvidence {
            piece: piece.id,
            reason,
        };
        let draft = Draft::on(RecordKind::Finding, finding, erase);
        saved(world.try_act(HEAD, draft).expect("erases"));
    }
    world.sync(HEAD);
    world.sync(SECRETARY);
}

/// Damages pages in the middle of a database.
fn damage(database: &Path) {
    let mut bytes = std::fs::read(database).expect("reads");
    for page in 1..4 {
        bytes[page * 4096 + 100] ^= 0x40;
    }
    std::fs::write(database, bytes).expect("writes");
}

fn restore(world: &mut World) {
    world.stop_server();
    world.wait(1);
    let backup = world.folder().join(BACKUP);
    world.restore(&backup).expect("restores");
    world.start_server();
    world.sync_all();
    world.resume();
    world.look_at_deadlines();
}

/// The backup is a whole one.
fn restored(world: &mut World) {
    restore(world);
    world.settle();
}
