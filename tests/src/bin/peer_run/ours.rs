//! Phones of this project: the real core against the real server.

use std::collections::HashMap;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value as Json, json};

use shaodao_core::device::{Device, Draft};
use shaodao_core::domain::action::{Body, Facts, RecordKind, Value, fact};
use shaodao_core::domain::ids::{BootId, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::Moment;
use shaodao_core::store::read::FindingFilter;
use shaodao_core::sync::transport::Transport;
use shaodao_tests::home::home;
use shaodao_tests::world::MORNING_MS;

use crate::findings::Finding;
use crate::{AnyError, Phone, Shown};

/// A phone with the real core in it.
pub struct OurPhone {
    device: Device,
    rng: StdRng,
    runtime: tokio::runtime::Runtime,
    ticks: u64,
}

impl OurPhone {
    fn now(&mut self) -> Moment {
        self.ticks += 1;
        moment(self.ticks)
    }

    fn titles(&self) -> Result<HashMap<String, RecordId>, AnyError> {
        let rows = self.device.store().findings(&FindingFilter {
            limit: u32::MAX,
            ..FindingFilter::default()
        })?;
        Ok(rows
            .into_iter()
            .map(|row| (row.title, row.record))
            .collect())
    }

    fn record(&self, finding: &Finding) -> Result<RecordId, AnyError> {
        let titles = self.titles()?;
        let record = titles.get(&finding.title);
        Ok(*record.ok_or("the finding is not on this phone")?)
    }
}

impl Phone for OurPhone {
    fn open(folder: &Path) -> Result<Self, AnyError> {
        // Phones differ by their keys: each folder its own seed.
        let seed = folder.as_os_str().as_encoded_bytes();
        let seed = seed.iter().fold(7u64, |sum, byte| {
            sum.wrapping_mul(1_000_003).wrapping_add(u64::from(*byte))
        });
        let mut rng = StdRng::seed_from_u64(seed);
        Ok(Self {
            device: Device::open(&home(folder, MORNING_MS), &mut rng)?,
            rng,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            ticks: 20_000,
        })
    }

    /// With a ticket: what the phone shows. Without: the session, once an
    /// administrator has confirmed it.
    fn join(&mut self, server: &str, secret: Option<&str>) -> Result<Json, AnyError> {
        let transport = Transport::new(server)?;
        match secret {
            Some(ticket) => {
                let handed_in = transport.hand_in(&mut self.device, &mut self.rng, ticket, None);
                let pending = self.runtime.block_on(handed_in)?;
                Ok(json!({ "check_code": pending.check_code }))
            }
            None => {
                let now = moment(0);
                let opened = transport.open_session(&mut self.device, || now);
                self.runtime.block_on(opened)?;
                Ok(json!({}))
            }
        }
    }

    fn capture(&mut self, nth: usize, finding: &Finding) -> Result<(), AnyError> {
        let facts: Facts = [
            (fact::CATEGORY, &finding.category),
            (fact::TITLE, &finding.title),
            (fact::DESCRIPTION, &finding.description),
            (fact::GRID, &finding.grid),
            (fact::POSITION, &finding.position),
        ]
        .into_iter()
        .map(|(name, text)| (name.to_owned(), Value::Text(text.clone())))
        .collect();
        let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
        let now = moment(nth as u64);
        self.device.capture(now, &mut self.rng, draft)?;
        Ok(())
    }

    fn sync(&mut self, server: &str) -> Result<(), AnyError> {
        let transport = Transport::new(server)?;
        let now = self.now();
        let synced = transport.sync(&mut self.device, || now, |_| {});
        let report = self.runtime.block_on(synced)?;
        match report.outcome.troubles.first() {
            None => Ok(()),
            Some(trouble) => Err(format!("not accepted: {trouble:?}").into()),
        }
    }

    /// What belongs to this phone comes with it.
    fn push(&mut self, server: &str) -> Result<(), AnyError> {
        self.sync(server)
    }

    fn count(&self) -> Result<usize, AnyError> {
        Ok(usize::try_from(self.device.store().counts()?.findings)?)
    }

    fn edit(&mut self, finding: &Finding, field: &str, value: &str) -> Result<(), AnyError> {
        let record = self.record(finding)?;
        let facts = [(field.to_owned(), Value::Text(value.to_owned()))].into();
        let draft = Draft::on(RecordKind::Finding, record, Body::Correct).with_facts(facts);
        let now = self.now();
        self.device.capture(now, &mut self.rng, draft)?;
        Ok(())
    }

    fn show(&self, finding: &Finding, field: &str) -> Result<Shown, AnyError> {
        let record = self.record(finding)?;
        let row = self.device.store().finding(record)?.ok_or("no row")?;
        let RecordState::Finding(state) = self.device.show(record)?.state else {
            return Err("not a finding".into());
        };
        let others = state.facts.get(field).map(|register| &register.others);
        let others = others.into_iter().flatten().map(|(value, ..)| value);
        let mut kept = vec![state.text(field).to_owned()];
        kept.extend(others.map(|value| match value {
            Value::Text(text) => text.clone(),
            other => format!("{other:?}"),
        }));
        Ok(Shown {
            value: state.text(field).to_owned(),
            kept,
            told: row.conflicts > 0,
        })
    }

    fn newest(&self, limit: usize) -> Result<Vec<String>, AnyError> {
        let rows = self.device.store().findings(&FindingFilter {
            limit: u32::try_from(limit)?,
            ..FindingFilter::default()
        })?;
        Ok(rows.into_iter().map(|row| row.title).collect())
    }
}

fn moment(tick: u64) -> Moment {
    Moment {
        wall_ms: MORNING_MS + tick.cast_signed() * 1_000,
        boot: BootId([1; 8]),
        mono_ms: 60_000 + tick * 1_000,
    }
}
