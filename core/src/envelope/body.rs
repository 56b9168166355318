//! What happened, as numbered fields and back. The numbers are forever: a field
//! may be added, never renumbered.
//!
//! A word or a shape that this build does not know becomes [`Body::Unknown`],
//! which encodes to exactly the fields it came from; so nothing that a newer
//! app wrote is lost or changed on the way through an older one.

use std::collections::BTreeMap;

use crate::domain::action::{Body, EscalationCause, Level, Order, Party, Target, Terms, Value};
use crate::domain::evidence::{Media, Piece, Shows};
use crate::domain::ids::{EnvelopeHash, EvidenceId, PrivateId, RecordId, SealedId};
use crate::domain::private::PrivateKind;

/// Numbered fields of a body.
pub type Fields = BTreeMap<u8, Value>;

/// The word and the fields of a body.
pub fn encode(body: &Body) -> (String, Fields) {
    let fields = match body {
        Body::Report | Body::Correct | Body::Accept | Body::Number => Fields::new(),
        Body::Note { text }
        | Body::SelfResolve { text }
        | Body::Conclude { text }
        | Body::Urge { text } => [(0, text_of(text))].into(),
        Body::Review { passed, text } => [(0, Value::Bool(*passed)), (1, text_of(text))].into(),
        Body::Decline { reason }
        | Body::Withdraw { reason }
        | Body::Reopen { reason }
        | Body::Cancel { reason }
        | Body::AskEscalation { reason }
        | Body::Resume { reason } => [(0, text_of(reason))].into(),
        Body::Merge { into } => [(0, id(*into))].into(),
        Body::Confide { item, kind } => [
            (0, Value::Bytes(item.0.to_vec())),
            (1, text_of(kind.word())),
        ]
        .into(),
        Body::Erase { item, reason } => {
            [(0, Value::Bytes(item.0.to_vec())), (1, text_of(reason))].into()
        }
        Body::Attach { pieces } => [(0, pieces_value(pieces))].into(),
        Body::EraseEvidence { piece, reason } => {
            [(0, Value::Bytes(piece.0.to_vec())), (1, text_of(reason))].into()
        }
        Body::Issue(order) => order_fields(order),
        Body::Summon { targets } => [(0, targets_value(targets))].into(),
        Body::Sign { party } | Body::Release { party } => [(0, text_of(party))].into(),
        Body::Arrive {
            party,
            heads,
            position,
            away,
        } => {
            let mut fields: Fields = [(0, text_of(party)), (1, Value::Int((*heads).into()))].into();
            if let Some(position) = position {
                fields.insert(2, Value::Text(position.to_string()));
            }
            if let Some(away) = away {
                fields.insert(3, text_of(away));
            }
            fields
        }
        Body::Feedback { party, text } => [(0, text_of(party)), (1, text_of(text))].into(),
        Body::Verify {
            party,
            passed,
            text,
        } => [
            (0, text_of(party)),
            (1, Value::Bool(*passed)),
            (2, text_of(text)),
        ]
        .into(),
        Body::Excuse { party, reason }
        | Body::DeclineSummons { party, reason }
        | Body::Object { party, reason } => [(0, text_of(party)), (1, text_of(reason))].into(),
        Body::AskExtension {
            party,
            until_ms: at_ms,
            reason,
        }
        | Body::AskSuspension {
            party,
            review_ms: at_ms,
            reason,
        } => [
            (0, text_of(party)),
            (1, Value::Int(*at_ms)),
            (2, text_of(reason)),
        ]
        .into(),
        Body::Rule {
            request,
            granted,
            until_ms,
            text,
        } => {
            let mut fields: Fields = [
                (0, hash(*request)),
                (1, Value::Bool(*granted)),
                (3, text_of(text)),
            ]
            .into();
            fields.extend(until_ms.map(|until_ms| (2, Value::Int(until_ms))));
            fields
        }
        Body::Recompute {
            due_ms,
            terms,
            reason,
        } => {
            let mut fields: Fields = [(0, text_of(reason)), (7, Value::Int(*due_ms))].into();
            fields.extend(terms.iter().flat_map(terms_fields));
            fields
        }
        Body::Supervise {
            party,
            text,
            reply_by_ms,
        } => [
            (0, text_of(party)),
            (1, text_of(text)),
            (2, Value::Int(*reply_by_ms)),
        ]
        .into(),
        Body::Reply { supervision, text } => [(0, hash(*supervision)), (1, text_of(text))].into(),
        Body::Evaluate { party, score, text } => [
            (0, text_of(party)),
            (1, Value::Int((*score).into())),
            (2, text_of(text)),
        ]
        .into(),
        Body::Escalate { cause, into, round } => [
            (0, text_of(cause.code())),
            (1, id(*into)),
            (2, Value::Int((*round).into())),
        ]
        .into(),
        Body::StandDown { text, round }
        | Body::ProposeStandDown { text, round }
        | Body::WithdrawMark { text, round }
        | Body::Uphold {
            reason: text,
            round,
        } => [(0, text_of(text)), (1, Value::Int((*round).into()))].into(),
        Body::LastHeard { heard } => [(0, heard_value(heard))].into(),
        Body::MarkDistrict { cause, round } => {
            [(0, text_of(cause.code())), (1, Value::Int((*round).into()))].into()
        }
        Body::Unknown { fields, .. } => fields.clone(),
    };
    (body.word().to_owned(), fields)
}

/// The body with this word and these fields.
pub fn decode(word: &str, fields: Fields) -> Body {
    let known = known(word, &fields);
    // A field that this build would not write back makes the whole unknown.
    match known {
        Some(body) if encode(&body).1 == fields => body,
        _ => Body::Unknown {
            kind: word.to_owned(),
            fields,
        },
    }
}

fn known(word: &str, fields: &Fields) -> Option<Body> {
    let text = |key: u8| match fields.get(&key) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |key: u8| match fields.get(&key) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let small = |key: u8| number(key).and_then(|number| u32::try_from(number).ok());
    let flag = |key: u8| match fields.get(&key) {
        Some(Value::Bool(flag)) => Some(*flag),
        _ => None,
    };
    let record = |key: u8| fields.get(&key).and_then(read_id);
    let private = |key: u8| match fields.get(&key) {
        Some(Value::Bytes(bytes)) => PrivateId::from_slice(bytes),
        _ => None,
    };
    let action = |key: u8| match fields.get(&key) {
        Some(Value::Bytes(bytes)) => EnvelopeHash::from_slice(bytes),
        _ => None,
    };
    Some(match word {
        "report" => Body::Report,
        "correct" => Body::Correct,
        "note" => Body::Note { text: text(0)? },
        "self_resolve" => Body::SelfResolve { text: text(0)? },
        "review" => Body::Review {
            passed: flag(0)?,
            text: text(1)?,
        },
        "accept" => Body::Accept,
        "number" => Body::Number,
        "decline" => Body::Decline { reason: text(0)? },
        "withdraw" => Body::Withdraw { reason: text(0)? },
        "merge" => Body::Merge { into: record(0)? },
        "reopen" => Body::Reopen { reason: text(0)? },
        "confide" => Body::Confide {
            item: private(0)?,
            kind: PrivateKind::from_word(&text(1)?)?,
        },
        "erase" => Body::Erase {
            item: private(0)?,
            reason: text(1)?,
        },
        "attach" => Body::Attach {
            pieces: read_pieces(fields.get(&0)?)?,
        },
        "erase_evidence" => Body::EraseEvidence {
            piece: match fields.get(&0) {
                Some(Value::Bytes(bytes)) => EvidenceId::from_slice(bytes)?,
                _ => return None,
            },
            reason: text(1)?,
        },
        "urge" => Body::Urge { text: text(0)? },
        "issue" => Body::Issue(read_order(fields)?),
        "summon" => Body::Summon {
            targets: read_targets(fields.get(&0)?)?,
        },
        "sign" => Body::Sign { party: text(0)? },
        "arrive" => Body::Arrive {
            party: text(0)?,
            heads: small(1)?,
            position: match fields.get(&2) {
                Some(Value::Text(position)) => Some(position.parse().ok()?),
                Some(_) => return None,
                None => None,
            },
            away: text(3),
        },
        "decline_summons" => Body::DeclineSummons {
            party: text(0)?,
            reason: text(1)?,
        },
        "object" => Body::Object {
            party: text(0)?,
            reason: text(1)?,
        },
        "ask_extension" => Body::AskExtension {
            party: text(0)?,
            until_ms: number(1)?,
            reason: text(2)?,
        },
        "ask_suspension" => Body::AskSuspension {
            party: text(0)?,
            review_ms: number(1)?,
            reason: text(2)?,
        },
        "rule" => Body::Rule {
            request: action(0)?,
            granted: flag(1)?,
            until_ms: number(2),
            text: text(3)?,
        },
        "resume" => Body::Resume { reason: text(0)? },
        "recompute" => Body::Recompute {
            due_ms: number(7)?,
            terms: read_terms(fields),
            reason: text(0)?,
        },
        "supervise" => Body::Supervise {
            party: text(0)?,
            text: text(1)?,
            reply_by_ms: number(2)?,
        },
        "reply" => Body::Reply {
            supervision: action(0)?,
            text: text(1)?,
        },
        "feedback" => Body::Feedback {
            party: text(0)?,
            text: text(1)?,
        },
        "verify" => Body::Verify {
            party: text(0)?,
            passed: flag(1)?,
            text: text(2)?,
        },
        "release" => Body::Release { party: text(0)? },
        "excuse" => Body::Excuse {
            party: text(0)?,
            reason: text(1)?,
        },
        "conclude" => Body::Conclude { text: text(0)? },
        "cancel" => Body::Cancel { reason: text(0)? },
        "evaluate" => Body::Evaluate {
            party: text(0)?,
            score: small(1)?,
            text: text(2)?,
        },
        "ask_escalation" => Body::AskEscalation { reason: text(0)? },
        "escalate" => Body::Escalate {
            cause: EscalationCause::from_code(&text(0)?)?,
            into: record(1)?,
            round: small(2)?,
        },
        "stand_down" => Body::StandDown {
            text: text(0)?,
            round: small(1)?,
        },
        "propose_stand_down" => Body::ProposeStandDown {
            text: text(0)?,
            round: small(1)?,
        },
        "uphold" => Body::Uphold {
            reason: text(0)?,
            round: small(1)?,
        },
        "last_heard" => Body::LastHeard {
            heard: read_heard(fields.get(&0)?)?,
        },
        "mark_district" => Body::MarkDistrict {
            cause: EscalationCause::from_code(&text(0)?)?,
            round: small(1)?,
        },
        "withdraw_mark" => Body::WithdrawMark {
            text: text(0)?,
            round: small(1)?,
        },
        _ => return None,
    })
}

fn order_fields(order: &Order) -> Fields {
    let mut fields: Fields = [
        (0, Value::Int(order.level.code().into())),
        (1, Value::Int(order.platform.into())),
        (2, text_of(&order.area)),
        (
            3,
            Value::List(order.findings.iter().copied().map(id).collect()),
        ),
        (4, targets_value(&order.targets)),
        (7, Value::Int(order.due_ms)),
    ]
    .into();
    let optional = [
        (5, order.sign_by_ms.map(Value::Int)),
        (6, order.report_by_ms.map(Value::Int)),
        (8, order.parent.map(id)),
    ];
    fields.extend(
        optional
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    fields.extend(order.terms.iter().flat_map(terms_fields));
    fields
}

/// Terms have the same numbers wherever they stand.
fn terms_fields(terms: &Terms) -> Fields {
    [
        (9, Value::Int(terms.start_ms)),
        (10, Value::Text(terms.limit.to_string())),
        (11, text_of(&terms.calendar)),
        (12, text_of(&terms.policy)),
    ]
    .into()
}

fn read_terms(fields: &Fields) -> Option<Terms> {
    let text = |key: u8| match fields.get(&key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let Some(Value::Int(start_ms)) = fields.get(&9) else {
        return None;
    };
    Some(Terms {
        start_ms: *start_ms,
        limit: text(10)?.parse().ok()?,
        calendar: text(11)?.clone(),
        policy: text(12)?.clone(),
    })
}

fn read_order(fields: &Fields) -> Option<Order> {
    let number = |key: u8| match fields.get(&key) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let Some(Value::Text(area)) = fields.get(&2) else {
        return None;
    };
    let Some(Value::List(findings)) = fields.get(&3) else {
        return None;
    };
    Some(Order {
        level: Level::from_code(u8::try_from(number(0)?).ok()?)?,
        platform: u8::try_from(number(1)?).ok()?,
        area: area.clone(),
        findings: findings.iter().map(read_id).collect::<Option<_>>()?,
        targets: read_targets(fields.get(&4)?)?,
        sign_by_ms: number(5),
        report_by_ms: number(6),
        due_ms: number(7)?,
        parent: fields.get(&8).and_then(read_id),
        terms: read_terms(fields),
    })
}

fn targets_value(targets: &[Target]) -> Value {
    let one = |target: &Target| {
        Value::List(vec![
            Value::Text(target.party.key()),
            Value::Bool(target.lead),
            Value::Bool(target.mandatory),
        ])
    };
    Value::List(targets.iter().map(one).collect())
}

fn read_targets(value: &Value) -> Option<Vec<Target>> {
    let Value::List(list) = value else {
        return None;
    };
    let one = |value: &Value| {
        let Value::List(parts) = value else {
            return None;
        };
        match parts.as_slice() {
            [Value::Text(key), Value::Bool(lead), Value::Bool(mandatory)] => Some(Target {
                party: Party::parse(key)?,
                lead: *lead,
                mandatory: *mandatory,
            }),
            _ => None,
        }
    };
    list.iter().map(one).collect()
}

/// A piece: hash, hash of the ciphertext, bytes, type, what it shows, when, and
/// where if that is known.
fn pieces_value(pieces: &[Piece]) -> Value {
    let one = |piece: &Piece| {
        let mut parts = vec![
            Value::Bytes(piece.id.0.to_vec()),
            Value::Bytes(piece.sealed.0.to_vec()),
            Value::Int(i64::try_from(piece.size).unwrap_or(i64::MAX)),
            text_of(piece.media.word()),
            text_of(piece.shows.word()),
            Value::Int(piece.taken_at_ms),
        ];
        parts.extend(piece.position.map(|it| Value::Text(it.to_string())));
        Value::List(parts)
    };
    Value::List(pieces.iter().map(one).collect())
}

fn read_pieces(value: &Value) -> Option<Vec<Piece>> {
    let Value::List(list) = value else {
        return None;
    };
    let one = |value: &Value| {
        let Value::List(parts) = value else {
            return None;
        };
        let (first, position) = parts.split_at_checked(6)?;
        let [
            Value::Bytes(id),
            Value::Bytes(sealed),
            Value::Int(size),
            Value::Text(media),
            Value::Text(shows),
            Value::Int(taken_at_ms),
        ] = first
        else {
            return None;
        };
        Some(Piece {
            id: EvidenceId::from_slice(id)?,
            sealed: SealedId::from_slice(sealed)?,
            size: u64::try_from(*size).ok()?,
            media: Media::from_word(media)?,
            shows: Shows::from_word(shows)?,
            taken_at_ms: *taken_at_ms,
            position: match position {
                [] => None,
                [Value::Text(position)] => Some(position.parse().ok()?),
                _ => return None,
            },
        })
    };
    list.iter().map(one).collect()
}

fn heard_value(heard: &[(String, i64)]) -> Value {
    let one = |(party, at_ms): &(String, i64)| {
        Value::List(vec![Value::Text(party.clone()), Value::Int(*at_ms)])
    };
    Value::List(heard.iter().map(one).collect())
}

fn read_heard(value: &Value) -> Option<Vec<(String, i64)>> {
    let Value::List(list) = value else {
        return None;
    };
    let one = |value: &Value| match value {
        Value::List(parts) => match parts.as_slice() {
            [Value::Text(party), Value::Int(at_ms)] => Some((party.clone(), *at_ms)),
            _ => None,
        },
        _ => None,
    };
    list.iter().map(one).collect()
}

fn text_of(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn hash(action: EnvelopeHash) -> Value {
    Value::Bytes(action.0.to_vec())
}

fn id(record: RecordId) -> Value {
    Value::Bytes(record.0.to_vec())
}

fn read_id(value: &Value) -> Option<RecordId> {
    match value {
        Value::Bytes(bytes) => RecordId::from_slice(bytes),
        _ => None,
    }
}
