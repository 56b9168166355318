//! Erasing, keeping long enough, finding damage, and losing the disk.

use std::fs;

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::evidence::Shows;
use shaodao_tests::process::Setup;
use shaodao_tests::world::MORNING_MS;

use crate::scope::photo;
use crate::street::{ByHand, GRID, MEMBER, SECRETARY, Street, path};

const DAY_MS: i64 = 24 * 3_600_000;

fn move_clock(street: &Street, days: i64) {
    let moved = street.server.set_clock(MORNING_MS + days * DAY_MS);
    street.runtime.block_on(moved).expect("the clock moves");
}

#[test]
fn what_is_erased_is_gone_key_bytes_and_thumbnail() {
    let street = Street::new("erased", Setup::default());
    let mut li = street.phone(MEMBER);
    let mut wang = street.phone(SECRETARY);
    let record = li.report(GRID);
    let piece = li.attach(record, Shows::Scene, &photo(1));
    street.sync(&mut li);
    let sealed = li.sealed(&piece);
    let held = li.device.store().evidence(piece.sealed).expect("reads");
    let key = held.and_then(|held| held.key).expect("a key");
    let caller = li.caller();
    assert_eq!(caller.patch(piece.sealed, 0, &sealed).status, 204);
    street.sync(&mut wang);
    let reader = wang.caller();
    let thumbnail = format!("{}/thumbnail", path(piece.sealed));
    assert_eq!(reader.ask("GET", &thumbnail, &[], &[]).status, 200);
    assert!(street.object(piece.sealed).is_file());

    let erase = Body::EraseEvidence {
        piece: piece.id,
        reason: "拍到了孩子的脸".to_owned(),
    };
    li.act(Draft::on(RecordKind::Finding, record, erase));
    street.sync(&mut li);
    for answer in [
        reader.get(piece.sealed, &[]),
        reader.ask("GET", &thumbnail, &[], &[]),
        caller.patch(piece.sealed, 0, &sealed),
    ] {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (410, "evidence_erased")
        );
    }
    move_clock(&street, 0);
    assert!(!street.object(piece.sealed).exists());
    let left = |path: &std::path::Path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(32).any(|window| window == key.as_bytes())
    };
    let database = street.server.database();
    for suffix in ["", "-wal"] {
        let file = format!("{}{suffix}", database.display());
        assert!(!left(file.as_ref()), "the key is left in {file}");
    }
    street.sync(&mut wang);
    assert!(!wang.heard(&piece).0, "the key, on every phone");
}

#[test]
fn what_was_kept_long_enough_is_reported_and_erased_by_the_server_itself() {
    let setup = Setup::default().with("SHAODAO_EVIDENCE_KEEP_DAYS_VOICE", 10);
    let street = Street::new("retention", setup);
    let mut li = street.phone(MEMBER);
    let (record, voice, _) = street.arrived(&mut li, 5_000);
    let scene = li.attach(record, Shows::Scene, &photo(1));
    street.sync(&mut li);
    let caller = li.caller();
    assert_eq!(
        caller.patch(scene.sealed, 0, &li.sealed(&scene)).status,
        204
    );
    let retention = |args: &[&str]| {
        let args = [&["evidence", "retention", "--json"], args].concat();
        let (code, said) = street.server.upkeep(&args).expect("runs");
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str::<serde_json::Value>(&said).expect("JSON")
    };
    assert_eq!(retention(&[])["pieces"], serde_json::json!([]));
    move_clock(&street, 11);
    let report = retention(&[]);
    assert_eq!(report["applied"], false);
    assert_eq!(report["pieces"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["pieces"][0]["piece"], voice.id.to_string());
    assert_eq!(report["pieces"][0]["days"], 11);
    assert_eq!(caller.get(voice.sealed, &[]).status, 200, "only looked at");

    let report = retention(&["--apply"]);
    assert_eq!(report["pieces"][0]["erased"], true, "{report}");
    assert_eq!(report["kinds"][3]["bytes"], voice.size);
    assert_eq!(caller.get(voice.sealed, &[]).status, 410);
    assert_eq!(
        caller.get(scene.sealed, &[]).status,
        200,
        "kept as long as the record"
    );
    move_clock(&street, 11);
    assert!(!street.object(voice.sealed).exists());
    // The record says so on every phone, and the chain holds.
    street.sync(&mut li);
    let view = li.device.show(record).expect("is here");
    let erased = view.state.evidence()[0].erased.clone().expect("erased");
    assert!(
        erased.0.is_server() && erased.1.contains("10"),
        "{erased:?}"
    );
    let (code, said) = street
        .server
        .upkeep(&["verify", "--evidence"])
        .expect("runs");
    assert_eq!(code, Some(0), "{said}");
    let acts = "SELECT COUNT(*) FROM audit WHERE what = 'evidence_retention'";
    assert_eq!(street.server.count(acts), 1);
    assert_eq!(retention(&[])["pieces"], serde_json::json!([]));
}

#[test]
fn what_was_sent_back_and_not_done_again_is_forgotten_key_and_bytes() {
    // What could go wrong: pictures that nobody may ever see are kept for ever;
    // or they go before their author could do it again.
    let setup = Setup::default().with("SHAODAO_EVIDENCE_EXPIRE_HOURS", 2);
    let street = Street::new("sent-back", setup);
    let mut li = street.phone(MEMBER);
    let mut wang = street.phone(SECRETARY);
    let record = li.report(GRID);
    street.sync(&mut li);
    let admin = |args: &[&str]| street.server.admin(args).expect("does");
    let devices = admin(&["devices"]);
    let own = |it: &&serde_json::Value| it["person"] == MEMBER;
    let device = devices.as_array().expect("a list").iter().find(own);
    let device = device.expect("enrolled")["device"].as_str().expect("an id");

    admin(&["suspend", device]);
    let attach = |li: &mut crate::street::Phone| {
        let piece = li.attach_voice(record, 20_000);
        street.sync(li);
        let sealed = li.sealed(&piece);
        let held = li.device.store().evidence(piece.sealed).expect("reads");
        let answer = li.caller().patch(piece.sealed, 0, &sealed);
        assert_eq!(answer.status, 204, "{answer:?}");
        (piece, sealed, held.and_then(|it| it.key).expect("a key"))
    };
    let [again, forgotten, undecided] = [(); 3].map(|()| attach(&mut li));
    admin(&["resume", device]);
    let aside = admin(&["quarantine", "list"]);
    let hash = |nth: usize| aside[nth]["hash"].as_str().expect("a hash").to_owned();
    assert_eq!(aside.as_array().map(Vec::len), Some(3), "{aside}");
    let hours = |hours: i64| {
        let moved = street.server.set_clock(MORNING_MS + hours * 3_600_000);
        street.runtime.block_on(moved).expect("the clock moves");
    };
    // Their author's time begins when they are sent back, not before.
    hours(3);
    for nth in [0, 1] {
        admin(&["quarantine", "return", &hash(nth)]);
    }
    hours(4);
    let do_again = |li: &mut crate::street::Phone, piece| {
        let pieces = vec![piece];
        li.act(Draft::on(
            RecordKind::Finding,
            record,
            Body::Attach { pieces },
        ));
        street.sync(li);
    };
    do_again(&mut li, again.0);
    hours(6);
    street.sync(&mut wang);
    let reader = wang.caller();
    assert_eq!(reader.get(again.0.sealed, &[]).body, again.1);
    assert_eq!(li.caller().get(undecided.0.sealed, &[]).body, undecided.1);
    assert_eq!(li.caller().get(forgotten.0.sealed, &[]).status, 404);
    assert!(!street.object(forgotten.0.sealed).exists());
    let database = street.server.database();
    for suffix in ["", "-wal"] {
        let file = format!("{}{suffix}", database.display());
        let bytes = fs::read(&file).unwrap_or_default();
        let is_in = |key: &[u8]| bytes.windows(32).any(|window| window == key);
        assert!(!is_in(forgotten.2.as_bytes()), "left in {file}");
    }

    // Looked at late, it counts; done again late, it is asked for again.
    admin(&["quarantine", "release", &hash(2)]);
    do_again(&mut li, forgotten.0);
    for phone in [&mut li, &mut wang] {
        street.sync(phone);
        street.sync(phone);
    }
    assert_eq!(reader.get(undecided.0.sealed, &[]).body, undecided.1);
    assert_eq!(li.heard(&forgotten.0), (true, false, false));
    let answer = li.caller().patch(forgotten.0.sealed, 0, &forgotten.1);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(reader.get(forgotten.0.sealed, &[]).body, forgotten.1);
}

#[test]
fn verify_finds_a_piece_that_is_gone_or_altered() {
    let street = Street::new("verify", Setup::default());
    let mut li = street.phone(MEMBER);
    let pieces = [100, 70_000, 200_000].map(|size| street.arrived(&mut li, size).1);
    let verify = || {
        let verify = ["verify", "--evidence", "--json"];
        let (code, said) = street.server.upkeep(&verify).expect("runs");
        let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(report["evidence"], 3);
        (code, report["bad"].as_array().cloned().unwrap_or_default())
    };
    assert_eq!(verify(), (Some(0), Vec::new()));
    let mut bytes = fs::read(street.object(pieces[1].sealed)).expect("reads");
    bytes[40_000] ^= 1;
    fs::write(street.object(pieces[1].sealed), bytes).expect("writes");
    fs::remove_file(street.object(pieces[2].sealed)).expect("removes");
    let (code, bad) = verify();
    assert_eq!(code, Some(1));
    let named: Vec<_> = bad.iter().map(|bad| bad["row"].clone()).collect();
    let damaged = [pieces[1].sealed.to_string(), pieces[2].sealed.to_string()];
    assert_eq!(named, damaged);
    // A server that finds nothing where something should be does not invent it.
    assert_eq!(li.caller().get(pieces[2].sealed, &[]).status, 404);
}

#[test]
fn after_a_restore_without_its_folder_the_phones_are_asked_again() {
    // What could go wrong: the backup says that all is here, phones let their
    // originals go, and nobody has them.
    let mut street = Street::new("lost", Setup::default());
    let mut li = street.phone(MEMBER);
    let (_, lost, lost_sealed) = street.arrived(&mut li, 30_000);
    let (_, kept, kept_sealed) = street.arrived(&mut li, 40_000);
    street.sync(&mut li);
    assert_eq!(li.heard(&lost), (true, true, false));
    let backup = street.folder.join("backup.db");
    let to = backup.display().to_string();
    let upkeep = |street: &Street, args: &[&str]| {
        let (code, said) = street.server.upkeep(args).expect("runs");
        assert_eq!(code, Some(0), "{said}");
    };
    upkeep(&street, &["backup", &to]);
    // Attached and arrived after the backup: the bytes are still there.
    let (_, after, after_sealed) = street.arrived(&mut li, 20_000);
    street.sync(&mut li);
    street.server.stop().expect("stops");
    fs::remove_file(street.object(lost.sealed)).expect("removes");
    upkeep(&street, &["restore", &to]);
    street.server.start_again(MORNING_MS).expect("starts");

    for _ in 0..3 {
        street.sync(&mut li);
    }
    assert_eq!(li.heard(&lost), (true, false, false), "not here any more");
    assert_eq!(li.heard(&kept), (true, true, false));
    let caller = li.caller();
    assert_eq!(caller.offset(lost.sealed), 0);
    assert_eq!(caller.patch(lost.sealed, 0, &lost_sealed).status, 204);
    // Its action and its key came again, and no byte has to.
    assert_eq!(caller.offset(after.sealed), after_sealed.len() as u64);
    for (piece, sealed) in [
        (lost, lost_sealed),
        (kept, kept_sealed),
        (after, after_sealed),
    ] {
        assert_eq!(caller.get(piece.sealed, &[]).body, sealed);
    }
}
