//! Every decoder that reads foreign bytes, as a function that a fuzzer can
//! call. None may panic; what one takes it must give back the same. `tests/fuzz`
//! includes this file and runs the functions on what libFuzzer makes up; the
//! corpus beside it is replayed by `tests/corpus.rs`.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use shaodao_core::domain::calendar::Limit;
use shaodao_core::domain::codes::{CategoryCode, CodePack};
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::place::Position;
use shaodao_core::envelope::{self, body, value};
use shaodao_core::pack;
use shaodao_core::sync::pin::{Pin, split_address};
use shaodao_core::sync::settle::settle;
use shaodao_core::sync::wire::{
    self, EnrolReply, EnrolRequest, MAX_ENROL_BYTES, MAX_REQUEST_BYTES, SyncReply, SyncRequest,
};

/// A decoder by the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("envelope", envelope),
    ("fields", fields),
    ("sync_request", sync_request),
    ("sync_reply", sync_reply),
    ("enrol", enrol),
    ("directory", directory),
    ("codes", codes),
    ("texts", texts),
];

/// An envelope: what opens is exactly what was given, and opens again.
pub fn envelope(bytes: &[u8]) {
    if let Ok(sealed) = envelope::open(bytes) {
        assert_eq!(sealed.bytes, bytes, "an envelope is its bytes");
        assert_eq!(envelope::open(&sealed.bytes), Ok(sealed));
    }
}

/// The numbered fields of an envelope, and of a body under every word that
/// there is: whatever they are read as, they are written back the same.
pub fn fields(bytes: &[u8]) {
    let Some((word, bytes)) = bytes.split_first() else {
        return;
    };
    let Ok(map) = value::decode_map(bytes) else {
        return;
    };
    let encoded = value::encode_map(&map);
    assert_eq!(value::decode_map(&encoded), Ok(map.clone()));
    const WORDS: [&str; 12] = [
        "report",
        "review",
        "merge",
        "issue",
        "summon",
        "arrive",
        "verify",
        "evaluate",
        "escalate",
        "note",
        "stand_down",
        "tomorrow",
    ];
    let word = WORDS[usize::from(*word) % WORDS.len()];
    let body = body::decode(word, map.clone());
    assert_eq!(body::encode(&body), (word.to_owned(), map));
}

/// A request, as the server reads it, and every envelope in it.
pub fn sync_request(bytes: &[u8]) {
    if let Ok(request) = wire::from_bytes_within::<SyncRequest>(bytes, MAX_REQUEST_BYTES) {
        let again = wire::from_bytes::<SyncRequest>(&wire::to_bytes(&request));
        assert_eq!(again.as_ref(), Ok(&request));
        request.push.iter().for_each(|bytes| envelope(bytes));
    }
}

/// A reply, as the phone reads it, and what it means.
pub fn sync_reply(bytes: &[u8]) {
    if let Ok(reply) = wire::from_bytes::<SyncReply>(bytes) {
        let again = wire::from_bytes::<SyncReply>(&wire::to_bytes(&reply));
        assert_eq!(again.as_ref(), Ok(&reply));
        let sent = [EnvelopeHash([1; 32])];
        let _ = settle(&reply, &sent, b"another life");
    }
}

/// Both messages of an enrolment.
pub fn enrol(bytes: &[u8]) {
    if let Ok(request) = wire::from_bytes_within::<EnrolRequest>(bytes, MAX_ENROL_BYTES) {
        assert_eq!(wire::from_bytes(&wire::to_bytes(&request)), Ok(request));
    }
    if let Ok(reply) = wire::from_bytes::<EnrolReply>(bytes) {
        assert_eq!(wire::from_bytes(&wire::to_bytes(&reply)), Ok(reply));
    }
}

/// A directory pack.
pub fn directory(bytes: &[u8]) {
    if let Ok(directory) = pack::directory(bytes) {
        let people = directory.people.len();
        assert!(people <= bytes.len(), "{people} people in {}", bytes.len());
    }
}

/// A code pack; the two tables stand on both sides of a line of three dashes.
pub fn codes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (components, events) = text.split_once("---\n").unwrap_or((&text, ""));
    if let Ok(pack) = CodePack::parse("fuzz", components, events) {
        for category in pack.all() {
            assert_eq!(pack.get(&category.code), Some(category));
        }
    }
}

/// Everything that is read from a line of text.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    reads_back::<Position>(&text);
    reads_back::<Limit>(&text);
    reads_back::<CategoryCode>(&text);
    reads_back::<RecordId>(&text);
    reads_back::<Pin>(&text);
    let _ = split_address(&text);
}

/// What reads, prints; what was printed reads as the same.
fn reads_back<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let again = value.to_string().parse::<T>().ok();
        assert_eq!(again.as_ref(), Some(&value), "{text:?} printed as {value}");
    }
}
