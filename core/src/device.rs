//! The phone in one type: what an app, the command line and the tests hold in
//! their hands.
//!
//! 1. [`Device::open`] opens or makes the phone: its key and its database.
//! 2. [`Device::accept_enrolment`] makes it somebody's phone.
//! 3. [`Device::capture`] does an action: checked, signed, written, stored and
//!    queued, and on the disk when it returns. No network is asked.
//! 4. Lists come from rows ([`Device::store`]), a record with everything in it
//!    from [`Device::show`].
//! 5. [`Device::prepare_sync`] and [`Device::settle_sync`] are the two halves of
//!    an exchange; whoever carries the bytes between them is replaceable.
//!
//! What can go wrong: (3) the action is not possible ([`DeviceError::Refused`]
//! says in which state, which action and why) or the disk is full: nothing is
//! saved; (5) the reply is not one: nothing changes, everything stays queued.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use rand::Rng;
use zeroize::Zeroizing;

use crate::document::{Document, Member, WriteError};
use crate::domain::action::{Action, Body, Facts, Level, RecordKind, Value, fact};
use crate::domain::available::{Available, Viewer, available_actions};
use crate::domain::directory::Directory;
use crate::domain::escalation::Carried;
use crate::domain::finding::{FindingState, Sighting};
use crate::domain::history::History;
use crate::domain::ids::{DeviceId, EnvelopeHash, PersonId, PrivateId, RecordId};
use crate::domain::private::{Confided, MAX_PRIVATE, PrivateKind};
use crate::domain::reason::Reason;
use crate::domain::record::{RecordState, Refused, capture};
use crate::domain::rights::DeviceState;
use crate::domain::statistics::{self, Grouping, Period, Statistics};
use crate::domain::time::{Claim, Moment};
use crate::domain::whistle::WhistleState;
use crate::envelope::{Envelope, OpenError};
use crate::pack::{self, PackError};
use crate::seal::{self, SealedText};
use crate::store::apply::Applied;
use crate::store::read::{FindingSummary, WhistleSummary};
use crate::store::{Store, StoreError};
use crate::sync::plan::{PUSH_BUDGET_BYTES, PUSH_PRIVATE, plan};
use crate::sync::settle::{SettleError, settle};
use crate::sync::wire::{self, EnrolReply, EnrolRequest, Judgement, Standing, WireError};

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

/// Personal data beside a finding, as this phone may show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Confidence {
    /// Which.
    pub item: PrivateId,
    /// What everybody sees of it.
    pub confided: Confided,
    /// The text; `None` if it is erased, has not arrived, or is not meant for
    /// this phone.
    pub text: Option<String>,
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

/// The first half of an exchange.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Body of the request.
    pub body: Vec<u8>,
    /// Session token to send it with.
    pub token: String,
    sent: Vec<EnvelopeHash>,
    epoch: Vec<u8>,
}

/// What an exchange changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncOutcome {
    /// Own actions that were accepted.
    pub accepted: usize,
    /// Own actions that were not plainly accepted, and why.
    pub troubles: Vec<Judgement>,
    /// Envelopes of others that are new here.
    pub pulled: usize,
    /// There is more to say: exchange again.
    pub more: bool,
}

impl SyncOutcome {
    /// Adds what a further exchange changed.
    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.troubles.extend(other.troubles);
        self.pulled += other.pulled;
        self.more = other.more;
    }
}

/// A phone. See the module for how it works.
pub struct Device {
    store: Store,
    id: DeviceId,
    key: SigningKey,
    owner: Option<Owner>,
    directory: Option<Arc<Directory>>,
    app: String,
}

impl Device {
    /// Opens the phone in `folder`, or makes a new one there. `app` names the
    /// app build, at most 40 bytes.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn open(folder: &Path, app: &str, rng: &mut impl Rng) -> Result<Self, DeviceError> {
        std::fs::create_dir_all(folder).map_err(|error| DeviceError::Folder {
            path: folder.to_owned(),
            error,
        })?;
        let mut store = Store::open(&folder.join(DATABASE))?;
        let (id, key) = identity(&mut store, rng)?;
        let owner = owner(&store)?;
        let directory = match store.meta::<Vec<u8>>("directory")? {
            Some(json) => Some(Arc::new(pack::directory(&json)?)),
            None => None,
        };
        if let Some(directory) = &directory {
            store.go_by(directory.clone());
        }
        Ok(Self {
            store,
            id,
            key,
            owner,
            directory,
            app: app.to_owned(),
        })
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
    /// Not enrolled yet.
    pub fn directory(&self) -> Result<Arc<Directory>, DeviceError> {
        self.directory.clone().ok_or(DeviceError::NotEnrolled)
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

    /// What to hand in with a ticket.
    ///
    /// # Errors
    /// Enrolled already.
    pub fn enrol_request(&self, ticket: &str) -> Result<EnrolRequest, DeviceError> {
        if let Some(owner) = &self.owner {
            return Err(DeviceError::AlreadyEnrolled(owner.person.clone()));
        }
        Ok(EnrolRequest {
            ticket: ticket.trim().to_owned(),
            device: self.id.0.to_vec(),
            key: self.key.verifying_key().to_bytes().to_vec(),
            app: self.app.clone(),
        })
    }

    /// Becomes somebody's phone. `server` is the address that answered,
    /// `sent_at` the moment when the request left.
    ///
    /// # Errors
    /// See [`DeviceError`]; the phone stays nobody's.
    pub fn accept_enrolment(
        &mut self,
        server: &str,
        sent_at: Moment,
        reply: &EnrolReply,
    ) -> Result<(), DeviceError> {
        let directory = pack::directory(&reply.directory)?;
        self.store.set_meta(&[
            ("person", &reply.person),
            ("street", &reply.street),
            ("server", &server),
            ("token", &reply.token),
            ("epoch", &reply.epoch),
            ("directory", &reply.directory),
            ("directory_version", &directory.version.cast_signed()),
            ("contact_position", &0i64),
            ("contact_server_ms", &reply.server_ms),
            ("contact_boot", &sent_at.boot.0),
            ("contact_mono_ms", &sent_at.mono_ms.cast_signed()),
        ])?;
        self.learn(Arc::new(directory));
        self.owner = owner(&self.store)?;
        Ok(())
    }

    fn learn(&mut self, directory: Arc<Directory>) {
        self.store.go_by(directory.clone());
        self.directory = Some(directory);
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
        self.capture_with(now, rng, draft, None)
    }

    /// Leaves personal data beside a finding: the text under a key of its own,
    /// for those who need it ([`crate::domain::private`]).
    ///
    /// # Errors
    /// See [`DeviceError`]; nothing was saved.
    pub fn confide(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        finding: RecordId,
        kind: PrivateKind,
        text: &str,
    ) -> Result<Captured, DeviceError> {
        let refused = |reason| Refused {
            state: "new",
            action: "confide".to_owned(),
            reason,
        };
        if text.trim().is_empty() {
            return Err(refused(Reason::Empty).into());
        }
        if text.chars().count() > MAX_PRIVATE {
            return Err(refused(Reason::TooLong).into());
        }
        let sealed = seal::seal(rng, finding, kind, text).map_err(|_| refused(Reason::TooLong))?;
        let item = sealed.id;
        let draft = Draft::on(RecordKind::Finding, finding, Body::Confide { item, kind });
        self.capture_with(now, rng, draft, Some(&sealed))
    }

    /// The personal data of a finding, as far as this phone may read it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn confidences(
        &self,
        record: RecordId,
        finding: &FindingState,
    ) -> Result<Vec<Confidence>, DeviceError> {
        let mut confidences = Vec::new();
        for (item, confided) in &finding.confided {
            let text = match (&confided.erased, self.store.private(*item)?) {
                (Some(_), _) => None,
                (None, None) => None,
                (None, Some(sealed)) => {
                    seal::open(&sealed.key, record, confided.kind, &sealed.ciphertext).ok()
                }
            };
            confidences.push(Confidence {
                item: *item,
                confided: confided.clone(),
                text,
            });
        }
        Ok(confidences)
    }

    fn capture_with(
        &mut self,
        now: Moment,
        rng: &mut impl Rng,
        draft: Draft,
        confided: Option<&SealedText>,
    ) -> Result<Captured, DeviceError> {
        let directory = self.directory()?;
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let mut document = match draft.record {
            None => Document::new(draft.kind, RecordId::random(rng))?,
            Some(record) => self.document(record)?,
        };
        let history = document.history();
        let state = RecordState::fold(document.kind(), &history, document.registers());
        let action = Action {
            kind: draft.kind,
            record: document.id(),
            person: owner.person.clone(),
            facts: draft.facts,
            body: draft.body,
        };
        let claim = Claim::at(now, self.store.contact()?);
        let device = DeviceState::Active;
        capture(&directory, device, &action, claim, &state, &history)?;
        let chain = self.store.chain()?;
        let envelope = Envelope {
            street: owner.street.clone(),
            device: self.id,
            dev_seq: chain.length + 1,
            prev: chain.newest,
            action,
            seen: history.newest(),
            claim,
            app: self.app.clone(),
        };
        let sealed = envelope.seal(&self.key)?;
        document.write(Member::pending(sealed.clone()))?;
        self.store
            .commit(&sealed, &document, &document.fold(), confided)?;
        Ok(Captured {
            record: document.id(),
            hash: sealed.hash,
        })
    }

    /// Whether an action would be possible, and why not: what a screen asks
    /// before it shows a button.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn could(&self, now: Moment, draft: &Draft) -> Result<(), DeviceError> {
        let directory = self.directory()?;
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let (record, state, history) = match draft.record {
            Some(record) => {
                let document = self.document(record)?;
                (record, document.fold(), document.history())
            }
            None => (
                RecordId([0; 16]),
                RecordState::empty(draft.kind),
                History::default(),
            ),
        };
        let action = Action {
            kind: draft.kind,
            record,
            person: owner.person.clone(),
            facts: draft.facts.clone(),
            body: draft.body.clone(),
        };
        let claim = Claim::at(now, self.store.contact()?);
        let device = DeviceState::Active;
        Ok(capture(
            &directory, device, &action, claim, &state, &history,
        )?)
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

    /// What the phone's owner can do with a record now: exactly the actions
    /// that [`Device::capture`] would accept.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn available(&self, now: Moment, record: RecordId) -> Result<Vec<Available>, DeviceError> {
        let directory = self.directory()?;
        let owner = self.owner.as_ref().ok_or(DeviceError::NotEnrolled)?;
        let document = self.document(record)?;
        let history = document.history();
        let state = RecordState::fold(document.kind(), &history, document.registers());
        let viewer = Viewer {
            directory: &directory,
            person: &owner.person,
            device: DeviceState::Active,
            claim: Claim::at(now, self.store.contact()?),
        };
        Ok(available_actions(&viewer, record, &state, &history))
    }

    /// A record with everything in it.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn show(&self, record: RecordId) -> Result<RecordView, DeviceError> {
        let document = self.document(record)?;
        Ok(RecordView {
            record,
            state: document.fold(),
            history: document.history(),
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
            carried.extend(self.store.finding(*finding)?.map(|row| Carried {
                stage: row.stage,
                category: row.category,
            }));
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
            if let RecordState::Whistle(whistle) = self.document(record)?.fold() {
                whistles.push(*whistle);
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

    /// A record as a document: the shared history and the phone's own pending
    /// actions on top.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn document(&self, record: RecordId) -> Result<Document, DeviceError> {
        let kind = self.store.kind_of(record)?;
        let kind = kind.ok_or(DeviceError::NoSuchRecord)?;
        let (document, _) = Document::rebuild(kind, record, self.store.members(record)?)?;
        Ok(document)
    }

    /// The first half of an exchange: the next request.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn prepare_sync(&self) -> Result<Outgoing, DeviceError> {
        let token: String = self.store.meta("token")?.ok_or(DeviceError::NotEnrolled)?;
        let progress = self.store.progress()?;
        let outbox = self.store.outbox(PUSH_BUDGET_BYTES)?;
        let (hashes, envelopes): (Vec<_>, Vec<_>) = outbox.into_iter().unzip();
        let private = self.store.unsent_private(PUSH_PRIVATE)?;
        let request = plan(&progress, &envelopes, private, &self.app);
        let sent = hashes.into_iter().take(request.push.len()).collect();
        Ok(Outgoing {
            body: wire::to_bytes(&request),
            token,
            sent,
            epoch: progress.epoch,
        })
    }

    /// The second half: what the reply means, saved in one transaction.
    /// `sent_at` is the moment when the request left.
    ///
    /// # Errors
    /// See [`DeviceError`]; nothing changed, and everything stays queued.
    pub fn settle_sync(
        &mut self,
        outgoing: &Outgoing,
        sent_at: Moment,
        reply: &[u8],
    ) -> Result<SyncOutcome, DeviceError> {
        let reply = wire::from_bytes(reply)?;
        let settlement = settle(&reply, &outgoing.sent, &outgoing.epoch)?;
        let contact = crate::domain::time::LastContact {
            position: settlement.cursor,
            server_ms: settlement.server_ms,
            boot: sent_at.boot,
            mono_ms: sent_at.mono_ms,
        };
        if let Some(json) = &settlement.directory {
            let directory = pack::directory(json)?;
            self.store.set_meta(&[
                ("directory", json),
                ("directory_version", &directory.version.cast_signed()),
            ])?;
            self.learn(Arc::new(directory));
        }
        let Applied {
            accepted,
            troubles,
            pulled,
            ..
        } = self.store.apply(&settlement, contact)?;
        let unsent = self.store.counts()?.outbox > 0 || !self.store.unsent_private(1)?.is_empty();
        // An envelope that the server did not name would be sent for ever:
        // only progress asks for another exchange.
        let progressed = accepted + troubles.len() + pulled + settlement.private_kept.len() > 0;
        Ok(SyncOutcome {
            accepted,
            troubles,
            pulled,
            more: settlement.more || settlement.start_over || (unsent && progressed),
        })
    }
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
