//! Lists as screens turn them, under the same lease as everything in
//! [`super::sight`].

use std::collections::BTreeMap;

use super::{Device, DeviceError};
use crate::domain::action::Party;
use crate::domain::deadline;
use crate::domain::directory::Role;
use crate::domain::finding::FindingStage;
use crate::domain::lease::Sight;
use crate::domain::limit::Light;
use crate::domain::record::RecordState;
use crate::domain::time::{Claim, Moment};
use crate::store::pages::{FindingQuery, Page, WhistleQuery};
use crate::store::read::{FindingSummary, WhistleSummary};

impl Device {
    /// The best reading of the time that this phone has, Unix milliseconds: for
    /// lights and dates on screens.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn reading_ms(&self, now: Moment) -> Result<i64, DeviceError> {
        Ok(Claim::at(now, self.store.contact()?).reading_ms())
    }

    /// The light of a whistle now; none while its clock stands still.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn light(&self, now_ms: i64, row: &WhistleSummary) -> Result<Option<Light>, DeviceError> {
        if row.stage.is_over() {
            return Ok(None);
        }
        let directory = self.directory()?;
        Ok(match &self.derived(row.record)?.state {
            RecordState::Whistle(state) => deadline::light(state, &directory, now_ms),
            RecordState::Finding(_) => None,
        })
    }

    /// A page of findings, newest report first.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn finding_page(
        &self,
        now: Moment,
        mut query: FindingQuery,
    ) -> Result<Page<FindingSummary>, DeviceError> {
        if let Sight::OwnOnly(_) = self.sight(now)? {
            query.reporter = Some(self.person());
        }
        Ok(self.store.finding_page(&query)?)
    }

    /// A page of whistles, newest first.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn whistle_page(
        &self,
        now: Moment,
        mut query: WhistleQuery,
    ) -> Result<Page<WhistleSummary>, DeviceError> {
        if let Sight::OwnOnly(_) = self.sight(now)? {
            query.blower = Some(self.person());
        }
        Ok(self.store.whistle_page(&query)?)
    }

    /// How many findings stand where; stages without any are left out.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn stage_counts(&self, now: Moment) -> Result<BTreeMap<FindingStage, u64>, DeviceError> {
        let own = match self.sight(now)? {
            Sight::OwnOnly(_) => Some(self.person()),
            Sight::All => None,
        };
        Ok(self.store.stage_counts(own.as_deref())?)
    }

    /// Keys of the targets for which the phone's owner acts.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn own_parties(&self) -> Result<Vec<String>, DeviceError> {
        let directory = self.directory()?;
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let mut parties = vec![Party::Person(owner.person.clone())];
        if let Some(person) = directory.person(&owner.person) {
            parties.extend(person.posts.iter().map(|(post, grid)| Party::Post {
                grid: grid.clone(),
                post: post.clone(),
            }));
            let liaises = person.grants.iter().filter(|it| it.role == Role::Liaison);
            parties.extend(liaises.map(|it| Party::Organisation(it.scope.clone())));
        }
        Ok(parties.iter().map(Party::key).collect())
    }

    /// Gives room back to the device ([`crate::store::Store::purge`]); the bytes
    /// gained.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn purge(&mut self, aside: bool) -> Result<u64, DeviceError> {
        Ok(self.store.purge(aside)?)
    }

    /// What evidence takes on this phone, bytes.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn evidence_bytes(&self) -> Result<u64, DeviceError> {
        Ok(self.pieces.bytes()?)
    }
}
