//! Whether an action says something that can be meant: [`check`] looks at the
//! action alone (lengths, ranges, codes and areas that exist, facts that belong
//! to it), [`fits`] at the record too (places that are near, dates that are
//! later). The phone asks before it saves, the server asks again.

use super::action::{Action, BLOWER, Body, Order, Party, RecordKind, Target, Terms, Value, fact};
use super::deadline;
use super::directory::Directory;
use super::evidence;
use super::finding::{MAX_TEXT, MAX_TITLE, text};
use super::place::Position;
use super::reason::Reason;
use super::record::RecordState;
use super::time::{Bracket, Claim, Judged};
use super::whistle::{Ask, WhistleState};

/// Most findings or targets of one whistle.
pub const MAX_LIST: usize = 200;
/// Longest name of a calendar's or a policy's edition, characters.
pub const MAX_EDITION: usize = 40;

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
        | Body::EraseEvidence { reason, .. }
        | Body::Excuse { reason, .. }
        | Body::DeclineSummons { reason, .. }
        | Body::Object { reason, .. }
        | Body::AskExtension { reason, .. }
        | Body::AskSuspension { reason, .. }
        | Body::Resume { reason }
        | Body::Uphold { reason, .. }
        | Body::WithdrawMark { text: reason, .. } => required(reason, MAX_TEXT),
        Body::Recompute { reason, terms, .. } => {
            check_terms(terms.as_ref())?;
            required(reason, MAX_TEXT)
        }
        Body::Note { text }
        | Body::SelfResolve { text }
        | Body::Feedback { text, .. }
        | Body::Reply { text, .. }
        | Body::Rule {
            granted: false,
            until_ms: None,
            text,
            ..
        } => required(text, MAX_TEXT),
        // A refusal grants no date.
        Body::Rule {
            granted: false,
            until_ms: Some(_),
            ..
        } => Err(Reason::OutOfRange),
        Body::Supervise { party, text, .. } => {
            check_side(party)?;
            required(text, MAX_TEXT)
        }
        Body::Review { text, .. }
        | Body::Verify { text, .. }
        | Body::Conclude { text }
        | Body::Urge { text }
        | Body::Rule { text, .. }
        | Body::StandDown { text, .. }
        | Body::ProposeStandDown { text, .. } => limited(text, MAX_TEXT),
        Body::Evaluate { party, score, text } => {
            check_side(party)?;
            in_range((1..=5).contains(score))?;
            limited(text, MAX_TEXT)
        }
        Body::Arrive { heads, away, .. } => {
            in_range((1..=999).contains(heads))?;
            away.as_ref().map_or(Ok(()), |it| required(it, MAX_TEXT))
        }
        Body::LastHeard { heard } => in_range((1..=MAX_LIST).contains(&heard.len())),
        Body::Merge { into } if *into == action.record => Err(Reason::OutOfRange),
        Body::Attach { pieces } => evidence::check(pieces),
        Body::Issue(order) => check_order(order, directory),
        Body::Summon { targets } => check_targets(targets, directory),
        _ => Ok(()),
    }
}

/// Checks what an action says against the record that it is said of, as its
/// author knew it.
///
/// # Errors
/// The first thing that does not fit.
pub fn fits(
    action: &Action,
    claim: &Claim,
    state: &RecordState,
    directory: &Directory,
) -> Result<(), Reason> {
    if let Body::Attach { pieces } = &action.body {
        return evidence::fits(pieces, state.evidence());
    }
    let RecordState::Whistle(whistle) = state else {
        return Ok(());
    };
    match &action.body {
        Body::Arrive {
            position,
            away: None,
            ..
        } => near(position.as_ref(), whistle, directory),
        Body::AskExtension { until_ms, .. } => {
            let due_ms = still_running(claim, whistle, directory)?;
            later(*until_ms > due_ms)
        }
        Body::AskSuspension { .. } => still_running(claim, whistle, directory).map(drop),
        Body::Rule {
            request,
            granted: true,
            until_ms,
            ..
        } => {
            let mut requests = whistle.requests.iter();
            let Some(request) = requests.find(|it| it.asked.hash == *request) else {
                return Err(Reason::NoSuchRequest);
            };
            match (request.ask, until_ms) {
                (Ask::Objection, Some(_)) => Err(Reason::OutOfRange),
                (Ask::Objection, None) | (Ask::Extension { .. }, None) => Ok(()),
                (Ask::Extension { .. }, Some(until_ms)) => {
                    later(*until_ms > due_ms(whistle, directory))
                }
                (Ask::Suspension { review_ms }, until_ms) => {
                    let asked_ms = request.asked.counts_ms(&directory.policy.time);
                    later(until_ms.unwrap_or(review_ms) > asked_ms)
                }
            }
        }
        _ => Ok(()),
    }
}

/// An arrival at the whistle's place, as near as the policy and the phone's
/// accuracy ask; a whistle without a place is met anywhere.
fn near(
    position: Option<&Position>,
    whistle: &WhistleState,
    directory: &Directory,
) -> Result<(), Reason> {
    let Ok(place) = text(&whistle.facts, fact::POSITION).parse::<Position>() else {
        return Ok(());
    };
    let accuracy_m = |position: &Position| position.accuracy_dm.map_or(0.0, f64::from) / 10.0;
    let is_near = position.is_some_and(|position| {
        let reach_m = f64::from(directory.policy.arrival_radius_m)
            + accuracy_m(position)
            + accuracy_m(&place);
        position.distance_m(&place) <= reach_m
    });
    match is_near {
        true => Ok(()),
        false => Err(Reason::AwayFromPlace),
    }
}

/// The due time, unless the asking came after it for certain.
fn still_running(
    claim: &Claim,
    whistle: &WhistleState,
    directory: &Directory,
) -> Result<i64, Reason> {
    let due_ms = due_ms(whistle, directory);
    let asked = Bracket::of(claim, None, &directory.policy.time);
    match asked.judge(due_ms) {
        Judged::Missed => Err(Reason::PastDue),
        Judged::Kept | Judged::CannotSay => Ok(due_ms),
    }
}

fn due_ms(whistle: &WhistleState, directory: &Directory) -> i64 {
    deadline::due(whistle, Some(directory)).map_or(i64::MAX, |due| due.at_ms)
}

fn later(is_later: bool) -> Result<(), Reason> {
    match is_later {
        true => Ok(()),
        false => Err(Reason::NotLater),
    }
}

fn check_side(party: &str) -> Result<(), Reason> {
    match party == BLOWER || Party::parse(party).is_some() {
        true => Ok(()),
        false => Err(Reason::NoSuchTarget),
    }
}

fn check_terms(terms: Option<&Terms>) -> Result<(), Reason> {
    let Some(terms) = terms else {
        return Ok(());
    };
    required(&terms.calendar, MAX_EDITION)?;
    required(&terms.policy, MAX_EDITION)
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
    const WHISTLE: [&str; 4] = [
        fact::TITLE,
        fact::DESCRIPTION,
        fact::ADDRESS,
        fact::POSITION,
    ];
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
    check_terms(order.terms.as_ref())?;
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
