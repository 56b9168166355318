//! What the phone's owner is asked, of everything that is on the phone and may
//! be shown ([`crate::domain::todo`]).

use std::collections::BTreeSet;

use super::{Device, DeviceError};
use crate::domain::available::Available;
use crate::domain::escalation::Case;
use crate::domain::finding::FindingStage;
use crate::domain::ids::RecordId;
use crate::domain::record::RecordState;
use crate::domain::time::Moment;
use crate::domain::todo::{Waiting, of_finding, of_whistle};
use crate::store::read::{FindingFilter, WhistleFilter};

/// Of so many records of one kind, the newest, a screen can ask.
const MOST: u32 = 500;
/// Whistles that are over may still owe a superior an answer; so many of the
/// newest are looked at.
const NEWEST: u32 = 100;

impl Device {
    /// What the phone's owner can do with a record now, seen from the whole
    /// phone: a finding that a whistle has closed is only opened again here, and
    /// one that is open is not, though its own history would allow both.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn next_steps(&self, now: Moment, record: RecordId) -> Result<Vec<Available>, DeviceError> {
        let mut next = self.available(now, record)?;
        if let Some(row) = self.store.finding(record)? {
            let is_over = row.stage.is_over();
            next.retain(|step| match step.word.as_str() {
                "correct" | "note" => true,
                "reopen" => is_over,
                _ => !is_over,
            });
        }
        Ok(next)
    }

    /// What waits for the owner's answer: whistles first, the newest first of
    /// each kind.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn todo(&self, now: Moment) -> Result<Vec<(RecordId, Waiting)>, DeviceError> {
        let mut waiting = Vec::new();
        let mut seen = BTreeSet::new();
        for (open, limit) in [(true, MOST), (false, NEWEST)] {
            let filter = WhistleFilter {
                open,
                limit,
                ..WhistleFilter::default()
            };
            for row in self.whistles(now, &filter)? {
                if seen.insert(row.record) {
                    self.ask_about(now, row.record, &mut waiting)?;
                }
            }
        }
        let staged = |stage| FindingFilter {
            stage: Some(stage),
            limit: MOST,
            ..FindingFilter::default()
        };
        let disputed = FindingFilter {
            conflicts: true,
            limit: MOST,
            ..FindingFilter::default()
        };
        for filter in [
            staged(FindingStage::Reported),
            staged(FindingStage::SelfResolved),
            disputed,
        ] {
            for row in self.findings(now, &filter)? {
                if seen.insert(row.record) {
                    self.ask_about(now, row.record, &mut waiting)?;
                }
            }
        }
        Ok(waiting)
    }

    fn ask_about(
        &self,
        now: Moment,
        record: RecordId,
        waiting: &mut Vec<(RecordId, Waiting)>,
    ) -> Result<(), DeviceError> {
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let view = self.show(record)?;
        let steps = self.next_steps(now, record)?;
        let questions = match &view.state {
            RecordState::Finding(finding) => {
                let doubles = self.doubles(record)?;
                of_finding(finding, !doubles.is_empty(), &steps)
            }
            RecordState::Whistle(whistle) => {
                let directory = self.directory()?;
                let carried = self.carried(whistle)?;
                let case = Case {
                    whistle: record,
                    state: whistle,
                    carried: &carried,
                    directory: &directory,
                };
                of_whistle(&case, &view.history, &owner.person, &steps)
            }
        };
        waiting.extend(questions.into_iter().map(|question| (record, question)));
        Ok(())
    }
}
