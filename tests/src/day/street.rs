//! The phones of the day, and what their owners do with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::device::{Captured, Device, Draft};
use shaodao_core::domain::action::{Body, Facts, RecordKind};
use shaodao_core::domain::ids::{BootId, EnvelopeHash, RecordId};
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::Moment;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::sync::transport::Transport;
use shaodao_core::sync::wire::Standing;

use super::DayError;
use crate::home::home;
use crate::process::ServerProcess;

/// A phone in somebody's pocket.
pub struct Phone {
    /// The real core.
    pub device: Device,
    /// Requests sent so far.
    pub requests: u32,
    /// Bytes of request bodies so far.
    pub bytes_up: u64,
    /// Bytes of reply bodies so far.
    pub bytes_down: u64,
    /// Own actions that were not plainly accepted, by standing.
    pub troubles: BTreeMap<&'static str, usize>,
    boot: BootId,
}

/// Everybody, the server, and the time.
pub struct Street {
    /// The server process.
    pub server: ServerProcess,
    /// The one source of chance.
    pub rng: StdRng,
    /// True time, Unix milliseconds.
    pub now_ms: i64,
    /// Phones by staff number.
    pub phones: BTreeMap<String, Phone>,
    /// Every action that a phone has acknowledged as saved.
    pub acknowledged: Vec<EnvelopeHash>,
    /// Escalations that the clock has set off.
    pub escalated: u64,
    started_ms: i64,
    folder: PathBuf,
}

impl Street {
    /// A street with a server and nobody in it, at `now_ms`.
    ///
    /// # Errors
    /// See [`ServerProcess::start`].
    pub fn new(folder: &Path, seed: u64, now_ms: i64) -> Result<Self, DayError> {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            server: ServerProcess::start(folder, now_ms)?,
            rng: StdRng::seed_from_u64(seed),
            now_ms,
            phones: BTreeMap::new(),
            acknowledged: Vec::new(),
            escalated: 0,
            started_ms: now_ms - 60_000,
            folder: folder.to_owned(),
        })
    }

    /// Gives these people phones and enrols them.
    ///
    /// # Errors
    /// A ticket or an enrolment fails.
    pub async fn enrol(&mut self, people: &[String]) -> Result<(), DayError> {
        for person in people {
            let folder = self.folder.join(person);
            let mut device = Device::open(&home(&folder, self.now_ms), &mut self.rng)?;
            let boot = BootId::random(&mut self.rng);
            let now = moment(boot, self.now_ms, self.started_ms);
            self.server
                .enrol(&mut device, &mut self.rng, person, now)
                .await?;
            let phone = Phone {
                device,
                requests: 0,
                bytes_up: 0,
                bytes_down: 0,
                troubles: BTreeMap::new(),
                boot,
            };
            self.phones.insert(person.clone(), phone);
        }
        Ok(())
    }

    /// Time goes by; what is due at the server happens.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn pass(&mut self, minutes: i64) -> Result<(), DayError> {
        self.now_ms += minutes * 60_000;
        self.escalated += self.server.set_clock(self.now_ms).await?;
        Ok(())
    }

    /// Somebody's phone.
    ///
    /// # Errors
    /// They have none.
    pub fn phone(&self, person: &str) -> Result<&Phone, DayError> {
        self.phones
            .get(person)
            .ok_or_else(|| format!("{person} has no phone").into())
    }

    /// Somebody does something; no network is asked.
    ///
    /// # Errors
    /// It is not possible.
    pub fn act(&mut self, person: &str, draft: Draft) -> Result<RecordId, DayError> {
        // People are not machines: no two actions in the same second.
        self.now_ms += 1_000;
        let phone = self.phones.get_mut(person).ok_or("no phone")?;
        let now = moment(phone.boot, self.now_ms, self.started_ms);
        let word = draft.body.word().to_owned();
        let Captured { record, hash } = phone
            .device
            .capture(now, &mut self.rng, draft)
            .map_err(|error| format!("{person}, {word}: {error}"))?;
        self.acknowledged.push(hash);
        Ok(record)
    }

    /// Somebody acts on a finding.
    ///
    /// # Errors
    /// It is not possible.
    pub fn on_finding(
        &mut self,
        person: &str,
        finding: RecordId,
        body: Body,
    ) -> Result<(), DayError> {
        self.act(person, Draft::on(RecordKind::Finding, finding, body))
            .map(drop)
    }

    /// Somebody corrects facts of a finding.
    ///
    /// # Errors
    /// It is not possible.
    pub fn correct(
        &mut self,
        person: &str,
        finding: RecordId,
        facts: Facts,
    ) -> Result<(), DayError> {
        let draft = Draft::on(RecordKind::Finding, finding, Body::Correct).with_facts(facts);
        self.act(person, draft).map(drop)
    }

    /// Somebody acts on a whistle.
    ///
    /// # Errors
    /// It is not possible.
    pub fn on_whistle(
        &mut self,
        person: &str,
        whistle: RecordId,
        body: Body,
    ) -> Result<(), DayError> {
        self.act(person, Draft::on(RecordKind::Whistle, whistle, body))
            .map(drop)
    }

    /// A whistle as somebody sees it.
    ///
    /// # Errors
    /// It is not on their phone.
    pub fn whistle(&self, person: &str, whistle: RecordId) -> Result<WhistleState, DayError> {
        match self.phone(person)?.device.show(whistle)?.state {
            RecordState::Whistle(state) => Ok(*state),
            RecordState::Finding(_) => Err("not a whistle".into()),
        }
    }

    /// Somebody's request is on its way when the server dies. Whether it was
    /// read, judged or answered before is chance; the phone never learns.
    ///
    /// # Errors
    /// The server does not come back.
    pub async fn kill_in_the_middle_of(&mut self, person: &str) -> Result<(), DayError> {
        let transport = Transport::new(&self.server.address())?;
        let outgoing = self.phone(person)?.device.prepare_sync()?;
        let turns = self.rng.random_range(2..12);
        let kill = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            self.server.kill_and_restart(self.now_ms)
        };
        let request = transport.exchange(&outgoing.token, outgoing.body.clone());
        let (_never_learned, killed) = tokio::join!(request, kill);
        killed
    }

    /// Somebody has a signal (or is at the station) and syncs.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn sync(&mut self, person: &str) -> Result<(), DayError> {
        let transport = Transport::new(&self.server.address())?;
        let (now_ms, started_ms) = (self.now_ms, self.started_ms);
        let phone = self.phones.get_mut(person).ok_or("no phone")?;
        let boot = phone.boot;
        let now = || moment(boot, now_ms, started_ms);
        let report = transport.sync(&mut phone.device, now, |_| {}).await?;
        phone.requests += report.requests;
        phone.bytes_up += report.bytes_up;
        phone.bytes_down += report.bytes_down;
        for trouble in report.outcome.troubles {
            let standing: Standing = trouble.standing;
            *phone.troubles.entry(standing.word()).or_default() += 1;
        }
        Ok(())
    }
}

fn moment(boot: BootId, now_ms: i64, started_ms: i64) -> Moment {
    Moment {
        wall_ms: now_ms,
        boot,
        mono_ms: (now_ms - started_ms).unsigned_abs(),
    }
}
