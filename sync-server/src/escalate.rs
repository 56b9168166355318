//! What follows from an accepted action, and from time: numbers, escalations,
//! stand-downs. The decisions are pure functions of the core; here they are
//! performed, as actions that the server signs like anybody else.
//!
//! An escalation happens once: its row has the primary key (whistle, level,
//! round), the whistle that it opens has an id derived from the same three, and
//! both are written in the transaction that takes the timer away.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use shaodao_core::domain::action::{Action, Body, Level, Order, RecordKind, Value, fact};
use shaodao_core::domain::calendar::{local_date_compact, local_text};
use shaodao_core::domain::deadline;
use shaodao_core::domain::escalation::{self, Answer, Due};
use shaodao_core::domain::finding::FindingState;
use shaodao_core::domain::ids::{PersonId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::envelope::Sealed;

use crate::db::{self, rows};
use crate::engine::{Engine, EngineError};

/// Timers looked at in one go; the rest follow at once.
const BATCH: u32 = 256;

/// A number's category with its date, and its count: `E0102-20250611` and 1.
pub(crate) fn split_number(number: &str) -> Option<(&str, i64)> {
    let (prefix, nth) = number.rsplit_once('-')?;
    Some((prefix, nth.parse().ok()?))
}

/// Whether something may follow from an accepted action like this.
pub(crate) fn has_consequences(body: &Body) -> bool {
    matches!(
        body,
        Body::Accept
            | Body::Number
            | Body::Escalate { .. }
            | Body::AskEscalation { .. }
            | Body::Verify { .. }
            | Body::Issue(_)
            | Body::Feedback { .. }
            | Body::Excuse { .. }
    )
}

impl Engine {
    /// Fires every timer that is due, oldest first. Returns how many
    /// escalations were performed.
    ///
    /// # Errors
    /// The database could not; what was not fired stays due.
    pub fn fire_timers(&mut self) -> Result<usize, EngineError> {
        self.give_up_waiting()?;
        let mut escalated = 0;
        if self.hold_on()? {
            return Ok(0);
        }
        loop {
            let now_ms = self.clock.now_ms();
            let due: Vec<i64> = {
                let mut statement = self.db.prepare_cached(
                    "SELECT whistle FROM timer WHERE due_at_ms <= ?1
                     ORDER BY due_at_ms, whistle LIMIT ?2",
                )?;
                let rows = statement.query_map(params![now_ms, BATCH], |row| row.get(0))?;
                rows.collect::<Result<_, _>>()?
            };
            if due.is_empty() {
                return Ok(escalated);
            }
            for record in due {
                self.db
                    .prepare_cached("DELETE FROM timer WHERE whistle = ?1")?
                    .execute([record])?;
                let (kind, id) = rows::record_at(&self.db, record)?;
                let state = self.with_document(kind, id, |_, document| Ok(document.fold()))?;
                if let RecordState::Whistle(whistle) = state {
                    escalated += usize::from(self.escalate_if_due(id, &whistle)?);
                }
            }
            self.draw_consequences()?;
        }
    }

    /// Draws the consequences of what was accepted, and of those in turn.
    pub(crate) fn draw_consequences(&mut self) -> Result<(), EngineError> {
        while let Some(sealed) = self.accepted.pop_front() {
            let action = &sealed.envelope.action;
            let state =
                self.with_document(
                    action.kind,
                    action.record,
                    |_, document| Ok(document.fold()),
                )?;
            self.follow(&sealed, &state)?;
        }
        Ok(())
    }

    fn follow(&mut self, sealed: &Sealed, state: &RecordState) -> Result<(), EngineError> {
        let action = &sealed.envelope.action;
        match (state, &action.body) {
            // What another life of this server did counts like its own.
            (_, Body::Number) => self.learn_number(action),
            (RecordState::Whistle(whistle), Body::Escalate { into, round, .. }) => {
                let at_ms = sealed.envelope.claim.wall_ms;
                self.learn_escalation(action.record, whistle, *into, *round, at_ms)
            }
            _ if self.is_held()? => self.remember(action.record),
            (RecordState::Finding(finding), Body::Accept) => self.number(action.record, finding),
            // One that is nobody's double any more is answered for again.
            (RecordState::Finding(_), Body::Reopen { .. }) => self.look_again(action.record),
            (
                RecordState::Whistle(whistle),
                Body::AskEscalation { .. }
                | Body::Verify { .. }
                | Body::Issue(_)
                | Body::Resume { .. }
                | Body::Recompute { .. },
            ) => self.escalate_if_due(action.record, whistle).map(drop),
            (
                RecordState::Whistle(whistle),
                Body::Feedback { .. } | Body::Excuse { .. } | Body::Rule { .. },
            ) => self.answer(action.record, whistle),
            _ => Ok(()),
        }
    }

    /// Looks at the whistles of a finding, as if their timers had come.
    fn look_again(&mut self, finding: RecordId) -> Result<(), EngineError> {
        for whistle in self.whistles_of(finding)? {
            let (kind, id) = rows::record_at(&self.db, whistle)?;
            let state = self.with_document(kind, id, |_, document| Ok(document.fold()))?;
            if let RecordState::Whistle(whistle) = state {
                self.escalate_if_due(id, &whistle)?;
            }
        }
        Ok(())
    }

    /// No number that was given is given again.
    fn learn_number(&self, action: &Action) -> Result<(), EngineError> {
        let Some(Value::Text(number)) = action.facts.get(fact::NUMBER) else {
            return Ok(());
        };
        let Some((prefix, nth)) = split_number(number) else {
            return Ok(());
        };
        self.db
            .prepare_cached(
                "INSERT INTO number_counter (prefix, last) VALUES (?1, ?2)
                 ON CONFLICT (prefix) DO UPDATE SET last = MAX(last, excluded.last)",
            )?
            .execute(params![prefix, nth])?;
        Ok(())
    }

    /// No escalation that was performed is performed again.
    fn learn_escalation(
        &self,
        record: RecordId,
        whistle: &WhistleState,
        into: RecordId,
        round: u32,
        at_ms: i64,
    ) -> Result<(), EngineError> {
        let level = whistle.order.as_ref().and_then(|order| order.level.next());
        self.db
            .prepare_cached(
                "INSERT INTO escalation (whistle, level, round, into_id, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (whistle, level, round) DO UPDATE SET at_ms = excluded.at_ms",
            )?
            .execute(params![
                record.0,
                level.map_or(0, |level| level.code()),
                round,
                into.0,
                at_ms
            ])?;
        Ok(())
    }

    /// Gives an accepted finding its number, `E0102-20250611-0001`.
    pub(crate) fn number(
        &mut self,
        record: RecordId,
        finding: &FindingState,
    ) -> Result<(), EngineError> {
        if !finding.text(fact::NUMBER).is_empty() {
            return Ok(());
        }
        let date = local_date_compact(self.clock.now_ms());
        let prefix = format!("{}-{date}", finding.text(fact::CATEGORY));
        // On the day of a restore the lower numbers may have been given before.
        let floor: i64 = match db::meta::<String>(&self.db, "number_floor_date")? {
            Some(restored) if restored == date => db::meta(&self.db, "number_floor")?.unwrap_or(0),
            _ => 0,
        };
        let last: i64 = self
            .db
            .prepare_cached(
                "INSERT INTO number_counter (prefix, last) VALUES (?1, ?2)
                 ON CONFLICT (prefix) DO UPDATE SET last = MAX(last + 1, excluded.last)
                 RETURNING last",
            )?
            .query_row(params![prefix, floor + 1], |row| row.get(0))?;
        let number = Value::Text(format!("{prefix}-{last:04}"));
        self.act(Action {
            kind: RecordKind::Finding,
            record,
            person: PersonId::server(),
            facts: [(fact::NUMBER.to_owned(), number)].into(),
            body: Body::Number,
        })
        .map(drop)
    }

    pub(crate) fn escalate_if_due(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
    ) -> Result<bool, EngineError> {
        let now_ms = self.clock.now_ms();
        match escalation::due(record, whistle, &self.directory, now_ms) {
            Some(due) if !self.follows_others(whistle)? => {
                self.escalate(record, whistle, due, now_ms)
            }
            _ => Ok(false),
        }
    }

    /// Whether a whistle only carries findings that were merged into others.
    fn follows_others(&self, whistle: &WhistleState) -> Result<bool, EngineError> {
        let findings = whistle.order.iter().flat_map(|order| &order.findings);
        let mut is_double = Vec::new();
        for finding in findings {
            is_double.push(self.follows_one(*finding)?);
        }
        Ok(escalation::follows_others(&is_double))
    }

    /// Whether a finding is the double of one that stays. Two that were merged
    /// into each other at the same time are nobody's doubles, and one that has
    /// not arrived answers for nothing.
    fn follows_one(&self, finding: RecordId) -> Result<bool, EngineError> {
        let mut into = self.db.prepare_cached(
            "SELECT merged_into FROM finding JOIN record ON record.id = finding.record
             WHERE record.record = ?1",
        )?;
        let mut passed = BTreeSet::new();
        let mut at = finding;
        while passed.insert(at) {
            let next: Option<Option<[u8; 16]>> =
                into.query_row([at.0], |row| row.get(0)).optional()?;
            match next {
                None => return Ok(false),
                Some(None) => return Ok(at != finding),
                Some(Some(next)) => at = RecordId(next),
            }
        }
        Ok(false)
    }

    /// Performs an escalation, unless it has been performed.
    fn escalate(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
        due: Due,
        now_ms: i64,
    ) -> Result<bool, EngineError> {
        let first = self
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO escalation (whistle, level, round, into_id, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                record.0,
                due.level.code(),
                due.round,
                due.into.0,
                now_ms
            ])?;
        if first == 0 {
            return Ok(false);
        }
        let server = |kind, record, body| Action {
            kind,
            record,
            person: PersonId::server(),
            facts: Default::default(),
            body,
        };
        self.act(server(
            RecordKind::Whistle,
            record,
            Body::Escalate {
                cause: due.cause,
                into: due.into,
                round: due.round,
            },
        ))?;
        let findings = whistle.order.as_ref().map(|order| order.findings.clone());
        let mut open = server(
            RecordKind::Whistle,
            due.into,
            Body::Issue(Order {
                level: Level::Street,
                platform: 1,
                area: self.directory.street.clone(),
                findings: findings.unwrap_or_default(),
                targets: Vec::new(),
                sign_by_ms: None,
                report_by_ms: None,
                due_ms: now_ms.saturating_add(self.directory.policy.street_limit_ms),
                terms: None,
                parent: Some(record),
            }),
        );
        for name in [
            fact::TITLE,
            fact::DESCRIPTION,
            fact::ADDRESS,
            fact::POSITION,
        ] {
            if let Some(register) = whistle.facts.get(name) {
                open.facts.insert(name.to_owned(), register.value.clone());
            }
        }
        self.act(open)?;
        tracing::info!(whistle = %record, into = %due.into, cause = due.cause.code(), "escalated");
        Ok(true)
    }

    /// Late proof: stands the escalation down, or proposes it.
    pub(crate) fn answer(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
    ) -> Result<(), EngineError> {
        let Some(in_force) = whistle.escalated() else {
            return Ok(());
        };
        let street = self.with_document(RecordKind::Whistle, in_force.into, |_, document| {
            Ok(document.fold())
        })?;
        let RecordState::Whistle(street) = street else {
            return Ok(());
        };
        let round = in_force.round;
        let text = self.proof(whistle, in_force.at_ms);
        let body = match escalation::answer(whistle, &street, &self.directory) {
            Answer::StandDown => Body::StandDown { text, round },
            Answer::Propose => Body::ProposeStandDown { text, round },
            Answer::None | Answer::AskAPerson => return Ok(()),
        };
        tracing::info!(whistle = %record, action = body.word(), "late but valid");
        // A proposal belongs to the whistle that was escalated; a stand-down
        // also closes the one that it opened.
        let both = [in_force.into, record];
        let of = match body {
            Body::StandDown { .. } => &both[..],
            _ => &both[1..],
        };
        for record in of {
            self.act(Action {
                kind: RecordKind::Whistle,
                record: *record,
                person: PersonId::server(),
                facts: Default::default(),
                body: body.clone(),
            })?;
        }
        Ok(())
    }

    /// Which proof arrived, in words that people read in the record.
    fn proof(&self, whistle: &WhistleState, escalated_at_ms: i64) -> String {
        let policy = &self.directory.policy.time;
        let due = deadline::due(whistle, Some(&self.directory));
        let due_ms = due.map_or(0, |due| due.at_ms);
        if escalated_at_ms <= due_ms {
            return format!(
                "期限内提出的申请已获同意,期限为{},升级时尚未到期:解除升级。",
                local_text(due_ms)
            );
        }
        let newest = whistle
            .targets
            .values()
            .filter_map(|target| {
                let deed = target.feedback.last()?;
                Some((deed.counts_ms(policy), deed))
            })
            .max_by_key(|(counts_ms, _)| *counts_ms);
        match newest {
            Some((counts_ms, deed)) => format!(
                "{}已于{}处理完毕,期限为{},断网期间的反馈{}才送达:按时完成,解除升级。",
                self.directory.name_of(&deed.person),
                local_text(counts_ms),
                local_text(due_ms),
                deed.entry
                    .received_at_ms
                    .map_or_else(|| "—".to_owned(), local_text),
            ),
            None => "应哨方均已免责,解除升级。".to_owned(),
        }
    }
}
