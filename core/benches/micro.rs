//! What the parts of a capture and of a verdict cost, one by one.

use divan::Bencher;
use ed25519_dalek::SigningKey;

use shaodao_core::document::{Document, Member};
use shaodao_core::domain::action::{Action, Body, Facts, RecordKind, Value, fact};
use shaodao_core::domain::calendar::Calendar;
use shaodao_core::domain::ids::{BootId, DeviceId, EnvelopeHash, RecordId};
use shaodao_core::domain::time::Claim;
use shaodao_core::envelope::{self, Envelope, Sealed};
use shaodao_core::pack;

fn main() {
    divan::main();
}

const RECORD: RecordId = RecordId([1; 16]);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn draft(nth: u64, body: Body, seen: Vec<EnvelopeHash>) -> Envelope {
    let text = |text: &str| Value::Text(text.to_owned());
    let facts: Facts = match body {
        Body::Report => [
            (fact::TITLE.to_owned(), text("北门街燃气泄漏")),
            (fact::CATEGORY.to_owned(), text("E0403")),
            (fact::GRID.to_owned(), text("530102001006001")),
        ]
        .into(),
        _ => Facts::new(),
    };
    Envelope {
        street: "530102001".to_owned(),
        device: DeviceId([2; 16]),
        dev_seq: nth,
        prev: None,
        action: Action {
            kind: RecordKind::Finding,
            record: RECORD,
            person: "P01006-01".into(),
            facts,
            body,
        },
        seen,
        claim: Claim {
            wall_ms: 1_749_603_600_000,
            boot: BootId([3; 8]),
            mono_ms: nth,
            anchor: None,
        },
        app: "bench".to_owned(),
    }
}

/// A report and so many notes, one after the other.
fn history(notes: u64) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for nth in 0..=notes {
        let body = match nth {
            0 => Body::Report,
            _ => Body::Note {
                text: "已设置警示标志".to_owned(),
            },
        };
        let seen: Vec<_> = members
            .last()
            .map(|it| it.sealed.hash)
            .into_iter()
            .collect();
        let sealed = sealed(draft(nth + 1, body, seen.clone()));
        members.push(Member {
            sealed,
            seen,
            received_at_ms: None,
        });
    }
    members
}

fn sealed(envelope: Envelope) -> Sealed {
    match envelope.seal(&key()) {
        Ok(sealed) => sealed,
        Err(error) => panic!("{error}"),
    }
}

#[divan::bench]
fn seal(bencher: Bencher) {
    let key = key();
    bencher
        .with_inputs(|| draft(1, Body::Report, Vec::new()))
        .bench_values(|envelope| envelope.seal(&key));
}

#[divan::bench]
fn open_and_verify(bencher: Bencher) {
    let bytes = sealed(draft(1, Body::Report, Vec::new())).bytes;
    let key = key().verifying_key();
    bencher.bench(|| envelope::open(&bytes).map(|sealed| sealed.verify(&key)));
}

#[divan::bench(args = [0, 4, 49])]
fn rebuild(bencher: Bencher, notes: u64) {
    bencher
        .with_inputs(|| history(notes))
        .bench_values(|members| Document::rebuild(RecordKind::Finding, RECORD, members).is_ok());
}

#[divan::bench(args = [0, 4, 49])]
fn fold(bencher: Bencher, notes: u64) {
    let built = Document::rebuild(RecordKind::Finding, RECORD, history(notes));
    let Ok((document, _)) = built else {
        panic!("builds");
    };
    bencher.bench(|| document.fold());
}

#[divan::bench]
fn due_of_three_working_days(bencher: Bencher) {
    let calendar = Calendar::office();
    let Ok(limit) = "3d".parse() else {
        panic!("a limit");
    };
    bencher.bench(|| calendar.due(1_749_603_600_000, limit, &[]));
}

#[divan::bench]
fn grid_of_a_position(bencher: Bencher) {
    let (Ok(directory), Ok(position)) =
        (pack::directory(pack::HUASHAN), "25.0420,102.7065,8".parse())
    else {
        panic!("the sample street");
    };
    bencher.bench(|| directory.grid_at(&position).map(str::len));
}
