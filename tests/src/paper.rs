//! A record on paper: a history in memory, for tests of the rules alone. Who
//! acts has seen all of it, or what they are said to have seen.

use shaodao_core::domain::action::{Action, Body, Facts, RecordKind};
use shaodao_core::domain::directory::{DeviceState, Directory};
use shaodao_core::domain::history::{Entry, History, Register, Registers};
use shaodao_core::domain::ids::{BootId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::record::{RecordState, Refused, capture};
use shaodao_core::domain::time::{Anchor, Claim};

/// A record on paper.
#[derive(Debug, Clone)]
pub struct Paper {
    /// Which kind of record.
    pub kind: RecordKind,
    /// Which record.
    pub record: RecordId,
    entries: Vec<Entry>,
    facts: Registers,
}

impl Paper {
    /// An empty sheet.
    pub fn new(kind: RecordKind) -> Self {
        Self {
            kind,
            record: RecordId([kind.code(); 16]),
            entries: Vec::new(),
            facts: Registers::new(),
        }
    }

    /// All that happened.
    pub fn history(&self) -> History {
        History::arrange(self.entries.clone())
    }

    /// What it amounts to.
    pub fn state(&self) -> RecordState {
        RecordState::fold(self.kind, &self.history(), self.facts.clone())
    }

    /// The entries in the order in which they were written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The facts.
    pub fn facts(&self) -> &Registers {
        &self.facts
    }

    /// Somebody who has seen everything does something at `at_ms`, if that is
    /// possible; the server has it at once.
    pub fn try_act(
        &mut self,
        directory: &Directory,
        person: &str,
        at_ms: i64,
        facts: Facts,
        body: Body,
    ) -> Result<EnvelopeHash, Refused> {
        let seen = self.history().newest();
        self.try_act_seeing(directory, person, at_ms, facts, body, &seen)
    }

    /// The same by somebody who has seen only these actions and their causes.
    pub fn try_act_seeing(
        &mut self,
        directory: &Directory,
        person: &str,
        at_ms: i64,
        facts: Facts,
        body: Body,
        seen: &[EnvelopeHash],
    ) -> Result<EnvelopeHash, Refused> {
        let history = self.history().as_of(seen);
        let state = RecordState::fold(self.kind, &history, self.facts.clone());
        let action = self.action(person, facts, body);
        let device = DeviceState::Active;
        let claim = claim(at_ms);
        capture(directory, device, &action, claim, &state, &history)?;
        let hash = self.next_hash();
        for (name, value) in action.facts {
            let register = Register {
                value,
                by: hash,
                others: Vec::new(),
            };
            self.facts.insert(name, register);
        }
        self.entries.push(Entry {
            hash,
            person: action.person,
            body: action.body,
            claim,
            received_at_ms: Some(at_ms),
            seen: seen.to_vec(),
        });
        Ok(hash)
    }

    /// Somebody does something that is possible.
    pub fn act(
        &mut self,
        directory: &Directory,
        person: &str,
        at_ms: i64,
        body: Body,
    ) -> EnvelopeHash {
        match self.try_act(directory, person, at_ms, Facts::new(), body) {
            Ok(hash) => hash,
            Err(refused) => panic!("{person}: {refused}"),
        }
    }

    /// An action on this record.
    pub fn action(&self, person: &str, facts: Facts, body: Body) -> Action {
        Action {
            kind: self.kind,
            record: self.record,
            person: PersonId::from(person),
            facts,
            body,
        }
    }

    /// Hashes look random, so that ties are broken in no order of writing.
    fn next_hash(&self) -> EnvelopeHash {
        let nth = self.entries.len() as u64 + 1;
        let mixed = nth.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&mixed.to_be_bytes());
        hash[24..].copy_from_slice(&nth.to_be_bytes());
        EnvelopeHash(hash)
    }
}

/// What a phone claims that heard the server a minute ago.
pub fn claim(at_ms: i64) -> Claim {
    Claim {
        wall_ms: at_ms,
        boot: BootId([1; 8]),
        mono_ms: 60_000,
        anchor: Some(Anchor {
            position: 1,
            server_ms: at_ms - 60_000,
            age_ms: Some(60_000),
        }),
    }
}
