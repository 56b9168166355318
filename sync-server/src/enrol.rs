//! The server's side of enrolment; [`shaodao_core::sync::enrol`] tells the whole
//! story.
//!
//! 1. [`Engine::open_ticket`] opens an enrolment for a person.
//! 2. [`Engine::hand_in`] binds it to the phone that knows the secret: from
//!    then on it is nobody else's.
//! 3. [`Engine::reveal`] computes the check code, and says how things stand.
//! 4. [`Engine::confirm`] makes the phone one of the street's devices. There is
//!    no other way to become one.
//!
//! What can go wrong: (2) a wrong secret costs a try, and so does beginning
//! again, so that nobody can draw codes until one fits; with the last try the
//! ticket is dead. (3) A nonce that the phone was not bound to is refused.

use rusqlite::{OptionalExtension, Row, params};
use subtle::ConstantTimeEq;

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::{DeviceId, PersonId};
use shaodao_core::sync::enrol::{
    SCANNED_LENGTH, SELECTOR_LENGTH, TICKET_MS, TICKET_TRIES, TYPED_LENGTH, Ticket, Transcript,
    check_code, commitment,
};
use shaodao_core::sync::wire::{EnrolOffer, EnrolRequest, EnrolReveal, EnrolStanding};

use crate::audit;
use crate::db::{self, DbError};
use crate::engine::{Engine, EngineError, sha256};

/// How far an enrolment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opened = 1,
    HandedIn,
    Revealed,
    Confirmed,
    Declined,
}

/// A ticket for one phone of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Ten characters, to be typed.
    pub typed: Ticket,
    /// The same ticket for a QR code.
    pub scanned: Ticket,
}

/// A phone that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which phone.
    pub device: DeviceId,
    /// For whom.
    pub person: PersonId,
    /// The app build.
    pub app: String,
    /// Six digits; the phone must show the same ones.
    pub check_code: String,
    selector: String,
    key: [u8; 32],
}

/// The ticket is unknown, used, dead or too old, or the enrolment was declined:
/// callers learn no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotValid;

impl Engine {
    /// Opens a ticket for a person.
    ///
    /// # Errors
    /// Nobody by that name.
    pub fn open_ticket(&mut self, person: &PersonId, who: &str) -> Result<Opened, EngineError> {
        if self.directory.person(person).is_none() {
            return Err(EngineError::UnknownPerson(person.0.clone()));
        }
        let now_ms = self.clock.now_ms();
        self.db.execute(
            "DELETE FROM enrolment WHERE expires_ms < ?1",
            [now_ms - TICKET_MS],
        )?;
        let typed = self.random_text(TYPED_LENGTH);
        let scanned = self.random_text(SCANNED_LENGTH);
        let selector = loop {
            let selector = self.random_text(SELECTOR_LENGTH);
            let taken: bool = self.db.query_row(
                "SELECT EXISTS (SELECT 1 FROM enrolment WHERE selector = ?1)",
                [&selector],
                |row| row.get(0),
            )?;
            if !taken {
                break selector;
            }
        };
        self.db.execute(
            "INSERT INTO enrolment
                 (selector, person, typed_hash, scanned_hash, tries_left, expires_ms, stage)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                selector,
                person.0,
                sha256(typed.as_bytes()),
                sha256(scanned.as_bytes()),
                TICKET_TRIES,
                now_ms + TICKET_MS,
                Stage::Opened as u8,
            ],
        )?;
        let about = format!("{person}, ticket {selector}…");
        db::audit(&self.db, now_ms, "ticket", who, &about)?;
        let ticket = |secret: &str| format!("{selector}{secret}").parse::<Ticket>();
        match (ticket(&typed), ticket(&scanned)) {
            (Ok(typed), Ok(scanned)) => Ok(Opened { typed, scanned }),
            _ => Err(EngineError::Malformed("a ticket")),
        }
    }

    /// Takes a ticket from a phone.
    ///
    /// # Errors
    /// The request makes no sense, or the database could not.
    pub fn hand_in(
        &mut self,
        request: &EnrolRequest,
    ) -> Result<Result<EnrolOffer, NotValid>, EngineError> {
        let device =
            DeviceId::from_slice(&request.device).ok_or(EngineError::Malformed("device"))?;
        let key = <[u8; 32]>::try_from(request.key.as_slice())
            .ok()
            .and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(&key).ok())
            .filter(|key| !key.is_weak())
            .ok_or(EngineError::Malformed("key"))?;
        if request.app.len() > 40 || request.commitment.len() != 32 {
            return Err(EngineError::Malformed("app or commitment"));
        }
        let Ok(ticket) = request.ticket.parse::<Ticket>() else {
            return Ok(Err(NotValid));
        };
        let now_ms = self.clock.now_ms();
        let hash_column = match ticket.is_scanned() {
            true => "scanned_hash",
            false => "typed_hash",
        };
        let found = self
            .db
            .query_row(
                &format!(
                    "SELECT person, {hash_column}, stage, device, key FROM enrolment
                     WHERE selector = ?1 AND expires_ms >= ?2 AND tries_left > 0 AND stage <= 3"
                ),
                params![ticket.selector(), now_ms],
                Ticketed::of,
            )
            .optional()?;
        let Some(ticketed) = found else {
            return Ok(Err(NotValid));
        };
        let person = &ticketed.person;
        let secret = sha256(ticket.secret().as_bytes());
        let known = bool::from(secret.ct_eq(&ticketed.secret_hash));
        if !known || !ticketed.is_first {
            self.take_a_try(ticket.selector(), person, now_ms)?;
        }
        let same_phone = ticketed.phone == Some((device.0, key.to_bytes()));
        if !known || !(ticketed.is_first || same_phone) {
            return Ok(Err(NotValid));
        }
        if !self.may_become(&device, &key.to_bytes(), person)? {
            return Ok(Err(NotValid));
        }
        let nonce = self.random_bytes();
        // A phone takes part in one enrolment at a time.
        self.db.execute(
            "DELETE FROM enrolment WHERE device = ?1 AND selector <> ?2",
            params![device.0, ticket.selector()],
        )?;
        self.db.execute(
            "UPDATE enrolment SET stage = ?2, device = ?3, key = ?4, app = ?5, commitment = ?6,
                 server_nonce = ?7, check_code = NULL, expires_ms = ?8
             WHERE selector = ?1",
            params![
                ticket.selector(),
                Stage::HandedIn as u8,
                device.0,
                key.to_bytes(),
                request.app,
                request.commitment,
                nonce,
                now_ms + TICKET_MS,
            ],
        )?;
        Ok(Ok(EnrolOffer {
            server_key: self.public_key().to_vec(),
            nonce: nonce.to_vec(),
            street: self.directory.street.clone(),
        }))
    }

    /// Takes a phone's nonce, and says whether somebody has confirmed.
    ///
    /// # Errors
    /// The request makes no sense, or the database could not.
    pub fn reveal(
        &mut self,
        request: &EnrolReveal,
    ) -> Result<Result<EnrolStanding, NotValid>, EngineError> {
        let device =
            DeviceId::from_slice(&request.device).ok_or(EngineError::Malformed("device"))?;
        let nonce: [u8; 32] = request
            .nonce
            .as_slice()
            .try_into()
            .map_err(|_| EngineError::Malformed("nonce"))?;
        let now_ms = self.clock.now_ms();
        let found = self
            .db
            .query_row(
                "SELECT selector, stage, commitment, key, server_nonce FROM enrolment
                 WHERE device = ?1 AND expires_ms >= ?2",
                params![device.0, now_ms],
                Bound::of,
            )
            .optional()?;
        let Some(bound) = found else {
            return Ok(Err(NotValid));
        };
        if !bool::from(commitment(&nonce).ct_eq(&bound.commitment)) {
            return Ok(Err(NotValid));
        }
        let stage = bound.stage;
        if stage == Stage::HandedIn as u8 {
            let code = check_code(&Transcript {
                selector: &bound.selector,
                device: &device,
                device_key: &bound.device_key,
                server_key: &self.public_key(),
                server_nonce: &bound.server_nonce,
                device_nonce: &nonce,
            });
            self.db.execute(
                "UPDATE enrolment SET stage = ?2, check_code = ?3 WHERE selector = ?1",
                params![bound.selector, Stage::Revealed as u8, code],
            )?;
        }
        if stage == Stage::Declined as u8 {
            return Ok(Err(NotValid));
        }
        let confirmed = stage == Stage::Confirmed as u8;
        Ok(Ok(EnrolStanding { confirmed }))
    }

    /// Phones that wait to be confirmed.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn candidates(&self) -> Result<Vec<Candidate>, DbError> {
        let mut statement = self.db.prepare(
            "SELECT device, person, app, check_code, selector, key FROM enrolment
             WHERE stage = ?1 AND expires_ms >= ?2 ORDER BY person, selector",
        )?;
        let now_ms = self.clock.now_ms();
        let rows = statement.query_map(params![Stage::Revealed as u8, now_ms], candidate)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An administrator has compared the codes: the phone becomes one of the
    /// street's devices. `which` is the code that the phone shows, or the
    /// beginning of the device's id.
    ///
    /// # Errors
    /// No phone shows this code.
    pub fn confirm(&mut self, which: &str, who: &str) -> Result<Candidate, EngineError> {
        let candidate = self.candidate(which)?;
        let Candidate {
            device,
            key,
            person,
            ..
        } = &candidate;
        if !self.may_become(device, key, &person.0)? {
            return Err(EngineError::NotPossible(format!(
                "device {device} was revoked or is somebody else's by now"
            )));
        }
        let now_ms = self.clock.now_ms();
        self.db.execute(
            "INSERT INTO device
                 (device, person, key, token_hash, token_expires_ms, app, enrolled_ms, state,
                  backlog)
             VALUES (?1, ?2, ?3, NULL, 0, ?4, ?5, ?6, 0)
             ON CONFLICT (device) DO UPDATE SET app = excluded.app, state = excluded.state",
            params![
                candidate.device.0,
                candidate.person.0,
                candidate.key,
                candidate.app,
                now_ms,
                DeviceState::Active.code(),
            ],
        )?;
        self.conclude(&candidate, Stage::Confirmed, who)?;
        Ok(candidate)
    }

    /// An administrator turns a phone away.
    ///
    /// # Errors
    /// No phone shows this code.
    pub fn decline(&mut self, which: &str, who: &str) -> Result<Candidate, EngineError> {
        let candidate = self.candidate(which)?;
        self.conclude(&candidate, Stage::Declined, who)?;
        Ok(candidate)
    }

    fn conclude(
        &mut self,
        candidate: &Candidate,
        stage: Stage,
        who: &str,
    ) -> Result<(), EngineError> {
        self.db.execute(
            "UPDATE enrolment SET stage = ?2 WHERE selector = ?1",
            params![candidate.selector, stage as u8],
        )?;
        let now_ms = self.clock.now_ms();
        let about = format!("{}, device {}", candidate.person, candidate.device);
        match stage {
            Stage::Confirmed => audit::device(&self.db, now_ms, "confirm", who, candidate.device)?,
            _ => db::audit(&self.db, now_ms, "decline", who, &about)?,
        }
        Ok(())
    }

    fn candidate(&self, which: &str) -> Result<Candidate, EngineError> {
        let wanted: String = which.chars().filter(|c| c.is_ascii_hexdigit()).collect();
        let mut candidates = self.candidates()?;
        let waiting = candidates.len();
        candidates.retain(|candidate| match wanted.len() {
            6 => candidate.check_code == wanted,
            8.. => candidate.device.to_string().starts_with(&wanted),
            _ => false,
        });
        match (candidates.pop(), candidates.len()) {
            (Some(candidate), 0) => Ok(candidate),
            (None, _) => Err(EngineError::NoSuch(format!(
                "no phone that waits shows `{which}` ({waiting} waiting). If a phone shows \
                 this code, somebody may stand between it and this server: do not confirm, \
                 open a new ticket."
            ))),
            _ => Err(EngineError::NoSuch(format!(
                "`{which}` means more than one phone; name the device"
            ))),
        }
    }

    /// Whether a phone may be enrolled: a new one, or one that this person has
    /// already and that was not revoked.
    fn may_become(
        &self,
        device: &DeviceId,
        key: &[u8; 32],
        person: &str,
    ) -> Result<bool, EngineError> {
        let known: Option<([u8; 32], String, u8)> = self
            .db
            .query_row(
                "SELECT key, person, state FROM device WHERE device = ?1",
                [device.0],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        Ok(match known {
            None => true,
            Some((its_key, owner, state)) => {
                its_key == *key && owner == person && state != DeviceState::Revoked.code()
            }
        })
    }

    fn take_a_try(&mut self, selector: &str, person: &str, now_ms: i64) -> Result<(), EngineError> {
        let left: i64 = self.db.query_row(
            "UPDATE enrolment SET tries_left = tries_left - 1 WHERE selector = ?1
             RETURNING tries_left",
            [selector],
            |row| row.get(0),
        )?;
        if left == 0 {
            let about = format!("{person}, ticket {selector}…: too many tries");
            db::audit(&self.db, now_ms, "ticket_dead", "server", &about)?;
        }
        Ok(())
    }
}

/// What is known when a ticket is handed in.
struct Ticketed {
    person: String,
    secret_hash: [u8; 32],
    is_first: bool,
    phone: Option<([u8; 16], [u8; 32])>,
}

impl Ticketed {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let stage: u8 = row.get(2)?;
        let (device, key): (Option<[u8; 16]>, Option<[u8; 32]>) = (row.get(3)?, row.get(4)?);
        Ok(Self {
            person: row.get(0)?,
            secret_hash: row.get(1)?,
            is_first: stage == Stage::Opened as u8,
            phone: device.zip(key),
        })
    }
}

/// What is known once a phone is bound to a ticket.
struct Bound {
    selector: String,
    stage: u8,
    commitment: [u8; 32],
    device_key: [u8; 32],
    server_nonce: [u8; 32],
}

impl Bound {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            selector: row.get(0)?,
            stage: row.get(1)?,
            commitment: row.get(2)?,
            device_key: row.get(3)?,
            server_nonce: row.get(4)?,
        })
    }
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        device: row.get(0).map(DeviceId)?,
        person: row.get(1).map(PersonId)?,
        app: row.get(2)?,
        check_code: row.get(3)?,
        selector: row.get(4)?,
        key: row.get(5)?,
    })
}
