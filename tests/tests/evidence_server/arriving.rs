//! How evidence comes: tus, cut connections, killed servers.

use std::io::Read;

use shaodao_tests::process::Setup;
use shaodao_tests::world::MORNING_MS;

use crate::street::{ByHand, MEMBER, SECRETARY, STREAM, Street, TUS, path};

/// 32 bytes of a hash as `Upload-Metadata` has them.
fn metadata(sealed: &[u8; 32]) -> String {
    format!("filename YS5hbXI=,sealed {}", base64(sealed))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_standard_client_finds_what_tus_promises() {
    let street = Street::new("tus", Setup::default());
    let mut li = street.phone(MEMBER);
    let (_, piece, sealed) = street.announced(&mut li, 5_000);
    let caller = li.caller();
    let name = path(piece.sealed);
    let length = sealed.len().to_string();

    let spoken = caller.ask("OPTIONS", "/v1/evidence", &[], &[]);
    assert_eq!(spoken.status, 204);
    assert_eq!(spoken.header("tus-version"), Some("1.0.0"));
    let extensions = spoken.header("tus-extension").expect("extensions");
    assert!(extensions.contains("creation") && extensions.contains("checksum"));
    assert!(spoken.header("tus-max-size").is_some());

    // Another version, or none.
    for version in [&[][..], &[("tus-resumable", "0.2.2")]] {
        for method in ["HEAD", "PATCH", "DELETE"] {
            let answer = caller.ask(method, &name, version, &[]);
            assert_eq!(answer.status, 412, "{method}");
            assert_eq!(answer.header("tus-version"), Some("1.0.0"), "{method}");
        }
    }
    // Creation needs a length and a name.
    let metadata = metadata(&piece.sealed.0);
    let create = |headers: &[(&str, &str)], body: &[u8]| {
        caller.ask("POST", "/v1/evidence", &[&[TUS], headers].concat(), body)
    };
    for headers in [
        &[("upload-metadata", metadata.as_str())][..],
        &[("upload-length", "-1"), ("upload-metadata", &metadata)],
        &[("upload-length", &length)],
        &[("upload-length", &length), ("upload-metadata", "sealed !")],
    ] {
        assert_eq!(create(headers, &[]).status, 400, "{headers:?}");
    }
    let other = [("upload-length", "17"), ("upload-metadata", &*metadata)];
    let answer = create(&other, &[]);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "evidence_size")
    );

    let right = [("upload-length", &*length), ("upload-metadata", &*metadata)];
    for _ in 0..2 {
        let answer = create(&right, &[]);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.header("location"), Some(&*name));
        assert_eq!(answer.header("upload-offset"), Some("0"));
        assert!(
            answer
                .header("upload-expires")
                .expect("expires")
                .ends_with("GMT")
        );
        assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
    }
    let answer = caller.head(piece.sealed);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("upload-length"), Some(&*length));

    // A body of another type, a missing and a wrong offset.
    let offset = ("upload-offset", "0");
    let json = ("content-type", "application/json");
    assert_eq!(
        caller
            .ask("PATCH", &name, &[TUS, json, offset], b"{}")
            .status,
        415
    );
    assert_eq!(
        caller.ask("PATCH", &name, &[TUS, STREAM], b"12").status,
        400
    );
    let answer = caller.patch(piece.sealed, 7, &sealed[7..]);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (409, "evidence_offset")
    );

    // Checksums: a wrong one leaves nothing behind, a right one counts, an
    // unknown one is refused.
    let part = &sealed[..1_000];
    for (checksum, status, offset_after) in [
        (format!("sha256 {}", base64(&[7; 32])), 460, 0),
        ("crc32 AAAA".to_owned(), 400, 0),
        (format!("sha1 {}", base64(&sha1(part))), 204, 1_000),
    ] {
        let headers = [TUS, STREAM, offset, ("upload-checksum", &checksum)];
        let answer = caller.ask("PATCH", &name, &headers, part);
        assert_eq!(answer.status, status, "{checksum}");
        assert_eq!(caller.offset(piece.sealed), offset_after, "{checksum}");
    }

    // More than there should be does not count.
    let too_much = [&sealed[1_000..], b"more"].concat();
    let answer = caller.patch(piece.sealed, 1_000, &too_much);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "evidence_size")
    );
    assert_eq!(caller.offset(piece.sealed), 1_000);

    // Given up, and begun again with its first bytes.
    assert_eq!(caller.ask("DELETE", &name, &[TUS], &[]).status, 204);
    assert_eq!(caller.offset(piece.sealed), 0);
    let answer = create(&[&right[..], &[STREAM]].concat(), part);
    assert_eq!(answer.header("upload-offset"), Some("1000"), "{answer:?}");
    // A proxy that knows POST only.
    let offset = ("upload-offset", "1000");
    let headers = [TUS, STREAM, offset, ("x-http-method-override", "PATCH")];
    let answer = caller.ask("POST", &name, &headers, &sealed[1_000..]);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header("upload-offset"), Some(&*length));
    // All of it is here: nobody sends it again.
    assert_eq!(create(&right, &[]).header("upload-offset"), Some(&*length));
    assert_eq!(caller.offset(piece.sealed), sealed.len() as u64);
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    use sha1::Digest;
    sha1::Sha1::digest(bytes).to_vec()
}

#[test]
fn what_came_before_a_cut_and_a_kill_is_not_sent_again() {
    // What could go wrong: an upload that begins at zero, or one that goes on
    // behind bytes that were never written.
    let mut street = Street::new("resume", Setup::default());
    let mut li = street.phone(MEMBER);
    let mut wang = street.phone(SECRETARY);
    let (record, piece, sealed) = street.announced(&mut li, 900_000);
    let caller = li.caller();
    let headers = |offset: &'static str| [TUS, STREAM, ("upload-offset", offset)];
    caller.break_off(
        "PATCH",
        &path(piece.sealed),
        &headers("0"),
        &sealed[..300_000],
        sealed.len(),
    );
    assert_eq!(wait_for(|| caller.offset(piece.sealed), 300_000), 300_000);

    // Killed while a connection is open and has brought something.
    let hanging = caller.begin(
        "PATCH",
        &path(piece.sealed),
        &headers("300000"),
        &sealed[300_000..500_000],
        sealed.len() - 300_000,
    );
    let arriving = street.folder.join("server/evidence-arriving");
    let length = || {
        let mut files = std::fs::read_dir(&arriving).expect("a folder");
        let file = files.next().expect("a file").expect("reads");
        file.metadata().expect("reads").len()
    };
    assert_eq!(wait_for(length, 500_000), 500_000);
    street
        .server
        .kill_and_restart(MORNING_MS)
        .expect("restarts");
    drop(hanging);
    assert_eq!(caller.offset(piece.sealed), 500_000);
    let answer = caller.patch(piece.sealed, 500_000, &sealed[500_000..]);
    assert_eq!(answer.status, 204, "{answer:?}");

    // Its author and its readers hear of it, with the key.
    for phone in [&mut li, &mut wang] {
        street.sync(phone);
        assert_eq!(phone.heard(&piece), (true, true, false));
    }
    assert_eq!(wang.pieces(record), [piece]);
    assert_eq!(wang.caller().get(piece.sealed, &[]).body, sealed);
    // It is written down once the last byte has gone.
    let seen = || {
        street.sync(&mut li);
        u64::from(li.heard(&piece).2)
    };
    assert_eq!(wait_for(seen, 1), 1, "seen by another phone");
}

#[test]
fn a_newer_request_takes_over_from_one_that_hangs() {
    let street = Street::new("take-over", Setup::default());
    let mut li = street.phone(MEMBER);
    let (_, piece, sealed) = street.announced(&mut li, 300_000);
    let caller = li.caller();
    let headers = [TUS, STREAM, ("upload-offset", "0")];
    let mut hanging = caller.begin(
        "PATCH",
        &path(piece.sealed),
        &headers,
        &sealed[..100_000],
        sealed.len(),
    );
    // It is interrupted by being asked how far it is.
    let came = wait_for(|| caller.offset(piece.sealed), 1);
    assert!((1..=100_000).contains(&came), "{came}");
    let rest = &sealed[came as usize..];
    assert_eq!(caller.patch(piece.sealed, came, rest).status, 204);
    let mut told = String::new();
    let _ = hanging.read_to_string(&mut told);
    assert!(told.starts_with("HTTP/1.1 423"), "{told}");
    assert!(told.contains("evidence_busy"), "{told}");
    assert_eq!(li.caller().get(piece.sealed, &[]).body, sealed);
}

#[test]
fn an_upload_that_nobody_goes_on_with_is_given_up() {
    let street = Street::new(
        "expires",
        Setup::default().with("SHAODAO_EVIDENCE_EXPIRE_HOURS", 2),
    );
    let mut li = street.phone(MEMBER);
    let (_, piece, sealed) = street.announced(&mut li, 10_000);
    let caller = li.caller();
    assert_eq!(caller.patch(piece.sealed, 0, &sealed[..4_000]).status, 204);
    let hours = |hours: i64| {
        let moved = street.server.set_clock(MORNING_MS + hours * 3_600_000);
        street.runtime.block_on(moved).expect("the clock moves");
    };
    hours(1);
    assert_eq!(caller.offset(piece.sealed), 4_000);
    hours(3);
    assert_eq!(caller.offset(piece.sealed), 0);
    // Nothing is lost by it but the way.
    assert_eq!(caller.patch(piece.sealed, 0, &sealed).status, 204);
}

/// Asks until the number is as large; a server that never gets there fails the
/// test by its own time limit.
fn wait_for(mut ask: impl FnMut() -> u64, wanted: u64) -> u64 {
    for _ in 0..200_000 {
        let now = ask();
        if now >= wanted {
            return now;
        }
        std::thread::yield_now();
    }
    panic!("never {wanted}");
}
