//! Who takes over when nobody answers, decided by pure functions of the record,
//! the policy and the time. The phone computes them to show what will happen;
//! only the server acts on them (`sync-server/src/escalate.rs`).
//!
//! 1. A timer or an action makes somebody ask [`due`].
//! 2. `due` names the cause, and the ids follow from (whistle, level, round):
//!    whoever performs it performs the same thing.
//! 3. Proof that arrives late is judged by [`answer`]: kept, missed, or "a
//!    person decides". Kept means stand down, or, if the street has acted
//!    already, a proposal to the dispatcher.

use super::action::{EscalationCause, Level};
use super::directory::Policy;
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
pub fn due(whistle: RecordId, state: &WhistleState, policy: &Policy, now_ms: i64) -> Option<Due> {
    let order = state.order.as_ref()?;
    let level = order.level.next()?;
    if state.stage().is_over() || state.escalated().is_some() {
        return None;
    }
    let cause = if state.asked.is_some() {
        EscalationCause::Asked
    } else if state.failed_verifications >= policy.failed_verifications
        // A round that failed before an escalation was stood down does not
        // escalate a second time.
        && state.escalations.is_empty()
    {
        EscalationCause::TwoFailedVerifications
    } else if now_ms > order.due_ms
        && in_time(state, policy) != Judged::Kept
        && state.escalations.is_empty()
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
pub fn next_check_ms(state: &WhistleState) -> Option<i64> {
    let order = state.order.as_ref()?;
    order.level.next()?;
    let waiting = !state.stage().is_over() && state.escalations.is_empty();
    // The deadline itself is still in time.
    waiting.then(|| order.due_ms.saturating_add(1))
}

/// What the proof that has arrived since means for the escalation in force.
/// `street` is the whistle that it opened.
pub fn answer(state: &WhistleState, street: &WhistleState, policy: &Policy) -> Answer {
    let in_force = state
        .escalated()
        .filter(|escalation| escalation.cause == EscalationCause::DuePassed);
    if in_force.is_none() || street.stage().is_over() {
        return Answer::None;
    }
    let street_acted = street.targets.values().any(|target| {
        !(target.signed.is_empty() && target.arrivals.is_empty() && target.feedback.is_empty())
    });
    match in_time(state, policy) {
        Judged::Kept if street_acted => Answer::Propose,
        Judged::Kept => Answer::StandDown,
        Judged::Missed => Answer::None,
        Judged::CannotSay => Answer::AskAPerson,
    }
}

/// Whether every mandatory target fed back in time. `Missed` if any did not,
/// or nobody is summoned; `CannotSay` if none missed but some cannot be told.
pub fn in_time(state: &WhistleState, policy: &Policy) -> Judged {
    let Some(order) = state.order.as_ref() else {
        return Judged::Missed;
    };
    let of = |target: &TargetState| {
        let judged = target
            .feedback
            .iter()
            .map(|deed| deed.entry.bracket(&policy.time).judge(order.due_ms));
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
