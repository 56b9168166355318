//! Who may have a piece: a hash alone opens nothing. And how it is handed out.

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::evidence::{Piece, Shows};
use shaodao_core::domain::ids::SealedId;
use shaodao_core::evidence::picture;
use shaodao_core::evidence::stream::{self, PieceKey};
use shaodao_core::store::pieces::Form;
use shaodao_core::sync::wire::{EvidenceKey, SyncReply, SyncRequest, from_bytes, to_bytes};
use shaodao_tests::process::Setup;

use crate::street::{
    ByHand, GRID, MEMBER, OTHER_GRID, Phone, SECRETARY, STRANGER, Street, TUS, path,
};

#[test]
fn to_a_stranger_a_piece_looks_like_none() {
    let street = Street::new("scope", Setup::default());
    let mut li = street.phone(MEMBER);
    let mut zhao = street.phone(STRANGER);
    let (_, piece, sealed) = street.arrived(&mut li, 20_000);
    street.sync(&mut zhao);
    let stranger = zhao.caller();
    let nothing = SealedId([9; 32]);
    let everything = |sealed: SealedId| {
        let name = path(sealed);
        let thumbnail = format!("{name}/thumbnail");
        let offset = ("upload-offset", "0");
        let stream = ("content-type", "application/offset+octet-stream");
        [
            stranger.ask("GET", &name, &[], &[]),
            stranger.ask("GET", &name, &[("range", "bytes=0-9")], &[]),
            stranger.ask(
                "GET",
                &name,
                &[("if-none-match", &format!("\"{sealed}\""))],
                &[],
            ),
            stranger.ask("GET", &thumbnail, &[], &[]),
            stranger.ask("PUT", &thumbnail, &[], &[1, 2, 3]),
            stranger.ask("HEAD", &name, &[TUS], &[]),
            stranger.ask("PATCH", &name, &[TUS, stream, offset], &[1, 2, 3]),
            stranger.ask("DELETE", &name, &[TUS], &[]),
        ]
        .map(|answer| (answer.status, undated(&answer.head), answer.body))
    };
    assert_eq!(everything(piece.sealed), everything(nothing));
    assert!(
        everything(nothing)
            .iter()
            .all(|(status, ..)| *status == 404)
    );
    // Without a session there is nothing to ask.
    let nobody = shaodao_tests::raw::Caller {
        token: "x".to_owned(),
        ..stranger.clone()
    };
    assert_eq!(nobody.get(piece.sealed, &[]).status, 401);
    assert_eq!(li.caller().get(piece.sealed, &[]).body, sealed);
}

/// The head of an answer without its date.
fn undated(head: &str) -> String {
    let lines = head.lines().filter(|line| !line.starts_with("date:"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn who_attaches_a_known_hash_to_a_record_of_their_own_gets_nothing_by_it() {
    // What could go wrong: the server takes the citation for a right.
    let street = Street::new("borrowed", Setup::default());
    let mut li = street.phone(MEMBER);
    let mut zhao = street.phone(STRANGER);
    let (_, piece, _) = street.arrived(&mut li, 20_000);
    let record = zhao.report(OTHER_GRID);
    let borrowed = Body::Attach {
        pieces: vec![piece],
    };
    zhao.act(Draft::on(RecordKind::Finding, record, borrowed));
    street.sync(&mut zhao);
    let stranger = zhao.caller();
    let is_closed = |zhao: &Phone| {
        assert_eq!(stranger.get(piece.sealed, &[]).status, 404);
        // As far as the server says, not a byte of it is here.
        assert_eq!(stranger.offset(piece.sealed), 0);
        assert_eq!(zhao.heard(&piece), (false, false, false));
    };
    is_closed(&zhao);
    // Nor with a key that is made up.
    let kept = bring_key(
        &street,
        &zhao,
        record.0,
        &piece,
        &PieceKey::from_slice(&[1; 32]).expect("a key"),
    );
    assert_eq!(kept, [piece.sealed.0.to_vec()]);
    assert_eq!(stranger.get(piece.sealed, &[]).status, 404);
    assert_eq!(stranger.offset(piece.sealed), 0);
    // Bytes of the right length do not make it either.
    let made_up = vec![0; piece.sealed_size() as usize];
    let answer = stranger.patch(piece.sealed, 0, &made_up);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (460, "evidence_hash")
    );
    assert_eq!(
        li.caller().get(piece.sealed, &[]).status,
        200,
        "it harms nobody else"
    );
}

/// Brings a key by a sync request made by hand; returns what is kept.
pub fn bring_key(
    street: &Street,
    phone: &Phone,
    record: [u8; 16],
    piece: &Piece,
    key: &PieceKey,
) -> Vec<Vec<u8>> {
    let request = SyncRequest {
        evidence: Some(vec![EvidenceKey {
            record: record.to_vec(),
            sealed: piece.sealed.0.to_vec(),
            key: key.as_bytes().to_vec(),
        }]),
        ..SyncRequest::default()
    };
    let answer = phone
        .caller()
        .ask("POST", "/v1/sync", &[], &to_bytes(&request));
    assert_eq!(
        answer.status,
        200,
        "{answer:?} of {}",
        street.server.address()
    );
    let reply: SyncReply = from_bytes(&answer.body).expect("a reply");
    let kept = reply.evidence_kept.unwrap_or_default();
    kept.iter().map(|sealed| sealed.to_vec()).collect()
}

#[test]
fn a_piece_is_handed_out_whole_or_in_ranges_and_never_changes() {
    let street = Street::new("ranges", Setup::default());
    let mut li = street.phone(MEMBER);
    let (_, piece, sealed) = street.arrived(&mut li, 100_000);
    let caller = li.caller();
    let tag = format!("\"{}\"", piece.sealed);
    let whole = caller.get(piece.sealed, &[]);
    assert_eq!((whole.status, &whole.body), (200, &sealed));
    assert_eq!(whole.header("etag"), Some(&*tag));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let kept = whole.header("cache-control").expect("kept");
    assert!(
        kept.contains("private") && kept.contains("immutable"),
        "{kept}"
    );

    let length = sealed.len();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-2999", 1_000, 3_000),
        ("bytes=99000-", 99_000, length),
        ("bytes=-10", length - 10, length),
        ("bytes=99000-999999999", 99_000, length),
    ] {
        let part = caller.get(piece.sealed, &[("range", range)]);
        assert_eq!(
            (part.status, &part.body[..]),
            (206, &sealed[from..to]),
            "{range}"
        );
        let told = format!("bytes {from}-{}/{length}", to - 1);
        assert_eq!(part.header("content-range"), Some(&*told), "{range}");
    }
    let beyond = caller.get(piece.sealed, &[("range", "bytes=200000-")]);
    assert_eq!(beyond.status, 416);
    assert_eq!(
        beyond.header("content-range"),
        Some(&*format!("bytes */{length}"))
    );
    // Several, whether they overlap or not, and nonsense: the whole.
    for range in [
        "bytes=0-9,20-29",
        "bytes=0-99,50-149,80-199",
        "bytes=9-5",
        "bytes=five-nine",
        "lines=1-2",
    ] {
        let answer = caller.get(piece.sealed, &[("range", range)]);
        assert_eq!((answer.status, answer.body.len()), (200, length), "{range}");
    }
    // The right thing to go on with, and another one.
    let range = ("range", "bytes=5-9");
    let same = caller.get(piece.sealed, &[range, ("if-range", &tag)]);
    assert_eq!((same.status, &same.body[..]), (206, &sealed[5..10]));
    let other = caller.get(piece.sealed, &[range, ("if-range", "\"another\"")]);
    assert_eq!((other.status, other.body.len()), (200, length));
    let again = caller.get(piece.sealed, &[("if-none-match", &tag)]);
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[test]
fn a_thumbnail_is_the_one_that_the_phone_sent_or_made_here() {
    let street = Street::new("thumbnails", Setup::default());
    let mut li = street.phone(MEMBER);
    let mut wang = street.phone(SECRETARY);
    let record = li.report(GRID);
    let sent = li.attach(record, Shows::Scene, &photo(1));
    let made = li.attach(record, Shows::Scene, &photo(2));
    let (author, reader) = (li.caller(), wang.caller());
    let name = |piece: &Piece| format!("{}/thumbnail", path(piece.sealed));
    street.sync(&mut li);
    street.sync(&mut wang);

    // From the phone, before the original.
    let file = li.device.sealed_file(sent.sealed, Form::Thumbnail);
    let own = std::fs::read(file).expect("a thumbnail");
    let key = |piece: &Piece| {
        let held = li.device.store().evidence(piece.sealed).expect("reads");
        held.and_then(|held| held.key).expect("a key")
    };
    // Not by somebody who only has the key, and nothing that is no picture.
    let mut rng = StdRng::seed_from_u64(1);
    let false_one = stream::seal_thumbnail(&mut rng, &key(&sent), b"not a picture").expect("seals");
    assert_eq!(reader.ask("PUT", &name(&sent), &[], &own).status, 404);
    for (body, status) in [(&false_one, 460), (&own, 204), (&own, 204)] {
        assert_eq!(author.ask("PUT", &name(&sent), &[], body).status, status);
    }
    let got = reader.ask("GET", &name(&sent), &[], &[]);
    assert_eq!((got.status, got.body), (200, own));

    // Made of the original, once that is here.
    assert_eq!(reader.ask("GET", &name(&made), &[], &[]).status, 404);
    let sealed = li.sealed(&made);
    assert_eq!(author.patch(made.sealed, 0, &sealed).status, 204);
    let got = reader.ask("GET", &name(&made), &[], &[]);
    assert_eq!(got.status, 200, "{got:?}");
    let plain = stream::open_thumbnail(&key(&made), &got.body).expect("opens");
    let media = picture::media_of(&plain).expect("a picture");
    let (width, height) = picture::look(media, &plain).expect("a picture");
    assert_eq!(width.max(height), picture::THUMBNAIL_SIDE);
    let again = reader.ask("GET", &name(&made), &[], &[]);
    assert_eq!(again.body, got.body, "kept");
}

/// A photo with something in it.
pub fn photo(seed: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(640, 480, |x, y| {
        image::Rgb([(x % 256) as u8, (y % 256) as u8, seed])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Jpeg)
        .expect("encodes");
    bytes.into_inner()
}
