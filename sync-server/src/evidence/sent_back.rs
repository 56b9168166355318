//! Pieces of actions that an administrator sent back to their author. Nobody but
//! the author may see them, and nothing will ever cite them, unless the author
//! does it again: for that they wait as long as an upload that nobody goes on
//! with. Then the server forgets that it ever knew them, key and bytes.
//!
//! What can go wrong: it is done again, or released, after all: if that comes
//! later, the author's phone is asked for key and bytes like for any new piece.

use rusqlite::params;

use shaodao_core::domain::action::Body;
use shaodao_core::domain::ids::SealedId;
use shaodao_core::domain::reason::Reason;
use shaodao_core::envelope::{self, Sealed};
use shaodao_core::sync::wire::Standing;

use crate::db::{DbError, rows};
use crate::engine::{Engine, EngineError};

impl Engine {
    /// The time that its author has begins now.
    pub(crate) fn send_evidence_back(&mut self, sealed: &Sealed) -> Result<(), EngineError> {
        let action = &sealed.envelope.action;
        let (Body::Attach { pieces }, Some(record)) =
            (&action.body, rows::record(&self.db, action.record)?)
        else {
            return Ok(());
        };
        let now_ms = self.clock.now_ms();
        for piece in pieces {
            self.db
                .prepare_cached(
                    "UPDATE evidence SET attached_at_ms = ?3
                     WHERE record = ?1 AND sealed = ?2 AND shared = 0",
                )?
                .execute(params![record, piece.sealed.0, now_ms])?;
        }
        Ok(())
    }

    /// Forgets what was sent back before `before_ms` and what no other action
    /// cites; the bytes go to the trash. Returns how many pieces.
    ///
    /// # Errors
    /// The database could not; nothing was done.
    pub fn forget_sent_back(&mut self, before_ms: i64) -> Result<usize, EngineError> {
        let old: Vec<(i64, i64, SealedId)> = {
            let mut statement = self.db.prepare_cached(
                "SELECT id, record, sealed FROM evidence
                 WHERE shared = 0 AND attached_at_ms <= ?1 ORDER BY id",
            )?;
            let rows = statement.query_map([before_ms], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2).map(SealedId)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        let mut forgotten = 0;
        for (row, record, sealed) in old {
            if self.may_still_count(record, &sealed)? {
                continue;
            }
            for sql in [
                "DELETE FROM evidence_news WHERE evidence = ?1",
                "DELETE FROM evidence WHERE id = ?1",
            ] {
                self.db.prepare_cached(sql)?.execute([row])?;
            }
            self.db
                .prepare_cached("INSERT OR IGNORE INTO evidence_trash (sealed) VALUES (?1)")?
                .execute([sealed.0])?;
            self.must_empty_log = true;
            forgotten += 1;
        }
        Ok(forgotten)
    }

    /// Whether an action on the record attaches the piece that waits, or that an
    /// administrator has not decided about.
    fn may_still_count(&self, record: i64, sealed: &SealedId) -> Result<bool, DbError> {
        let mut statement = self.db.prepare_cached(
            "SELECT bytes FROM envelope WHERE record = ?1
             AND (standing = ?2 OR standing = ?3 AND reason IS NOT ?4)",
        )?;
        let mut rows = statement.query(params![
            record,
            Standing::Waiting.code(),
            Standing::Quarantined.code(),
            Reason::Returned.code(),
        ])?;
        while let Some(row) = rows.next()? {
            let bytes: Vec<u8> = row.get(0)?;
            if let Body::Attach { pieces } = &envelope::open(&bytes)?.envelope.action.body
                && pieces.iter().any(|piece| piece.sealed == *sealed)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
