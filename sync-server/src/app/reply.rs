//! What a phone is answered: verdicts, what it has not got, and what the server
//! stands for. One snapshot for all of it; nothing is judged here.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use shaodao_core::domain;
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::{EnvelopeHash, HeadMark, RecordId};
use shaodao_core::sync::wire::{FeedHead, Judgement, SyncReply, SyncRequest, Unreadable};

use super::{Answering, App};
use crate::audit::{self, Citation};
use crate::db::DbError;
use crate::engine::Caller;
use crate::evidence::catalogue;
use crate::{directory, feed, keys, private};

/// A phone's digest is compared once in so long, milliseconds.
const CHECK_EVERY_MS: i64 = 3_600_000;

impl App {
    pub(super) fn reply(
        &self,
        answering: &Answering,
        request: &SyncRequest,
        verdicts: Vec<Judgement>,
        unreadable: Vec<Unreadable>,
    ) -> Result<SyncReply, DbError> {
        let Answering {
            caller,
            directory,
            keys,
            audience,
        } = answering;
        let now_ms = self.believed_ms();
        if caller.state != DeviceState::Active {
            // It may hand in, and hears what became of that; nothing else.
            return Ok(SyncReply {
                epoch: request.epoch.clone(),
                server_ms: now_ms,
                verdicts: verdicts.iter().map(Judgement::to_wire).collect(),
                cursor: request.cursor,
                audience: request.audience.clone(),
                unreadable,
                device: Some(caller.state.code()),
                private_cursor: request.private_cursor,
                ..SyncReply::default()
            });
        }
        let just_sent: BTreeSet<EnvelopeHash> =
            verdicts.iter().map(|verdict| verdict.hash).collect();
        let another_life = !request.epoch.is_empty() && request.epoch != self.epoch;
        // Whoever sees something else than before starts over; so does whoever
        // comes from another life of this server.
        let changed = !request.audience.is_empty() && request.audience != audience;
        let cursor = match another_life || changed {
            true => 0,
            false => request.cursor,
        };
        self.read(|db| {
            // One snapshot for all of the reply.
            let snapshot = db.unchecked_transaction()?;
            let start_over =
                cursor > 0 && self.differs(&snapshot, caller, request, keys, now_ms)?;
            let cursor = if start_over { 0 } else { cursor };
            let budget = usize::try_from(request.budget)
                .unwrap_or(usize::MAX)
                .min(2 << 20);
            let readers = domain::private::keys_of(directory, &caller.person);
            let private_cursor = match another_life || changed {
                true => 0,
                false => request.private_cursor,
            };
            let private = private::pull(&snapshot, &readers, private_cursor)?;
            let news_cursor = match another_life || changed {
                true => 0,
                false => request.evidence_cursor.unwrap_or(0),
            };
            let news = catalogue::news(&snapshot, caller, keys, news_cursor)?;
            let pulled = feed::pull(
                &snapshot,
                &self.receipts,
                keys,
                caller,
                cursor,
                budget,
                &just_sent,
            )?;
            let edition = match request.directory == directory.version {
                true => Vec::new(),
                false => directory::newer_than(&snapshot, &directory.street, request.directory)?,
            };
            let key_changes = match edition.is_empty() {
                true => Vec::new(),
                false => keys::changes_since(&snapshot, request.directory)?,
            };
            let drops = match changed {
                true => lost(&snapshot, &request.audience, keys)?,
                false => Vec::new(),
            };
            self.metrics
                .feed_head
                .set(feed::head(&snapshot)?.cast_signed());
            let all = verdicts.iter().chain(&pulled.verdicts);
            let verdicts = all.map(|judgement| {
                let mut verdict = judgement.to_wire();
                self.receipts.tag_verdict(&judgement.hash, &mut verdict);
                verdict
            });
            Ok(SyncReply {
                epoch: self.epoch.clone(),
                server_ms: now_ms,
                verdicts: verdicts.collect(),
                items: pulled.items,
                cursor: pulled.cursor,
                more: pulled.more || private.more || news.more,
                directory: (!edition.is_empty()).then(|| edition.into()),
                // The reply itself begins at 0 already; the phone keeps the
                // cursor that it ends with.
                start_over: false,
                drops: drops.iter().map(|id| id.0.to_vec().into()).collect(),
                audience: audience.to_vec(),
                unreadable,
                private: private.items,
                private_cursor: private.cursor,
                private_kept: Vec::new(),
                evidence: (!news.items.is_empty()).then_some(news.items),
                evidence_cursor: (Some(news.cursor) != request.evidence_cursor)
                    .then_some(news.cursor),
                evidence_kept: None,
                device: None,
                key_changes: (!key_changes.is_empty()).then_some(key_changes),
                notices: (!pulled.notices.is_empty()).then_some(pulled.notices),
                head: self.head_for(&snapshot, caller, request)?,
            })
        })
    }

    /// The newest signed head, unless it is the one that the phone cites. A
    /// citation that is not in the chain is written down.
    fn head_for(
        &self,
        db: &Connection,
        caller: &Caller,
        request: &SyncRequest,
    ) -> Result<Option<FeedHead>, DbError> {
        let cited = request
            .head
            .as_ref()
            .filter(|_| request.epoch == self.epoch);
        let cited = cited.and_then(|cited| {
            let mark = HeadMark::from_slice(&cited.mark)?;
            Some((cited.position, mark))
        });
        let newest = audit::signed(db)?;
        if newest.map(|newest| (newest.head.position, newest.head.mark())) == cited {
            return Ok(None);
        }
        if let Some((position, mark)) = cited {
            // Of this very life, so no restored backup explains it.
            if audit::citation(db, position, mark, i64::MAX)? == Citation::Contradicts {
                self.metrics.contradictions.inc();
                let app = self.writer.clone();
                let device = caller.device;
                tokio::runtime::Handle::current().spawn(async move {
                    // The phone cites it again: a lost note is made next time.
                    let _ = app
                        .submit(move |engine| engine.contradicted(device, position, mark))
                        .await;
                });
            }
        }
        Ok(newest.map(|newest| newest.to_wire()))
    }

    /// Whether phone and server hold different things up to the phone's
    /// cursor; looked at once in [`CHECK_EVERY_MS`].
    fn differs(
        &self,
        db: &Connection,
        caller: &Caller,
        request: &SyncRequest,
        keys: &[String],
        now_ms: i64,
    ) -> Result<bool, DbError> {
        let checked: Option<i64> = db.query_row(
            "SELECT checked_ms FROM device WHERE device = ?1",
            [caller.device.0],
            |row| row.get(0),
        )?;
        // What is being pushed is not in the phone's count yet.
        let quiet = request.push.is_empty();
        if !quiet || checked.is_some_and(|checked| now_ms - checked < CHECK_EVERY_MS) {
            return Ok(false);
        }
        let (count, digest) = feed::census(db, keys, request.cursor)?;
        let app = self.writer.clone();
        let device = caller.device;
        tokio::runtime::Handle::current().spawn(async move {
            // Only a note for the next time; a lost one costs one more check.
            let _ = app
                .submit(move |engine| {
                    engine.db.execute(
                        "UPDATE device SET checked_ms = ?2 WHERE device = ?1",
                        rusqlite::params![device.0, now_ms],
                    )?;
                    Ok(())
                })
                .await;
        });
        let same = count == request.count && digest.as_slice() == request.digest;
        if !same {
            tracing::warn!(device = %caller.device, count, theirs = request.count, "digests differ");
        }
        Ok(!same)
    }
}

/// Records that whoever had the audience of this digest does not see any more.
fn lost(db: &Connection, digest: &[u8], keys: &[String]) -> Result<Vec<RecordId>, DbError> {
    let mut statement = db.prepare_cached("SELECT keys FROM audience_set WHERE digest = ?1")?;
    let before: Option<String> = statement.query_row([digest], |row| row.get(0)).optional()?;
    let before = before.unwrap_or_default();
    let lost: Vec<&str> = before
        .lines()
        .filter(|key| !keys.iter().any(|kept| kept == key))
        .collect();
    feed::lost_records(db, &lost, keys)
}
