//! The street's devices: which may take part, how they stand, and what their
//! chains give away.
//!
//! 1. An administrator suspends, resumes or revokes a device. It counts with
//!    the commit: every request and every envelope is looked up.
//! 2. A device that is not active may still hand in what its owner did, so that
//!    honest work is not lost; it is quarantined for an administrator to look
//!    at ([`crate::quarantine`]). It pulls nothing.
//! 3. Every envelope names its number in the device's chain and the one before.
//!    A number that is missing is a [`Gap`]; a number used twice, or another
//!    predecessor than the one that is here, is a sign of a second phone with
//!    the same identity.

use rusqlite::{Connection, OptionalExtension, params};

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, PersonId};
use shaodao_core::envelope::{self, Sealed};

use crate::db::{self, DbError};
use crate::engine::{Engine, EngineError};

/// Chain numbers that have not arrived, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub from_seq: i64,
    /// The last.
    pub to_seq: i64,
    /// Known since, milliseconds.
    pub since_ms: i64,
}

/// How a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLine {
    /// Which device.
    pub device: DeviceId,
    /// Whose.
    pub person: PersonId,
    /// Whether it may take part.
    pub state: DeviceState,
    /// The app build as last said.
    pub app: String,
    /// When it became one of the street's, milliseconds.
    pub enrolled_ms: i64,
    /// Its newest contact, milliseconds; a running server writes it down once a
    /// minute.
    pub last_sync_ms: Option<i64>,
    /// Envelopes that it said it still had.
    pub backlog: i64,
    /// What is missing of its chain.
    pub gaps: Vec<Gap>,
    /// How often its chain looked like that of two phones.
    pub clone_signs: i64,
    /// Its envelopes in quarantine.
    pub quarantined: i64,
}

/// What a phone said of itself with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which device.
    pub device: DeviceId,
    /// When, milliseconds.
    pub at_ms: i64,
    /// Envelopes that it still has.
    pub backlog: u32,
    /// Its app build.
    pub app: String,
}

/// What a device's chain looks like two phones by.
#[derive(Debug, Clone, Copy)]
enum Sign {
    UsedTwice = 1,
    OtherPredecessor,
}

/// The state of a device; `None` if it is not one of the street's.
///
/// # Errors
/// See [`DbError`].
pub fn state_of(db: &Connection, device: DeviceId) -> Result<Option<DeviceState>, DbError> {
    let mut statement = db.prepare_cached("SELECT state FROM device WHERE device = ?1")?;
    let code: Option<u8> = statement
        .query_row([device.0], |row| row.get(0))
        .optional()?;
    // A state of a newer server is not "active".
    Ok(code.map(|code| DeviceState::from_code(code).unwrap_or(DeviceState::Suspended)))
}

/// Whose a device is; `None` if it is not one of the street's.
///
/// # Errors
/// See [`DbError`].
pub fn person_of(db: &Connection, device: DeviceId) -> Result<Option<PersonId>, DbError> {
    let mut statement = db.prepare_cached("SELECT person FROM device WHERE device = ?1")?;
    let person = statement.query_row([device.0], |row| row.get(0).map(PersonId));
    Ok(person.optional()?)
}

impl Engine {
    /// Changes the state of a device, named by the beginning of its id.
    ///
    /// # Errors
    /// No such device, or a revoked one, which stays revoked.
    pub fn set_device_state(
        &mut self,
        which: &str,
        state: DeviceState,
        who: &str,
    ) -> Result<DeviceLine, EngineError> {
        let line = self.device(which)?;
        if line.person.is_server() {
            return Err(EngineError::NotPossible(
                "this is the server's own device; `rotate-key` gives it another".to_owned(),
            ));
        }
        if line.state == DeviceState::Revoked && state != DeviceState::Revoked {
            return Err(EngineError::NotPossible(format!(
                "device {} was revoked, and that is for ever; set the phone up again and open \
                 a ticket",
                line.device
            )));
        }
        self.db.execute(
            "UPDATE device SET state = ?2 WHERE device = ?1",
            params![line.device.0, state.code()],
        )?;
        let what = match state {
            DeviceState::Active => "resume",
            DeviceState::Suspended => "suspend",
            DeviceState::Revoked => "revoke",
        };
        let about = format!("device {} of {}", line.device, line.person);
        db::audit(&self.db, self.clock.now_ms(), what, who, &about)?;
        Ok(DeviceLine { state, ..line })
    }

    /// Writes down what a phone said of itself.
    pub(crate) fn note_contact(&mut self, note: &Note) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "UPDATE device SET last_sync_ms = ?2, backlog = ?3, app = ?4 WHERE device = ?1",
            )?
            .execute(params![
                note.device.0,
                note.at_ms,
                note.backlog,
                note.app.chars().take(40).collect::<String>()
            ])?;
        Ok(())
    }

    /// A device by the beginning of its id, at least 4 characters.
    ///
    /// # Errors
    /// None, or several.
    pub fn device(&self, which: &str) -> Result<DeviceLine, EngineError> {
        let wanted = which.trim().to_lowercase();
        let mut found = self.devices()?;
        found.retain(|line| wanted.len() >= 4 && line.device.to_string().starts_with(&wanted));
        match (found.pop(), found.len()) {
            (Some(line), 0) => Ok(line),
            (None, _) => Err(EngineError::NoSuch(format!(
                "there is no device `{which}`; name the first characters of its id (at least \
                 4), see `admin devices`"
            ))),
            _ => Err(EngineError::NoSuch(format!(
                "`{which}` means more than one device; write more of its id"
            ))),
        }
    }

    /// Every device, by person.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn devices(&self) -> Result<Vec<DeviceLine>, DbError> {
        let mut statement = self.db.prepare(
            "SELECT device, person, state, app, enrolled_ms, last_sync_ms, backlog,
                    (SELECT COUNT(*) FROM clone_sign
                     WHERE clone_sign.device = device.device),
                    (SELECT COUNT(*) FROM envelope
                     WHERE envelope.device = device.device AND standing = 3)
             FROM device ORDER BY person, enrolled_ms, device",
        )?;
        let rows = statement.query_map([], |row| {
            let state: u8 = row.get(2)?;
            Ok(DeviceLine {
                device: row.get(0).map(DeviceId)?,
                person: row.get(1).map(PersonId)?,
                state: DeviceState::from_code(state).unwrap_or(DeviceState::Suspended),
                app: row.get(3)?,
                enrolled_ms: row.get(4)?,
                last_sync_ms: row.get(5)?,
                backlog: row.get(6)?,
                gaps: Vec::new(),
                clone_signs: row.get(7)?,
                quarantined: row.get(8)?,
            })
        })?;
        let mut lines: Vec<DeviceLine> = rows.collect::<Result<_, _>>()?;
        for line in &mut lines {
            line.gaps = self.gaps(line.device)?;
        }
        Ok(lines)
    }

    fn gaps(&self, device: DeviceId) -> Result<Vec<Gap>, DbError> {
        let mut statement = self.db.prepare_cached(
            "SELECT from_seq, to_seq, since_ms FROM gap WHERE device = ?1 ORDER BY from_seq",
        )?;
        let rows = statement.query_map([device.0], |row| {
            Ok(Gap {
                from_seq: row.get(0)?,
                to_seq: row.get(1)?,
                since_ms: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Puts a new envelope into its device's chain, before it is stored.
    pub(crate) fn link(&mut self, sealed: &Sealed) -> Result<(), EngineError> {
        let envelope = &sealed.envelope;
        let device = envelope.device;
        // A number beyond that never was a chain's length.
        let Ok(seq) = i64::try_from(envelope.dev_seq) else {
            return self.suspect(sealed, Sign::OtherPredecessor);
        };
        let top = match self.chains.get(&device) {
            Some(top) => Some(*top),
            None => self.newest_of(device)?,
        };
        let top_seq = top.map_or(0, |(seq, _)| seq);
        if seq > top_seq {
            if seq > top_seq + 1 {
                self.open_gap(device, top_seq + 1, seq - 1)?;
            } else if envelope.prev != top.map(|(_, hash)| hash) {
                self.suspect(sealed, Sign::OtherPredecessor)?;
            }
            self.chains.put(device, (seq, sealed.hash));
            return Ok(());
        }
        if self.in_chain(device, seq)?.is_some() {
            return self.suspect(sealed, Sign::UsedTwice);
        }
        self.fill_gap(device, seq)?;
        let before = self.in_chain(device, seq - 1)?;
        let after = self.in_chain(device, seq + 1)?;
        let fits_before = before.is_none_or(|(hash, _)| envelope.prev == Some(hash));
        let fits_after = match after {
            Some((_, bytes)) => {
                let next = envelope::open(&bytes).map_err(DbError::from)?;
                next.envelope.prev == Some(sealed.hash)
            }
            None => true,
        };
        match fits_before && fits_after {
            true => Ok(()),
            false => self.suspect(sealed, Sign::OtherPredecessor),
        }
    }

    fn newest_of(&self, device: DeviceId) -> Result<Option<(i64, EnvelopeHash)>, EngineError> {
        let mut statement = self.db.prepare_cached(
            "SELECT dev_seq, hash FROM envelope WHERE device = ?1
             ORDER BY dev_seq DESC, id LIMIT 1",
        )?;
        let newest = statement.query_row([device.0], |row| {
            Ok((row.get(0)?, row.get(1).map(EnvelopeHash)?))
        });
        Ok(newest.optional()?)
    }

    fn in_chain(
        &self,
        device: DeviceId,
        seq: i64,
    ) -> Result<Option<(EnvelopeHash, Vec<u8>)>, EngineError> {
        let mut statement = self.db.prepare_cached(
            "SELECT hash, bytes FROM envelope WHERE device = ?1 AND dev_seq = ?2
             ORDER BY id LIMIT 1",
        )?;
        let found = statement.query_row(params![device.0, seq], |row| {
            Ok((row.get(0).map(EnvelopeHash)?, row.get(1)?))
        });
        Ok(found.optional()?)
    }

    fn open_gap(&self, device: DeviceId, from: i64, to: i64) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT INTO gap (device, from_seq, to_seq, since_ms) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![device.0, from, to, self.clock.now_ms()])?;
        Ok(())
    }

    fn fill_gap(&self, device: DeviceId, seq: i64) -> Result<(), EngineError> {
        let gap: Option<(i64, i64, i64)> = self
            .db
            .prepare_cached(
                "DELETE FROM gap WHERE device = ?1 AND from_seq <= ?2 AND to_seq >= ?2
                 RETURNING from_seq, to_seq, since_ms",
            )?
            .query_row(params![device.0, seq], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((from, to, since_ms)) = gap else {
            return Ok(());
        };
        for (from, to) in [(from, seq - 1), (seq + 1, to)] {
            if from <= to {
                self.db
                    .prepare_cached(
                        "INSERT INTO gap (device, from_seq, to_seq, since_ms)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![device.0, from, to, since_ms])?;
            }
        }
        Ok(())
    }

    fn suspect(&self, sealed: &Sealed, sign: Sign) -> Result<(), EngineError> {
        tracing::warn!(device = %sealed.envelope.device, ?sign, "a device looks like two");
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO clone_sign (device, dev_seq, hash, sign, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                sealed.envelope.device.0,
                sealed.envelope.dev_seq.cast_signed(),
                sealed.hash.0,
                sign as u8,
                self.clock.now_ms()
            ])?;
        Ok(())
    }
}
