//! What other systems got wrong, by the name of the mistake.

use shaodao_core::domain::calendar::{Calendar, DueTime, Limit, LimitUnit, local_text};
use shaodao_core::domain::holidays::{BadHolidays, Holidays};
use shaodao_core::pack;

use super::at::{DAY_MS, MINUTE_MS, at, due, limit};

fn office(start: &str, limit: &str, pauses: &[(i64, i64)]) -> String {
    due(&Calendar::office(), start, limit, pauses).expect("ends")
}

#[test]
fn no_day_is_lost_at_midnight() {
    // Monday evening to Tuesday, not Wednesday; also when it starts at midnight
    // itself, and when it ends there.
    assert_eq!(office("2025-06-16 17:00", "1d", &[]), "2025-06-17 17:00");
    assert_eq!(office("2025-06-16 23:59", "1d", &[]), "2025-06-17 17:00");
    assert_eq!(office("2025-06-17 00:00", "1d", &[]), "2025-06-17 17:00");
    assert_eq!(office("2025-06-16 00:00", "24u", &[]), "2025-06-17 00:00");
    assert_eq!(office("2025-06-16 00:00", "240u", &[]), "2025-06-26 00:00");
}

#[test]
fn no_minute_is_lost_at_midnight() {
    let start = at("2025-06-16 23:58");
    for minutes in 0..5 {
        let start = start + minutes * MINUTE_MS;
        let due = Calendar::office().due(start, limit("1u"), &[]);
        assert_eq!(due.expect("ends").at_ms, start + 60 * MINUTE_MS);
    }
    let used = |now| Calendar::office().used_min(start, limit("1u"), &[], now);
    assert_eq!(used(at("2025-06-17 00:02")), 4);
}

#[test]
fn lunch_is_left_out() {
    assert_eq!(office("2025-06-16 11:30", "1h", &[]), "2025-06-16 13:30");
    assert_eq!(office("2025-06-16 12:00", "1h", &[]), "2025-06-16 14:00");
    assert_eq!(office("2025-06-16 12:30", "1h", &[]), "2025-06-16 14:00");
    assert_eq!(office("2025-06-16 09:00", "3h", &[]), "2025-06-16 12:00");
}

#[test]
fn a_pause_pauses() {
    let pause = [(at("2025-06-16 09:30"), at("2025-06-16 10:30"))];
    assert_eq!(office("2025-06-16 09:00", "1h", &pause), "2025-06-16 11:00");
    assert_eq!(office("2025-06-16 09:00", "1u", &pause), "2025-06-16 11:00");
    // Also one that began before the start, and one over a weekend: it takes
    // away what would have been worked and nothing else.
    let before = [(at("2025-06-15 09:00"), at("2025-06-16 10:00"))];
    assert_eq!(
        office("2025-06-16 09:00", "1h", &before),
        "2025-06-16 11:00"
    );
    let weekend = [(at("2025-06-13 17:00"), at("2025-06-16 09:00"))];
    assert_eq!(
        office("2025-06-13 16:30", "1h", &weekend),
        "2025-06-16 09:30"
    );
}

#[test]
fn paused_time_is_not_lost_when_the_limit_changes() {
    // Suspended from Monday 10:00 to Wednesday 10:00; on Wednesday the limit
    // becomes longer, or shorter. Fourteen hours of work stay paused.
    let pause = [(at("2025-06-16 10:00"), at("2025-06-18 10:00"))];
    for (changed, without, with) in [
        ("4h", "2025-06-16 13:30", "2025-06-18 13:30"),
        ("1d", "2025-06-16 16:30", "2025-06-18 16:30"),
        ("2d", "2025-06-17 16:30", "2025-06-19 16:30"),
    ] {
        assert_eq!(office("2025-06-13 16:30", changed, &[]), without);
        assert_eq!(office("2025-06-13 16:30", changed, &pause), with);
    }
}

#[test]
fn limits_of_25_days_and_more_do_not_overflow() {
    // 2^31 milliseconds are 24.86 days, 2^32 are 49.7.
    let start = at("2025-06-16 00:00");
    for days in [24, 25, 49, 50, 100, 1_000, 3_600] {
        let limit = Limit {
            amount: days * 24,
            unit: LimitUnit::UrgentHour,
        };
        let due = Calendar::office().due(start, limit, &[]).expect("ends");
        assert_eq!(due.at_ms - start, i64::from(days) * DAY_MS);
    }
    assert_eq!(office("2025-06-16 09:00", "60d", &[]), "2025-09-05 17:00");
}

#[test]
fn unofficial_holidays_are_not_imported_twice() {
    let table = |more: &str| {
        format!(
            "date,kind,name,source\n2025-10-01,off,国庆节,notice\n2025-10-02,off,国庆节,notice\n{more}"
        )
    };
    assert!(Holidays::parse(&table("")).is_ok());
    assert!(Holidays::parse(&table("2025-09-29,local,厂庆,office\n")).is_ok());
    // The same day again; the same holiday on somebody else's account, before
    // or after the official lines.
    let again = Holidays::parse(&table("2025-10-01,local,厂庆,office\n"));
    assert!(matches!(
        again,
        Err(BadHolidays::Twice {
            line: 4,
            before: 2,
            ..
        })
    ));
    for more in [
        "2025-10-03,off,国庆节,website\n",
        "2025-09-30,local,国庆节,notice\n",
    ] {
        let refused = Holidays::parse(&table(more));
        let is_named = matches!(
            refused,
            Err(BadHolidays::Unofficial {
                line: 4,
                before: 2,
                ..
            })
        );
        assert!(is_named, "{refused:?}");
    }
    // The whole table once more changes nothing but the name of the edition.
    let street = pack::directory(pack::HUASHAN).expect("reads");
    let table = include_str!("../../../core/packs/holidays-cn/2025.csv");
    let holidays = Holidays::parse(table).expect("reads");
    let again = holidays
        .edition_after(&street.calendar, "again")
        .expect("follows");
    assert_eq!(again.exceptions(), street.calendar.exceptions());
    assert_eq!(again.known(), street.calendar.known());
}

#[test]
fn utc_midnight_is_not_taken_for_local_midnight() {
    let street = pack::directory(pack::HUASHAN).expect("reads");
    let due = |start| due(&street.calendar, start, "1h", &[]).expect("ends");
    // 00:30 on 9 October in Shanghai is still the 8th, a holiday, in UTC; and
    // 07:59 on the 1st is still the 30th, a working day, in UTC.
    assert_eq!(due("2025-10-09 00:30"), "2025-10-09 10:00");
    assert_eq!(due("2025-10-01 07:59"), "2025-10-09 10:00");
    assert_eq!(due("2025-09-30 08:00"), "2025-09-30 10:00");
    assert_eq!(local_text(at("2025-06-13 00:30")), "2025-06-13 00:30");
}

#[test]
fn of_several_deadlines_the_earliest_is_chosen() {
    let due = |text: &str, provisional| DueTime {
        at_ms: at(text),
        provisional,
    };
    // Not the first in the list, not the first by its text, not one that is
    // missing, and a provisional one only if it is earlier.
    let deadlines = [
        None,
        Some(due("2025-10-09 09:00", false)),
        Some(due("2025-06-16 10:00", true)),
        Some(due("2025-06-16 09:30", true)),
        Some(due("2025-06-16 09:45", false)),
    ];
    let earliest = deadlines.into_iter().flatten().min();
    assert_eq!(earliest, Some(due("2025-06-16 09:30", true)));
    let before_the_epoch = due("1969-12-31 09:00", false);
    assert!(before_the_epoch < due("1970-01-02 09:00", false));
}
