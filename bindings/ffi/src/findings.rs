//! Reporting, correcting and everything else that is done to a finding.

use shaodao_core::device::{Device, Draft};
use shaodao_core::domain::action::{Body, Facts, RecordKind, Value, fact};

use crate::directory::Place;
use crate::error::PhoneError;
use crate::phone::{Phone, Saved};
use crate::rows::{FindingRow, Names};
use crate::types::{PrivateId, PrivateKind, RecordId};

/// What a form says of a finding or a whistle; what is left out is not said.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct Form {
    /// One line, at most 120 characters.
    #[uniffi(default = None)]
    pub title: Option<String>,
    /// The whole story, at most 4,000 characters.
    #[uniffi(default = None)]
    pub description: Option<String>,
    /// Category code.
    #[uniffi(default = None)]
    pub category: Option<String>,
    /// 1 (minor) to 4 (danger to life).
    #[uniffi(default = None)]
    pub severity: Option<u8>,
    /// Where.
    #[uniffi(default = None)]
    pub place: Option<Place>,
    /// Grid code; a report without one lies in the grid of its place, or where
    /// the phone's owner belongs.
    #[uniffi(default = None)]
    pub grid: Option<String>,
    /// Address phrase.
    #[uniffi(default = None)]
    pub address: Option<String>,
}

/// Something to do to a finding. A reason is never empty.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum FindingAct {
    /// 受理
    Accept,
    /// 退回
    Decline {
        /// Why.
        reason: String,
    },
    /// 自处置: fixed on the spot.
    SelfResolve {
        /// What was done.
        text: String,
    },
    /// 复核: a self-resolution, looked at by somebody else.
    Review {
        /// Whether it really is solved.
        passed: bool,
        /// What was seen.
        text: String,
    },
    /// 合并: the same problem as another one.
    Merge {
        /// The finding that stays.
        into: RecordId,
    },
    /// 撤回, by its reporter.
    Withdraw {
        /// Why.
        reason: String,
    },
    /// 重开
    Reopen {
        /// Why.
        reason: String,
    },
    /// 催办
    Urge {
        /// The reminder.
        text: String,
    },
    /// 备注
    Note {
        /// The note.
        text: String,
    },
    /// 擦除: destroys personal data everywhere.
    Erase {
        /// Which.
        item: PrivateId,
        /// Why.
        reason: String,
    },
}

#[uniffi::export]
impl Phone {
    /// Reports a finding (上报). When this returns it is on the disk and queued.
    pub async fn report(&self, form: Form) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            let facts = report_facts(device, form)?;
            let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
            Ok(device.capture(now, rng, draft)?.into())
        })
        .await
    }

    /// Open findings nearby that a report would double: what to show before it is
    /// saved. Works offline.
    pub async fn similar(&self, form: Form) -> Result<Vec<FindingRow>, PhoneError> {
        self.read(move |device, now| {
            let facts = form.facts()?;
            let names = Names::of(device, now)?;
            let similar = device.similar(now, &facts)?;
            Ok(similar.iter().map(|row| names.finding(row)).collect())
        })
        .await
    }

    /// Corrects what is said of a finding or a whistle (更正); what is left out
    /// stays. Deciding a conflict is a correction by somebody who saw it. To be given
    /// what the user changed and no more: a value that is sent as it was disagrees
    /// with whoever changes it meanwhile.
    pub async fn correct(&self, record: RecordId, form: Form) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            let kind = device.store().kind_of(record)?;
            let kind = kind.ok_or(shaodao_core::device::DeviceError::NoSuchRecord)?;
            let draft = Draft::on(kind, record, Body::Correct).with_facts(form.facts()?);
            Ok(device.capture(now, rng, draft)?.into())
        })
        .await
    }

    /// Does something to a finding.
    pub async fn act_on_finding(
        &self,
        finding: RecordId,
        act: FindingAct,
    ) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            let draft = Draft::on(RecordKind::Finding, finding, act.body());
            Ok(device.capture(now, rng, draft)?.into())
        })
        .await
    }

    /// Leaves personal data beside a finding, for those who need it.
    pub async fn confide(
        &self,
        finding: RecordId,
        kind: PrivateKind,
        text: String,
    ) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| {
            Ok(device.confide(now, rng, finding, kind, &text)?.into())
        })
        .await
    }
}

impl Form {
    pub(crate) fn facts(self) -> Result<Facts, PhoneError> {
        let mut facts = Facts::new();
        let texts = [
            (fact::TITLE, self.title),
            (fact::DESCRIPTION, self.description),
            (
                fact::CATEGORY,
                self.category.map(|code| code.to_uppercase()),
            ),
            (fact::GRID, self.grid),
            (fact::ADDRESS, self.address),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                facts.insert(name.to_owned(), Value::Text(text.trim().to_owned()));
            }
        }
        if let Some(place) = self.place {
            let position = place.position()?.to_string();
            facts.insert(fact::POSITION.to_owned(), Value::Text(position));
        }
        if let Some(severity) = self.severity {
            facts.insert(fact::SEVERITY.to_owned(), Value::Int(severity.into()));
        }
        Ok(facts)
    }
}

/// The facts of a report, its grid among them.
fn report_facts(device: &Device, form: Form) -> Result<Facts, PhoneError> {
    let mut facts = form.facts()?;
    let grid = device.grid_of(&facts)?;
    let grid = grid.ok_or_else(|| PhoneError::input("grid"))?;
    facts.insert(fact::GRID.to_owned(), Value::Text(grid));
    Ok(facts)
}

impl FindingAct {
    fn body(self) -> Body {
        match self {
            Self::Accept => Body::Accept,
            Self::Decline { reason } => Body::Decline { reason },
            Self::SelfResolve { text } => Body::SelfResolve { text },
            Self::Review { passed, text } => Body::Review { passed, text },
            Self::Merge { into } => Body::Merge { into },
            Self::Withdraw { reason } => Body::Withdraw { reason },
            Self::Reopen { reason } => Body::Reopen { reason },
            Self::Urge { text } => Body::Urge { text },
            Self::Note { text } => Body::Note { text },
            Self::Erase { item, reason } => Body::Erase { item, reason },
        }
    }
}
