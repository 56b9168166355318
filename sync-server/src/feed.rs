//! The feed: what was accepted, in commit order, each piece for the audiences
//! that it is meant for.
//!
//! 1. An accepted envelope takes the next position; there is one writer, and
//!    the row is part of the same transaction, so positions have no gaps and are
//!    in commit order.
//! 2. A record's audience follows from where it is, who reported or blew it,
//!    and whom its whistles summon. It only grows.
//! 3. A record that becomes visible to somebody later joins the feed again, for
//!    them, with its whole history.
//! 4. A phone pulls the positions after its cursor that are meant for it.
//! 5. What was set aside is published to its author's own phones only, so that
//!    its author hears of it on every one of them.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use shaodao_core::domain::action::Party;
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::envelope::Sealed;
use shaodao_core::sync::wire::{Item, Judgement, Notice, hashes_to_wire};

use crate::audit;
use crate::db::{DbError, rows};
use crate::devices;
use crate::engine::{Caller, Engine, EngineError};
use crate::receipt::Receipts;

/// Positions looked at for one reply, per audience key.
const PAGE: usize = 4_096;

/// What a reply carries of the feed.
#[derive(Debug, Default)]
pub struct Pulled {
    /// Envelopes that the phone has not got.
    pub items: Vec<Item>,
    /// Verdicts about envelopes of its own.
    pub verdicts: Vec<Judgement>,
    /// What was set aside of the same person's other phones.
    pub notices: Vec<Notice>,
    /// The new cursor.
    pub cursor: u64,
    /// There is more.
    pub more: bool,
}

impl Engine {
    /// The newest position.
    pub(crate) fn feed_head(&self) -> Result<u64, EngineError> {
        Ok(head(&self.db)?)
    }

    /// A time at which a position was surely not published before: the receipt
    /// of what stands there. `None` if nothing does.
    pub(crate) fn published_at_ms(&self, position: u64) -> Result<Option<i64>, EngineError> {
        let mut statement = self.db.prepare_cached(
            "SELECT envelope.received_at_ms FROM feed
             JOIN envelope ON envelope.id = feed.envelope WHERE feed.position = ?1",
        )?;
        let received_at_ms = statement
            .query_row([position.cast_signed()], |row| row.get(0))
            .optional()?;
        Ok(received_at_ms)
    }

    /// Publishes an accepted envelope to the audience of its record, and the
    /// record's history to whoever has just become part of that audience.
    pub(crate) fn publish(
        &mut self,
        record: i64,
        envelope: i64,
        state: &RecordState,
    ) -> Result<(), EngineError> {
        let linked = self.widen(record, state)?;
        let audience = self.audience(record)?;
        self.append(envelope, &audience)?;
        for record in linked {
            self.widen_linked(record)?;
        }
        Ok(())
    }

    /// Tells the author of an envelope that its verdict has changed.
    pub(crate) fn tell_author(
        &mut self,
        envelope: i64,
        sealed: &Sealed,
    ) -> Result<(), EngineError> {
        let key = self.key_id(&device_key(sealed.envelope.device))?;
        self.append(envelope, &[key].into())
    }

    /// Publishes an envelope to the phones of one person only.
    pub(crate) fn append_for_person(
        &mut self,
        envelope: i64,
        person: &PersonId,
    ) -> Result<(), EngineError> {
        let key = self.key_id(&person_key(person))?;
        self.append(envelope, &[key].into())
    }

    /// Adds the keys that follow from a record's state; returns the records
    /// whose audience depends on this one's.
    fn widen(&mut self, record: i64, state: &RecordState) -> Result<Vec<i64>, EngineError> {
        let (_, id) = rows::record_at(&self.db, record)?;
        let mut keys = BTreeSet::new();
        let mut linked = Vec::new();
        match state {
            RecordState::Finding(finding) => {
                keys.extend(self.directory.keys_around(finding.area()));
                keys.extend(finding.reporter.as_ref().map(person_key));
                let whistles = self.whistles_of(id)?;
                self.share_private(id, finding, &whistles)?;
                for whistle in whistles {
                    keys.extend(self.targets_of(whistle)?);
                    linked.push(whistle);
                }
            }
            RecordState::Whistle(whistle) => {
                keys.extend(whistle.targets.keys().cloned());
                keys.extend(
                    whistle
                        .blower
                        .as_ref()
                        .filter(|person| !person.is_server())
                        .map(person_key),
                );
                if let Some(order) = &whistle.order {
                    keys.extend(self.directory.keys_around(&order.area));
                    for finding in &order.findings {
                        keys.extend(self.keys_of_finding(*finding)?);
                        linked.extend(rows::record(&self.db, *finding)?);
                    }
                    // The level below keeps reading.
                    let parent = order.parent.map(|parent| rows::record(&self.db, parent));
                    if let Some(parent) = parent.transpose()?.flatten() {
                        keys.extend(self.key_names(parent)?);
                    }
                }
            }
        }
        self.add_keys(record, keys)?;
        Ok(linked)
    }

    /// Widens a record because a linked one has changed.
    fn widen_linked(&mut self, record: i64) -> Result<(), EngineError> {
        let (kind, id) = rows::record_at(&self.db, record)?;
        let state = self.state_of(kind, id)?;
        self.widen(record, &state).map(drop)
    }

    /// Adds keys to a record's audience; its history is published again for
    /// those that are new.
    fn add_keys(&mut self, record: i64, keys: BTreeSet<String>) -> Result<(), EngineError> {
        let mut new = BTreeSet::new();
        for name in keys {
            let key = self.key_id(&name)?;
            let added = self
                .db
                .prepare_cached("INSERT OR IGNORE INTO audience (record, key) VALUES (?1, ?2)")?
                .execute([record, key])?;
            if added == 1 {
                new.insert(key);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        self.renew_evidence_of(record)?;
        let history: Vec<i64> = {
            // The envelope being accepted is stored but not published yet.
            let mut statement = self.db.prepare_cached(
                "SELECT id FROM envelope WHERE record = ?1 AND standing IN (1, 2)
                     AND EXISTS (SELECT 1 FROM feed WHERE feed.envelope = envelope.id)
                 ORDER BY id",
            )?;
            let rows = statement.query_map([record], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for envelope in history {
            self.append(envelope, &new)?;
        }
        Ok(())
    }

    /// Gives a verdict its position without publishing anything.
    pub(crate) fn note(&mut self, envelope: i64) -> Result<(), EngineError> {
        self.append(envelope, &BTreeSet::new())
    }

    fn append(&mut self, envelope: i64, keys: &BTreeSet<i64>) -> Result<(), EngineError> {
        let position = audit::verdict(&self.db, envelope)?.cast_signed();
        let mut insert = self
            .db
            .prepare_cached("INSERT INTO feed_key (key, position) VALUES (?1, ?2)")?;
        for key in keys {
            insert.execute([*key, position])?;
        }
        Ok(())
    }

    pub(crate) fn key_id(&mut self, name: &str) -> Result<i64, EngineError> {
        if let Some(id) = self.keys.get(name) {
            return Ok(*id);
        }
        let id = match key_id(&self.db, name)? {
            Some(id) => id,
            None => {
                self.db
                    .prepare_cached("INSERT INTO audience_key (name) VALUES (?1)")?
                    .execute([name])?;
                self.db.last_insert_rowid()
            }
        };
        self.keys.put(name.to_owned(), id);
        Ok(id)
    }

    fn audience(&self, record: i64) -> Result<BTreeSet<i64>, EngineError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT key FROM audience WHERE record = ?1")?;
        let rows = statement.query_map([record], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn key_names(&self, record: i64) -> Result<Vec<String>, EngineError> {
        let mut statement = self.db.prepare_cached(
            "SELECT name FROM audience JOIN audience_key ON audience_key.id = audience.key
             WHERE audience.record = ?1",
        )?;
        let rows = statement.query_map([record], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn keys_of_finding(&self, finding: RecordId) -> Result<Vec<String>, EngineError> {
        let mut statement = self.db.prepare_cached(
            "SELECT grid FROM finding JOIN record ON record.id = finding.record
             WHERE record.record = ?1",
        )?;
        let grid: Option<String> = statement
            .query_row([finding.0], |row| row.get(0))
            .optional()?;
        Ok(grid.map_or_else(Vec::new, |grid| self.directory.keys_around(&grid)))
    }

    /// Rows of the whistles that carry a finding.
    pub(crate) fn whistles_of(&self, finding: RecordId) -> Result<Vec<i64>, EngineError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT whistle FROM whistle_finding WHERE finding = ?1")?;
        let rows = statement.query_map([finding.0], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn targets_of(&self, whistle: i64) -> Result<Vec<String>, EngineError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT party FROM target WHERE whistle = ?1")?;
        let rows = statement.query_map([whistle], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The newest position.
///
/// # Errors
/// See [`DbError`].
pub fn head(db: &Connection) -> Result<u64, DbError> {
    let mut statement = db.prepare_cached("SELECT COALESCE(MAX(position), 0) FROM feed")?;
    let head: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(head.cast_unsigned())
}

/// The audience keys of a device: those of its person, and its own.
pub fn keys_of(person_keys: Vec<String>, device: DeviceId) -> Vec<String> {
    let mut keys = person_keys;
    keys.push(device_key(device));
    keys
}

/// What comes after `cursor` for these audience keys, up to `budget` bytes of
/// envelopes (and always one). Envelopes that the phone sent in this very
/// request are left out. Others of its own come as verdicts, and as items like
/// anybody's: the phone may have lost them with its database.
///
/// # Errors
/// See [`DbError`].
pub fn pull(
    db: &Connection,
    receipts: &Receipts,
    keys: &[String],
    caller: &Caller,
    cursor: u64,
    budget: usize,
    just_sent: &BTreeSet<EnvelopeHash>,
) -> Result<Pulled, DbError> {
    let head = head(db)?;
    let (positions, complete_to) = positions(db, keys, cursor, head)?;
    let mut pulled = Pulled {
        cursor: complete_to,
        more: complete_to < head,
        ..Pulled::default()
    };
    let mut room = budget;
    let mut seen_before = BTreeSet::new();
    let mut statement = db.prepare_cached(
        "SELECT envelope.hash, envelope.standing, envelope.reason, seen, received_at_ms, device,
                bytes
         FROM feed JOIN envelope ON envelope.id = feed.envelope WHERE feed.position = ?1",
    )?;
    for position in positions {
        let mut rows = statement.query([position.cast_signed()])?;
        let Some(row) = rows.next()? else {
            continue;
        };
        let judgement = rows::judgement(row, 0)?;
        if just_sent.contains(&judgement.hash) || !seen_before.insert(judgement.hash) {
            continue;
        }
        let author: [u8; 16] = row.get(5)?;
        if author == caller.device.0 {
            pulled.verdicts.push(judgement.clone());
        }
        let is_shared = judgement.standing.is_shared();
        if !is_shared && devices::person_of(db, DeviceId(author))?.as_ref() != Some(&caller.person)
        {
            continue;
        }
        let envelope: Vec<u8> = row.get(6)?;
        let is_empty = pulled.items.is_empty() && pulled.notices.is_empty();
        if room < envelope.len() && !is_empty {
            pulled.cursor = position - 1;
            pulled.more = true;
            break;
        }
        room = room.saturating_sub(envelope.len());
        if !is_shared {
            pulled.notices.push(Notice {
                envelope,
                standing: judgement.standing.code(),
                reason: judgement.reason.map(|reason| reason.code().to_owned()),
                received_at_ms: judgement.received_at_ms,
            });
            continue;
        }
        let mut item = Item {
            envelope,
            received_at_ms: judgement.received_at_ms,
            standing: judgement.standing.code(),
            seen: judgement.seen.as_deref().map(hashes_to_wire),
            tag: None,
        };
        receipts.tag_item(&judgement.hash, &mut item);
        pulled.items.push(item);
    }
    Ok(pulled)
}

/// Count and digest of everything that these keys see up to `cursor`: what a
/// phone that holds all of it would say.
///
/// # Errors
/// See [`DbError`].
pub fn census(db: &Connection, keys: &[String], cursor: u64) -> Result<(u64, [u8; 32]), DbError> {
    let mut hashes: BTreeMap<i64, EnvelopeHash> = BTreeMap::new();
    let mut statement = db.prepare_cached(
        "SELECT envelope.id, envelope.hash FROM feed_key
         JOIN feed ON feed.position = feed_key.position
         JOIN envelope ON envelope.id = feed.envelope
         WHERE feed_key.key = ?1 AND feed_key.position <= ?2 AND envelope.standing IN (1, 2)",
    )?;
    for key in keys {
        let Some(key) = key_id(db, key)? else {
            continue;
        };
        let mut rows = statement.query([key, cursor.cast_signed()])?;
        while let Some(row) = rows.next()? {
            hashes.insert(row.get(0)?, row.get(1).map(EnvelopeHash)?);
        }
    }
    let mut digest = [0u8; 32];
    for hash in hashes.values() {
        digest.iter_mut().zip(hash.0).for_each(|(a, b)| *a ^= b);
    }
    Ok((hashes.len() as u64, digest))
}

/// Records that `lost` keys showed and that `kept` ones do not.
///
/// # Errors
/// See [`DbError`].
pub fn lost_records(
    db: &Connection,
    lost: &[&str],
    kept: &[String],
) -> Result<Vec<RecordId>, DbError> {
    let ids = |names: &mut dyn Iterator<Item = &str>| -> Result<Vec<i64>, DbError> {
        let mut ids = Vec::new();
        for name in names {
            ids.extend(key_id(db, name)?);
        }
        Ok(ids)
    };
    let kept: BTreeSet<i64> = ids(&mut kept.iter().map(String::as_str))?
        .into_iter()
        .collect();
    let mut of_key = db.prepare_cached(
        "SELECT DISTINCT record.id, record.record FROM audience
         JOIN record ON record.id = audience.record WHERE audience.key = ?1",
    )?;
    let mut keys_of = db.prepare_cached("SELECT key FROM audience WHERE record = ?1")?;
    let mut records = BTreeSet::new();
    for key in ids(&mut lost.iter().copied())? {
        let rows = of_key.query_map([key], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1).map(RecordId)?))
        })?;
        for row in rows {
            let (record, id) = row?;
            let keys = keys_of.query_map([record], |row| row.get::<_, i64>(0))?;
            let keys: Vec<i64> = keys.collect::<Result<_, _>>()?;
            if !keys.iter().any(|key| kept.contains(key)) {
                records.insert(id);
            }
        }
    }
    Ok(records.into_iter().collect())
}

/// The positions after `cursor` for these keys, ascending, and the position up
/// to which the list is complete.
fn positions(
    db: &Connection,
    keys: &[String],
    cursor: u64,
    head: u64,
) -> Result<(BTreeSet<u64>, u64), DbError> {
    let mut positions = BTreeSet::new();
    let mut complete_to = head;
    let mut statement = db.prepare_cached(
        "SELECT position FROM feed_key WHERE key = ?1 AND position > ?2 AND position <= ?3
         ORDER BY position LIMIT ?4",
    )?;
    for key in keys {
        let Some(key) = key_id(db, key)? else {
            continue;
        };
        let window = params![key, cursor.cast_signed(), head.cast_signed(), PAGE as i64];
        let rows = statement.query_map(window, |row| row.get::<_, i64>(0))?;
        let page: Vec<i64> = rows.collect::<Result<_, _>>()?;
        if let (PAGE, Some(last)) = (page.len(), page.last()) {
            complete_to = complete_to.min(last.cast_unsigned());
        }
        positions.extend(page.into_iter().map(i64::cast_unsigned));
    }
    positions.retain(|position| *position <= complete_to);
    Ok((positions, complete_to))
}

fn key_id(db: &Connection, name: &str) -> Result<Option<i64>, DbError> {
    let mut statement = db.prepare_cached("SELECT id FROM audience_key WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn person_key(person: &PersonId) -> String {
    Party::Person(person.clone()).key()
}

fn device_key(device: DeviceId) -> String {
    format!("device:{device}")
}
