//! Personal data beside a finding: leaving it, and reading what is meant for
//! this phone ([`crate::domain::private`]).

use rand::Rng;

use super::{Captured, Device, DeviceError, Draft};
use crate::domain::action::{Body, RecordKind};
use crate::domain::finding::FindingState;
use crate::domain::ids::{PrivateId, RecordId};
use crate::domain::private::{Confided, MAX_PRIVATE, PrivateKind};
use crate::domain::reason::Reason;
use crate::domain::record::Refused;
use crate::domain::time::Moment;
use crate::seal;
use crate::store::write::Along;

/// Personal data beside a finding, as this phone may show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Confidence {
    /// Which.
    pub item: PrivateId,
    /// What everybody sees of it.
    pub confided: Confided,
    /// The text; `None` if it is erased, has not arrived, or is not meant for
    /// this phone.
    pub text: Option<String>,
}

impl Device {
    /// Leaves personal data beside a finding: the text under a key of its own,
    /// for those who need it ([`crate::domain::private`]).
    ///
    /// # Errors
    /// See [`DeviceError`]; nothing was saved.
    pub fn confide(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        finding: RecordId,
        kind: PrivateKind,
        text: &str,
    ) -> Result<Captured, DeviceError> {
        let refused = |reason| Refused {
            state: "new",
            action: "confide".to_owned(),
            reason,
        };
        if text.trim().is_empty() {
            return Err(refused(Reason::Empty).into());
        }
        if text.chars().count() > MAX_PRIVATE {
            return Err(refused(Reason::TooLong).into());
        }
        let sealed = seal::seal(rng, finding, kind, text).map_err(|_| refused(Reason::TooLong))?;
        let item = sealed.id;
        let draft = Draft::on(RecordKind::Finding, finding, Body::Confide { item, kind });
        let along = Along {
            confided: Some(&sealed),
            ..Along::default()
        };
        self.capture_along(now, rng, draft, along)
    }

    /// The personal data of a finding, as far as this phone may read it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn confidences(
        &self,
        record: RecordId,
        finding: &FindingState,
    ) -> Result<Vec<Confidence>, DeviceError> {
        let mut confidences = Vec::new();
        for (item, confided) in &finding.confided {
            let text = match (&confided.erased, self.store.private(*item)?) {
                (Some(_), _) => None,
                (None, None) => None,
                (None, Some(sealed)) => {
                    seal::open(&sealed.key, record, confided.kind, &sealed.ciphertext).ok()
                }
            };
            confidences.push(Confidence {
                item: *item,
                confided: confided.clone(),
                text,
            });
        }
        Ok(confidences)
    }
}
