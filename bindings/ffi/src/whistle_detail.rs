//! The page of a whistle.

use shaodao_core::device::{Device, DeviceError};
use shaodao_core::domain::deadline;
use shaodao_core::domain::directory::Directory;
use shaodao_core::domain::escalation::Case;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::{Judged, Moment};
use shaodao_core::domain::whistle::{TargetState, WhistleState};
use shaodao_core::explain;

use crate::detail::{FactRow, Step, TimelineRow, facts, steps, timeline};
use crate::directory::side_name;
use crate::error::{PhoneError, Sentence};
use crate::evidence::{EvidenceRow, evidence};
use crate::phone::Phone;
use crate::rows::{FindingRow, Names, WhistleRow};
use crate::types::{ActionId, RecordId, TargetStage};

/// One summoned target.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct TargetRow {
    /// Its key.
    pub party: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub stage: TargetStage,
    /// Lead (主办) or assist (协办).
    pub lead: bool,
    /// Mandatory or voluntary.
    pub mandatory: bool,
    /// Whether the phone's owner acts for it.
    pub mine: bool,
    /// Head-count of all arrivals together.
    pub heads: u32,
    /// What it says it did last.
    pub feedback: Option<String>,
    /// From 1; a failed verification starts the next round.
    pub round: u32,
    /// 未到场: must come, and has not although the report-in time has passed.
    pub no_show: bool,
    /// When its rework is due, while one is awaited, Unix milliseconds.
    pub rework_due_at_ms: Option<i64>,
    /// Why it was excused, or declined.
    pub excuse: Option<String>,
}

/// What a target asked for.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RequestRow {
    /// Names it in a ruling.
    pub request: ActionId,
    /// `object`, `ask_extension` or `ask_suspension`.
    pub word: String,
    /// Key of the target.
    pub party: String,
    /// Its name.
    pub party_name: String,
    /// Why.
    pub reason: String,
    /// The date that is asked for, Unix milliseconds.
    pub asked_ms: Option<i64>,
    /// The date that was granted, Unix milliseconds.
    pub granted_ms: Option<i64>,
    /// `asked`, `granted`, `refused` or `resumed`.
    pub outcome: String,
}

/// An answer that a superior demanded.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SupervisionRow {
    /// Names it in a reply.
    pub supervision: ActionId,
    /// Who has to answer: a target, or `blower`.
    pub party: String,
    /// What is demanded.
    pub text: String,
    /// Until when, Unix milliseconds.
    pub reply_by_ms: i64,
    /// The answer, once there is one.
    pub reply: Option<String>,
    /// It is missing, or came certainly too late.
    pub overdue: bool,
}

/// The next level has taken over.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct EscalationRow {
    /// Stable word of the cause.
    pub cause: String,
    /// The whistle that it opened.
    pub into: RecordId,
    /// Server time, Unix milliseconds.
    pub at_ms: i64,
    /// Withdrawn, and on which proof.
    pub stood_down: Option<String>,
    /// What the dispatcher is asked and has not answered.
    pub question: Option<String>,
    /// Why it stands, by the dispatcher.
    pub upheld: Option<String>,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ScoreRow {
    /// The scored target, or `blower`.
    pub party: String,
    /// Staff number of who scored.
    pub by: String,
    /// 1 to 5.
    pub score: u32,
    /// In words.
    pub text: String,
}

/// When a target was last heard of, before anybody is blamed.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct HeardRow {
    /// Key of the target.
    pub party: String,
    /// Server time, Unix milliseconds.
    pub at_ms: i64,
}

/// A whistle with everything in it.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct WhistleDetail {
    /// Its row.
    pub row: WhistleRow,
    /// Staff number of the blower.
    pub blower: Option<String>,
    /// Their name.
    pub blower_name: Option<String>,
    /// Sign-by time, Unix milliseconds.
    pub sign_by_ms: Option<i64>,
    /// Report-in time, Unix milliseconds.
    pub report_by_ms: Option<i64>,
    /// The due time of the order, before anything moved it, Unix milliseconds.
    pub first_due_at_ms: i64,
    /// The due time depends on holidays that nobody has announced yet.
    pub provisional: bool,
    /// Until when the clock stands still, Unix milliseconds.
    pub suspended_until_ms: Option<i64>,
    /// Its facts.
    pub facts: Vec<FactRow>,
    /// Its evidence, as it was attached.
    pub evidence: Vec<EvidenceRow>,
    /// Findings to be solved, as far as they are on this phone.
    pub findings: Vec<FindingRow>,
    /// Whom it summons.
    pub targets: Vec<TargetRow>,
    /// What targets asked for, oldest first.
    pub requests: Vec<RequestRow>,
    /// Answers that superiors demanded, oldest first.
    pub supervisions: Vec<SupervisionRow>,
    /// Escalations, oldest first.
    pub escalations: Vec<EscalationRow>,
    /// Marked for the supervision of the district, and why.
    pub marked: Option<String>,
    /// When overdue targets were last heard of.
    pub heard: Vec<HeardRow>,
    /// What happens if nobody does anything, and when.
    pub outlook: Option<Sentence>,
    /// The conclusion.
    pub conclusion: Option<String>,
    /// Why it was called off.
    pub cancelled: Option<String>,
    /// Scores.
    pub scores: Vec<ScoreRow>,
    /// Other open whistles for the same findings, oldest first.
    pub rivals: Vec<WhistleRow>,
    /// What happened, causes first.
    pub timeline: Vec<TimelineRow>,
    /// What the phone's owner can do now.
    pub steps: Vec<Step>,
}

#[uniffi::export]
impl Phone {
    /// A whistle with everything in it.
    pub async fn whistle(&self, whistle: RecordId) -> Result<WhistleDetail, PhoneError> {
        self.read(move |device, now| page(device, now, whistle))
            .await
    }
}

fn page(device: &Device, now: Moment, record: RecordId) -> Result<WhistleDetail, PhoneError> {
    let view = device.view(now, record)?;
    let names = Names::of(device, now)?;
    let directory = &*names.directory;
    let store = device.store();
    let (RecordState::Whistle(state), Some(row)) = (&view.state, store.whistle(record)?) else {
        return Err(DeviceError::NoSuchRecord.into());
    };
    let order = state.order.as_ref();
    let mut findings = Vec::new();
    for finding in order.iter().flat_map(|order| &order.findings) {
        findings.extend(store.finding(*finding)?.map(|row| names.finding(&row)));
    }
    let carried = device.carried(state)?;
    let case = Case {
        whistle: record,
        state,
        carried: &carried,
        directory,
    };
    let outlook = case
        .next()
        .map(|next| explain::Sentence::from(&next).into());
    let due = deadline::due(state, Some(directory));
    let mine = device.own_parties()?;
    let targets = state.targets.iter();
    Ok(WhistleDetail {
        row: names.whistle(&row)?,
        blower: state.blower.as_ref().map(|it| it.0.clone()),
        blower_name: state.blower.as_ref().map(|it| directory.name_of(it)),
        sign_by_ms: order.and_then(|order| order.sign_by_ms),
        report_by_ms: order.and_then(|order| order.report_by_ms),
        first_due_at_ms: order.map_or(0, |order| order.due_ms),
        provisional: due.is_some_and(|due| due.provisional),
        suspended_until_ms: deadline::suspended_until(state, &directory.policy.time, names.now_ms),
        facts: facts(&view),
        evidence: evidence(device, &view)?,
        findings,
        targets: targets
            .map(|(key, it)| target(&names, state, (key, it), mine.contains(key)))
            .collect(),
        requests: requests(directory, state),
        supervisions: supervisions(&names, state),
        escalations: escalations(state),
        marked: state.marked().map(|mark| mark.cause.zh().to_owned()),
        heard: state
            .heard
            .iter()
            .map(|(party, at_ms)| HeardRow {
                party: party.clone(),
                at_ms: *at_ms,
            })
            .collect(),
        outlook,
        conclusion: state.conclusion().map(str::to_owned),
        cancelled: state.cancelled.clone(),
        scores: scores(state),
        rivals: device
            .rivals(record)?
            .iter()
            .map(|row| names.whistle(row))
            .collect::<Result<_, _>>()?,
        timeline: timeline(&view, &names),
        steps: steps(device, now, &view, &names)?,
    })
}

fn target(
    names: &Names<'_>,
    whistle: &WhistleState,
    (key, state): (&str, &TargetState),
    mine: bool,
) -> TargetRow {
    let directory = &*names.directory;
    let policy = deadline::policy(whistle, Some(directory));
    TargetRow {
        party: key.to_owned(),
        name: side_name(directory, key),
        stage: state.stage(),
        lead: state.target.lead,
        mandatory: state.target.mandatory,
        mine,
        heads: state.heads(),
        feedback: state.feedback.last().map(|deed| deed.text.clone()),
        round: state.round,
        no_show: deadline::no_show(whistle, state, &policy, names.now_ms),
        rework_due_at_ms: deadline::rework_due(whistle, state, directory).map(|due| due.at_ms),
        excuse: state.excused.clone().or_else(|| state.declined.clone()),
    }
}

fn requests(directory: &Directory, state: &WhistleState) -> Vec<RequestRow> {
    let requests = state.requests.iter();
    requests
        .map(|it| RequestRow {
            request: it.asked.hash,
            word: it.ask.word().to_owned(),
            party: it.party.clone(),
            party_name: side_name(directory, &it.party),
            reason: it.asked.text.clone(),
            asked_ms: it.ask.date_ms(),
            granted_ms: it.granted().and_then(|(_, date_ms)| date_ms),
            outcome: it.outcome().to_owned(),
        })
        .collect()
}

fn supervisions(names: &Names<'_>, state: &WhistleState) -> Vec<SupervisionRow> {
    let policy = deadline::policy(state, Some(&names.directory));
    let supervisions = state.supervisions.iter();
    supervisions
        .map(|it| SupervisionRow {
            supervision: it.deed.hash,
            party: it.party.clone(),
            text: it.deed.text.clone(),
            reply_by_ms: it.reply_by_ms,
            reply: it.reply.as_ref().map(|reply| reply.text.clone()),
            overdue: deadline::reply(it, &policy, names.now_ms) == Some(Judged::Missed),
        })
        .collect()
}

fn escalations(state: &WhistleState) -> Vec<EscalationRow> {
    let escalations = state.escalations.iter();
    escalations
        .map(|it| EscalationRow {
            cause: it.cause.code().to_owned(),
            into: it.into,
            at_ms: it.at_ms,
            stood_down: it.stood_down.clone(),
            question: it.proposed.clone().filter(|_| it.upheld.is_none()),
            upheld: it.upheld.clone(),
        })
        .collect()
}

fn scores(state: &WhistleState) -> Vec<ScoreRow> {
    let evaluations = state.evaluations.iter();
    evaluations
        .map(|it| ScoreRow {
            party: it.party.clone(),
            by: it.deed.person.0.clone(),
            score: it.score,
            text: it.deed.text.clone(),
        })
        .collect()
}
