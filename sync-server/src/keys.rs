//! The server's own identity: the device as which it signs numbers, escalations
//! and editions of the directory, and how its key is changed.
//!
//! A changed key makes a new device with a chain of its own; the old one is
//! revoked. Phones follow, because the old key signs the new one
//! ([`shaodao_core::sync::edition::KeyChange`]).

use ed25519_dalek::SigningKey;
use rand::Rng;
use rusqlite::{Connection, params};

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::{DeviceId, PersonId};
use shaodao_core::sync::edition::KeyChange;

use crate::db::{self, DbError};
use crate::engine::{Engine, EngineError};

/// The server's own device and key; `None` in an empty database.
///
/// # Errors
/// See [`DbError`].
pub fn known_identity(db: &Connection) -> Result<Option<(DeviceId, SigningKey)>, DbError> {
    let id: Option<[u8; 16]> = db::meta(db, "device")?;
    let secret: Option<[u8; 32]> = db::meta(db, "device_key")?;
    Ok(match (id, secret) {
        (Some(id), Some(secret)) => Some((DeviceId(id), SigningKey::from_bytes(&secret))),
        _ => None,
    })
}

/// The server's own device and key, made on first use.
///
/// # Errors
/// See [`DbError`].
pub fn identity(
    db: &Connection,
    rng: &mut impl Rng,
    now_ms: i64,
) -> Result<(DeviceId, SigningKey), DbError> {
    match known_identity(db)? {
        Some(known) => Ok(known),
        None => new_identity(db, rng, now_ms),
    }
}

/// Changes of the server's key with editions after `version`, oldest first.
///
/// # Errors
/// See [`DbError`].
pub fn changes_since(db: &Connection, version: u64) -> Result<Vec<KeyChange>, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT version, old, new, by_old, by_new FROM key_change
         WHERE version > ?1 ORDER BY version",
    )?;
    let rows = statement.query_map([version.cast_signed()], |row| {
        Ok(KeyChange {
            version: row.get::<_, i64>(0)?.cast_unsigned(),
            old: row.get::<_, Vec<u8>>(1)?.into(),
            new: row.get::<_, Vec<u8>>(2)?.into(),
            by_old: row.get::<_, Vec<u8>>(3)?.into(),
            by_new: row.get::<_, Vec<u8>>(4)?.into(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Engine {
    /// The server's public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Gives the server a new key, and signs the directory again with it.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn rotate_key(&mut self, who: &str) -> Result<DeviceId, EngineError> {
        let now_ms = self.clock.now_ms();
        let (old_device, old_key) = (self.device, self.key.clone());
        let (device, key) = new_identity(&self.db, &mut self.rng, now_ms)?;
        db::delete_meta(&self.db, "chain_length")?;
        db::delete_meta(&self.db, "chain_newest")?;
        self.db.execute(
            "UPDATE device SET state = ?2 WHERE device = ?1",
            params![old_device.0, DeviceState::Revoked.code()],
        )?;
        (self.device, self.key) = (device, key);
        let pack = self.pack()?;
        let version = self.publish_edition(&pack, who, "the server's key was changed")?;
        let change = KeyChange::sign(&old_key, &self.key, version);
        self.db.execute(
            "INSERT INTO key_change (version, old, new, by_old, by_new)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                version.cast_signed(),
                change.old.as_slice(),
                change.new.as_slice(),
                change.by_old.as_slice(),
                change.by_new.as_slice()
            ],
        )?;
        db::audit(&self.db, now_ms, "rotate_key", who, &device.to_string())?;
        Ok(device)
    }
}

fn new_identity(
    db: &Connection,
    rng: &mut impl Rng,
    now_ms: i64,
) -> Result<(DeviceId, SigningKey), DbError> {
    let id = DeviceId::random(rng);
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let key = SigningKey::from_bytes(&secret);
    db::set_meta(db, "device", &id.0)?;
    db::set_meta(db, "device_key", &secret)?;
    db.execute(
        "INSERT INTO device
             (device, person, key, token_hash, token_expires_ms, app, enrolled_ms, state, backlog)
         VALUES (?1, ?2, ?3, NULL, 0, ?4, ?5, ?6, 0)",
        params![
            id.0,
            PersonId::SERVER,
            key.verifying_key().to_bytes(),
            env!("CARGO_PKG_VERSION"),
            now_ms,
            DeviceState::Active.code(),
        ],
    )?;
    Ok((id, key))
}
