//! How much of one device's work is taken on one day. Its own new actions
//! count; what is known already does not, nor does what it carries for others,
//! nor what an earlier life of this server had taken.
//!
//! Over the limit nothing is judged and nothing is lost: what fits is taken in
//! order, the rest stays in the phone's outbox, and the phone is told when to
//! come back.

use rusqlite::{Connection, params};

use shaodao_core::domain::ids::DeviceId;
use shaodao_core::envelope::Sealed;

use crate::db::DbError;
use crate::ingest::Arrived;
use crate::limits::Limits;

const DAY_MS: i64 = 24 * 3_600_000;
/// Asia/Shanghai, which has had no summer time since 1991.
const OFFSET_MS: i64 = 8 * 3_600_000;

/// The day's limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverQuota {
    /// Seconds until the next day begins.
    pub wait_s: u64,
}

/// What is left of a device's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    actions: u64,
    records: u64,
}

/// The longest beginning of `pushed` that still fits into the day of `device`,
/// and whether something was left out.
///
/// # Errors
/// See [`DbError`].
pub fn fitting(
    db: &Connection,
    limits: &Limits,
    device: DeviceId,
    now_ms: i64,
    pushed: Vec<Arrived>,
) -> Result<(Vec<Arrived>, Option<OverQuota>), DbError> {
    let is_own =
        |it: &Arrived| it.sealed.envelope.device == device && it.received_before_ms.is_none();
    let own = pushed.iter().filter(|it| is_own(it)).count() as u64;
    let today = actions_today(db, device, now_ms)?;
    // A record is begun by an action: far from both limits nothing more needs
    // to be counted.
    if today + own <= limits.actions_per_day.min(limits.records_per_day) {
        return Ok((pushed, None));
    }
    let count = pushed.len();
    let begun = records_today(db, device, now_ms)?;
    let mut room = Room {
        actions: limits.actions_per_day.saturating_sub(today),
        records: limits.records_per_day.saturating_sub(begun),
    };
    let mut fits = Vec::with_capacity(count);
    for arrived in pushed {
        if is_own(&arrived) && !is_known(db, &arrived.sealed)? {
            match room.without(&arrived.sealed) {
                Some(less) => room = less,
                None => break,
            }
        }
        fits.push(arrived);
    }
    let over = (fits.len() < count).then(|| OverQuota {
        wait_s: u64::try_from(next_day_ms(now_ms) - now_ms)
            .unwrap_or(1)
            .div_ceil(1_000),
    });
    Ok((fits, over))
}

impl Room {
    fn without(self, sealed: &Sealed) -> Option<Self> {
        Some(Self {
            actions: self.actions.checked_sub(1)?,
            records: self.records.checked_sub(opens(sealed).into())?,
        })
    }
}

/// Whether an envelope begins a record: its author had seen nothing of it.
fn opens(sealed: &Sealed) -> bool {
    sealed.envelope.seen.is_empty()
}

fn is_known(db: &Connection, sealed: &Sealed) -> Result<bool, DbError> {
    let mut statement = db.prepare_cached("SELECT 1 FROM envelope WHERE hash = ?1")?;
    Ok(statement.exists([sealed.hash.0])?)
}

fn actions_today(db: &Connection, device: DeviceId, now_ms: i64) -> Result<u64, DbError> {
    let sql = "SELECT COUNT(*) FROM envelope WHERE device = ?1 AND received_at_ms >= ?2";
    count(db, sql, device, now_ms)
}

fn records_today(db: &Connection, device: DeviceId, now_ms: i64) -> Result<u64, DbError> {
    let sql = "SELECT COUNT(*) FROM envelope WHERE device = ?1 AND received_at_ms >= ?2
               AND NOT EXISTS (SELECT 1 FROM envelope AS before
                   WHERE before.record = envelope.record AND before.id < envelope.id)";
    count(db, sql, device, now_ms)
}

fn count(db: &Connection, sql: &str, device: DeviceId, now_ms: i64) -> Result<u64, DbError> {
    let today_ms = day_began_ms(now_ms);
    let count: i64 = db
        .prepare_cached(sql)?
        .query_row(params![device.0, today_ms], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// When the day began, milliseconds.
pub(crate) fn day_began_ms(now_ms: i64) -> i64 {
    next_day_ms(now_ms) - DAY_MS
}

/// When the next day begins, milliseconds.
pub(crate) fn next_day_ms(now_ms: i64) -> i64 {
    ((now_ms + OFFSET_MS).div_euclid(DAY_MS) + 1) * DAY_MS - OFFSET_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_shanghai() {
        // 2025-06-11 09:00 in Shanghai, and the midnight after it.
        let morning = 1_749_603_600_000;
        assert_eq!(next_day_ms(morning) - morning, 15 * 3_600_000);
        assert_eq!(
            next_day_ms(next_day_ms(morning)),
            next_day_ms(morning) + DAY_MS
        );
    }
}
