//! A whistle (哨令): an order that summons targets, and its closed loop
//! 吹哨 → 签收 → 报到 → 处理反馈 → 核实 → 结项 → 评价.
//!
//! The state keeps what happened, row by row; the stage of the whistle and of
//! each target are *derived* from those rows, so that no two fields can
//! disagree. Several people of one target may arrive: every row is kept, the
//! earliest counts. 事不完、人不撤: only the blower releases a target.
//!
//! Requests (退单, 延期, 挂账) and supervision (督办) are rows of their own with
//! their own outcome; what they do to the clock is [`super::deadline`]'s to say.
//!
//! Concurrent conclusion and failed verification: rework wins, whichever of
//! them the fold meets first; the conclusion becomes a trace.

use std::collections::BTreeMap;

use super::action::{BLOWER, Body, EscalationCause, Level, Order, Target, Terms};
use super::evidence::{self, Attached};
use super::history::{Entry, History, Registers, Trace};
use super::ids::{EnvelopeHash, PersonId, RecordId};
use super::reason::Reason;

mod mark;
mod request;
mod stage;
mod target;

pub use mark::Mark;
pub use request::{Ask, Request, Ruling, Supervision};
pub use stage::{TargetStage, WhistleStage};
pub use target::{Deed, EntryTime, TargetState};

/// The next level has taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// Why.
    pub cause: EscalationCause,
    /// The whistle that it opened.
    pub into: RecordId,
    /// Counts the escalations of this whistle, from 1.
    pub round: u32,
    /// Server time, milliseconds.
    pub at_ms: i64,
    /// Withdrawn, and on which proof.
    pub stood_down: Option<String>,
    /// Withdrawal proposed to the dispatcher, and on which proof.
    pub proposed: Option<String>,
    /// The dispatcher's decision that it stands, and why.
    pub upheld: Option<String>,
}

/// A due time that the blower set anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recomputed {
    /// The due time before extensions and suspensions, Unix milliseconds.
    pub due_ms: i64,
    /// What it follows from; `None` for a date set by hand.
    pub terms: Option<Terms>,
    /// Who, and why.
    pub deed: Deed,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The scored target's key, or `blower`.
    pub party: String,
    /// 1 to 5.
    pub score: u32,
    /// Who scored, and in which words.
    pub deed: Deed,
}

/// What the actions of one whistle amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhistleState {
    /// The order; `None` before it has arrived.
    pub order: Option<Order>,
    /// Who blew.
    pub blower: Option<PersonId>,
    /// Clock reading of the issue, milliseconds.
    pub issued_at_ms: i64,
    /// Targets by key.
    pub targets: BTreeMap<String, TargetState>,
    /// Failed verifications of all targets.
    pub failed_verifications: u32,
    /// The secretary's request to escalate, if made since the last one.
    pub asked: Option<String>,
    /// Escalations, oldest first.
    pub escalations: Vec<Escalation>,
    /// Opened by an escalation that was withdrawn, and on which proof.
    pub stood_down: Option<String>,
    /// Marks for the supervision of the district, oldest first.
    pub marks: Vec<Mark>,
    /// When the phones of overdue targets were last heard of, by target, server
    /// time in milliseconds; as of the newest escalation or mark.
    pub heard: BTreeMap<String, i64>,
    /// Where the conclusion stands in the history, and its text.
    concluded: Option<(usize, String)>,
    /// Why it was called off.
    pub cancelled: Option<String>,
    /// What targets asked for, oldest first.
    pub requests: Vec<Request>,
    /// Answers that superiors demanded, oldest first.
    pub supervisions: Vec<Supervision>,
    /// Reminders, oldest first.
    pub urges: Vec<Deed>,
    /// The due time that was set last, where it was recomputed.
    pub recomputed: Option<Recomputed>,
    /// Scores.
    pub evaluations: Vec<Evaluation>,
    /// What shows it, in the order in which it was attached.
    pub evidence: Vec<Attached>,
    /// The facts.
    pub facts: Registers,
    /// Actions without effect.
    pub traces: Vec<Trace>,
    /// Newest clock reading of any action, milliseconds.
    pub touched_at_ms: i64,
}

impl WhistleState {
    /// A whistle of which nothing is known yet.
    pub fn new() -> Self {
        Self {
            order: None,
            blower: None,
            issued_at_ms: 0,
            targets: BTreeMap::new(),
            failed_verifications: 0,
            asked: None,
            escalations: Vec::new(),
            stood_down: None,
            marks: Vec::new(),
            heard: BTreeMap::new(),
            concluded: None,
            cancelled: None,
            requests: Vec::new(),
            supervisions: Vec::new(),
            urges: Vec::new(),
            recomputed: None,
            evaluations: Vec::new(),
            evidence: Vec::new(),
            facts: Registers::new(),
            traces: Vec::new(),
            touched_at_ms: 0,
        }
    }

    /// Folds a history. Pure: the same history and registers, the same state.
    pub fn fold(history: &History, facts: Registers) -> Self {
        let mut state = Self::new();
        for (at, entry) in history.entries().iter().enumerate() {
            state.touched_at_ms = state.touched_at_ms.max(entry.claim.reading_ms());
            if let Err(reason) = state.apply(at, entry, history) {
                state.traces.push(Trace {
                    hash: entry.hash,
                    reason,
                });
            }
        }
        state.facts = facts;
        state
    }

    /// Where the whistle stands.
    pub fn stage(&self) -> WhistleStage {
        if self.cancelled.is_some() {
            WhistleStage::Cancelled
        } else if self.stood_down.is_some() {
            WhistleStage::StoodDown
        } else if self.concluded.is_some() && !self.evaluations.is_empty() {
            WhistleStage::Evaluated
        } else if self.concluded.is_some() {
            WhistleStage::Concluded
        } else if self.escalated().is_some() {
            WhistleStage::Escalated
        } else {
            self.progress()
        }
    }

    /// The escalation in force, if any.
    pub fn escalated(&self) -> Option<&Escalation> {
        self.escalations
            .last()
            .filter(|escalation| escalation.stood_down.is_none())
    }

    /// The text of the conclusion.
    pub fn conclusion(&self) -> Option<&str> {
        self.concluded.as_ref().map(|(_, text)| text.as_str())
    }

    /// Mandatory targets that were not excused.
    pub fn mandatory(&self) -> impl Iterator<Item = &TargetState> {
        self.targets
            .values()
            .filter(|target| target.target.mandatory && target.excused.is_none())
    }

    /// Applies the entry at position `at` of `history`.
    ///
    /// # Errors
    /// The reason why it has no effect in this state; the state is unchanged.
    pub fn apply(&mut self, at: usize, entry: &Entry, history: &History) -> Result<(), Reason> {
        if let Body::Unknown { .. } = entry.body {
            return Err(Reason::NeedsNewerApp);
        }
        if self.order.is_none() && !matches!(entry.body, Body::Issue(_)) {
            return Err(Reason::NoSuchRecord);
        }
        match &entry.body {
            Body::Issue(_) if self.order.is_some() => return Err(Reason::AlreadyExists),
            Body::Issue(order) => {
                self.blower = Some(entry.person.clone());
                self.issued_at_ms = entry.claim.reading_ms();
                self.summon(&order.targets);
                self.order = Some(order.clone());
            }
            Body::Correct | Body::Note { .. } => {}
            Body::Summon { targets } => {
                self.must_be_open()?;
                self.summon(targets);
            }
            Body::Urge { text } => {
                self.must_be_open()?;
                self.urges.push(Deed::of(entry, text));
            }
            Body::Sign { .. }
            | Body::Arrive { .. }
            | Body::DeclineSummons { .. }
            | Body::Feedback { .. } => self.answer(entry)?,
            Body::Object { .. } | Body::AskExtension { .. } | Body::AskSuspension { .. } => {
                self.ask(entry)?;
            }
            Body::Rule { .. }
            | Body::Resume { .. }
            | Body::Recompute { .. }
            | Body::Supervise { .. }
            | Body::Reply { .. } => self.rule(entry)?,
            Body::Verify {
                party,
                passed,
                text,
            } => {
                self.verify(at, entry, history, party, *passed, text)?;
            }
            Body::Release { party } => self.open_target(party)?.released = true,
            Body::Excuse { party, reason } => {
                self.open_target(party)?.excused = Some(reason.clone());
            }
            Body::Conclude { text } => {
                self.must_be_open()?;
                let done = |target: &TargetState| target.stage() >= TargetStage::Verified;
                if !self.mandatory().all(done) {
                    return Err(Reason::TargetsOpen);
                }
                self.concluded = Some((at, text.clone()));
            }
            Body::Cancel { reason } => {
                self.must_be_open()?;
                self.cancelled = Some(reason.clone());
            }
            Body::Evaluate { party, score, text } => self.evaluate(entry, party, *score, text)?,
            Body::AskEscalation { reason } => {
                self.must_be_open()?;
                if self.level() == Some(Level::Street) {
                    return Err(Reason::NoHigherLevel);
                }
                if self.escalated().is_some() {
                    return Err(Reason::AlreadyEscalated);
                }
                self.asked = Some(reason.clone());
            }
            Body::Escalate { cause, into, round } => {
                self.must_be_open()?;
                if *round as usize != self.escalations.len() + 1 || self.escalated().is_some() {
                    return Err(Reason::AlreadyEscalated);
                }
                self.asked = None;
                self.escalations.push(Escalation {
                    cause: *cause,
                    into: *into,
                    round: *round,
                    at_ms: entry.claim.reading_ms(),
                    stood_down: None,
                    proposed: None,
                    upheld: None,
                });
            }
            Body::StandDown { text, round } => self.stand_down(text, *round)?,
            Body::ProposeStandDown { text, round } => {
                self.escalation_of(*round)?.proposed = Some(text.clone());
            }
            Body::Uphold { .. }
            | Body::LastHeard { .. }
            | Body::MarkDistrict { .. }
            | Body::WithdrawMark { .. } => self.mark(entry)?,
            Body::Attach { .. } | Body::EraseEvidence { .. } => {
                evidence::apply(&mut self.evidence, entry)?;
            }
            _ => return Err(Reason::NoSuchTarget),
        }
        Ok(())
    }

    /// The due time before extensions and suspensions, and what it follows
    /// from; `None` before the order has arrived.
    pub fn terms(&self) -> Option<(i64, Option<&Terms>)> {
        let order = self.order.as_ref()?;
        Some(match &self.recomputed {
            Some(recomputed) => (recomputed.due_ms, recomputed.terms.as_ref()),
            None => (order.due_ms, order.terms.as_ref()),
        })
    }

    /// When the clock started, Unix milliseconds.
    pub fn started_at_ms(&self) -> i64 {
        let terms = self.terms().and_then(|(_, terms)| terms);
        terms.map_or(self.issued_at_ms, |terms| terms.start_ms)
    }

    /// Requests on which nobody has ruled.
    pub fn open_requests(&self) -> impl Iterator<Item = &Request> {
        self.requests
            .iter()
            .filter(|request| request.ruling.is_none())
    }

    /// Demands of superiors that nobody has answered.
    pub fn open_supervisions(&self) -> impl Iterator<Item = &Supervision> {
        self.supervisions
            .iter()
            .filter(|supervision| supervision.reply.is_none())
    }

    /// The scores of a target or of the blower; empty means not scored (未评分).
    pub fn scores(&self, party: &str) -> Vec<u32> {
        let of = |evaluation: &&Evaluation| evaluation.party == party;
        let evaluations = self.evaluations.iter().filter(of);
        evaluations.map(|evaluation| evaluation.score).collect()
    }

    /// The level that blew.
    pub fn level(&self) -> Option<Level> {
        self.order.as_ref().map(|order| order.level)
    }

    /// Whether an action had an effect.
    pub fn applied(&self, hash: &EnvelopeHash) -> bool {
        self.traces.iter().all(|trace| trace.hash != *hash)
    }

    fn progress(&self) -> WhistleStage {
        let mut mandatory = self.mandatory().peekable();
        let furthest_common = match mandatory.peek() {
            Some(_) => mandatory.map(TargetState::stage).min(),
            None => None,
        };
        match furthest_common {
            Some(stage) if stage >= TargetStage::Verified => WhistleStage::Verified,
            Some(TargetStage::FedBack) => WhistleStage::FedBack,
            _ if self
                .targets
                .values()
                .any(|target| !target.arrivals.is_empty()) =>
            {
                WhistleStage::InProgress
            }
            _ => WhistleStage::Issued,
        }
    }

    fn summon(&mut self, targets: &[Target]) {
        for target in targets {
            self.targets
                .entry(target.party.key())
                .or_insert_with(|| TargetState::new(target.clone()));
        }
    }

    /// What a target does about the order.
    fn answer(&mut self, entry: &Entry) -> Result<(), Reason> {
        let party = entry.body.party().unwrap_or_default();
        // A volunteer who comes after all is welcome.
        let comes = matches!(entry.body, Body::Arrive { .. });
        let target = match comes {
            true => self.summoned_target(party)?,
            false => self.open_target(party)?,
        };
        match &entry.body {
            Body::Sign { .. } => target.signed.push(Deed::of(entry, "")),
            Body::Arrive { heads, away, .. } => {
                let away = away.as_deref().unwrap_or_default();
                target.arrivals.push((Deed::of(entry, away), *heads));
                target.declined = None;
            }
            Body::DeclineSummons { .. } if target.target.mandatory => {
                return Err(Reason::NotVoluntary);
            }
            Body::DeclineSummons { .. } if !target.arrivals.is_empty() => {
                return Err(Reason::AlreadyArrived);
            }
            Body::DeclineSummons { reason, .. } => target.declined = Some(reason.clone()),
            Body::Feedback { .. } if target.arrivals.is_empty() => return Err(Reason::NotArrived),
            Body::Feedback { text, .. } => {
                target.feedback.push(Deed::of(entry, text));
                target.answered = true;
                target.passed = false;
            }
            _ => return Err(Reason::NoSuchTarget),
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        entry: &Entry,
        party: &str,
        score: u32,
        text: &str,
    ) -> Result<(), Reason> {
        if self.concluded.is_none() {
            return Err(Reason::NotConcluded);
        }
        if party != BLOWER && !self.targets.contains_key(party) {
            return Err(Reason::NoSuchTarget);
        }
        let same = |it: &Evaluation| it.party == party && it.deed.person == entry.person;
        if self.evaluations.iter().any(same) {
            return Err(Reason::AlreadyScored);
        }
        self.evaluations.push(Evaluation {
            party: party.to_owned(),
            score,
            deed: Deed::of(entry, text),
        });
        Ok(())
    }

    fn verify(
        &mut self,
        at: usize,
        entry: &Entry,
        history: &History,
        party: &str,
        passed: bool,
        text: &str,
    ) -> Result<(), Reason> {
        // A conclusion that did not know of this failed verification gives way.
        let overtaken = self
            .concluded
            .as_ref()
            .filter(|(concluded_at, _)| !passed && !history.knew(at, *concluded_at))
            .map(|(concluded_at, _)| *concluded_at);
        if overtaken.is_none() {
            self.must_be_open()?;
        }
        let target = self.targets.get_mut(party).ok_or(Reason::NoSuchTarget)?;
        if target.handled_by(&entry.person) {
            return Err(Reason::OwnWork);
        }
        if !target.answered {
            return Err(Reason::NotFedBack);
        }
        target.verifications.push((Deed::of(entry, text), passed));
        target.passed = passed;
        if !passed {
            target.answered = false;
            target.released = false;
            target.round += 1;
            self.failed_verifications += 1;
        }
        if let Some(conclusion) = overtaken.and_then(|at| history.entries().get(at)) {
            self.concluded = None;
            self.evaluations.clear();
            self.traces.push(Trace {
                hash: conclusion.hash,
                reason: Reason::Overtaken,
            });
        }
        Ok(())
    }

    fn stand_down(&mut self, text: &str, round: u32) -> Result<(), Reason> {
        let opened_by_escalation = self
            .order
            .as_ref()
            .is_some_and(|order| order.parent.is_some());
        if opened_by_escalation {
            self.must_be_open()?;
            self.stood_down = Some(text.to_owned());
        } else {
            self.escalation_of(round)?.stood_down = Some(text.to_owned());
        }
        Ok(())
    }

    fn escalation_of(&mut self, round: u32) -> Result<&mut Escalation, Reason> {
        self.escalations
            .last_mut()
            .filter(|escalation| escalation.round == round && escalation.stood_down.is_none())
            .ok_or(Reason::NotEscalated)
    }

    fn must_be_open(&self) -> Result<(), Reason> {
        match self.stage().is_over() {
            true => Err(Reason::Closed),
            false => Ok(()),
        }
    }

    /// A target that may still act.
    fn open_target(&mut self, party: &str) -> Result<&mut TargetState, Reason> {
        let target = self.summoned_target(party)?;
        match target.declined.is_some() {
            true => Err(Reason::Declined),
            false => Ok(target),
        }
    }

    /// A target that has not been let go.
    fn summoned_target(&mut self, party: &str) -> Result<&mut TargetState, Reason> {
        self.must_be_open()?;
        let target = self.targets.get_mut(party).ok_or(Reason::NoSuchTarget)?;
        match (&target.excused, target.released) {
            (Some(_), _) => Err(Reason::Excused),
            (None, true) => Err(Reason::Released),
            (None, false) => Ok(target),
        }
    }
}

impl Default for WhistleState {
    fn default() -> Self {
        Self::new()
    }
}
