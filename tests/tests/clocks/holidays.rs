//! Tables of holidays and the editions that they lead to.

use serde_json::Value;
use shaodao_core::domain::calendar::{BadCalendar, Calendar};
use shaodao_core::domain::holidays::{DayKind, Holidays};
use shaodao_core::pack::{self, calendar::CalendarError};

use super::at::date;

const Y2025: &str = include_str!("../../../core/packs/holidays-cn/2025.csv");
const Y2026: &str = include_str!("../../../core/packs/holidays-cn/2026.csv");
const HEAD: &str = "date,kind,name,source\n";

fn year(year: i32) -> Holidays {
    let table = format!("{HEAD}{year}-01-01,off,元旦,notice\n{year}-01-04,worked,元旦,notice\n");
    Holidays::parse(&table).expect("reads")
}

#[test]
fn the_tables_of_the_country_read() {
    for (table, year, off, worked) in [(Y2025, 2025, 28, 5), (Y2026, 2026, 33, 6)] {
        let holidays = Holidays::parse(table).expect("reads");
        let of = |kind| {
            holidays
                .days()
                .values()
                .filter(|day| day.kind == kind)
                .count()
        };
        assert_eq!((of(DayKind::Off), of(DayKind::Worked)), (off, worked));
        assert_eq!(holidays.years(), [year].into());
    }
}

#[test]
fn the_sample_street_has_what_the_tables_say() {
    let street = pack::directory(pack::HUASHAN).expect("reads");
    let none = Calendar::new(
        "none",
        street.calendar.week().clone(),
        Default::default(),
        None,
    );
    let first = Holidays::parse(Y2025).expect("reads");
    let first = first.edition_after(&none.expect("makes sense"), "office-2025");
    let first = first.expect("follows");
    assert_eq!(street.calendar("office-2025"), Some(&first));
    let second = Holidays::parse(Y2026).expect("reads");
    let second = second
        .edition_after(&first, "office-2026")
        .expect("follows");
    assert_eq!(street.calendar("office-2026"), Some(&second));
}

#[test]
fn an_import_adds_an_edition_to_a_directory_and_leaves_the_rest() {
    let mut json: Value = serde_json::from_slice(pack::HUASHAN).expect("JSON");
    let before = json.clone();
    let table = format!("{HEAD}2027-01-01,off,元旦,notice\n2027-01-02,local,搬家,office\n");
    pack::calendar::import(&mut json, "office-2027", &table).expect("imports");
    let street = pack::directory(json.to_string().as_bytes()).expect("reads");
    assert_eq!(street.calendar.version(), "office-2027");
    let until = street.calendar.known().map(|(_, until)| until);
    assert_eq!(until, Some(date("2027-12-31")));
    for off in ["2027-01-01", "2027-01-02"] {
        assert!(!street.calendar.is_worked(date(off)));
    }
    assert_eq!(street.past_calendars.len(), 2);
    let old = street.calendar("office-2026").expect("kept");
    assert!(old.is_worked(date("2027-01-01")));
    let (mut left, mut right) = (json.clone(), before.clone());
    for json in [&mut left, &mut right] {
        json["calendar"] = Value::Null;
        json["calendars"] = Value::Null;
    }
    assert_eq!(left, right);

    // What is refused leaves the directory as it was.
    let unchanged = json.clone();
    for (version, table, named) in [
        ("office-2027", table.as_str(), "`office-2027` already"),
        ("office-2025", table.as_str(), "`office-2025` already"),
        ("", table.as_str(), "name of 1 to 40 characters"),
        (
            "office-2029",
            &table.replace("2027", "2029"),
            "holidays of 2028 are missing",
        ),
        (
            "office-2028",
            "date,kind,name,source\n",
            "the table is empty",
        ),
    ] {
        let refused = pack::calendar::import(&mut json, version, table).expect_err(named);
        assert!(refused.to_string().contains(named), "{refused}");
        assert_eq!(json, unchanged);
    }
    for not_a_directory in [
        Value::Null,
        Value::from(7),
        serde_json::json!({"calendar": "a"}),
    ] {
        let mut json = not_a_directory.clone();
        assert!(pack::calendar::import(&mut json, "b", &table).is_err());
        assert_eq!(json, not_a_directory);
    }
}

#[test]
fn editions_that_contradict_themselves_are_refused_by_name() {
    let json: Value = serde_json::from_slice(pack::HUASHAN).expect("JSON");
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut json = json.clone();
        change(&mut json);
        pack::directory(json.to_string().as_bytes())
            .expect_err("refused")
            .to_string()
    };
    let named = refused(&|json| json["calendar"] = "office-1".into());
    assert!(named.contains("`office-1` is not among"), "{named}");
    let named = refused(&|json| json["calendars"][0]["version"] = "office-2026".into());
    assert!(named.contains("`office-2026` already"), "{named}");
    let named = refused(&|json| json["calendars"][1]["worked"][0] = "2025-10-01".into());
    assert!(
        named.contains("2025-10-01 is both worked and off"),
        "{named}"
    );
    let named = refused(&|json| json["calendars"][1]["off"][1] = "2025-01-01".into());
    assert!(
        named.contains("2025-01-01 is both worked and off, or stands twice"),
        "{named}"
    );
    let named = refused(&|json| json["calendars"][1]["week"][0][0][1] = 1_500.into());
    assert!(
        named.contains("calendar `office-2026`: weekday 1: 540 to 1500"),
        "{named}"
    );
    let named = refused(&|json| json["calendars"][0]["known"] = Value::Null);
    assert!(
        named.contains("2025-01-01 is an exception outside"),
        "{named}"
    );
}

#[test]
fn years_join_without_a_gap_in_any_order() {
    let office = Calendar::office();
    let of = |years: &[i32]| -> Result<_, BadCalendar> {
        let mut calendar = office.clone();
        for one in years {
            calendar = year(*one).edition_after(&calendar, &one.to_string())?;
        }
        Ok((calendar.known(), calendar.exceptions().len()))
    };
    let both = (Some((date("2024-01-01"), date("2025-12-31"))), 4);
    assert_eq!(of(&[2024, 2025]), Ok(both));
    assert_eq!(of(&[2025, 2024]), Ok(both));
    assert_eq!(
        of(&[2025, 2024, 2025, 2024, 2025]).map(|it| it.0),
        Ok(both.0)
    );
    assert_eq!(of(&[2024, 2026]), Err(BadCalendar::Gap(2025)));
    assert_eq!(of(&[2026, 2024]), Err(BadCalendar::Gap(2025)));
    assert_eq!(
        of(&[2025, 2025]),
        Err(BadCalendar::Exists("2025".to_owned()))
    );
    // Several years in one table, before and behind what is known.
    let rows: String = [2023, 2024, 2026, 2027]
        .map(|year| format!("{year}-01-01,off,元旦,notice\n"))
        .concat();
    let many = Holidays::parse(&format!("{HEAD}{rows}")).expect("reads");
    let middle = year(2025)
        .edition_after(&office, "middle")
        .expect("follows");
    let all = many.edition_after(&middle, "all").expect("follows");
    assert_eq!(all.known(), Some((date("2023-01-01"), date("2027-12-31"))));
    assert_eq!(
        many.edition_after(&office, "gap"),
        Err(BadCalendar::Gap(2025))
    );
    // A year that is known in part is completed before the next one joins it.
    let june = (date("2025-06-01"), date("2025-06-30"));
    let june = Calendar::new(
        "june",
        office.week().clone(),
        Default::default(),
        Some(june),
    );
    let rows = "2025-01-01,off,元旦,notice\n2026-01-01,off,元旦,notice\n";
    let both = Holidays::parse(&format!("{HEAD}{rows}")).expect("reads");
    let both = both.edition_after(&june.expect("makes sense"), "both");
    let both = both.expect("follows").known();
    assert_eq!(both, Some((date("2025-01-01"), date("2026-12-31"))));
    // A table replaces its years and no others.
    assert_eq!(all.exceptions().len(), 6);
    let corrected = Holidays::parse(&format!("{HEAD}2025-01-02,off,元旦,notice\n")).expect("reads");
    let corrected = corrected.edition_after(&all, "corrected").expect("follows");
    assert_eq!(corrected.known(), all.known());
    assert!(corrected.is_worked(date("2025-01-01")) && !corrected.is_worked(date("2025-01-02")));
    assert!(!corrected.is_worked(date("2026-01-01")));
}

#[test]
fn a_table_that_does_not_read_is_refused_with_its_line() {
    let spreadsheet = format!("\u{feff}{}", Y2025.replace('\n', "\r\n"));
    assert!(Holidays::parse(&spreadsheet).is_ok());
    assert!(Holidays::parse(&format!("{HEAD} 2025-10-01 , off , 国庆节 , notice \n")).is_ok());
    let good = "2025-10-01,off,国庆节,notice\n";
    for (rows, named) in [
        (
            "2025-10-02,holiday,国庆节,notice\n",
            "line 3: `holiday` is not one of off, worked, local",
        ),
        ("2025-10-02,,国庆节,notice\n", "line 3: `` is not one of"),
        (
            "2025-13-02,off,国庆节,notice\n",
            "line 3: `2025-13-02` is not a date",
        ),
        (
            "2025-02-29,off,国庆节,notice\n",
            "line 3: `2025-02-29` is not a date",
        ),
        (
            "2.10.2025,off,国庆节,notice\n",
            "line 3: `2.10.2025` is not a date",
        ),
        ("2025-10-02,off,,notice\n", "line 3: the name is missing"),
        ("2025-10-02,off,国庆节,\n", "line 3: the source is missing"),
        (
            "2025-10-02,off,国庆节,notice\n2025-10-02,worked,国庆节,notice\n",
            "line 4: 2025-10-02 stands in line 3 already",
        ),
        (
            "2025-10-02,off,国庆节,notice\n2025-10-01,off,国庆节,notice\n",
            "line 4: 2025-10-01 stands in line 2 already",
        ),
        (
            "2025-10-02,local,国庆节,office\n",
            "line 3: 国庆节 2025 is announced by notice already (line 2)",
        ),
        (
            "2025-10-02,local,厂庆,office\n2025-10-03,local,厂庆,club\n",
            "line 4: 厂庆 2025 is announced by office already (line 3)",
        ),
        (
            "2026-10-02,local,厂庆,office\n",
            "line 3: the table has no official holidays of 2026",
        ),
        ("2025-10-02,off,国庆节\n", "line: 3"),
    ] {
        let refused = Holidays::parse(&format!("{HEAD}{good}{rows}")).expect_err(named);
        assert!(refused.to_string().contains(named), "{refused} / {named}");
    }
    // A local day may stand before the first official one, and twice by name.
    let local = "2025-09-29,local,厂庆,office\n2025-09-30,local,厂庆,office\n";
    assert!(Holidays::parse(&format!("{HEAD}{local}{good}")).is_ok());
    for (table, named) in [
        ("", "expected the columns"),
        ("date,kind,source,name\n", "expected the columns"),
        (HEAD, "the table is empty"),
    ] {
        let refused = Holidays::parse(table).expect_err(named).to_string();
        assert!(refused.contains(named), "{refused}");
    }
    let word = format!("{HEAD}2025-10-01,{},国庆节,notice\n", "x".repeat(100_000));
    assert!(
        Holidays::parse(&word)
            .expect_err("no kind")
            .to_string()
            .len()
            < 200
    );
}

#[test]
fn a_table_has_at_most_a_thousand_days() {
    let days = |count: usize| {
        let days = date("2025-01-01").iter_days().take(count);
        let rows: String = days
            .map(|day| format!("{day},off,{day},notice\n"))
            .collect();
        Holidays::parse(&format!("{HEAD}{rows}"))
    };
    assert!(days(1_000).is_ok());
    let refused = days(1_001).expect_err("too many").to_string();
    assert!(refused.contains("more than 1000 days"), "{refused}");
    let refused = CalendarError::from(days(1_001).expect_err("too many"));
    assert!(refused.to_string().contains("more than 1000 days"));
}
