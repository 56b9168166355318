//! How long evidence is kept, by what it shows: a report of what is older, and
//! its erasure, which is an action of the server's own on each record. So every
//! phone learns of it and destroys its copy too, and the record goes on saying
//! that there was something, and why it is gone.

use serde::Serialize;

use shaodao_core::domain::action::{Action, Body};
use shaodao_core::domain::evidence::Shows;
use shaodao_core::domain::ids::{EvidenceId, PersonId, RecordId};
use shaodao_core::sync::wire::Standing;

use super::catalogue;
use super::settings::Settings;
use crate::db::{self, rows};
use crate::engine::{Engine, EngineError};

const DAY_MS: i64 = 24 * 3_600_000;

impl Settings {
    /// Days for which what shows this is kept; `None` for as long as the record.
    pub fn keep_days(&self, shows: Shows) -> Option<u32> {
        let days = match shows {
            Shows::Scene => self.keep_days_scene,
            Shows::Before => self.keep_days_before,
            Shows::After => self.keep_days_after,
            Shows::Voice => self.keep_days_voice,
            Shows::File => self.keep_days_file,
        };
        (days > 0).then_some(days)
    }
}

/// What is older than it has to be kept.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// By what it shows.
    pub kinds: Vec<Kind>,
    /// Each piece.
    pub pieces: Vec<Old>,
    /// Whether it was erased, or only looked at.
    pub applied: bool,
}

/// How much of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct Kind {
    /// What it shows.
    pub shows: &'static str,
    /// For how many days it is kept; 0 for as long as the record.
    pub keep_days: u32,
    /// How many pieces are older.
    pub pieces: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// A piece that is older.
#[derive(Debug, Clone, Serialize)]
pub struct Old {
    /// The record.
    pub record: String,
    /// SHA-256 of its bytes.
    pub piece: String,
    /// What it shows.
    pub shows: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// How old it is, days since its action came.
    pub days: i64,
    /// Whether it was erased now.
    pub erased: bool,
    /// Why not, if it should have been.
    pub reason: Option<String>,
}

impl Engine {
    /// Looks for evidence that is older than it has to be kept and, if `apply`,
    /// erases it in the name of `who`.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing was done.
    pub fn retain_evidence(
        &mut self,
        settings: &Settings,
        apply: bool,
        who: &str,
    ) -> Result<Report, EngineError> {
        let now_ms = self.clock.now_ms();
        let mut report = Report {
            applied: apply,
            ..Report::default()
        };
        for known in catalogue::all_arrived(&self.db)? {
            let Some(keep) = settings.keep_days(known.shows) else {
                continue;
            };
            let days = (now_ms - known.attached_at_ms) / DAY_MS;
            if days < i64::from(keep) || !known.shared {
                continue;
            }
            let (kind, record) = rows::record_at(&self.db, known.record)?;
            let refused = match apply {
                true => {
                    let action = erasure(kind, record, known.id, keep);
                    let judgement = self.act(action)?;
                    let accepted = judgement.standing == Standing::Accepted;
                    (!accepted).then(|| {
                        let reason = judgement.reason.map(|reason| reason.code());
                        reason.unwrap_or("not accepted").to_owned()
                    })
                }
                false => None,
            };
            report.pieces.push(Old {
                record: record.to_string(),
                piece: known.id.to_string(),
                shows: known.shows.word(),
                bytes: known.size,
                days,
                erased: apply && refused.is_none(),
                reason: refused,
            });
        }
        report.kinds = Shows::ALL
            .into_iter()
            .map(|shows| {
                let old = report.pieces.iter().filter(|it| it.shows == shows.word());
                Kind {
                    shows: shows.word(),
                    keep_days: settings.keep_days(shows).unwrap_or(0),
                    pieces: old.clone().count(),
                    bytes: old.map(|it| it.bytes).sum(),
                }
            })
            .collect();
        if apply {
            let erased = report.pieces.iter().filter(|it| it.erased).count();
            let about = format!("{erased} of {} pieces erased", report.pieces.len());
            db::audit(&self.db, now_ms, "evidence_retention", who, &about)?;
        }
        self.draw_consequences()?;
        Ok(report)
    }
}

fn erasure(
    kind: shaodao_core::domain::action::RecordKind,
    record: RecordId,
    piece: EvidenceId,
    keep_days: u32,
) -> Action {
    Action {
        kind,
        record,
        person: PersonId::server(),
        facts: Default::default(),
        body: Body::EraseEvidence {
            piece,
            reason: format!("保存期满{keep_days}天 kept for {keep_days} days"),
        },
    }
}
