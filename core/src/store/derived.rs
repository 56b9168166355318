//! Records that were derived lately, so that a screen does not derive again what
//! has not changed.
//!
//! The envelopes in the database are the record; what is kept beside them is never
//! believed. As long as nothing at all was written to the database (`Written`) it
//! is as it was; else whoever asks reads the members again, and what does not fit
//! them is derived anew ([`Document::become_of`]). So nothing here has to be told
//! of commits, replies and transactions that were rolled back.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use rusqlite::Connection;

use super::StoreError;
use crate::document::{Document, Member, WriteError};
use crate::domain::action::RecordKind;
use crate::domain::history::History;
use crate::domain::ids::RecordId;
use crate::domain::record::RecordState;

/// So many are kept: what a secretary's to-do list asks about.
const KEPT: NonZeroUsize = match NonZeroUsize::new(1_000) {
    Some(kept) => kept,
    None => NonZeroUsize::MIN,
};

/// A record, derived from its envelopes.
pub struct Derived {
    /// The document.
    pub document: Document,
    /// Its actions, arranged.
    pub history: History,
    /// What they amount to.
    pub state: RecordState,
}

impl Derived {
    /// A record without actions.
    pub fn none(kind: RecordKind, record: RecordId) -> Self {
        Self::of(Document::new(kind, record))
    }

    /// A document, folded.
    pub fn of(document: Document) -> Self {
        let history = document.history();
        let state = RecordState::fold(document.kind(), &history, document.registers());
        Self {
            document,
            history,
            state,
        }
    }
}

/// How much was written to the database, by this connection and by others: while it
/// stays the same, nothing was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    here: u64,
    elsewhere: i64,
}

impl Written {
    /// Up to now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn now(db: &Connection) -> Result<Self, StoreError> {
        let mut elsewhere = db.prepare_cached("PRAGMA data_version")?;
        Ok(Self {
            here: db.total_changes(),
            elsewhere: elsewhere.query_row([], |row| row.get(0))?,
        })
    }
}

struct Kept {
    derived: Arc<Derived>,
    /// It is of the members that were in the database then; `None` where they may
    /// not stay there.
    as_of: Option<Written>,
}

/// The records that were derived lately.
pub(super) struct Lately(Mutex<LruCache<RecordId, Kept>>);

impl Lately {
    /// None yet.
    pub fn new() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }

    /// A record that was derived when as much as this was written.
    pub fn as_of(&self, written: Written, record: RecordId) -> Option<Arc<Derived>> {
        let mut kept = self.kept();
        let kept = kept.get(&record)?;
        (kept.as_of == Some(written)).then(|| kept.derived.clone())
    }

    /// The record of these members; see [`Document::rebuild`]. `as_of` says what was
    /// written before they were read, unless that was in a transaction, which may be
    /// rolled back.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn of(
        &self,
        kind: RecordKind,
        record: RecordId,
        members: Vec<Member>,
        as_of: Option<Written>,
    ) -> Result<Arc<Derived>, WriteError> {
        let kept = self.kept().pop(&record).map(|kept| kept.derived);
        let kept = kept.filter(|kept| kept.document.kind() == kind);
        let derived = match kept {
            Some(derived) if derived.document.is_of(&members) => derived,
            kept => Arc::new(Derived::of(derive(kept, kind, record, members)?)),
        };
        self.put(derived.clone(), as_of);
        Ok(derived)
    }

    /// Keeps a record that an action was written to.
    pub fn keep(&self, derived: Derived) {
        self.put(Arc::new(derived), None);
    }

    fn put(&self, derived: Arc<Derived>, as_of: Option<Written>) {
        let record = derived.document.id();
        self.kept().put(record, Kept { derived, as_of });
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<RecordId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn derive(
    kept: Option<Arc<Derived>>,
    kind: RecordKind,
    record: RecordId,
    members: Vec<Member>,
) -> Result<Document, WriteError> {
    let document = match kept.map(Arc::try_unwrap) {
        Some(Ok(derived)) => derived.document,
        Some(Err(shared)) => shared.document.clone(),
        None => Document::new(kind, record),
    };
    Ok(document.become_of(members)?.0)
}
