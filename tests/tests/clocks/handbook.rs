//! Each vector of the handbook, and the parts of a calendar one by one.

use std::collections::BTreeMap;

use shaodao_core::domain::calendar::{
    AreaClass, BadCalendar, Calendar, Light, Limit, LimitUnit, NoDueTime, OPEN, Period, Week,
    is_suspended, light, local_date, local_date_compact, local_text, start_of_day_ms,
};
use shaodao_core::pack;

use super::at::{DAY_MS, HOUR_MS, MINUTE_MS, at, date, due, limit};

/// 2025-06-13 is a Friday.
const FRIDAY: &str = "2025-06-13 16:30";

fn period(from_min: u32, to_min: u32) -> Period {
    Period { from_min, to_min }
}

/// 09:00 to 17:00 with a break from 12:00, on Fridays only until noon.
fn short_fridays() -> Calendar {
    let day = vec![period(540, 720), period(780, 1_020)];
    let days = [
        day.clone(),
        day.clone(),
        day.clone(),
        day.clone(),
        vec![period(540, 720)],
        vec![],
        vec![],
    ];
    let week = Week {
        days,
        make_up: vec![period(600, 660)],
        day_min: 420,
    };
    let exceptions = [("2025-06-15", true), ("2025-06-16", false)];
    let exceptions = exceptions.map(|(day, worked)| (date(day), worked));
    let known = Some((date("2025-06-01"), date("2025-06-30")));
    Calendar::new("short", week, exceptions.into(), known).expect("makes sense")
}

#[test]
fn limits_end_when_the_handbook_says() {
    let office = Calendar::office();
    let due = |start, limit, pauses: &[_]| due(&office, start, limit, pauses).expect("ends");
    assert_eq!(due(FRIDAY, "4h", &[]), "2025-06-16 13:30");
    assert_eq!(due(FRIDAY, "1d", &[]), "2025-06-16 16:30");
    let pause = [(at("2025-06-16 10:00"), at("2025-06-18 10:00"))];
    assert_eq!(due(FRIDAY, "1d", &pause), "2025-06-18 16:30");
    assert_eq!(due("2025-06-14 23:30", "2u", &[]), "2025-06-15 01:30");
    assert_eq!(due("2025-06-14 23:30", "600u", &[]), "2025-07-09 23:30");
}

#[test]
fn national_day_2025_is_off_and_its_make_up_days_are_worked() {
    let street = pack::directory(pack::HUASHAN).expect("reads");
    for version in ["office-2025", "office-2026"] {
        let calendar = street.calendar(version).expect("an edition");
        let due = |start| due(calendar, start, "1d", &[]).expect("ends");
        assert_eq!(due("2025-09-30 16:00"), "2025-10-09 16:00");
        // The Sunday before and the Saturday after are made up.
        assert_eq!(due("2025-09-27 09:00"), "2025-09-28 17:00");
        assert_eq!(due("2025-10-10 17:00"), "2025-10-11 17:00");
        assert!(!calendar.is_worked(date("2025-10-08")));
        assert!(calendar.is_worked(date("2025-10-09")));
    }
}

#[test]
fn a_weekday_has_hours_of_its_own_and_a_make_up_day_too() {
    let calendar = short_fridays();
    let due = |start, limit| due(&calendar, start, limit, &[]).expect("ends");
    assert_eq!(due("2025-06-12 16:30", "1h"), "2025-06-13 09:30");
    assert_eq!(due("2025-06-13 11:00", "1h"), "2025-06-13 12:00");
    // Friday's last hour, one hour of the made-up Sunday, and nothing on Monday.
    assert_eq!(due("2025-06-13 11:00", "2h"), "2025-06-15 11:00");
    assert_eq!(due("2025-06-13 11:00", "3h"), "2025-06-17 10:00");
    // A working day is as long as the calendar says, wherever it begins.
    assert_eq!(calendar.limit_min(limit("2d")), 840);
    assert_eq!(due("2025-06-13 09:00", "1d"), "2025-06-17 12:00");
    assert!(calendar.is_worked(date("2025-06-13")) && !calendar.is_worked(date("2025-06-14")));
}

#[test]
fn outside_the_known_days_an_answer_is_provisional() {
    let calendar = short_fridays();
    let provisional = |start: &str, text: &str| {
        let due = calendar.due(at(start), limit(text), &[]).expect("ends");
        due.provisional
    };
    assert!(!provisional("2025-06-27 09:00", "10h"));
    assert!(!provisional("2025-06-30 16:00", "1h"));
    // The start, or the end, or both lie where nobody knows the holidays.
    assert!(provisional("2025-06-30 16:00", "2h"));
    assert!(provisional("2025-05-31 09:00", "1h"));
    assert!(provisional("2025-07-02 09:00", "1h"));
    // What ends with the last known day needs no other.
    let all_day = Week {
        days: std::array::from_fn(|_| vec![period(0, 1_440)]),
        make_up: Vec::new(),
        day_min: 1_440,
    };
    let known = (date("2025-06-01"), date("2025-06-30"));
    let all_day = Calendar::new("all day", all_day, BTreeMap::new(), Some(known));
    let all_day = all_day.expect("makes sense");
    for (start, beyond) in [("2025-06-30 23:00", false), ("2025-06-30 23:01", true)] {
        let due = all_day.due(at(start), limit("1h"), &[]).expect("ends");
        assert_eq!(due.provisional, beyond, "{start}");
    }
    // Day and night the holidays do not matter.
    assert!(!provisional("2025-07-02 09:00", "1u"));
    // A calendar without any announced year never pretends to know.
    let office = Calendar::office();
    let due = office.due(at(FRIDAY), limit("4h"), &[]).expect("ends");
    assert!(due.provisional);
}

#[test]
fn running_limits_keep_the_edition_that_they_began_under() {
    let street = pack::directory(pack::HUASHAN).expect("reads");
    assert_eq!(street.calendar.version(), "office-2026");
    let old = street.calendar("office-2025").expect("kept");
    assert_eq!(street.calendar("office-2024"), None);
    // What 2026 brings was unknown to the older edition: it says so.
    let start = at("2025-12-31 16:00");
    let then = old.due(start, limit("3h"), &[]).expect("ends");
    let today = street.calendar.due(start, limit("3h"), &[]).expect("ends");
    assert!(then.provisional && !today.provisional);
    assert_eq!(local_text(then.at_ms), "2026-01-01 11:00");
    // 1 to 3 January are off, Sunday the 4th is made up.
    assert_eq!(local_text(today.at_ms), "2026-01-04 11:00");
}

#[test]
fn a_suspended_clock_stands_still_and_shows_no_light() {
    let office = Calendar::office();
    let start = at("2025-06-16 09:00");
    let open = [(at("2025-06-16 10:00"), OPEN)];
    assert_eq!(
        office.due(start, limit("2h"), &open),
        Err(NoDueTime::Suspended)
    );
    // What ended before the suspension began has ended.
    let due = office.due(start, limit("1h"), &open).expect("ends");
    assert_eq!(local_text(due.at_ms), "2025-06-16 10:00");
    assert_eq!(due, office.due(start, limit("1h"), &[]).expect("ends"));
    let light = |now: &str| office.light(start, limit("2h"), &open, at(now));
    assert_eq!(light("2025-06-16 09:59"), Some(Light::Green));
    assert_eq!(light("2025-06-16 10:00"), None);
    assert_eq!(light("2030-01-01 00:00"), None);
    assert_eq!(
        office.used_min(start, limit("2h"), &open, at("2030-01-01 00:00")),
        60
    );
    // Resumed, the time left goes on.
    let closed = [(open[0].0, at("2025-06-16 15:00"))];
    let light = |now: &str| office.light(start, limit("2h"), &closed, at(now));
    assert_eq!(light("2025-06-16 14:59"), None);
    assert_eq!(light("2025-06-16 15:00"), Some(Light::Green));
    assert_eq!(light("2025-06-16 15:35"), Some(Light::Green));
    assert_eq!(light("2025-06-16 15:36"), Some(Light::Yellow));
    assert_eq!(light("2025-06-16 15:59"), Some(Light::Yellow));
    assert_eq!(light("2025-06-16 16:00"), Some(Light::Red));
    assert_eq!(light("2026-06-16 16:00"), Some(Light::Red));
    // Of two open suspensions the earlier one stops the clock.
    let two = [(at("2025-06-16 11:00"), OPEN), open[0]];
    assert_eq!(
        office.used_min(start, limit("2h"), &two, at("2025-06-17 09:00")),
        60
    );
    // One that opens before the start leaves nothing to count.
    assert_eq!(
        office.due(start, limit("1h"), &[(i64::MIN, OPEN)]),
        Err(NoDueTime::Suspended)
    );
}

#[test]
fn a_suspension_begins_with_its_first_and_ends_before_its_last_moment() {
    let pause = [(100, 200), (300, 300)];
    let inside: Vec<i64> = (98..302).filter(|now| is_suspended(&pause, *now)).collect();
    assert_eq!(inside, (100..200).collect::<Vec<_>>());
    assert!(is_suspended(&[(100, OPEN)], i64::MAX));
}

#[test]
fn lights_change_at_80_and_100_percent() {
    assert_eq!(light(0, 5, false), Some(Light::Green));
    assert_eq!(light(3, 5, false), Some(Light::Green));
    assert_eq!(light(4, 5, false), Some(Light::Yellow));
    assert_eq!(light(5, 5, false), Some(Light::Red));
    assert_eq!(light(0, 0, false), Some(Light::Red));
    assert_eq!(light(-1, 5, false), Some(Light::Green));
    assert_eq!(light(i64::MAX, i64::MAX, false), Some(Light::Red));
    assert_eq!(light(i64::MAX / 2, i64::MAX, false), Some(Light::Green));
    assert_eq!(light(i64::MAX, 1, true), None);
    let words = [Light::Green, Light::Yellow, Light::Red].map(|it| (it.word(), it.zh()));
    assert_eq!(
        words,
        [("green", "绿灯"), ("yellow", "黄灯"), ("red", "红灯")]
    );
}

#[test]
fn only_whole_minutes_count_in_favour_of_whoever_has_to_meet_the_limit() {
    let office = Calendar::office();
    let start = at("2025-06-16 09:00");
    let due = |start, pauses: &[_]| office.due(start, limit("1h"), pauses).expect("ends").at_ms;
    assert_eq!(due(start, &[]), start + HOUR_MS);
    assert_eq!(due(start + 1, &[]), start + HOUR_MS + MINUTE_MS);
    assert_eq!(due(start + 59_999, &[]), start + HOUR_MS + MINUTE_MS);
    // A pause of a moment stops the minute that it touches, or both.
    assert_eq!(
        due(start, &[(start + 5, start + 6)]),
        start + HOUR_MS + MINUTE_MS
    );
    // One of no length touches none.
    assert_eq!(due(start, &[(start + 5, start + 5)]), start + HOUR_MS);
    let across = (start + MINUTE_MS - 1, start + MINUTE_MS + 1);
    assert_eq!(due(start, &[across]), start + HOUR_MS + 2 * MINUTE_MS);
    // A minute that is not over is not used.
    let used = |now| office.used_min(start, limit("1h"), &[], now);
    assert_eq!(used(start + 59_999), 0);
    assert_eq!(used(start + 60_000), 1);
    assert_eq!(used(start - 1), 0);
}

#[test]
fn suspensions_may_overlap_stand_in_any_order_or_say_nothing() {
    let office = Calendar::office();
    let minute = |text: &str| at(&format!("2025-06-16 {text}"));
    let pauses = [
        (minute("10:30"), minute("11:00")),
        (minute("09:30"), minute("10:00")),
        (minute("09:45"), minute("10:15")),
        // Ends before it starts, ends where it starts.
        (minute("16:00"), minute("09:00")),
        (minute("09:10"), minute("09:10")),
        // Long over.
        (at("2025-01-01 00:00"), at("2025-01-02 00:00")),
    ];
    let due = due(&office, "2025-06-16 09:00", "1h", &pauses).expect("ends");
    // 09:00–09:30, 10:15–10:30, 11:00–11:15.
    assert_eq!(due, "2025-06-16 11:15");
}

#[test]
fn absurd_limits_and_times_are_refused_at_once() {
    let office = Calendar::office();
    let never = Week {
        days: Default::default(),
        make_up: Vec::new(),
        day_min: 420,
    };
    let never = Calendar::new("never", never, BTreeMap::new(), None).expect("makes sense");
    assert_eq!(never.due(0, limit("1h"), &[]), Err(NoDueTime::TooFar));
    assert!(never.due(0, limit("1u"), &[]).is_ok());
    for unit in [
        LimitUnit::UrgentHour,
        LimitUnit::WorkingHour,
        LimitUnit::WorkingDay,
    ] {
        let most = Limit {
            amount: u32::MAX,
            unit,
        };
        let one = Limit { amount: 1, unit };
        assert_eq!(office.due(0, most, &[]), Err(NoDueTime::TooFar));
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(office.due(extreme, one, &[]), Err(NoDueTime::TooFar));
            assert_eq!(office.used_min(extreme, one, &[], 0), 0);
            assert_eq!(office.used_min(0, one, &[], i64::MIN), 0);
            assert_eq!(
                office.used_min(0, one, &[], i64::MAX),
                office.limit_min(one)
            );
            // A suspension without beginning, and one almost without end.
            let due = office.due(0, one, &[(i64::MIN, 0), (OPEN - 1, OPEN)]);
            assert!(due.is_ok(), "{due:?}");
            let due = office.due(0, one, &[(i64::MIN, OPEN - 1)]);
            assert_eq!(due, Err(NoDueTime::TooFar));
        }
    }
    // Ten years are looked through and no more.
    let urgent = |amount| Limit {
        amount,
        unit: LimitUnit::UrgentHour,
    };
    let midnight = at("2025-01-01 00:00");
    assert!(office.due(midnight, urgent(3_660 * 24), &[]).is_ok());
    assert!(office.due(midnight, urgent(3_660 * 24 + 1), &[]).is_err());
    // The refusals say why.
    assert_eq!(
        NoDueTime::TooFar.to_string(),
        "no due time within ten years"
    );
    assert!(NoDueTime::Suspended.to_string().starts_with("suspended"));
}

#[test]
fn a_limit_of_nothing_ends_where_it_starts() {
    let nothing = Limit {
        amount: 0,
        unit: LimitUnit::WorkingHour,
    };
    let saturday = at("2025-06-14 12:00");
    let due = Calendar::office()
        .due(saturday, nothing, &[])
        .expect("ends");
    assert_eq!((due.at_ms, due.provisional), (saturday, false));
    assert_eq!(
        Calendar::office().light(saturday, nothing, &[], saturday),
        Some(Light::Red)
    );
}

#[test]
fn limits_read_and_stretch() {
    for text in ["1u", "4h", "7d", "4294967295d"] {
        assert_eq!(limit(text).to_string(), text);
    }
    for bad in [
        "",
        "h",
        "0h",
        "4",
        "+4h",
        "-4h",
        "4 h",
        "4.5h",
        "4m",
        "4294967296d",
        "四h",
    ] {
        let refused = bad.parse::<Limit>().expect_err(bad).to_string();
        assert!(refused.contains(&format!("`{bad}`")), "{refused}");
    }
    let long = "9".repeat(1_000) + "h";
    assert!(long.parse::<Limit>().expect_err("too long").0.len() == 40);
    let stretched = |amount, class| {
        let unit = LimitUnit::WorkingHour;
        Limit { amount, unit }.for_class(class).amount
    };
    let classes = [AreaClass::A, AreaClass::B, AreaClass::C];
    assert_eq!(classes.map(|class| stretched(3, class)), [3, 5, 6]);
    assert_eq!(classes.map(|class| stretched(4, class)), [4, 6, 8]);
    assert_eq!(
        classes.map(|class| stretched(u32::MAX, class)),
        [u32::MAX; 3]
    );
}

#[test]
fn a_calendar_that_makes_no_sense_is_refused_by_name() {
    let week = || short_fridays().week().clone();
    let new = |week, exceptions: &[(&str, bool)], known: Option<(&str, &str)>| {
        let exceptions = exceptions.iter().map(|(day, worked)| (date(day), *worked));
        let known = known.map(|(first, last)| (date(first), date(last)));
        Calendar::new("it", week, exceptions.collect(), known)
    };
    let june = Some(("2025-06-01", "2025-06-30"));
    assert!(new(week(), &[("2025-06-01", true), ("2025-06-30", false)], june).is_ok());
    assert!(new(week(), &[], Some(("2025-06-01", "2025-06-01"))).is_ok());
    for (periods, wrong) in [
        (vec![period(540, 540)], (540, 540)),
        (vec![period(600, 540)], (600, 540)),
        (vec![period(0, 1_441)], (0, 1_441)),
        (vec![period(540, 720), period(719, 800)], (719, 800)),
        (vec![period(780, 1_020), period(540, 720)], (540, 720)),
    ] {
        let mut bad = week();
        bad.days[6] = periods.clone();
        let refused = new(bad, &[], june).expect_err("no sense").to_string();
        let named = format!("weekday 7: {} to {}", wrong.0, wrong.1);
        assert!(refused.starts_with(&named), "{refused}");
        let mut bad = week();
        bad.make_up = periods;
        let refused = new(bad, &[], june).expect_err("no sense").to_string();
        assert!(refused.starts_with("make-up day: "), "{refused}");
    }
    let mut touching = week();
    touching.days[0] = vec![period(0, 720), period(720, 1_440)];
    assert!(new(touching, &[], june).is_ok());
    for (day_min, is_good) in [(0, false), (1, true), (1_440, true), (1_441, false)] {
        let mut days = week();
        days.day_min = day_min;
        assert_eq!(new(days, &[], june).is_ok(), is_good, "{day_min}");
    }
    let mut idle = week();
    idle.make_up.clear();
    assert!(new(idle.clone(), &[("2025-06-08", false)], june).is_ok());
    let refused = new(idle, &[("2025-06-08", true)], june);
    assert_eq!(refused, Err(BadCalendar::MakeUp));
    for outside in ["2025-05-31", "2025-07-01"] {
        let refused = new(week(), &[(outside, false)], june);
        assert_eq!(refused, Err(BadCalendar::Outside(date(outside))));
    }
    assert!(new(week(), &[("2025-06-08", false)], None).is_err());
    let refused = new(week(), &[], Some(("2025-06-02", "2025-06-01")));
    assert!(matches!(refused, Err(BadCalendar::Known(..))));
    for (name, is_good) in [
        ("", false),
        ("一", true),
        (&*"一".repeat(40), true),
        (&*"一".repeat(41), false),
    ] {
        let made = Calendar::new(name, week(), BTreeMap::new(), None);
        assert_eq!(made.is_ok(), is_good, "{name}");
    }
}

#[test]
fn times_are_shown_as_people_in_shanghai_read_them() {
    assert_eq!(local_text(0), "1970-01-01 08:00");
    assert_eq!(local_text(-1), "1970-01-01 07:59");
    assert_eq!(local_text(at("2025-06-11 00:00")), "2025-06-11 00:00");
    assert_eq!(local_date_compact(at("2025-06-11 00:00")), "20250611");
    assert_eq!(local_date_compact(at("2025-06-11 00:00") - 1), "20250610");
    assert_eq!(local_date_compact(16 * HOUR_MS + DAY_MS), "19700103");
    for extreme in [i64::MIN, i64::MAX] {
        assert_eq!(local_text(extreme), "—");
        assert_eq!(local_date_compact(extreme), "00000000");
        assert_eq!(local_date(extreme), None);
    }
}

#[test]
fn a_day_begins_at_midnight_in_shanghai() {
    for day in ["1969-12-31", "1970-01-01", "2025-06-11", "2026-02-28"] {
        let start_ms = start_of_day_ms(date(day));
        assert_eq!(start_ms, at(&format!("{day} 00:00")));
        assert_eq!(local_date(start_ms), Some(date(day)));
        assert_eq!(local_date(start_ms + DAY_MS - 1), Some(date(day)));
        assert_eq!(local_date(start_ms - 1), date(day).pred_opt());
    }
}
