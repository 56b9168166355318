//! Shanghai wall time in tests.

use chrono::{NaiveDate, NaiveDateTime};
use shaodao_core::domain::calendar::{Calendar, Limit, NoDueTime, local_text};

/// A minute, milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// An hour, milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day, milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// `2025-06-13 16:30` in Shanghai as Unix milliseconds.
pub fn at(text: &str) -> i64 {
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
    time.and_utc().timestamp_millis() - 8 * HOUR_MS
}

/// `2025-10-01` as a date.
pub fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

/// `4h` as a limit.
pub fn limit(text: &str) -> Limit {
    text.parse().expect("a limit")
}

/// When a limit that starts at a Shanghai time ends, as Shanghai time.
pub fn due(
    calendar: &Calendar,
    start: &str,
    limit_text: &str,
    suspensions: &[(i64, i64)],
) -> Result<String, NoDueTime> {
    let due = calendar.due(at(start), limit(limit_text), suspensions)?;
    Ok(local_text(due.at_ms))
}
