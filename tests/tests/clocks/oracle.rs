//! Due times, used minutes and lights against a count by hand.
//!
//! The count knows nothing of the calendar's own code: it walks through forty
//! days minute by minute, asks of each minute whether it is worked and whether a
//! suspension touches it, and notes those that count. A limit of n minutes ends
//! with the n-th noted minute after its start.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use shaodao_core::domain::calendar::{
    Calendar, Light, Limit, LimitUnit, NoDueTime, OPEN, Period, Week,
};

use super::at::{DAY_MS, MINUTE_MS, at, date};

const SEED: u64 = 20_251_001;
const THREADS: u64 = 2;
/// Calendars of each thread, suspensions of each calendar, limits of each.
const CALENDARS: usize = 100;
const SUSPENSIONS: usize = 4;
const LIMITS: usize = 2_600;
/// The days that are walked through; the first one is a Monday.
const FIRST_DAY: &str = "2025-09-08";
const DAYS: usize = 40;
const DAY_MIN: usize = 1_440;

#[test]
fn two_million_limits_end_where_a_count_by_hand_says() {
    println!("oracle: seed {SEED}");
    let cases: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|nth| scope.spawn(move || run(SEED + nth)))
            .collect();
        let counts = threads
            .into_iter()
            .map(|thread| thread.join().expect("agrees"));
        counts.sum()
    });
    println!("oracle: {cases} cases");
    assert!(cases >= 2_000_000);
}

fn run(seed: u64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cases = 0;
    for nth in 0..CALENDARS {
        let street = match nth % 4 {
            0 => Street::national_day(),
            _ => Street::invented(&mut rng),
        };
        let calendar = street.calendar();
        let worked = street.worked();
        for _ in 0..SUSPENSIONS {
            let pauses = pauses(&mut rng);
            let counted = Counted::by_hand(&worked, &pauses);
            for _ in 0..LIMITS {
                check(&mut rng, seed, &street, &calendar, &counted, &pauses);
                cases += 1;
            }
        }
    }
    cases
}

/// One case: a start, a limit and a moment to look at it.
fn check(
    rng: &mut StdRng,
    seed: u64,
    street: &Street,
    calendar: &Calendar,
    counted: &Counted,
    pauses: &[(i64, i64)],
) {
    let (unit, minutes, most) = match rng.random_range(0..3) {
        0 => (LimitUnit::UrgentHour, 60, 800),
        1 => (LimitUnit::WorkingHour, 60, 120),
        _ => (LimitUnit::WorkingDay, street.day_min, 12),
    };
    let amount = rng.random_range(1..=most);
    let limit = Limit { amount, unit };
    let whole = amount as usize * minutes as usize;
    let minutes = match unit {
        LimitUnit::UrgentHour => &counted.day_and_night,
        _ => &counted.worked,
    };
    let first_ms = at(&format!("{FIRST_DAY} 00:00"));
    let start_ms = match rng.random_bool(0.5) {
        true => first_ms + rng.random_range(0..30 * DAY_MS),
        false => first_ms + rng.random_range(0..30 * DAY_MIN as i64) * MINUTE_MS,
    };
    let case = || format!("seed {seed}, start {start_ms}, {limit}, pauses {pauses:?}, {street:?}");

    // The first minute that begins at or after the start, then the n-th from it.
    let start_min = ((start_ms - first_ms + MINUTE_MS - 1) / MINUTE_MS) as usize;
    let begin = minutes.partition_point(|minute| *minute < start_min);
    let due = calendar.due(start_ms, limit, pauses);
    match minutes.get(begin + whole - 1) {
        Some(last) => {
            let due = due.unwrap_or_else(|error| panic!("{error}: {}", case()));
            let end_ms = first_ms + (*last as i64 + 1) * MINUTE_MS;
            assert_eq!(due.at_ms, end_ms, "{}", case());
            let days = [start_min / DAY_MIN, last / DAY_MIN];
            let unknown = days.iter().any(|day| !street.known.contains(day));
            let provisional = unknown && unit != LimitUnit::UrgentHour;
            assert_eq!(due.provisional, provisional, "{}", case());
        }
        None if pauses.iter().any(|(_, to)| *to == OPEN) => {
            assert_eq!(due, Err(NoDueTime::Suspended), "{}", case());
        }
        None => {
            let after = first_ms + DAYS as i64 * DAY_MS;
            assert!(due.is_ok_and(|due| due.at_ms > after), "{}", case());
        }
    }

    // The same minutes up to some moment, and the light then.
    let now_ms = first_ms + rng.random_range(0..DAYS as i64 * DAY_MS);
    let now_min = ((now_ms - first_ms) / MINUTE_MS) as usize;
    let until = minutes.partition_point(|minute| *minute < now_min);
    let used = until.saturating_sub(begin).min(whole);
    let said = calendar.used_min(start_ms, limit, pauses, now_ms);
    assert_eq!(said, used as i64, "now {now_ms}, {}", case());
    let stands_still = pauses
        .iter()
        .any(|(from, to)| (*from..*to).contains(&now_ms));
    let light = match used as f64 / whole as f64 {
        _ if stands_still => None,
        share if share >= 1.0 => Some(Light::Red),
        share if share >= 0.8 => Some(Light::Yellow),
        _ => Some(Light::Green),
    };
    let said = calendar.light(start_ms, limit, pauses, now_ms);
    assert_eq!(said, light, "now {now_ms}, {}", case());
}

/// Working time, as the count by hand knows it.
#[derive(Debug)]
struct Street {
    /// Periods of each weekday, Monday first, and of a make-up day.
    days: Vec<Vec<(u32, u32)>>,
    day_min: u32,
    /// Days from the first one: worked or off.
    exceptions: BTreeMap<usize, bool>,
    /// Days whose exceptions are known.
    known: std::ops::Range<usize>,
}

impl Street {
    /// Office hours around 2025-10-01.
    fn national_day() -> Self {
        let day = vec![(540, 720), (780, 1_020)];
        let mut days = vec![day.clone(); 8];
        days[5].clear();
        days[6].clear();
        // 8 September is day 0: 28 September, 1 to 8 and 11 October.
        let off = (23..31).map(|day| (day, false));
        Self {
            days,
            day_min: 420,
            exceptions: off.chain([(20, true), (33, true)]).collect(),
            known: 0..DAYS,
        }
    }

    fn invented(rng: &mut StdRng) -> Self {
        let mut days: Vec<_> = (0..8).map(|_| invented_day(rng)).collect();
        // Something is worked every week, and on make-up days.
        for nth in [rng.random_range(0..7), 7] {
            days[nth] = vec![(540, 720), (780, 1_020)];
        }
        let known = match rng.random_bool(0.5) {
            true => 0..DAYS,
            false => rng.random_range(0..10)..rng.random_range(15..DAYS),
        };
        let exceptions = (0..rng.random_range(0..15))
            .map(|_| (rng.random_range(known.clone()), rng.random_bool(0.5)))
            .collect();
        Self {
            days,
            day_min: rng.random_range(1..=1_440),
            exceptions,
            known,
        }
    }

    fn calendar(&self) -> Calendar {
        let periods = |nth: usize| -> Vec<Period> {
            let day = self.days[nth].iter();
            day.map(|(from_min, to_min)| Period {
                from_min: *from_min,
                to_min: *to_min,
            })
            .collect()
        };
        let week = Week {
            days: std::array::from_fn(periods),
            make_up: periods(7),
            day_min: self.day_min,
        };
        let exceptions = self.exceptions.iter();
        let exceptions = exceptions.map(|(day, worked)| (nth_date(*day), *worked));
        let known = (nth_date(self.known.start), nth_date(self.known.end - 1));
        let calendar = Calendar::new("it", week, exceptions.collect(), Some(known));
        calendar.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Of each minute whether it is worked.
    fn worked(&self) -> Vec<bool> {
        let mut worked = Vec::with_capacity(DAYS * DAY_MIN);
        for day in 0..DAYS {
            let periods = match self.exceptions.get(&day) {
                Some(false) => &Vec::new(),
                Some(true) => &self.days[7],
                None => &self.days[day % 7],
            };
            for minute in 0..DAY_MIN as u32 {
                let inside = |(from, to): &(u32, u32)| *from <= minute && minute < *to;
                worked.push(periods.iter().any(inside));
            }
        }
        worked
    }
}

fn nth_date(day: usize) -> NaiveDate {
    let first = date(FIRST_DAY);
    first.iter_days().nth(day).expect("a date")
}

/// None to three periods, often touching midnight or one another.
fn invented_day(rng: &mut StdRng) -> Vec<(u32, u32)> {
    let mut bounds: Vec<u32> = (0..rng.random_range(0..=3) * 2)
        .map(|_| match rng.random_range(0..6) {
            0 => 0,
            1 => 1_440,
            _ => rng.random_range(0..=1_440),
        })
        .collect();
    bounds.sort_unstable();
    let pairs = bounds.chunks(2).map(|pair| (pair[0], pair[1]));
    pairs.filter(|(from, to)| from < to).collect()
}

/// None to four suspensions anywhere, some of a moment, some that say nothing,
/// sometimes one without end.
fn pauses(rng: &mut StdRng) -> Vec<(i64, i64)> {
    let first_ms = at(&format!("{FIRST_DAY} 00:00"));
    let count = rng.random_range(0..=4);
    (0..count)
        .map(|_| {
            let from = first_ms + rng.random_range(-DAY_MS..DAYS as i64 * DAY_MS);
            let from = match rng.random_bool(0.3) {
                true => from / MINUTE_MS * MINUTE_MS,
                false => from,
            };
            let to = match rng.random_range(0..20) {
                0 => OPEN,
                1 => from - 1,
                2 => from,
                3..7 => from + rng.random_range(1..2 * MINUTE_MS),
                7..12 => from + rng.random_range(1..600) * MINUTE_MS,
                _ => from + rng.random_range(1..5 * DAY_MS),
            };
            (from, to)
        })
        .collect()
}

/// The minutes that count, ascending, from the first day on.
struct Counted {
    worked: Vec<usize>,
    day_and_night: Vec<usize>,
}

impl Counted {
    fn by_hand(worked: &[bool], pauses: &[(i64, i64)]) -> Self {
        let first_ms = at(&format!("{FIRST_DAY} 00:00"));
        let mut counted = Self {
            worked: Vec::new(),
            day_and_night: Vec::new(),
        };
        for (minute, worked) in worked.iter().enumerate() {
            let from_ms = first_ms + minute as i64 * MINUTE_MS;
            let to_ms = from_ms + MINUTE_MS;
            let mut is_paused = false;
            for (from, to) in pauses {
                is_paused |= from < to && *from < to_ms && from_ms < *to;
            }
            if !is_paused {
                counted.day_and_night.push(minute);
                if *worked {
                    counted.worked.push(minute);
                }
            }
        }
        counted
    }
}
