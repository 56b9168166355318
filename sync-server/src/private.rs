//! Personal data on the server: kept beside the findings, handed to those who
//! need it, destroyed when it is erased.
//!
//! 1. [`Engine::take_private`] stores what a phone brings. Until an accepted
//!    action cites it, it goes to nobody.
//! 2. `Engine::share_private` follows a finding's state: what is cited gets
//!    the reader keys of those who need it, what is erased is destroyed.
//! 3. [`pull`] is what a phone has not got yet.
//!
//! What can go wrong: (1) a phone brings without end what no action cites: it
//! is not taken beyond `UNCLAIMED`, and stays on the phone; (2) a reader still
//! holds an old page of the write-ahead log: the log is emptied at the next
//! commit that finds it free.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use shaodao_core::domain::action::RecordKind;
use shaodao_core::domain::finding::FindingState;
use shaodao_core::domain::ids::{DeviceId, PrivateId, RecordId};
use shaodao_core::domain::private::reader_keys;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::sync::settle;
use shaodao_core::sync::wire::PrivateItem;

use crate::audience;
use crate::db::{DbError, rows};
use crate::engine::{Engine, EngineError};

/// Most pieces of one device that no accepted action cites.
const UNCLAIMED: i64 = 200;
/// Most pieces in one reply.
const PAGE: usize = 64;

impl Engine {
    /// Stores personal data that a phone brings; returns what need not be sent
    /// again.
    ///
    /// # Errors
    /// The database could not; nothing was done.
    pub fn take_private(
        &mut self,
        device: DeviceId,
        items: &[PrivateItem],
    ) -> Result<Vec<PrivateId>, EngineError> {
        let mut kept = Vec::new();
        let mut records = BTreeSet::new();
        for item in items {
            let Ok((record, sealed)) = settle::private(item) else {
                tracing::warn!(%device, "a phone brought what is no personal data");
                continue;
            };
            // It would only be destroyed again.
            if self.is_erased(record, &sealed.id)? {
                kept.push(sealed.id);
                continue;
            }
            let unclaimed: i64 = self
                .db
                .prepare_cached("SELECT COUNT(*) FROM private WHERE device = ?1 AND claimed = 0")?
                .query_row([device.0], |row| row.get(0))?;
            if unclaimed >= UNCLAIMED {
                break;
            }
            self.db
                .prepare_cached(
                    "INSERT OR IGNORE INTO private
                         (item, record, ciphertext, key, device, received_at_ms, claimed)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                )?
                .execute(params![
                    sealed.id.0,
                    record.0,
                    sealed.ciphertext,
                    &*sealed.key,
                    device.0,
                    self.clock.now_ms()
                ])?;
            kept.push(sealed.id);
            records.insert(record);
        }
        for record in records {
            if let Some(finding) = self.finding(record)? {
                self.share_private(record, &finding)?;
            }
        }
        Ok(kept)
    }

    /// Brings what is kept of a finding's personal data in line with its state.
    pub(crate) fn share_private(
        &mut self,
        record: RecordId,
        finding: &FindingState,
    ) -> Result<(), EngineError> {
        if finding.confided.is_empty() {
            return Ok(());
        }
        let whistles = audience::whistles_over(&self.db, record, finding.area())?;
        let mut states = Vec::with_capacity(whistles.len());
        for row in whistles {
            let (_, id) = rows::record_at(&self.db, row)?;
            states.extend(self.whistle(id)?);
        }
        let names = reader_keys(&self.directory, finding, &states);
        let mut keys = Vec::with_capacity(names.len());
        for name in &names {
            keys.push(self.key_id(name)?);
        }
        for (item, confided) in &finding.confided {
            if confided.erased.is_some() {
                self.destroy_private(item)?;
                continue;
            }
            let here = self
                .db
                .prepare_cached("UPDATE private SET claimed = 1 WHERE item = ?1 AND record = ?2")?
                .execute(params![item.0, record.0])?;
            if here == 0 {
                continue;
            }
            let confider = self.key_id(&audience::person_key(&confided.by))?;
            for key in keys.iter().chain([&confider]) {
                self.db
                    .prepare_cached(
                        "INSERT OR IGNORE INTO private_feed (item, key) VALUES (?1, ?2)",
                    )?
                    .execute(params![item.0, key])?;
            }
        }
        Ok(())
    }

    fn destroy_private(&mut self, item: &PrivateId) -> Result<(), EngineError> {
        self.db
            .prepare_cached("DELETE FROM private_feed WHERE item = ?1")?
            .execute([item.0])?;
        let destroyed = self
            .db
            .prepare_cached("DELETE FROM private WHERE item = ?1")?
            .execute([item.0])?;
        self.must_empty_log |= destroyed > 0;
        Ok(())
    }

    fn is_erased(&mut self, record: RecordId, item: &PrivateId) -> Result<bool, EngineError> {
        Ok(self.finding(record)?.is_some_and(|finding| {
            let confided = finding.confided.get(item);
            confided.is_some_and(|confided| confided.erased.is_some())
        }))
    }

    /// A finding's state; `None` if it is not here.
    fn finding(&mut self, id: RecordId) -> Result<Option<FindingState>, EngineError> {
        let here: Option<u8> = self
            .db
            .prepare_cached("SELECT kind FROM record WHERE record = ?1")?
            .query_row([id.0], |row| row.get(0))
            .optional()?;
        if here.and_then(RecordKind::from_code) != Some(RecordKind::Finding) {
            return Ok(None);
        }
        let kind = RecordKind::Finding;
        let state = self.state_of(kind, id)?;
        Ok(match state {
            RecordState::Finding(finding) => Some(finding),
            RecordState::Whistle(_) => None,
        })
    }

    fn whistle(&mut self, id: RecordId) -> Result<Option<WhistleState>, EngineError> {
        let kind = RecordKind::Whistle;
        let state = self.state_of(kind, id)?;
        Ok(match state {
            RecordState::Whistle(whistle) => Some(*whistle),
            RecordState::Finding(_) => None,
        })
    }
}

/// Personal data after `cursor` for these reader keys.
#[derive(Debug, Default)]
pub struct Pulled {
    /// What the phone has not got.
    pub items: Vec<PrivateItem>,
    /// The new position.
    pub cursor: u64,
    /// There is more.
    pub more: bool,
}

/// What comes after `cursor` for these reader keys.
///
/// # Errors
/// See [`DbError`].
pub fn pull(db: &Connection, keys: &BTreeSet<String>, cursor: u64) -> Result<Pulled, DbError> {
    let mut found = BTreeSet::new();
    let mut statement = db.prepare_cached(
        "SELECT private_feed.position, private_feed.item FROM audience_key
         JOIN private_feed ON private_feed.key = audience_key.id
         WHERE audience_key.name = ?1 AND private_feed.position > ?2
         ORDER BY private_feed.position LIMIT ?3",
    )?;
    for key in keys {
        let window = params![key, cursor.cast_signed(), PAGE as i64 + 1];
        let page = statement.query_map(window, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })?;
        for row in page {
            found.insert(row?);
        }
    }
    let mut pulled = Pulled {
        cursor,
        more: found.len() > PAGE,
        ..Pulled::default()
    };
    let mut sent = BTreeSet::new();
    let mut statement =
        db.prepare_cached("SELECT record, ciphertext, key FROM private WHERE item = ?1")?;
    for (position, item) in found.into_iter().take(PAGE) {
        pulled.cursor = position.cast_unsigned();
        if sent.insert(item) {
            pulled.items.push(statement.query_row([item], |row| {
                Ok(PrivateItem {
                    record: row.get(0)?,
                    ciphertext: row.get(1)?,
                    key: row.get(2)?,
                })
            })?);
        }
    }
    Ok(pulled)
}
