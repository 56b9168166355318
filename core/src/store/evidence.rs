//! Evidence on the phone as rows: keys, and how far each piece has come. The
//! ciphertext is in files beside the database ([`super::pieces`]).
//!
//! 1. The row of an own piece is saved in the transaction of the action that
//!    attaches it, when its files are on the disk already; its key is in the
//!    journal too until the server has the piece.
//! 2. Rows of others come with the news of a sync, the key in them.
//! 3. An erasure deletes the row, and the key with it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::write::{find_record, members};
use super::{Flush, Store, StoreError, authentic};
use crate::document::Document;
use crate::domain::action::Body;
use crate::domain::evidence::{Arrival, Arrivals};
use crate::domain::ids::{RecordId, SealedId};
use crate::domain::reason::Reason;
use crate::domain::record::RecordState;
use crate::envelope;
use crate::evidence::stream::PieceKey;
use crate::sync::evidence::{News, Waiting};
use crate::sync::wire::{EvidenceKey, Standing};

/// A piece sealed on this phone, as it is saved along with its action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPiece {
    /// SHA-256 of the ciphertext.
    pub sealed: SealedId,
    /// Its key.
    pub key: PieceKey,
    /// Whether it is a photo.
    pub is_photo: bool,
    /// Whether it has a thumbnail to send.
    pub has_thumbnail: bool,
}

/// What this phone knows of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// SHA-256 of the ciphertext.
    pub sealed: SealedId,
    /// Its key; `None` while it has not come.
    pub key: Option<PieceKey>,
    /// Whether it was sealed on this phone.
    pub own: bool,
    /// When the server had all of it, its time in milliseconds.
    pub arrived_at_ms: Option<i64>,
    /// Whether the server has delivered it to another phone.
    pub seen: bool,
}

impl Held {
    /// How far it has come.
    pub fn arrival(&self) -> Arrival {
        match (self.arrived_at_ms, self.seen) {
            (None, _) => Arrival::OnPhone,
            (Some(_), false) => Arrival::AtServer,
            (Some(_), true) => Arrival::Seen,
        }
    }
}

impl Store {
    /// What is known of a piece; `None` if nothing is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn evidence(&self, sealed: SealedId) -> Result<Option<Held>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT sealed, key, own, arrived_at_ms, seen FROM evidence WHERE sealed = ?1",
        )?;
        let found = statement.query_row([sealed.0], held).optional()?;
        authentic(&self.db)?;
        Ok(found)
    }

    /// Keys that the server has not confirmed, at most so many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn unsent_keys(&self, limit: u32) -> Result<Vec<EvidenceKey>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT record, sealed, key FROM evidence
             WHERE key_unsent = 1 AND key IS NOT NULL ORDER BY sealed LIMIT ?1",
        )?;
        let rows = statement.query_map([limit], |row| {
            Ok(EvidenceKey {
                record: row.get(0)?,
                sealed: row.get(1)?,
                key: row.get(2)?,
            })
        })?;
        let keys = rows.collect::<Result<_, _>>()?;
        authentic(&self.db)?;
        Ok(keys)
    }

    /// Own pieces of which the server lacks something and whose keys it has; not
    /// those whose action was sent back or refused.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn waiting_evidence(&self) -> Result<Vec<Waiting>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT sealed, thumbnail_unsent, arrived_at_ms IS NULL FROM evidence
             WHERE own = 1 AND key_unsent = 0
                   AND (arrived_at_ms IS NULL OR thumbnail_unsent = 1)
             ORDER BY sealed",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Waiting {
                sealed: SealedId(row.get(0)?),
                thumbnail: row.get(1)?,
                original: row.get(2)?,
            })
        })?;
        let mut waiting = rows.collect::<Result<Vec<Waiting>, _>>()?;
        let aside = set_aside(&self.db)?;
        waiting.retain(|it| aside.get(&it.sealed) != Some(&Aside::Over));
        Ok(waiting)
    }

    /// How many of this phone's own pieces have arrived, on those records where
    /// something is on the way; and whether all of them are photos.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn own_arrivals(&self) -> Result<(Arrivals, bool), StoreError> {
        let aside = set_aside(&self.db)?;
        let mut statement = self.db.prepare_cached(
            "SELECT sealed, record, photo, arrived_at_ms IS NOT NULL FROM evidence
             WHERE own = 1 AND record IN
                   (SELECT record FROM evidence WHERE own = 1 AND arrived_at_ms IS NULL)",
        )?;
        let mut records: BTreeMap<RecordId, (Arrivals, bool)> = BTreeMap::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (arrivals, photos_only) = records
                .entry(RecordId(row.get(1)?))
                .or_insert((Arrivals::default(), true));
            if aside.contains_key(&SealedId(row.get(0)?)) {
                arrivals.set_aside += 1;
                continue;
            }
            arrivals.pieces += 1;
            arrivals.arrived += usize::from(row.get::<_, bool>(3)?);
            *photos_only &= row.get::<_, bool>(2)?;
        }
        let mut sum = (Arrivals::default(), true);
        for (arrivals, photos_only) in records.into_values() {
            sum.0.set_aside += arrivals.set_aside;
            if arrivals.is_waiting() {
                sum.0.pieces += arrivals.pieces;
                sum.0.arrived += arrivals.arrived;
                sum.1 &= photos_only;
            }
        }
        Ok(sum)
    }

    /// Every piece that has a row: whose files may be here.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn known_evidence(&self) -> Result<BTreeSet<SealedId>, StoreError> {
        let mut statement = self.db.prepare_cached("SELECT sealed FROM evidence")?;
        let rows = statement.query_map([], |row| row.get(0).map(SealedId))?;
        let known = rows.collect::<Result<_, _>>()?;
        authentic(&self.db)?;
        Ok(known)
    }

    /// The server has a thumbnail.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn thumbnail_sent(&mut self, sealed: SealedId) -> Result<(), StoreError> {
        self.flushing(Flush::Later, |store| {
            store
                .db
                .prepare_cached("UPDATE evidence SET thumbnail_unsent = 0 WHERE sealed = ?1")?
                .execute([sealed.0])?;
            Ok(())
        })
    }

    /// The server has all of a piece, by its own word. What a power cut takes of
    /// it the server says again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn evidence_arrived(&mut self, sealed: SealedId, at_ms: i64) -> Result<(), StoreError> {
        self.flushing(Flush::Later, |store| {
            store
                .db
                .prepare_cached(
                    "UPDATE evidence SET arrived_at_ms = coalesce(arrived_at_ms, ?2)
                     WHERE sealed = ?1",
                )?
                .execute(params![sealed.0, at_ms])?;
            Ok(())
        })
    }

    /// The journal lets go of keys of pieces that have arrived: once for many of
    /// them, because all of it is written anew.
    pub fn let_go_of_arrived(&mut self) {
        // A journal that holds more than it must is put right at the next
        // opening.
        let _ = self.rewrite_journal();
    }
}

/// Why nobody waits for a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aside {
    /// Its action was sent back or refused: the server does not take it, or not
    /// for long.
    Over,
    /// An administrator may still release its action.
    Kept,
}

/// Pieces that only actions that were set aside attach.
fn set_aside(db: &Connection) -> Result<BTreeMap<SealedId, Aside>, StoreError> {
    let attached = |bytes: &[u8]| -> Result<Vec<SealedId>, StoreError> {
        Ok(match envelope::open(bytes)?.envelope.action.body {
            Body::Attach { pieces } => pieces.iter().map(|piece| piece.sealed).collect(),
            _ => Vec::new(),
        })
    };
    let [quarantined, refused] = [Standing::Quarantined, Standing::Refused].map(Standing::code);
    let mut aside = BTreeMap::new();
    let mut records = BTreeSet::new();
    let mut statement = db.prepare_cached(
        "SELECT record, bytes, standing = ?1 AND reason IS NOT ?3 FROM envelope
         WHERE own > 0 AND standing > 1 AND standing IN (?1, ?2)",
    )?;
    let mut rows = statement.query(params![quarantined, refused, Reason::Returned.code()])?;
    while let Some(row) = rows.next()? {
        let why = match row.get(2)? {
            true => Aside::Kept,
            false => Aside::Over,
        };
        for sealed in attached(&row.get::<_, Vec<u8>>(1)?)? {
            records.insert(row.get::<_, i64>(0)?);
            let known = aside.entry(sealed).or_insert(why);
            *known = why.max(*known);
        }
    }
    // Done again, or by somebody else too.
    let mut statement = db.prepare_cached(
        "SELECT bytes FROM envelope WHERE record = ?1 AND standing NOT IN (?2, ?3)",
    )?;
    for record in records {
        let mut rows = statement.query(params![record, quarantined, refused])?;
        while let Some(row) = rows.next()? {
            for sealed in attached(&row.get::<_, Vec<u8>>(0)?)? {
                aside.remove(&sealed);
            }
        }
    }
    Ok(aside)
}

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    let key: Option<Vec<u8>> = row.get(1)?;
    Ok(Held {
        sealed: SealedId(row.get(0)?),
        key: key.and_then(|key| PieceKey::from_slice(&key)),
        own: row.get(2)?,
        arrived_at_ms: row.get(3)?,
        seen: row.get(4)?,
    })
}

/// Keeps an own piece; what is here already stays as it is.
pub(super) fn keep(db: &Connection, record: RecordId, own: &OwnPiece) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO evidence
             (sealed, record, key, own, photo, key_unsent, thumbnail_unsent, arrived_at_ms, seen)
         VALUES (?1, ?2, ?3, 1, ?4, 1, ?5, NULL, 0)
         ON CONFLICT (sealed) DO UPDATE SET own = 1, photo = excluded.photo",
    )?
    .execute(params![
        own.sealed.0,
        record.0,
        own.key.as_bytes(),
        own.is_photo,
        own.has_thumbnail
    ])?;
    Ok(())
}

/// Takes the server's newest word on a piece as it stands. What it had and has
/// lost, a key or the piece, is sent again.
pub(super) fn take(db: &Connection, news: &News) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO evidence
             (sealed, record, key, own, photo, key_unsent, thumbnail_unsent, arrived_at_ms, seen)
         VALUES (?1, ?2, ?3, 0, 0, 0, 0, ?4, ?5)
         ON CONFLICT (sealed) DO UPDATE SET
             key = coalesce(key, excluded.key),
             thumbnail_unsent = CASE
                 WHEN own AND arrived_at_ms IS NOT NULL AND excluded.arrived_at_ms IS NULL
                 THEN photo ELSE thumbnail_unsent END,
             arrived_at_ms = excluded.arrived_at_ms,
             seen = excluded.seen,
             key_unsent = max(key_unsent, own AND excluded.key IS NULL)",
    )?
    .execute(params![
        news.sealed.0,
        news.record.0,
        news.key.as_ref().map(|key| *key.as_bytes()),
        news.arrived_at_ms,
        news.seen
    ])?;
    Ok(())
}

/// The server has the key.
pub(super) fn confirm(db: &Connection, sealed: SealedId) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE evidence SET key_unsent = 0 WHERE sealed = ?1")?
        .execute([sealed.0])?;
    Ok(())
}

/// Another life of the server: everything of one's own is offered again.
pub(super) fn offer_again(db: &Connection) -> Result<(), StoreError> {
    db.execute(
        "UPDATE evidence SET key_unsent = 1, thumbnail_unsent = photo, arrived_at_ms = NULL
         WHERE own = 1",
        [],
    )?;
    Ok(())
}

/// Destroys what the record says is erased; whether anything was.
pub(super) fn destroy_erased(db: &Connection, state: &RecordState) -> Result<bool, StoreError> {
    let mut destroyed = false;
    for attached in state.evidence() {
        if attached.erased.is_some() {
            let mut statement = db.prepare_cached("DELETE FROM evidence WHERE sealed = ?1")?;
            destroyed |= statement.execute([attached.piece.sealed.0])? > 0;
        }
    }
    Ok(destroyed)
}

/// Own pieces that the server has not got: what the journal holds.
pub(super) fn unarrived(db: &Connection) -> Result<Vec<(RecordId, OwnPiece)>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT record, sealed, key, photo FROM evidence
         WHERE own = 1 AND arrived_at_ms IS NULL AND key IS NOT NULL ORDER BY sealed",
    )?;
    let mut rows = statement.query([])?;
    let mut pieces = Vec::new();
    while let Some(row) = rows.next()? {
        let is_photo = row.get(3)?;
        let key: Vec<u8> = row.get(2)?;
        let Some(key) = PieceKey::from_slice(&key) else {
            continue;
        };
        let own = OwnPiece {
            sealed: SealedId(row.get(1)?),
            key,
            is_photo,
            has_thumbnail: is_photo,
        };
        pieces.push((RecordId(row.get(0)?), own));
    }
    Ok(pieces)
}

/// Brings back pieces that only the journal had, except for what is erased.
pub(super) fn bring_back(
    db: &Connection,
    pieces: &[(RecordId, OwnPiece)],
) -> Result<(), StoreError> {
    let mut records = BTreeSet::new();
    for (record, own) in pieces {
        let known = db
            .prepare_cached("SELECT 1 FROM evidence WHERE sealed = ?1 AND own = 1")?
            .exists([own.sealed.0])?;
        if !known {
            keep(db, *record, own)?;
            records.insert(*record);
        }
    }
    for record in records {
        if let Some((row, kind)) = find_record(db, record)? {
            let (document, _) = Document::rebuild(kind, record, members(db, row)?)?;
            destroy_erased(db, &document.fold())?;
        }
    }
    Ok(())
}
