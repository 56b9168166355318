//! No room: text wins, evidence waits, nothing is half-written.

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
