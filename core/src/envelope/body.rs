//! What happened, as numbered fields and back. The numbers are forever: a field
//! may be added, never renumbered.
//!
//! A word or a shape that this build does not know becomes [`Body::Unknown`],
//! which encodes to exactly the fields it came from; so nothing that a newer
//! app wrote is lost or changed on the way through an older one.

use std::collections::BTreeMap;

use crate::domain::action::{Body, EscalationCause, Level, Order, Party, Target, Value};
use crate::domain::ids::{PrivateId, RecordId};
use crate::domain::private::PrivateKind;

/// Numbered fields of a body.
pub type Fields = BTreeMap<u8, Value>;

/// The word and the fields of a body.
pub fn encode(body: &Body) -> (String, Fields) {
    let fields = match body {
        Body::Report | Body::Correct | Body::Accept | Body::Number => Fields::new(),
        Body::Note { text } | Body::SelfResolve { text } | Body::Conclude { text } => {
            [(0, text_of(text))].into()
        }
        Body::Review { passed, text } => [(0, Value::Bool(*passed)), (1, text_of(text))].into(),
        Body::Decline { reason }
        | Body::Withdraw { reason }
        | Body::Reopen { reason }
        | Body::Cancel { reason }
        | Body::AskEscalation { reason } => [(0, text_of(reason))].into(),
        Body::Merge { into } => [(0, id(*into))].into(),
        Body::Confide { item, kind } => [
            (0, Value::Bytes(item.0.to_vec())),
            (1, text_of(kind.word())),
        ]
        .into(),
        Body::Erase { item, reason } => {
            [(0, Value::Bytes(item.0.to_vec())), (1, text_of(reason))].into()
        }
        Body::Issue(order) => order_fields(order),
        Body::Summon { targets } => [(0, targets_value(targets))].into(),
        Body::Sign { party } | Body::Release { party } => [(0, text_of(party))].into(),
        Body::Arrive {
            party,
            heads,
            position,
        } => {
            let mut fields: Fields = [(0, text_of(party)), (1, Value::Int((*heads).into()))].into();
            if let Some(position) = position {
                fields.insert(2, Value::Text(position.to_string()));
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
        Body::Excuse { party, reason } => [(0, text_of(party)), (1, text_of(reason))].into(),
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
        Body::StandDown { text, round } | Body::ProposeStandDown { text, round } => {
            [(0, text_of(text)), (1, Value::Int((*round).into()))].into()
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
    fields
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

fn text_of(text: &str) -> Value {
    Value::Text(text.to_owned())
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
