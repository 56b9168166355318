//! Who takes over when nobody answers, decided by pure functions of the record,
//! the policy and the time. The phone computes them to show what will happen;
//! only the server acts on them (`sync-server/src/escalate.rs`).
//!
//! 1. A timer or an action makes somebody ask [`due`].
//! 2. `due` names the cause, and the ids follow from (whistle, level, round):
//!    whoever performs it performs the same thing.
//! 3. Proof that arrives late is judged by [`answer`]: kept, missed, or "a
//!    person decides". Kept means stand down, or, if the street has acted
//!    already, a proposal to the dispatcher. An extension that was asked for in
//!    time and granted late is such a proof.
//! 4. A whistle whose findings are all doubles of others does not escalate: the
//!    finding that stays has whistles of its own ([`follows_others`]).

use super::action::{EscalationCause, Level};
use super::deadline;
use super::directory::Directory;
use super::ids::RecordId;
use super::time::Judged;
use super::whistle::{TargetState, WhistleState};

/// An escalation that has to be performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Why.
    pub cause: EscalationCause,
    /// Which escalation of this whistle, from 1.
    pub round: u32,
    /// The whistle that it opens.
    pub into: RecordId,
    /// The level that takes over.
    pub level: Level,
}

/// What late proof changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing: there is no escalation for a missed deadline, or no proof.
    None,
    /// Timely work: withdraw the escalation.
    StandDown,
    /// Timely work, but the street has acted: ask the dispatcher.
    Propose,
    /// The time cannot be told: a person decides.
    AskAPerson,
}

/// The escalation that is due at `now_ms`, if any.
pub fn due(
    whistle: RecordId,
    state: &WhistleState,
    directory: &Directory,
    now_ms: i64,
) -> Option<Due> {
    let policy = &directory.policy;
    let level = state.level()?.next()?;
    let due_ms = deadline::due(state, Some(directory))?.at_ms;
    // While the clock stands still nothing escalates by itself.
    let is_suspended = deadline::suspended_until(state, &policy.time, now_ms).is_some();
    if state.stage().is_over() || state.escalated().is_some() {
        return None;
    }
    let cause = if state.asked.is_some() {
        EscalationCause::Asked
    } else if state.failed_verifications >= policy.failed_verifications
        // A round that failed before an escalation was stood down does not
        // escalate a second time.
        && state.escalations.is_empty()
        && !is_suspended
    {
        EscalationCause::TwoFailedVerifications
    } else if now_ms > due_ms
        && !settled(state, due_ms)
        && in_time(state, directory) != Judged::Kept
    {
        EscalationCause::DuePassed
    } else {
        return None;
    };
    let round = u32::try_from(state.escalations.len())
        .ok()?
        .checked_add(1)?;
    Some(Due {
        cause,
        round,
        into: RecordId::of_escalation(whistle, level.code(), round),
        level,
    })
}

/// When [`due`] has to be asked next, although nothing happens until then.
pub fn next_check_ms(state: &WhistleState, directory: &Directory) -> Option<i64> {
    state.level()?.next()?;
    let due_ms = deadline::due(state, Some(directory))?.at_ms;
    let is_over = state.stage().is_over() || state.escalated().is_some();
    let waiting = !is_over && !settled(state, due_ms);
    // The deadline itself is still in time.
    waiting.then(|| due_ms.saturating_add(1))
}

/// Whether an escalation has answered the passing of the due time. One that
/// came before it, as it turned out, answers nothing.
fn settled(state: &WhistleState, due_ms: i64) -> bool {
    let mut escalations = state.escalations.iter();
    escalations.any(|escalation| escalation.at_ms > due_ms)
}

/// What the proof that has arrived since means for the escalation in force.
/// `street` is the whistle that it opened.
pub fn answer(state: &WhistleState, street: &WhistleState, directory: &Directory) -> Answer {
    let in_force = state
        .escalated()
        .filter(|escalation| escalation.cause == EscalationCause::DuePassed);
    let Some(in_force) = in_force.filter(|_| !street.stage().is_over()) else {
        return Answer::None;
    };
    let street_acted = street.targets.values().any(|target| {
        !(target.signed.is_empty() && target.arrivals.is_empty() && target.feedback.is_empty())
    });
    let due = deadline::due(state, Some(directory));
    // Asked in time and granted since: it was not due yet.
    let too_early = due.is_some_and(|due| in_force.at_ms <= due.at_ms);
    let judged = match too_early {
        true => Judged::Kept,
        false => in_time(state, directory),
    };
    match judged {
        Judged::Kept if street_acted => Answer::Propose,
        Judged::Kept => Answer::StandDown,
        Judged::Missed => Answer::None,
        Judged::CannotSay => Answer::AskAPerson,
    }
}

/// Whether every mandatory target fed back in time. `Missed` if any did not,
/// or nobody is summoned; `CannotSay` if none missed but some cannot be told.
pub fn in_time(state: &WhistleState, directory: &Directory) -> Judged {
    let Some(due) = deadline::due(state, Some(directory)) else {
        return Judged::Missed;
    };
    let policy = &directory.policy.time;
    let of = |target: &TargetState| {
        let judged = target
            .feedback
            .iter()
            .map(|deed| deed.entry.bracket(policy).judge(due.at_ms));
        judged.fold(Judged::Missed, |best, one| match (best, one) {
            (Judged::Kept, _) | (_, Judged::Kept) => Judged::Kept,
            (Judged::CannotSay, _) | (_, Judged::CannotSay) => Judged::CannotSay,
            _ => Judged::Missed,
        })
    };
    let mut targets = state.mandatory().map(of).peekable();
    if targets.peek().is_none() {
        // Everybody was excused: nobody missed anything.
        return match state.targets.is_empty() {
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

/// Whether a whistle only carries doubles (by finding: is it one?): it follows
/// the findings that they were merged into and never escalates by itself. A call
/// for volunteers, without findings, is none.
pub fn follows_others(is_double: &[bool]) -> bool {
    !is_double.is_empty() && is_double.iter().all(|it| *it)
}
