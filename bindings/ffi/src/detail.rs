//! What a record shows: facts and the disagreement about them, the timeline, what
//! can be done now; and the page of a finding.

use shaodao_core::device::{Device, DeviceError, RecordView};
use shaodao_core::domain::action::{Body, Value};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::Moment;
use shaodao_core::domain::words::words;
use shaodao_core::explain;

use crate::directory::side_name;
use crate::error::{PhoneError, Sentence};
use crate::evidence::{EvidenceRow, evidence};
use crate::phone::Phone;
use crate::rows::{FindingRow, Names, WhistleRow};
use crate::types::{ActionId, EvidenceId, PrivateId, PrivateKind, RecordId, Standing};

/// A fact, with what else is said of it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct FactRow {
    /// `title`, `description`, `category`, `severity`, `position`, `grid`,
    /// `address` or `number`.
    pub name: String,
    /// The value that counts.
    pub value: String,
    /// Other values, written by people who had not seen it: a disagreement, until
    /// somebody who saw both corrects the fact.
    pub others: Vec<String>,
}

/// One action of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct TimelineRow {
    /// Which action.
    pub action: ActionId,
    /// Its word, such as `report`; `action_words` says it to people.
    pub word: String,
    /// Staff number of who did it; `server` for the server.
    pub person: String,
    /// Their name.
    pub person_name: String,
    /// The best reading of when, Unix milliseconds.
    pub at_ms: i64,
    /// When the server received it; none while it has not.
    pub received_at_ms: Option<i64>,
    /// Key of the target that it speaks for or about.
    pub party: Option<String>,
    /// Its name.
    pub party_name: Option<String>,
    /// What was written with it.
    pub text: Option<String>,
    /// Of a review or a verification, whether it passed; of a ruling, whether it
    /// was granted.
    pub passed: Option<bool>,
    /// Of an evaluation, 1 to 5.
    pub score: Option<u32>,
    /// Where it stands.
    pub standing: Standing,
    /// Why it had no effect, if it had none.
    pub without_effect: Option<Sentence>,
}

/// An action that would be accepted now: a button.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Step {
    /// Its word.
    pub word: String,
    /// The target that it speaks for or about, or `blower`.
    pub party: Option<String>,
    /// The name of that target.
    pub party_name: Option<String>,
    /// The request or supervision that it answers.
    pub answers: Option<ActionId>,
    /// The personal data that it erases.
    pub item: Option<PrivateId>,
    /// The evidence that it erases.
    pub piece: Option<EvidenceId>,
}

/// Personal data beside a finding, as this phone may show it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Confidence {
    /// Which.
    pub item: PrivateId,
    /// What kind.
    pub kind: PrivateKind,
    /// Staff number of who left it.
    pub by: String,
    /// The text; none if it is erased, has not arrived, or is not meant for this
    /// phone.
    pub text: Option<String>,
    /// Why it was erased, if it was.
    pub erased: Option<String>,
}

/// A finding with everything in it.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct FindingDetail {
    /// Its row.
    pub row: FindingRow,
    /// Its facts.
    pub facts: Vec<FactRow>,
    /// What happened, causes first.
    pub timeline: Vec<TimelineRow>,
    /// What the phone's owner can do now.
    pub steps: Vec<Step>,
    /// Its evidence, as it was attached.
    pub evidence: Vec<EvidenceRow>,
    /// Personal data beside it.
    pub confided: Vec<Confidence>,
    /// Whistles that carry it, oldest first.
    pub whistles: Vec<WhistleRow>,
    /// Open findings that may be the same problem, nearest first.
    pub doubles: Vec<FindingRow>,
    /// The finding that it was merged into and follows.
    pub follows: Option<FindingRow>,
    /// How often somebody was reminded of it.
    pub urges: u32,
}

#[uniffi::export]
impl Phone {
    /// A finding with everything in it.
    pub async fn finding(&self, finding: RecordId) -> Result<FindingDetail, PhoneError> {
        self.read(move |device, now| page(device, now, finding))
            .await
    }

    /// The record with this number, or whose id begins so; none if there is none
    /// or more than one.
    pub async fn find(&self, name: String) -> Result<Option<RecordId>, PhoneError> {
        self.read(move |device, _| Ok(device.store().find(name.trim())?))
            .await
    }
}

fn page(device: &Device, now: Moment, record: RecordId) -> Result<FindingDetail, PhoneError> {
    let view = device.view(now, record)?;
    let names = Names::of(device, now)?;
    let store = device.store();
    let (RecordState::Finding(finding), Some(row)) = (&view.state, store.finding(record)?) else {
        return Err(DeviceError::NoSuchRecord.into());
    };
    let mut whistles = Vec::new();
    for whistle in store.whistles_of(record)? {
        let row = store.whistle(whistle)?;
        whistles.extend(row.map(|row| names.whistle(&row)).transpose()?);
    }
    let follows = match finding.merged_into {
        Some(into) => store.finding(into)?,
        None => None,
    };
    let confided = device.confidences(record, finding)?.into_iter();
    let doubles = device.doubles(record)?;
    Ok(FindingDetail {
        row: names.finding(&row),
        facts: facts(&view),
        timeline: timeline(&view, &names),
        steps: steps(device, now, &view, &names)?,
        evidence: evidence(device, &view)?,
        confided: confided
            .map(|one| Confidence {
                item: one.item,
                kind: one.confided.kind,
                by: one.confided.by.0,
                text: one.text,
                erased: one.confided.erased.map(|(_, reason)| reason),
            })
            .collect(),
        whistles,
        doubles: doubles.iter().map(|row| names.finding(row)).collect(),
        follows: follows.map(|row| names.finding(&row)),
        urges: finding.urges,
    })
}

pub(crate) fn facts(view: &RecordView) -> Vec<FactRow> {
    let facts = view.state.facts().iter();
    facts
        .map(|(name, register)| FactRow {
            name: name.clone(),
            value: plain(&register.value),
            others: register.others.iter().map(|(it, _)| plain(it)).collect(),
        })
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        // No fact of this build has bytes or a list.
        Value::Bytes(_) | Value::List(_) => String::new(),
    }
}

pub(crate) fn timeline(view: &RecordView, names: &Names<'_>) -> Vec<TimelineRow> {
    let entries = view.history.entries().iter();
    entries
        .map(|entry| {
            let mut account = view.account.iter();
            let account = account.find(|(hash, ..)| *hash == entry.hash);
            let trace = view.state.trace_of(&entry.hash);
            let party = entry.body.party();
            TimelineRow {
                action: entry.hash,
                word: entry.body.word().to_owned(),
                person: entry.person.0.clone(),
                person_name: names.directory.name_of(&entry.person),
                at_ms: entry.claim.reading_ms(),
                received_at_ms: entry.received_at_ms,
                party: party.map(str::to_owned),
                party_name: party.map(|key| side_name(&names.directory, key)),
                text: words(&entry.body).map(str::to_owned),
                passed: match entry.body {
                    Body::Review { passed, .. } | Body::Verify { passed, .. } => Some(passed),
                    Body::Rule { granted, .. } => Some(granted),
                    _ => None,
                },
                score: match entry.body {
                    Body::Evaluate { score, .. } => Some(score),
                    _ => None,
                },
                standing: account.map_or(Standing::Accepted, |(_, standing, _)| *standing),
                without_effect: trace.map(|reason| explain::Sentence::from(reason).into()),
            }
        })
        .collect()
}

pub(crate) fn steps(
    device: &Device,
    now: Moment,
    view: &RecordView,
    names: &Names<'_>,
) -> Result<Vec<Step>, PhoneError> {
    let steps = device.steps(now, view)?.into_iter();
    Ok(steps
        .map(|step| Step {
            word: step.word,
            party_name: step
                .party
                .as_deref()
                .map(|key| side_name(&names.directory, key)),
            party: step.party,
            answers: step.answers,
            item: step.item,
            piece: step.piece,
        })
        .collect())
}
