//! What the phone's owner is asked, of everything that is on the phone and may
//! be shown ([`crate::domain::todo`]).

use std::collections::BTreeSet;

use super::{Device, DeviceError};
use crate::domain::available::Viewer;
use crate::domain::deadline;
use crate::domain::escalation::Case;
use crate::domain::finding::FindingStage;
use crate::domain::ids::RecordId;
use crate::domain::limit::Light;
use crate::domain::record::RecordState;
use crate::domain::time::Moment;
use crate::domain::todo::{Waiting, of_finding, of_whistle};
use crate::store::read::{FindingFilter, WhistleFilter};

/// Of so many records of one kind, the newest, a screen can ask.
const MOST: u32 = 500;
/// Whistles that are over may still owe a superior an answer; so many of the
/// newest are looked at.
const NEWEST: u32 = 100;

/// Something that waits for the phone's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToDo {
    /// On which record.
    pub record: RecordId,
    /// What for.
    pub waiting: Waiting,
    /// Due time in force of a whistle, Unix milliseconds; a finding has none.
    pub due_at_ms: Option<i64>,
    /// Its light; none while the clock stands still.
    pub light: Option<Light>,
}

impl Device {
    /// What waits for the owner's answer: whistles first, the newest first of
    /// each kind.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn todo(&self, now: Moment) -> Result<Vec<ToDo>, DeviceError> {
        let directory = self.directory()?;
        let viewer = self.viewer(&directory, now)?;
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
                    self.ask_about(&viewer, row.record, &mut waiting)?;
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
                    self.ask_about(&viewer, row.record, &mut waiting)?;
                }
            }
        }
        Ok(waiting)
    }

    fn ask_about(
        &self,
        viewer: &Viewer<'_>,
        record: RecordId,
        waiting: &mut Vec<ToDo>,
    ) -> Result<(), DeviceError> {
        let view = self.show(record)?;
        let steps = self.steps_of(viewer, &view)?;
        let (mut due_at_ms, mut light) = (None, None);
        let questions = match &view.state {
            RecordState::Finding(finding) => {
                let doubles = self.doubles(record)?;
                of_finding(finding, !doubles.is_empty(), &steps)
            }
            RecordState::Whistle(whistle) => {
                let directory = viewer.directory;
                let carried = self.carried(whistle)?;
                due_at_ms = deadline::due(whistle, Some(directory)).map(|due| due.at_ms);
                light = deadline::light(whistle, directory, viewer.claim.reading_ms());
                let case = Case {
                    whistle: record,
                    state: whistle,
                    carried: &carried,
                    directory,
                };
                of_whistle(&case, &view.history, viewer.person, &steps)
            }
        };
        waiting.extend(questions.into_iter().map(|waiting| ToDo {
            record,
            waiting,
            due_at_ms,
            light,
        }));
        Ok(())
    }
}
