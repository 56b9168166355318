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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::{SigningKey, VerifyingKey};
use rand::Rng;
use zeroize::Zeroizing;

use crate::document::{Document, Member, WriteError};
use crate::domain::action::{Action, Body, Facts, RecordKind, Value, fact};
use crate::domain::directory::Directory;
use crate::domain::history::History;
use crate::domain::ids::{DeviceId, EnvelopeHash, PersonId, RecordId};
use crate::domain::reason::Reason;
use crate::domain::record::{RecordState, Refused, capture};
use crate::domain::time::{Claim, Moment};
use crate::envelope::{Envelope, OpenError};
use crate::pack::{self, PackError};
use crate::store::apply::Applied;
use crate::store::read::FindingSummary;
use crate::store::{Store, StoreError};
use crate::sync::head::{Contradiction, SignedHead};
use crate::sync::plan::{PUSH_BUDGET_BYTES, plan};
use crate::sync::settle::{Known, SettleError, settle};
use crate::sync::wire::{self, EnrolReply, EnrolRequest, Judgement, Standing, WireError};

/// Name of the database in the phone's folder.
pub const DATABASE: &str = "phone.db";

/// How far back the duplicate hint looks, milliseconds: seven days.
const SIMILAR_MS: i64 = 7 * 24 * 3_600_000;

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
        server_key(Some(reply.server_key.clone()))?;
        self.store.set_meta(&[
            ("person", &reply.person),
            ("street", &reply.street),
            ("server", &server),
            ("token", &reply.token),
            ("epoch", &reply.epoch),
            ("server_key", &reply.server_key),
            ("directory", &reply.directory),
            ("directory_version", &directory.version.cast_signed()),
            ("contact_position", &0i64),
            ("contact_server_ms", &reply.server_ms),
            ("contact_boot", &sent_at.boot.0),
            ("contact_mono_ms", &sent_at.mono_ms.cast_signed()),
        ])?;
        self.directory = Some(Arc::new(directory));
        self.owner = owner(&self.store)?;
        Ok(())
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
        capture(&directory, &action, claim, &state, &history)?;
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
        self.store.commit(&sealed, &document, &document.fold())?;
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
        Ok(capture(&directory, &action, claim, &state, &history)?)
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
        let (Ok(category), Ok(position)) =
            (text(fact::CATEGORY).parse(), text(fact::POSITION).parse())
        else {
            return Ok(Vec::new());
        };
        let reading_ms = Claim::at(now, self.store.contact()?).reading_ms();
        let since_ms = reading_ms.saturating_sub(SIMILAR_MS);
        Ok(self.store.similar(category, &position, since_ms)?)
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
        let request = plan(&progress, &outbox, &self.app);
        let going = outbox.iter().take(request.push.len());
        let sent = going.map(|queued| queued.hash).collect();
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
        let key = server_key(self.store.meta("server_key")?)?;
        let known = Known {
            epoch: &outgoing.epoch,
            head: self.store.head()?,
            key: key.as_ref(),
        };
        let settlement = settle(&reply, &outgoing.sent, known)?;
        let head = match (settlement.contradiction, settlement.head) {
            (None, Some(newest)) => Some(newest.head),
            _ => known.head.filter(|_| !settlement.offer_again),
        };
        let contact = crate::domain::time::LastContact {
            position: head.map_or(settlement.cursor, |head| head.position),
            head: head.map(|head| head.mark()),
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
            self.directory = Some(Arc::new(directory));
        }
        let Applied {
            accepted,
            troubles,
            pulled,
            ..
        } = self.store.apply(&settlement, contact)?;
        let unsent = self.store.counts()?.outbox > 0;
        // An envelope that the server did not name would be sent for ever:
        // only progress asks for another exchange.
        let progressed = accepted + troubles.len() + pulled > 0;
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

/// The key that the phone was enrolled with; `None` if it knows none.
fn server_key(bytes: Option<Vec<u8>>) -> Result<Option<VerifyingKey>, DeviceError> {
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let key = <[u8; 32]>::try_from(bytes).ok();
    let key = key.and_then(|key| VerifyingKey::from_bytes(&key).ok());
    let key = key.ok_or(SettleError::Malformed("the server's key"))?;
    Ok(Some(key))
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
