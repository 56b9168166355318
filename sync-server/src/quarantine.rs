//! What was set aside, and what administrators do with it.
//!
//! 1. An authentic envelope that may not count is kept whole, with its reason;
//!    its author hears of it on every phone of theirs.
//! 2. [`Engine::release`] judges it again: the state of its device and the
//!    doubt about its chain no longer count, because a person has looked. If
//!    the author may not do it today but could when they last heard of the
//!    street, the edition of the directory of that time is asked.
//! 3. [`Engine::send_back`] closes it: its author is told to do it again if it
//!    is still needed.

use rusqlite::{Connection, Row};

use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::ids::{EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::reason::Reason;
use shaodao_core::envelope::{self, Sealed};
use shaodao_core::pack;
use shaodao_core::sync::wire::{Judgement, Standing};

use crate::db::{self, DbError, rows};
use crate::directory;
use crate::engine::{Engine, EngineError};
use crate::ingest::Leniency;

/// Something in quarantine.
#[derive(Debug, Clone)]
pub struct SetAside {
    /// Its row.
    id: i64,
    /// On which record.
    pub record: RecordId,
    /// Why it was set aside.
    pub reason: Option<Reason>,
    /// When it came, milliseconds.
    pub received_at_ms: i64,
    /// The envelope itself.
    pub sealed: Sealed,
}

/// What is in quarantine, oldest first, without what was sent back.
///
/// # Errors
/// See [`DbError`].
pub fn list(db: &Connection) -> Result<Vec<SetAside>, DbError> {
    let mut statement = db.prepare(&format!(
        "{SET_ASIDE} AND envelope.reason IS NOT ?1 ORDER BY envelope.id"
    ))?;
    let mut rows = statement.query([Reason::Returned.code()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(set_aside(row)?);
    }
    Ok(found)
}

impl Engine {
    /// What an administrator means by the beginning of a hash, at least 4
    /// characters; also what was sent back.
    ///
    /// # Errors
    /// Nothing, or several things.
    pub fn quarantined(&self, which: &str) -> Result<SetAside, EngineError> {
        let wanted = which.trim().to_lowercase();
        let mut statement = self.db.prepare(&format!(
            "{SET_ASIDE} AND lower(hex(envelope.hash)) LIKE ?1"
        ))?;
        let plain = wanted.len() >= 4 && wanted.bytes().all(|b| b.is_ascii_hexdigit());
        let pattern = match plain {
            true => format!("{wanted}%"),
            false => String::new(),
        };
        let mut rows = statement.query([pattern])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(set_aside(row)?);
        }
        match (found.pop(), found.len()) {
            (Some(one), 0) => Ok(one),
            (None, _) => Err(EngineError::NoSuch(format!(
                "nothing in quarantine begins with `{which}`; see `admin quarantine list`"
            ))),
            _ => Err(EngineError::NoSuch(format!(
                "`{which}` means more than one; write more of the hash"
            ))),
        }
    }

    /// Judges something again after a person has looked at it. What comes out
    /// may be quarantine again, with the reason that is left.
    ///
    /// # Errors
    /// See [`Engine::quarantined`].
    pub fn release(&mut self, which: &str, who: &str) -> Result<Judgement, EngineError> {
        let SetAside {
            id,
            sealed,
            received_at_ms,
            ..
        } = self.quarantined(which)?;
        let lenient = Leniency {
            looked_at: true,
            ..Leniency::default()
        };
        let mut judgement = self.judge_at(&sealed, Some(id), received_at_ms, lenient)?;
        if !judgement.standing.is_shared() {
            let today = self.directory.clone();
            if let Some(then) = self.directory_then(&sealed)? {
                self.directory = then.into();
                let again = self.judge_at(&sealed, Some(id), received_at_ms, lenient);
                self.directory = today;
                judgement = again?;
            }
        }
        self.tell_author(id, &sealed)?;
        self.tell_person(id, &sealed)?;
        let action = &sealed.envelope.action;
        let about = format!(
            "{} of {} on {} ({}): {}",
            action.body.word(),
            action.person,
            action.record,
            sealed.hash,
            judgement.standing.word()
        );
        db::audit(&self.db, self.clock.now_ms(), "release", who, &about)?;
        self.draw_consequences()?;
        Ok(judgement)
    }

    /// Sends something back to its author for good.
    ///
    /// # Errors
    /// See [`Engine::quarantined`].
    pub fn send_back(&mut self, which: &str, who: &str) -> Result<Judgement, EngineError> {
        let SetAside {
            id,
            sealed,
            received_at_ms,
            ..
        } = self.quarantined(which)?;
        let judgement = Judgement {
            hash: sealed.hash,
            standing: Standing::Quarantined,
            reason: Some(Reason::Returned),
            seen: None,
            received_at_ms,
        };
        rows::update_judgement(&self.db, id, &judgement)?;
        self.send_evidence_back(&sealed)?;
        self.tell_author(id, &sealed)?;
        self.tell_person(id, &sealed)?;
        let action = &sealed.envelope.action;
        let about = format!(
            "{} of {} on {} ({})",
            action.body.word(),
            action.person,
            action.record,
            sealed.hash
        );
        db::audit(&self.db, self.clock.now_ms(), "return", who, &about)?;
        Ok(judgement)
    }

    /// The directory that was in force when the author last heard of the
    /// street; `None` if it is the one in force still, or unknown.
    fn directory_then(&self, sealed: &Sealed) -> Result<Option<Directory>, EngineError> {
        let Some(anchor) = sealed.envelope.claim.anchor else {
            return Ok(None);
        };
        let version = directory::version_at(&self.db, anchor.server_ms)?;
        match version.filter(|version| *version != self.directory.version) {
            Some(version) => {
                let pack = directory::pack_of(&self.db, version)?;
                Ok(Some(pack::directory(&pack)?))
            }
            None => Ok(None),
        }
    }

    /// Tells the author on every phone of theirs.
    pub(crate) fn tell_person(&mut self, id: i64, sealed: &Sealed) -> Result<(), EngineError> {
        let person: &PersonId = &sealed.envelope.action.person;
        match person.is_server() {
            true => Ok(()),
            false => self.append_for_person(id, person),
        }
    }
}

const SET_ASIDE: &str = "SELECT envelope.id, record.record, envelope.reason,
     envelope.received_at_ms, envelope.bytes
     FROM envelope JOIN record ON record.id = envelope.record WHERE envelope.standing = 3";

fn set_aside(row: &Row<'_>) -> Result<SetAside, DbError> {
    let reason: Option<String> = row.get(2)?;
    let bytes: Vec<u8> = row.get(4)?;
    Ok(SetAside {
        id: row.get(0)?,
        record: row.get(1).map(RecordId)?,
        reason: reason.as_deref().and_then(Reason::from_code),
        received_at_ms: row.get(3)?,
        sealed: envelope::open(&bytes)?,
    })
}

/// The short form by which administrators name something.
pub fn short(hash: &EnvelopeHash) -> String {
    hash.to_string().chars().take(8).collect()
}
