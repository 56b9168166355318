//! Room: what one device may bring on one day, what all of it may take, and what
//! of the disk is left alone so that actions always find room.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use shaodao_core::domain::ids::{DeviceId, SealedId};

use super::Refused;
use super::settings::Settings;
use crate::db::DbError;
use crate::quota::{day_began_ms, next_day_ms};

/// The disks that evidence is on.
#[derive(Debug, Clone)]
pub(super) struct Room {
    disks: Vec<PathBuf>,
    reserve_bytes: u64,
}

impl Room {
    pub(super) fn new(settings: &Settings, arriving: &Path, resting: Option<&Path>) -> Self {
        let resting = resting.map(Path::to_owned);
        Self {
            disks: std::iter::once(arriving.to_owned())
                .chain(resting)
                .collect(),
            reserve_bytes: settings.reserve_bytes,
        }
    }

    /// Bytes that evidence may still take.
    pub(super) fn free_bytes(&self) -> std::io::Result<u64> {
        let mut least = u64::MAX;
        for disk in &self.disks {
            least = least.min(fs4::available_space(disk)?);
        }
        Ok(least.saturating_sub(self.reserve_bytes))
    }
}

/// Whether a device may begin to bring so many bytes; `coming` are bytes that
/// others have announced and not brought yet.
pub(super) fn check(
    db: &Connection,
    settings: &Settings,
    device: DeviceId,
    length: u64,
    now_ms: i64,
) -> Result<(), Refused> {
    let today = today(db, device, now_ms)?.saturating_add(length);
    if today > settings.device_bytes_per_day {
        let wait_ms = next_day_ms(now_ms) - now_ms;
        return Err(Refused::Quota {
            wait_s: wait_ms.unsigned_abs().div_ceil(1_000),
        });
    }
    if settings.total_bytes > 0 && total(db)?.saturating_add(length) > settings.total_bytes {
        return Err(Refused::Full);
    }
    Ok(())
}

/// Uploads that are not finished: whose, what, how long.
pub(super) fn announced(db: &Connection) -> Result<Vec<(DeviceId, SealedId, u64)>, DbError> {
    let mut statement = db.prepare_cached("SELECT device, sealed, length FROM upload")?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0).map(DeviceId)?,
            row.get(1).map(SealedId)?,
            row.get::<_, i64>(2)?.cast_unsigned(),
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a device has brought and announced today, bytes.
fn today(db: &Connection, device: DeviceId, now_ms: i64) -> Result<u64, DbError> {
    let brought = "SELECT COALESCE(SUM(size), 0) FROM evidence
                   WHERE device = ?1 AND arrived_at_ms >= ?2";
    let since = params![device.0, day_began_ms(now_ms)];
    let brought: i64 = db
        .prepare_cached(brought)?
        .query_row(since, |row| row.get(0))?;
    let announced = "SELECT COALESCE(SUM(length), 0) FROM upload WHERE device = ?1";
    let announced: i64 = db
        .prepare_cached(announced)?
        .query_row([device.0], |row| row.get(0))?;
    Ok((brought + announced).unsigned_abs())
}

/// What all evidence takes or will take, bytes.
fn total(db: &Connection) -> Result<u64, DbError> {
    let mut statement = db.prepare_cached(
        "SELECT (SELECT COALESCE(SUM(size), 0) FROM evidence
                 WHERE arrived_at_ms IS NOT NULL AND erased = 0)
              + (SELECT COALESCE(SUM(length), 0) FROM upload)",
    )?;
    let total: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(total.unsigned_abs())
}
