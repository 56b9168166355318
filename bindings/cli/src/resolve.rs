//! Which record, whom and when somebody means.

use chrono::{FixedOffset, NaiveDateTime, TimeZone};

use shaodao_core::device::{Device, RecordView};
use shaodao_core::domain::action::{Facts, Party, RecordKind, Terms, Value, fact};
use shaodao_core::domain::calendar::DueTime;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::ids::{EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::place::Position;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::{TargetStage, WhistleState};
use shaodao_core::explain::Sentence;

use crate::args::FactArgs;

/// The record that is meant, of the kind that is expected.
pub fn record(
    device: &Device,
    name: &str,
    kind: Option<RecordKind>,
) -> Result<RecordView, Sentence> {
    let store = device.store();
    let found = store.find(name).map_err(|error| Sentence::from(&error))?;
    let found = found.ok_or_else(|| {
        Sentence::new(
            "no_such_record",
            format!("这部手机上没有(或不止一条)记录 {name};用 shaodao list 查看。"),
            format!(
                "There is no record {name} on this phone, or more than one; see `shaodao list`."
            ),
        )
    })?;
    let view = device.show(found).map_err(|error| Sentence::from(&error))?;
    match (&view.state, kind) {
        (RecordState::Finding(_), Some(RecordKind::Whistle)) => Err(Sentence::new(
            "not_a_whistle",
            format!("{name} 是问题,不是哨令。"),
            format!("{name} is a finding, not a whistle."),
        )),
        (RecordState::Whistle(_), Some(RecordKind::Finding)) => Err(Sentence::new(
            "not_a_finding",
            format!("{name} 是哨令,不是问题。"),
            format!("{name} is a whistle, not a finding."),
        )),
        _ => Ok(view),
    }
}

/// A finding by name.
pub fn finding(device: &Device, name: &str) -> Result<RecordId, Sentence> {
    record(device, name, Some(RecordKind::Finding)).map(|view| view.record)
}

/// A whistle by name.
pub fn whistle(device: &Device, name: &str) -> Result<(RecordId, WhistleState), Sentence> {
    let view = record(device, name, Some(RecordKind::Whistle))?;
    match view.state {
        RecordState::Whistle(state) => Ok((view.record, *state)),
        RecordState::Finding(_) => Err(shaodao_core::domain::reason::Reason::NoSuchRecord.into()),
    }
}

/// Whom a text means: a key, a staff number, an organisation's id, or a name
/// that only one of them has.
pub fn party(directory: &Directory, text: &str) -> Result<Party, Sentence> {
    let person = PersonId::from(text);
    if let Some(party) = Party::parse(text) {
        return Ok(party);
    }
    if directory.people.contains_key(&person) {
        return Ok(Party::Person(person));
    }
    if directory.organisations.contains_key(text) {
        return Ok(Party::Organisation(text.to_owned()));
    }
    let people = directory
        .people
        .values()
        .filter(|person| person.name == text)
        .map(|person| Party::Person(person.id.clone()));
    let organisations = directory
        .organisations
        .values()
        .filter(|organisation| organisation.name == text)
        .map(|organisation| Party::Organisation(organisation.id.clone()));
    let found: Vec<Party> = people.chain(organisations).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Sentence::new(
            "no_such_target",
            format!("名录中没有“{text}”;用 shaodao directory people 或 organisations 查看。"),
            format!(
                "Nobody called `{text}` in the directory; see `shaodao directory people` or `organisations`."
            ),
        )),
        several => {
            let keys: Vec<String> = several.iter().map(Party::key).collect();
            let keys = keys.join(" ");
            Err(Sentence::new(
                "ambiguous_target",
                format!("叫“{text}”的不止一个,请写明:{keys}"),
                format!("More than one is called `{text}`; say which: {keys}"),
            ))
        }
    }
}

/// The target for which the phone's owner acts: the named one, or the only one.
pub fn own_party(
    device: &Device,
    state: &WhistleState,
    named: Option<&str>,
) -> Result<String, Sentence> {
    let directory = device.directory().map_err(|error| Sentence::from(&error))?;
    if let Some(named) = named {
        return party(&directory, named).map(|party| party.key());
    }
    let me = device.owner().map(|owner| owner.person.clone());
    let mine = state.targets.iter().filter(|(_, target)| {
        me.as_ref()
            .is_some_and(|me| directory.acts_for(me, &target.target.party))
    });
    only_one(mine.map(|(key, _)| key.clone()).collect(), "--for")
}

/// The target whose work is to be looked at: the named one, or the only one
/// that has fed back.
pub fn verified_party(
    directory: &Directory,
    state: &WhistleState,
    named: Option<&str>,
) -> Result<String, Sentence> {
    if let Some(named) = named {
        return party(directory, named).map(|party| party.key());
    }
    let waiting = state
        .targets
        .iter()
        .filter(|(_, target)| target.stage() == TargetStage::FedBack);
    only_one(waiting.map(|(key, _)| key.clone()).collect(), "--of")
}

/// The earlier action that is answered: the one whose hash begins as named, or
/// the only open one.
pub fn answered(
    open: impl Iterator<Item = EnvelopeHash>,
    named: Option<&str>,
    flag: &str,
) -> Result<EnvelopeHash, Sentence> {
    let named = named.unwrap_or_default().to_lowercase();
    let fits: Vec<_> = open
        .filter(|hash| hash.to_string().starts_with(&named))
        .collect();
    match fits.as_slice() {
        [one] => Ok(*one),
        [] => Err(Sentence::new(
            "no_such_request",
            "没有待答复的申请或督办;用 shaodao show 查看这道哨令。",
            "Nothing waits for an answer; look at the whistle with `shaodao show`.",
        )),
        several => {
            let short = |hash: &EnvelopeHash| hash.to_string().chars().take(8).collect::<String>();
            let names: Vec<_> = several.iter().map(short).collect();
            let names = names.join(" ");
            Err(Sentence::new(
                "ambiguous_request",
                format!("不止一项,请用 {flag} 写明:{names}"),
                format!("More than one waits; say which with {flag}: {names}"),
            ))
        }
    }
}

fn only_one(keys: Vec<String>, flag: &str) -> Result<String, Sentence> {
    match keys.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Sentence::new(
            "no_such_target",
            "没有符合的应哨方;用 shaodao show 查看这道哨令。",
            "No target fits; look at the whistle with `shaodao show`.",
        )),
        several => {
            let keys = several.join(" ");
            Err(Sentence::new(
                "ambiguous_target",
                format!("不止一个应哨方,请用 {flag} 写明:{keys}"),
                format!("More than one target; say which with {flag}: {keys}"),
            ))
        }
    }
}

/// Facts as given on the command line; the grid follows from the position, or
/// from where the phone's owner belongs.
pub fn facts(args: &FactArgs, title: Option<&str>) -> Result<Facts, Sentence> {
    let mut facts = Facts::new();
    let mut put = |name: &str, text: Option<&str>| {
        if let Some(text) = text {
            facts.insert(name.to_owned(), Value::Text(text.trim().to_owned()));
        }
    };
    let category = args.category.as_ref().map(|code| code.to_uppercase());
    put(fact::TITLE, title);
    put(fact::CATEGORY, category.as_deref());
    put(fact::GRID, args.grid.as_deref());
    put(fact::ADDRESS, args.address.as_deref());
    put(fact::DESCRIPTION, args.description.as_deref());
    if let Some(at) = &args.at {
        let at = position(at)?.to_string();
        facts.insert(fact::POSITION.to_owned(), Value::Text(at));
    }
    if let Some(severity) = args.severity {
        facts.insert(fact::SEVERITY.to_owned(), Value::Int(severity));
    }
    Ok(facts)
}

/// Adds the grid to the facts of a report where it is not given.
pub fn place(device: &Device, facts: &mut Facts) -> Result<(), Sentence> {
    let grid = device.grid_of(facts);
    let grid = grid.map_err(|error| Sentence::from(&error))?;
    let grid = grid.ok_or_else(|| {
        Sentence::new(
            "no_grid",
            "不知道在哪个网格:位置不在任何网格内,或没有写位置;请用 --grid 写明。",
            "Which grid? The position lies in none, or none was given; say it with --grid.",
        )
    })?;
    facts.insert(fact::GRID.to_owned(), Value::Text(grid));
    Ok(())
}

/// A position in text form.
pub fn position(text: &str) -> Result<Position, Sentence> {
    text.parse().map_err(|_| {
        Sentence::new(
            "bad_position",
            format!("不是位置:{text};应为 纬度,经度[,精度米[,来源]],如 25.0420,102.7065,8"),
            format!("Not a position: {text}; expected latitude,longitude[,accuracy in metres[,source]], such as 25.0420,102.7065,8"),
        )
    })
}

/// A due time and the terms that it follows from: a span from now or a time in
/// Shanghai has none, otherwise they follow from the first finding's category
/// and the area's class; such a time is provisional if it depends on holidays
/// that nobody has announced yet.
pub fn due(
    device: &Device,
    text: Option<&str>,
    area: &str,
    findings: &[RecordId],
    now_ms: i64,
) -> Result<(DueTime, Option<Terms>), Sentence> {
    if let Some(text) = text {
        let said = DueTime {
            at_ms: date_ms(text, now_ms)?,
            provisional: false,
        };
        return Ok((said, None));
    }
    let due = device.due_by_category(area, findings, now_ms);
    let (due, terms) = due
        .map_err(|error| Sentence::from(&error))?
        .ok_or_else(no_due)?;
    Ok((due, Some(terms)))
}

/// The calendar does not reach that far.
pub fn no_due() -> Sentence {
    Sentence::new(
        "no_due",
        "算不出期限,请用 --due 写明。",
        "The calendar cannot tell the due time; give one with --due",
    )
}

/// A date: a span from now, or a time in Shanghai.
pub fn date_ms(text: &str, now_ms: i64) -> Result<i64, Sentence> {
    span_ms(text)
        .map(|span| now_ms.saturating_add(span))
        .or_else(|| local_ms(text))
        .ok_or_else(|| {
            Sentence::new(
                "bad_due",
                format!("不是期限:{text};应为 30m、2h、1d 或 '2026-11-25 18:00'"),
                format!("Not a due time: {text}; expected 30m, 2h, 1d or '2026-11-25 18:00'"),
            )
        })
}

fn span_ms(text: &str) -> Option<i64> {
    let unit_at = text.find(|character: char| !character.is_ascii_digit())?;
    let (amount, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "m" | "min" | "分钟" => 60_000,
        "h" | "小时" => 3_600_000,
        "d" | "天" => 86_400_000,
        _ => return None,
    };
    amount.parse::<i64>().ok()?.checked_mul(unit_ms)
}

fn local_ms(text: &str) -> Option<i64> {
    let time = NaiveDateTime::parse_from_str(&text.replace('T', " "), "%Y-%m-%d %H:%M").ok()?;
    let shanghai = FixedOffset::east_opt(8 * 3_600)?;
    let time = shanghai.from_local_datetime(&time).single()?;
    Some(time.timestamp_millis())
}
