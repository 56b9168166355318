//! When a whistle is due, by everything that was decided about its clock.
//!
//! 1. The order carries its due time, and the terms it follows from: start,
//!    limit, and the editions of calendar and policy. Terms keep their editions;
//!    only [`Body::Recompute`](super::action::Body::Recompute) changes them.
//! 2. A granted suspension stops the clock from the moment it was *asked* for,
//!    so that waiting for the ruling costs the target nothing, until it is
//!    resumed or reviewed: a pause that everybody forgets ends by itself, with
//!    the time that was left.
//! 3. A granted extension counts if it was asked for in time, however late the
//!    asking arrives or the ruling is made; the latest date counts. A pause
//!    ruled on after it moves it on too.
//!
//! What can go wrong: (1) the calendar's edition is not here, or the terms do
//! not explain the date: the date moves on by as long as the clock stood, and a
//! missing edition marks it provisional; (3) the time of asking cannot be told:
//! the blower who granted it has decided that.
//!
//! All times are Unix milliseconds, UTC.

use super::calendar::{DueTime, is_suspended};
use super::directory::Directory;
use super::limit::{Light, Limit, LimitUnit, light_from};
use super::time::{Judged, TimePolicy};
use super::whistle::{Ask, Supervision, TargetState, WhistleState};
use crate::planted::{Bug, active};

/// The due time in force; `None` before the order has arrived. The directory
/// gives calendar and policy; without one, dates move by plain time.
pub fn due(state: &WhistleState, directory: Option<&Directory>) -> Option<DueTime> {
    let policy = policy(state, directory);
    let pauses = pauses(state, &policy);
    let mut due = without_extensions(state, directory, &pauses)?;
    for request in &state.requests {
        let Ask::Extension { .. } = request.ask else {
            continue;
        };
        let Some((ruling, Some(until_ms))) = request.granted() else {
            continue;
        };
        if request.asked.entry.bracket(&policy).judge(due.at_ms) == Judged::Missed {
            continue;
        }
        // Whoever ruled knew of the pauses so far.
        let ruled_at_ms = ruling.deed.counts_ms(&policy);
        let since: Vec<_> = pauses
            .iter()
            .map(|(from, to)| (*from.max(&ruled_at_ms), *to))
            .collect();
        let at_ms = moved(until_ms, &since);
        due = due.max(DueTime {
            at_ms,
            provisional: false,
        });
    }
    Some(due)
}

/// Whether the clock stands still at `now_ms`, and until when.
pub fn suspended_until(state: &WhistleState, policy: &TimePolicy, now_ms: i64) -> Option<i64> {
    let pauses = pauses(state, policy);
    let mut pauses = pauses.iter();
    let now = pauses.find(|(from, to)| (*from..*to).contains(&now_ms));
    now.map(|(_, to)| *to)
}

/// The light of a whistle at `now_ms`, by the share of working time between its
/// start and the due time in force that is used; yellow from where its policy
/// says, none while the clock stands still or the whistle is over. Where no
/// calendar explains the date, the hours of the day count alike.
pub fn light(state: &WhistleState, directory: &Directory, now_ms: i64) -> Option<Light> {
    let due = due(state, Some(directory))?;
    let policy = state.rules(directory).policy;
    let start_ms = state.started_at_ms();
    let pauses = pauses(state, &policy.time);
    let (_, terms) = state.terms()?;
    let calendar = terms.and_then(|terms| directory.calendar(&terms.calendar));
    let unit = match calendar {
        Some(_) => terms.map_or(LimitUnit::UrgentHour, |terms| terms.limit.unit),
        None => LimitUnit::UrgentHour,
    };
    // Longer than any limit: what counts is the time until the due time.
    let limit = Limit {
        amount: u32::MAX,
        unit,
    };
    let calendar = calendar.unwrap_or(&directory.calendar);
    let until = |at_ms| calendar.used_min(start_ms, limit, &pauses, at_ms);
    let stands_still = state.stage().is_over() || is_suspended(&pauses, now_ms);
    // The due time itself is still in time, and red: all of it is used.
    let whole = until(due.at_ms).max(1);
    let used = match now_ms >= due.at_ms {
        true => whole,
        false => until(now_ms),
    };
    light_from(policy.yellow_percent.into(), used, whole, stands_still)
}

/// When phones' clocks are believed, for this whistle; as usual without a
/// directory.
pub fn policy(state: &WhistleState, directory: Option<&Directory>) -> TimePolicy {
    directory.map_or_else(TimePolicy::default, |it| state.rules(it).policy.time)
}

/// When the rework of a target is due: the limit of the whistle's policy from
/// the failed verification, by the calendar in force. `None` if no rework is awaited. The
/// clock of the whole whistle goes on beside it.
pub fn rework_due(
    state: &WhistleState,
    target: &TargetState,
    directory: &Directory,
) -> Option<DueTime> {
    let policy = state.rules(directory).policy;
    let failed_ms = target.rework()?.counts_ms(&policy.time);
    directory
        .calendar
        .due(failed_ms, policy.rework_limit, &[])
        .ok()
}

/// Whether the answer to a superior is missing or came too late. A reply whose
/// time cannot be told is for a person to judge.
pub fn reply(supervision: &Supervision, policy: &TimePolicy, now_ms: i64) -> Option<Judged> {
    match &supervision.reply {
        Some(reply) => Some(reply.entry.bracket(policy).judge(supervision.reply_by_ms)),
        None => (now_ms > supervision.reply_by_ms).then_some(Judged::Missed),
    }
}

/// Whether a mandatory target has not come although report-by has passed
/// (未到场): nobody arrived, or everybody certainly too late.
pub fn no_show(
    state: &WhistleState,
    target: &TargetState,
    policy: &TimePolicy,
    now_ms: i64,
) -> bool {
    let by_ms = state.order.as_ref().and_then(|order| order.report_by_ms);
    let came = |by_ms: i64| {
        let mut arrivals = target.arrivals.iter();
        arrivals.any(|(deed, _)| deed.entry.bracket(policy).judge(by_ms) != Judged::Missed)
    };
    target.target.mandatory
        && target.excused.is_none()
        && by_ms.is_some_and(|by_ms| now_ms > by_ms && !came(by_ms))
}

/// The pauses of the clock, start and end, ascending and apart.
pub fn pauses(state: &WhistleState, policy: &TimePolicy) -> Vec<(i64, i64)> {
    let mut pauses: Vec<(i64, i64)> = Vec::new();
    for request in &state.requests {
        let (Ask::Suspension { .. }, Some((_, Some(review_ms)))) = (request.ask, request.granted())
        else {
            continue;
        };
        let from = request.asked.counts_ms(policy);
        let resumed = request.resumed.as_ref().map(|deed| deed.counts_ms(policy));
        let to = resumed.map_or(review_ms, |resumed| resumed.min(review_ms));
        if from < to && !active(Bug::CountSuspended) {
            pauses.push((from, to));
        }
    }
    pauses.sort_unstable();
    let mut apart: Vec<(i64, i64)> = Vec::with_capacity(pauses.len());
    for (from, to) in pauses {
        match apart.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => apart.push((from, to)),
        }
    }
    apart
}

fn without_extensions(
    state: &WhistleState,
    directory: Option<&Directory>,
    pauses: &[(i64, i64)],
) -> Option<DueTime> {
    let (due_ms, terms) = state.terms()?;
    let Some(terms) = terms else {
        return Some(DueTime {
            at_ms: moved(due_ms, pauses),
            provisional: false,
        });
    };
    let by_hand = DueTime {
        at_ms: moved(due_ms, pauses),
        provisional: true,
    };
    let Some(calendar) = directory.and_then(|it| it.calendar(&terms.calendar)) else {
        return Some(by_hand);
    };
    let plain = calendar.due(terms.start_ms, terms.limit, &[]);
    Some(match plain {
        Ok(plain) if plain.at_ms == due_ms => calendar
            .due(terms.start_ms, terms.limit, pauses)
            .unwrap_or(by_hand),
        // The date was issued as it is; everybody has read it.
        _ => by_hand,
    })
}

/// A date that moves on by every pause that begins before it.
fn moved(at_ms: i64, pauses: &[(i64, i64)]) -> i64 {
    pauses
        .iter()
        .fold(at_ms, |at_ms, (from, to)| match *from < at_ms {
            true => at_ms.saturating_add(to.saturating_sub(*from).max(0)),
            false => at_ms,
        })
}
