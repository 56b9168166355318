//! `shaodao-server verify`: whether everything that the server keeps is what it
//! was when it was written.
//!
//! 1. `chain` walks the feed from its first position: every verdict and every
//!    act hashes onto the one before, and the end is signed. What phones cited
//!    is looked for in it.
//! 2. `chain` then compares what no signature covers with the seals that the
//!    acts carry: devices, the server's life, keys and directory.
//! 3. `envelopes` takes every envelope apart again: hash, chain number, record,
//!    device, and what the server's own actions imply.
//! 4. `derived` makes the read model again beside the real one, from the
//!    envelopes, and compares row by row.
//! 5. `envelopes` checks every signature.
//! 6. Where it is asked for, [`crate::evidence::inspect`] reads every piece.
//!
//! All of it reads one snapshot and changes nothing; a running server goes on.
//! Who may read what (`audience`, `feed_key`) and what passes (tickets,
//! sessions, times of contact) is not covered.
//!
//! What can go wrong: a row does not fit: it is named in the [`Report`], and
//! the walk goes on from what is stored, so that one bad row is one line; the
//! file itself cannot be read: [`EngineError`].

use serde::Serialize;

use crate::engine::{Engine, EngineError};

mod chain;
//
mod envelopes;
//
mod derived;

/// What a walk through the database found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Positions of the feed walked.
    pub positions: u64,
    /// Acts among them.
    pub acts: u64,
    /// Envelopes opened.
    pub envelopes: u64,
    /// Signatures verified.
    pub signatures: u64,
    /// Records projected again.
    pub records: u64,
    /// Pieces of evidence read, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<u64>,
    /// Every row that does not fit, in the order of the walk.
    pub bad: Vec<Bad>,
    #[serde(skip)]
    first_only: bool,
}

/// A row that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// The table.
    pub table: &'static str,
    /// Which row, by what names it.
    pub row: String,
    /// What is wrong, one sentence.
    pub problem: String,
}

/// A part of the walk, for whoever waits.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Which part.
    pub part: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// Of how much.
    pub of: u64,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Name every bad row.
    Everything,
    /// Stop at the first.
    First,
}

impl Report {
    /// Nothing was found.
    pub fn is_clean(&self) -> bool {
        self.bad.is_empty()
    }

    /// Adds what was found elsewhere than in the database.
    pub(crate) fn add(&mut self, table: &'static str, row: impl ToString, problem: &str) {
        self.bad(table, row, problem);
    }

    fn bad(&mut self, table: &'static str, row: impl ToString, problem: impl Into<String>) {
        self.bad.push(Bad {
            table,
            row: row.to_string(),
            problem: problem.into(),
        });
    }

    /// Enough is known.
    fn enough(&self) -> bool {
        self.first_only && !self.bad.is_empty()
    }
}

impl Engine {
    /// Walks the whole database. See [`crate::verify`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn verify(
        &mut self,
        extent: Extent,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report, EngineError> {
        let mut report = Report {
            first_only: extent == Extent::First,
            ..Report::default()
        };
        // One snapshot, and nothing of what is tried out stays.
        self.db.execute_batch("SAVEPOINT verify")?;
        let walked = self.walk(&mut report, progress);
        self.db
            .execute_batch("ROLLBACK TO verify; RELEASE verify")?;
        walked.map(|()| report)
    }

    fn walk(
        &mut self,
        report: &mut Report,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), EngineError> {
        let walked = chain::walk(&self.db, report, progress)?;
        if report.enough() {
            return Ok(());
        }
        chain::check_seals(&self.db, &walked, report)?;
        if report.enough() {
            return Ok(());
        }
        let implied = envelopes::open_all(&self.db, &walked, report, progress)?;
        if report.enough() {
            return Ok(());
        }
        envelopes::check_waiting(&self.db, report)?;
        derived::compare(self, &implied, report, progress)?;
        if report.enough() {
            return Ok(());
        }
        envelopes::check_signatures(&self.db, report, progress)
    }
}
