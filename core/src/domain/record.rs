//! A finding or a whistle, folded: the one shape in which phone and server,
//! screens and rights look at a record; and the one question that precedes
//! every new action, [`capture`].

use super::action::{Action, RecordKind};
use super::content;
use super::directory::{DeviceState, Directory};
use super::evidence::Attached;
use super::finding::FindingState;
use super::history::{Entry, History, Registers, Trace};
use super::ids::EnvelopeHash;
use super::reason::Reason;
use super::rights;
use super::time::Claim;
use super::whistle::WhistleState;
use crate::planted::{Part, left_out};

/// What the actions of one record amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordState {
    /// A finding.
    Finding(FindingState),
    /// A whistle.
    Whistle(Box<WhistleState>),
}

/// A new action that is not possible, naming state, action and reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action} on a record that is {state}: {reason}")]
pub struct Refused {
    /// Where the record stands, as a stable word.
    pub state: &'static str,
    /// The action's word.
    pub action: String,
    /// Why not.
    pub reason: Reason,
}

impl RecordState {
    /// A record of which nothing is known yet.
    pub fn empty(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Finding => Self::Finding(FindingState::new()),
            RecordKind::Whistle => Self::Whistle(Box::default()),
        }
    }

    /// Folds a history.
    pub fn fold(kind: RecordKind, history: &History, facts: Registers) -> Self {
        match kind {
            RecordKind::Finding => Self::Finding(FindingState::fold(history, facts)),
            RecordKind::Whistle => Self::Whistle(Box::new(WhistleState::fold(history, facts))),
        }
    }

    /// Applies one more action, by somebody who knows the whole of `history`.
    ///
    /// # Errors
    /// The reason why it has no effect.
    pub fn apply(&mut self, entry: &Entry, history: &History) -> Result<(), Reason> {
        match self {
            Self::Finding(finding) => finding.apply(entry),
            Self::Whistle(whistle) => whistle.apply(history.entries().len(), entry, history),
        }
    }

    /// Which kind of record.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Finding(_) => RecordKind::Finding,
            Self::Whistle(_) => RecordKind::Whistle,
        }
    }

    /// Where the record stands by its own actions, as a stable word.
    pub fn stage_word(&self) -> &'static str {
        match self {
            Self::Finding(finding) => finding.stage.word(),
            Self::Whistle(whistle) => whistle.stage().word(),
        }
    }

    /// Actions without effect.
    pub fn traces(&self) -> &[Trace] {
        match self {
            Self::Finding(finding) => &finding.traces,
            Self::Whistle(whistle) => &whistle.traces,
        }
    }

    /// Why an action had no effect; `None` if it had.
    pub fn trace_of(&self, hash: &EnvelopeHash) -> Option<Reason> {
        let mut traces = self.traces().iter();
        traces
            .find(|trace| trace.hash == *hash)
            .map(|trace| trace.reason)
    }

    /// The evidence, in the order of the actions that attached it.
    pub fn evidence(&self) -> &[Attached] {
        match self {
            Self::Finding(finding) => &finding.evidence,
            Self::Whistle(whistle) => &whistle.evidence,
        }
    }

    /// The facts.
    pub fn facts(&self) -> &Registers {
        match self {
            Self::Finding(finding) => &finding.facts,
            Self::Whistle(whistle) => &whistle.facts,
        }
    }
}

/// Whether an action can be taken on a record as its author knows it: it says
/// something that can be meant, its author may do it from this device, and the
/// record is in a state for it. Asked by the phone before it saves, and by the
/// server with the record as of what the author had seen.
///
/// # Errors
/// The state, the action and the reason.
pub fn capture(
    directory: &Directory,
    device: DeviceState,
    action: &Action,
    claim: Claim,
    state: &RecordState,
    history: &History,
) -> Result<(), Refused> {
    if left_out(Part::Judging) {
        return Ok(());
    }
    let is_new = history.entries().is_empty();
    let possible = content::check(action, directory)
        .and_then(|()| rights::permit(directory, device, action, state))
        .and_then(|()| content::fits(action, &claim, state, directory))
        .and_then(|()| {
            let entry = Entry {
                hash: EnvelopeHash([0; 32]),
                person: action.person.clone(),
                body: action.body.clone(),
                claim,
                received_at_ms: None,
                seen: history.newest(),
            };
            state.clone().apply(&entry, history)
        });
    possible.map_err(|reason| Refused {
        state: if is_new { "new" } else { state.stage_word() },
        action: action.body.word().to_owned(),
        reason,
    })
}
