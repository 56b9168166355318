//! The audit: one chain over everything that the server decided and that
//! administrators did, so that nothing of it can be changed afterwards without
//! being found out.
//!
//! 1. The chain is the feed. A verdict takes a position when it is given, when
//!    it changes, and when its envelope reaches one more audience ([`verdict`]);
//!    an act of an administrator or of the server itself takes one too
//!    ([`act`]). An accepted action costs one hash and no row of its own.
//! 2. Rows that are kept elsewhere and that no signature covers (a device's key,
//!    a directory edition) are sealed by the hash of their content in the act
//!    that put them in place ([`device`], [`Act::content`]).
//! 3. The newest head is signed in the transaction that moves it ([`sign`]), and
//!    every phone that asks gets it.
//! 4. Phones cite the heads that they were given; [`citation`] compares.
//! 5. [`crate::verify`] walks all of it.
//!
//! What can go wrong: (4) a citation is not in the chain: either a backup was
//! restored after it, which the chain says itself, or somebody has rewritten
//! history: [`Engine::contradicted`] writes it down, and the log and the metrics
//! say so.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use rand::rngs::StdRng;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use shaodao_core::domain::ids::{DeviceId, HeadMark};
use shaodao_core::envelope::Sealed;
use shaodao_core::sync::head::{Act, Entry, Head, SignedHead, mark_of};

use crate::db::{self, DbError, rows};
use crate::engine::{Engine, EngineError, sha256};
use crate::receipt;

/// The act that begins another life of the database.
pub const RESTORE: &str = "restore";
/// The act that names the life of the database.
pub const EPOCH: &str = "epoch";
/// The act that puts a directory edition in force.
pub const DIRECTORY: &str = "directory";
/// The act that makes the key of the receipts.
pub const RECEIPT_KEY: &str = "receipt_key";

/// Writes an act into the chain, and signs the new head.
///
/// # Errors
/// See [`DbError`]; nothing was written.
pub fn act(db: &Connection, act: Act<'_>) -> Result<(), DbError> {
    db.execute_batch("SAVEPOINT act")?;
    let done = write_act(db, act);
    if done.is_err() {
        db.execute_batch("ROLLBACK TO act")?;
    }
    db.execute_batch("RELEASE act")?;
    done
}

/// Writes an act about a device, which seals the device's row as it is.
///
/// # Errors
/// See [`DbError`].
pub fn device(
    db: &Connection,
    at_ms: i64,
    what: &str,
    who: &str,
    device: DeviceId,
) -> Result<(), DbError> {
    let content = device_content(db, device)?.ok_or(DbError::Value("no such device"))?;
    let about = device.to_string();
    let content = Some(content);
    act(
        db,
        Act {
            at_ms,
            what,
            who,
            about: &about,
            content,
        },
    )
}

/// The beginning of a new database: its own device and its life.
/// Does nothing for a database that has begun.
///
/// # Errors
/// See [`DbError`].
pub fn begin(db: &Connection, at_ms: i64, own: DeviceId, rng: &mut StdRng) -> Result<(), DbError> {
    if newest(db)? != Head::EMPTY {
        return Ok(());
    }
    device(db, at_ms, "identity", "server", own)?;
    let sealed = |what, content: &[u8]| Act {
        at_ms,
        what,
        who: "server",
        about: "",
        content: Some(sha256(content)),
    };
    act(db, sealed(RECEIPT_KEY, &receipt::make_key(db, rng)?))?;
    let epoch: Vec<u8> = db::meta(db, "epoch")?.unwrap_or_default();
    act(db, sealed(EPOCH, &epoch))
}

/// Writes the act that puts an edition of the directory in force, which seals
/// the edition's row as it is.
///
/// # Errors
/// See [`DbError`].
pub fn edition(db: &Connection, at_ms: i64, who: &str, version: u64) -> Result<(), DbError> {
    let content = edition_content(db, version)?.ok_or(DbError::Value("no such edition"))?;
    act(
        db,
        Act {
            at_ms,
            what: DIRECTORY,
            who,
            about: &version.to_string(),
            content: Some(content),
        },
    )
}

/// Gives the stored verdict about an envelope the next position.
///
/// # Errors
/// See [`DbError`].
pub fn verdict(db: &Connection, envelope: i64) -> Result<u64, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT hash, standing, reason, seen, received_at_ms FROM envelope WHERE id = ?1",
    )?;
    let judgement = statement.query_row([envelope], |row| rows::judgement(row, 0))?;
    let head = newest(db)?.then(Entry::Verdict(&judgement));
    db.prepare_cached(
        "INSERT INTO feed (position, envelope, standing, reason, head) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        head.position.cast_signed(),
        envelope,
        judgement.standing.code(),
        judgement.reason.map(|reason| reason.code()),
        head.hash,
    ])?;
    Ok(head.position)
}

/// The newest head.
///
/// # Errors
/// See [`DbError`].
pub fn newest(db: &Connection) -> Result<Head, DbError> {
    let mut statement =
        db.prepare_cached("SELECT position, head FROM feed ORDER BY position DESC LIMIT 1")?;
    let newest = statement.query_row([], |row| {
        Ok(Head {
            position: row.get::<_, i64>(0)?.cast_unsigned(),
            hash: row.get(1)?,
        })
    });
    Ok(newest.optional()?.unwrap_or(Head::EMPTY))
}

/// The newest signed head; `None` in a database that has not begun.
///
/// # Errors
/// See [`DbError`].
pub fn signed(db: &Connection) -> Result<Option<SignedHead>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT signed_head.position, feed.head, signature FROM signed_head
         JOIN feed ON feed.position = signed_head.position",
    )?;
    let signed = statement.query_row([], |row| {
        Ok(SignedHead {
            head: Head {
                position: row.get::<_, i64>(0)?.cast_unsigned(),
                hash: row.get(1)?,
            },
            signature: row.get(2)?,
        })
    });
    Ok(signed.optional()?)
}

/// Signs the newest head, unless it is signed.
///
/// # Errors
/// See [`DbError`].
pub fn sign(db: &Connection, key: &SigningKey) -> Result<(), DbError> {
    let head = newest(db)?;
    let mut statement = db.prepare_cached("SELECT position FROM signed_head")?;
    let signed: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    if signed == Some(head.position.cast_signed()) || head == Head::EMPTY {
        return Ok(());
    }
    let epoch: Vec<u8> = db::meta(db, "epoch")?.unwrap_or_default();
    let SignedHead { head, signature } = head.sign(&epoch, key);
    db.prepare_cached(
        "INSERT INTO signed_head (id, position, signature) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET position = excluded.position,
             signature = excluded.signature",
    )?
    .execute(params![head.position.cast_signed(), signature])?;
    Ok(())
}

/// What a cited head says about this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Citation {
    /// It is in the chain.
    Holds,
    /// It may be of a life that ended when a backup was restored.
    AnotherLife,
    /// The server gave it away and has another history now.
    Contradicts,
}

/// Looks for a cited head in the chain. `told_ms` is the server's time when it
/// gave the head away, milliseconds.
///
/// # Errors
/// See [`DbError`].
pub fn citation(
    db: &Connection,
    position: u64,
    mark: HeadMark,
    told_ms: i64,
) -> Result<Citation, DbError> {
    if head_at(db, position)?.is_some_and(|head| mark_of(&head) == mark) {
        return Ok(Citation::Holds);
    }
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM audit
             WHERE what = 'restore' AND position <= ?1 AND at_ms >= ?2)",
    )?;
    let restored = statement.query_row(params![position.cast_signed(), told_ms], |row| row.get(0));
    Ok(match restored? {
        true => Citation::AnotherLife,
        false => Citation::Contradicts,
    })
}

/// What the server remembers of citations.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// The newest one that was found to hold: phones cite the same head again
    /// and again.
    holds: Option<(u64, HeadMark)>,
    /// Whose contradictions were written down since the start.
    told: BTreeSet<DeviceId>,
}

impl Engine {
    /// Compares the head that an action cites with the chain.
    pub(crate) fn check_citation(&mut self, sealed: &Sealed) -> Result<(), EngineError> {
        let Some(anchor) = sealed.envelope.claim.anchor else {
            return Ok(());
        };
        let Some(mark) = anchor.head else {
            return Ok(());
        };
        if self.witness.holds == Some((anchor.position, mark)) {
            return Ok(());
        }
        match citation(&self.db, anchor.position, mark, anchor.server_ms)? {
            Citation::Holds => self.witness.holds = Some((anchor.position, mark)),
            Citation::AnotherLife => {}
            Citation::Contradicts => {
                self.contradicted(sealed.envelope.device, anchor.position, mark)?;
            }
        }
        Ok(())
    }

    /// Writes down that a phone cites a head that is not in the chain, once for
    /// each phone until the next start. Whether it was written.
    ///
    /// # Errors
    /// The database could not.
    pub fn contradicted(
        &mut self,
        device: DeviceId,
        position: u64,
        mark: HeadMark,
    ) -> Result<bool, EngineError> {
        if !self.witness.told.insert(device) {
            return Ok(false);
        }
        let here = match head_at(&self.db, position)? {
            Some(head) => mark_of(&head).to_string(),
            None => "nothing".to_owned(),
        };
        tracing::error!(%device, position, cited = %mark, here, "a phone contradicts this server's history");
        let about = format!("position {position}: cited {mark}, here {here}");
        let now_ms = self.clock.now_ms();
        db::audit(
            &self.db,
            now_ms,
            "contradiction",
            &device.to_string(),
            &about,
        )?;
        Ok(true)
    }
}

/// The hash that seals a device's row; `None` if there is no such device.
pub(crate) fn device_content(
    db: &Connection,
    device: DeviceId,
) -> Result<Option<[u8; 32]>, DbError> {
    let mut statement =
        db.prepare_cached("SELECT person, key, enrolled_ms, state FROM device WHERE device = ?1")?;
    let row = statement.query_row([device.0], |row| {
        let person: String = row.get(0)?;
        let key: Vec<u8> = row.get(1)?;
        Ok((person, key, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
    });
    Ok(row.optional()?.map(|(person, key, enrolled_ms, state)| {
        hash_of(
            b"shaodao device v1\0",
            &[
                &device.0,
                person.as_bytes(),
                &key,
                &enrolled_ms.to_be_bytes(),
                &state.to_be_bytes(),
            ],
        )
    }))
}

/// The hash that seals an edition's row; `None` if there is no such edition.
pub(crate) fn edition_content(db: &Connection, version: u64) -> Result<Option<[u8; 32]>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT signed_at_ms, signature, pack, who, what FROM edition WHERE version = ?1",
    )?;
    let row = statement.query_row([version.cast_signed()], |row| {
        let (signature, pack): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
        let (who, what): (String, String) = (row.get(3)?, row.get(4)?);
        Ok((row.get::<_, i64>(0)?, signature, pack, who, what))
    });
    Ok(row
        .optional()?
        .map(|(signed_at_ms, signature, pack, who, what)| {
            hash_of(
                b"shaodao edition row v1\0",
                &[
                    &version.to_be_bytes(),
                    &signed_at_ms.to_be_bytes(),
                    &signature,
                    &pack,
                    who.as_bytes(),
                    what.as_bytes(),
                ],
            )
        }))
}

/// Fields with their lengths before them, so that no two lists read the same.
fn hash_of(domain: &[u8], fields: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(domain);
    for field in fields {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize().into()
}

fn write_act(db: &Connection, act: Act<'_>) -> Result<(), DbError> {
    // Another process may be writing acts too: the first statement takes the
    // write lock before anything is read.
    db.execute("UPDATE signed_head SET id = 1 WHERE id = 1", [])?;
    let head = newest(db)?.then(Entry::Act(act));
    let position = head.position.cast_signed();
    db.prepare_cached("INSERT INTO feed (position, head) VALUES (?1, ?2)")?
        .execute(params![position, head.hash])?;
    db.prepare_cached(
        "INSERT INTO audit (position, at_ms, what, who, about, content)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        position,
        act.at_ms,
        act.what,
        act.who,
        act.about,
        act.content
    ])?;
    let secret: [u8; 32] =
        db::meta(db, "device_key")?.ok_or(DbError::Value("the server's key is missing"))?;
    sign(db, &SigningKey::from_bytes(&secret))
}

fn head_at(db: &Connection, position: u64) -> Result<Option<[u8; 32]>, DbError> {
    let mut statement = db.prepare_cached("SELECT head FROM feed WHERE position = ?1")?;
    let head = statement.query_row([position.cast_signed()], |row| row.get::<_, Vec<u8>>(0));
    // One of another size was altered; `verify` names it.
    Ok(head.optional()?.and_then(|head| head.try_into().ok()))
}
