//! A record as a CRDT document.
//!
//! 1. An accepted (or own, pending) envelope is *written*: [`Document::write`]
//!    derives one automerge change from it, the same on every replica.
//! 2. automerge keeps what people wrote at the same time side by side;
//!    [`Document::registers`] reads the facts with their conflicts.
//! 3. [`Document::fold`] arranges the actions and folds them into the state.
//! 4. [`rows`] turns the state into the rows that lists and searches read.
//!
//! At rest a document is its envelopes. automerge's own bytes are neither
//! stored nor sent nor loaded: deriving a change costs tens of microseconds,
//! and so its parser never meets a byte from outside.
//!
//! What can go wrong: (1) an envelope cites one that is not here yet, or the
//! record is full: [`WriteError`], and the document is as it was.

use std::collections::BTreeMap;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{
    ActorId, Automerge, AutomergeError, ChangeHash, ObjId, ROOT, ReadDoc, ScalarValue,
    Value as AmValue,
};

use crate::domain::action::{RecordKind, Value};
use crate::domain::history::{Entry, History, Register, Registers};
use crate::domain::ids::{EnvelopeHash, RecordId};
use crate::domain::reason::Reason;
use crate::domain::record::RecordState;
use crate::envelope::Sealed;
use crate::planted::{Bug, active};

pub mod rows;

/// The most actions a document may have.
pub const MAX_ACTIONS: usize = 500;

/// Before the name of a fact in the document's one map.
const FACT: &str = "fact/";
/// Under this name every change says which envelope it is: a head names the
/// envelope, and a change without facts is one all the same.
const ENVELOPE: &str = "envelope";

/// An envelope that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It belongs to another record.
    #[error("the envelope belongs to record {0}")]
    OtherRecord(RecordId),
    /// It builds on one that is not here.
    #[error("it builds on {0}, which is not here")]
    Unknown(EnvelopeHash),
    /// [`MAX_ACTIONS`] are reached.
    #[error("{}", Reason::RecordFull)]
    Full,
    /// The merge engine refused a change derived here: a defect.
    #[error("merge engine: {0}")]
    Engine(Box<AutomergeError>),
}

impl From<AutomergeError> for WriteError {
    fn from(error: AutomergeError) -> Self {
        Self::Engine(Box::new(error))
    }
}

/// An envelope as the server published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The envelope.
    pub sealed: Sealed,
    /// Its `seen`, as far as that was accepted.
    pub seen: Vec<EnvelopeHash>,
    /// When the server received it; `None` while it has not.
    pub received_at_ms: Option<i64>,
}

impl Member {
    /// An envelope of which no server has said anything yet.
    pub fn pending(sealed: Sealed) -> Self {
        Self {
            seen: sealed.envelope.seen.clone(),
            sealed,
            received_at_ms: None,
        }
    }
}

/// A record as a CRDT document. See the module for how it works.
#[derive(Clone)]
pub struct Document {
    id: RecordId,
    kind: RecordKind,
    engine: Automerge,
    members: BTreeMap<EnvelopeHash, (ChangeHash, Member)>,
}

impl Document {
    /// A document without actions.
    pub fn new(kind: RecordKind, id: RecordId) -> Self {
        Self {
            id,
            kind,
            engine: Automerge::new(),
            members: BTreeMap::new(),
        }
    }

    /// A document made of these members, given in any order; those whose
    /// causes are missing are left out and returned.
    ///
    /// # Errors
    /// As [`Document::write`], except for missing causes.
    pub fn rebuild(
        kind: RecordKind,
        id: RecordId,
        members: Vec<Member>,
    ) -> Result<(Self, Vec<Member>), WriteError> {
        Self::new(kind, id).become_of(members)
    }

    /// As [`Document::rebuild`], of what is derived here already where that is
    /// part of it: a change depends on what its author had seen and on nothing
    /// else.
    ///
    /// # Errors
    /// As [`Document::rebuild`].
    pub fn become_of(mut self, members: Vec<Member>) -> Result<(Self, Vec<Member>), WriteError> {
        let (held, mut waiting): (Vec<_>, Vec<_>) = members
            .into_iter()
            .partition(|member| self.has_derived(member));
        if held.len() < self.members.len() {
            self = Self::new(self.kind, self.id);
            waiting.extend(held);
        } else {
            for member in held {
                let hash = member.sealed.hash;
                self.members.entry(hash).and_modify(|(_, it)| *it = member);
            }
        }
        loop {
            let before = waiting.len();
            let mut still = Vec::new();
            for member in waiting {
                match member.seen.iter().all(|hash| self.holds(hash)) {
                    true => self.write(member)?,
                    false => still.push(member),
                }
            }
            if still.is_empty() || still.len() == before {
                return Ok((self, still));
            }
            waiting = still;
        }
    }

    /// Whether this document is made of these members and no others.
    pub fn is_of(&self, members: &[Member]) -> bool {
        let held = |member: &Member| {
            let held = self.members.get(&member.sealed.hash);
            held.is_some_and(|(_, held)| held == member)
        };
        self.members.len() == members.len() && members.iter().all(held)
    }

    /// Whether the change of this envelope is here, made of the same causes.
    fn has_derived(&self, member: &Member) -> bool {
        let held = self.members.get(&member.sealed.hash);
        held.is_some_and(|(_, held)| held.seen == member.seen)
    }

    /// Writes one envelope: derives its change and applies it. An envelope that
    /// is here already changes nothing but what the server says of it.
    ///
    /// # Errors
    /// See [`WriteError`]; the document is as it was.
    pub fn write(&mut self, member: Member) -> Result<(), WriteError> {
        let hash = member.sealed.hash;
        if let Some((_, held)) = self.members.get_mut(&hash) {
            held.received_at_ms = held.received_at_ms.or(member.received_at_ms);
            return Ok(());
        }
        let action = &member.sealed.envelope.action;
        if action.record != self.id || action.kind != self.kind {
            return Err(WriteError::OtherRecord(action.record));
        }
        if self.members.len() >= MAX_ACTIONS {
            return Err(WriteError::Full);
        }
        let mut causes = Vec::with_capacity(member.seen.len());
        for seen in &member.seen {
            let (change, _) = self.members.get(seen).ok_or(WriteError::Unknown(*seen))?;
            causes.push(*change);
        }
        let change = self.derive(&causes, &member)?;
        self.members.insert(hash, (change, member));
        Ok(())
    }

    /// The one change that an envelope becomes. It depends on what the author
    /// had seen and on nothing else in this document: a transaction numbers its
    /// operations after the whole document's highest one, so where more is
    /// known here, the change is made on a fork at what was seen.
    fn derive(&mut self, causes: &[ChangeHash], member: &Member) -> Result<ChangeHash, WriteError> {
        let mut heads = self.engine.get_heads();
        heads.sort_unstable();
        let mut wanted = causes.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        if heads == wanted {
            return transact(&mut self.engine, member);
        }
        let mut fork = self.engine.fork_at(&wanted)?;
        let hash = transact(&mut fork, member)?;
        let change = fork.get_last_local_change().ok_or(AutomergeError::Fail)?;
        self.engine.apply_changes([change])?;
        Ok(hash)
    }

    /// The record's id.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// The record's kind.
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Whether an envelope has been written.
    pub fn holds(&self, hash: &EnvelopeHash) -> bool {
        self.members.contains_key(hash)
    }

    /// Number of actions.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no action yet.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members by hash.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|(_, member)| member)
    }

    /// One member.
    pub fn member(&self, hash: &EnvelopeHash) -> Option<&Member> {
        self.members.get(hash).map(|(_, member)| member)
    }

    /// The heads, sorted and concatenated, 32 bytes each: equal on two replicas
    /// exactly if both hold the same actions.
    pub fn heads(&self) -> Vec<u8> {
        let mut heads = self.engine.get_heads();
        heads.sort_unstable();
        heads.iter().flat_map(|head| head.0).collect()
    }

    /// The facts with their conflicts.
    pub fn registers(&self) -> Registers {
        let mut authors: BTreeMap<[u8; 16], EnvelopeHash> = BTreeMap::new();
        authors.extend(self.members.keys().map(|hash| (hash.short(), *hash)));
        let mut registers = Registers::new();
        for key in self.engine.keys(ROOT) {
            let Some(name) = key.strip_prefix(FACT) else {
                continue;
            };
            // automerge lists a key's values with the winner last.
            let mut values: Vec<(Value, EnvelopeHash)> = self
                .engine
                .get_all(ROOT, key.as_str())
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(value, op)| Some((scalar(&value)?, author(&authors, &op)?)))
                .collect();
            let Some((value, by)) = values.pop() else {
                continue;
            };
            // Two people who wrote the same do not disagree.
            values.retain(|(other, _)| *other != value && !active(Bug::LastWriterWins));
            let register = Register {
                value,
                by,
                others: values,
            };
            registers.insert(name.to_owned(), register);
        }
        registers
    }

    /// The actions, arranged.
    pub fn history(&self) -> History {
        let entries = self.members().map(|member| {
            let envelope = &member.sealed.envelope;
            Entry {
                hash: member.sealed.hash,
                person: envelope.action.person.clone(),
                body: envelope.action.body.clone(),
                claim: envelope.claim,
                received_at_ms: member.received_at_ms,
                seen: member.seen.clone(),
            }
        });
        History::arrange(entries.collect())
    }

    /// What the actions amount to.
    pub fn fold(&self) -> RecordState {
        RecordState::fold(self.kind, &self.history(), self.registers())
    }

    /// What the actions amounted to for somebody who had seen `seen`: the same
    /// document with nothing else in it.
    ///
    /// # Errors
    /// As [`Document::write`].
    pub fn fold_as_of(&self, seen: &[EnvelopeHash]) -> Result<(RecordState, History), WriteError> {
        let history = self.history();
        let known = history.as_of(seen);
        if known.entries().len() == history.entries().len() {
            return Ok((
                RecordState::fold(self.kind, &history, self.registers()),
                history,
            ));
        }
        let members = known
            .entries()
            .iter()
            .filter_map(|entry| self.member(&entry.hash).cloned())
            .collect();
        let (past, _) = Self::rebuild(self.kind, self.id, members)?;
        Ok((past.fold(), known))
    }
}

fn transact(engine: &mut Automerge, member: &Member) -> Result<ChangeHash, WriteError> {
    let Sealed { envelope, hash, .. } = &member.sealed;
    // The author of a change is the action itself, by its hash: no two actions
    // share an author, whatever ids a hostile phone makes up.
    engine.set_actor(ActorId::from(hash.short().as_slice()));
    let mut transaction = engine.transaction();
    for (name, value) in &envelope.action.facts {
        let (name, value) = (format!("{FACT}{name}"), to_scalar(value));
        // To automerge, writing what is there already says nothing. But whoever signs
        // that it is so disagrees with whoever changes it meanwhile.
        let held = transaction.get(ROOT, name.as_str())?;
        if held.is_some_and(|(held, _)| held.as_scalar() == Some(&value)) {
            transaction.delete(ROOT, name.as_str())?;
        }
        transaction.put(ROOT, name, value)?;
    }
    transaction.put(ROOT, ENVELOPE, ScalarValue::Bytes(hash.0.to_vec()))?;
    let options = CommitOptions::default().with_time(envelope.claim.wall_ms / 1_000);
    let (change, _) = transaction.commit_with(options);
    Ok(change.ok_or(AutomergeError::Fail)?)
}

fn to_scalar(value: &Value) -> ScalarValue {
    match value {
        Value::Bool(flag) => ScalarValue::Boolean(*flag),
        Value::Int(number) => ScalarValue::Int(*number),
        Value::Text(text) => ScalarValue::Str(text.as_str().into()),
        Value::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
        // Envelopes with a list in a register do not open.
        Value::List(_) => ScalarValue::Null,
    }
}

fn scalar(value: &AmValue<'_>) -> Option<Value> {
    match value.as_scalar()? {
        ScalarValue::Boolean(flag) => Some(Value::Bool(*flag)),
        ScalarValue::Int(number) => Some(Value::Int(*number)),
        ScalarValue::Str(text) => Some(Value::Text(text.to_string())),
        ScalarValue::Bytes(bytes) => Some(Value::Bytes(bytes.clone())),
        _ => None,
    }
}

fn author(authors: &BTreeMap<[u8; 16], EnvelopeHash>, op: &ObjId) -> Option<EnvelopeHash> {
    match op {
        ObjId::Id(_, actor, _) => authors
            .get(<&[u8; 16]>::try_from(actor.to_bytes()).ok()?)
            .copied(),
        ObjId::Root => None,
    }
}
