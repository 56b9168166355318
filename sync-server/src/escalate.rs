//! What follows from an accepted action, and from time: numbers, escalations,
//! stand-downs, marks. The decisions are pure functions of the core; here they
//! are performed, as actions that the server signs like anybody else.
//!
//! An escalation happens once: its row has the primary key (whistle, level,
//! round), the whistle that it opens has an id derived from the same three, and
//! both are written in the transaction that takes the timer away. So does a
//! mark, by (whistle, round).

use rusqlite::params;

use shaodao_core::domain::action::{
    Action, Body, EscalationCause, Level, Order, RecordKind, Terms, Value, fact,
};
use shaodao_core::domain::calendar::{Limit, local_date_compact, local_text};
use shaodao_core::domain::deadline;
use shaodao_core::domain::escalation::{Answer, Case, Due, To};
use shaodao_core::domain::finding::FindingState;
use shaodao_core::domain::ids::{PersonId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::envelope::Sealed;
use shaodao_core::planted::{Bug, active};
use shaodao_core::points::Point;

use crate::db::{self, rows};
use crate::engine::{Engine, EngineError};

/// What the next level has if the calendar does not reach that far: three days,
/// milliseconds.
const FALLBACK_MS: i64 = 3 * 24 * 3_600_000;

/// A number's category with its date, and its count: `E0102-20250611` and 1.
pub(crate) fn split_number(number: &str) -> Option<(&str, i64)> {
    let (prefix, nth) = number.rsplit_once('-')?;
    Some((prefix, nth.parse().ok()?))
}

impl Engine {
    /// Draws the consequences of what was accepted, and of those in turn.
    pub(crate) fn draw_consequences(&mut self) -> Result<(), EngineError> {
        while let Some(sealed) = self.accepted.pop_front() {
            self.follow(&sealed)?;
        }
        Ok(())
    }

    /// What follows from one action. The record is folded only where something
    /// may, as it is by then.
    fn follow(&mut self, sealed: &Sealed) -> Result<(), EngineError> {
        let action = &sealed.envelope.action;
        let at_ms = sealed.envelope.claim.wall_ms;
        let record = action.record;
        let then: fn(&mut Self, RecordId) -> Result<(), EngineError> = match &action.body {
            // What another life of this server did counts like its own.
            Body::Number => return self.learn_number(action),
            Body::Escalate { into, round, .. } => {
                return self.learn_escalation(record, *into, *round, at_ms);
            }
            Body::MarkDistrict { cause, round } => {
                return self.learn_mark(record, *cause, *round, at_ms);
            }
            Body::StandDown { text, .. } => return self.stand_down_both(record, text),
            Body::Accept => Self::number_accepted,
            // One that is nobody's double any more is answered for again.
            Body::Reopen { .. } => Self::look_again,
            Body::AskEscalation { .. }
            | Body::Verify { .. }
            | Body::Issue(_)
            | Body::Resume { .. }
            | Body::Recompute { .. } => Self::look_at,
            Body::Feedback { .. }
            | Body::Arrive { .. }
            | Body::Excuse { .. }
            | Body::Rule { .. } => Self::reconsider,
            _ => return Ok(()),
        };
        match self.is_held()? {
            true => self.remember(record),
            false => then(self, record),
        }
    }

    fn number_accepted(&mut self, record: RecordId) -> Result<(), EngineError> {
        match self.state_of(RecordKind::Finding, record)? {
            RecordState::Finding(finding) => self.number(record, &finding),
            RecordState::Whistle(_) => Ok(()),
        }
    }

    /// What is due of a whistle, if anything.
    fn look_at(&mut self, record: RecordId) -> Result<(), EngineError> {
        match self.state_of(RecordKind::Whistle, record)? {
            RecordState::Whistle(whistle) => self.escalate_if_due(record, &whistle).map(drop),
            RecordState::Finding(_) => Ok(()),
        }
    }

    /// The same, and what proof that arrived late changes. An objection that is
    /// upheld goes up.
    fn reconsider(&mut self, record: RecordId) -> Result<(), EngineError> {
        let RecordState::Whistle(whistle) = self.state_of(RecordKind::Whistle, record)? else {
            return Ok(());
        };
        if !self.escalate_if_due(record, &whistle)? {
            self.answer(record, &whistle)?;
            self.reconsider_mark(record, &whistle)?;
        }
        Ok(())
    }

    /// Performs what is due of a whistle, if anything; whether something was.
    pub(crate) fn escalate_if_due(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
    ) -> Result<bool, EngineError> {
        let now_ms = self.believed_ms();
        match self.case_of(record, whistle, |case| case.due(now_ms))? {
            None => Ok(false),
            Some(due) => match due.to {
                To::Street(into) => self.escalate(record, whistle, due, into),
                To::District => self.mark_district(record, whistle, due),
            },
        }
    }

    /// Looks at the whistles of a finding, as if their timers had come.
    fn look_again(&mut self, finding: RecordId) -> Result<(), EngineError> {
        for whistle in self.whistles_of(finding)? {
            let (_, id) = rows::record_at(&self.db, whistle)?;
            self.look_at(id)?;
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
        into: RecordId,
        round: u32,
        at_ms: i64,
    ) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT INTO escalation (whistle, level, round, into_id, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (whistle, level, round) DO UPDATE SET at_ms = excluded.at_ms",
            )?
            .execute(params![
                record.0,
                Level::Street.code(),
                round,
                into.0,
                at_ms
            ])?;
        Ok(())
    }

    /// No mark that was made is made again.
    fn learn_mark(
        &self,
        record: RecordId,
        cause: EscalationCause,
        round: u32,
        at_ms: i64,
    ) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT INTO mark (whistle, round, cause, at_ms)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (whistle, round) DO UPDATE SET at_ms = excluded.at_ms",
            )?
            .execute(params![record.0, round, cause.code(), at_ms])?;
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
        let date = local_date_compact(self.believed_ms());
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
        let twice = active(Bug::NumberTwice) && last % 3 == 0;
        let last = last - i64::from(twice);
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

    /// Performs an escalation, unless it has been performed.
    fn escalate(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
        due: Due,
        into: RecordId,
    ) -> Result<bool, EngineError> {
        let first = self
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO escalation (whistle, level, round, into_id, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                record.0,
                Level::Street.code(),
                due.round,
                into.0,
                self.believed_ms()
            ])?;
        if first == 0 {
            return Ok(false);
        }
        self.at(Point::EscalationNoted);
        let (cause, round) = (due.cause, due.round);
        self.act_on(record, Body::Escalate { cause, into, round })?;
        self.at(Point::EscalateWritten);
        let mut open = server_action(into, Body::Issue(self.street_order(record, whistle)?));
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
        self.at(Point::StreetOpened);
        self.say_last_heard(record, whistle, cause)?;
        // What has arrived already may be proof whose time nobody can tell.
        if let RecordState::Whistle(whistle) = self.state_of(RecordKind::Whistle, record)? {
            self.answer(record, &whistle)?;
        }
        tracing::info!(whistle = %record, %into, cause = cause.code(), "escalated");
        Ok(true)
    }

    /// The whistle with which the street takes over: the same findings, and its
    /// whole limit from the moment at which it can know of them.
    fn street_order(&self, record: RecordId, whistle: &WhistleState) -> Result<Order, EngineError> {
        let now_ms = self.believed_ms();
        let rung = self.case_of(record, whistle, |case| case.rung().cloned())?;
        let calendar = &self.directory.calendar;
        let until = |limit: Limit| calendar.due(now_ms, limit, &[]).ok();
        let limit = rung.as_ref().map(|rung| rung.limit);
        let due = limit.and_then(until);
        let report_by = rung.and_then(|rung| rung.report_by).and_then(until);
        let findings = whistle.order.as_ref().map(|order| order.findings.clone());
        Ok(Order {
            level: Level::Street,
            platform: 1,
            area: self.directory.street.clone(),
            findings: findings.unwrap_or_default(),
            targets: Vec::new(),
            sign_by_ms: None,
            report_by_ms: report_by.map(|due| due.at_ms),
            due_ms: due.map_or(now_ms.saturating_add(FALLBACK_MS), |due| due.at_ms),
            terms: limit.filter(|_| due.is_some()).map(|limit| Terms {
                start_ms: now_ms,
                limit,
                calendar: calendar.version().to_owned(),
                policy: self.directory.policy_edition(),
            }),
            parent: Some(record),
        })
    }

    /// Marks a whistle of the street for the supervision of the district, unless
    /// it has been marked.
    fn mark_district(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
        due: Due,
    ) -> Result<bool, EngineError> {
        let first = self
            .db
            .prepare_cached(
                "INSERT OR IGNORE INTO mark (whistle, round, cause, at_ms)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                record.0,
                due.round,
                due.cause.code(),
                self.believed_ms()
            ])?;
        if first == 0 {
            return Ok(false);
        }
        self.at(Point::EscalationNoted);
        let (cause, round) = (due.cause, due.round);
        self.act_on(record, Body::MarkDistrict { cause, round })?;
        self.at(Point::EscalateWritten);
        self.say_last_heard(record, whistle, cause)?;
        tracing::info!(whistle = %record, cause = cause.code(), "marked for the district");
        Ok(true)
    }

    /// Says of every overdue target whose phones have not been heard of since
    /// before the time that was set, when they last were: perhaps they have no
    /// signal. An action like others, so that it reaches whoever reads the
    /// escalation, and at no other time.
    fn say_last_heard(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
        cause: EscalationCause,
    ) -> Result<(), EngineError> {
        if !matches!(
            cause,
            EscalationCause::DuePassed | EscalationCause::NoArrival
        ) {
            return Ok(());
        }
        let (overdue, by_ms) = self.case_of(record, whistle, |case| {
            let overdue = case.overdue().into_iter();
            let parties: Vec<_> = overdue.map(|it| it.target.party.clone()).collect();
            (parties, case.expected_by_ms().unwrap_or(i64::MAX))
        })?;
        let directory = self.directory.clone();
        let mut newest = self.db.prepare_cached(
            "SELECT MAX(COALESCE(last_sync_ms, enrolled_ms)) FROM device WHERE person = ?1",
        )?;
        let mut heard = Vec::new();
        for party in overdue {
            let mut last_ms: Option<i64> = None;
            let people = directory.people.keys();
            for person in people.filter(|person| directory.acts_for(person, &party)) {
                last_ms = last_ms.max(newest.query_row([&person.0], |row| row.get(0))?);
            }
            let silent = last_ms.filter(|last_ms| *last_ms <= by_ms);
            heard.extend(silent.map(|last_ms| (party.key(), last_ms)));
        }
        drop(newest);
        if !heard.is_empty() {
            self.act_on(record, Body::LastHeard { heard })?;
            self.at(Point::LastHeardWritten);
        }
        Ok(())
    }

    /// Late proof: stands the escalation down, or asks the dispatcher.
    pub(crate) fn answer(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
    ) -> Result<(), EngineError> {
        let Some(in_force) = whistle.escalated() else {
            return Ok(());
        };
        let street = self.state_of(RecordKind::Whistle, in_force.into)?;
        let RecordState::Whistle(street) = street else {
            return Ok(());
        };
        let round = in_force.round;
        let answer = self.case_of(record, whistle, |case| case.answer(&street))?;
        let body = match answer {
            Answer::StandDown if active(Bug::ForgetStandDown) => return Ok(()),
            Answer::StandDown => {
                let text = self.proof(whistle, in_force.at_ms);
                Body::StandDown { text, round }
            }
            // The dispatcher is asked once.
            _ if in_force.proposed.is_some() => return Ok(()),
            Answer::Propose => {
                let text = self.proof(whistle, in_force.at_ms);
                Body::ProposeStandDown { text, round }
            }
            Answer::AskAPerson => {
                let text = "反馈已送达,但是否在期限内完成无法确定:请调度员裁定。".to_owned();
                Body::ProposeStandDown { text, round }
            }
            Answer::None => return Ok(()),
        };
        tracing::info!(whistle = %record, action = body.word(), "late proof");
        self.act_on(record, body)
    }

    /// A stand-down of an escalated whistle closes the one that it opened, and
    /// the other way round.
    fn stand_down_both(&mut self, record: RecordId, text: &str) -> Result<(), EngineError> {
        let RecordState::Whistle(whistle) = self.state_of(RecordKind::Whistle, record)? else {
            return Ok(());
        };
        let parent = whistle.order.as_ref().and_then(|order| order.parent);
        let newest = whistle.escalations.last();
        let Some(other) = parent.or(newest.map(|escalation| escalation.into)) else {
            return Ok(());
        };
        let RecordState::Whistle(state) = self.state_of(RecordKind::Whistle, other)? else {
            return Ok(());
        };
        let round = match parent {
            // The one that was opened closes, unless it is over.
            None if !state.stage().is_over() => newest.map(|escalation| escalation.round),
            None => None,
            Some(_) => {
                let in_force = state.escalated().filter(|it| it.into == record);
                in_force.map(|escalation| escalation.round)
            }
        };
        match round {
            Some(round) => {
                let text = text.to_owned();
                self.act_on(other, Body::StandDown { text, round })
            }
            None => Ok(()),
        }
    }

    /// Withdraws a mark if everybody has come in time, as it turned out.
    pub(crate) fn reconsider_mark(
        &mut self,
        record: RecordId,
        whistle: &WhistleState,
    ) -> Result<(), EngineError> {
        let Some(mark) = whistle.marked() else {
            return Ok(());
        };
        if !self.case_of(record, whistle, |case| case.mark_unfounded())? {
            return Ok(());
        }
        let round = mark.round;
        let text = "断网期间的报到已送达,应哨方均已按时到场:撤销区级督办标记。".to_owned();
        self.act_on(record, Body::WithdrawMark { text, round })
    }

    /// Asks about a whistle with everything that decides.
    fn case_of<T>(
        &self,
        whistle: RecordId,
        state: &WhistleState,
        ask: impl FnOnce(Case<'_>) -> T,
    ) -> Result<T, EngineError> {
        let carried = self.carried(state)?;
        Ok(ask(Case {
            whistle,
            state,
            carried: &carried,
            directory: &self.directory,
        }))
    }

    /// The server does something to a whistle.
    fn act_on(&mut self, record: RecordId, body: Body) -> Result<(), EngineError> {
        self.act(server_action(record, body)).map(drop)
    }

    /// Which proof arrived, in words that people read in the record.
    fn proof(&self, whistle: &WhistleState, escalated_at_ms: i64) -> String {
        let policy = &whistle.rules(&self.directory).policy.time;
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

fn server_action(record: RecordId, body: Body) -> Action {
    Action {
        kind: RecordKind::Whistle,
        record,
        person: PersonId::server(),
        facts: Default::default(),
        body,
    }
}
