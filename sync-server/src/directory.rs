//! Editions of the directory: one pack, numbered, signed, kept for ever.
//!
//! 1. A new edition is made from a whole pack: it gets the next number and the
//!    server's signature, and is in force with the commit.
//! 2. Phones get the newest one with their next exchange; the running server
//!    notices an edition that an administrator's process made.
//! 3. What running limits go by stays: editions of the calendar, and the policy
//!    that another one follows, with the last edition that it was in force in.
//! 4. Undoing is making the older pack an edition again: numbers only grow, so
//!    no phone ever goes back.
//!
//! What can go wrong: (1) the pack does not fit together, is of another street,
//! or uses the code of a grid that was given up; (3) it changes a calendar that
//! limits run by: nothing is made, and the error names the place.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value as Json, json};

use shaodao_core::domain::directory::Directory;
use shaodao_core::pack;
use shaodao_core::sync::edition::Edition;

use crate::audit;
use crate::db::DbError;
use crate::engine::{Engine, EngineError};

/// An edition in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditionLine {
    /// Its number.
    pub version: u64,
    /// When it was made, milliseconds.
    pub signed_at_ms: i64,
    /// By whom.
    pub who: String,
    /// What it changed, in words.
    pub what: String,
}

/// The number of the edition in force; 0 in an empty database.
///
/// # Errors
/// See [`DbError`].
pub fn version(db: &Connection) -> Result<u64, DbError> {
    let mut statement = db.prepare_cached("SELECT COALESCE(MAX(version), 0) FROM edition")?;
    Ok(statement
        .query_row([], |row| row.get::<_, i64>(0))?
        .cast_unsigned())
}

/// The directory in force.
///
/// # Errors
/// See [`EngineError`].
pub fn current(db: &Connection) -> Result<Directory, EngineError> {
    Ok(pack::directory(&pack_of(db, version(db)?)?)?)
}

/// The pack of an edition.
///
/// # Errors
/// There is none by that number.
pub fn pack_of(db: &Connection, version: u64) -> Result<Vec<u8>, EngineError> {
    let mut statement = db.prepare_cached("SELECT pack FROM edition WHERE version = ?1")?;
    let pack = statement.query_row([version.cast_signed()], |row| row.get(0));
    pack.optional()?
        .ok_or_else(|| EngineError::NoSuch(format!("there is no edition {version}")))
}

/// The number of the edition that was in force at a moment; a phone that was in
/// contact then had this one, so that what its owner filed is read by it: the
/// outline of a grid as it was drawn, and the rights of that day.
///
/// # Errors
/// See [`DbError`].
pub fn version_at(db: &Connection, at_ms: i64) -> Result<Option<u64>, DbError> {
    let mut statement =
        db.prepare_cached("SELECT MAX(version) FROM edition WHERE signed_at_ms <= ?1")?;
    let version: Option<i64> = statement.query_row([at_ms], |row| row.get(0))?;
    Ok(version.map(i64::cast_unsigned))
}

/// The edition in force as it travels, unless the phone has it: empty then.
///
/// # Errors
/// See [`DbError`].
pub fn newer_than(db: &Connection, street: &str, held: u64) -> Result<Vec<u8>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT version, signed_at_ms, signature, pack FROM edition
         WHERE version > ?1 ORDER BY version DESC LIMIT 1",
    )?;
    let held = i64::try_from(held).unwrap_or(i64::MAX);
    let edition = statement.query_row([held], |row| {
        Ok(Edition {
            street: street.to_owned(),
            version: row.get::<_, i64>(0)?.cast_unsigned(),
            signed_at_ms: row.get(1)?,
            signature: row.get(2)?,
            pack: row.get(3)?,
        })
    });
    Ok(edition
        .optional()?
        .map_or_else(Vec::new, |edition| edition.to_bytes()))
}

/// Makes the first edition of an empty database.
///
/// # Errors
/// The pack does not fit together.
pub fn first_edition(
    db: &Connection,
    key: &SigningKey,
    json: &[u8],
    now_ms: i64,
) -> Result<Directory, EngineError> {
    let directory = pack::directory(json)?;
    let edition = Edition::sign(
        key,
        &directory.street,
        directory.version,
        now_ms,
        json.to_vec(),
    );
    insert(db, &edition, "server", "the first edition")?;
    Ok(directory)
}

/// Every edition, newest first.
///
/// # Errors
/// See [`DbError`].
pub fn editions(db: &Connection) -> Result<Vec<EditionLine>, DbError> {
    let mut statement =
        db.prepare("SELECT version, signed_at_ms, who, what FROM edition ORDER BY version DESC")?;
    let rows = statement.query_map([], |row| {
        Ok(EditionLine {
            version: row.get::<_, i64>(0)?.cast_unsigned(),
            signed_at_ms: row.get(1)?,
            who: row.get(2)?,
            what: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Engine {
    /// The pack of the edition in force.
    ///
    /// # Errors
    /// The database could not.
    pub fn pack(&self) -> Result<Vec<u8>, EngineError> {
        pack_of(&self.db, self.directory.version)
    }

    /// Signs a pack as an edition of this street.
    pub fn sign_edition(&self, version: u64, signed_at_ms: i64, pack: Vec<u8>) -> Edition {
        Edition::sign(
            &self.key,
            &self.directory.street,
            version,
            signed_at_ms,
            pack,
        )
    }

    /// Makes a pack the next edition; its own number is replaced. Returns the
    /// number.
    ///
    /// # Errors
    /// The pack does not fit together; nothing was made.
    pub fn publish_edition(
        &mut self,
        json: &[u8],
        who: &str,
        what: &str,
    ) -> Result<u64, EngineError> {
        let now_ms = self.clock.now_ms();
        let next = version(&self.db)? + 1;
        let mut pack: Json = serde_json::from_slice(json).map_err(pack::PackError::from)?;
        pack["version"] = next.into();
        let before: Json = serde_json::from_slice(&self.pack()?).map_err(pack::PackError::from)?;
        keep_editions(&before, &mut pack).map_err(EngineError::NotPossible)?;
        let bytes = pack.to_string().into_bytes();
        let directory = pack::directory(&bytes)?;
        if directory.street != self.directory.street {
            return Err(EngineError::NotPossible(format!(
                "the pack is of street {}, this server serves {}",
                directory.street, self.directory.street
            )));
        }
        let edition = self.sign_edition(next, now_ms, bytes);
        insert(&self.db, &edition, who, what)?;
        self.directory = Arc::new(directory);
        // What happens next may follow from another ladder or policy.
        self.arm_all()?;
        Ok(next)
    }
}

/// Keeps in a new pack what limits that began under the one before go by.
fn keep_editions(before: &Json, pack: &mut Json) -> Result<(), String> {
    let all = |pack: &Json, part: &str| pack[part].as_array().cloned().unwrap_or_default();
    let mut calendars = all(pack, "calendars");
    for calendar in all(before, "calendars") {
        let version = &calendar["version"];
        match calendars.iter().find(|it| it["version"] == *version) {
            None => calendars.push(calendar),
            Some(here) if *here == calendar => {}
            Some(_) => {
                return Err(format!(
                    "calendar {version} would change, and limits run by it; give the changed one \
                     another version"
                ));
            }
        }
    }
    let mut past = all(before, "past_policies");
    if before["policy"] != pack["policy"] {
        past.push(json!({ "until": before["version"], "policy": before["policy"] }));
    }
    let fields = pack.as_object_mut().ok_or("a pack is a JSON object")?;
    fields.insert("calendars".to_owned(), calendars.into());
    fields.remove("past_policies");
    // Left out while there is none: older builds of the phone go on reading.
    if !past.is_empty() {
        fields.insert("past_policies".to_owned(), past.into());
    }
    Ok(())
}

fn insert(db: &Connection, edition: &Edition, who: &str, what: &str) -> Result<(), DbError> {
    db.execute(
        "INSERT INTO edition (version, signed_at_ms, signature, pack, who, what)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            edition.version.cast_signed(),
            edition.signed_at_ms,
            edition.signature,
            edition.pack,
            who,
            what
        ],
    )?;
    audit::edition(db, edition.signed_at_ms, who, edition.version)
}
