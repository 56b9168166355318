//! Whether an action says something that can be meant: lengths, ranges, codes
//! and areas that exist, facts that belong to the action. The phone asks before
//! it saves, the server asks again.

use super::action::{Action, BLOWER, Body, Order, Party, RecordKind, Target, Value, fact};
use super::directory::Directory;
use super::finding::{MAX_TEXT, MAX_TITLE};
use super::place::Position;
use super::reason::Reason;

/// Most findings or targets of one whistle.
pub const MAX_LIST: usize = 200;

/// Checks what an action says, without looking at any record.
///
/// # Errors
/// The first thing that cannot be meant.
pub fn check(action: &Action, directory: &Directory) -> Result<(), Reason> {
    for (name, value) in &action.facts {
        if !allowed(action, name) {
            return Err(Reason::FactNotAllowed);
        }
        check_fact(name, value, directory)?;
    }
    match &action.body {
        Body::Report => {
            for name in [fact::CATEGORY, fact::TITLE, fact::GRID] {
                action.facts.get(name).ok_or(Reason::Empty)?;
            }
            Ok(())
        }
        Body::Correct if action.facts.is_empty() => Err(Reason::Empty),
        Body::Number => action
            .facts
            .get(fact::NUMBER)
            .map(drop)
            .ok_or(Reason::Empty),
        Body::Decline { reason }
        | Body::Withdraw { reason }
        | Body::Reopen { reason }
        | Body::Cancel { reason }
        | Body::AskEscalation { reason }
        | Body::Erase { reason, .. }
        | Body::Excuse { reason, .. } => required(reason, MAX_TEXT),
        Body::Note { text } | Body::SelfResolve { text } | Body::Feedback { text, .. } => {
            required(text, MAX_TEXT)
        }
        Body::Review { text, .. }
        | Body::Verify { text, .. }
        | Body::Conclude { text }
        | Body::StandDown { text, .. }
        | Body::ProposeStandDown { text, .. } => limited(text, MAX_TEXT),
        Body::Evaluate { party, score, text } => {
            if party != BLOWER && Party::parse(party).is_none() {
                return Err(Reason::NoSuchTarget);
            }
            in_range((1..=5).contains(score))?;
            limited(text, MAX_TEXT)
        }
        Body::Arrive { heads, .. } => in_range((1..=999).contains(heads)),
        Body::Merge { into } if *into == action.record => Err(Reason::OutOfRange),
        Body::Issue(order) => check_order(order, directory),
        Body::Summon { targets } => check_targets(targets, directory),
        _ => Ok(()),
    }
}

fn allowed(action: &Action, name: &str) -> bool {
    const FINDING: [&str; 7] = [
        fact::CATEGORY,
        fact::TITLE,
        fact::DESCRIPTION,
        fact::SEVERITY,
        fact::POSITION,
        fact::GRID,
        fact::ADDRESS,
    ];
    const WHISTLE: [&str; 3] = [fact::TITLE, fact::DESCRIPTION, fact::ADDRESS];
    match (&action.body, action.kind) {
        (Body::Report | Body::Correct, RecordKind::Finding) => FINDING.contains(&name),
        (Body::Issue(_) | Body::Correct, RecordKind::Whistle) => WHISTLE.contains(&name),
        (Body::Number, RecordKind::Finding) => name == fact::NUMBER,
        // What a newer kind may write is for a newer build to say.
        (Body::Unknown { .. }, _) => true,
        _ => false,
    }
}

fn check_fact(name: &str, value: &Value, directory: &Directory) -> Result<(), Reason> {
    match (name, value) {
        (fact::TITLE, Value::Text(text)) => required(text, MAX_TITLE),
        (fact::DESCRIPTION | fact::ADDRESS, Value::Text(text)) => limited(text, MAX_TEXT),
        (fact::NUMBER, Value::Text(text)) => required(text, 40),
        (fact::SEVERITY, Value::Int(severity)) => in_range((1..=4).contains(severity)),
        (fact::CATEGORY, Value::Text(code)) => match code.parse() {
            Ok(code) if directory.codes.get(&code).is_some() => Ok(()),
            _ => Err(Reason::UnknownCategory),
        },
        (fact::GRID, Value::Text(code)) if directory.knows_area(code) => Ok(()),
        (fact::GRID, Value::Text(_)) => Err(Reason::UnknownArea),
        (fact::POSITION, Value::Text(position)) => match position.parse::<Position>() {
            Ok(_) => Ok(()),
            Err(_) => Err(Reason::OutOfRange),
        },
        _ => Err(Reason::FactNotAllowed),
    }
}

fn check_order(order: &Order, directory: &Directory) -> Result<(), Reason> {
    in_range((1..=5).contains(&order.platform))?;
    if !directory.knows_area(&order.area) {
        return Err(Reason::UnknownArea);
    }
    if order.findings.len() > MAX_LIST {
        return Err(Reason::TooLong);
    }
    if order.parent.is_some() && order.targets.is_empty() {
        return Ok(());
    }
    check_targets(&order.targets, directory)
}

fn check_targets(targets: &[Target], directory: &Directory) -> Result<(), Reason> {
    if targets.is_empty() {
        return Err(Reason::Empty);
    }
    if targets.len() > MAX_LIST {
        return Err(Reason::TooLong);
    }
    let exists = |target: &Target| match &target.party {
        Party::Person(person) => directory.people.contains_key(person),
        Party::Organisation(id) => directory.organisations.contains_key(id),
        Party::Post { grid, post } => {
            directory.grids.contains_key(grid) && directory.posts.contains_key(post)
        }
    };
    match targets.iter().all(exists) {
        true => Ok(()),
        false => Err(Reason::NoSuchTarget),
    }
}

fn required(text: &str, max: usize) -> Result<(), Reason> {
    match text.trim().is_empty() {
        true => Err(Reason::Empty),
        false => limited(text, max),
    }
}

fn limited(text: &str, max: usize) -> Result<(), Reason> {
    match text.chars().count() <= max {
        true => Ok(()),
        false => Err(Reason::TooLong),
    }
}

fn in_range(fits: bool) -> Result<(), Reason> {
    match fits {
        true => Ok(()),
        false => Err(Reason::OutOfRange),
    }
}
