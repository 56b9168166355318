//! What came back: own actions that were not plainly accepted, and those of a
//! former device, to be read and done again.

use shaodao_core::device::Device;
use shaodao_core::domain::action::Action;
use shaodao_core::domain::words::words;
use shaodao_core::envelope;
use shaodao_core::explain::{self, who_can_help};

use crate::error::{PhoneError, Sentence};
use crate::phone::{Phone, Saved};
use crate::types::{ActionId, RecordId, Standing, Words};

/// An own action that was not plainly accepted; nothing of it is lost.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct TroubleRow {
    /// Which action.
    pub action: ActionId,
    /// On which record.
    pub record: RecordId,
    /// Its word.
    pub word: String,
    /// What was written with it.
    pub text: Option<String>,
    /// When it was done, Unix milliseconds.
    pub at_ms: i64,
    /// What became of it.
    pub standing: Standing,
    /// Why.
    pub reason: Option<Sentence>,
    /// Who can help.
    pub who_can_help: Words,
    /// The action that its author did instead.
    pub redone: Option<ActionId>,
}

/// An own action of a former device that waits to be done again.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SalvagedRow {
    /// Which action.
    pub action: ActionId,
    /// On which record.
    pub record: RecordId,
    /// Its word; none if only its name is left.
    pub word: Option<String>,
    /// What was written with it.
    pub text: Option<String>,
}

#[uniffi::export]
impl Phone {
    /// What own actions ran into, newest first, at most 500.
    pub async fn troubles(&self) -> Result<Vec<TroubleRow>, PhoneError> {
        self.read(|device, _| troubles(device)).await
    }

    /// What a former device could not send, oldest first.
    pub async fn salvaged(&self) -> Result<Vec<SalvagedRow>, PhoneError> {
        self.read(|device, _| {
            let salvaged = device.store().salvaged()?.into_iter();
            Ok(salvaged
                .map(|it| {
                    let opened = it.envelope.as_deref().map(envelope::open);
                    let action = opened.and_then(Result::ok).map(|it| it.envelope.action);
                    SalvagedRow {
                        action: it.hash,
                        record: it.record,
                        word: action.as_ref().map(|it| it.body.word().to_owned()),
                        text: action.as_ref().and_then(text),
                    }
                })
                .collect())
        })
        .await
    }

    /// Does an action again on the record as it is now.
    pub async fn redo(&self, action: ActionId) -> Result<Saved, PhoneError> {
        self.write(move |device, now, rng| Ok(device.redo(now, rng, action)?.into()))
            .await
    }

    /// Forgets a salvaged action that its owner does not want.
    pub async fn forget_salvaged(&self, action: ActionId) -> Result<(), PhoneError> {
        self.write(move |device, _, _| Ok(device.forget_salvaged(&action)?))
            .await
    }
}

pub(crate) fn troubles(device: &Device) -> Result<Vec<TroubleRow>, PhoneError> {
    let troubles = device.troubles()?.into_iter();
    Ok(troubles
        .map(|open| {
            let trouble = open.trouble;
            let action = open.envelope.action;
            let (zh, en) = who_can_help(trouble.standing, trouble.reason);
            TroubleRow {
                action: trouble.hash,
                record: trouble.record,
                word: action.body.word().to_owned(),
                text: text(&action),
                at_ms: open.envelope.claim.reading_ms(),
                standing: trouble.standing,
                reason: trouble.reason.map(|it| explain::Sentence::from(it).into()),
                who_can_help: Words::new(zh, en),
                redone: trouble.redone,
            }
        })
        .collect())
}

fn text(action: &Action) -> Option<String> {
    words(&action.body).map(str::to_owned)
}
