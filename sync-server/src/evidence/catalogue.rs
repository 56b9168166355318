//! What is known of every piece: one row for each record that it is attached to.
//!
//! 1. `Engine::follow_evidence` makes the rows that an accepted action implies,
//!    and destroys what it erases; `Engine::expect_evidence` makes rows for what
//!    was set aside, which only its author may bring.
//! 2. [`Engine::take_evidence_keys`] keeps the keys that phones bring.
//! 3. [`Engine::evidence_arrived`], [`Engine::evidence_seen`]: how far it came.
//!    Whatever changes takes a new position in the news.
//! 4. [`news`] is what a phone has not heard yet; [`find`] is what somebody may
//!    know of one piece.
//!
//! A row counts for its own record only: whoever attaches to a record of their
//! own what they know by its hash has neither its key nor its bytes, and gets
//! neither (`check`).

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};

use shaodao_core::domain::action::Body;
use shaodao_core::domain::evidence::{Attached, Media, Piece, Shows, sealed_size};
use shaodao_core::domain::ids::{DeviceId, EvidenceId, PersonId, RecordId, SealedId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::envelope::Sealed;
use shaodao_core::evidence::stream::PieceKey;
use shaodao_core::sync::wire::{EvidenceKey, EvidenceNews};

use crate::db::{DbError, rows};
use crate::engine::{Caller, Engine, EngineError};

/// Most news in one reply.
const PAGE: usize = 1_000;
/// Most rows looked at for one reply.
const LOOKED_AT: i64 = 10_000;

/// A piece on a record, as the server knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its row.
    pub row: i64,
    /// The record's row.
    pub record: i64,
    /// Its name: the hash of the ciphertext.
    pub sealed: SealedId,
    /// The hash of its bytes, as signed.
    pub id: EvidenceId,
    /// How many bytes, as signed.
    pub size: u64,
    /// Their type, as signed.
    pub media: Media,
    /// What it shows, as signed.
    pub shows: Shows,
    /// Who attached it.
    pub by: PersonId,
    /// When the action that attached it came, or was sent back, milliseconds.
    pub attached_at_ms: i64,
    /// Its key, while there is one.
    pub key: Option<PieceKey>,
    /// When all of it was here and right, milliseconds.
    pub arrived_at_ms: Option<i64>,
    /// The device that brought it.
    pub device: Option<DeviceId>,
    /// Whether there is a thumbnail.
    pub thumbnail: Thumbnail,
    /// Whether it was delivered to another device.
    pub seen: bool,
    /// Whether an accepted action attaches it.
    pub shared: bool,
    /// Whether it was erased.
    pub erased: bool,
}

impl Known {
    /// How many bytes its ciphertext has.
    pub fn sealed_size(&self) -> u64 {
        sealed_size(self.size)
    }
}

/// A piece's thumbnail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thumbnail {
    /// There is none yet.
    None,
    /// Brought or made.
    Kept,
    /// None can be made.
    Impossible,
}

impl Thumbnail {
    fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Kept => 1,
            Self::Impossible => 2,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Kept,
            2 => Self::Impossible,
            _ => Self::None,
        }
    }
}

const COLUMNS: &str = "id, record, sealed, piece, size, media, shows, person, attached_at_ms,
     key, arrived_at_ms, device, thumbnail, seen, shared, erased";

impl Engine {
    /// Brings the rows of a record in line with its state after an action about
    /// evidence.
    pub(crate) fn follow_evidence(
        &mut self,
        record: i64,
        body: &Body,
        state: &RecordState,
    ) -> Result<(), EngineError> {
        if !matches!(body, Body::Attach { .. } | Body::EraseEvidence { .. }) {
            return Ok(());
        }
        for attached in state.evidence() {
            self.follow_piece(record, attached)?;
        }
        Ok(())
    }

    fn follow_piece(&mut self, record: i64, attached: &Attached) -> Result<(), EngineError> {
        let sealed = attached.piece.sealed;
        let shared = self.insert_piece(record, &attached.piece, &attached.by, true)?;
        let Some(known) = on_record(&self.db, record, &sealed)? else {
            return Ok(());
        };
        match attached.erased.is_some() && !known.erased {
            true => self.destroy_evidence(&known)?,
            false if shared => self.renew(known.row)?,
            false => {}
        }
        Ok(())
    }

    /// Makes rows for what was set aside with its action.
    pub(crate) fn expect_evidence(
        &mut self,
        record: i64,
        sealed: &Sealed,
    ) -> Result<(), EngineError> {
        let action = &sealed.envelope.action;
        if let Body::Attach { pieces } = &action.body {
            for piece in pieces {
                if self.insert_piece(record, piece, &action.person, false)? {
                    self.renew(self.db.last_insert_rowid())?;
                }
            }
        }
        Ok(())
    }

    /// Makes the row of a piece, or says that everybody may know of it now;
    /// whether anything changed.
    fn insert_piece(
        &mut self,
        record: i64,
        piece: &Piece,
        by: &PersonId,
        shared: bool,
    ) -> Result<bool, EngineError> {
        let changed = self
            .db
            .prepare_cached(
                "INSERT INTO evidence
                     (record, sealed, piece, size, media, shows, person, attached_at_ms,
                      thumbnail, seen, shared, erased)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9, 0)
                 ON CONFLICT (record, sealed) DO UPDATE SET
                     piece = excluded.piece, size = excluded.size, media = excluded.media,
                     shows = excluded.shows, person = excluded.person, shared = 1
                 WHERE evidence.shared < excluded.shared",
            )?
            .execute(params![
                record,
                piece.sealed.0,
                piece.id.0,
                piece.size.cast_signed(),
                piece.media.word(),
                piece.shows.word(),
                by.0,
                self.clock.now_ms(),
                shared,
            ])?;
        Ok(changed > 0)
    }

    /// Destroys key, ciphertext and thumbnail of a piece. The files go with the
    /// next [`super::sweep`]: the transaction may still fail.
    fn destroy_evidence(&mut self, known: &Known) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "UPDATE evidence SET erased = 1, key = NULL, thumbnail = 0 WHERE id = ?1",
            )?
            .execute([known.row])?;
        self.db
            .prepare_cached("INSERT OR IGNORE INTO evidence_trash (sealed) VALUES (?1)")?
            .execute([known.sealed.0])?;
        self.must_empty_log = true;
        self.renew(known.row)
    }

    /// Keeps keys that a phone brings; returns which need not be sent again.
    ///
    /// # Errors
    /// The database could not; nothing was done.
    pub fn take_evidence_keys(
        &mut self,
        caller: &Caller,
        items: &[EvidenceKey],
    ) -> Result<Vec<SealedId>, EngineError> {
        let mut kept = Vec::new();
        for item in items {
            let (Some(record), Some(sealed), Some(key)) = (
                RecordId::from_slice(&item.record),
                SealedId::from_slice(&item.sealed),
                PieceKey::from_slice(&item.key),
            ) else {
                tracing::warn!(device = %caller.device, "a phone brought what is no key of evidence");
                continue;
            };
            let Some(row) = rows::record(&self.db, record)? else {
                continue;
            };
            let Some(known) = on_record(&self.db, row, &sealed)? else {
                continue;
            };
            let own = known.by == caller.person;
            if !(own || self.reads_record(caller, row)?) {
                continue;
            }
            kept.push(sealed);
            let settled = known.erased || known.arrived_at_ms.is_some();
            let same = known.key.as_ref() == Some(&key);
            // Only its author can know better, and only until it has opened.
            if settled && known.key.is_some() || known.erased || same || known.key.is_some() && !own
            {
                continue;
            }
            self.db
                .prepare_cached("UPDATE evidence SET key = ?2 WHERE id = ?1")?
                .execute(params![known.row, key.as_bytes()])?;
            self.renew(known.row)?;
        }
        Ok(kept)
    }

    fn reads_record(&self, caller: &Caller, record: i64) -> Result<bool, EngineError> {
        let keys = key_ids(&self.db, &self.directory.keys_of(&caller.person))?;
        Ok(is_for(&self.db, record, &keys)?)
    }

    /// Writes down that all of a piece is here and right, on these rows.
    ///
    /// # Errors
    /// The database could not.
    pub fn evidence_arrived(&mut self, rows: &[i64], device: DeviceId) -> Result<(), EngineError> {
        let now_ms = self.clock.now_ms();
        for row in rows {
            let arrived = self
                .db
                .prepare_cached(
                    "UPDATE evidence SET arrived_at_ms = ?2, device = ?3
                     WHERE id = ?1 AND arrived_at_ms IS NULL AND erased = 0",
                )?
                .execute(params![row, now_ms, device.0])?;
            if arrived > 0 {
                self.renew(*row)?;
            }
        }
        Ok(())
    }

    /// Writes down that a piece is not here after all.
    ///
    /// # Errors
    /// The database could not.
    pub fn evidence_lost(&mut self, row: i64) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "UPDATE evidence SET arrived_at_ms = NULL, device = NULL, thumbnail = 0
                 WHERE id = ?1",
            )?
            .execute([row])?;
        self.renew(row)
    }

    /// Forgets keys that did not open what they should.
    ///
    /// # Errors
    /// The database could not.
    pub fn forget_evidence_keys(&mut self, rows: &[i64]) -> Result<(), EngineError> {
        for row in rows {
            self.db
                .prepare_cached(
                    "UPDATE evidence SET key = NULL WHERE id = ?1 AND arrived_at_ms IS NULL",
                )?
                .execute([row])?;
            self.renew(*row)?;
        }
        Ok(())
    }

    /// Writes down that a piece was delivered to another device.
    ///
    /// # Errors
    /// The database could not.
    pub fn evidence_seen(&mut self, row: i64) -> Result<(), EngineError> {
        let seen = self
            .db
            .prepare_cached("UPDATE evidence SET seen = 1 WHERE id = ?1 AND seen = 0")?
            .execute([row])?;
        match seen {
            0 => Ok(()),
            _ => self.renew(row),
        }
    }

    /// Writes down what became of the thumbnail of a piece, on all its rows.
    ///
    /// # Errors
    /// The database could not.
    pub fn evidence_thumbnail(
        &mut self,
        row: i64,
        thumbnail: Thumbnail,
    ) -> Result<(), EngineError> {
        self.db
            .prepare_cached("UPDATE evidence SET thumbnail = ?2 WHERE id = ?1 AND erased = 0")?
            .execute(params![row, thumbnail.code()])?;
        Ok(())
    }

    /// Says all news of a record again: somebody new may read it.
    pub(crate) fn renew_evidence_of(&mut self, record: i64) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO evidence_news (evidence)
                 SELECT id FROM evidence WHERE record = ?1 ORDER BY id",
            )?
            .execute([record])?;
        Ok(())
    }

    /// Gives a piece the next position in the news.
    fn renew(&self, row: i64) -> Result<(), EngineError> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO evidence_news (evidence) VALUES (?1)")?
            .execute([row])?;
        Ok(())
    }
}

/// What somebody may know of a piece: its rows on records that are meant for
/// them, those that arrived first. Empty if there is none, or none for them.
///
/// # Errors
/// See [`DbError`].
pub fn find(
    db: &Connection,
    caller: &Caller,
    names: &[String],
    sealed: &SealedId,
) -> Result<Vec<Known>, DbError> {
    let keys = key_ids(db, names)?;
    let mut found = all_of(db, sealed)?;
    let mut failed = None;
    found.retain(|known| {
        let own = known.by == caller.person;
        own || known.shared
            && is_for(db, known.record, &keys).unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
    });
    found.sort_by_key(|known| (known.erased, known.arrived_at_ms.is_none(), known.row));
    match failed {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

/// A piece on every record that it is attached to.
///
/// # Errors
/// See [`DbError`].
pub fn all_of(db: &Connection, sealed: &SealedId) -> Result<Vec<Known>, DbError> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM evidence WHERE sealed = ?1 ORDER BY id"
    ))?;
    let rows = statement.query_map([sealed.0], known)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every piece that has arrived and was not erased.
///
/// # Errors
/// See [`DbError`].
pub fn all_arrived(db: &Connection) -> Result<Vec<Known>, DbError> {
    let mut statement = db.prepare(&format!(
        "SELECT {COLUMNS} FROM evidence
         WHERE arrived_at_ms IS NOT NULL AND erased = 0 ORDER BY id"
    ))?;
    let rows = statement.query_map([], known)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether somebody may still read a piece on some record.
///
/// # Errors
/// See [`DbError`].
pub fn stands(db: &Connection, sealed: &SealedId) -> Result<bool, DbError> {
    let mut statement =
        db.prepare_cached("SELECT 1 FROM evidence WHERE sealed = ?1 AND erased = 0")?;
    Ok(statement.exists([sealed.0])?)
}

fn on_record(db: &Connection, record: i64, sealed: &SealedId) -> Result<Option<Known>, DbError> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM evidence WHERE record = ?1 AND sealed = ?2"
    ))?;
    Ok(statement
        .query_row(params![record, sealed.0], known)
        .optional()?)
}

/// What a phone hears of evidence in one reply.
#[derive(Debug, Default)]
pub struct News {
    /// How far pieces have come.
    pub items: Vec<EvidenceNews>,
    /// The new position.
    pub cursor: u64,
    /// There is more.
    pub more: bool,
}

/// The news after `cursor` for somebody with these audience keys.
///
/// # Errors
/// See [`DbError`].
pub fn news(
    db: &Connection,
    caller: &Caller,
    names: &[String],
    cursor: u64,
) -> Result<News, DbError> {
    let mut news = News {
        cursor,
        ..News::default()
    };
    let keys = key_ids(db, names)?;
    let mut statement = db.prepare_cached(
        "SELECT evidence_news.position, evidence.record, evidence.sealed, evidence.key,
                evidence.arrived_at_ms, evidence.seen, evidence.shared, evidence.person,
                record.record
         FROM evidence_news JOIN evidence ON evidence.id = evidence_news.evidence
         JOIN record ON record.id = evidence.record
         WHERE evidence_news.position > ?1 ORDER BY evidence_news.position LIMIT ?2",
    )?;
    let mut rows = statement.query(params![cursor.cast_signed(), LOOKED_AT])?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let own = row.get::<_, String>(7)? == caller.person.0;
        if own || row.get::<_, bool>(6)? && is_for(db, row.get(1)?, &keys)? {
            if news.items.len() == PAGE {
                news.more = true;
                return Ok(news);
            }
            news.items.push(EvidenceNews {
                record: row.get::<_, [u8; 16]>(8)?.to_vec(),
                sealed: row.get::<_, [u8; 32]>(2)?.to_vec(),
                key: row.get::<_, Option<Vec<u8>>>(3)?.map(Into::into),
                arrived_at_ms: row.get(4)?,
                seen: row.get(5)?,
            });
        }
        news.cursor = row.get::<_, i64>(0)?.cast_unsigned();
    }
    news.more = looked_at == LOOKED_AT;
    Ok(news)
}

/// Ids of audience keys; those that nobody has used yet have none.
fn key_ids(db: &Connection, names: &[String]) -> Result<BTreeSet<i64>, DbError> {
    let mut statement = db.prepare_cached("SELECT id FROM audience_key WHERE name = ?1")?;
    let mut ids = BTreeSet::new();
    for name in names {
        let id: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
        ids.extend(id);
    }
    Ok(ids)
}

fn is_for(db: &Connection, record: i64, keys: &BTreeSet<i64>) -> Result<bool, DbError> {
    let mut statement = db.prepare_cached("SELECT key FROM audience WHERE record = ?1")?;
    let mut rows = statement.query([record])?;
    while let Some(row) = rows.next()? {
        if keys.contains(&row.get(0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let media: String = row.get(5)?;
    let shows: String = row.get(6)?;
    let key: Option<Vec<u8>> = row.get(9)?;
    Ok(Known {
        row: row.get(0)?,
        record: row.get(1)?,
        sealed: row.get(2).map(SealedId)?,
        id: row.get(3).map(EvidenceId)?,
        size: row.get::<_, i64>(4)?.cast_unsigned(),
        media: Media::from_word(&media).unwrap_or(Media::Text),
        shows: Shows::from_word(&shows).unwrap_or(Shows::File),
        by: row.get(7).map(PersonId)?,
        attached_at_ms: row.get(8)?,
        key: key.as_deref().and_then(PieceKey::from_slice),
        arrived_at_ms: row.get(10)?,
        device: row.get::<_, Option<[u8; 16]>>(11)?.map(DeviceId),
        thumbnail: Thumbnail::from_code(row.get(12)?),
        seen: row.get(13)?,
        shared: row.get(14)?,
        erased: row.get(15)?,
    })
}
