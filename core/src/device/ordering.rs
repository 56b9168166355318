//! What a form leaves out and the phone knows: the grid of a report, for whom
//! somebody blows, and when a whistle is due.

use super::{Device, DeviceError};
use crate::domain::action::{Facts, Level, Terms, Value, fact};
use crate::domain::calendar::{DueTime, Limit, LimitUnit};
use crate::domain::directory::{Grant, Role};
use crate::domain::ids::RecordId;
use crate::domain::place::Position;

/// Due where no finding's category says: one working day.
const DEFAULT_LIMIT: Limit = Limit {
    amount: 1,
    unit: LimitUnit::WorkingDay,
};

impl Device {
    /// The roles of the phone's owner.
    fn grants(&self) -> Result<Vec<Grant>, DeviceError> {
        let directory = self.directory()?;
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let person = directory.person(&owner.person);
        Ok(person.map_or_else(Vec::new, |person| person.grants.clone()))
    }

    /// The grid that the facts of a report lie in where they do not say: by the
    /// position, otherwise by where the phone's owner belongs. `None` if it
    /// cannot be told.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn grid_of(&self, facts: &Facts) -> Result<Option<String>, DeviceError> {
        let directory = self.directory()?;
        let at: Option<Position> = match (facts.get(fact::GRID), facts.get(fact::POSITION)) {
            (Some(Value::Text(grid)), _) => return Ok(Some(grid.clone())),
            (_, Some(Value::Text(text))) => text.parse().ok(),
            _ => None,
        };
        if let Some(at) = at {
            return Ok(directory.grid_at(&at).map(str::to_owned));
        }
        let grants = self.grants()?;
        let belongs = |grant: &&Grant| matches!(grant.role, Role::Member | Role::Secretary);
        let mut own = grants.iter().filter(belongs);
        let first = own.next().filter(|_| own.next().is_none());
        Ok(first.map(|grant| grant.scope.clone()))
    }

    /// The levels and areas for which the phone's owner blows.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn blows_for(&self) -> Result<Vec<(Level, String)>, DeviceError> {
        let blows = |grant: Grant| match grant.role {
            Role::Secretary => Some((Level::Community, grant.scope)),
            Role::Dispatcher => Some((Level::Street, grant.scope)),
            _ => None,
        };
        Ok(self.grants()?.into_iter().filter_map(blows).collect())
    }

    /// When a whistle blown now for these findings is due: by the category of
    /// the first and the class of the area. `None` if the calendar cannot tell.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn due_by_category(
        &self,
        area: &str,
        findings: &[RecordId],
        now_ms: i64,
    ) -> Result<Option<(DueTime, Terms)>, DeviceError> {
        let directory = self.directory()?;
        let row = match findings.first() {
            Some(first) => self.store.finding(*first)?,
            None => None,
        };
        let category = row.and_then(|row| row.category.parse().ok());
        let category = category.and_then(|code| directory.codes.get(&code));
        let limit = category.and_then(|it| it.limit).unwrap_or(DEFAULT_LIMIT);
        let community = directory.community_of(area);
        let community = community.and_then(|code| directory.communities.get(code));
        let limit = community.map_or(limit, |community| limit.for_class(community.class));
        self.due_by_limit(limit, now_ms)
    }

    /// The due time of a limit under the calendar and the policy in force.
    /// `None` if the calendar cannot tell.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn due_by_limit(
        &self,
        limit: Limit,
        start_ms: i64,
    ) -> Result<Option<(DueTime, Terms)>, DeviceError> {
        let directory = self.directory()?;
        let due = directory.calendar.due(start_ms, limit, &[]);
        let terms = Terms {
            start_ms,
            limit,
            calendar: directory.calendar.version().to_owned(),
            policy: directory.policy_edition(),
        };
        Ok(due.ok().map(|due| (due, terms)))
    }
}
