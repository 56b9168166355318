//! Working time and due times, in exact integer minutes, Asia/Shanghai.
//!
//! China has kept UTC+8 without summer time since 1991, so local time is UTC
//! plus eight hours and no time-zone table is needed.
//!
//! 1. A category and an area class give a [`Limit`].
//! 2. A [`Calendar`] says which minutes of a day are worked: the periods of an
//!    ordinary [`Week`], and dated exceptions (holidays, make-up days 调休). It
//!    is one edition of many; a running limit keeps the edition it began under.
//! 3. [`Calendar::due`] counts worked minutes from a start, leaving out
//!    suspensions. A minute counts only as a whole: it begins after the start,
//!    is worked, and no suspension touches it. What a part of a minute is worth
//!    is thus always in favour of whoever has to meet the limit.
//! 4. [`Calendar::used_min`] counts the same minutes up to a moment, and
//!    [`light`] turns the share that is used into a colour.
//!
//! What can go wrong: (2) periods that overlap or a day without end:
//! [`BadCalendar`], before anything is counted with it; (3) a limit so large
//! that no calendar reaches it, a calendar without working time, or a clock that
//! stands still: [`NoDueTime`], at once and without overflow. Outside the
//! imported years nobody knows the holidays: the answer is marked provisional,
//! and no year of holidays is ever invented.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use chrono::{Datelike, NaiveDate};

// What a calendar is asked about.
pub use super::limit::{AreaClass, BadLimit, Light, Limit, LimitUnit, light};

/// Stands for the end of a suspension that has none yet.
pub const OPEN: i64 = i64::MAX;

const MINUTE_MS: i64 = 60_000;
const DAY_MIN: i64 = 24 * 60;
const OFFSET_MIN: i64 = 8 * 60;
/// Days that are looked at before giving up: ten years.
const MAX_DAYS: i64 = 3_660;

/// A stretch of a day, minutes after local midnight, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// 0 to 1440.
    pub from_min: u32,
    /// 0 to 1440, after `from_min`.
    pub to_min: u32,
}

impl Period {
    const ALL_DAY: [Self; 1] = [Self {
        from_min: 0,
        to_min: 1_440,
    }];
}

/// The working time of an ordinary week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// Worked periods of each weekday, Monday first, ascending; none on a day
    /// off. What lies between two periods (the lunch break) is not worked.
    pub days: [Vec<Period>; 7],
    /// Worked periods of a make-up day, whatever its weekday.
    pub make_up: Vec<Period>,
    /// What one 工作日 of a limit counts for, minutes, 1 to 1440.
    pub day_min: u32,
}

/// One edition of the working time of a street.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    version: String,
    week: Week,
    exceptions: BTreeMap<NaiveDate, bool>,
    known: Option<(NaiveDate, NaiveDate)>,
}

/// A calendar that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCalendar {
    /// An edition must have a name of at most 40 characters.
    #[error("the edition of a calendar needs a name of 1 to 40 characters")]
    Version,
    /// Periods must follow one another within a day.
    #[error(
        "{day}: {from_min} to {to_min}: periods ascend, do not overlap, and end by minute 1440"
    )]
    Period {
        /// `weekday 1` (Monday) to `weekday 7`, or `make-up day`.
        day: String,
        /// Start of the first wrong period.
        from_min: u32,
        /// Its end.
        to_min: u32,
    },
    /// A working day of a limit must have a length within a day.
    #[error("a working day of {0} minutes; expected 1 to 1440")]
    Day(u32),
    /// There are make-up days, but nothing is worked on them.
    #[error("there are make-up days, but a make-up day has no working time")]
    MakeUp,
    /// The first known day lies behind the last one.
    #[error("known from {0} to {1}: the first day lies behind the last")]
    Known(NaiveDate, NaiveDate),
    /// An exception that lies outside the days whose exceptions are known.
    #[error("{0} is an exception outside the days whose exceptions are known")]
    Outside(NaiveDate),
    /// Between two known years lies one that nobody imported.
    #[error("the holidays of {0} are missing: import its year first")]
    Gap(i32),
    /// An edition of that name exists.
    #[error("there is a calendar `{0}` already; editions are never changed, only followed")]
    Exists(String),
}

/// A due time; the earlier one is the smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueTime {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Depends on a day whose holidays nobody has announced yet.
    pub provisional: bool,
}

/// Why a limit has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDueTime {
    /// The clock stands still until the suspension is lifted.
    #[error("suspended: there is no due time until it is resumed")]
    Suspended,
    /// No calendar reaches that far.
    #[error("no due time within ten years")]
    TooFar,
}

/// Whether a moment lies in one of the suspensions (start and end, Unix
/// milliseconds, the end not included).
pub fn is_suspended(suspensions: &[(i64, i64)], now_ms: i64) -> bool {
    let inside = |(from, to): &(i64, i64)| *from <= now_ms && (now_ms < *to || *to == OPEN);
    suspensions.iter().any(inside)
}

impl Calendar {
    /// An edition. `exceptions` are days that differ from the week: worked
    /// (`true`, a make-up day) or off (`false`, a holiday). `known` are the
    /// first and the last day whose exceptions are known.
    ///
    /// # Errors
    /// See [`BadCalendar`]; it names the place.
    pub fn new(
        version: &str,
        week: Week,
        exceptions: BTreeMap<NaiveDate, bool>,
        known: Option<(NaiveDate, NaiveDate)>,
    ) -> Result<Self, BadCalendar> {
        if version.is_empty() || version.chars().count() > 40 {
            return Err(BadCalendar::Version);
        }
        for (nth, periods) in week.days.iter().enumerate() {
            ascending(periods, || format!("weekday {}", nth + 1))?;
        }
        ascending(&week.make_up, || "make-up day".to_owned())?;
        if !(1..=1_440).contains(&week.day_min) {
            return Err(BadCalendar::Day(week.day_min));
        }
        if week.make_up.is_empty() && exceptions.values().any(|worked| *worked) {
            return Err(BadCalendar::MakeUp);
        }
        if let Some((first, last)) = known.filter(|(first, last)| first > last) {
            return Err(BadCalendar::Known(first, last));
        }
        let covered = |date: &NaiveDate| known.is_some_and(|(a, b)| (a..=b).contains(date));
        if let Some(date) = exceptions.keys().find(|date| !covered(date)) {
            return Err(BadCalendar::Outside(*date));
        }
        Ok(Self {
            version: version.to_owned(),
            week,
            exceptions,
            known,
        })
    }

    /// 09:00–12:00 and 13:00–17:00, Monday to Friday, no exceptions known.
    pub fn office() -> Self {
        let period = |from: u32, to: u32| Period {
            from_min: from * 60,
            to_min: to * 60,
        };
        let day = vec![period(9, 12), period(13, 17)];
        let days = [true, true, true, true, true, false, false];
        Self {
            version: "office".to_owned(),
            week: Week {
                days: days.map(|worked| if worked { day.clone() } else { Vec::new() }),
                make_up: day,
                day_min: 7 * 60,
            },
            exceptions: BTreeMap::new(),
            known: None,
        }
    }

    /// The name of this edition; running limits keep it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The ordinary week.
    pub fn week(&self) -> &Week {
        &self.week
    }

    /// The days that differ from the week: worked or off.
    pub fn exceptions(&self) -> &BTreeMap<NaiveDate, bool> {
        &self.exceptions
    }

    /// First and last day whose exceptions are known; answers that need others
    /// are provisional.
    pub fn known(&self) -> Option<(NaiveDate, NaiveDate)> {
        self.known
    }

    /// When a limit that starts at `start_ms` ends, leaving out suspensions
    /// (start and end, Unix milliseconds, in any order, overlapping or not;
    /// [`OPEN`] as the end of one that lasts). Those that end before they start
    /// count for nothing. A limit of nothing ends where it starts.
    ///
    /// # Errors
    /// [`NoDueTime`].
    pub fn due(
        &self,
        start_ms: i64,
        limit: Limit,
        suspensions: &[(i64, i64)],
    ) -> Result<DueTime, NoDueTime> {
        let start_min = minute_after(start_ms);
        let mut left = self.limit_min(limit);
        if left == 0 {
            return Ok(self.due_at(start_min, start_min, limit.unit));
        }
        let pauses = Pauses::of(suspensions);
        let end_min = self.count(start_min, limit.unit, &pauses, |from, to| {
            if to - from >= left {
                return ControlFlow::Break(from + left);
            }
            left -= to - from;
            ControlFlow::Continue(())
        });
        match end_min {
            Some(end_min) => Ok(self.due_at(start_min, end_min, limit.unit)),
            None if pauses.open_from.is_some() => Err(NoDueTime::Suspended),
            None => Err(NoDueTime::TooFar),
        }
    }

    /// How many minutes of a limit are used at `now_ms`; never more than the
    /// limit has.
    pub fn used_min(
        &self,
        start_ms: i64,
        limit: Limit,
        suspensions: &[(i64, i64)],
        now_ms: i64,
    ) -> i64 {
        let now_min = minute_before(now_ms);
        let whole = self.limit_min(limit);
        let mut used = 0;
        let pauses = Pauses::of(suspensions);
        self.count(minute_after(start_ms), limit.unit, &pauses, |from, to| {
            used += (to.min(now_min) - from).max(0);
            match to >= now_min || used >= whole {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        used.min(whole)
    }

    /// The [`light`] of a limit at `now_ms`; none while it is suspended.
    pub fn light(
        &self,
        start_ms: i64,
        limit: Limit,
        suspensions: &[(i64, i64)],
        now_ms: i64,
    ) -> Option<Light> {
        light(
            self.used_min(start_ms, limit, suspensions, now_ms),
            self.limit_min(limit),
            is_suspended(suspensions, now_ms),
        )
    }

    /// What a limit amounts to, minutes.
    pub fn limit_min(&self, limit: Limit) -> i64 {
        let amount = i64::from(limit.amount);
        match limit.unit {
            LimitUnit::UrgentHour | LimitUnit::WorkingHour => amount * 60,
            LimitUnit::WorkingDay => amount * i64::from(self.week.day_min),
        }
    }

    /// Whether anything is worked on a day.
    pub fn is_worked(&self, date: NaiveDate) -> bool {
        !self.worked(date).is_empty()
    }

    /// Shows the counted stretches of time (local minutes) from a minute on to
    /// `each`, in order, until it has seen enough; `None` if it never has.
    fn count<T>(
        &self,
        start_min: i64,
        unit: LimitUnit,
        pauses: &Pauses,
        mut each: impl FnMut(i64, i64) -> ControlFlow<T>,
    ) -> Option<T> {
        let first_day = start_min.div_euclid(DAY_MIN);
        let mut date = date_of(start_min)?;
        for day in first_day..first_day + MAX_DAYS {
            let midnight = day * DAY_MIN;
            if pauses.open_from.is_some_and(|from| from <= midnight) {
                return None;
            }
            let periods = match unit {
                LimitUnit::UrgentHour => &Period::ALL_DAY,
                LimitUnit::WorkingHour | LimitUnit::WorkingDay => self.worked(date),
            };
            for period in periods {
                let from = (midnight + i64::from(period.from_min)).max(start_min);
                let to = midnight + i64::from(period.to_min);
                if let ControlFlow::Break(found) = pauses.outside(from, to, &mut each) {
                    return Some(found);
                }
            }
            date = date.succ_opt()?;
        }
        None
    }

    fn worked(&self, date: NaiveDate) -> &[Period] {
        let weekday = date.weekday().num_days_from_monday() as usize;
        match self.exceptions.get(&date) {
            Some(true) => &self.week.make_up,
            Some(false) => &[],
            None => &self.week.days[weekday],
        }
    }

    fn due_at(&self, start_min: i64, end_min: i64, unit: LimitUnit) -> DueTime {
        // The last minute that counts lies before the end.
        let days = [date_of(start_min), date_of(end_min - 1)];
        let is_known = |date: &Option<NaiveDate>| match (self.known, date) {
            (Some((first, last)), Some(date)) => (first..=last).contains(date),
            _ => false,
        };
        let by_the_clock = unit == LimitUnit::UrgentHour || end_min == start_min;
        DueTime {
            at_ms: (end_min - OFFSET_MIN).saturating_mul(MINUTE_MS),
            provisional: !by_the_clock && !days.iter().all(is_known),
        }
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
    let shifted = ms.saturating_add(OFFSET_MIN * MINUTE_MS);
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

/// Suspensions in local minutes: every minute that one touches.
struct Pauses {
    /// Ascending, overlaps joined.
    closed: Vec<(i64, i64)>,
    /// From here on the clock stands still.
    open_from: Option<i64>,
}

impl Pauses {
    fn of(suspensions: &[(i64, i64)]) -> Self {
        let mut open_from: Option<i64> = None;
        let mut closed: Vec<(i64, i64)> = Vec::new();
        for (from, to) in suspensions {
            let from_min = minute_before(*from);
            if *to == OPEN {
                open_from = Some(open_from.map_or(from_min, |other| other.min(from_min)));
            } else if from < to {
                closed.push((from_min, minute_after(*to)));
            }
        }
        closed.sort_unstable();
        closed.dedup_by(|later, earlier| {
            let joins = later.0 <= earlier.1;
            if joins {
                earlier.1 = earlier.1.max(later.1);
            }
            joins
        });
        Self { closed, open_from }
    }

    /// Shows the parts of `from..to` outside the pauses to `each`, empty ones
    /// among them.
    fn outside<T>(
        &self,
        mut from: i64,
        to: i64,
        each: &mut impl FnMut(i64, i64) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        let to = self.open_from.map_or(to, |open| open.min(to));
        for (pause_from, pause_to) in &self.closed {
            if *pause_to <= from {
                continue;
            }
            if *pause_from >= to {
                break;
            }
            each(from, from.max(*pause_from))?;
            from = *pause_to;
        }
        each(from, from.max(to))
    }
}

/// The first local minute that begins at or after a moment.
fn minute_after(ms: i64) -> i64 {
    let is_within = ms.rem_euclid(MINUTE_MS) != 0;
    minute_before(ms) + i64::from(is_within)
}

/// The local minute that a moment lies in.
fn minute_before(ms: i64) -> i64 {
    ms.div_euclid(MINUTE_MS) + OFFSET_MIN
}

fn date_of(local_min: i64) -> Option<NaiveDate> {
    let seconds = local_min.checked_mul(60)?;
    chrono::DateTime::from_timestamp(seconds, 0).map(|time| time.date_naive())
}

fn ascending(periods: &[Period], day: impl Fn() -> String) -> Result<(), BadCalendar> {
    let mut free_from = 0;
    for Period { from_min, to_min } in periods {
        if *from_min < free_from || to_min <= from_min || *to_min > 1_440 {
            return Err(BadCalendar::Period {
                day: day(),
                from_min: *from_min,
                to_min: *to_min,
            });
        }
        free_from = *to_min;
    }
    Ok(())
}
