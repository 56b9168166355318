//! The rows that lists, counts and searches read: a projection of the folded
//! state, the same on the phone and on the server, and always rebuildable.

use crate::domain::action::{Body, Level, RecordKind, fact};
use crate::domain::deadline;
use crate::domain::directory::Directory;
use crate::domain::finding::{self, FindingStage};
use crate::domain::ids::RecordId;
use crate::domain::record::RecordState;
use crate::domain::whistle::{TargetStage, WhistleStage, WhistleState};

/// Whether the rows of a record change when the server's receipt of such an
/// action becomes known, its standing apart.
pub fn changes_by_receipt(body: &Body) -> bool {
    matches!(
        body,
        Body::Reopen { .. }
            | Body::AskExtension { .. }
            | Body::AskSuspension { .. }
            | Body::Rule { .. }
            | Body::Resume { .. }
    )
}

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// Which finding.
    pub record: RecordId,
    /// Its stage by its own actions.
    pub own_stage: FindingStage,
    /// Number issued by the server; empty before that (待编号).
    pub number: String,
    /// Category code.
    pub category: String,
    /// One line.
    pub title: String,
    /// Grid or area code.
    pub grid: String,
    /// Position in text form; empty if unknown.
    pub position: String,
    /// 1 to 4.
    pub severity: i64,
    /// Person id; empty before the report arrived.
    pub reporter: String,
    /// Clock reading of the report, milliseconds.
    pub reported_at_ms: i64,
    /// Clock reading of the newest reopening, milliseconds; 0 if none.
    pub reopened_at_ms: i64,
    /// Clock reading of the newest action, milliseconds.
    pub touched_at_ms: i64,
    /// The finding that it was merged into.
    pub merged_into: Option<RecordId>,
    /// Facts about which people disagree.
    pub conflicts: u32,
    /// Actions without effect.
    pub traces: u32,
}

/// A whistle in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhistleRow {
    /// Which whistle.
    pub record: RecordId,
    /// Where it stands.
    pub stage: WhistleStage,
    /// Which level blew; `None` before the order arrived.
    pub level: Option<Level>,
    /// Platform 1 to 5; 0 before the order arrived.
    pub platform: u8,
    /// Area code of the blower.
    pub area: String,
    /// One line.
    pub title: String,
    /// Person id; empty before the order arrived.
    pub blower: String,
    /// Clock reading of the issue, milliseconds.
    pub issued_at_ms: i64,
    /// Due time in force, milliseconds.
    pub due_at_ms: i64,
    /// End of the newest pause of the clock, milliseconds; 0 if there was none.
    pub paused_until_ms: i64,
    /// Requests on which nobody has ruled.
    pub open_requests: u32,
    /// Clock reading of the newest action, milliseconds.
    pub touched_at_ms: i64,
    /// The whistle that was escalated into this one.
    pub parent: Option<RecordId>,
    /// Actions without effect.
    pub traces: u32,
    /// What it is to solve.
    pub findings: Vec<RecordId>,
    /// Whom it summons.
    pub targets: Vec<TargetRow>,
}

/// A target in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRow {
    /// Its key.
    pub party: String,
    /// Where it stands.
    pub stage: TargetStage,
    /// Lead or assist.
    pub lead: bool,
    /// Mandatory or voluntary.
    pub mandatory: bool,
}

/// The rows of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// Of a finding.
    Finding(FindingRow),
    /// Of a whistle.
    Whistle(WhistleRow),
}

impl Rows {
    /// Which kind of record.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Finding(_) => RecordKind::Finding,
            Self::Whistle(_) => RecordKind::Whistle,
        }
    }
}

/// Projects a folded record. The directory gives calendar and policy for the
/// due time.
pub fn project(record: RecordId, state: &RecordState, directory: Option<&Directory>) -> Rows {
    let traces = u32::try_from(state.traces().len()).unwrap_or(u32::MAX);
    match state {
        RecordState::Finding(finding) => Rows::Finding(FindingRow {
            record,
            own_stage: finding.stage,
            number: finding.text(fact::NUMBER).to_owned(),
            category: finding.text(fact::CATEGORY).to_owned(),
            title: finding.text(fact::TITLE).to_owned(),
            grid: finding.area().to_owned(),
            position: finding.text(fact::POSITION).to_owned(),
            severity: finding.severity(),
            reporter: finding
                .reporter
                .as_ref()
                .map_or_else(String::new, |person| person.0.clone()),
            reported_at_ms: finding.reported_at_ms,
            reopened_at_ms: finding.reopened_at_ms,
            touched_at_ms: finding.touched_at_ms,
            merged_into: finding.merged_into,
            conflicts: u32::try_from(finding.conflicts().len()).unwrap_or(u32::MAX),
            traces,
        }),
        RecordState::Whistle(whistle) => {
            let order = whistle.order.as_ref();
            Rows::Whistle(WhistleRow {
                record,
                stage: whistle.stage(),
                level: whistle.level(),
                platform: order.map_or(0, |order| order.platform),
                area: order.map_or_else(String::new, |order| order.area.clone()),
                title: finding::text(&whistle.facts, fact::TITLE).to_owned(),
                blower: whistle
                    .blower
                    .as_ref()
                    .map_or_else(String::new, |person| person.0.clone()),
                issued_at_ms: whistle.issued_at_ms,
                due_at_ms: deadline::due(whistle, directory).map_or(0, |due| due.at_ms),
                paused_until_ms: paused_until_ms(whistle, directory),
                open_requests: u32::try_from(whistle.open_requests().count()).unwrap_or(u32::MAX),
                touched_at_ms: whistle.touched_at_ms,
                parent: order.and_then(|order| order.parent),
                traces,
                findings: order.map_or_else(Vec::new, |order| order.findings.clone()),
                targets: whistle
                    .targets
                    .iter()
                    .map(|(party, target)| TargetRow {
                        party: party.clone(),
                        stage: target.stage(),
                        lead: target.target.lead,
                        mandatory: target.target.mandatory,
                    })
                    .collect(),
            })
        }
    }
}

fn paused_until_ms(whistle: &WhistleState, directory: Option<&Directory>) -> i64 {
    let pauses = deadline::pauses(whistle, &deadline::policy(whistle, directory));
    pauses.last().map_or(0, |(_, to)| *to)
}

/// What full-text search finds a record by.
pub fn search_text(state: &RecordState) -> String {
    [fact::NUMBER, fact::TITLE, fact::DESCRIPTION, fact::ADDRESS]
        .map(|name| finding::text(state.facts(), name))
        .join(" ")
}
