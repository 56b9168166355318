//! Limits and working time, in exact integer minutes, Asia/Shanghai.
//!
//! China has kept UTC+8 without summer time since 1991, so local time is UTC
//! plus eight hours and no time-zone table is needed.
//!
//! 1. A category gives a [`Limit`], an area class stretches it.
//! 2. The [`Calendar`] says which minutes of a day are worked: periods per
//!    weekday, and dated exceptions (holidays, make-up days 调休).
//! 3. [`Calendar::due`] counts worked minutes from a start, leaving out
//!    suspensions.
//!
//! What can go wrong: a limit so large that no calendar reaches it, or a
//! calendar without working time: [`NoDueTime`], at once and without overflow.
//! Beyond the imported holidays nobody knows the answer: it is marked
//! provisional, and no year of holidays is ever invented.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Days, NaiveDate};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MIN: i64 = 24 * 60;
const OFFSET_MIN: i64 = 8 * 60;
/// Days that are looked at before giving up: ten years.
const MAX_DAYS: u32 = 3_660;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitUnit {
    /// 紧急工作时: runs day and night.
    UrgentHour,
    /// 工作时: an hour of working time.
    WorkingHour,
    /// 工作日: as many minutes as a full working day has.
    WorkingDay,
}

/// A handling limit, such as `4h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// How many.
    pub amount: u32,
    /// Of what.
    pub unit: LimitUnit,
}

/// A text that is not a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a limit: `{0}`; expected a number and u (urgent hours), h (working hours) or d (working days), such as 4h"
)]
pub struct BadLimit(pub String);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.unit {
            LimitUnit::UrgentHour => 'u',
            LimitUnit::WorkingHour => 'h',
            LimitUnit::WorkingDay => 'd',
        };
        write!(f, "{}{letter}", self.amount)
    }
}

impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        let bad = || BadLimit(text.chars().take(40).collect());
        let unit = match text.chars().last() {
            Some('u') => LimitUnit::UrgentHour,
            Some('h') => LimitUnit::WorkingHour,
            Some('d') => LimitUnit::WorkingDay,
            _ => return Err(bad()),
        };
        let digits = &text[..text.len() - 1];
        let amount = digits.parse::<u32>().map_err(|_| bad())?;
        Ok(Self { amount, unit })
    }
}

/// How quickly things have to go in an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AreaClass {
    /// The limit as it stands.
    A,
    /// Half as long again.
    B,
    /// Twice as long.
    C,
}

impl Limit {
    /// The limit in an area of this class, rounded up.
    pub fn for_class(self, class: AreaClass) -> Self {
        let amount = match class {
            AreaClass::A => self.amount,
            AreaClass::B => self.amount.saturating_add(self.amount.div_ceil(2)),
            AreaClass::C => self.amount.saturating_mul(2),
        };
        Self { amount, ..self }
    }
}

/// A stretch of a day, minutes after local midnight, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// 0 to 1440.
    pub from_min: u32,
    /// 0 to 1440, after `from_min`.
    pub to_min: u32,
}

/// Working time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Names this edition; running limits keep it.
    pub version: String,
    /// Periods of a full working day, ascending.
    pub periods: Vec<Period>,
    /// Worked weekdays, Monday first.
    pub weekdays: [bool; 7],
    /// Days that differ: worked (make-up) or off (holiday).
    pub exceptions: BTreeMap<NaiveDate, bool>,
    /// Last day whose exceptions are known; beyond it answers are provisional.
    pub horizon: Option<NaiveDate>,
}

/// A due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueTime {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Lies beyond the imported holidays.
    pub provisional: bool,
}

/// No calendar reaches the end of such a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no due time within ten years")]
pub struct NoDueTime;

impl Calendar {
    /// 09:00–12:00 and 13:00–17:00, Monday to Friday, no exceptions known.
    pub fn office() -> Self {
        let period = |from: u32, to: u32| Period {
            from_min: from * 60,
            to_min: to * 60,
        };
        Self {
            version: "office".to_owned(),
            periods: vec![period(9, 12), period(13, 17)],
            weekdays: [true, true, true, true, true, false, false],
            exceptions: BTreeMap::new(),
            horizon: None,
        }
    }

    /// When a limit that starts at `start_ms` ends, leaving out suspensions
    /// (start and end, Unix milliseconds, in any order). A start within a
    /// minute counts from that minute's beginning.
    ///
    /// # Errors
    /// [`NoDueTime`].
    pub fn due(
        &self,
        start_ms: i64,
        limit: Limit,
        suspensions: &[(i64, i64)],
    ) -> Result<DueTime, NoDueTime> {
        let amount = i64::from(limit.amount);
        let (minutes, urgent) = match limit.unit {
            LimitUnit::UrgentHour => (amount * 60, true),
            LimitUnit::WorkingHour => (amount * 60, false),
            LimitUnit::WorkingDay => (amount * self.full_day_min(), false),
        };
        let start_min = start_ms.div_euclid(MINUTE_MS) + OFFSET_MIN;
        let pauses = merged(suspensions);
        let mut left = minutes;
        let mut date = date_of(start_min).ok_or(NoDueTime)?;
        let mut midnight = start_min.div_euclid(DAY_MIN) * DAY_MIN;
        for _ in 0..MAX_DAYS {
            for (from, to) in self.worked(date, urgent) {
                let from = (midnight + from).max(start_min);
                for (from, to) in without(from, midnight + to, &pauses) {
                    if to - from >= left {
                        return Ok(self.due_at(from + left, date));
                    }
                    left -= to - from;
                }
            }
            date = date.checked_add_days(Days::new(1)).ok_or(NoDueTime)?;
            midnight += DAY_MIN;
        }
        Err(NoDueTime)
    }

    /// Whether a day is worked.
    pub fn is_worked(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_monday() as usize;
        match self.exceptions.get(&date) {
            Some(worked) => *worked,
            None => self.weekdays[weekday],
        }
    }

    fn due_at(&self, local_min: i64, date: NaiveDate) -> DueTime {
        DueTime {
            at_ms: (local_min - OFFSET_MIN) * MINUTE_MS,
            provisional: self.horizon.is_some_and(|horizon| date > horizon),
        }
    }

    fn full_day_min(&self) -> i64 {
        let length = |period: &Period| i64::from(period.to_min) - i64::from(period.from_min);
        self.periods.iter().map(length).sum()
    }

    fn worked(&self, date: NaiveDate, urgent: bool) -> Vec<(i64, i64)> {
        if urgent {
            return vec![(0, DAY_MIN)];
        }
        if !self.is_worked(date) {
            return Vec::new();
        }
        let span = |period: &Period| (i64::from(period.from_min), i64::from(period.to_min));
        self.periods.iter().map(span).collect()
    }
}

/// Unix milliseconds as Shanghai wall time, `2025-06-11 09:12`.
pub fn local_text(ms: i64) -> String {
    let shifted = ms.saturating_add(OFFSET_MIN * MINUTE_MS);
    match chrono::DateTime::from_timestamp_millis(shifted) {
        Some(time) => time.format("%Y-%m-%d %H:%M").to_string(),
        None => "—".to_owned(),
    }
}

/// The Shanghai date of a time, `20250611`, as numbers use it.
pub fn local_date_compact(ms: i64) -> String {
    let shifted = ms.saturating_add(8 * HOUR_MS);
    match chrono::DateTime::from_timestamp_millis(shifted) {
        Some(time) => time.format("%Y%m%d").to_string(),
        None => "00000000".to_owned(),
    }
}

/// The Shanghai date of a time; `None` outside the years that dates have.
pub fn local_date(ms: i64) -> Option<NaiveDate> {
    date_of(ms.div_euclid(MINUTE_MS).checked_add(OFFSET_MIN)?)
}

/// When a Shanghai day begins, Unix milliseconds.
pub fn start_of_day_ms(date: NaiveDate) -> i64 {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    (days * DAY_MIN - OFFSET_MIN) * MINUTE_MS
}

fn date_of(local_min: i64) -> Option<NaiveDate> {
    let seconds = local_min.checked_mul(60)?;
    chrono::DateTime::from_timestamp(seconds, 0).map(|time| time.date_naive())
}

/// Suspensions in local minutes, ascending, overlaps joined.
fn merged(suspensions: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let minute = |ms: i64| ms.div_euclid(MINUTE_MS) + OFFSET_MIN;
    let mut pauses: Vec<(i64, i64)> = suspensions
        .iter()
        .map(|(from, to)| (minute(*from), minute(*to)))
        .filter(|(from, to)| from < to)
        .collect();
    pauses.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in pauses {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// The parts of `from..to` outside the pauses.
fn without(from: i64, to: i64, pauses: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut parts = Vec::new();
    let mut from = from;
    for (pause_from, pause_to) in pauses {
        if *pause_to <= from || *pause_from >= to {
            continue;
        }
        if *pause_from > from {
            parts.push((from, *pause_from));
        }
        from = from.max(*pause_to);
    }
    if from < to {
        parts.push((from, to));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shanghai wall time to Unix milliseconds.
    fn at(text: &str) -> i64 {
        let time = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
        time.and_utc().timestamp_millis() - 8 * HOUR_MS
    }

    fn due(start: &str, limit: &str, suspensions: &[(i64, i64)]) -> String {
        let limit = limit.parse().expect("a limit");
        let due = Calendar::office().due(at(start), limit, suspensions);
        local_text(due.expect("within ten years").at_ms)
    }

    #[test]
    fn the_limits_of_the_handbook_end_when_it_says() {
        // 2025-06-13 is a Friday.
        assert_eq!(due("2025-06-13 16:30", "4h", &[]), "2025-06-16 13:30");
        assert_eq!(due("2025-06-13 16:30", "1d", &[]), "2025-06-16 16:30");
        let pause = [(at("2025-06-16 10:00"), at("2025-06-18 10:00"))];
        assert_eq!(due("2025-06-13 16:30", "1d", &pause), "2025-06-18 16:30");
        assert_eq!(due("2025-06-14 23:30", "2u", &[]), "2025-06-15 01:30");
    }

    #[test]
    fn national_day_2025_is_off_and_its_make_up_days_are_worked() {
        let mut calendar = Calendar::office();
        for day in 1..=8 {
            let date = NaiveDate::from_ymd_opt(2025, 10, day).expect("a date");
            calendar.exceptions.insert(date, false);
        }
        for (month, day) in [(9, 28), (10, 11)] {
            let date = NaiveDate::from_ymd_opt(2025, month, day).expect("a date");
            calendar.exceptions.insert(date, true);
        }
        let limit = Limit {
            amount: 1,
            unit: LimitUnit::WorkingDay,
        };
        let due = |start| {
            calendar
                .due(at(start), limit, &[])
                .map(|due| local_text(due.at_ms))
        };
        assert_eq!(due("2025-09-30 16:00").as_deref(), Ok("2025-10-09 16:00"));
        assert_eq!(due("2025-09-27 09:00").as_deref(), Ok("2025-09-28 17:00"));
        assert_eq!(due("2025-10-10 17:00").as_deref(), Ok("2025-10-11 17:00"));
    }

    #[test]
    fn an_absurd_limit_is_refused_at_once() {
        let limit = Limit {
            amount: u32::MAX,
            unit: LimitUnit::WorkingDay,
        };
        assert_eq!(Calendar::office().due(0, limit, &[]), Err(NoDueTime));
        assert_eq!(Calendar::office().due(i64::MAX, limit, &[]), Err(NoDueTime));
        assert_eq!(Calendar::office().due(i64::MIN, limit, &[]), Err(NoDueTime));
    }

    #[test]
    fn counting_minute_by_minute_gives_the_same() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let calendar = Calendar::office();
        for _ in 0..3_000 {
            let start = at("2025-06-09 00:00") + rng.random_range(0..20_000i64) * MINUTE_MS;
            let hours = rng.random_range(1..30u32);
            let pause_from = start + rng.random_range(-5_000..8_000i64) * MINUTE_MS;
            let pause = (
                pause_from,
                pause_from + rng.random_range(0..3_000i64) * MINUTE_MS,
            );
            let limit = Limit {
                amount: hours,
                unit: LimitUnit::WorkingHour,
            };
            let due = calendar.due(start, limit, &[pause]).expect("soon");
            let mut left = i64::from(hours) * 60;
            let mut now = start;
            while left > 0 {
                let local = now.div_euclid(MINUTE_MS) + OFFSET_MIN;
                let minute = local.rem_euclid(DAY_MIN);
                let worked = calendar.is_worked(date_of(local).expect("a date"))
                    && ((540..720).contains(&minute) || (780..1020).contains(&minute));
                if worked && !(pause.0..pause.1).contains(&now) {
                    left -= 1;
                }
                now += MINUTE_MS;
            }
            assert_eq!(due.at_ms, now, "start {start}, {hours} h, pause {pause:?}");
        }
    }
}
