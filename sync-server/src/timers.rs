//! Deadlines that nobody has to remember.
//!
//! 1. Whenever a whistle or one of its findings changes, `Engine::arm` writes
//!    down what happens next (`Case::next`) and when: one timer per whistle,
//!    with the level that takes over and its generation, the number of actions
//!    that the whistle has. Timers follow from the records like any row.
//! 2. [`Engine::fire_timers`] takes what is due, oldest first. A timer is taken
//!    by its level, generation and moment: one that has been replaced since is
//!    not there any more, and fires nothing.
//! 3. Taking it, deciding, and everything that follows is one transaction. Of
//!    two servers on one database the second finds the timer gone; one that
//!    dies in between leaves it as it was.
//!
//! What can go wrong: (2) the clock is not plausible: nothing fires, and what
//! waits for something missing goes on waiting, see [`crate::clock`]; the server
//! was down, and many are due: each whistle goes up by one level, and the next
//! level has its whole limit from now; (3) one whistle cannot be read: it is
//! logged and stays due, and the others fire.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use shaodao_core::domain::escalation::{self, Carried, Case, To};
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::planted::{Bug, active};
use shaodao_core::points::Point;

use crate::clock::{Jump, Limits, Stored};
use crate::db::{self, rows};
use crate::engine::{Engine, EngineError};

/// Timers looked at in one transaction.
pub const BATCH: u32 = 32;
/// The believed time is written down once in so long, milliseconds.
const NOTE_EVERY_MS: i64 = 60_000;

/// Names of what the database knows about time.
mod meta {
    pub const NEWEST: &str = "clock_newest_ms";
    pub const HELD: &str = "clock_held";
    pub const CONFIRMED: &str = "clock_confirmed_ms";
}

/// A timer as it was armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// Row of the whistle.
    record: i64,
    /// The level that takes over: 2 the street, 3 the district.
    level: u8,
    /// Actions that the whistle had.
    generation: i64,
    /// First moment at which it fires, Unix milliseconds.
    due_at_ms: i64,
}

/// What came of looking at some timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fired {
    /// Escalations and marks performed.
    pub performed: usize,
    /// Where to go on; `None` if nothing more is due.
    pub more: Option<Timer>,
    /// The clock is not where it should be.
    pub jump: Option<Jump>,
}

impl Engine {
    /// Fires timers that are due, oldest first, from behind `after` or from the
    /// beginning; at most so many at a time ([`BATCH`]), so that nobody waits
    /// long for the writer.
    ///
    /// # Errors
    /// The database could not; what was not fired stays due.
    pub fn fire_timers(&mut self, after: Option<Timer>, most: u32) -> Result<Fired, EngineError> {
        let jump = self.watch_clock()?;
        let nothing = Fired {
            jump,
            ..Fired::default()
        };
        if jump.is_some_and(|jump| jump.holds()) {
            return Ok(nothing);
        }
        if after.is_none() {
            self.give_up_waiting()?;
        }
        if self.hold_on()? {
            return Ok(nothing);
        }
        let due = self.due_timers(after, most, self.clock.now_ms())?;
        let mut performed = 0;
        for timer in &due {
            match self.in_savepoint(|engine| engine.fire(*timer)) {
                Ok(has) => performed += usize::from(has),
                Err(error) => tracing::error!(?timer, %error, "a timer could not fire"),
            }
        }
        Ok(Fired {
            performed,
            more: due.last().copied().filter(|_| due.len() >= most as usize),
            jump,
        })
    }

    /// An administrator says that the clock is right.
    ///
    /// # Errors
    /// The database could not.
    pub fn confirm_clock(&mut self, who: &str) -> Result<i64, EngineError> {
        let now_ms = self.clock.now_ms();
        db::set_meta(&self.db, meta::CONFIRMED, &now_ms)?;
        db::set_meta(&self.db, meta::NEWEST, &now_ms)?;
        db::set_meta(&self.db, meta::HELD, &false)?;
        db::audit(&self.db, now_ms, "clock_confirm", who, "")?;
        Ok(now_ms)
    }

    /// Looks at the clocks; a jump if they disagree.
    ///
    /// # Errors
    /// The database could not.
    pub(crate) fn watch_clock(&mut self) -> Result<Option<Jump>, EngineError> {
        let now_ms = self.clock.now_ms();
        let stored = Stored {
            newest_ms: db::meta(&self.db, meta::NEWEST)?,
            held: db::meta(&self.db, meta::HELD)?.unwrap_or(false),
            confirmed_ms: db::meta(&self.db, meta::CONFIRMED)?,
        };
        let limits = self.clock_limits();
        let mono_ms = self.clock.mono_ms();
        let jump = self.watch.look(now_ms, mono_ms, stored, limits);
        let held = jump.is_some_and(|jump| jump.holds());
        if held != stored.held {
            db::set_meta(&self.db, meta::HELD, &held)?;
            let what = if held {
                "clock_held"
            } else {
                "clock_plausible"
            };
            db::audit(&self.db, now_ms, what, "server", "")?;
        }
        let stale = |newest_ms| now_ms.saturating_sub(newest_ms) >= NOTE_EVERY_MS;
        if jump.is_none() && stored.newest_ms.is_none_or(stale) {
            db::set_meta(&self.db, meta::NEWEST, &now_ms)?;
        }
        Ok(jump)
    }

    /// The time by which deadlines are judged and receipts are given: the wall
    /// clock's, unless it is ahead of what is plausible.
    pub(crate) fn believed_ms(&self) -> i64 {
        let (wall_ms, mono_ms) = (self.clock.now_ms(), self.clock.mono_ms());
        self.watch
            .believed_ms(wall_ms, mono_ms, self.clock_limits())
    }

    fn clock_limits(&self) -> Limits {
        Limits {
            jump_ms: self.directory.policy.clock_jump_ms,
            downtime_ms: self.directory.policy.downtime_ms,
        }
    }

    /// Arms the timer of a whistle, or takes it away if nothing happens next.
    ///
    /// # Errors
    /// The database could not.
    pub(crate) fn arm(
        &self,
        record: i64,
        whistle: RecordId,
        state: &WhistleState,
        actions: usize,
    ) -> Result<(), EngineError> {
        if active(Bug::ForgetTimers) && actions % 4 == 3 {
            return Ok(());
        }
        let carried = self.carried(state)?;
        let case = Case {
            whistle,
            state,
            carried: &carried,
            directory: &self.directory,
        };
        let Some(next) = case.next() else {
            self.db
                .prepare_cached("DELETE FROM timer WHERE whistle = ?1")?
                .execute([record])?;
            return Ok(());
        };
        let level: u8 = match next.to {
            To::Street(_) => 2,
            To::District => 3,
        };
        self.db
            .prepare_cached(
                "INSERT INTO timer (whistle, level, generation, due_at_ms)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (whistle) DO UPDATE SET
                     level = excluded.level, generation = excluded.generation,
                     due_at_ms = excluded.due_at_ms",
            )?
            // The last moment itself is still in time.
            .execute(params![
                record,
                level,
                i64::try_from(actions).unwrap_or(i64::MAX),
                next.at_ms.saturating_add(1)
            ])?;
        Ok(())
    }

    /// Arms the timers of all whistles of a finding and of its doubles.
    ///
    /// # Errors
    /// The database could not.
    pub(crate) fn arm_whistles_of(&mut self, finding: RecordId) -> Result<(), EngineError> {
        // Two small lookups a finding: a recursive query would make a table of
        // its own for every new finding.
        let mut doubles = BTreeSet::from([finding]);
        let mut ask = vec![finding];
        let mut whistles = BTreeSet::new();
        while let Some(finding) = ask.pop() {
            whistles.extend(self.whistles_of(finding)?);
            let those = self.doubles_of(finding)?;
            ask.extend(those.into_iter().filter(|double| doubles.insert(*double)));
        }
        for record in whistles {
            self.arm_again(record)?;
        }
        Ok(())
    }

    /// The findings that were merged into this one.
    fn doubles_of(&self, finding: RecordId) -> Result<Vec<RecordId>, EngineError> {
        let mut statement = self.db.prepare_cached(
            "SELECT record.record FROM finding JOIN record ON record.id = finding.record
             WHERE finding.merged_into = ?1",
        )?;
        let rows = statement.query_map([finding.0], |row| row.get(0).map(RecordId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Arms all timers again, after the policy, the ladder or the calendar has
    /// changed. Limits that run keep theirs; what follows from them may not.
    ///
    /// # Errors
    /// The database could not.
    pub fn arm_all(&mut self) -> Result<(), EngineError> {
        let whistles: Vec<i64> = {
            let mut statement = self.db.prepare("SELECT record FROM whistle")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for record in whistles {
            self.arm_again(record)?;
        }
        Ok(())
    }

    /// The findings of a whistle, as far as they are here.
    ///
    /// # Errors
    /// The database could not.
    pub(crate) fn carried(&self, whistle: &WhistleState) -> Result<Vec<Carried>, EngineError> {
        let findings = whistle.order.iter().flat_map(|order| &order.findings);
        let mut row = self.db.prepare_cached(
            "SELECT merged_into, category FROM finding
             JOIN record ON record.id = finding.record WHERE record.record = ?1",
        )?;
        let mut find = |finding: RecordId| {
            let found = row.query_row([finding.0], |row| {
                let into: Option<[u8; 16]> = row.get(0)?;
                Ok((into.map(RecordId), row.get::<_, String>(1)?))
            });
            found.optional()
        };
        let mut carried = Vec::new();
        for finding in findings {
            let Some((_, category)) = find(*finding)? else {
                continue;
            };
            let double = escalation::is_double(*finding, |finding| {
                Ok::<_, rusqlite::Error>(find(finding)?.map(|(into, _)| into))
            })?;
            carried.push(Carried { double, category });
        }
        Ok(carried)
    }

    fn due_timers(
        &self,
        after: Option<Timer>,
        most: u32,
        now_ms: i64,
    ) -> Result<Vec<Timer>, EngineError> {
        let after = after.map_or((i64::MIN, 0), |timer| (timer.due_at_ms, timer.record));
        let mut statement = self.db.prepare_cached(
            "SELECT whistle, level, generation, due_at_ms FROM timer
             WHERE due_at_ms <= ?1 AND (due_at_ms, whistle) > (?2, ?3)
             ORDER BY due_at_ms, whistle LIMIT ?4",
        )?;
        let rows = statement.query_map(params![now_ms, after.0, after.1, most], |row| {
            Ok(Timer {
                record: row.get(0)?,
                level: row.get(1)?,
                generation: row.get(2)?,
                due_at_ms: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Fires a timer, unless it has been replaced; whether something followed.
    fn fire(&mut self, timer: Timer) -> Result<bool, EngineError> {
        let taken = self
            .db
            .prepare_cached(
                "DELETE FROM timer
                 WHERE whistle = ?1 AND level = ?2 AND generation = ?3 AND due_at_ms = ?4",
            )?
            .execute(params![
                timer.record,
                timer.level,
                timer.generation,
                timer.due_at_ms
            ])?;
        if taken == 0 {
            return Ok(false);
        }
        self.at(Point::TimerTaken);
        let (kind, id) = rows::record_at(&self.db, timer.record)?;
        let RecordState::Whistle(whistle) = self.state_of(kind, id)? else {
            return Ok(false);
        };
        let followed = self.escalate_if_due(id, &whistle)?;
        if !followed {
            // By a policy that is newer than the timer it is due later.
            self.arm_again(timer.record)?;
        }
        self.draw_consequences()?;
        Ok(followed)
    }

    /// Arms the timer of a whistle from its record.
    fn arm_again(&mut self, record: i64) -> Result<(), EngineError> {
        let (kind, id) = rows::record_at(&self.db, record)?;
        self.with_document(kind, id, |engine, document| {
            let actions = document.history().entries().len();
            match document.fold() {
                RecordState::Whistle(state) => engine.arm(record, id, &state, actions),
                RecordState::Finding(_) => Ok(()),
            }
        })
    }
}
