//! Saving a reply: verdicts, pulled envelopes, cursor and progress, all or
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::derived::{Derived, Lately};
use super::search::grams;
use super::write::{
    OWN, OWNERS_OTHER_PHONE, SOMEBODY_ELSES, find_record, insert_envelope, join_hashes, kind,
    members, move_on, record_row, standing, unlink, write_record, write_search,
};
use super::{
    Flush, ROWS_DIRECTORY, Store, StoreError, authentic, evidence, get_meta, private, put_meta,
    put_progress,
};
use crate::document::rows::{changes_by_receipt, search_text};
use crate::document::{Document, Member};
use crate::domain::action::RecordKind;
use crate::domain::directory::Directory;
use crate::domain::ids::{EnvelopeHash, RecordId};
use crate::domain::time::LastContact;
use crate::envelope;
use crate::planted::{Bug, active};
use crate::points::{Point, pass};
use crate::sync::head::SignedHead;
use crate::sync::plan::Progress;
use crate::sync::settle::{Incoming, Noticed, Settlement, Vetted};
use crate::sync::wire::{Judgement, Standing};

/// What a reply changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Own actions that were accepted.
    pub accepted: usize,
    /// Own actions that were not plainly accepted; their author must hear why.
    pub troubles: Vec<Judgement>,
    /// Envelopes of others that are new here.
    pub pulled: usize,
    /// Records whose rows changed.
    pub records: usize,
    /// Personal data was destroyed.
    pub erased: bool,
}

/// A record that a reply touches.
struct Touched {
    row: i64,
    kind: RecordKind,
    /// `None` if the record was here before: its members are read back.
    fresh: Option<Vec<Member>>,
}

impl Store {
    /// Saves what a reply means.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was saved, and the reply will come again.
    pub fn apply(
        &mut self,
        settlement: &Settlement,
        contact: LastContact,
    ) -> Result<Applied, StoreError> {
        let mut progress = self.progress()?;
        // The journal lets go of what has a verdict, so a verdict is flushed; a
        // page that a power cut takes is only pulled again.
        let flush = match settlement.judgements.is_empty() {
            true => Flush::Later,
            false => Flush::Now,
        };
        let applied = self.flushing(flush, |store| {
            store.apply_in_transaction(settlement, contact, &mut progress)
        })?;
        pass(Point::ReplyTaken);
        if applied.erased {
            self.empty_log()?;
        }
        let moved = !settlement.judgements.is_empty() || !settlement.evidence.is_empty();
        if moved || settlement.offer_again || applied.erased {
            // A journal that holds more than it must is put right when the
            // phone is opened next; the reply is saved.
            let _ = self.rewrite_journal();
        }
        Ok(applied)
    }

    fn apply_in_transaction(
        &mut self,
        settlement: &Settlement,
        contact: LastContact,
        progress: &mut Progress,
    ) -> Result<Applied, StoreError> {
        let directory = self.directory.as_deref();
        let lately = &self.lately;
        let db = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut applied = Applied::default();
        let mut touched = BTreeMap::new();
        for judgement in &settlement.judgements {
            let tag = settlement.tags.get(&judgement.hash);
            judged(&db, judgement, tag, progress, &mut touched, &mut applied)?;
        }
        // The feed does not say why something came too late; the verdict that
        // comes with it for its author does.
        let reasons: BTreeMap<EnvelopeHash, &str> = settlement
            .judgements
            .iter()
            .filter_map(|it| Some((it.hash, it.reason?.code())))
            .collect();
        let skips = active(Bug::CursorBeforePage) && settlement.incoming.len() > 2;
        for incoming in settlement.incoming.iter().skip(usize::from(skips)) {
            let hash = &incoming.sealed.hash;
            let told = Told {
                reason: reasons.get(hash).copied(),
                tag: settlement.tags.get(hash),
            };
            arrived(&db, incoming, told, progress, &mut touched, &mut applied)?;
        }
        for notice in &settlement.notices {
            noticed(&db, notice, &mut touched, &mut applied)?;
        }
        for record in &settlement.drops {
            touched.remove(record);
            drop_record(&db, *record, progress)?;
        }
        for (record, sealed) in &settlement.private {
            private::keep(&db, *record, sealed, false)?;
            // An erasure that is here already has the last word.
            touch(&db, *record, &mut touched)?;
        }
        for item in &settlement.private_kept {
            private::confirm(&db, *item)?;
        }
        for sealed in &settlement.evidence_kept {
            evidence::confirm(&db, *sealed)?;
        }
        for news in &settlement.evidence {
            evidence::take(&db, news)?;
            touch(&db, news.record, &mut touched)?;
        }
        if active(Bug::EmptyPullOverwrites) && settlement.incoming.is_empty() {
            db.execute("DELETE FROM finding", [])?;
        }
        applied.records = touched.len();
        if let Some(directory) = directory {
            go_by_its_version(&db, directory, &mut touched)?;
        }
        applied.erased = project_all(&db, touched, lately, directory)?;
        if settlement.offer_again {
            db.execute(
                "INSERT OR IGNORE INTO outbox (envelope)
                 SELECT id FROM envelope WHERE standing <> 5",
                [],
            )?;
            db.execute("UPDATE private SET unsent = 1", [])?;
            evidence::offer_again(&db)?;
        }
        progress.epoch.clone_from(&settlement.epoch);
        progress.audience.clone_from(&settlement.audience);
        progress.cursor = match settlement.start_over {
            true => 0,
            false => settlement.cursor,
        };
        progress.private_cursor = settlement.private_cursor;
        progress.evidence_cursor = settlement.evidence_cursor;
        put_progress(&db, progress)?;
        put_head(&db, settlement)?;
        put_contact(&db, contact)?;
        put_meta(&db, "device_state", &settlement.device.code())?;
        if let Some(vetted) = &settlement.vetted {
            put_directory(&db, vetted)?;
        }
        authentic(&db)?;
        Ok(db.commit().map(|()| applied)?)
    }
}

/// A verdict about an envelope of this phone.
fn judged(
    db: &Connection,
    judgement: &Judgement,
    tag: Option<&Vec<u8>>,
    progress: &mut Progress,
    touched: &mut BTreeMap<RecordId, Touched>,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let mut find = db.prepare_cached(
        "SELECT envelope.id, envelope.standing, envelope.bytes, record.id, record.record,
                record.kind, envelope.own
         FROM envelope JOIN record ON record.id = envelope.record WHERE envelope.hash = ?1",
    )?;
    let found = find
        .query_row([judgement.hash.0], |row| {
            let record: (i64, RecordId, RecordKind) =
                (row.get(3)?, row.get(4).map(RecordId)?, kind(row, 5)?);
            let bytes: Vec<u8> = row.get(2)?;
            let own: bool = row.get(6)?;
            Ok((row.get::<_, i64>(0)?, standing(row, 1)?, bytes, record, own))
        })
        .optional()?;
    // A verdict about something dropped since: nothing to do.
    let Some((envelope, before, bytes, (row, record, kind), own)) = found else {
        return Ok(());
    };
    db.prepare_cached("DELETE FROM outbox WHERE envelope = ?1")?
        .execute([envelope])?;
    // Offered to a server that does not know its author's device (any more):
    // what was accepted once stays here, until the author brings it back.
    if !own && judgement.standing == Standing::Refused {
        return Ok(());
    }
    if active(Bug::SilentRefusal) && judgement.standing == Standing::Quarantined {
        db.execute("DELETE FROM envelope WHERE id = ?1", [envelope])?;
        return Ok(());
    }
    set_standing(
        db,
        envelope,
        judgement.standing,
        judgement.seen.as_deref(),
        judgement.received_at_ms,
        judgement.reason.map(|reason| reason.code()),
        tag,
    )?;
    count(progress, &judgement.hash, before, judgement.standing);
    match judgement.standing {
        Standing::Accepted => applied.accepted += 1,
        _ if own && before != judgement.standing => applied.troubles.push(judgement.clone()),
        _ => {}
    }
    // What was shown as saved and is now accepted as it was changes no row.
    let as_it_was = before == Standing::Pending
        && judgement.standing == Standing::Accepted
        && judgement.seen.is_none()
        && !changes_by_receipt(&envelope::open(&bytes)?.envelope.action.body);
    if !as_it_was {
        let fresh = None;
        touched.insert(record, Touched { row, kind, fresh });
    }
    Ok(())
}

/// What a reply says of an envelope besides its standing.
struct Told<'a> {
    reason: Option<&'a str>,
    tag: Option<&'a Vec<u8>>,
}

/// An accepted envelope from the feed, of anybody.
fn arrived(
    db: &Connection,
    incoming: &Incoming,
    told: Told<'_>,
    progress: &mut Progress,
    touched: &mut BTreeMap<RecordId, Touched>,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let action = &incoming.sealed.envelope.action;
    let mut find = db.prepare_cached("SELECT id, standing FROM envelope WHERE hash = ?1")?;
    let held: Option<(i64, Standing)> = find
        .query_row([incoming.sealed.hash.0], |row| {
            Ok((row.get(0)?, standing(row, 1)?))
        })
        .optional()?;
    let known = find_record(db, action.record)?;
    let row = match known {
        Some((row, _)) => row,
        None => record_row(db, action.kind, action.record)?,
    };
    let (envelope, before) = match held {
        Some(held) => held,
        None => {
            applied.pulled += 1;
            let standing = Standing::Pending;
            // What this device has sent comes back when it started over.
            let device: Option<[u8; 16]> = get_meta(db, "device")?;
            let whose = match device == Some(incoming.sealed.envelope.device.0) {
                true => OWN,
                false => SOMEBODY_ELSES,
            };
            (
                insert_envelope(db, row, &incoming.sealed, standing, whose)?,
                standing,
            )
        }
    };
    if before != incoming.standing {
        db.prepare_cached("DELETE FROM outbox WHERE envelope = ?1")?
            .execute([envelope])?;
        set_standing(
            db,
            envelope,
            incoming.standing,
            incoming.seen.as_deref(),
            incoming.received_at_ms,
            told.reason,
            told.tag,
        )?;
        count(progress, &incoming.sealed.hash, before, incoming.standing);
    }
    let member = || Member {
        seen: incoming
            .seen
            .clone()
            .unwrap_or_else(|| incoming.sealed.envelope.seen.clone()),
        sealed: incoming.sealed.clone(),
        received_at_ms: Some(incoming.received_at_ms),
    };
    match touched.get_mut(&action.record) {
        Some(Touched {
            fresh: Some(members),
            ..
        }) => members.push(member()),
        Some(Touched { fresh: None, .. }) => {}
        None => {
            let fresh = known.is_none().then(|| vec![member()]);
            let kind = action.kind;
            touched.insert(action.record, Touched { row, kind, fresh });
        }
    }
    Ok(())
}

/// An action of this phone's owner from another phone, which was set aside.
fn noticed(
    db: &Connection,
    notice: &Noticed,
    touched: &mut BTreeMap<RecordId, Touched>,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let Noticed { sealed, judgement } = notice;
    let action = &sealed.envelope.action;
    let mut find = db.prepare_cached("SELECT id, standing FROM envelope WHERE hash = ?1")?;
    let held: Option<(i64, Standing)> = find
        .query_row([sealed.hash.0], |row| Ok((row.get(0)?, standing(row, 1)?)))
        .optional()?;
    // What came back as shared history is newer than any notice.
    if held.is_some_and(|(_, standing)| standing.is_shared()) {
        return Ok(());
    }
    let row = record_row(db, action.kind, action.record)?;
    let envelope = match held {
        Some((envelope, _)) => envelope,
        None => insert_envelope(db, row, sealed, judgement.standing, OWNERS_OTHER_PHONE)?,
    };
    let reason = judgement.reason.map(|reason| reason.code());
    let before = held.map(|(_, standing)| standing);
    set_standing(
        db,
        envelope,
        judgement.standing,
        None,
        judgement.received_at_ms,
        reason,
        None,
    )?;
    if before != Some(judgement.standing) {
        applied.troubles.push(judgement.clone());
    }
    let (kind, fresh) = (action.kind, None);
    touched
        .entry(action.record)
        .or_insert(Touched { row, kind, fresh });
    Ok(())
}

/// Sees to it that a record that is here is projected again.
fn touch(
    db: &Connection,
    record: RecordId,
    touched: &mut BTreeMap<RecordId, Touched>,
) -> Result<(), StoreError> {
    if !touched.contains_key(&record)
        && let Some((row, kind)) = find_record(db, record)?
    {
        let fresh = None;
        touched.insert(record, Touched { row, kind, fresh });
    }
    Ok(())
}

/// Where the rows were written by another directory, the due times of all
/// whistles are looked at again.
fn go_by_its_version(
    db: &Connection,
    directory: &Directory,
    touched: &mut BTreeMap<RecordId, Touched>,
) -> Result<(), StoreError> {
    let version = directory.version.cast_signed();
    if get_meta(db, ROWS_DIRECTORY)? == Some(version) {
        return Ok(());
    }
    let mut whistles = db.prepare(
        "SELECT record.id, record.record FROM whistle JOIN record ON record.id = whistle.record",
    )?;
    let mut rows = whistles.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, fresh) = (RecordKind::Whistle, None);
        let row_id = row.get(0)?;
        touched.entry(row.get(1).map(RecordId)?).or_insert(Touched {
            row: row_id,
            kind,
            fresh,
        });
    }
    put_meta(db, ROWS_DIRECTORY, &version)
}

/// Projects records again; whether personal data was destroyed.
fn project_all(
    db: &Connection,
    touched: BTreeMap<RecordId, Touched>,
    lately: &Lately,
    directory: Option<&Directory>,
) -> Result<bool, StoreError> {
    let mut texts = Vec::with_capacity(touched.len());
    let mut erased = false;
    for (record, Touched { row, kind, fresh }) in touched {
        let derived = match fresh {
            // A first pull has thousands of them, and nobody has asked for one yet.
            Some(members) => Arc::new(Derived::of(Document::rebuild(kind, record, members)?.0)),
            None => lately.of(kind, record, members(db, row)?, None)?,
        };
        let Derived {
            document, state, ..
        } = &*derived;
        erased |= write_record(db, row, document, state, directory)?;
        texts.push((row, grams(&search_text(state))));
    }
    for (row, grams) in texts {
        write_search(db, row, &grams)?;
    }
    Ok(erased)
}

fn set_standing(
    db: &Connection,
    envelope: i64,
    standing: Standing,
    seen: Option<&[EnvelopeHash]>,
    received_at_ms: i64,
    reason: Option<&str>,
    tag: Option<&Vec<u8>>,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE envelope SET standing = ?2, seen = ?3, received_at_ms = ?4, reason = ?5,
                tag = COALESCE(?6, tag)
         WHERE id = ?1",
    )?
    .execute(params![
        envelope,
        standing.code(),
        seen.map(join_hashes),
        received_at_ms,
        reason.filter(|_| !active(Bug::NoReason)),
        tag
    ])?;
    Ok(())
}

fn count(progress: &mut Progress, hash: &EnvelopeHash, before: Standing, after: Standing) {
    match (before.is_shared(), after.is_shared()) {
        (false, true) => progress.add(hash),
        (true, false) => progress.remove(hash),
        _ => {}
    }
}

/// Takes a record off the phone that is not meant for it any more. What its
/// owner has not sent yet stays, and the record with it.
fn drop_record(
    db: &Connection,
    record: RecordId,
    progress: &mut Progress,
) -> Result<(), StoreError> {
    let Some((row, _)) = find_record(db, record)? else {
        return Ok(());
    };
    let unsent: i64 = db.query_row(
        "SELECT COUNT(*) FROM envelope WHERE record = ?1 AND own > 0 AND standing <> 1",
        [row],
        |row| row.get(0),
    )?;
    if unsent > 0 {
        return Ok(());
    }
    {
        let mut shared =
            db.prepare("SELECT hash FROM envelope WHERE record = ?1 AND standing IN (1, 2)")?;
        let mut rows = shared.query([row])?;
        while let Some(row) = rows.next()? {
            progress.remove(&super::write::hash(row, 0)?);
        }
    }
    let carried = unlink(db, row)?;
    for statement in [
        "DELETE FROM search WHERE rowid = ?1",
        "DELETE FROM target WHERE whistle = ?1",
        "DELETE FROM whistle WHERE record = ?1",
        "DELETE FROM finding WHERE record = ?1",
        "DELETE FROM private WHERE record = (SELECT record FROM record WHERE id = ?1)",
        "DELETE FROM evidence WHERE record = (SELECT record FROM record WHERE id = ?1)
             AND (own = 0 OR arrived_at_ms IS NOT NULL)",
        "DELETE FROM redone WHERE envelope IN (SELECT id FROM envelope WHERE record = ?1)",
        "DELETE FROM outbox WHERE envelope IN (SELECT id FROM envelope WHERE record = ?1)",
        "DELETE FROM envelope WHERE record = ?1",
        "DELETE FROM record WHERE id = ?1",
    ] {
        db.execute(statement, [row])?;
    }
    for finding in carried {
        move_on(db, finding)?;
    }
    Ok(())
}

/// Replaces the directory. While this build cannot read the new one, the last
/// that it could stays beside it.
fn put_directory(db: &Connection, vetted: &Vetted) -> Result<(), StoreError> {
    db.execute(
        match vetted.is_readable {
            true => "DELETE FROM meta WHERE name = 'directory_read'",
            false => {
                "INSERT OR IGNORE INTO meta (name, value)
                 SELECT 'directory_read', value FROM meta WHERE name = 'directory'"
            }
        },
        [],
    )?;
    put_meta(db, "directory", &vetted.pack)?;
    put_meta(db, "directory_version", &vetted.version.cast_signed())?;
    put_meta(db, "server_key", &vetted.server_key)
}

/// Keeps the newest head; the first time that one contradicts the one held, both
/// apart, as proof.
fn put_head(db: &Connection, settlement: &Settlement) -> Result<(), StoreError> {
    match (settlement.contradiction, settlement.head) {
        (Some(_), Some(_)) if get_meta::<String>(db, "contradiction")?.is_some() => Ok(()),
        (Some(contradiction), Some(other)) => {
            db.execute(
                "INSERT OR REPLACE INTO meta (name, value)
                 SELECT 'held_' || name, value FROM meta
                 WHERE name IN ('head_position', 'head_hash', 'head_signature')",
                [],
            )?;
            put_meta(db, "contradiction", &contradiction.word())?;
            put_meta(db, "contradiction_at_ms", &settlement.server_ms)?;
            put_signed_head(db, "contradiction", &other)
        }
        (_, Some(newest)) => put_signed_head(db, "head", &newest),
        // Another life of the server: its old heads say nothing about it.
        (_, None) if settlement.offer_again => {
            db.execute("DELETE FROM meta WHERE name = 'head_position'", [])?;
            Ok(())
        }
        (_, None) => Ok(()),
    }
}

fn put_signed_head(db: &Connection, name: &str, signed: &SignedHead) -> Result<(), StoreError> {
    let SignedHead { head, signature } = signed;
    put_meta(
        db,
        &format!("{name}_position"),
        &head.position.cast_signed(),
    )?;
    put_meta(db, &format!("{name}_hash"), &head.hash)?;
    put_meta(db, &format!("{name}_signature"), signature)
}

fn put_contact(db: &Connection, contact: LastContact) -> Result<(), StoreError> {
    put_meta(db, "contact_position", &contact.position.cast_signed())?;
    let head = contact.head.map(|head| head.0);
    put_meta(
        db,
        "contact_head",
        &head.as_ref().map_or(&[][..], |head| head),
    )?;
    put_meta(db, "contact_server_ms", &contact.server_ms)?;
    put_meta(db, "contact_boot", &contact.boot.0)?;
    put_meta(db, "contact_mono_ms", &contact.mono_ms.cast_signed())
}
