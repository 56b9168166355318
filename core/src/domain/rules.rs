//! Which policy something runs under. A running limit keeps the policy that was
//! in force when it began, like its calendar: what an operator sets tomorrow
//! changes nothing for whoever was summoned yesterday, until a blower recomputes
//! the limit, which is an act with a reason.
//!
//! An edition of the policy is named by the edition of the directory that it
//! came with. Most editions of a directory change people and leave the policy as
//! it is, so a directory keeps each former policy once, with the last edition in
//! which it was in force.

use super::directory::{Directory, Policy};
use super::ladder::Ladder;
use super::whistle::WhistleState;

/// A policy that is not in force any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPolicy {
    /// The last edition of the directory in which it was in force.
    pub until: u64,
    /// What an operator had set.
    pub policy: Policy,
    /// Who took over from whom.
    pub ladder: Ladder,
}

/// What an operator has set, for one record.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Belief in clocks, limits, radius.
    pub policy: &'a Policy,
    /// Who takes over from whom.
    pub ladder: &'a Ladder,
}

impl Directory {
    /// The rules of an edition; those in force for a name that says nothing.
    pub fn rules(&self, edition: &str) -> Rules<'_> {
        let edition: u64 = edition.parse().unwrap_or(self.version);
        let mut past = self.past_policies.iter();
        match past.find(|past| edition <= past.until) {
            Some(PastPolicy { policy, ladder, .. }) => Rules { policy, ladder },
            None => Rules {
                policy: &self.policy,
                ladder: &self.ladder,
            },
        }
    }
}

impl WhistleState {
    /// The rules that the whistle runs under: those of its terms, or, where its
    /// date was set by hand, of the terms that it was issued with; without any,
    /// those in force.
    pub fn rules<'a>(&self, directory: &'a Directory) -> Rules<'a> {
        let terms = self.terms().and_then(|(_, terms)| terms);
        let issued = self.order.as_ref().and_then(|order| order.terms.as_ref());
        let edition = terms.or(issued).map_or("", |terms| &terms.policy);
        directory.rules(edition)
    }
}
