//! Who takes over when nobody answers, decided by pure functions of the record,
//! the policy and the time. The phone computes them to show what will happen;
//! only the server acts on them (`sync-server/src/escalate.rs`).
//!
//! 1. A [`Case`] is a whistle with what the ladder has to know about it: the
//!    categories of its findings, which of them are doubles ([`is_double`]), and
//!    the directory.
//! 2. Every cause has one last moment until which nothing follows from it.
//!    [`Case::next`] is the earliest of them: what happens next, and when, if
//!    nobody does anything. A timer carries it.
//! 3. Once it has passed, [`Case::due`] names the cause, and the ids follow from
//!    (whistle, level, round): whoever performs it performs the same thing. At
//!    any time, something is due exactly if the next moment has passed.
//! 4. Proof that arrives late is judged by [`Case::answer`]: kept, missed, or "a
//!    person decides". Kept means stand down, or, if the street has acted
//!    already, a proposal to the dispatcher. An extension that was asked for in
//!    time and granted late is such a proof. What the dispatcher has upheld,
//!    stands.
//! 5. The district's mark goes the same way ([`Case::mark_unfounded`]), but for
//!    the benefit of the doubt: where nobody can tell, nobody was absent.
//!
//! A whistle whose findings are all doubles of others does not escalate: the
//! finding that stays has whistles of its own.

use std::collections::BTreeSet;

use super::action::{EscalationCause, Level};
use super::deadline;
use super::directory::Directory;
use super::ids::RecordId;
use super::ladder::Rung;
use super::rules::Rules;
use super::time::Judged;
use super::whistle::{Ask, Deed, Mark, TargetState, WhistleState};
use crate::planted::{Bug, active};

/// A moment that has always passed: nothing is waited for.
pub const AT_ONCE: i64 = i64::MIN;

/// What the ladder has to know of a finding that a whistle carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Whether it is the double of one that stays; see [`is_double`].
    pub double: bool,
    /// Its category code.
    pub category: String,
}

/// A whistle, and everything that decides whether it goes up.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Which whistle.
    pub whistle: RecordId,
    /// What became of it.
    pub state: &'a WhistleState,
    /// Its findings, as far as they are known here. One that is not here yet is
    /// nobody's double and has no category.
    pub carried: &'a [Carried],
    /// Policy, ladder and calendar.
    pub directory: &'a Directory,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The street takes over, with this whistle.
    Street(RecordId),
    /// A mark for the supervision of the district.
    District,
}

/// Something that has to be performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Why.
    pub cause: EscalationCause,
    /// Which escalation, or which mark, of this whistle, from 1.
    pub round: u32,
    /// What.
    pub to: To,
}

/// What will happen if nobody does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The last moment until which nothing happens, Unix milliseconds;
    /// [`AT_ONCE`] if the server acts as soon as it hears of it.
    pub at_ms: i64,
    /// Why.
    pub cause: EscalationCause,
    /// What.
    pub to: To,
}

/// What late proof changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: there is no escalation for a missed deadline, or no proof, or a
    /// person has decided.
    None,
    /// Timely work: withdraw the escalation.
    StandDown,
    /// Timely work, but the street has acted: ask the dispatcher.
    Propose,
    /// The time cannot be told: a person decides.
    AskAPerson,
}

/// Whether a finding is the double of one that stays. `merged_into` says of a
/// finding into which one it was merged; `None` if the finding is not here. Two
/// that were merged into each other at the same time are nobody's doubles, and
/// one that has not arrived answers for nothing.
///
/// # Errors
/// As `merged_into`.
pub fn is_double<E>(
    finding: RecordId,
    mut merged_into: impl FnMut(RecordId) -> Result<Option<Option<RecordId>>, E>,
) -> Result<bool, E> {
    let mut passed = BTreeSet::new();
    let mut at = finding;
    while passed.insert(at) {
        match merged_into(at)? {
            None => return Ok(false),
            Some(None) => return Ok(at != finding),
            Some(Some(next)) => at = next,
        }
    }
    Ok(false)
}

impl Case<'_> {
    /// What is due at `now_ms`, if anything.
    pub fn due(&self, now_ms: i64) -> Option<Due> {
        let moments = self.moments();
        // The causes stand in the order in which they are named.
        let (cause, _) = moments.iter().find(|(_, at_ms)| now_ms > *at_ms)?;
        Some(Due {
            cause: *cause,
            round: self.round()?,
            to: self.to()?,
        })
    }

    /// What will happen if nobody does anything, and after which moment.
    pub fn next(&self) -> Option<Next> {
        let moments = self.moments();
        let (cause, at_ms) = moments.iter().min_by_key(|(_, at_ms)| *at_ms)?;
        Some(Next {
            at_ms: *at_ms,
            cause: *cause,
            to: self.to()?,
        })
    }

    /// What the proof that has arrived since means for the escalation in force.
    /// `street` is the whistle that it opened.
    pub fn answer(&self, street: &WhistleState) -> Answer {
        let in_force = self.state.escalated().filter(|escalation| {
            escalation.cause == EscalationCause::DuePassed && escalation.upheld.is_none()
        });
        let (Some(in_force), Some(by_ms)) = (in_force, self.feedback_by_ms()) else {
            return Answer::None;
        };
        if street.stage().is_over() {
            return Answer::None;
        }
        let acted = street.targets.values().any(|target| {
            !(target.signed.is_empty() && target.arrivals.is_empty() && target.feedback.is_empty())
        });
        let policy = &self.rules().policy.time;
        let recomputed = self.state.recomputed.as_ref();
        let since = recomputed.is_some_and(|it| it.deed.counts_ms(policy) >= in_force.at_ms);
        let judged = match (since, in_force.at_ms <= by_ms) {
            // Whoever sets the date anew after the escalation does not decide.
            (true, _) => Judged::CannotSay,
            // Asked in time and granted since: it was not due yet.
            (false, true) => Judged::Kept,
            (false, false) => self.fed_back_by(by_ms),
        };
        match judged {
            Judged::Kept if acted => Answer::Propose,
            Judged::Kept => Answer::StandDown,
            Judged::Missed => Answer::None,
            Judged::CannotSay => Answer::AskAPerson,
        }
    }

    /// Whether the mark in force says that somebody did not arrive, although
    /// everybody has, as it turned out, or may have.
    pub fn mark_unfounded(&self) -> bool {
        let mark = self.state.marked();
        let absent = |mark: &&Mark| mark.cause == EscalationCause::NoArrival;
        let by_ms = self.arrival_by_ms();
        mark.filter(absent).is_some() && by_ms.is_some_and(|by_ms| !self.absent(by_ms))
    }

    /// Whether nobody can tell of the feedback that has come if it was in time.
    pub fn is_unsure(&self) -> bool {
        let by_ms = self.feedback_by_ms();
        by_ms.is_some_and(|by_ms| self.fed_back_by(by_ms) == Judged::CannotSay)
    }

    /// The due time in force, and as long as the ladder holds it.
    fn feedback_by_ms(&self) -> Option<i64> {
        let due = deadline::due(self.state, Some(self.directory))?;
        Some(due.at_ms.saturating_add(self.rung()?.hold_ms))
    }

    /// By when something is expected of the targets: feedback at a community's
    /// whistle, arrival at one of the street; the time for which the ladder
    /// holds it included.
    pub fn expected_by_ms(&self) -> Option<i64> {
        match self.state.level()? {
            Level::Community => self.feedback_by_ms(),
            Level::Street => self.arrival_by_ms(),
        }
    }

    /// Targets whose time has passed without what was expected of them: nobody
    /// fed back in time at a community's whistle, nobody came in time at one of
    /// the street. Their phones are asked after before anybody is blamed.
    pub fn overdue(&self) -> Vec<&TargetState> {
        let Some(by_ms) = self.expected_by_ms() else {
            return Vec::new();
        };
        let late = |target: &&TargetState| match self.state.level() {
            Some(Level::Community) => self.judge(target.feedback.iter(), by_ms) == Judged::Missed,
            _ => self.came(target, by_ms) == Judged::Missed,
        };
        self.state.mandatory().filter(late).collect()
    }

    /// The rung of the ladder that this whistle stands on.
    pub fn rung(&self) -> Option<&Rung> {
        let order = self.state.order.as_ref()?;
        let community = self.directory.communities.get(&order.area);
        let categories = self.carried.iter().map(|finding| finding.category.as_str());
        let class = community.map(|community| community.class);
        self.rules().ladder.rung(order, class, categories)
    }

    /// The policy that this whistle runs under.
    pub fn rules(&self) -> Rules<'_> {
        self.state.rules(self.directory)
    }

    /// Every cause that can still make this whistle go up, in the order in which
    /// they are named, with the last moment until which nothing follows from it.
    fn moments(&self) -> Vec<(EscalationCause, i64)> {
        let state = self.state;
        let over = state.stage().is_over();
        let risen = state.escalated().is_some() || state.marked().is_some();
        let Some(rung) = self.rung() else {
            return Vec::new();
        };
        if over || risen || self.follows_others() {
            return Vec::new();
        }
        let moment = |cause: &EscalationCause| {
            let at_ms = match (state.level()?, cause) {
                (Level::Community, EscalationCause::Asked) => self.asked()?,
                (Level::Community, EscalationCause::TwoFailedVerifications) => {
                    self.failed_too_often(rung)?
                }
                (Level::Community, EscalationCause::DuePassed) => self.due_passes()?,
                (Level::Street, EscalationCause::ObjectionUpheld) => self.objection_upheld()?,
                (Level::Street, EscalationCause::NoArrival) => self.nobody_arrives()?,
                _ => return None,
            };
            Some((*cause, at_ms))
        };
        EscalationCause::ALL
            .iter()
            .filter(|cause| rung.causes.contains(cause))
            .filter_map(moment)
            .collect()
    }

    fn asked(&self) -> Option<i64> {
        self.state.asked.as_ref().map(|_| AT_ONCE)
    }

    fn failed_too_often(&self, rung: &Rung) -> Option<i64> {
        let state = self.state;
        // A round that failed before an escalation was stood down does not
        // escalate a second time.
        let counts = state.failed_verifications >= rung.failed_verifications.max(1)
            && state.escalations.is_empty();
        let verifications = state.targets.values().flat_map(|it| &it.verifications);
        let failed = verifications.filter(|(_, passed)| !passed);
        let policy = &self.rules().policy.time;
        let newest = failed.map(|(deed, _)| deed.counts_ms(policy)).max()?;
        counts.then(|| self.outside_pauses(newest.saturating_sub(1)))
    }

    fn due_passes(&self) -> Option<i64> {
        let by_ms = self.feedback_by_ms()?;
        // One that came before the time, as it turned out, answers nothing.
        let mut escalations = self.state.escalations.iter();
        let answered = escalations.any(|escalation| escalation.at_ms > by_ms);
        let done = self.fed_back_by(by_ms) == Judged::Kept && !active(Bug::EscalateAnswered);
        (!answered && !done).then_some(by_ms - i64::from(active(Bug::DueTooEarly)))
    }

    fn objection_upheld(&self) -> Option<i64> {
        let mut requests = self.state.requests.iter();
        let upheld =
            requests.any(|request| request.ask == Ask::Objection && request.granted().is_some());
        let mut marks = self.state.marks.iter();
        let marked = marks.any(|mark| mark.cause == EscalationCause::ObjectionUpheld);
        (upheld && !marked).then_some(AT_ONCE)
    }

    fn nobody_arrives(&self) -> Option<i64> {
        let by_ms = self.arrival_by_ms()?;
        let mut marks = self.state.marks.iter();
        let marked = marks.any(|mark| mark.cause == EscalationCause::NoArrival);
        (!marked && self.absent(by_ms)).then(|| self.outside_pauses(by_ms))
    }

    fn arrival_by_ms(&self) -> Option<i64> {
        let by_ms = self.state.order.as_ref()?.report_by_ms?;
        Some(by_ms.saturating_add(self.rung()?.hold_ms))
    }

    /// Whether a mandatory target has certainly not come by then, or nobody was
    /// even summoned.
    fn absent(&self, by_ms: i64) -> bool {
        let mut mandatory = self.state.mandatory();
        mandatory.any(|target| self.came(target, by_ms) == Judged::Missed)
            || self.state.targets.is_empty()
    }

    fn came(&self, target: &TargetState, by_ms: i64) -> Judged {
        self.judge(target.arrivals.iter().map(|(deed, _)| deed), by_ms)
    }

    /// Whether every mandatory target fed back in time. `Missed` if any did
    /// not, or nobody is summoned; `CannotSay` if none missed but some cannot
    /// be told.
    fn fed_back_by(&self, by_ms: i64) -> Judged {
        let of = |target: &TargetState| self.judge(target.feedback.iter(), by_ms);
        let mut targets = self.state.mandatory().map(of).peekable();
        if targets.peek().is_none() {
            // Everybody was excused: nobody missed anything.
            return match self.state.targets.is_empty() {
                true => Judged::Missed,
                false => Judged::Kept,
            };
        }
        targets.fold(Judged::Kept, |worst, one| match (worst, one) {
            (Judged::Missed, _) | (_, Judged::Missed) => Judged::Missed,
            (Judged::CannotSay, _) | (_, Judged::CannotSay) => Judged::CannotSay,
            _ => Judged::Kept,
        })
    }

    /// The best that can be said of several deeds; `Missed` if there is none.
    fn judge<'d>(&self, deeds: impl Iterator<Item = &'d Deed>, by_ms: i64) -> Judged {
        let policy = &self.rules().policy.time;
        let judged = deeds.map(|deed| deed.entry.bracket(policy).judge(by_ms));
        judged.fold(Judged::Missed, |best, one| match (best, one) {
            (Judged::Kept, _) | (_, Judged::Kept) => Judged::Kept,
            (Judged::CannotSay, _) | (_, Judged::CannotSay) => Judged::CannotSay,
            _ => Judged::Missed,
        })
    }

    /// While the clock stands still nothing goes up by itself: the moment, or
    /// the end of the pause that it falls into.
    fn outside_pauses(&self, at_ms: i64) -> i64 {
        let pauses = deadline::pauses(self.state, &self.rules().policy.time);
        pauses.iter().fold(at_ms, |at_ms, (from, to)| {
            let next = at_ms.saturating_add(1);
            match (*from..*to).contains(&next) {
                true => to.saturating_sub(1),
                false => at_ms,
            }
        })
    }

    /// Whether the whistle only carries doubles: it follows the findings that
    /// they were merged into. A call for volunteers, without findings, is none.
    fn follows_others(&self) -> bool {
        let ordered = self.state.order.as_ref().map_or(0, |it| it.findings.len());
        let double = |finding: &Carried| finding.double;
        ordered > 0 && self.carried.len() == ordered && self.carried.iter().all(double)
    }

    fn round(&self) -> Option<u32> {
        let before = match self.state.level()? {
            Level::Community => self.state.escalations.len(),
            Level::Street => self.state.marks.len(),
        };
        u32::try_from(before).ok()?.checked_add(1)
    }

    fn to(&self) -> Option<To> {
        Some(match self.state.level()?.next() {
            Some(level) => To::Street(RecordId::of_escalation(
                self.whistle,
                level.code(),
                self.round()?,
            )),
            None => To::District,
        })
    }
}
