//! Who may do what: role × area × action, in one table (`by_role`). Judged on
//! the server, from the directory and the record, never from what an envelope
//! says of its author; the phone asks the same function to tell its owner
//! beforehand.

use super::action::{Action, BLOWER, Body, Level, Party, RecordKind, Value, fact};
use super::directory::{Directory, Person, Role, covers};
use super::ids::PersonId;
use super::reason::Reason;
use super::record::RecordState;

/// How a person must stand to a record for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Holds one of these roles over the record's area.
    Over(&'static [Role]),
    /// Holds one of these roles over the area or a part of it.
    Within(&'static [Role]),
    /// Reported it, or holds one of these roles over its area.
    ReporterOr(&'static [Role]),
    /// Blows at the whistle's level and area.
    Blower,
    /// Acts for the target that the action names.
    Target,
    /// Scores the other side.
    OtherSide,
    /// Confided it, or holds one of these roles over the record's area.
    ConfiderOr(&'static [Role]),
    /// Is the server.
    Server,
    /// Is the server, or blows at the whistle's level and area.
    ServerOrBlower,
}

/// The table: for each action, the standing that it needs.
fn by_role(word: &str, kind: RecordKind) -> Option<Standing> {
    use Role::{Dispatcher, Member, Secretary, Supervisor};
    Some(match (word, kind) {
        ("report", RecordKind::Finding) => {
            Standing::Over(&[Member, Secretary, Supervisor, Dispatcher])
        }
        ("correct", RecordKind::Finding) => Standing::ReporterOr(&[Secretary, Dispatcher]),
        ("withdraw", RecordKind::Finding) => Standing::ReporterOr(&[]),
        ("self_resolve", RecordKind::Finding) => Standing::Over(&[Member, Secretary]),
        ("review", RecordKind::Finding) => Standing::Over(&[Secretary, Supervisor, Dispatcher]),
        ("accept" | "decline" | "merge" | "reopen", RecordKind::Finding) => {
            Standing::Over(&[Secretary, Dispatcher])
        }
        ("confide", RecordKind::Finding) => {
            Standing::Within(&[Member, Secretary, Supervisor, Dispatcher])
        }
        ("erase", RecordKind::Finding) => Standing::ConfiderOr(&[Secretary, Dispatcher]),
        ("number", RecordKind::Finding) => Standing::Server,
        ("note", _) => Standing::Within(&[Member, Secretary, Supervisor, Dispatcher]),
        ("issue" | "correct" | "summon" | "release" | "excuse" | "conclude" | "cancel", _) => {
            Standing::Blower
        }
        ("ask_escalation", RecordKind::Whistle) => Standing::Over(&[Secretary]),
        ("sign" | "arrive" | "feedback", RecordKind::Whistle) => Standing::Target,
        ("verify", RecordKind::Whistle) => {
            Standing::Within(&[Member, Secretary, Supervisor, Dispatcher])
        }
        ("evaluate", RecordKind::Whistle) => Standing::OtherSide,
        ("escalate" | "propose_stand_down", RecordKind::Whistle) => Standing::Server,
        ("stand_down", RecordKind::Whistle) => Standing::ServerOrBlower,
        _ => return None,
    })
}

/// Whether the author of an action may do it, given the record as its author
/// knew it (for a first action: a record of which nothing is known).
///
/// # Errors
/// The reason why not.
pub fn permit(directory: &Directory, action: &Action, state: &RecordState) -> Result<(), Reason> {
    let standing = match by_role(action.body.word(), action.kind) {
        Some(standing) => standing,
        // A kind of a newer build: nothing here can say who may do it.
        None => return Err(Reason::NeedsNewerApp),
    };
    let by_server = action.person.is_server();
    match standing {
        Standing::Server | Standing::ServerOrBlower if by_server => return Ok(()),
        Standing::Server => return Err(Reason::OnlyTheServer),
        // The server opens the street whistle of an escalation, no other.
        Standing::Blower if by_server => return opens_escalation(action),
        _ if by_server => return Err(Reason::NotYourRole),
        _ => {}
    }
    let person = directory
        .person(&action.person)
        .ok_or(Reason::UnknownPerson)?;
    let area = area_of(action, state).ok_or(Reason::NoSuchRecord)?;
    match standing {
        Standing::Over(roles) => over(person, roles, area),
        Standing::Within(roles) => within(directory, person, roles, area, state),
        Standing::ReporterOr(roles) => match reporter(state) == Some(&person.id) {
            true => Ok(()),
            false if roles.is_empty() => Err(Reason::NotYours),
            false => over(person, roles, area).map_err(|_| Reason::NotYours),
        },
        Standing::ConfiderOr(roles) => match confider(action, state) == Some(&person.id) {
            true => Ok(()),
            false => over(person, roles, area).map_err(|_| Reason::NotYours),
        },
        Standing::Blower | Standing::ServerOrBlower => blower(person, action, state),
        Standing::Target => acts_for(directory, &person.id, action),
        Standing::OtherSide => other_side(directory, person, action, state),
        Standing::Server => Err(Reason::OnlyTheServer),
    }
}

fn over(person: &Person, roles: &[Role], area: &str) -> Result<(), Reason> {
    let mut held = person
        .grants
        .iter()
        .filter(|grant| roles.contains(&grant.role))
        .peekable();
    if held.peek().is_none() {
        return Err(Reason::NotYourRole);
    }
    match held.any(|grant| covers(&grant.scope, area)) {
        true => Ok(()),
        false => Err(Reason::NotYourArea),
    }
}

fn within(
    directory: &Directory,
    person: &Person,
    roles: &[Role],
    area: &str,
    state: &RecordState,
) -> Result<(), Reason> {
    let part = |scope: &str| covers(scope, area) || covers(area, scope);
    let by_role = person
        .grants
        .iter()
        .any(|grant| roles.contains(&grant.role) && part(&grant.scope));
    let summoned = match state {
        RecordState::Whistle(whistle) => whistle
            .targets
            .values()
            .any(|target| directory.acts_for(&person.id, &target.target.party)),
        RecordState::Finding(_) => false,
    };
    match by_role || summoned {
        true => Ok(()),
        false => Err(Reason::NotYourArea),
    }
}

fn blower(person: &Person, action: &Action, state: &RecordState) -> Result<(), Reason> {
    let order = match (&action.body, state) {
        (Body::Issue(order), _) => Some(order),
        (_, RecordState::Whistle(whistle)) => whistle.order.as_ref(),
        _ => None,
    };
    let order = order.ok_or(Reason::NoSuchRecord)?;
    let role = match order.level {
        Level::Community => Role::Secretary,
        Level::Street => Role::Dispatcher,
    };
    over(person, &[role], &order.area).map_err(|_| Reason::NotTheBlower)
}

fn acts_for(directory: &Directory, person: &PersonId, action: &Action) -> Result<(), Reason> {
    let party = action.body.party().and_then(Party::parse);
    match party {
        Some(party) if directory.acts_for(person, &party) => Ok(()),
        _ => Err(Reason::NotATarget),
    }
}

fn other_side(
    directory: &Directory,
    person: &Person,
    action: &Action,
    state: &RecordState,
) -> Result<(), Reason> {
    let RecordState::Whistle(whistle) = state else {
        return Err(Reason::NoSuchRecord);
    };
    let scored = action.body.party().unwrap_or_default();
    let is_blower = blower(person, action, state).is_ok();
    let is_target = whistle
        .targets
        .values()
        .any(|target| directory.acts_for(&person.id, &target.target.party));
    if scored == BLOWER {
        return match (is_blower, is_target) {
            (true, _) => Err(Reason::OwnScore),
            (false, true) => Ok(()),
            (false, false) => Err(Reason::NotATarget),
        };
    }
    let own = Party::parse(scored).is_some_and(|party| directory.acts_for(&person.id, &party));
    match (own, is_blower) {
        (true, _) => Err(Reason::OwnScore),
        (false, true) => Ok(()),
        (false, false) => Err(Reason::NotTheBlower),
    }
}

fn opens_escalation(action: &Action) -> Result<(), Reason> {
    match &action.body {
        Body::Issue(order) if order.parent.is_some() => Ok(()),
        _ => Err(Reason::NotTheBlower),
    }
}

/// The area that an action touches.
fn area_of<'a>(action: &'a Action, state: &'a RecordState) -> Option<&'a str> {
    match (&action.body, state) {
        (Body::Report, _) => match action.facts.get(fact::GRID) {
            Some(Value::Text(grid)) => Some(grid),
            _ => None,
        },
        (Body::Issue(order), _) => Some(&order.area),
        (_, RecordState::Finding(finding)) => finding.reporter.as_ref().map(|_| finding.area()),
        (_, RecordState::Whistle(whistle)) => {
            whistle.order.as_ref().map(|order| order.area.as_str())
        }
    }
}

/// Who confided what the action is about.
fn confider<'a>(action: &Action, state: &'a RecordState) -> Option<&'a PersonId> {
    match (&action.body, state) {
        (Body::Erase { item, .. }, RecordState::Finding(finding)) => {
            finding.confided.get(item).map(|confided| &confided.by)
        }
        _ => None,
    }
}

fn reporter(state: &RecordState) -> Option<&PersonId> {
    match state {
        RecordState::Finding(finding) => finding.reporter.as_ref(),
        RecordState::Whistle(_) => None,
    }
}
