//! Random histories of a handful of people who act on the same records, hear of
//! each other late or never, disagree, and have wrong clocks.
//!
//! 1. [`histories`] lets them act: what each one has seen is what they happen
//!    to have heard; what they do is anything, possible or not.
//! 2. [`causal_order`] puts the envelopes in another order in which nothing
//!    comes before what it builds on.
//! 3. [`replica`] feeds such an order to a phone's database, in pages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ed25519_dalek::SigningKey;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use shaodao_core::domain::action::{
    Action, BLOWER, Body, EscalationCause, Facts, Level, Order, Party, RecordKind, Target, Value,
    fact,
};
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::evidence::{Media, Piece, Shows};
use shaodao_core::domain::ids::{
    BootId, DeviceId, EnvelopeHash, EvidenceId, PersonId, PrivateId, RecordId, SealedId,
};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::time::{Anchor, Claim, LastContact};
use shaodao_core::envelope::Envelope;
use shaodao_core::store::opening::Check;
use shaodao_core::store::{Files, Store};
use shaodao_core::sync::settle::{Incoming, Settlement};
use shaodao_core::sync::wire::{Judgement, Standing};

use crate::home::{key, unbacked};
use crate::world::{HOUR_MS, MORNING_MS};

/// Everybody who acts.
const PEOPLE: usize = 4;
const PARTIES: [&str; 3] = ["person:P1", "person:P2", "org:D01"];

struct Author {
    person: PersonId,
    device: DeviceId,
    key: SigningKey,
    boot: BootId,
    clock_error_ms: i64,
    dev_seq: u64,
    prev: Option<EnvelopeHash>,
    /// What they have heard of, by record.
    heard: BTreeMap<RecordId, BTreeSet<EnvelopeHash>>,
}

/// The histories of so many records, six to eighteen actions each, in the order
/// in which a server might have received them.
pub fn histories(seed: u64, records: usize) -> Vec<Incoming> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut authors: Vec<Author> = (0..PEOPLE).map(|nth| author(nth, &mut rng)).collect();
    let ids: Vec<(RecordKind, RecordId)> = (0..records)
        .map(|nth| match nth % 2 {
            0 => (RecordKind::Finding, RecordId::random(&mut rng)),
            _ => (RecordKind::Whistle, RecordId::random(&mut rng)),
        })
        .collect();
    let mut received: Vec<Incoming> = Vec::new();
    let mut cited: BTreeMap<EnvelopeHash, Vec<EnvelopeHash>> = BTreeMap::new();
    for (nth, (kind, record)) in ids.iter().enumerate() {
        // A whistle carries findings of its neighbourhood, known or not.
        let finding = ids[nth.saturating_sub(rng.random_range(1..4))].1;
        // What can be answered: requests, demands.
        let mut asked = BTreeSet::new();
        for step in 0..rng.random_range(6..19) {
            let who = rng.random_range(0..PEOPLE);
            if rng.random_bool(0.5) {
                let other = rng.random_range(0..PEOPLE);
                let news = authors[other].heard.get(record).cloned();
                let heard = authors[who].heard.entry(*record).or_default();
                heard.extend(news.unwrap_or_default());
            }
            let body = match step {
                0 => first(*kind, finding, &mut rng),
                _ => anything(*kind, finding, &mut rng),
            };
            let heard_of = authors[who].heard.get(record);
            let body = answering(body, heard_of, &asked, &mut rng);
            let author = &mut authors[who];
            let heard = author.heard.entry(*record).or_default();
            let old: BTreeSet<_> = heard.iter().flat_map(|hash| &cited[hash]).collect();
            let seen: Vec<_> = heard
                .iter()
                .filter(|hash| !old.contains(hash))
                .copied()
                .collect();
            let now_ms = MORNING_MS + (received.len() as i64) * 61_000;
            let envelope = Envelope {
                street: "530102001".to_owned(),
                device: author.device,
                dev_seq: author.dev_seq + 1,
                prev: author.prev,
                action: Action {
                    kind: *kind,
                    record: *record,
                    person: author.person.clone(),
                    facts: some_facts(&body, *kind, &mut rng),
                    body,
                },
                seen: seen.clone(),
                claim: claim(author, now_ms, &mut rng),
                app: "random".to_owned(),
            };
            let sealed = envelope.seal(&author.key).expect("small enough");
            if matches!(
                sealed.envelope.action.body,
                Body::Object { .. }
                    | Body::AskExtension { .. }
                    | Body::AskSuspension { .. }
                    | Body::Supervise { .. }
            ) {
                asked.insert(sealed.hash);
            }
            author.dev_seq += 1;
            author.prev = Some(sealed.hash);
            author.heard.entry(*record).or_default().insert(sealed.hash);
            cited.insert(sealed.hash, seen);
            received.push(Incoming {
                sealed,
                standing: Standing::Accepted,
                seen: None,
                received_at_ms: now_ms + rng.random_range(0..50) * HOUR_MS,
            });
        }
    }
    received
}

/// Another order in which every envelope follows all that it has seen.
pub fn causal_order(envelopes: &[Incoming], rng: &mut StdRng) -> Vec<Incoming> {
    let mut left: Vec<&Incoming> = envelopes.iter().collect();
    for at in (1..left.len()).rev() {
        left.swap(at, rng.random_range(0..=at));
    }
    let mut placed = BTreeSet::new();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        left.retain(|incoming| {
            let ready = incoming
                .sealed
                .envelope
                .seen
                .iter()
                .all(|hash| placed.contains(hash));
            if ready {
                placed.insert(incoming.sealed.hash);
                order.push((*incoming).clone());
            }
            !ready
        });
    }
    order
}

/// A phone's database that received the envelopes in this order, in pages of
/// random size, some of them twice.
pub fn replica(path: &Path, order: &[Incoming], rng: &mut StdRng) -> Store {
    let files = Files {
        database: path.to_owned(),
        unbacked: unbacked(path),
        key: key(),
        wall_ms: MORNING_MS,
    };
    let (mut store, _) = Store::open(&files, Check::Quick, rng).expect("opens");
    let mut at = 0;
    while at < order.len() {
        let end = (at + rng.random_range(1..200)).min(order.len());
        // A page that was interrupted comes again, from a little earlier.
        let from = at.saturating_sub(rng.random_range(0..4));
        page(&mut store, &order[from..end]);
        at = end;
    }
    store
}

/// The phone syncs, and there is nothing new.
pub fn nothing_new(store: &mut Store) {
    page(store, &[]);
}

/// A server that does not know the author's device refuses an envelope that
/// this phone offered for somebody else.
pub fn refuse(store: &mut Store, hash: EnvelopeHash) {
    let refused = Judgement {
        hash,
        standing: Standing::Refused,
        reason: Some(Reason::UnknownDevice),
        seen: None,
        received_at_ms: MORNING_MS,
    };
    apply(store, &[], vec![refused]);
}

fn page(store: &mut Store, incoming: &[Incoming]) {
    apply(store, incoming, Vec::new());
}

fn apply(store: &mut Store, incoming: &[Incoming], judgements: Vec<Judgement>) {
    let settlement = Settlement {
        key_changes: Vec::new(),
        vetted: None,
        device: DeviceState::Active,
        notices: Vec::new(),
        judgements,
        incoming: incoming.to_vec(),
        cursor: 1,
        more: false,
        directory: None,
        drops: Vec::new(),
        epoch: vec![1],
        start_over: false,
        offer_again: false,
        audience: Vec::new(),
        server_ms: MORNING_MS,
        private: Vec::new(),
        private_kept: Vec::new(),
        private_cursor: 0,
        head: None,
        contradiction: None,
        evidence: Vec::new(),
        evidence_kept: Vec::new(),
        evidence_cursor: 0,
        tags: BTreeMap::new(),
    };
    let contact = LastContact {
        position: 1,
        head: None,
        server_ms: MORNING_MS,
        boot: BootId([0; 8]),
        mono_ms: 0,
    };
    store.apply(&settlement, contact).expect("applies");
}

fn author(nth: usize, rng: &mut StdRng) -> Author {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    Author {
        person: PersonId(format!("P{nth}")),
        device: DeviceId::random(rng),
        key: SigningKey::from_bytes(&secret),
        boot: BootId::random(rng),
        // One of them lives in another year.
        clock_error_ms: [0, -70_000, 3 * HOUR_MS, 9_000 * HOUR_MS][nth % 4],
        dev_seq: 0,
        prev: None,
        heard: BTreeMap::new(),
    }
}

fn claim(author: &Author, now_ms: i64, rng: &mut StdRng) -> Claim {
    let contact_ms = now_ms - rng.random_range(0..100) * HOUR_MS;
    let age_ms = (now_ms - contact_ms).unsigned_abs();
    Claim {
        // Whole minutes make equal readings likely, so that ties are met too.
        wall_ms: (now_ms + author.clock_error_ms) / 60_000 * 60_000,
        boot: author.boot,
        mono_ms: age_ms,
        anchor: rng.random_bool(0.7).then(|| Anchor {
            position: 1,
            head: None,
            server_ms: contact_ms,
            age_ms: rng.random_bool(0.8).then_some(age_ms),
        }),
    }
}

fn first(kind: RecordKind, finding: RecordId, rng: &mut StdRng) -> Body {
    match (kind, rng.random_bool(0.9)) {
        (RecordKind::Finding, true) => Body::Report,
        (RecordKind::Whistle, true) => issue(finding, rng),
        // Some records begin in the middle: the beginning came to others.
        (kind, false) => anything(kind, finding, rng),
    }
}

fn issue(finding: RecordId, rng: &mut StdRng) -> Body {
    let target = |(at, key): (usize, &&str)| Target {
        party: Party::parse(key).expect("a party"),
        lead: at == 0,
        mandatory: at < 2,
    };
    let count = rng.random_range(1..=PARTIES.len());
    Body::Issue(Order {
        level: Level::Community,
        platform: 5,
        area: "530102001006".to_owned(),
        findings: vec![finding],
        targets: PARTIES[..count].iter().enumerate().map(target).collect(),
        sign_by_ms: None,
        report_by_ms: None,
        due_ms: MORNING_MS + rng.random_range(1..90) * HOUR_MS,
        terms: None,
        parent: None,
    })
}

/// Personal data confided or erased; few items, so that both meet.
fn confidence(rng: &mut StdRng) -> Body {
    let item = PrivateId([rng.random_range(0..3u8); 32]);
    match rng.random_bool(0.6) {
        true => Body::Confide {
            item,
            kind: PrivateKind::Phone,
        },
        false => Body::Erase {
            item,
            reason: "居民要求".to_owned(),
        },
    }
}

/// Evidence attached or erased; few pieces, so that both meet.
fn evidence(rng: &mut StdRng) -> Body {
    let piece = |nth: u8| Piece {
        id: EvidenceId([nth / 2; 32]),
        sealed: SealedId([nth; 32]),
        size: 1_000,
        media: Media::Jpeg,
        shows: Shows::Scene,
        taken_at_ms: MORNING_MS,
        position: None,
    };
    let nth = rng.random_range(0..6u8);
    match rng.random_bool(0.6) {
        true => Body::Attach {
            pieces: vec![piece(nth), piece(nth + 2)],
        },
        false => Body::EraseEvidence {
            piece: EvidenceId([nth / 2; 32]),
            reason: "拍到路人".to_owned(),
        },
    }
}

/// Anything that can be said of a record, whether it makes sense or not.
fn anything(kind: RecordKind, other: RecordId, rng: &mut StdRng) -> Body {
    let text = format!("说明{}", rng.random_range(0..9));
    let party = PARTIES[rng.random_range(0..PARTIES.len())].to_owned();
    let passed = rng.random_bool(0.6);
    let reason = text.clone();
    if rng.random_bool(0.03) {
        return Body::Unknown {
            kind: "from_the_future".to_owned(),
            fields: [(1, Value::Text(text))].into(),
        };
    }
    if rng.random_bool(0.04) {
        return evidence(rng);
    }
    let most = match kind {
        RecordKind::Finding => 15,
        RecordKind::Whistle => 24,
    };
    match (kind, rng.random_range(0..most)) {
        (RecordKind::Finding, 0) => Body::Report,
        (RecordKind::Finding, 1..=4) => Body::Correct,
        (RecordKind::Finding, 5) => match passed {
            true => Body::Note { text },
            false => confidence(rng),
        },
        (RecordKind::Finding, 6) => Body::SelfResolve { text },
        (RecordKind::Finding, 7) => Body::Review { passed, text },
        (RecordKind::Finding, 8) => Body::Accept,
        (RecordKind::Finding, 9) => Body::Number,
        (RecordKind::Finding, 10) => Body::Decline { reason },
        (RecordKind::Finding, 11) => Body::Withdraw { reason },
        (RecordKind::Finding, 12) => Body::Merge { into: other },
        (RecordKind::Finding, 13) => Body::Urge { text },
        (RecordKind::Finding, _) => Body::Reopen { reason },
        (RecordKind::Whistle, 0) => Body::Sign { party },
        (RecordKind::Whistle, 1 | 2) => Body::Arrive {
            party,
            heads: rng.random_range(1..4),
            position: None,
            away: None,
        },
        (RecordKind::Whistle, 3 | 4) => Body::Feedback { party, text },
        (RecordKind::Whistle, 5 | 6) => Body::Verify {
            party,
            passed,
            text,
        },
        (RecordKind::Whistle, 7) => Body::Conclude { text },
        (RecordKind::Whistle, 8) => match passed {
            true => Body::Release { party },
            false => Body::Excuse { party, reason },
        },
        (RecordKind::Whistle, 9) => Body::Evaluate {
            party: if passed { party } else { BLOWER.to_owned() },
            score: 4,
            text,
        },
        (RecordKind::Whistle, 10) => match passed {
            true => Body::AskEscalation { reason },
            false => Body::Cancel { reason },
        },
        (RecordKind::Whistle, 11) => Body::Escalate {
            cause: EscalationCause::DuePassed,
            into: other,
            round: rng.random_range(1..3),
        },
        (RecordKind::Whistle, 12) => Body::StandDown { text, round: 1 },
        (RecordKind::Whistle, 14..=22) => requested(party, text, passed, rng),
        (RecordKind::Whistle, _) => match passed {
            true => Body::Summon {
                targets: vec![Target {
                    party: Party::parse(&party).expect("a party"),
                    lead: false,
                    mandatory: true,
                }],
            },
            false => Body::Correct,
        },
    }
}

/// Requests, rulings, and what moves a clock.
fn requested(party: String, text: String, passed: bool, rng: &mut StdRng) -> Body {
    let reason = text.clone();
    let at_ms = MORNING_MS + rng.random_range(-5..60) * HOUR_MS;
    let nobody = EnvelopeHash([0; 32]);
    match rng.random_range(0..13) {
        0 => Body::DeclineSummons { party, reason },
        1 => Body::Object { party, reason },
        2 | 3 => Body::AskExtension {
            party,
            until_ms: at_ms,
            reason,
        },
        4 | 5 => Body::AskSuspension {
            party,
            review_ms: at_ms,
            reason,
        },
        6..=9 => Body::Rule {
            request: nobody,
            granted: passed,
            until_ms: rng.random_bool(0.5).then_some(at_ms),
            text,
        },
        10 => Body::Resume { reason },
        11 => match passed {
            true => Body::Supervise {
                party,
                text,
                reply_by_ms: at_ms,
            },
            false => Body::Recompute {
                due_ms: at_ms,
                terms: None,
                reason,
            },
        },
        _ => match passed {
            true => Body::Reply {
                supervision: nobody,
                text,
            },
            false => Body::Urge { text },
        },
    }
}

/// The same action, answering something that its author has heard of: a
/// request or a demand if there is one, else anything.
fn answering(
    body: Body,
    heard: Option<&BTreeSet<EnvelopeHash>>,
    asked: &BTreeSet<EnvelopeHash>,
    rng: &mut StdRng,
) -> Body {
    let all: Vec<_> = heard.into_iter().flatten().copied().collect();
    let open: Vec<_> = all
        .iter()
        .filter(|it| asked.contains(it))
        .copied()
        .collect();
    let from = if open.is_empty() { all } else { open };
    if from.is_empty() {
        return body;
    }
    let one = from[rng.random_range(0..from.len())];
    match body {
        Body::Rule {
            granted,
            until_ms,
            text,
            ..
        } => Body::Rule {
            request: one,
            granted,
            until_ms,
            text,
        },
        Body::Reply { text, .. } => Body::Reply {
            supervision: one,
            text,
        },
        body => body,
    }
}

fn some_facts(body: &Body, kind: RecordKind, rng: &mut StdRng) -> Facts {
    let mut facts = Facts::new();
    if !matches!(
        body,
        Body::Report | Body::Correct | Body::Issue(_) | Body::Number
    ) {
        return facts;
    }
    let mut text = |name: &str, of: &[&str], rng: &mut StdRng| {
        if rng.random_bool(0.5) {
            let text = of[rng.random_range(0..of.len())].to_owned();
            facts.insert(name.to_owned(), Value::Text(text));
        }
    };
    text(fact::TITLE, &["井盖破损", "井盖松动", "路灯不亮"], rng);
    text(fact::ADDRESS, &["北门街", "圆通街"], rng);
    if kind == RecordKind::Finding {
        text(fact::CATEGORY, &["C0101", "E0403"], rng);
        text(fact::GRID, &["530102001006001", "530102001006002"], rng);
        text(fact::NUMBER, &["C0101-20250611-0001"], rng);
        if rng.random_bool(0.3) {
            let severity = rng.random_range(1..5);
            facts.insert(fact::SEVERITY.to_owned(), Value::Int(severity));
        }
    }
    facts
}
