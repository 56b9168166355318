//! The phone in one type: what an app, the command line and the tests hold in
//! their hands.
//!
//! 1. [`Device::open`] opens or makes the phone: its key and its database, and
//!    says what it had to mend ([`Device::report`]).
//! 2. [`enrol`] makes it somebody's phone.
//! 3. [`Device::capture`] does an action: checked, signed, written, stored and
//!    queued, and on the disk when it returns. No network is asked.
//! 4. Screens read through [`sight`]: lists from rows, a record with everything
//!    in it. What was not accepted is in [`troubles`].
//! 5. [`Device::prepare_sync`] and [`Device::settle_sync`] are the two halves of
//!    an exchange; whoever carries the bytes between them is replaceable.
//!
//! What can go wrong: (1) the database is damaged, or a copy of another
//! installation's: it is set aside and the phone starts over with what nobody
//! else has, see [`crate::store::salvage`]; whatever says [`StoreError::Damaged`]
//! later asks for [`Device::repair`]; (3) the action is not possible ([`DeviceError::Refused`]
//! says in which state, which action and why) or the disk is full: nothing is
//! saved; (5) the reply is not one: nothing changes, everything stays queued.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use rand::Rng;
use zeroize::Zeroizing;

use crate::document::{Member, WriteError};
use crate::domain::action::{Action, Body, Facts, Level, RecordKind, Value, fact};
use crate::domain::directory::{DeviceState, Directory};
use crate::domain::escalation::{self, Carried};
use crate::domain::finding::Sighting;
use crate::domain::history::History;
use crate::domain::ids::{DeviceId, EnvelopeHash, PersonId, RecordId};
use crate::domain::lease::Blind;
use crate::domain::reason::Reason;
use crate::domain::record::{RecordState, Refused, capture};
use crate::domain::statistics::{self, Grouping, Period, Statistics};
use crate::domain::time::{Claim, Moment};
use crate::domain::whistle::WhistleState;
use crate::envelope::{Envelope, OpenError};
use crate::evidence::picture::PictureError;
use crate::evidence::watermark::WatermarkError;
use crate::pack::{self, PackError};
use crate::planted::{Bug, active};
use crate::store::derived::Derived;
use crate::store::opening::{Check, Report};
use crate::store::pieces::Pieces;
use crate::store::read::{FindingSummary, WhistleSummary};
use crate::store::write::Along;
use crate::store::{Files, Store, StoreError};
use crate::sync::edition::BadEdition;
use crate::sync::enrol::BadTicket;
use crate::sync::head::{Contradiction, SignedHead};
use crate::sync::settle::SettleError;
use crate::sync::wire::{Standing, WireError};

mod home;
//
pub mod enrol;
//
pub mod confidence;
//
pub mod evidence;
//
pub mod sight;
//
pub mod screens;
//
pub mod steps;
//
pub mod todo;
//
pub mod ordering;
//
pub mod troubles;
//
mod exchange;

pub use confidence::Confidence;
pub use exchange::{Outgoing, SyncOutcome};
pub use home::Home;

/// Name of the database in the phone's folder.
pub const DATABASE: &str = "phone.db";

/// The phone could not do what was asked; what was saved before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The database could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The action is not possible.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nobody's phone yet.
    #[error("this phone is not enrolled yet")]
    NotEnrolled,
    /// Enrolled, but the directory was lost with a damaged database.
    #[error("the directory is not here; sync once")]
    NoDirectory,
    /// Enrolled before.
    #[error("this phone is enrolled already, for {0}")]
    AlreadyEnrolled(PersonId),
    /// There is no such record on this phone.
    #[error("{}", Reason::NoSuchRecord)]
    NoSuchRecord,
    /// The record could not be written.
    #[error(transparent)]
    Document(#[from] WriteError),
    /// The action is too large for an envelope.
    #[error(transparent)]
    Envelope(#[from] OpenError),
    /// The server's answer does not read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The server's answer makes no sense.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The directory does not read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The directory is not what the phone's own server signed.
    #[error(transparent)]
    Edition(#[from] BadEdition),
    /// Not a ticket.
    #[error(transparent)]
    Ticket(#[from] BadTicket),
    /// The phone shows only its owner's own records for the time being.
    #[error("this phone shows its owner's own records only: {}", .0.word())]
    Hidden(Blind),
    /// Not a picture that can be taken.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// No words can be written below a picture.
    #[error(transparent)]
    Watermark(#[from] WatermarkError),
    /// A file that was to be attached cannot be read.
    #[error("the file {path} cannot be read: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The evidence, or its key, is not on this phone.
    #[error("the evidence is not on this phone")]
    EvidenceNotHere,
    /// What came from the server is not the evidence that was asked for.
    #[error("this is not the evidence that was asked for")]
    OtherEvidence,
    /// There is no action to do again.
    #[error("there is no action by that name to do again")]
    NothingToRedo,
    /// The app has closed the phone, or put it aside in the background.
    #[error("this phone is closed")]
    Closed,
    /// Somebody else answers at the server's address.
    #[error("this is not the server of the invitation")]
    WrongServer,
    /// The folder cannot be used.
    #[error("the folder {path} cannot be used: {error}")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Whose phone this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Who.
    pub person: PersonId,
    /// Code of the street.
    pub street: String,
    /// Address of the server.
    pub server: String,
}

/// An action about to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// On which kind of record.
    pub kind: RecordKind,
    /// On which record; `None` begins a new one.
    pub record: Option<RecordId>,
    /// Register writes.
    pub facts: Facts,
    /// What happens.
    pub body: Body,
}

impl Draft {
    /// Begins a new record.
    pub fn new(kind: RecordKind, facts: Facts, body: Body) -> Self {
        Self {
            kind,
            record: None,
            facts,
            body,
        }
    }

    /// Acts on a record that exists.
    pub fn on(kind: RecordKind, record: RecordId, body: Body) -> Self {
        Self {
            kind,
            record: Some(record),
            facts: Facts::new(),
            body,
        }
    }

    /// The same with register writes.
    pub fn with_facts(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }
}

/// An action that has been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured {
    /// On which record.
    pub record: RecordId,
    /// Which action.
    pub hash: EnvelopeHash,
}

/// A record with everything in it.
#[derive(Debug, Clone)]
pub struct RecordView {
    /// Which record.
    pub record: RecordId,
    /// What its actions amount to.
    pub state: RecordState,
    /// Its actions, causes first.
    pub history: History,
    /// Where each envelope stands, set-aside ones included.
    pub account: Vec<(EnvelopeHash, Standing, Option<Reason>)>,
}

/// What came of the whistles of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsView {
    /// By group: an area, platform, organisation or post code.
    pub groups: BTreeMap<String, Statistics>,
    /// Findings reported in the period that are closed, however they were (个).
    pub solved: u64,
    /// The seed's sentence about platform 1.
    pub platform_1_zh: String,
    /// The seed's sentence about platform 5.
    pub platform_5_zh: String,
}

/// A phone. See the module for how it works.
pub struct Device {
    store: Store,
    id: DeviceId,
    key: SigningKey,
    owner: Option<Owner>,
    directory: Option<Arc<Directory>>,
    app: String,
    report: Report,
    pieces: Pieces,
}

impl Device {
    /// Opens the phone that lives there, or makes a new one.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn open(home: &Home, rng: &mut impl Rng) -> Result<Self, DeviceError> {
        match Self::open_checked(home, Check::Quick, rng) {
            // A page that opening does not read, but the phone does.
            Err(DeviceError::Store(StoreError::Damaged(_))) => Self::repair(home, rng),
            opened => opened,
        }
    }

    /// Opens the phone and looks at every page of its database: what to do when
    /// an error said that it is damaged. The damaged [`Device`] must be dropped
    /// before.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn repair(home: &Home, rng: &mut impl Rng) -> Result<Self, DeviceError> {
        Self::open_checked(home, Check::Thorough, rng)
    }

    fn open_checked(home: &Home, check: Check, rng: &mut impl Rng) -> Result<Self, DeviceError> {
        std::fs::create_dir_all(&home.folder).map_err(|error| DeviceError::Folder {
            path: home.folder.clone(),
            error,
        })?;
        let files = Files {
            database: home.folder.join(DATABASE),
            unbacked: home.unbacked.clone(),
            key: home.key.clone(),
            wall_ms: home.wall_ms,
        };
        let (mut store, report) = Store::open(&files, check, rng)?;
        let (id, key) = identity(&mut store, rng)?;
        let owner = owner(&store)?;
        let directory = match store.meta::<Vec<u8>>("directory")? {
            Some(json) => Some(Arc::new(readable(&store, &json)?)),
            None => None,
        };
        if let Some(directory) = &directory {
            store.go_by(directory.clone());
            if report.restored > 0 {
                // What came back was projected without calendar and policy.
                store.rebuild()?;
            }
        }
        let device = Self {
            store,
            id,
            key,
            owner,
            directory,
            app: home.app.clone(),
            report,
            pieces: Pieces::new(&home.folder),
        };
        device.sweep()?;
        Ok(device)
    }

    /// What opening found.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// This device.
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// Whose phone this is; `None` before enrolment.
    pub fn owner(&self) -> Option<&Owner> {
        self.owner.as_ref()
    }

    /// Who is who and what is where.
    ///
    /// # Errors
    /// Not enrolled yet, or started over and not synced since.
    pub fn directory(&self) -> Result<Arc<Directory>, DeviceError> {
        let missing = match self.owner {
            Some(_) => DeviceError::NoDirectory,
            None => DeviceError::NotEnrolled,
        };
        self.directory.clone().ok_or(missing)
    }

    /// Whether the newest directory is one that only a newer build of the app
    /// reads.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn needs_newer_app(&self) -> Result<bool, DeviceError> {
        Ok(self.store.meta::<Vec<u8>>("directory_read")?.is_some())
    }

    /// The database, for lists, counts and searches.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Projects every record again from its envelopes.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn rebuild(&mut self) -> Result<(), DeviceError> {
        Ok(self.store.rebuild()?)
    }

    fn learn(&mut self, directory: Arc<Directory>) {
        self.store.go_by(directory.clone());
        self.directory = Some(directory);
    }

    /// How and when (the server's time, milliseconds) the server first
    /// contradicted what it had signed before; `None` if it never did. See
    /// [`Device::proof`].
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn contradiction(&self) -> Result<Option<(Contradiction, i64)>, DeviceError> {
        let word: Option<String> = self.store.meta("contradiction")?;
        let contradiction = word.and_then(|word| Contradiction::from_word(&word));
        Ok(contradiction.zip(self.store.meta("contradiction_at_ms")?))
    }

    /// The two heads, signed in one life of the server, of which only one can be
    /// true: the one that the phone held, and the one that contradicted it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn proof(&self) -> Result<Option<[SignedHead; 2]>, DeviceError> {
        let held = self.store.signed_head("held_head")?;
        let other = self.store.signed_head("contradiction")?;
        Ok(held.zip(other).map(|(held, other)| [held, other]))
    }

    /// Does an action. When this returns it is on the disk and queued.
    ///
    /// # Errors
    /// See [`DeviceError`]; nothing was saved.
    pub fn capture(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        draft: Draft,
    ) -> Result<Captured, DeviceError> {
        self.capture_along(now, rng, draft, Along::default())
    }

    /// Does an action, with what is saved along with it.
    fn capture_along(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        draft: Draft,
        along: Along<'_>,
    ) -> Result<Captured, DeviceError> {
        let before = match draft.record {
            None => Arc::new(Derived::none(draft.kind, RecordId::random(rng))),
            Some(record) => self.derived(record)?,
        };
        self.capture_on(now, &before, draft.facts, draft.body, along)
    }

    /// Does an action on a record that may not be here yet.
    fn capture_on(
        &mut self,
        now: Moment,
        before: &Derived,
        facts: Facts,
        body: Body,
        along: Along<'_>,
    ) -> Result<Captured, DeviceError> {
        let directory = self.directory()?;
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let Derived {
            document,
            history,
            state,
        } = before;
        let action = Action {
            kind: document.kind(),
            record: document.id(),
            person: owner.person.clone(),
            facts,
            body,
        };
        let claim = Claim::at(now, self.store.contact()?);
        let device = DeviceState::Active;
        capture(&directory, device, &action, claim, state, history)?;
        let chain = self.store.chain()?;
        let envelope = Envelope {
            street: owner.street.clone(),
            device: self.id,
            dev_seq: chain.length + u64::from(!reuses(chain.length)),
            prev: chain.newest,
            action,
            seen: history.newest(),
            claim,
            app: self.app.clone(),
        };
        let sealed = envelope.seal(&self.key)?;
        let mut document = document.clone();
        document.write(Member::pending(sealed.clone()))?;
        let record = document.id();
        self.store.commit(&sealed, Derived::of(document), along)?;
        if sealed.envelope.action.body.erases_evidence().is_some() {
            // The key is gone; what is left of the files goes at the next
            // opening at the latest.
            let _ = self.sweep();
        }
        Ok(Captured {
            record,
            hash: sealed.hash,
        })
    }

    /// What the facts of a report resemble, among what is on this phone: open
    /// findings of the same category nearby, of the last seven days. Empty
    /// without a category and a position.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn similar(&self, now: Moment, facts: &Facts) -> Result<Vec<FindingSummary>, DeviceError> {
        let text = |name: &str| match facts.get(name) {
            Some(Value::Text(text)) => text.as_str(),
            _ => "",
        };
        let reading_ms = Claim::at(now, self.store.contact()?).reading_ms();
        match Sighting::read(text(fact::CATEGORY), text(fact::POSITION), reading_ms) {
            Some(sighting) => Ok(self.store.similar(&sighting)?),
            None => Ok(Vec::new()),
        }
    }

    /// Other open findings on this phone that a finding may double, nearest
    /// first: what somebody who accepts it is asked about.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn doubles(&self, finding: RecordId) -> Result<Vec<FindingSummary>, DeviceError> {
        let Some(row) = self.store.finding(finding)? else {
            return Ok(Vec::new());
        };
        let sighting = Sighting::read(&row.category, &row.position, row.reported_at_ms);
        let Some(sighting) = sighting.filter(|_| !row.stage.is_over()) else {
            return Ok(Vec::new());
        };
        let mut doubles = self.store.similar(&sighting)?;
        doubles.retain(|other| other.record != finding);
        Ok(doubles)
    }

    /// Other open whistles on this phone that were blown for the same findings,
    /// oldest first. All of them stand; whoever blew one is offered to summon
    /// its targets in the other and to cancel it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn rivals(&self, whistle: RecordId) -> Result<Vec<WhistleSummary>, DeviceError> {
        Ok(self.store.rivals(whistle)?)
    }

    /// A record with everything in it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn show(&self, record: RecordId) -> Result<RecordView, DeviceError> {
        let derived = self.derived(record)?;
        Ok(RecordView {
            record,
            state: derived.state.clone(),
            history: derived.history.clone(),
            account: self.store.account(record)?,
        })
    }

    /// What the ladder has to know of a whistle's findings, as far as they are on
    /// this phone.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn carried(&self, whistle: &WhistleState) -> Result<Vec<Carried>, DeviceError> {
        let findings = whistle.order.iter().flat_map(|order| &order.findings);
        let mut carried = Vec::new();
        for finding in findings {
            let Some(row) = self.store.finding(*finding)? else {
                continue;
            };
            let double = escalation::is_double(*finding, |finding| {
                let row = self.store.finding(finding)?;
                Ok::<_, DeviceError>(row.map(|row| row.merged_into))
            })?;
            carried.push(Carried {
                double,
                category: row.category,
            });
        }
        Ok(carried)
    }

    /// What came of the whistles of a period that are on this phone, by group,
    /// with the seed's sentences about platforms 1 and 5; `now_ms` says whose
    /// time has run out.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn statistics(
        &self,
        now_ms: i64,
        period: &Period,
        grouping: Grouping,
    ) -> Result<StatisticsView, DeviceError> {
        let directory = self.directory()?;
        let mut whistles = Vec::new();
        for record in self.store.whistles_issued(period.from_ms, period.to_ms)? {
            if let RecordState::Whistle(whistle) = &self.derived(record)?.state {
                whistles.push((**whistle).clone());
            }
        }
        let grid = statistics::collect(
            &directory,
            whistles.iter().filter(|whistle| {
                let order = whistle.order.as_ref();
                order.is_some_and(|order| order.platform == 5 && order.level == Level::Community)
            }),
            period,
            Grouping::Street,
            now_ms,
        );
        let grid = grid.into_values().next().unwrap_or_default();
        let solved = self.store.closed_findings(
            period.from_ms,
            period.to_ms,
            period.area.as_deref().unwrap_or_default(),
        )?;
        Ok(StatisticsView {
            groups: statistics::collect(&directory, &whistles, period, grouping, now_ms),
            solved,
            platform_1_zh: statistics::platform_1_zh(&whistles),
            platform_5_zh: statistics::platform_5_zh(
                grid.areas.len() as u64,
                grid.whistles,
                solved,
            ),
        })
    }

    /// A record, derived from the shared history and the phone's own pending
    /// actions on top of it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn derived(&self, record: RecordId) -> Result<Arc<Derived>, DeviceError> {
        let derived = self.store.derived(record)?;
        derived.ok_or(DeviceError::NoSuchRecord)
    }
}

/// A planted bug; `false` in any program that anybody uses.
fn reuses(length: u64) -> bool {
    active(Bug::ReuseChainNumber) && length > 3
}

/// The device's id and key, made on first use.
fn identity(store: &mut Store, rng: &mut impl Rng) -> Result<(DeviceId, SigningKey), DeviceError> {
    let id: Option<[u8; 16]> = store.meta("device")?;
    let secret: Option<[u8; 32]> = store.meta("device_key")?;
    if let (Some(id), Some(secret)) = (id, secret) {
        let secret = Zeroizing::new(secret);
        return Ok((DeviceId(id), SigningKey::from_bytes(&secret)));
    }
    let id = DeviceId::random(rng);
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(secret.as_mut());
    store.set_meta(&[("device", &id.0), ("device_key", &*secret)])?;
    Ok((id, SigningKey::from_bytes(&secret)))
}

/// The newest directory, or the newest that this build could read.
fn readable(store: &Store, newest: &[u8]) -> Result<Directory, DeviceError> {
    let newest = pack::directory(newest);
    match (newest, store.meta::<Vec<u8>>("directory_read")?) {
        (Err(_), Some(read)) => Ok(pack::directory(&read)?),
        (newest, _) => Ok(newest?),
    }
}

fn owner(store: &Store) -> Result<Option<Owner>, DeviceError> {
    let person: Option<String> = store.meta("person")?;
    let street: Option<String> = store.meta("street")?;
    let server: Option<String> = store.meta("server")?;
    Ok(match (person, street, server) {
        (Some(person), Some(street), Some(server)) => Some(Owner {
            person: PersonId(person),
            street,
            server,
        }),
        _ => None,
    })
}
