//! What somebody can do, put into words: drafts for the real buttons of a
//! phone, and some for buttons that are not there.

use rand::RngExt;
use rand::rngs::StdRng;

use shaodao_core::device::{Device, Draft};
use shaodao_core::domain::action::{Body, Facts, Party, RecordKind, Target, Value, fact};
use shaodao_core::domain::available::Available;
use shaodao_core::domain::deadline;
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::Moment;

use super::cast::{COMMUNITY, DEPARTMENTS, PARTIES, Person, Role};
use crate::world::{finding_facts, order};

const HOUR_MS: i64 = 3_600_000;

/// How likely a button is pressed, against others.
fn weight(word: &str) -> u32 {
    match word {
        "cancel" | "withdraw" | "decline" | "merge" | "excuse" | "recompute" | "erase" => 1,
        "note" | "urge" | "correct" | "object" | "ask_escalation" | "confide" => 2,
        "supervise" | "evaluate" | "decline_summons" => 2,
        "feedback" | "accept" | "verify" | "conclude" | "rule" | "ask_suspension" => 8,
        _ => 5,
    }
}

/// A report of something new.
pub fn report(person: &Person, rng: &mut StdRng) -> Draft {
    let category = ["E0102", "E0403"][rng.random_range(0..2usize)];
    let title = format!("第{}处", rng.random_range(0..1_000u32));
    let facts = finding_facts(person.grid, category, &title);
    Draft::new(RecordKind::Finding, facts, Body::Report)
}

/// Something that the phone offers on a record; `None` if it offers nothing.
/// Personal data is confided elsewhere: its draft comes without an item.
pub fn offered(
    device: &Device,
    now: Moment,
    true_ms: i64,
    record: RecordId,
    person: &Person,
    rng: &mut StdRng,
) -> Option<Draft> {
    let view = device.show(record).expect("is here");
    if let Some(whistle) = whistle(&view.state, record, true_ms, person, rng) {
        return Some(whistle);
    }
    let buttons = device.available(now, &view).expect("buttons");
    let total: u32 = buttons.iter().map(|it| weight(&it.word)).sum();
    if total == 0 {
        return None;
    }
    let mut roll = rng.random_range(0..total);
    let pressed = buttons.iter().find(|it| {
        let weight = weight(&it.word);
        let here = roll < weight;
        roll = roll.saturating_sub(weight);
        here
    })?;
    let (facts, body) = said(pressed, &view.state, device, record, rng)?;
    Some(Draft::on(view.state.kind(), record, body).with_facts(facts))
}

/// A secretary who has accepted a finding whistles for it, mostly.
fn whistle(
    state: &RecordState,
    record: RecordId,
    true_ms: i64,
    person: &Person,
    rng: &mut StdRng,
) -> Option<Draft> {
    let RecordState::Finding(finding) = state else {
        return None;
    };
    let blows = person.role == Role::Secretary && finding.stage == FindingStage::Accepted;
    if !blows || !finding.area().starts_with(COMMUNITY) || rng.random_bool(0.4) {
        return None;
    }
    let first = rng.random_range(0..PARTIES.len());
    let second = rng.random_range(0..PARTIES.len());
    let parties = match first == second || rng.random_bool(0.6) {
        true => vec![PARTIES[first]],
        false => vec![PARTIES[first], PARTIES[second]],
    };
    let due_ms = true_ms + rng.random_range(1..50) * HOUR_MS + rng.random_range(0..60_000);
    let order = order(COMMUNITY, vec![record], &parties, due_ms);
    let title = Value::Text("请速到场处理".to_owned());
    let facts = [(fact::TITLE.to_owned(), title)].into();
    Some(Draft::new(RecordKind::Whistle, facts, Body::Issue(order)))
}

/// A button with words.
fn said(
    pressed: &Available,
    state: &RecordState,
    device: &Device,
    record: RecordId,
    rng: &mut StdRng,
) -> Option<(Facts, Body)> {
    let text = || "说明".to_owned();
    let party = pressed.party.clone().unwrap_or_default();
    let answers = pressed.answers.unwrap_or(EnvelopeHash([0; 32]));
    let passed = rng.random_bool(0.6);
    let due_ms = match state {
        RecordState::Whistle(whistle) => {
            let directory = device.directory().expect("a directory");
            deadline::due(whistle, Some(&directory)).map_or(0, |due| due.at_ms)
        }
        RecordState::Finding(_) => 0,
    };
    let later_ms = due_ms + rng.random_range(1..30) * HOUR_MS;
    let (round, mark) = match state {
        RecordState::Whistle(it) => (
            it.escalations.last().map_or(1, |newest| newest.round),
            it.marks.last().map_or(1, |newest| newest.round),
        ),
        RecordState::Finding(_) => (1, 1),
    };
    let body = match pressed.word.as_str() {
        "correct" => {
            let (name, value) = match rng.random_bool(0.5) {
                true => (fact::TITLE, format!("更正{}", rng.random_range(0..9u32))),
                false => (fact::ADDRESS, format!("{}号", rng.random_range(0..9u32))),
            };
            let facts = [(name.to_owned(), Value::Text(value))].into();
            return Some((facts, Body::Correct));
        }
        "note" => Body::Note { text: text() },
        "self_resolve" => Body::SelfResolve { text: text() },
        "review" => Body::Review {
            passed,
            text: text(),
        },
        "accept" => Body::Accept,
        "decline" => Body::Decline { reason: text() },
        "withdraw" => Body::Withdraw { reason: text() },
        "merge" => Body::Merge {
            into: another_finding(device, record, rng)?,
        },
        "reopen" => Body::Reopen { reason: text() },
        "urge" => Body::Urge { text: text() },
        "erase" => Body::Erase {
            item: pressed.item?,
            reason: text(),
        },
        "sign" => Body::Sign { party },
        "arrive" => Body::Arrive {
            party,
            heads: rng.random_range(1..4),
            position: None,
            away: Some(text()),
        },
        "feedback" => Body::Feedback {
            party,
            text: text(),
        },
        "decline_summons" => Body::DeclineSummons {
            party,
            reason: text(),
        },
        "object" => Body::Object {
            party,
            reason: text(),
        },
        "ask_extension" => Body::AskExtension {
            party,
            until_ms: later_ms,
            reason: text(),
        },
        "ask_suspension" => Body::AskSuspension {
            party,
            review_ms: later_ms,
            reason: text(),
        },
        "rule" => Body::Rule {
            request: answers,
            granted: passed,
            until_ms: None,
            text: text(),
        },
        "resume" => Body::Resume { reason: text() },
        "recompute" => Body::Recompute {
            due_ms: later_ms,
            terms: None,
            reason: text(),
        },
        "supervise" => Body::Supervise {
            party,
            text: text(),
            reply_by_ms: later_ms,
        },
        "reply" => Body::Reply {
            supervision: answers,
            text: text(),
        },
        "verify" => Body::Verify {
            party,
            passed,
            text: text(),
        },
        "release" => Body::Release { party },
        "excuse" => Body::Excuse {
            party,
            reason: text(),
        },
        "conclude" => Body::Conclude { text: text() },
        "cancel" => Body::Cancel { reason: text() },
        "evaluate" => Body::Evaluate {
            party,
            score: rng.random_range(1..6),
            text: text(),
        },
        "ask_escalation" => Body::AskEscalation { reason: text() },
        "stand_down" => Body::StandDown {
            text: text(),
            round,
        },
        "uphold" => Body::Uphold {
            reason: text(),
            round,
        },
        "withdraw_mark" => Body::WithdrawMark {
            text: text(),
            round: mark,
        },
        "summon" => Body::Summon {
            targets: vec![summoned(state, rng)],
        },
        _ => return None,
    };
    Some((Facts::new(), body))
}

fn summoned(state: &RecordState, rng: &mut StdRng) -> Target {
    let is_street = matches!(state, RecordState::Whistle(whistle)
        if whistle.order.as_ref().is_some_and(|order| order.area.len() == 9));
    let party = match is_street {
        true => DEPARTMENTS[rng.random_range(0..DEPARTMENTS.len())],
        false => PARTIES[rng.random_range(0..PARTIES.len())],
    };
    Target {
        party: Party::parse(party).expect("a party"),
        lead: false,
        mandatory: rng.random_bool(0.8),
    }
}

fn another_finding(device: &Device, record: RecordId, rng: &mut StdRng) -> Option<RecordId> {
    let filter = shaodao_core::store::read::FindingFilter {
        limit: 10_000,
        ..Default::default()
    };
    let mut findings: Vec<_> = device.store().findings(&filter).expect("a list");
    findings.retain(|it| it.record != record && it.grid.starts_with(COMMUNITY));
    match findings.is_empty() {
        true => None,
        false => Some(findings[rng.random_range(0..findings.len())].record),
    }
}

/// Something that nobody asked whether it can be done.
pub fn blind(record: RecordId, kind: RecordKind, rng: &mut StdRng) -> Draft {
    let text = "说明".to_owned();
    let party = PARTIES[rng.random_range(0..PARTIES.len())].to_owned();
    let body = match (kind, rng.random_range(0..9u32)) {
        (RecordKind::Finding, 0) => Body::Accept,
        (RecordKind::Finding, 1) => Body::Decline { reason: text },
        (RecordKind::Finding, 2) => Body::Reopen { reason: text },
        (RecordKind::Finding, 3) => Body::Withdraw { reason: text },
        (RecordKind::Finding, 4) => Body::SelfResolve { text },
        (RecordKind::Finding, 5) => Body::Report,
        (RecordKind::Finding, 6) => Body::Number,
        (RecordKind::Finding, _) => Body::Review { passed: true, text },
        (RecordKind::Whistle, 0) => Body::Conclude { text },
        (RecordKind::Whistle, 1) => Body::Verify {
            party,
            passed: true,
            text,
        },
        (RecordKind::Whistle, 2) => Body::Feedback { party, text },
        (RecordKind::Whistle, 3) => Body::Cancel { reason: text },
        (RecordKind::Whistle, 4) => Body::Release { party },
        (RecordKind::Whistle, 5) => Body::Evaluate {
            party,
            score: 5,
            text,
        },
        (RecordKind::Whistle, 6) => Body::StandDown { text, round: 1 },
        (RecordKind::Whistle, 7) => Body::AskEscalation { reason: text },
        (RecordKind::Whistle, _) => Body::Sign { party },
    };
    Draft::on(kind, record, body)
}
