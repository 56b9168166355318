//! What must hold after healing, each by itself, held against the ledger.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;

use shaodao_core::document::{Document, Member};
use shaodao_core::domain::action::{Body, RecordKind, Value, fact};
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::finding::FindingState;
use shaodao_core::domain::history::Entry;
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::envelope::{self, Sealed};
use shaodao_core::sync::settle::Incoming;
use shaodao_core::sync::wire::Standing;
use shaodao_server::db::rows;

use super::cast::{EVERYBODY, Person, Role, speaker};
use super::crook::readable;
use super::ledger::Deed;
use super::{Simulation, escalations};
use crate::random::{causal_order, replica};

/// An envelope as the server has it.
pub struct Kept {
    /// Its verdict.
    pub standing: Standing,
    /// The reason with it.
    pub reason: Option<Reason>,
    /// When it came.
    pub received_at_ms: i64,
    /// What it says.
    pub sealed: Sealed,
}

/// What the server has in the end.
pub struct Picture {
    /// Every stored envelope.
    pub kept: BTreeMap<EnvelopeHash, Kept>,
    /// Every record that has an accepted action.
    pub documents: BTreeMap<RecordId, (Document, RecordState)>,
    /// Whose device is which.
    pub devices: BTreeMap<DeviceId, String>,
}

/// Checks everything.
///
/// # Panics
/// Something does not hold.
pub fn check(simulation: &mut Simulation) {
    let picture = picture(simulation);
    every_action_is_accounted_for(simulation, &picture);
    honest_work_is_accepted(simulation, &picture);
    refusals_are_explained(simulation, &picture);
    everybody_agrees(simulation, &picture);
    another_order_gives_the_same(simulation, &picture);
    concurrent_values_are_kept(&picture);
    nothing_closed_was_reopened(&picture);
    numbers_are_given_once(&picture);
    nobody_did_what_is_not_theirs(simulation, &picture);
    nobody_counts_who_is_shut_out(simulation, &picture);
    nobody_sees_what_is_not_theirs(simulation, &picture);
    escalations::escalations_follow_from_what_happened(simulation, &picture);
    tell(simulation, &picture);
}

fn picture(simulation: &mut Simulation) -> Picture {
    let stored = simulation.world.stored();
    let kept: BTreeMap<EnvelopeHash, Kept> = stored
        .into_iter()
        .map(|(judgement, bytes)| {
            let kept = Kept {
                standing: judgement.standing,
                reason: judgement.reason,
                received_at_ms: judgement.received_at_ms,
                sealed: envelope::open(&bytes).expect("an envelope"),
            };
            (judgement.hash, kept)
        })
        .collect();
    let records: BTreeSet<(RecordId, RecordKind)> = kept
        .values()
        .filter(|kept| kept.standing.is_shared())
        .map(|kept| {
            let action = &kept.sealed.envelope.action;
            (action.record, action.kind)
        })
        .collect();
    let documents = simulation.world.app().read(|db| {
        let mut documents = BTreeMap::new();
        for (record, kind) in records {
            let document = rows::document(db, kind, record)?;
            let state = document.fold();
            documents.insert(record, (document, state));
        }
        Ok(documents)
    });
    let devices = simulation.world.admin(|engine| Ok(engine.devices()?));
    Picture {
        kept,
        documents: documents.expect("the server's records"),
        devices: devices
            .expect("devices")
            .into_iter()
            .map(|line| (line.device, line.person.0))
            .collect(),
    }
}

/// Every action that a phone acknowledged as saved is on the server with a
/// verdict, or on a phone as one to be done again, or it went down with its
/// phone. Its author's phone says the same of it as the server.
fn every_action_is_accounted_for(simulation: &mut Simulation, picture: &Picture) {
    let mut at_hand = BTreeSet::new();
    let mut says: BTreeMap<(DeviceId, EnvelopeHash), Standing> = BTreeMap::new();
    for phone in simulation.world.people() {
        let device = &simulation.world.of(&phone).device;
        let salvaged = device.store().salvaged().expect("a list");
        at_hand.extend(salvaged.into_iter().map(|it| it.hash));
        for (record, _) in device.store().heads().expect("heads") {
            for (hash, standing, _) in device.store().account(record).expect("an account") {
                says.insert((device.id(), hash), standing);
            }
        }
    }
    let ledger = &simulation.ledger;
    for (hash, deed) in &ledger.deeds {
        let who = (&deed.phone, deed.body().word());
        let Some(kept) = picture.kept.get(hash) else {
            let device = deed.sealed.envelope.device;
            // A server whose disk died does not ask a revoked phone again.
            let shut_out = ledger.revoked.contains_key(&device);
            let elsewhere = ledger.gone.contains(hash)
                || ledger.settled.contains(hash)
                || at_hand.contains(hash)
                || (shut_out && says.contains_key(&(device, *hash)));
            assert!(elsewhere, "{who:?} {hash} was saved, and is nowhere");
            continue;
        };
        assert_ne!(
            kept.standing,
            Standing::Waiting,
            "{who:?} {hash} still waits"
        );
        let device = deed.sealed.envelope.device;
        if deed.crooked || ledger.revoked.contains_key(&device) {
            continue;
        }
        if let Some(standing) = says.get(&(device, hash.to_owned())) {
            assert_eq!(*standing, kept.standing, "{who:?} {hash}, on the phone");
        }
    }
}

/// Whatever an honest phone let its owner do counts, or came too late; unless
/// that phone was shut out or copied when it arrived, or stands on something
/// that was set aside for such a reason.
fn honest_work_is_accepted(simulation: &Simulation, picture: &Picture) {
    let ledger = &simulation.ledger;
    for (hash, deed) in ledger.deeds.iter().filter(|(_, deed)| !deed.crooked) {
        let Some(kept) = picture.kept.get(hash) else {
            continue;
        };
        if kept.standing.is_shared() || ledger.released.contains(hash) {
            continue;
        }
        let envelope = &deed.sealed.envelope;
        let (device, at_ms) = (envelope.device, kept.received_at_ms);
        // What it builds on was set aside, if only until somebody released it.
        let sand: Vec<&Deed> = ledger
            .deeds
            .values()
            .filter(|other| {
                let before = &other.sealed.envelope;
                let aside = picture.kept.get(&other.sealed.hash);
                before.device == device
                    && other.record() == deed.record()
                    && before.dev_seq <= envelope.dev_seq
                    && other.sealed.hash != *hash
                    && (aside.is_none_or(|aside| !aside.standing.is_shared())
                        || ledger.released.contains(&other.sealed.hash))
            })
            .collect();
        let begins = |it: &&Deed| matches!(it.body(), Body::Report | Body::Issue(_));
        let excused = match kept.reason {
            Some(Reason::DeviceSuspended) => ledger.was_suspended(device, at_ms),
            Some(Reason::DeviceRevoked) => ledger.was_revoked(device, at_ms),
            Some(Reason::Cloned) => ledger.copied.contains(&device),
            Some(Reason::Returned) => ledger.returned.contains(hash),
            Some(reason) if is_about_rights(reason) && ledger.was_relieved(&deed.person, at_ms) => {
                true
            }
            // Only where the very beginning is missing.
            Some(Reason::NoSuchRecord) => sand.iter().any(begins),
            _ => !sand.is_empty(),
        };
        assert!(
            excused,
            "{} of {} is {:?}, {:?}, and was possible on the phone ({hash})",
            deed.body().word(),
            deed.phone,
            kept.standing,
            kept.reason
        );
    }
}

/// Whether somebody without duties hears this.
fn is_about_rights(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotYourRole
            | Reason::NotYourArea
            | Reason::NotYours
            | Reason::NotATarget
            | Reason::NotTheBlower
    )
}

/// Whatever was not plainly accepted is on its author's phone, with a reason in
/// two languages; what was set aside is on all of them.
fn refusals_are_explained(simulation: &mut Simulation, picture: &Picture) {
    let mut explained = 0;
    for phone in simulation.world.people() {
        let device = &simulation.world.of(&phone).device;
        if device.state().expect("a state") != DeviceState::Active {
            continue;
        }
        let owner = device.owner().expect("enrolled").person.0.clone();
        let troubles = device.troubles().expect("troubles");
        let reasons: BTreeMap<EnvelopeHash, Option<Reason>> = troubles
            .iter()
            .map(|open| (open.trouble.hash, open.trouble.reason))
            .collect();
        let id = device.id();
        for (hash, deed) in &simulation.ledger.deeds {
            let Some(kept) = picture.kept.get(hash) else {
                continue;
            };
            let own = deed.sealed.envelope.device == id && !deed.crooked;
            let told = match kept.standing {
                Standing::Quarantined => deed.person == owner,
                Standing::Late => own,
                _ => false,
            };
            if !told {
                continue;
            }
            let what = (deed.body().word(), kept.standing, kept.reason);
            let reason = reasons.get(hash);
            let reason =
                reason.unwrap_or_else(|| panic!("{phone} says nothing of {what:?} {hash}"));
            readable(reason.unwrap_or_else(|| panic!("{phone} says not why: {what:?} {hash}")));
            assert_eq!(*reason, kept.reason, "{phone}: {what:?} {hash}");
            explained += 1;
        }
    }
    *simulation.tally.entry("explained".to_owned()).or_default() += explained;
}

/// Wherever a record is, it is in the same state as on the server.
fn everybody_agrees(simulation: &mut Simulation, picture: &Picture) {
    for phone in simulation.world.people() {
        let device = &simulation.world.of(&phone).device;
        if device.state().expect("a state") != DeviceState::Active {
            continue;
        }
        for (record, (_, state)) in &picture.documents {
            if device.store().kind_of(*record).expect("reads").is_none() {
                continue;
            }
            let view = device.show(*record).expect("is here");
            assert!(view.state == *state, "{phone} sees {record} otherwise");
        }
    }
}

/// A phone that hears of everything in another order comes to the same heads.
fn another_order_gives_the_same(simulation: &mut Simulation, picture: &Picture) {
    if !simulation.plan.seed.is_multiple_of(3) {
        return;
    }
    let members = |(document, _): &(Document, RecordState)| -> Vec<Member> {
        document.members().cloned().collect()
    };
    let incoming: Vec<Incoming> = picture
        .documents
        .values()
        .flat_map(members)
        .map(|member| Incoming {
            standing: picture.kept[&member.sealed.hash].standing,
            seen: Some(member.seen),
            received_at_ms: member.received_at_ms.unwrap_or_default(),
            sealed: member.sealed,
        })
        .collect();
    let rng = &mut simulation.rng;
    let order = causal_order(&incoming, rng);
    let path = simulation.world.folder().join("another order.db");
    let store = replica(&path, &order, rng);
    for (record, heads) in store.heads().expect("heads") {
        let (document, _) = &picture.documents[&record];
        assert!(heads == document.heads(), "{record}, in another order");
    }
}

/// What people wrote without knowing of each other is all there.
fn concurrent_values_are_kept(picture: &Picture) {
    for (record, (document, state)) in &picture.documents {
        let history = document.history();
        let mut writers: BTreeMap<String, Vec<(usize, EnvelopeHash)>> = BTreeMap::new();
        for (at, entry) in history.entries().iter().enumerate() {
            let member = document.member(&entry.hash).expect("a member");
            for name in member.sealed.envelope.action.facts.keys() {
                let of_name = writers.entry(name.clone()).or_default();
                of_name.push((at, entry.hash));
            }
        }
        for (name, writers) in writers {
            let wrote = |hash: &EnvelopeHash| {
                let member = document.member(hash).expect("a member");
                member.sealed.envelope.action.facts[&name].clone()
            };
            let newest: BTreeSet<Value> = writers
                .iter()
                .filter(|(at, _)| !writers.iter().any(|(later, _)| history.knew(*later, *at)))
                .map(|(_, hash)| wrote(hash))
                .collect();
            let register = state.facts().get(&name);
            let register = register.unwrap_or_else(|| panic!("{record}: {name} is gone"));
            let others = register.others.iter().map(|(value, _)| value.clone());
            let held: BTreeSet<Value> = others.chain([register.value.clone()]).collect();
            assert!(held == newest, "{record}: {name} has lost a value");
        }
    }
}

/// What was closed stays closed, unless somebody reopened it.
fn nothing_closed_was_reopened(picture: &Picture) {
    for (record, (document, state)) in &picture.documents {
        let history = document.history();
        let had_effect = |entry: &&Entry| state.trace_of(&entry.hash).is_none();
        let mut over = None;
        for entry in history.entries().iter().filter(had_effect) {
            match &entry.body {
                Body::Decline { .. }
                | Body::Withdraw { .. }
                | Body::Merge { .. }
                | Body::Cancel { .. }
                | Body::Review { passed: true, .. } => over = Some(entry.body.word().to_owned()),
                Body::Reopen { .. } => over = None,
                _ => {}
            }
        }
        let is_over = match state {
            RecordState::Finding(finding) => finding.stage.is_over(),
            RecordState::Whistle(whistle) => whistle.stage().is_over(),
        };
        if let Some(word) = over {
            assert!(
                is_over,
                "{record} was over by {word}, and is {}",
                state.stage_word()
            );
        }
    }
}

/// Every accepted finding has a number, and none has the number of another.
fn numbers_are_given_once(picture: &Picture) {
    let mut given: BTreeMap<String, RecordId> = BTreeMap::new();
    for (record, (document, state)) in &picture.documents {
        let RecordState::Finding(finding) = state else {
            continue;
        };
        let history = document.history();
        let mut entries = history.entries().iter();
        let accepted = entries
            .any(|entry| entry.body == Body::Accept && finding.trace_of(&entry.hash).is_none());
        let number = finding.text(fact::NUMBER).to_owned();
        assert!(!accepted || !number.is_empty(), "{record} has no number");
        if !number.is_empty() {
            let other = given.insert(number.clone(), *record);
            assert!(
                other.is_none(),
                "{number} was given to {record} and {other:?}"
            );
        }
        let register = finding.facts.get(fact::NUMBER);
        let others = register.map_or(0, |register| register.others.len());
        assert_eq!(others, 0, "{record} has several numbers");
    }
}

trait Traced {
    fn trace_of(&self, hash: &EnvelopeHash) -> Option<Reason>;
}

impl Traced for FindingState {
    fn trace_of(&self, hash: &EnvelopeHash) -> Option<Reason> {
        let mut traces = self.traces.iter();
        traces.find(|it| it.hash == *hash).map(|it| it.reason)
    }
}

/// What somebody can do by their role, written down here once more.
fn may(role: Role, word: &str) -> bool {
    use Role::{Crook, Dispatcher, Head, Liaison, Outsider, Post, Secretary, Station};
    let member = matches!(role, Head | Post | Crook | Outsider | Station);
    match word {
        "report" | "self_resolve" => member || matches!(role, Secretary | Dispatcher),
        "correct" | "withdraw" | "note" | "confide" | "erase" | "urge" => role != Liaison,
        "review" => matches!(role, Secretary | Dispatcher | Station),
        "accept" | "decline" | "merge" | "reopen" => matches!(role, Secretary | Dispatcher),
        "issue" | "summon" | "rule" | "resume" | "recompute" | "release" | "excuse"
        | "conclude" | "cancel" => matches!(role, Secretary | Dispatcher),
        "ask_escalation" => role == Secretary,
        "supervise" => matches!(role, Station | Dispatcher),
        "stand_down" | "uphold" | "withdraw_mark" => role == Dispatcher,
        "sign" | "arrive" | "feedback" | "decline_summons" | "object" | "ask_extension"
        | "ask_suspension" => member || matches!(role, Liaison | Secretary | Dispatcher),
        "verify" => role != Liaison && role != Outsider,
        "reply" | "evaluate" => true,
        _ => false,
    }
}

/// Everything that counts was done by somebody who may, in their own name, and
/// nobody judged their own work.
fn nobody_did_what_is_not_theirs(simulation: &Simulation, picture: &Picture) {
    let mut numbers: BTreeMap<(DeviceId, u64), EnvelopeHash> = BTreeMap::new();
    for (hash, kept) in picture
        .kept
        .iter()
        .filter(|(_, kept)| kept.standing.is_shared())
    {
        let envelope = &kept.sealed.envelope;
        let action = &envelope.action;
        let word = action.body.word();
        if !simulation.ledger.released.contains(hash) {
            let other = numbers.insert((envelope.device, envelope.dev_seq), *hash);
            assert!(
                other.is_none(),
                "{hash} and {other:?} have one chain number"
            );
        }
        let owner = picture.devices.get(&envelope.device);
        assert_eq!(
            owner,
            Some(&action.person.0),
            "{word} {hash} is in another's name"
        );
        let Some(person) = whose(&action.person) else {
            assert!(action.person.is_server(), "{word} by {}", action.person);
            continue;
        };
        assert!(may(person.role, word), "{word} by {} counts", person.id);
        if word == "report" {
            let grid = &action.facts[fact::GRID];
            let text = format!("{grid:?}");
            assert!(
                text.contains(person.grid) || wide(person),
                "{} in {text}",
                person.id
            );
        }
        judged_others_work(picture, person, kept);
    }
}

/// Somebody who may report in more than one grid.
fn wide(person: &Person) -> bool {
    matches!(
        person.role,
        Role::Station | Role::Post | Role::Secretary | Role::Dispatcher
    )
}

fn judged_others_work(picture: &Picture, person: &Person, kept: &Kept) {
    let action = &kept.sealed.envelope.action;
    let Some((document, _)) = picture.documents.get(&action.record) else {
        return;
    };
    let Body::Verify { party, .. } = &action.body else {
        return;
    };
    assert_ne!(
        speaker(party),
        Some(person.id),
        "{party} verified by themselves"
    );
    let history = document.history();
    let member = document.member(&kept.sealed.hash).expect("a member");
    let seen = history.as_of(&member.seen);
    let handled = seen.entries().iter().any(|entry| {
        let worked = matches!(entry.body, Body::Arrive { .. } | Body::Feedback { .. });
        worked && entry.body.party() == Some(party) && entry.person.0 == person.id
    });
    assert!(!handled, "{} verified what they did for {party}", person.id);
}

/// What a revoked or suspended phone sent does not count, unless a person
/// released it.
fn nobody_counts_who_is_shut_out(simulation: &Simulation, picture: &Picture) {
    let ledger = &simulation.ledger;
    for (hash, kept) in &picture.kept {
        let (device, at_ms) = (kept.sealed.envelope.device, kept.received_at_ms);
        // In the same millisecond it may have been either way.
        let shut_out =
            ledger.was_revoked(device, at_ms - 1) || ledger.surely_suspended(device, at_ms);
        let counts = kept.standing.is_shared() && !ledger.released.contains(hash);
        assert!(
            !(shut_out && counts),
            "{hash} of a phone that was shut out at {at_ms} is {:?}",
            kept.standing
        );
    }
}

/// No record is on the phone of somebody whom it does not concern.
fn nobody_sees_what_is_not_theirs(simulation: &mut Simulation, picture: &Picture) {
    for phone in simulation.world.people() {
        let device = &simulation.world.of(&phone).device;
        let owner = device.owner().expect("enrolled").person.clone();
        let person = whose(&owner).expect("one of them");
        for record in picture.documents.keys() {
            if device.store().kind_of(*record).expect("reads").is_none() {
                continue;
            }
            assert!(
                concerns(picture, person, *record),
                "{phone} has {record}, which does not concern {}",
                person.id
            );
        }
    }
}

/// Whether a record concerns somebody: it lies where they work, they had a hand
/// in it, they were summoned, or it hangs together with one like that.
fn concerns(picture: &Picture, person: &Person, record: RecordId) -> bool {
    let mut kept = picture.kept.values();
    let wrote = kept.any(|kept| {
        let action = &kept.sealed.envelope.action;
        action.record == record && action.person.0 == person.id
    });
    let Some((_, state)) = picture.documents.get(&record) else {
        return wrote;
    };
    let near = match state {
        RecordState::Finding(finding) => {
            works_in(person, finding.area())
                || whistles_of(picture, record).any(|it| is_summoned(it, person))
        }
        RecordState::Whistle(whistle) => {
            let order = whistle.order.as_ref();
            let area = order.map_or("", |order| &order.area);
            let findings = order.into_iter().flat_map(|order| &order.findings);
            let parent = order.and_then(|order| order.parent);
            works_in(person, area)
                || is_summoned(whistle, person)
                || findings
                    .clone()
                    .any(|finding| lies_near(picture, person, *finding))
                || parent.is_some_and(|parent| concerns(picture, person, parent))
        }
    };
    wrote || near
}

fn lies_near(picture: &Picture, person: &Person, finding: RecordId) -> bool {
    match picture.documents.get(&finding) {
        Some((_, RecordState::Finding(finding))) => works_in(person, finding.area()),
        _ => false,
    }
}

fn whistles_of(picture: &Picture, finding: RecordId) -> impl Iterator<Item = &WhistleState> {
    picture
        .documents
        .values()
        .filter_map(move |(_, state)| match state {
            RecordState::Whistle(whistle) => {
                let order = whistle.order.as_ref()?;
                order.findings.contains(&finding).then_some(&**whistle)
            }
            RecordState::Finding(_) => None,
        })
}

fn is_summoned(whistle: &WhistleState, person: &Person) -> bool {
    whistle
        .targets
        .keys()
        .any(|party| speaker(party) == Some(person.id))
}

fn works_in(person: &Person, area: &str) -> bool {
    let scopes: &[&str] = match person.role {
        Role::Head => &["530102001006001"],
        Role::Crook => &["530102001006002"],
        Role::Secretary | Role::Station => &["530102001006"],
        Role::Post => &[
            "530102001006001",
            "530102001006002",
            "530102001006003",
            "530102001006004",
        ],
        Role::Dispatcher => &["530102001"],
        Role::Outsider => &["530102001001001"],
        Role::Liaison => &[],
    };
    scopes.iter().any(|scope| area.starts_with(scope))
}

fn whose(person: &PersonId) -> Option<&'static Person> {
    EVERYBODY.iter().find(|it| it.id == person.0)
}

/// Counts what the seed has met, so that nobody has to believe it.
fn tell(simulation: &mut Simulation, picture: &Picture) {
    for kept in picture.kept.values() {
        let mut what = kept.standing.word().to_owned();
        if let Some(reason) = kept.reason {
            what = format!("{what}, {}", reason.code());
        }
        simulation.count(what);
    }
    for (_, state) in picture.documents.values() {
        simulation.count(format!("in the end {}", state.stage_word()));
        if !state
            .facts()
            .values()
            .all(|register| register.others.is_empty())
        {
            simulation.count("disagreement");
        }
    }
    // Chance goes on where it was: the same seed, the same end.
    let last: u32 = simulation.rng.random();
    simulation.told(format!("{last}"));
}
