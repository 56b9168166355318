//! Who may do what: device state × role × area × action, in one table
//! (`TABLE`); the record's own state is the lifecycles' to judge. Judged on
//! the server, from the directory and the record, never from what an envelope
//! says of its author; the phone asks the same function to tell its owner
//! beforehand.
//!
//! 1. A device that is not active may do nothing.
//! 2. The row of the action names what nobody may do, whatever roles they hold:
//!    judge their own work, score themselves.
//! 3. The row names those who may; standing to the record in one of these ways
//!    is enough.

use super::action::{Action, BLOWER, Body, Level, Party, RecordKind, Value, fact};
use super::directory::{DeviceState, Directory, Person, Role, covers};
use super::ids::PersonId;
use super::reason::Reason;
use super::record::RecordState;
use super::whistle::WhistleState;
use crate::planted::{Bug, active};

/// How somebody may stand to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Holds the role over the record's area.
    Over(Role),
    /// Holds the role over the area or a part of it.
    Within(Role),
    /// Reported the finding.
    Reporter,
    /// Blows at the whistle's level and area: the role, not the person.
    Blower,
    /// Acts for the target that the action names.
    Target,
    /// Acts for the target, or blows, if that is whose answer was demanded.
    Answerable,
    /// Scores the other side of the whistle.
    OtherSide,
    /// Acts for any target of the whistle.
    Summoned,
    /// Confided or attached what the action is about.
    Confider,
    /// Is the server.
    Server,
    /// Is the server, opening the street whistle of an escalation.
    ServerEscalating,
}

/// What nobody may do, whatever roles they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Never {
    /// Judge work that they did or that a target they act for did.
    OwnWork,
    /// Score themselves.
    OwnScore,
}

/// A row of the table.
struct Row {
    kind: RecordKind,
    words: &'static [&'static str],
    who: &'static [Who],
    never: Option<Never>,
}

const fn row(
    kind: RecordKind,
    words: &'static [&'static str],
    who: &'static [Who],
    never: Option<Never>,
) -> Row {
    Row {
        kind,
        words,
        who,
        never,
    }
}

/// The table.
const TABLE: &[Row] = {
    use RecordKind::{Finding, Whistle};
    use Role::{Dispatcher, Member, Secretary, Supervisor};
    use Who::{
        Answerable, Blower, Confider, OtherSide, Over, Reporter, Server, ServerEscalating,
        Summoned, Target, Within,
    };
    const NEAR: &[Who] = &[Within(Member), Within(Secretary), Within(Dispatcher)];
    const NEAR_OR_SUPERVISING: &[Who] = &[
        Within(Member),
        Within(Secretary),
        Within(Supervisor),
        Within(Dispatcher),
    ];
    &[
        row(
            Finding,
            &["report"],
            &[Over(Member), Over(Secretary), Over(Dispatcher)],
            None,
        ),
        row(
            Finding,
            &["correct"],
            &[Reporter, Over(Secretary), Over(Dispatcher)],
            None,
        ),
        row(Finding, &["note"], NEAR, None),
        row(Finding, &["withdraw"], &[Reporter], None),
        row(
            Finding,
            &["urge"],
            &[Reporter, Over(Supervisor), Over(Dispatcher)],
            None,
        ),
        row(
            Finding,
            &["self_resolve"],
            &[Over(Member), Over(Secretary)],
            None,
        ),
        row(
            Finding,
            &["review"],
            &[Over(Secretary), Over(Supervisor), Over(Dispatcher)],
            Some(Never::OwnWork),
        ),
        row(
            Finding,
            &["accept", "decline", "merge", "reopen"],
            &[Over(Secretary), Over(Dispatcher)],
            None,
        ),
        row(Finding, &["confide"], NEAR, None),
        row(
            Finding,
            &["erase"],
            &[Confider, Over(Secretary), Over(Dispatcher)],
            None,
        ),
        row(Finding, &["attach"], NEAR_OR_SUPERVISING, None),
        row(
            Finding,
            // The server's retention erases as its own action, which everybody sees.
            &["erase_evidence"],
            &[Server, Confider, Over(Secretary), Over(Dispatcher)],
            None,
        ),
        row(Finding, &["number"], &[Server], None),
        row(Whistle, &["issue"], &[Blower, ServerEscalating], None),
        row(
            Whistle,
            &[
                "correct",
                "summon",
                "rule",
                "resume",
                "recompute",
                "release",
                "excuse",
                "conclude",
                "cancel",
            ],
            &[Blower],
            None,
        ),
        row(Whistle, &["ask_escalation"], &[Over(Secretary)], None),
        row(Whistle, &["note"], NEAR, None),
        row(
            Whistle,
            &["attach"],
            &[
                Summoned,
                Within(Member),
                Within(Secretary),
                Within(Supervisor),
                Within(Dispatcher),
            ],
            None,
        ),
        row(
            Whistle,
            // The server's retention erases as its own action, which everybody sees.
            &["erase_evidence"],
            &[Server, Confider, Over(Secretary), Over(Dispatcher)],
            None,
        ),
        row(
            Whistle,
            &[
                "sign",
                "arrive",
                "feedback",
                "decline_summons",
                "object",
                "ask_extension",
                "ask_suspension",
            ],
            &[Target],
            None,
        ),
        row(
            Whistle,
            &["verify"],
            NEAR_OR_SUPERVISING,
            Some(Never::OwnWork),
        ),
        row(
            Whistle,
            &["urge"],
            &[Blower, Over(Supervisor), Over(Dispatcher)],
            None,
        ),
        row(
            Whistle,
            &["supervise"],
            &[Over(Supervisor), Over(Dispatcher)],
            None,
        ),
        row(Whistle, &["reply"], &[Answerable], None),
        row(Whistle, &["evaluate"], &[OtherSide], Some(Never::OwnScore)),
        row(
            Whistle,
            &["escalate", "propose_stand_down"],
            &[Server],
            None,
        ),
        row(Whistle, &["stand_down"], &[Server, Over(Dispatcher)], None),
        row(Whistle, &["last_heard", "mark_district"], &[Server], None),
        row(
            Whistle,
            &["withdraw_mark"],
            &[Server, Over(Dispatcher)],
            None,
        ),
        row(Whistle, &["uphold"], &[Over(Dispatcher)], None),
    ]
};

/// Whether the author of an action may do it, from a device in this state,
/// given the record as its author knew it (for a first action: a record of
/// which nothing is known).
///
/// # Errors
/// The reason why not.
pub fn permit(
    directory: &Directory,
    device: DeviceState,
    action: &Action,
    state: &RecordState,
) -> Result<(), Reason> {
    match device {
        DeviceState::Active => {}
        DeviceState::Suspended => return Err(Reason::DeviceSuspended),
        DeviceState::Revoked => return Err(Reason::DeviceRevoked),
    }
    let word = action.body.word();
    let row = TABLE
        .iter()
        .find(|row| row.kind == action.kind && row.words.contains(&word))
        // A kind of a newer build: nothing here can say who may do it.
        .ok_or(Reason::NeedsNewerApp)?;
    let asking = Asking {
        directory,
        action,
        state,
        area: area_of(action, state),
    };
    if action.person.is_server() {
        return asking.as_server(row.who);
    }
    let person = directory
        .person(&action.person)
        .ok_or(Reason::UnknownPerson)?;
    match row.never {
        Some(Never::OwnWork) => asking.not_own_work(person)?,
        Some(Never::OwnScore) => asking.not_own_score(person)?,
        None => {}
    }
    let mut refusal = None;
    for who in row.who {
        match asking.stands(*who, person) {
            Ok(()) => return Ok(()),
            // That the right role is held elsewhere says most.
            Err(Reason::NotYourArea) => refusal = Some(Reason::NotYourArea),
            // That the server may as well says nothing to people.
            Err(Reason::OnlyTheServer) => {}
            Err(reason) => refusal = refusal.or(Some(reason)),
        }
    }
    Err(refusal.unwrap_or(Reason::OnlyTheServer))
}

/// An action and what it is judged by.
struct Asking<'a> {
    directory: &'a Directory,
    action: &'a Action,
    state: &'a RecordState,
    /// The area that the action touches; `None` if nothing says.
    area: Option<&'a str>,
}

impl Asking<'_> {
    fn stands(&self, who: Who, person: &Person) -> Result<(), Reason> {
        let area = self.area.ok_or(Reason::NoSuchRecord)?;
        match who {
            Who::Over(role) => holds(person, role, |scope| covers(scope, area)),
            Who::Within(role) => holds(person, role, |scope| {
                covers(scope, area) || covers(area, scope)
            }),
            Who::Reporter => yes(reporter(self.state) == Some(&person.id), Reason::NotYours),
            Who::Confider => yes(
                confided(self.action, self.state, &person.id),
                Reason::NotYours,
            ),
            Who::Blower => self.blows(person),
            Who::Summoned => yes(self.is_summoned(person), Reason::NotATarget),
            Who::Target => {
                let party = self.action.body.party().unwrap_or_default();
                yes(self.acts_for(person, party), Reason::NotATarget)
            }
            Who::Answerable => self.answers(person),
            Who::OtherSide => {
                let scored = self.action.body.party().unwrap_or_default();
                match scored == BLOWER {
                    true => yes(self.is_summoned(person), Reason::NotATarget),
                    false => self.blows(person),
                }
            }
            Who::Server | Who::ServerEscalating => Err(Reason::OnlyTheServer),
        }
    }

    fn as_server(&self, who: &[Who]) -> Result<(), Reason> {
        let opens_escalation = match &self.action.body {
            Body::Issue(order) => order.parent.is_some(),
            _ => false,
        };
        if who.contains(&Who::Server) || (who.contains(&Who::ServerEscalating) && opens_escalation)
        {
            return Ok(());
        }
        Err(match who.contains(&Who::Blower) {
            true => Reason::NotTheBlower,
            false => Reason::NotYourRole,
        })
    }

    fn blows(&self, person: &Person) -> Result<(), Reason> {
        let order = match (&self.action.body, self.state) {
            (Body::Issue(order), _) => Some(order),
            (_, RecordState::Whistle(whistle)) => whistle.order.as_ref(),
            _ => None,
        };
        let order = order.ok_or(Reason::NoSuchRecord)?;
        let role = match order.level {
            Level::Community => Role::Secretary,
            Level::Street => Role::Dispatcher,
        };
        let over = |scope: &str| covers(scope, &order.area);
        holds(person, role, over).map_err(|_| Reason::NotTheBlower)
    }

    fn answers(&self, person: &Person) -> Result<(), Reason> {
        let demanded = self.action.body.answers().and_then(|hash| {
            let mut supervisions = self.whistle()?.supervisions.iter();
            supervisions.find(|it| it.deed.hash == hash)
        });
        let party = &demanded.ok_or(Reason::NoSuchSupervision)?.party;
        let answerable = match party == BLOWER {
            true => self.blows(person).is_ok(),
            false => self.acts_for(person, party),
        };
        yes(answerable, Reason::NotAnswerable)
    }

    fn not_own_work(&self, person: &Person) -> Result<(), Reason> {
        let own = match self.state {
            RecordState::Finding(finding) => finding.self_resolved_by.as_ref() == Some(&person.id),
            RecordState::Whistle(whistle) => {
                let party = self.action.body.party().unwrap_or_default();
                let target = whistle.targets.get(party);
                self.acts_for(person, party)
                    || target.is_some_and(|target| target.handled_by(&person.id))
            }
        };
        yes(!own, Reason::OwnWork)
    }

    fn not_own_score(&self, person: &Person) -> Result<(), Reason> {
        let scored = self.action.body.party().unwrap_or_default();
        let whistle = self.whistle().ok_or(Reason::NoSuchRecord)?;
        let own = match scored == BLOWER {
            true => whistle.blower.as_ref() == Some(&person.id) || self.blows(person).is_ok(),
            false => {
                let target = whistle.targets.get(scored);
                self.acts_for(person, scored)
                    || target.is_some_and(|target| target.handled_by(&person.id))
            }
        };
        yes(!own, Reason::OwnScore)
    }

    fn acts_for(&self, person: &Person, party: &str) -> bool {
        Party::parse(party).is_some_and(|party| self.directory.acts_for(&person.id, &party))
    }

    fn is_summoned(&self, person: &Person) -> bool {
        let mut targets = self
            .whistle()
            .into_iter()
            .flat_map(|it| it.targets.values());
        targets.any(|target| self.directory.acts_for(&person.id, &target.target.party))
    }

    fn whistle(&self) -> Option<&WhistleState> {
        match self.state {
            RecordState::Whistle(whistle) => Some(whistle),
            RecordState::Finding(_) => None,
        }
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

/// Whether somebody confided what the action is about, or attached it: of two who
/// attached the same picture at one time either may have it destroyed.
fn confided(action: &Action, state: &RecordState, person: &PersonId) -> bool {
    match (&action.body, state) {
        (Body::Erase { item, .. }, RecordState::Finding(finding)) => {
            let confided = finding.confided.get(item);
            confided.is_some_and(|confided| confided.by == *person)
        }
        (Body::EraseEvidence { piece, .. }, state) => {
            let mut standing = state.evidence().iter().filter(|it| it.erased.is_none());
            standing.any(|it| it.piece.id == *piece && it.by == *person)
        }
        _ => false,
    }
}

fn reporter(state: &RecordState) -> Option<&PersonId> {
    match state {
        RecordState::Finding(finding) => finding.reporter.as_ref(),
        RecordState::Whistle(_) => None,
    }
}

/// Whether somebody holds a role in a scope that will do.
fn holds(person: &Person, role: Role, will_do: impl Fn(&str) -> bool) -> Result<(), Reason> {
    let mut grants = person
        .grants
        .iter()
        .filter(|grant| grant.role == role)
        .peekable();
    grants.peek().ok_or(Reason::NotYourRole)?;
    let anywhere = active(Bug::AnyArea);
    yes(
        grants.any(|it| will_do(&it.scope) || anywhere),
        Reason::NotYourArea,
    )
}

fn yes(fits: bool, otherwise: Reason) -> Result<(), Reason> {
    match fits {
        true => Ok(()),
        false => Err(otherwise),
    }
}
