//! The actions of one record in the one order that every replica agrees on.
//!
//! 1. Each action names the newest actions that its author had seen.
//! 2. [`History::arrange`] puts causes before effects; among actions that knew
//!    nothing of each other the earlier reading of the clock goes first, then
//!    the smaller hash. Arrival plays no part, so every replica that holds the
//!    same actions folds them in the same order.
//! 3. The lifecycles fold that order; [`History::knew`] tells them whether two
//!    actions were concurrent.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::action::{Body, Value};
use super::ids::{EnvelopeHash, PersonId};
use super::reason::Reason;
use super::time::{Bracket, Claim, TimePolicy};

/// One action as the lifecycles see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identity.
    pub hash: EnvelopeHash,
    /// Who did it.
    pub person: PersonId,
    /// What happened.
    pub body: Body,
    /// The time it claims.
    pub claim: Claim,
    /// When the server received it; `None` while it has not.
    pub received_at_ms: Option<i64>,
    /// What of the record its author had seen, as far as it was accepted.
    pub seen: Vec<EnvelopeHash>,
}

impl Entry {
    /// When it happened, as far as anybody can tell.
    pub fn bracket(&self, policy: &TimePolicy) -> Bracket {
        Bracket::of(&self.claim, self.received_at_ms, policy)
    }
}

/// An action that had no effect: kept, shown to its author with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Which action.
    pub hash: EnvelopeHash,
    /// Why it had no effect.
    pub reason: Reason,
}

/// The value of a register, with what else was written at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The value that counts.
    pub value: Value,
    /// The action that wrote it.
    pub by: EnvelopeHash,
    /// Other values, written by people who had not seen the winner; kept
    /// until somebody who saw both corrects the fact again.
    pub others: Vec<(Value, EnvelopeHash)>,
}

/// Registers by name.
pub type Registers = BTreeMap<String, Register>;

/// The actions of one record, arranged.
#[derive(Debug, Clone, Default)]
pub struct History {
    entries: Vec<Entry>,
    /// For each entry, the positions of all that its author knew, as bits.
    known: Vec<Vec<u64>>,
}

impl History {
    /// Arranges entries given in any order. Citations of actions that are not
    /// among them count as not made.
    pub fn arrange(unordered: Vec<Entry>) -> Self {
        let at: BTreeMap<EnvelopeHash, usize> = unordered
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.hash, index))
            .collect();
        let mut open_causes = vec![0usize; unordered.len()];
        let mut effects = vec![Vec::new(); unordered.len()];
        for (index, entry) in unordered.iter().enumerate() {
            for cause in entry.seen.iter().filter_map(|hash| at.get(hash)) {
                effects[*cause].push(index);
                open_causes[index] += 1;
            }
        }
        let rank = |index: usize| {
            let entry = &unordered[index];
            Reverse((entry.claim.reading_ms(), entry.hash, index))
        };
        let mut ready: BinaryHeap<_> = (0..unordered.len())
            .filter(|index| open_causes[*index] == 0)
            .map(rank)
            .collect();
        let words = unordered.len().div_ceil(64);
        let mut order = Vec::with_capacity(unordered.len());
        let mut place = vec![0usize; unordered.len()];
        let mut known: Vec<Vec<u64>> = Vec::with_capacity(unordered.len());
        while let Some(Reverse((_, _, index))) = ready.pop() {
            let mut bits = vec![0u64; words];
            for cause in unordered[index].seen.iter().filter_map(|hash| at.get(hash)) {
                let cause = place[*cause];
                bits[cause / 64] |= 1 << (cause % 64);
                for (mine, theirs) in bits.iter_mut().zip(&known[cause]) {
                    *mine |= theirs;
                }
            }
            place[index] = order.len();
            order.push(index);
            known.push(bits);
            for effect in &effects[index] {
                open_causes[*effect] -= 1;
                if open_causes[*effect] == 0 {
                    ready.push(rank(*effect));
                }
            }
        }
        // Hashes make cycles impossible, so every entry has been placed.
        let mut unordered: Vec<Option<Entry>> = unordered.into_iter().map(Some).collect();
        let entries = order
            .into_iter()
            .filter_map(|index| unordered[index].take())
            .collect();
        Self { entries, known }
    }

    /// The entries, causes first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether the author of the entry at `later` knew the one at `earlier`.
    /// Somebody who stands after the last entry knows them all.
    pub fn knew(&self, later: usize, earlier: usize) -> bool {
        match self.known.get(later) {
            None => earlier < self.entries.len(),
            Some(bits) => bits
                .get(earlier / 64)
                .is_some_and(|word| word & (1 << (earlier % 64)) != 0),
        }
    }

    /// This history as the author of `seen` knew it: those actions and all
    /// their causes.
    pub fn as_of(&self, seen: &[EnvelopeHash]) -> Self {
        let cited: Vec<usize> = (0..self.entries.len())
            .filter(|index| seen.contains(&self.entries[*index].hash))
            .collect();
        let kept = (0..self.entries.len())
            .filter(|index| {
                cited
                    .iter()
                    .any(|cause| cause == index || self.knew(*cause, *index))
            })
            .map(|index| self.entries[index].clone())
            .collect();
        Self::arrange(kept)
    }

    /// The newest entries: those that nobody in this history has seen.
    pub fn newest(&self) -> Vec<EnvelopeHash> {
        let mut newest: Vec<_> = (0..self.entries.len())
            .filter(|earlier| (0..self.entries.len()).all(|later| !self.knew(later, *earlier)))
            .map(|index| self.entries[index].hash)
            .collect();
        newest.sort_unstable();
        newest
    }
}
