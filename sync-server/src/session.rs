//! Sessions: opaque tokens, kept as hashes, bound to a device, given to whoever
//! signs a challenge with the device's key. A phone that lost its token, or
//! whose token is too old, opens another one the same way.

use std::sync::{Mutex, PoisonError};

use ed25519_dalek::{Signature, VerifyingKey};
use lru::LruCache;
use rusqlite::{Connection, OptionalExtension, params};

use shaodao_core::domain::ids::DeviceId;
use shaodao_core::sync::enrol::session_proof;
use shaodao_core::sync::wire::EnrolReply;

use crate::db::{self, DbError};
use crate::engine::{Engine, EngineError, capacity, sha256};
use crate::{directory, keys};

/// A token is good for so long, milliseconds: thirty days.
const TOKEN_MS: i64 = 30 * 24 * 3_600_000;
/// A challenge has to be answered within so long, milliseconds.
const CHALLENGE_MS: i64 = 2 * 60_000;
/// Characters of 5 bits: 260 bits.
const TOKEN_LENGTH: usize = 52;

/// Challenges that wait for their signature: each is good once. They live in
/// memory; after a restart phones ask for another.
pub struct Challenges(Mutex<LruCache<DeviceId, (Vec<u8>, i64)>>);

impl Challenges {
    /// None yet.
    pub fn new() -> Self {
        Self(Mutex::new(LruCache::new(capacity(4_096))))
    }

    /// A challenge for a device, instead of any earlier one.
    ///
    /// # Errors
    /// No random numbers from the system.
    pub fn draw(&self, device: DeviceId, now_ms: i64) -> Result<Vec<u8>, EngineError> {
        let challenge = random_challenge()?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.put(device, (challenge.clone(), now_ms + CHALLENGE_MS));
        Ok(challenge)
    }

    /// Takes the challenge of a device; nobody can answer it a second time.
    pub fn take(&self, device: DeviceId, now_ms: i64) -> Option<Vec<u8>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (challenge, until_ms) = waiting.pop(&device)?;
        (now_ms <= until_ms).then_some(challenge)
    }
}

impl Default for Challenges {
    fn default() -> Self {
        Self::new()
    }
}

/// A challenge. What is drawn for a device that is none is not kept, so that
/// nobody can crowd out those of real ones.
///
/// # Errors
/// No random numbers from the system.
pub fn random_challenge() -> Result<Vec<u8>, EngineError> {
    let mut challenge = vec![0; 32];
    getrandom::fill(&mut challenge).map_err(|error| EngineError::Random(error.to_string()))?;
    Ok(challenge)
}

/// A key that no phone signs with: the server's own.
///
/// # Errors
/// See [`DbError`].
pub fn nobodys_key(db: &Connection) -> Result<VerifyingKey, DbError> {
    let own = keys::known_identity(db)?.ok_or(DbError::Value("the server's own key is gone"))?;
    Ok(own.1.verifying_key())
}

/// Whether a device signed its challenge, for this server under any key that it
/// has had: a phone may not have heard of a change yet.
///
/// # Errors
/// See [`DbError`].
pub fn is_proven(
    db: &Connection,
    device: DeviceId,
    device_key: &VerifyingKey,
    challenge: &[u8],
    signature: &[u8],
) -> Result<bool, DbError> {
    let Ok(signature) = Signature::from_slice(signature) else {
        return Ok(false);
    };
    let current = keys::known_identity(db)?.map(|(_, key)| key.verifying_key().to_bytes());
    let former = keys::changes_since(db, 0)?;
    let former = former
        .iter()
        .filter_map(|change| <[u8; 32]>::try_from(change.old.as_slice()).ok());
    Ok(current.into_iter().chain(former).any(|server_key| {
        let proof = session_proof(&device, challenge, &server_key);
        device_key.verify_strict(&proof, &signature).is_ok()
    }))
}

impl Engine {
    /// Opens a session for a device that has proved itself, instead of any
    /// earlier one.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn open_session(
        &mut self,
        device: DeviceId,
        held: u64,
        app: &str,
    ) -> Result<EnrolReply, EngineError> {
        let token = self.random_text(TOKEN_LENGTH);
        let now_ms = self.clock.now_ms();
        let person: Option<String> = self
            .db
            .query_row(
                "UPDATE device SET token_hash = ?2, token_expires_ms = ?3, app = ?4
                 WHERE device = ?1 RETURNING person",
                params![
                    device.0,
                    sha256(token.as_bytes()),
                    now_ms + TOKEN_MS,
                    app.chars().take(40).collect::<String>()
                ],
                |row| row.get(0),
            )
            .optional()?;
        let changes = keys::changes_since(&self.db, held)?;
        Ok(EnrolReply {
            token,
            person: person.ok_or(EngineError::Malformed("device"))?,
            street: self.directory.street.clone(),
            epoch: db::meta(&self.db, "epoch")?.unwrap_or_default(),
            server_ms: now_ms,
            directory: directory::newer_than(&self.db, &self.directory.street, held)?,
            server_key: self.public_key().to_vec(),
            key_changes: (!changes.is_empty()).then_some(changes),
        })
    }
}
