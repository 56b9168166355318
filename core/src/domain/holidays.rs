//! Holidays and make-up days as imported data: a table a year, from the notice
//! that announces them, into the next edition of a calendar.
//!
//! 1. [`Holidays::parse`] reads a table with the columns `date,kind,name,source`:
//!    `off` (a holiday), `worked` (a make-up day 调休), or `local` (a day that an
//!    office itself gives off).
//! 2. A table speaks for whole years: for each year in which it names an
//!    official day. Nothing is made up for any other.
//! 3. [`Holidays::edition_after`] makes the next edition of a calendar, with the
//!    table's years as the table has them and all others as they were.
//!
//! What can go wrong: (1) a word that is no date or kind, one day twice, a local
//! day that is a holiday under its own name already, one holiday from two
//! sources: [`BadHolidays`], with the line; (3) a year between two known ones is
//! missing: [`BadCalendar::Gap`].

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};

use super::calendar::{BadCalendar, Calendar};

/// Most days of one table: ten years of exceptions several times over.
const MAX_DAYS: usize = 1_000;
/// The columns, in this order.
const COLUMNS: [&str; 4] = ["date", "kind", "name", "source"];

/// What a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayKind {
    /// An official holiday.
    Off,
    /// An official make-up day (调休).
    Worked,
    /// A day that an office gives off on its own account.
    Local,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// What it is.
    pub kind: DayKind,
    /// The holiday that it belongs to, such as 国庆节.
    pub name: String,
    /// Who says so.
    pub source: String,
    /// Line of the table, from 1.
    pub line: u64,
}

/// A table of holidays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holidays {
    days: BTreeMap<NaiveDate, Day>,
}

/// A table of holidays that does not read, and where.
#[derive(Debug, thiserror::Error)]
pub enum BadHolidays {
    /// Not a table of this shape.
    #[error("holidays: {0}")]
    Csv(#[from] csv::Error),
    /// Other columns.
    #[error("holidays: line 1: expected the columns `date,kind,name,source`")]
    Columns,
    /// Not a date.
    #[error("holidays: line {line}: `{text}` is not a date; expected one such as 2025-10-01")]
    Date {
        /// Where.
        line: u64,
        /// What stands there, cut to 40 characters.
        text: String,
    },
    /// Not a kind.
    #[error("holidays: line {line}: `{word}` is not one of off, worked, local")]
    Kind {
        /// Where.
        line: u64,
        /// What stands there, cut to 40 characters.
        word: String,
    },
    /// A day without a name or a source.
    #[error("holidays: line {line}: the {column} is missing")]
    Missing {
        /// Where.
        line: u64,
        /// Which column.
        column: &'static str,
    },
    /// One day twice.
    #[error("holidays: line {line}: {date} stands in line {before} already")]
    Twice {
        /// Where it stands again.
        line: u64,
        /// Which day.
        date: NaiveDate,
        /// Where it stands first.
        before: u64,
    },
    /// A holiday that is official, once more on somebody else's account.
    #[error(
        "holidays: line {line}: {name} {year} is announced by {source_name} already (line {before})"
    )]
    Unofficial {
        /// Where the second account stands.
        line: u64,
        /// Which holiday.
        name: String,
        /// Of which year.
        year: i32,
        /// Who announced it.
        source_name: String,
        /// Where.
        before: u64,
    },
    /// A local day in a year of which the table has no official day.
    #[error("holidays: line {line}: the table has no official holidays of {year}")]
    UnknownYear {
        /// Where.
        line: u64,
        /// Which year.
        year: i32,
    },
    /// More days than any calendar needs.
    #[error("holidays: more than {MAX_DAYS} days")]
    TooMany,
    /// No day at all.
    #[error("holidays: the table is empty")]
    Empty,
}

impl Holidays {
    /// Reads a table. A byte order mark, as spreadsheets write it, is skipped.
    ///
    /// # Errors
    /// See [`BadHolidays`]; it names the line. Nothing is read in part.
    pub fn parse(table: &str) -> Result<Self, BadHolidays> {
        let table = table.strip_prefix('\u{feff}').unwrap_or(table);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(table.as_bytes());
        if *reader.headers()? != COLUMNS[..] {
            return Err(BadHolidays::Columns);
        }
        let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        for row in reader.records() {
            let (date, day) = read(&row?)?;
            let line = day.line;
            if let Some(before) = days.insert(date, day) {
                return Err(BadHolidays::Twice {
                    line,
                    date,
                    before: before.line,
                });
            }
            if days.len() > MAX_DAYS {
                return Err(BadHolidays::TooMany);
            }
        }
        if days.is_empty() {
            return Err(BadHolidays::Empty);
        }
        let holidays = Self { days };
        holidays.one_account_each()?;
        Ok(holidays)
    }

    /// The days, earliest first.
    pub fn days(&self) -> &BTreeMap<NaiveDate, Day> {
        &self.days
    }

    /// The years that the table speaks for.
    pub fn years(&self) -> BTreeSet<i32> {
        let official = |day: &Day| day.kind != DayKind::Local;
        let official = self.days.iter().filter(|(_, day)| official(day));
        official.map(|(date, _)| date.year()).collect()
    }

    /// The edition `version` that follows `calendar`: the years of the table as
    /// the table has them, all others and the week as they were.
    ///
    /// # Errors
    /// [`BadCalendar::Gap`] if a year between two known ones would be missing;
    /// [`BadCalendar::Exists`] if the edition is called like the one before;
    /// otherwise as [`Calendar::new`].
    pub fn edition_after(
        &self,
        calendar: &Calendar,
        version: &str,
    ) -> Result<Calendar, BadCalendar> {
        if calendar.version() == version {
            return Err(BadCalendar::Exists(version.to_owned()));
        }
        let years = self.years();
        let kept = calendar.exceptions().iter();
        let kept = kept.filter(|(date, _)| !years.contains(&date.year()));
        let mut exceptions: BTreeMap<NaiveDate, bool> =
            kept.map(|(date, worked)| (*date, *worked)).collect();
        let read = self.days.iter();
        exceptions.extend(read.map(|(date, day)| (*date, day.kind == DayKind::Worked)));
        let known = known(calendar.known(), &years)?;
        Calendar::new(version, calendar.week().clone(), exceptions, known)
    }

    /// Each official holiday of a year has one source, and no office gives it
    /// off a second time.
    fn one_account_each(&self) -> Result<(), BadHolidays> {
        let years = self.years();
        let mut announced: BTreeMap<(i32, &str), &Day> = BTreeMap::new();
        // Official days first, whatever the order of the table.
        let is_local = |(_, day): &(&NaiveDate, &Day)| day.kind == DayKind::Local;
        let (local, official): (Vec<_>, Vec<_>) = self.days.iter().partition(is_local);
        for (date, day) in official.into_iter().chain(local) {
            let year = date.year();
            if !years.contains(&year) {
                return Err(BadHolidays::UnknownYear {
                    line: day.line,
                    year,
                });
            }
            match announced.get(&(year, day.name.as_str())) {
                Some(first)
                    if (first.kind == DayKind::Local) != (day.kind == DayKind::Local)
                        || first.source != day.source =>
                {
                    return Err(BadHolidays::Unofficial {
                        line: day.line,
                        name: day.name.clone(),
                        year,
                        source_name: first.source.clone(),
                        before: first.line,
                    });
                }
                Some(_) => {}
                None => {
                    announced.insert((year, &day.name), day);
                }
            }
        }
        Ok(())
    }
}

fn read(row: &csv::StringRecord) -> Result<(NaiveDate, Day), BadHolidays> {
    let line = row.position().map_or(0, csv::Position::line);
    let cell = |nth: usize| row.get(nth).unwrap_or_default();
    let cut = |text: &str| text.chars().take(40).collect::<String>();
    let date = NaiveDate::parse_from_str(cell(0), "%Y-%m-%d").map_err(|_| BadHolidays::Date {
        line,
        text: cut(cell(0)),
    })?;
    let kind = match cell(1) {
        "off" => DayKind::Off,
        "worked" => DayKind::Worked,
        "local" => DayKind::Local,
        word => {
            return Err(BadHolidays::Kind {
                line,
                word: cut(word),
            });
        }
    };
    for (nth, column) in COLUMNS.iter().enumerate().skip(2) {
        if cell(nth).is_empty() {
            return Err(BadHolidays::Missing { line, column });
        }
    }
    let day = Day {
        kind,
        name: cell(2).to_owned(),
        source: cell(3).to_owned(),
        line,
    };
    Ok((date, day))
}

/// The days that are known once these years are, without a gap.
fn known(
    before: Option<(NaiveDate, NaiveDate)>,
    years: &BTreeSet<i32>,
) -> Result<Option<(NaiveDate, NaiveDate)>, BadCalendar> {
    let mut known = before;
    // Upwards for what follows the known days, downwards for what precedes them.
    let (earlier, later): (Vec<i32>, Vec<i32>) = years
        .iter()
        .partition(|year| known.is_some_and(|(first, _)| **year < first.year()));
    for year in later.into_iter().chain(earlier.into_iter().rev()) {
        let (Some(first), Some(last)) = (
            NaiveDate::from_ymd_opt(year, 1, 1),
            NaiveDate::from_ymd_opt(year, 12, 31),
        ) else {
            return Err(BadCalendar::Gap(year));
        };
        known = Some(match known {
            None => (first, last),
            Some((_, until)) if until.succ_opt().is_some_and(|next| next < first) => {
                return Err(BadCalendar::Gap(year - 1));
            }
            Some((from, _)) if last.succ_opt().is_some_and(|next| next < from) => {
                return Err(BadCalendar::Gap(year + 1));
            }
            Some((from, until)) => (from.min(first), until.max(last)),
        });
    }
    Ok(known)
}
