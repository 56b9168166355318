//! A whistle (哨令): an order that summons targets, and its closed loop
//! 吹哨 → 签收 → 报到 → 处理反馈 → 核实 → 结项 → 评价.
//!
//! The state keeps what happened, row by row; the stage of the whistle and of
//! each target are *derived* from those rows, so that no two fields can
//! disagree. Several people of one target may arrive: every row is kept, the
//! earliest counts. 事不完、人不撤: only the blower releases a target.
//!
//! Concurrent conclusion and failed verification: rework wins, whichever of
//! them the fold meets first; the conclusion becomes a trace.

use std::collections::BTreeMap;

use super::action::{BLOWER, Body, EscalationCause, Level, Order, Target};
use super::history::{Entry, History, Registers, Trace};
use super::ids::{EnvelopeHash, PersonId, RecordId};
use super::reason::Reason;
use super::time::{Bracket, TimePolicy};

/// Where a whistle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WhistleStage {
    /// 已吹哨
    Issued,
    /// 处理中: somebody has arrived.
    InProgress,
    /// 已反馈: every mandatory target has fed back.
    FedBack,
    /// 已核实: every mandatory target's work has passed verification.
    Verified,
    /// 已升级: the next level has taken over.
    Escalated,
    /// 已结项
    Concluded,
    /// 已评价
    Evaluated,
    /// 已撤销
    Cancelled,
    /// 已解除: opened by an escalation that was withdrawn.
    StoodDown,
}

impl WhistleStage {
    /// Every stage.
    pub const ALL: [WhistleStage; 9] = [
        Self::Issued,
        Self::InProgress,
        Self::FedBack,
        Self::Verified,
        Self::Escalated,
        Self::Concluded,
        Self::Evaluated,
        Self::Cancelled,
        Self::StoodDown,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::InProgress => "in_progress",
            Self::FedBack => "fed_back",
            Self::Verified => "verified",
            Self::Escalated => "escalated",
            Self::Concluded => "concluded",
            Self::Evaluated => "evaluated",
            Self::Cancelled => "cancelled",
            Self::StoodDown => "stood_down",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Issued => "已吹哨",
            Self::InProgress => "处理中",
            Self::FedBack => "已反馈",
            Self::Verified => "已核实",
            Self::Escalated => "已升级",
            Self::Concluded => "已结项",
            Self::Evaluated => "已评价",
            Self::Cancelled => "已撤销",
            Self::StoodDown => "已解除",
        }
    }

    /// The stage with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word() == word)
    }

    /// Nothing is expected of its targets any more.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Concluded | Self::Evaluated | Self::Cancelled | Self::StoodDown
        )
    }
}

/// Where one target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetStage {
    /// 待签收
    Notified,
    /// 已签收
    Signed,
    /// 已报到
    Arrived,
    /// 返工中: a verification failed, the next feedback is awaited.
    Rework,
    /// 已反馈
    FedBack,
    /// 已核实
    Verified,
    /// 已放人
    Released,
    /// 已免责
    Excused,
}

impl TargetStage {
    /// Every stage.
    pub const ALL: [TargetStage; 8] = [
        Self::Notified,
        Self::Signed,
        Self::Arrived,
        Self::Rework,
        Self::FedBack,
        Self::Verified,
        Self::Released,
        Self::Excused,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Notified => "notified",
            Self::Signed => "signed",
            Self::Arrived => "arrived",
            Self::Rework => "rework",
            Self::FedBack => "fed_back",
            Self::Verified => "verified",
            Self::Released => "released",
            Self::Excused => "excused",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Notified => "待签收",
            Self::Signed => "已签收",
            Self::Arrived => "已报到",
            Self::Rework => "返工中",
            Self::FedBack => "已反馈",
            Self::Verified => "已核实",
            Self::Released => "已放人",
            Self::Excused => "已免责",
        }
    }

    /// The stage with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word() == word)
    }
}

/// Something somebody did for a target, with the time it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// The action.
    pub hash: EnvelopeHash,
    /// Who.
    pub person: PersonId,
    /// In words; empty where the action has none.
    pub text: String,
    /// The entry's own account of time, to be bracketed.
    pub entry: EntryTime,
}

/// What is needed to bracket an action later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryTime {
    /// What the device claims.
    pub claim: super::time::Claim,
    /// When the server received it, if it has.
    pub received_at_ms: Option<i64>,
}

impl EntryTime {
    /// When it happened, as far as anybody can tell.
    pub fn bracket(&self, policy: &TimePolicy) -> Bracket {
        Bracket::of(&self.claim, self.received_at_ms, policy)
    }
}

/// What happened with one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetState {
    /// Who was summoned, and how.
    pub target: Target,
    /// Who signed, first one first.
    pub signed: Vec<Deed>,
    /// Who came, and how many heads.
    pub arrivals: Vec<(Deed, u32)>,
    /// What they say they did, oldest first.
    pub feedback: Vec<Deed>,
    /// Verifications of the newest feedback, and earlier failed ones.
    pub verifications: Vec<(Deed, bool)>,
    /// From 1; a failed verification starts the next.
    pub round: u32,
    /// Whether the newest feedback answers the current round.
    answered: bool,
    /// Whether the newest feedback passed verification.
    passed: bool,
    /// Let go by the blower.
    pub released: bool,
    /// Excused by the blower, with the reason.
    pub excused: Option<String>,
}

impl TargetState {
    fn new(target: Target) -> Self {
        Self {
            target,
            signed: Vec::new(),
            arrivals: Vec::new(),
            feedback: Vec::new(),
            verifications: Vec::new(),
            round: 1,
            answered: false,
            passed: false,
            released: false,
            excused: None,
        }
    }

    /// Where this target stands.
    pub fn stage(&self) -> TargetStage {
        if self.excused.is_some() {
            TargetStage::Excused
        } else if self.released {
            TargetStage::Released
        } else if self.passed {
            TargetStage::Verified
        } else if self.answered {
            TargetStage::FedBack
        } else if self.round > 1 {
            TargetStage::Rework
        } else if !self.arrivals.is_empty() {
            TargetStage::Arrived
        } else if !self.signed.is_empty() {
            TargetStage::Signed
        } else {
            TargetStage::Notified
        }
    }

    /// Whether somebody had a hand in this target's work.
    pub fn handled_by(&self, person: &PersonId) -> bool {
        let mut deeds = self
            .arrivals
            .iter()
            .map(|(deed, _)| deed)
            .chain(&self.feedback);
        deeds.any(|deed| deed.person == *person)
    }
}

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
    /// Where the conclusion stands in the history, and its text.
    concluded: Option<(usize, String)>,
    /// Why it was called off.
    pub cancelled: Option<String>,
    /// Scores.
    pub evaluations: Vec<Evaluation>,
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
            concluded: None,
            cancelled: None,
            evaluations: Vec::new(),
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
            Body::Sign { party } => {
                self.open_target(party)?.signed.push(deed(entry, ""));
            }
            Body::Arrive { party, heads, .. } => {
                let arrival = (deed(entry, ""), *heads);
                self.open_target(party)?.arrivals.push(arrival);
            }
            Body::Feedback { party, text } => {
                let target = self.open_target(party)?;
                if target.arrivals.is_empty() {
                    return Err(Reason::NotArrived);
                }
                target.feedback.push(deed(entry, text));
                target.answered = true;
                target.passed = false;
            }
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
            Body::Evaluate { party, score, text } => {
                if self.concluded.is_none() {
                    return Err(Reason::NotConcluded);
                }
                if party != BLOWER && !self.targets.contains_key(party) {
                    return Err(Reason::NoSuchTarget);
                }
                self.evaluations.push(Evaluation {
                    party: party.clone(),
                    score: *score,
                    deed: deed(entry, text),
                });
            }
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
                });
            }
            Body::StandDown { text, round } => self.stand_down(text, *round)?,
            Body::ProposeStandDown { text, round } => {
                self.escalation_of(*round)?.proposed = Some(text.clone());
            }
            _ => return Err(Reason::NoSuchTarget),
        }
        Ok(())
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
        target.verifications.push((deed(entry, text), passed));
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

    fn open_target(&mut self, party: &str) -> Result<&mut TargetState, Reason> {
        self.must_be_open()?;
        let target = self.targets.get_mut(party).ok_or(Reason::NoSuchTarget)?;
        match target.released || target.excused.is_some() {
            true => Err(Reason::Released),
            false => Ok(target),
        }
    }
}

impl Default for WhistleState {
    fn default() -> Self {
        Self::new()
    }
}

fn deed(entry: &Entry, text: &str) -> Deed {
    Deed {
        hash: entry.hash,
        person: entry.person.clone(),
        text: text.to_owned(),
        entry: EntryTime {
            claim: entry.claim,
            received_at_ms: entry.received_at_ms,
        },
    }
}
