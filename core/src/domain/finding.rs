//! A finding (问题): what somebody found at a place.
//!
//! Its life: reported → accepted | declined | self-resolved (under review) |
//! merged | withdrawn; accepted → closed when its whistles are concluded or a
//! self-resolution passed review; whatever is over → reopened, a merge that was
//! a mistake included. The stage that people see also depends on the whistles
//! that carry it ([`stage_with`]), and on the finding that a double was merged
//! into: a double keeps its report and follows the one that stays.
//!
//! The state is folded from the actions by [`FindingState::fold`] alone; the
//! phone asks the same [`FindingState::apply`] before it offers a button.

use super::action::{Body, Value, fact};
use super::codes::CategoryCode;
use super::evidence::{self, Attached};
use super::history::{Entry, History, Register, Registers, Trace};
use super::ids::{EnvelopeHash, PersonId, RecordId};
use super::place::Position;
use super::private::{Confided, Confidences};
use super::reason::Reason;
use super::whistle::WhistleStage;

/// Longest title, characters.
pub const MAX_TITLE: usize = 120;
/// Longest text, characters.
pub const MAX_TEXT: usize = 4_000;

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingStage {
    /// 待受理
    Reported,
    /// 自处置待复核
    SelfResolved,
    /// 已受理
    Accepted,
    /// 已吹哨: a whistle carries it.
    Whistled,
    /// 已处理: every mandatory target of a whistle has fed back.
    Handled,
    /// 已核实
    Verified,
    /// 已结案
    Closed,
    /// 已退回
    Declined,
    /// 已合并
    Merged,
    /// 已撤回
    Withdrawn,
}

impl FindingStage {
    /// Every stage.
    pub const ALL: [FindingStage; 10] = [
        Self::Reported,
        Self::SelfResolved,
        Self::Accepted,
        Self::Whistled,
        Self::Handled,
        Self::Verified,
        Self::Closed,
        Self::Declined,
        Self::Merged,
        Self::Withdrawn,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::SelfResolved => "self_resolved",
            Self::Accepted => "accepted",
            Self::Whistled => "whistled",
            Self::Handled => "handled",
            Self::Verified => "verified",
            Self::Closed => "closed",
            Self::Declined => "declined",
            Self::Merged => "merged",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Reported => "待受理",
            Self::SelfResolved => "自处置待复核",
            Self::Accepted => "已受理",
            Self::Whistled => "已吹哨",
            Self::Handled => "已处理",
            Self::Verified => "已核实",
            Self::Closed => "已结案",
            Self::Declined => "已退回",
            Self::Merged => "已合并",
            Self::Withdrawn => "已撤回",
        }
    }

    /// The stage with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word() == word)
    }

    /// Nothing is expected of anybody any more.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Closed | Self::Declined | Self::Merged | Self::Withdrawn
        )
    }
}

/// What the actions of one finding amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingState {
    /// The stage by the finding's own actions; see [`stage_with`].
    pub stage: FindingStage,
    /// Who reported it; `None` before the report has arrived.
    pub reporter: Option<PersonId>,
    /// Clock reading of the report, milliseconds.
    pub reported_at_ms: i64,
    /// Clock reading of the newest reopening, milliseconds; 0 if there was
    /// none. What was concluded before it solves nothing any more.
    pub reopened_at_ms: i64,
    /// Who fixed it on the spot, if somebody did.
    pub self_resolved_by: Option<PersonId>,
    /// The finding that it was merged into.
    pub merged_into: Option<RecordId>,
    /// Personal data left beside it.
    pub confided: Confidences,
    /// What shows it, in the order in which it was attached.
    pub evidence: Vec<Attached>,
    /// How often somebody was reminded of it.
    pub urges: u32,
    /// The facts.
    pub facts: Registers,
    /// Actions without effect.
    pub traces: Vec<Trace>,
    /// Newest clock reading of any action, milliseconds.
    pub touched_at_ms: i64,
}

impl FindingState {
    /// A finding of which nothing is known yet.
    pub fn new() -> Self {
        Self {
            stage: FindingStage::Reported,
            reporter: None,
            reported_at_ms: 0,
            reopened_at_ms: 0,
            self_resolved_by: None,
            merged_into: None,
            confided: Confidences::new(),
            evidence: Vec::new(),
            urges: 0,
            facts: Registers::new(),
            traces: Vec::new(),
            touched_at_ms: 0,
        }
    }

    /// Folds a history. Pure: the same history and registers, the same state.
    pub fn fold(history: &History, facts: Registers) -> Self {
        let mut state = Self::new();
        for entry in history.entries() {
            state.touched_at_ms = state.touched_at_ms.max(entry.claim.reading_ms());
            if let Err(reason) = state.apply(entry) {
                state.traces.push(Trace {
                    hash: entry.hash,
                    reason,
                });
            }
        }
        state.facts = facts;
        state
    }

    /// Applies one action.
    ///
    /// # Errors
    /// The reason why it has no effect in this state; the state is unchanged.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Reason> {
        use FindingStage::{Accepted, Closed, Declined, Merged, Reported, SelfResolved, Withdrawn};
        if let Body::Unknown { .. } = entry.body {
            return Err(Reason::NeedsNewerApp);
        }
        if self.reporter.is_none() && entry.body != Body::Report {
            return Err(Reason::NoSuchRecord);
        }
        if self.stage == Merged && moves(&entry.body) {
            return Err(Reason::Merged);
        }
        match &entry.body {
            Body::Report if self.reporter.is_some() => return Err(Reason::AlreadyExists),
            Body::Report => {
                self.reporter = Some(entry.person.clone());
                self.reported_at_ms = entry.claim.reading_ms();
            }
            // Facts are corrected and noted upon at any time: a register
            // cannot be un-written, and a wrong address stays worth mending.
            Body::Correct | Body::Note { .. } => {}
            Body::Urge { .. } => match self.stage.is_over() {
                true => return Err(Reason::Closed),
                false => self.urges = self.urges.saturating_add(1),
            },
            Body::SelfResolve { .. } => match self.stage {
                Reported | Accepted => {
                    self.stage = SelfResolved;
                    self.self_resolved_by = Some(entry.person.clone());
                }
                SelfResolved => return Err(Reason::AlreadyDecided),
                _ => return Err(Reason::Closed),
            },
            Body::Review { passed, .. } => match self.stage {
                SelfResolved if self.self_resolved_by.as_ref() == Some(&entry.person) => {
                    return Err(Reason::OwnWork);
                }
                SelfResolved if *passed => self.stage = Closed,
                SelfResolved => {
                    self.stage = Accepted;
                    self.self_resolved_by = None;
                }
                _ => return Err(Reason::NothingToReview),
            },
            Body::Accept => match self.stage {
                Reported => self.stage = Accepted,
                Accepted | SelfResolved => return Err(Reason::AlreadyDecided),
                _ => return Err(Reason::Closed),
            },
            Body::Number => {}
            Body::Decline { .. } => match self.stage {
                Reported => self.stage = Declined,
                Accepted | SelfResolved => return Err(Reason::AlreadyDecided),
                _ => return Err(Reason::Closed),
            },
            Body::Withdraw { .. } => match self.stage {
                Reported | SelfResolved => self.stage = Withdrawn,
                Accepted => return Err(Reason::AlreadyDecided),
                _ => return Err(Reason::Closed),
            },
            Body::Merge { into } => match self.stage {
                Reported | Accepted | SelfResolved => {
                    self.stage = Merged;
                    self.merged_into = Some(*into);
                }
                _ => return Err(Reason::Closed),
            },
            Body::Reopen { .. } => match self.stage {
                // Accepted: a concluded whistle may have closed it.
                Accepted | Closed | Declined | Withdrawn | Merged => {
                    self.stage = Accepted;
                    self.self_resolved_by = None;
                    self.merged_into = None;
                    // A clock that runs ahead must not outlive later whistles.
                    let reading_ms = entry.claim.reading_ms();
                    let received_ms = entry.received_at_ms.unwrap_or(reading_ms);
                    self.reopened_at_ms = reading_ms.min(received_ms);
                }
                _ => return Err(Reason::AlreadyDecided),
            },
            Body::Confide { item, kind } => {
                if self.confided.contains_key(item) {
                    return Err(Reason::AlreadyExists);
                }
                let confided = Confided {
                    kind: *kind,
                    by: entry.person.clone(),
                    erased: None,
                };
                self.confided.insert(*item, confided);
            }
            Body::Erase { item, reason } => match self.confided.get_mut(item) {
                None => return Err(Reason::NothingConfided),
                Some(confided) if confided.erased.is_some() => return Err(Reason::Erased),
                Some(confided) => confided.erased = Some((entry.person.clone(), reason.clone())),
            },
            Body::Attach { .. } | Body::EraseEvidence { .. } => {
                evidence::apply(&mut self.evidence, entry)?;
            }
            _ => return Err(Reason::NoSuchTarget),
        }
        Ok(())
    }

    /// A text fact; empty if unset.
    pub fn text(&self, name: &str) -> &str {
        text(&self.facts, name)
    }

    /// The grid, or the area given instead of one.
    pub fn area(&self) -> &str {
        self.text(fact::GRID)
    }

    /// Severity 1 to 4; 2 if unset.
    pub fn severity(&self) -> i64 {
        match self.facts.get(fact::SEVERITY) {
            Some(Register {
                value: Value::Int(severity),
                ..
            }) => *severity,
            _ => 2,
        }
    }

    /// Names of the facts about which people disagree.
    pub fn conflicts(&self) -> Vec<&str> {
        conflicts(&self.facts)
    }

    /// Whether an action had an effect.
    pub fn applied(&self, hash: &EnvelopeHash) -> bool {
        self.traces.iter().all(|trace| trace.hash != *hash)
    }
}

impl Default for FindingState {
    fn default() -> Self {
        Self::new()
    }
}

/// The stage that people see: the finding's own, moved on by the whistles that
/// carry it. The furthest whistle counts: a problem is solved once somebody
/// has solved it, whatever else was blown for it. A whistle issued before the
/// finding was opened again no longer closes it.
pub fn stage_with(
    own: FindingStage,
    reopened_at_ms: i64,
    whistles: &[(WhistleStage, i64)],
) -> FindingStage {
    if own.is_over() || own == FindingStage::SelfResolved {
        return own;
    }
    let by_whistle = |(whistle, issued_at_ms): &(WhistleStage, i64)| match whistle {
        WhistleStage::Cancelled | WhistleStage::StoodDown => own,
        WhistleStage::Concluded | WhistleStage::Evaluated if *issued_at_ms <= reopened_at_ms => own,
        WhistleStage::Issued | WhistleStage::InProgress | WhistleStage::Escalated => {
            FindingStage::Whistled
        }
        WhistleStage::FedBack => FindingStage::Handled,
        WhistleStage::Verified => FindingStage::Verified,
        WhistleStage::Concluded | WhistleStage::Evaluated => FindingStage::Closed,
    };
    whistles.iter().map(by_whistle).fold(own, Ord::max)
}

/// Whether an action would move a finding on its own; a double is moved by the
/// finding that it was merged into.
fn moves(body: &Body) -> bool {
    matches!(
        body,
        Body::SelfResolve { .. }
            | Body::Review { .. }
            | Body::Accept
            | Body::Decline { .. }
            | Body::Withdraw { .. }
            | Body::Merge { .. }
            | Body::Urge { .. }
    )
}

/// How far back a double is looked for, milliseconds: seven days.
pub const DUPLICATE_MS: i64 = 7 * 24 * 3_600_000;

/// What is compared to tell whether two reports are of the same problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// What.
    pub category: CategoryCode,
    /// Where.
    pub position: Position,
    /// Clock reading of the report, Unix milliseconds.
    pub reported_at_ms: i64,
}

impl Sighting {
    /// Reads the columns or facts in which it is kept; `None` if one of them
    /// says nothing.
    pub fn read(category: &str, position: &str, reported_at_ms: i64) -> Option<Self> {
        Some(Self {
            category: category.parse().ok()?,
            position: position.parse().ok()?,
            reported_at_ms,
        })
    }

    /// How far an older report lies from this one, metres, if it may be of the
    /// same problem: the same category, within [`duplicate_reach_m`], at most
    /// [`DUPLICATE_MS`] apart. The phone's hint before a report and the
    /// server's candidates after it both ask here.
    pub fn doubles(&self, older: &Self) -> Option<f64> {
        let apart_ms = self.reported_at_ms.abs_diff(older.reported_at_ms);
        if self.category != older.category || apart_ms > DUPLICATE_MS.unsigned_abs() {
            return None;
        }
        let distance_m = self.position.distance_m(&older.position);
        (distance_m <= duplicate_reach_m(self.category, &self.position)).then_some(distance_m)
    }
}

/// How near another report of the same category may be the same problem,
/// metres: a component stands still (15 m), an event spreads (30 m), and no
/// position is better than twice its accuracy.
pub fn duplicate_reach_m(category: CategoryCode, position: &Position) -> f64 {
    let own: f64 = if category.event { 30.0 } else { 15.0 };
    let accuracy_m = position
        .accuracy_dm
        .map_or(0.0, |decimetres| f64::from(decimetres) / 10.0);
    own.max(2.0 * accuracy_m)
}

/// A text register; empty if unset.
pub fn text<'a>(facts: &'a Registers, name: &str) -> &'a str {
    match facts.get(name) {
        Some(Register {
            value: Value::Text(text),
            ..
        }) => text,
        _ => "",
    }
}

/// Names of the registers that hold more than one value.
pub fn conflicts(facts: &Registers) -> Vec<&str> {
    facts
        .iter()
        .filter(|(_, register)| !register.others.is_empty())
        .map(|(name, _)| name.as_str())
        .collect()
}
