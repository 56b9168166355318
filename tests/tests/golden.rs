//! Bytes that outlive the process that wrote them: a difference here is a new
//! format, not a new golden file. `SHAODAO_BLESS=1` writes files that are not
//! there yet, and only those.

use std::fmt::Write;
use std::path::Path;

use ed25519_dalek::SigningKey;

use shaodao_core::document::{Document, Member};
use shaodao_core::domain::action::{
    Action, Body, EscalationCause, Level, Order, Party, RecordKind, Target, Terms, Value, fact,
};
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::evidence::{Media, Piece, Shows};
use shaodao_core::domain::ids::{
    BootId, DeviceId, EnvelopeHash, EvidenceId, PrivateId, RecordId, SealedId,
};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::time::{Anchor, Claim};
use shaodao_core::envelope::{self, Envelope, Sealed};
use shaodao_core::sync::edition::{Edition, KeyChange};
use shaodao_core::sync::head::{Act, Entry, Head};
use shaodao_core::sync::wire::{
    self, CitedHead, EnrolOffer, EnrolReply, EnrolRequest, EnrolReveal, EvidenceKey, EvidenceNews,
    FeedHead, Item, Judgement, Notice, PrivateItem, Receipt, SessionReply, SessionRequest,
    Standing, SyncReply, SyncRequest, Unreadable, Verdict,
};

/// Every kind of action with every field in use, one after the other.
fn bodies() -> Vec<(RecordKind, Body)> {
    use RecordKind::{Finding, Whistle};
    let text = "已处理".to_owned();
    let reason = "重复".to_owned();
    let party = "post:530102001006001/urban".to_owned();
    let target = Target {
        party: Party::parse(&party).expect("a party"),
        lead: true,
        mandatory: true,
    };
    let order = Order {
        level: Level::Street,
        platform: 1,
        area: "530102001".to_owned(),
        findings: vec![RecordId([7; 16])],
        targets: vec![target.clone()],
        sign_by_ms: Some(1_749_610_000_000),
        report_by_ms: Some(1_749_611_000_000),
        due_ms: 1_749_620_000_000,
        terms: None,
        parent: Some(RecordId([8; 16])),
    };
    let position = "25.0420000,102.7065000,8.0,gps"
        .parse()
        .expect("a position");
    let before = vec![
        (Finding, Body::Report),
        (Finding, Body::Correct),
        (Finding, Body::Note { text: text.clone() }),
        (Finding, Body::SelfResolve { text: text.clone() }),
        (
            Finding,
            Body::Review {
                passed: true,
                text: text.clone(),
            },
        ),
        (Finding, Body::Accept),
        (Finding, Body::Number),
        (
            Finding,
            Body::Decline {
                reason: reason.clone(),
            },
        ),
        (
            Finding,
            Body::Withdraw {
                reason: reason.clone(),
            },
        ),
        (
            Finding,
            Body::Merge {
                into: RecordId([9; 16]),
            },
        ),
        (
            Finding,
            Body::Reopen {
                reason: reason.clone(),
            },
        ),
        (Whistle, Body::Issue(order)),
        (
            Whistle,
            Body::Summon {
                targets: vec![target],
            },
        ),
        (
            Whistle,
            Body::Sign {
                party: party.clone(),
            },
        ),
        (
            Whistle,
            Body::Arrive {
                party: party.clone(),
                heads: 3,
                position: Some(position),
                away: None,
            },
        ),
        (
            Whistle,
            Body::Feedback {
                party: party.clone(),
                text: text.clone(),
            },
        ),
        (
            Whistle,
            Body::Verify {
                party: party.clone(),
                passed: false,
                text: text.clone(),
            },
        ),
        (
            Whistle,
            Body::Release {
                party: party.clone(),
            },
        ),
        (
            Whistle,
            Body::Excuse {
                party: party.clone(),
                reason: reason.clone(),
            },
        ),
        (Whistle, Body::Conclude { text: text.clone() }),
        (
            Whistle,
            Body::Cancel {
                reason: reason.clone(),
            },
        ),
        (
            Whistle,
            Body::Evaluate {
                party,
                score: 5,
                text: text.clone(),
            },
        ),
        (Whistle, Body::AskEscalation { reason }),
        (
            Whistle,
            Body::Escalate {
                cause: EscalationCause::DuePassed,
                into: RecordId([10; 16]),
                round: 1,
            },
        ),
        (
            Whistle,
            Body::StandDown {
                text: text.clone(),
                round: 1,
            },
        ),
        (
            Whistle,
            Body::ProposeStandDown {
                text: text.clone(),
                round: 1,
            },
        ),
        (
            Whistle,
            Body::Unknown {
                kind: "from_the_future".to_owned(),
                fields: [
                    (1, Value::Text(text)),
                    (2, Value::List(vec![Value::Int(-1)])),
                ]
                .into(),
            },
        ),
    ];
    before
        .into_iter()
        .chain(requests())
        .chain(ladder())
        .chain(evidence())
        .collect()
}

/// What stands beside an escalation, with every field in use.
fn ladder() -> Vec<(RecordKind, Body)> {
    let bodies = [
        Body::Uphold {
            reason: "已派人到场".to_owned(),
            round: 1,
        },
        Body::LastHeard {
            heard: vec![("org:D01".to_owned(), 1_749_604_320_000)],
        },
        Body::MarkDistrict {
            cause: EscalationCause::NoArrival,
            round: 1,
        },
        Body::WithdrawMark {
            text: "报到已送达".to_owned(),
            round: 1,
        },
    ];
    bodies.map(|body| (RecordKind::Whistle, body)).into()
}

/// Evidence attached and erased, with and without a position.
fn evidence() -> Vec<(RecordKind, Body)> {
    let photo = Piece {
        id: EvidenceId([12; 32]),
        sealed: SealedId([13; 32]),
        size: 2_345_678,
        media: Media::Jpeg,
        shows: Shows::Before,
        taken_at_ms: 1_749_603_600_000,
        position: Some(
            "25.0420000,102.7065000,8.0,gps"
                .parse()
                .expect("a position"),
        ),
    };
    let voice = Piece {
        id: EvidenceId([14; 32]),
        sealed: SealedId([15; 32]),
        media: Media::M4a,
        shows: Shows::Voice,
        position: None,
        ..photo
    };
    vec![
        (
            RecordKind::Finding,
            Body::Attach {
                pieces: vec![photo, voice],
            },
        ),
        (
            RecordKind::Whistle,
            Body::EraseEvidence {
                piece: photo.id,
                reason: "拍到路人".to_owned(),
            },
        ),
    ]
}

/// Requests, rulings and what changes a clock, with every field in use.
fn requests() -> Vec<(RecordKind, Body)> {
    use RecordKind::{Finding, Whistle};
    let party = || "org:D01".to_owned();
    let reason = || "等待挖掘许可".to_owned();
    let terms = || {
        Some(Terms {
            start_ms: 1_749_603_600_000,
            limit: "4h".parse().expect("a limit"),
            calendar: "office-2025.1".to_owned(),
            policy: "1".to_owned(),
        })
    };
    let order = Order {
        level: Level::Community,
        platform: 5,
        area: "530102001006".to_owned(),
        findings: Vec::new(),
        targets: Vec::new(),
        sign_by_ms: None,
        report_by_ms: None,
        due_ms: 1_749_620_000_000,
        terms: terms(),
        parent: None,
    };
    let request = EnvelopeHash([11; 32]);
    vec![
        (Finding, Body::Urge { text: reason() }),
        (Whistle, Body::Issue(order)),
        (
            Whistle,
            Body::Arrive {
                party: party(),
                heads: 2,
                position: None,
                away: Some(reason()),
            },
        ),
        (
            Whistle,
            Body::DeclineSummons {
                party: party(),
                reason: reason(),
            },
        ),
        (
            Whistle,
            Body::Object {
                party: party(),
                reason: reason(),
            },
        ),
        (
            Whistle,
            Body::AskExtension {
                party: party(),
                until_ms: 1_749_700_000_000,
                reason: reason(),
            },
        ),
        (
            Whistle,
            Body::AskSuspension {
                party: party(),
                review_ms: 1_749_700_000_000,
                reason: reason(),
            },
        ),
        (
            Whistle,
            Body::Rule {
                request,
                granted: true,
                until_ms: Some(1_749_690_000_000),
                text: "同意".to_owned(),
            },
        ),
        (
            Whistle,
            Body::Rule {
                request,
                granted: false,
                until_ms: None,
                text: reason(),
            },
        ),
        (Whistle, Body::Resume { reason: reason() }),
        (
            Whistle,
            Body::Recompute {
                due_ms: 1_749_620_000_000,
                terms: terms(),
                reason: reason(),
            },
        ),
        (
            Whistle,
            Body::Recompute {
                due_ms: 1_749_620_000_000,
                terms: None,
                reason: reason(),
            },
        ),
        (
            Whistle,
            Body::Supervise {
                party: "blower".to_owned(),
                text: reason(),
                reply_by_ms: 1_749_620_000_000,
            },
        ),
        (
            Whistle,
            Body::Reply {
                supervision: request,
                text: reason(),
            },
        ),
        (
            Finding,
            Body::Confide {
                item: PrivateId([10; 32]),
                kind: PrivateKind::Phone,
            },
        ),
        (
            Finding,
            Body::Erase {
                item: PrivateId([10; 32]),
                reason: reason(),
            },
        ),
    ]
}

/// The envelopes of [`bodies`]: a chain of one device, each seeing the one
/// before it on its record.
fn envelopes() -> Vec<Sealed> {
    let key = SigningKey::from_bytes(&[42; 32]);
    let mut sealed: Vec<Sealed> = Vec::new();
    for (nth, (kind, body)) in bodies().into_iter().enumerate() {
        let record = RecordId([kind.code(); 16]);
        let before = sealed.iter().rev();
        let seen = before
            .filter(|it| it.envelope.action.record == record)
            .map(|it| it.hash)
            .take(1)
            .collect();
        let mut facts = shaodao_core::domain::action::Facts::new();
        if matches!(body, Body::Report | Body::Correct | Body::Issue(_)) {
            facts.insert(
                fact::TITLE.to_owned(),
                Value::Text("北门街燃气泄漏".to_owned()),
            );
        }
        if body == Body::Report {
            facts.insert(fact::SEVERITY.to_owned(), Value::Int(4));
        }
        let envelope = Envelope {
            street: "530102001".to_owned(),
            device: DeviceId([5; 16]),
            dev_seq: nth as u64 + 1,
            prev: sealed.last().map(|it| it.hash),
            action: Action {
                kind,
                record,
                person: "P01006-01".into(),
                facts,
                body,
            },
            seen,
            claim: Claim {
                wall_ms: 1_749_603_600_000 + nth as i64,
                boot: BootId([6; 8]),
                mono_ms: 1_000 + nth as u64,
                anchor: (nth > 0).then_some(Anchor {
                    position: 12,
                    head: None,
                    server_ms: 1_749_603_000_000,
                    age_ms: (nth > 1).then_some(600_000),
                }),
            },
            app: "golden 1".to_owned(),
        };
        sealed.push(envelope.seal(&key).expect("seals"));
    }
    sealed
}

#[test]
fn envelopes_are_written_and_read_as_ever() {
    let mut text = String::new();
    for sealed in envelopes() {
        let word = sealed.envelope.action.body.word();
        let _ = writeln!(text, "{word} {} {}", sealed.hash, hex(&sealed.bytes));
        assert_eq!(
            envelope::open(&sealed.bytes).expect("opens"),
            sealed,
            "{word}"
        );
    }
    golden("envelope_v1.txt", &text);
}

#[test]
fn the_chain_is_hashed_signed_and_cited_as_ever() {
    let key = SigningKey::from_bytes(&[42; 32]);
    let judgement = |standing, reason, seen| Judgement {
        hash: EnvelopeHash([3; 32]),
        standing,
        reason,
        seen,
        received_at_ms: 1_749_603_600_000,
    };
    let seen = Some(vec![EnvelopeHash([4; 32]), EnvelopeHash([5; 32])]);
    let mut head = Head::EMPTY;
    let mut text = String::new();
    for entry in [
        Entry::Act(Act {
            at_ms: 1_749_603_500_000,
            what: "enrol",
            who: "P01006-01",
            about: "网格长的手机",
            content: Some([6; 32]),
        }),
        Entry::Verdict(&judgement(Standing::Accepted, None, None)),
        Entry::Verdict(&judgement(Standing::Late, Some(Reason::Closed), seen)),
    ] {
        head = head.then(entry);
        let _ = writeln!(text, "{} {}", head.position, hex(&head.hash));
    }
    let signed = head.sign(&[1; 16], &key);
    let _ = writeln!(text, "signed {}", hex(&signed.signature));
    for age_ms in [None, Some(600_000)] {
        let mut envelope = envelopes().remove(0).envelope;
        envelope.claim.anchor = Some(Anchor {
            position: head.position,
            head: Some(head.mark()),
            server_ms: 1_749_603_600_000,
            age_ms,
        });
        let sealed = envelope.seal(&key).expect("seals");
        assert_eq!(envelope::open(&sealed.bytes).expect("opens"), sealed);
        let _ = writeln!(text, "cited {} {}", sealed.hash, hex(&sealed.bytes));
    }
    golden("chain_v1.txt", &text);
}

#[test]
fn documents_are_derived_as_ever() {
    let mut text = String::new();
    for kind in [RecordKind::Finding, RecordKind::Whistle] {
        let id = RecordId([kind.code(); 16]);
        let mut document = Document::new(kind, id);
        let _ = writeln!(text, "genesis {}", hex(&document.heads()));
        for sealed in envelopes() {
            if sealed.envelope.action.record == id {
                let seen = sealed.envelope.seen.clone();
                let member = Member {
                    sealed,
                    seen,
                    received_at_ms: None,
                };
                document.write(member).expect("writes");
                let _ = writeln!(text, "{}", hex(&document.heads()));
            }
        }
    }
    golden("heads_v2.txt", &text);
}

#[test]
fn messages_are_written_and_read_as_ever() {
    let hash = EnvelopeHash([3; 32]);
    let private = PrivateItem {
        record: vec![7; 16],
        ciphertext: vec![11; 40],
        key: vec![12; 32],
    };
    let request = SyncRequest {
        epoch: vec![1; 16],
        cursor: 12,
        count: 7,
        digest: vec![2; 32],
        directory: 3,
        push: vec![vec![4; 5].into()],
        budget: 1 << 20,
        app: "golden 1".to_owned(),
        audience: vec![6; 32],
        private: vec![private.clone()],
        private_cursor: 14,
        evidence: None,
        evidence_cursor: None,
        backlog: None,
        head: Some(CitedHead {
            position: 12,
            mark: vec![11; 16],
        }),
        receipts: vec![Receipt {
            index: 0,
            received_at_ms: 1_749_603_500_000,
            tag: vec![12; 16],
        }],
    };
    let reply = SyncReply {
        epoch: vec![1; 16],
        server_ms: 1_749_603_600_000,
        verdicts: vec![Verdict {
            hash: hash.0.to_vec(),
            standing: Standing::Late.code(),
            reason: Some(Reason::Closed.code().to_owned()),
            seen: Some(wire::hashes_to_wire(&[hash])),
            received_at_ms: 1_749_603_600_001,
            tag: Some(vec![12; 16].into()),
        }],
        items: vec![Item {
            envelope: vec![4; 5],
            received_at_ms: 1_749_603_600_002,
            standing: Standing::Accepted.code(),
            seen: None,
            tag: Some(vec![12; 16].into()),
        }],
        cursor: 13,
        more: true,
        directory: Some(b"{}".to_vec().into()),
        start_over: false,
        drops: vec![vec![8; 16].into()],
        audience: vec![6; 32],
        unreadable: vec![Unreadable {
            index: 0,
            reason: Reason::NotCanonical.code().to_owned(),
        }],
        private: vec![private],
        private_cursor: 15,
        private_kept: vec![vec![10; 32].into()],
        evidence: None,
        evidence_cursor: None,
        evidence_kept: None,
        device: None,
        key_changes: None,
        notices: None,
        head: Some(FeedHead {
            position: 13,
            hash: vec![13; 32],
            signature: vec![14; 64],
        }),
    };
    let enrol = EnrolRequest {
        ticket: "ABCDEFGHJK".to_owned(),
        device: vec![5; 16],
        key: vec![9; 32],
        app: "golden 1".to_owned(),
        commitment: vec![10; 32],
    };
    let offer = EnrolOffer {
        server_key: vec![11; 32],
        nonce: vec![12; 32],
        street: "530102001".to_owned(),
    };
    let reveal = EnrolReveal {
        device: vec![5; 16],
        nonce: vec![13; 32],
    };
    let asked = SessionRequest {
        device: vec![5; 16],
        signature: vec![14; 64],
        directory: 3,
        app: "golden 1".to_owned(),
    };
    let [old, new] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let change = KeyChange::sign(&old, &new, 4);
    let edition = Edition::sign(&new, "530102001", 4, 1_749_603_600_000, b"{}".to_vec());
    let enrolled = EnrolReply {
        token: "token".to_owned(),
        person: "P01006-01".to_owned(),
        street: "530102001".to_owned(),
        epoch: vec![1; 16],
        server_ms: 1_749_603_600_000,
        directory: edition.to_bytes(),
        server_key: vec![11; 32],
        key_changes: Some(vec![change.clone()]),
    };
    let to_suspended = SyncReply {
        device: Some(DeviceState::Suspended.code()),
        key_changes: Some(vec![change]),
        notices: Some(vec![Notice {
            envelope: vec![4; 5],
            standing: Standing::Quarantined.code(),
            reason: Some(Reason::DeviceRevoked.code().to_owned()),
            received_at_ms: 1_749_603_600_003,
        }]),
        ..SyncReply::default()
    };
    let with_keys = SyncRequest {
        evidence: Some(vec![EvidenceKey {
            record: vec![7; 16],
            sealed: vec![13; 32],
            key: vec![12; 32],
        }]),
        evidence_cursor: Some(16),
        ..SyncRequest::default()
    };
    let with_news = SyncReply {
        evidence: Some(vec![EvidenceNews {
            record: vec![7; 16],
            sealed: vec![13; 32],
            key: Some(vec![12; 32].into()),
            arrived_at_ms: Some(1_749_603_600_004),
            seen: true,
        }]),
        evidence_cursor: Some(17),
        evidence_kept: Some(vec![vec![13; 32].into()]),
        ..SyncReply::default()
    };
    let session = SessionReply {
        challenge: Vec::new(),
        session: Some(enrolled.clone()),
    };
    let plain = [
        ("sync request", minicbor::to_vec(&request)),
        ("sync reply", minicbor::to_vec(&reply)),
        ("enrol request", minicbor::to_vec(&enrol)),
        ("enrol offer", minicbor::to_vec(&offer)),
        ("enrol reveal", minicbor::to_vec(&reveal)),
        ("session request", minicbor::to_vec(&asked)),
        ("enrol reply", minicbor::to_vec(&enrolled)),
        ("session reply", minicbor::to_vec(&session)),
        ("edition", minicbor::to_vec(&edition)),
        (
            "reply to a suspended phone",
            minicbor::to_vec(&to_suspended),
        ),
        ("request with keys", minicbor::to_vec(&with_keys)),
        ("reply with news", minicbor::to_vec(&with_news)),
    ];
    let mut text = String::new();
    for (what, bytes) in plain {
        let _ = writeln!(text, "{what} {}", hex(&bytes.expect("encodes")));
    }
    golden("wire_v1.txt", &text);
    assert_eq!(wire::from_bytes(&wire::to_bytes(&request)), Ok(request));
    assert_eq!(wire::from_bytes(&wire::to_bytes(&reply)), Ok(reply));
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name);
    if !path.exists() && std::env::var_os("SHAODAO_BLESS").is_some() {
        std::fs::write(&path, text).expect("writes");
    }
    let frozen = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (nth, (line, wanted)) in text.lines().zip(frozen.lines()).enumerate() {
        assert_eq!(line, wanted, "{name}, line {}", nth + 1);
    }
    assert_eq!(text.lines().count(), frozen.lines().count(), "{name}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
