//! Calendars in the JSON form of a directory: several editions side by side,
//! one of them current, and the import that adds the next one.
//!
//! 1. `editions` reads `calendars` (every edition) and `calendar` (the name of
//!    the current one).
//! 2. [`import`] reads a table of holidays and adds the edition that follows the
//!    current one, which stays for the limits that run under it.
//!
//! What can go wrong: an edition that makes no sense, one name twice, a current
//! edition that is not there, a table that does not read: [`CalendarError`], and
//! the directory is as it was.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::calendar::{BadCalendar, Calendar, Period, Week};
use crate::domain::holidays::{BadHolidays, Holidays};

/// Calendars that do not read, and why.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// Not JSON of this shape.
    #[error("calendars: {0}")]
    Json(#[from] serde_json::Error),
    /// An edition makes no sense.
    #[error("calendar `{version}`: {error}")]
    Calendar {
        /// Which edition.
        version: String,
        /// What is wrong.
        error: BadCalendar,
    },
    /// One day is both worked and off.
    #[error("calendar `{version}`: {date} is both worked and off, or stands twice")]
    Twice {
        /// Which edition.
        version: String,
        /// Which day.
        date: NaiveDate,
    },
    /// The edition that is named as current is not among the editions.
    #[error("the current calendar `{0}` is not among the calendars")]
    NoCurrent(String),
    /// The table of holidays does not read.
    #[error(transparent)]
    Holidays(#[from] BadHolidays),
}

/// One edition. Periods are pairs of minutes after local midnight.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalendarPack {
    version: String,
    /// Monday first.
    week: [Vec<(u32, u32)>; 7],
    make_up: Vec<(u32, u32)>,
    working_day_minutes: u32,
    /// First and last day whose holidays are known.
    known: Option<(NaiveDate, NaiveDate)>,
    off: Vec<NaiveDate>,
    worked: Vec<NaiveDate>,
}

/// Reads the editions: the current one, and all others.
///
/// # Errors
/// See [`CalendarError`].
pub(super) fn editions(
    current: &str,
    packs: Vec<CalendarPack>,
) -> Result<(Calendar, Vec<Calendar>), CalendarError> {
    let mut others: Vec<Calendar> = Vec::with_capacity(packs.len());
    for pack in packs {
        let calendar = read(pack)?;
        if others.iter().any(|it| it.version() == calendar.version()) {
            let version = calendar.version().to_owned();
            let error = BadCalendar::Exists(version.clone());
            return Err(CalendarError::Calendar { version, error });
        }
        others.push(calendar);
    }
    match others.iter().position(|it| it.version() == current) {
        Some(at) => Ok((others.remove(at), others)),
        None => Err(CalendarError::NoCurrent(current.to_owned())),
    }
}

/// Adds the edition `version` to the JSON of a directory: the current edition
/// with the years of `table` (see [`Holidays::parse`]) as the table has them.
/// It becomes the current one. Everything else is left as it is, also the
/// directory's own version.
///
/// # Errors
/// See [`CalendarError`]; the directory is as it was.
pub fn import(directory: &mut Value, version: &str, table: &str) -> Result<(), CalendarError> {
    let holidays = Holidays::parse(table)?;
    let current: String = serde_json::from_value(directory["calendar"].clone())?;
    let packs: Vec<CalendarPack> = serde_json::from_value(directory["calendars"].clone())?;
    let (calendar, others) = editions(&current, packs)?;
    let bad = |error| CalendarError::Calendar {
        version: version.to_owned(),
        error,
    };
    if others.iter().any(|other| other.version() == version) {
        return Err(bad(BadCalendar::Exists(version.to_owned())));
    }
    let next = holidays.edition_after(&calendar, version).map_err(bad)?;
    let next = serde_json::to_value(written(&next))?;
    if let Some(calendars) = directory["calendars"].as_array_mut() {
        calendars.push(next);
    }
    directory["calendar"] = version.into();
    Ok(())
}

fn read(pack: CalendarPack) -> Result<Calendar, CalendarError> {
    let mut exceptions = BTreeMap::new();
    let off = pack.off.into_iter().map(|date| (date, false));
    let worked = pack.worked.into_iter().map(|date| (date, true));
    for (date, worked) in off.chain(worked) {
        if exceptions.insert(date, worked).is_some() {
            return Err(CalendarError::Twice {
                version: pack.version,
                date,
            });
        }
    }
    let periods = |pairs: Vec<(u32, u32)>| -> Vec<Period> {
        let period = |(from_min, to_min)| Period { from_min, to_min };
        pairs.into_iter().map(period).collect()
    };
    let week = Week {
        days: pack.week.map(periods),
        make_up: periods(pack.make_up),
        day_min: pack.working_day_minutes,
    };
    Calendar::new(&pack.version, week, exceptions, pack.known).map_err(|error| {
        CalendarError::Calendar {
            version: pack.version,
            error,
        }
    })
}

fn written(calendar: &Calendar) -> CalendarPack {
    let pairs = |periods: &Vec<Period>| -> Vec<(u32, u32)> {
        let pair = |period: &Period| (period.from_min, period.to_min);
        periods.iter().map(pair).collect()
    };
    let days = |kind: bool| {
        let days = calendar.exceptions().iter();
        days.filter(move |(_, worked)| **worked == kind)
            .map(|(date, _)| *date)
            .collect()
    };
    CalendarPack {
        version: calendar.version().to_owned(),
        week: calendar.week().days.each_ref().map(pairs),
        make_up: pairs(&calendar.week().make_up),
        working_day_minutes: calendar.week().day_min,
        known: calendar.known(),
        off: days(false),
        worked: days(true),
    }
}
