//! Whether what went up to the street, and what came down again, follows from
//! what really happened, whoever heard of it first.

use shaodao_core::domain::action::{Body, EscalationCause, Order};
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::history::Entry;
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::{Ask, WhistleState};

use super::Simulation;
use super::invariants::Picture;
use super::ledger::{Deed, Ledger};

/// A whistle of the community, as it was ordered and as it ended.
struct Case<'a> {
    ledger: &'a Ledger,
    picture: &'a Picture,
    id: RecordId,
    order: &'a Order,
    state: &'a WhistleState,
    entries: Vec<Entry>,
    /// The due time that really counts.
    due_ms: i64,
}

/// Every whistle of the community whose due time can be told without the code
/// that is judged.
pub fn escalations_follow_from_what_happened(simulation: &mut Simulation, picture: &Picture) {
    let mut told = Vec::new();
    for (id, order) in simulation.ledger.orders() {
        let Some((document, RecordState::Whistle(state))) = picture.documents.get(&id) else {
            continue;
        };
        let Some(due_ms) = really_due(&simulation.ledger, order, state) else {
            continue;
        };
        let case = Case {
            ledger: &simulation.ledger,
            picture,
            id,
            order,
            state,
            entries: document.history().entries().to_vec(),
            due_ms,
        };
        case.nothing_goes_up_too_early();
        case.nothing_goes_up_that_was_told_in_time();
        case.nothing_stays_up_that_was_done_in_time();
        case.nothing_comes_down_that_was_late();
        case.what_nobody_answers_goes_up();
        case.it_goes_up_when_the_server_looks();
        told.extend(case.words());
    }
    for what in told {
        *simulation.tally.entry(what).or_default() += 1;
    }
}

/// The due time as ordered, moved on by the suspensions that were granted;
/// `None` where somebody set another date, or where a phone's clock leaves open
/// when a suspension began.
fn really_due(ledger: &Ledger, order: &Order, state: &WhistleState) -> Option<i64> {
    if state.recomputed.is_some() {
        return None;
    }
    let exactly = |hash: &EnvelopeHash| -> Option<i64> {
        let deed = ledger.deeds.get(hash)?;
        deed.clock_is_good.then_some(deed.true_ms)
    };
    let mut pauses = Vec::new();
    for request in &state.requests {
        let Some(ruling) = request.ruling.as_ref().filter(|ruling| ruling.granted) else {
            continue;
        };
        match request.ask {
            Ask::Extension { .. } => return None,
            Ask::Objection => {}
            Ask::Suspension { review_ms } => {
                let from_ms = exactly(&request.asked.hash)?;
                let mut to_ms = ruling.until_ms.unwrap_or(review_ms);
                if let Some(resumed) = &request.resumed {
                    to_ms = to_ms.min(exactly(&resumed.hash)?);
                }
                pauses.push((from_ms, to_ms));
            }
        }
    }
    pauses.sort_unstable();
    let mut due_ms = order.due_ms;
    let mut stood_until_ms = i64::MIN;
    for (from_ms, to_ms) in pauses {
        let from_ms = from_ms.max(stood_until_ms);
        if from_ms < due_ms && from_ms < to_ms {
            due_ms += to_ms - from_ms;
        }
        stood_until_ms = stood_until_ms.max(to_ms);
    }
    Some(due_ms)
}

impl Case<'_> {
    /// An escalation before the due time was withdrawn when that became known,
    /// or the dispatcher was asked.
    fn nothing_goes_up_too_early(&self) {
        for escalation in &self.state.escalations {
            let early =
                escalation.cause == EscalationCause::DuePassed && escalation.at_ms <= self.due_ms;
            let answered = escalation.stood_down.is_some()
                || escalation.proposed.is_some()
                || escalation.upheld.is_some()
                || self.street_is_over(escalation.into);
            assert!(
                !early || answered,
                "{} went up at {}, due {}",
                self.id,
                escalation.at_ms,
                self.due_ms
            );
        }
    }

    /// What the server has heard from everybody by the time as ordered never goes up
    /// for having missed it, not even for a moment.
    fn nothing_goes_up_that_was_told_in_time(&self) {
        let mut targets = self.state.targets.values();
        if targets.any(|target| target.excused.is_some()) {
            return;
        }
        let told = self.state.mandatory().all(|target| {
            let mut feedback = target.feedback.iter();
            feedback.any(|deed| {
                let kept = self.picture.kept.get(&deed.hash);
                kept.is_some_and(|kept| kept.received_at_ms <= self.order.due_ms)
            })
        });
        let mut escalations = self.state.escalations.iter();
        let missed = escalations.any(|it| it.cause == EscalationCause::DuePassed);
        let anybody = self.state.mandatory().next().is_some();
        assert!(
            !(told && anybody && missed),
            "{} was told in time, due {}, and went up",
            self.id,
            self.order.due_ms
        );
    }

    /// Whatever every target really did in time is not left with the street,
    /// unless the dispatcher was asked.
    fn nothing_stays_up_that_was_done_in_time(&self) {
        let Some(in_force) = self.state.escalated() else {
            return;
        };
        let missed = in_force.cause == EscalationCause::DuePassed;
        let left_alone = in_force.proposed.is_none() && in_force.upheld.is_none();
        let in_time = self.state.mandatory().all(|target| {
            let mut feedback = target.feedback.iter();
            feedback.any(|deed| self.surely_in_time(&deed.hash))
        });
        assert!(
            !(missed && left_alone && in_time) || self.street_is_over(in_force.into),
            "{} was done in time, and is left with the street",
            self.id
        );
    }

    fn surely_in_time(&self, hash: &EnvelopeHash) -> bool {
        let (Some(deed), Some(kept)) = (self.deed(hash), self.picture.kept.get(hash)) else {
            return false;
        };
        let can_be_told = deed.clock_is_good || kept.received_at_ms <= self.due_ms;
        deed.true_ms <= self.due_ms && can_be_told
    }

    /// The server withdraws nothing by itself where a target was really late.
    fn nothing_comes_down_that_was_late(&self) {
        let by_a_person = |entries: &[Entry]| {
            entries.iter().any(|entry| {
                matches!(entry.body, Body::StandDown { .. }) && !entry.person.is_server()
            })
        };
        let asked_a_person = self.state.escalations.iter().any(|escalation| {
            let street = self.picture.documents.get(&escalation.into);
            street.is_some_and(|(document, _)| by_a_person(document.history().entries()))
        });
        let mut entries = self.entries.iter();
        let by_itself = entries
            .any(|entry| matches!(entry.body, Body::StandDown { .. }) && entry.person.is_server());
        if !by_itself || asked_a_person || by_a_person(&self.entries) {
            return;
        }
        let first = self.state.escalations.first();
        let too_early = first.is_some_and(|first| first.at_ms <= self.due_ms);
        for target in &self.order.targets {
            let Some(state) = self.state.targets.get(&target.party.key()) else {
                continue;
            };
            if !state.target.mandatory || state.excused.is_some() {
                continue;
            }
            let deeds: Vec<Option<&Deed>> = state
                .feedback
                .iter()
                .map(|it| self.deed(&it.hash))
                .collect();
            let late = deeds
                .iter()
                .all(|deed| deed.is_some_and(|deed| !deed.crooked && deed.true_ms > self.due_ms));
            assert!(
                !late || too_early,
                "{} came down, and {} was late",
                self.id,
                target.party.key()
            );
        }
    }

    /// What was due long ago, and what nobody has answered, has gone up.
    fn what_nobody_answers_goes_up(&self) {
        let double =
            self.order
                .findings
                .iter()
                .any(|finding| match self.picture.documents.get(finding) {
                    Some((_, RecordState::Finding(finding))) => {
                        finding.stage == FindingStage::Merged
                    }
                    _ => true,
                });
        if self.state.stage().is_over() || double {
            return;
        }
        let mut mandatory = self.state.mandatory();
        let silent = mandatory.any(|target| target.feedback.is_empty());
        assert!(
            !silent || !self.state.escalations.is_empty(),
            "{} was due at {}, nobody answered, and it is {}",
            self.id,
            self.due_ms,
            self.state.stage().word()
        );
    }

    /// When somebody never answers, it goes up after the due time, and no later
    /// than the server first looks.
    fn it_goes_up_when_the_server_looks(&self) {
        let Some(first) = self.state.escalations.first() else {
            return;
        };
        let is_plain = first.cause == EscalationCause::DuePassed && self.state.requests.is_empty();
        let silent = self.order.targets.iter().any(|target| {
            let state = self.state.targets.get(&target.party.key());
            target.mandatory
                && state.is_some_and(|it| it.feedback.is_empty() && it.excused.is_none())
        });
        let issue = self
            .entries
            .iter()
            .find(|entry| matches!(entry.body, Body::Issue(_)));
        // What was set aside has no effect before a person releases it.
        let issue = issue.filter(|entry| !self.ledger.released.contains(&entry.hash));
        let received_ms = issue.and_then(|entry| entry.received_at_ms);
        let was_here = received_ms.is_some_and(|received_ms| received_ms <= self.due_ms);
        let mut merges = self.picture.kept.values();
        let merged = merges.any(|kept| {
            let action = &kept.sealed.envelope.action;
            let merge = matches!(action.body, Body::Merge { .. } | Body::Reopen { .. });
            merge && self.order.findings.contains(&action.record)
        });
        if !is_plain || !silent || !was_here || merged {
            return;
        }
        // A release takes the effect of an answer that its author had not seen, and
        // may arrive after the due time: until then the whistle was answered.
        let releases = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.body, Body::Release { .. }));
        let settled_ms = releases
            .filter_map(|entry| entry.received_at_ms)
            .fold(self.due_ms, i64::max);
        let mut looks = self.ledger.looks.iter().copied();
        let look_ms = looks
            .find(|look_ms| *look_ms > settled_ms)
            .unwrap_or(i64::MAX);
        assert!(
            first.at_ms > self.due_ms && first.at_ms <= look_ms,
            "{} was due at {}, the server looked at {look_ms}, and it went up at {}",
            self.id,
            self.due_ms,
            first.at_ms
        );
    }

    fn street_is_over(&self, street: RecordId) -> bool {
        match self.picture.documents.get(&street) {
            Some((_, RecordState::Whistle(street))) => street.stage().is_over(),
            _ => false,
        }
    }

    fn deed(&self, hash: &EnvelopeHash) -> Option<&Deed> {
        self.ledger.deeds.get(hash)
    }

    fn words(&self) -> Vec<String> {
        let mut words = vec!["a whistle".to_owned()];
        for escalation in &self.state.escalations {
            words.push(format!("escalated, {}", escalation.cause.code()));
            if escalation.stood_down.is_some() {
                words.push("stood down".to_owned());
            }
            if escalation.proposed.is_some() {
                words.push("proposed".to_owned());
            }
        }
        if self.due_ms != self.order.due_ms {
            words.push("suspended whistle".to_owned());
        }
        words
    }
}
