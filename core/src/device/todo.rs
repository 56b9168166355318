//! What waits for the phone's owner, with the lights of what runs.

use super::{Device, DeviceError, RecordView};
use crate::domain::action::Party;
use crate::domain::directory::{Directory, Role};
use crate::domain::finding::FindingStage;
use crate::domain::ids::{PersonId, RecordId};
use crate::domain::limit::Light;
use crate::domain::reason::Reason;
use crate::domain::record::RecordState;
use crate::domain::time::Moment;
use crate::domain::whistle::{TargetStage, WhistleState};
use crate::store::read::{FindingFilter, WhistleFilter};

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Waiting {
    /// A superior's answer is due.
    ToReply,
    /// A whistle is to be answered.
    ToAnswer,
    /// A target asked for something.
    ToRuleOn,
    /// An own conclusion was overtaken by a failed verification.
    ConclusionOvertaken,
    /// Work is to be looked at.
    ToVerify,
    /// Everything is verified.
    ToConclude,
    /// Late proof for an escalation that the street has acted on.
    ToDecide,
    /// A report is to be accepted.
    ToAccept,
    /// A self-resolution is to be reviewed.
    ToReview,
}

impl Waiting {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::ToReply => "to reply",
            Self::ToAnswer => "to answer",
            Self::ToRuleOn => "to rule on",
            Self::ConclusionOvertaken => "conclusion overtaken",
            Self::ToVerify => "to verify",
            Self::ToConclude => "to conclude",
            Self::ToDecide => "to decide",
            Self::ToAccept => "to accept",
            Self::ToReview => "to review",
        }
    }

    /// In Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::ToReply => "待回复",
            Self::ToAnswer => "应哨",
            Self::ToRuleOn => "待裁定",
            Self::ConclusionOvertaken => "结项已被返工推翻",
            Self::ToVerify => "待核实",
            Self::ToConclude => "待结项",
            Self::ToDecide => "待裁定升级",
            Self::ToAccept => "待受理",
            Self::ToReview => "待复核",
        }
    }
}

/// Something that waits for the phone's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToDo {
    /// What for.
    pub waiting: Waiting,
    /// On which record.
    pub record: RecordId,
    /// Due time of a whistle, Unix milliseconds; a finding has none.
    pub due_at_ms: Option<i64>,
    /// Its light; none while the clock stands still.
    pub light: Option<Light>,
}

impl Device {
    /// What waits for the phone's owner: whistles, then findings.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn todo(&self, now: Moment) -> Result<Vec<ToDo>, DeviceError> {
        let directory = self.directory()?;
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let now_ms = self.reading_ms(now)?;
        let mut waiting = Vec::new();
        let open = WhistleFilter {
            open: true,
            limit: 500,
            ..WhistleFilter::default()
        };
        for row in self.whistles(now, &open)? {
            let view = self.show(row.record)?;
            let RecordState::Whistle(whistle) = &view.state else {
                continue;
            };
            let kinds = self.of_whistle(now, &view, whistle, (&owner.person, &directory))?;
            waiting.extend(kinds.into_iter().map(|kind| ToDo {
                waiting: kind,
                record: row.record,
                due_at_ms: Some(row.due_at_ms),
                light: row.light(now_ms),
            }));
        }
        let person = directory.person(&owner.person);
        let mut grants = person.iter().flat_map(|person| &person.grants);
        let decides = grants.any(|it| matches!(it.role, Role::Secretary | Role::Dispatcher));
        for (stage, kind) in [
            (FindingStage::Reported, Waiting::ToAccept),
            (FindingStage::SelfResolved, Waiting::ToReview),
        ] {
            let filter = FindingFilter {
                stage: Some(stage),
                limit: 500,
                ..FindingFilter::default()
            };
            let rows = match decides {
                true => self.findings(now, &filter)?,
                false => Vec::new(),
            };
            waiting.extend(rows.iter().map(|row| ToDo {
                waiting: kind,
                record: row.record,
                due_at_ms: None,
                light: None,
            }));
        }
        Ok(waiting)
    }

    fn of_whistle(
        &self,
        now: Moment,
        view: &RecordView,
        whistle: &WhistleState,
        (owner, directory): (&PersonId, &Directory),
    ) -> Result<Vec<Waiting>, DeviceError> {
        let steps = self.steps(now, view.record)?;
        let can = |word: &str| steps.iter().any(|step| step.word == word);
        let acts = |party: &Party| directory.acts_for(owner, party);
        let answers = whistle
            .targets
            .values()
            .any(|target| acts(&target.target.party) && target.stage() < TargetStage::FedBack);
        // A conclusion that a failed verification has overtaken.
        let overtaken = whistle.traces.iter().any(|trace| {
            let mut entries = view.history.entries().iter();
            let of = entries.find(|entry| entry.hash == trace.hash);
            trace.reason == Reason::Overtaken && of.is_some_and(|entry| entry.person == *owner)
        });
        let asked = whistle
            .escalated()
            .is_some_and(|escalation| escalation.proposed.is_some() && escalation.upheld.is_none());
        let mut waiting = Vec::new();
        if can("reply") {
            waiting.push(Waiting::ToReply);
        }
        if asked && can("uphold") {
            waiting.push(Waiting::ToDecide);
        }
        if answers {
            waiting.push(Waiting::ToAnswer);
        } else if whistle.open_requests().count() > 0 && can("rule") {
            waiting.push(Waiting::ToRuleOn);
        } else if overtaken {
            waiting.push(Waiting::ConclusionOvertaken);
        } else if can("verify") {
            waiting.push(Waiting::ToVerify);
        } else if can("conclude") {
            waiting.push(Waiting::ToConclude);
        }
        Ok(waiting)
    }
}
