//! What stands beside an escalation: the dispatcher's decision that it stands,
//! the district's mark, and when the phones of those who are overdue were last
//! heard of. None of them is a stage: the work on the whistle goes on.

use super::super::action::{Body, EscalationCause, Level};
use super::super::history::Entry;
use super::super::reason::Reason;
use super::WhistleState;

/// Marked for the supervision of the district (提请区级督办).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Why.
    pub cause: EscalationCause,
    /// Counts the marks of this whistle, from 1.
    pub round: u32,
    /// Server time, milliseconds.
    pub at_ms: i64,
    /// Withdrawn, and on which proof or why else.
    pub withdrawn: Option<String>,
}

impl WhistleState {
    /// The mark in force, if any.
    pub fn marked(&self) -> Option<&Mark> {
        self.marks.last().filter(|mark| mark.withdrawn.is_none())
    }

    /// What the server and the dispatcher say about escalations and marks.
    pub(super) fn mark(&mut self, entry: &Entry) -> Result<(), Reason> {
        self.must_be_open()?;
        match &entry.body {
            Body::Uphold { reason, round } => {
                let escalation = self.escalation_of(*round)?;
                if escalation.upheld.is_some() {
                    return Err(Reason::AlreadyUpheld);
                }
                escalation.upheld = Some(reason.clone());
            }
            Body::LastHeard { heard } => self.heard = heard.iter().cloned().collect(),
            Body::MarkDistrict { cause, round } => {
                if self.level() != Some(Level::Street) {
                    return Err(Reason::NotMarked);
                }
                if *round as usize != self.marks.len() + 1 || self.marked().is_some() {
                    return Err(Reason::AlreadyMarked);
                }
                self.marks.push(Mark {
                    cause: *cause,
                    round: *round,
                    at_ms: entry.claim.reading_ms(),
                    withdrawn: None,
                });
            }
            Body::WithdrawMark { text, round } => {
                let mark = self.marks.last_mut();
                mark.filter(|mark| mark.round == *round && mark.withdrawn.is_none())
                    .ok_or(Reason::NotMarked)?
                    .withdrawn = Some(text.clone());
            }
            _ => return Err(Reason::NoSuchTarget),
        }
        Ok(())
    }
}
