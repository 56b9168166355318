//! What happened with one summoned party, row by row; its stage is derived.

use super::super::action::Target;
use super::super::history::Entry;
use super::super::ids::{EnvelopeHash, PersonId};
use super::super::time::{Bracket, Claim, TimePolicy};
use super::stage::TargetStage;

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
    pub claim: Claim,
    /// When the server received it, if it has.
    pub received_at_ms: Option<i64>,
}

impl Deed {
    /// What an entry says of who did something, and when.
    pub(super) fn of(entry: &Entry, text: &str) -> Self {
        Self {
            hash: entry.hash,
            person: entry.person.clone(),
            text: text.to_owned(),
            entry: EntryTime {
                claim: entry.claim,
                received_at_ms: entry.received_at_ms,
            },
        }
    }

    /// The time that counts for it, Unix milliseconds.
    pub fn counts_ms(&self, policy: &TimePolicy) -> i64 {
        self.entry.bracket(policy).counts_ms
    }
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
    /// Who came, and how many heads; the text says why not at the place.
    pub arrivals: Vec<(Deed, u32)>,
    /// What they say they did, oldest first.
    pub feedback: Vec<Deed>,
    /// Verifications of the newest feedback, and earlier failed ones.
    pub verifications: Vec<(Deed, bool)>,
    /// From 1; a failed verification starts the next.
    pub round: u32,
    /// Whether the newest feedback answers the current round.
    pub(super) answered: bool,
    /// Whether the newest feedback passed verification.
    pub(super) passed: bool,
    /// Let go by the blower.
    pub released: bool,
    /// Excused by the blower, with the reason.
    pub excused: Option<String>,
    /// A volunteer's word that they will not come.
    pub declined: Option<String>,
}

impl TargetState {
    pub(super) fn new(target: Target) -> Self {
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
            declined: None,
        }
    }

    /// Where this target stands.
    pub fn stage(&self) -> TargetStage {
        if self.excused.is_some() {
            TargetStage::Excused
        } else if self.declined.is_some() {
            TargetStage::Declined
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

    /// The newest verification that failed, while its rework is awaited.
    pub fn rework(&self) -> Option<&Deed> {
        let (deed, passed) = self.verifications.last()?;
        (!passed && !self.answered).then_some(deed)
    }

    /// Head-count of all arrivals together.
    pub fn heads(&self) -> u32 {
        let heads = self.arrivals.iter().map(|(_, heads)| *heads);
        heads.fold(0, u32::saturating_add)
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
