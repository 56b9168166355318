//! What really happened, written down by whoever sees everything: the yardstick
//! for what phones and server say in the end. Nothing here is computed by the
//! code that is judged.

use std::collections::{BTreeMap, BTreeSet};

use shaodao_core::domain::action::{Body, Level, Order};
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, RecordId};
use shaodao_core::envelope::Sealed;

/// One action, as it happened.
#[derive(Debug, Clone)]
pub struct Deed {
    /// The phone, by its name in the world.
    pub phone: String,
    /// Whose it is.
    pub person: String,
    /// The envelope.
    pub sealed: Sealed,
    /// The true time.
    pub true_ms: i64,
    /// Whether the claim of its time has to be believed: the phone's clock was
    /// right to the minute, and it had met the server since it was switched on
    /// and within three days.
    pub clock_is_good: bool,
    /// Made by the malicious phone.
    pub crooked: bool,
}

impl Deed {
    /// What was done.
    pub fn body(&self) -> &Body {
        &self.sealed.envelope.action.body
    }

    /// To which record.
    pub fn record(&self) -> RecordId {
        self.sealed.envelope.action.record
    }
}

/// Everything that really happened.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every action that a phone acknowledged as saved, and every forged one
    /// that was worth keeping.
    pub deeds: BTreeMap<EnvelopeHash, Deed>,
    /// Records in the order in which they were begun.
    pub records: Vec<RecordId>,
    /// Suspensions of a device, from and to.
    pub suspended: BTreeMap<DeviceId, Vec<(i64, i64)>>,
    /// When a device was revoked.
    pub revoked: BTreeMap<DeviceId, i64>,
    /// When somebody had no duties, from and to, by staff number.
    pub relieved: BTreeMap<String, Vec<(i64, i64)>>,
    /// Devices of which there was a copy at work.
    pub copied: BTreeSet<DeviceId>,
    /// Actions that went down with the phone that made them, or with the
    /// server's disk when no phone had them any more: a backup does not hold
    /// what was done after it.
    pub gone: BTreeSet<EnvelopeHash>,
    /// Actions of former devices that their owners did again or gave up.
    pub settled: BTreeSet<EnvelopeHash>,
    /// Actions that a person released after having looked at them.
    pub released: BTreeSet<EnvelopeHash>,
    /// Actions that a person sent back.
    pub returned: BTreeSet<EnvelopeHash>,
    /// When the server looked at its deadlines.
    pub looks: Vec<i64>,
}

impl Ledger {
    /// Writes an action down.
    pub fn note(&mut self, deed: Deed) {
        let begins = matches!(deed.body(), Body::Report | Body::Issue(_));
        if begins && !deed.crooked && !self.records.contains(&deed.record()) {
            self.records.push(deed.record());
        }
        self.deeds.insert(deed.sealed.hash, deed);
    }

    /// The orders of the community that were really given, by whistle.
    pub fn orders(&self) -> impl Iterator<Item = (RecordId, &Order)> {
        self.deeds.values().filter_map(|deed| match deed.body() {
            Body::Issue(order) if order.level == Level::Community && !deed.crooked => {
                Some((deed.record(), order))
            }
            _ => None,
        })
    }

    /// The next due time of any order after `now_ms`.
    pub fn next_due(&self, now_ms: i64) -> Option<(RecordId, i64)> {
        let due = self.orders().map(|(record, order)| (record, order.due_ms));
        due.filter(|(_, due_ms)| *due_ms > now_ms)
            .min_by_key(|(record, due_ms)| (*due_ms, *record))
    }

    /// Whether a device was shut out when something of it arrived.
    pub fn was_suspended(&self, device: DeviceId, at_ms: i64) -> bool {
        let times = self.suspended.get(&device).into_iter().flatten();
        times
            .clone()
            .any(|(from, to)| (*from..=*to).contains(&at_ms))
    }

    /// Whether it was shut out before and after that very millisecond.
    pub fn surely_suspended(&self, device: DeviceId, at_ms: i64) -> bool {
        let mut times = self.suspended.get(&device).into_iter().flatten();
        times.any(|(from, to)| *from < at_ms && at_ms < *to)
    }

    /// Whether somebody had no duties at that moment.
    pub fn was_relieved(&self, person: &str, at_ms: i64) -> bool {
        let mut times = self.relieved.get(person).into_iter().flatten();
        times.any(|(from, to)| (*from..=*to).contains(&at_ms))
    }

    /// Whether it was revoked before something of it arrived.
    pub fn was_revoked(&self, device: DeviceId, at_ms: i64) -> bool {
        self.revoked.get(&device).is_some_and(|from| at_ms >= *from)
    }
}
