//! Judging: one verdict for each envelope, in this order.
//!
//! 1. [`check`] (outside the writer): size, canonical form, device, person,
//!    street, signature. What fails is refused: counted, not stored.
//! 2. [`Engine::judge_all`] (inside): known already? chain number used twice? its
//!    device active? every cited envelope here? Permitted and possible on what
//!    its author had seen?
//! 3. The same `write` as on the phone; the fold says whether it still has an
//!    effect (accepted) or came too late (a trace).
//! 4. Stored with its rows and published; its verdict takes its place in the
//!    chain ([`crate::audit`]).
//! 5. Whatever waited for it is judged in turn.
//! 6. When all of a push is judged, the consequences are drawn: numbers,
//!    escalations, stand-downs.
//!
//! What can go wrong: (2) a chain number used twice, or a device that was
//! suspended or revoked: quarantined until a person has looked; a citation that
//! nobody knows: it waits as long as the policy says, and blocks nobody else;
//! not permitted:
//! quarantined whole, its author is told why; (4) the database fails: the
//! savepoint is rolled back, and the phone sends it again.

use rusqlite::{OptionalExtension, params};

use shaodao_core::document::{Document, Member, WriteError};
use shaodao_core::domain::action::{Action, Body};
use shaodao_core::domain::directory::{DeviceState, Directory};
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::record::{RecordState, capture};
use shaodao_core::domain::time::{Anchor, Claim, Doubt, Published};
use shaodao_core::envelope::{self, Chain, Envelope, Sealed};
use shaodao_core::planted::{Bug, Part, active, left_out};
use shaodao_core::sync::settle::{Cited, effective_seen};
use shaodao_core::sync::wire::{Judgement, Standing};

use crate::db::{self, DbError, rows};
use crate::devices;
use crate::engine::{Engine, EngineError};

/// The key of a device and whose it is, as far as judging needs it.
#[derive(Debug, Clone)]
pub struct KnownDevice {
    /// Verifies its signatures.
    pub key: ed25519_dalek::VerifyingKey,
    /// Whose it is.
    pub person: PersonId,
}

/// What does not count when something is judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leniency {
    /// A person has looked at it: neither the state of its device nor a doubt
    /// about its chain counts.
    pub looked_at: bool,
    /// It has waited long enough: what has not arrived is left out.
    pub without_missing: bool,
}

/// Bytes that a phone pushed, after the checks that need no database writer.
#[derive(Debug, Clone)]
pub enum Checked {
    /// Authentic: to be judged.
    Authentic(Box<Sealed>),
    /// An envelope, but not authentic: refused.
    Refused(EnvelopeHash, Reason),
    /// Not an envelope.
    Unreadable(Reason),
}

/// An authentic envelope, to be judged.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The envelope.
    pub sealed: Sealed,
    /// When this server received it before it lost it, milliseconds: its own
    /// receipt, which a phone has shown.
    pub received_before_ms: Option<i64>,
}

/// Checks pushed bytes: form, device, person, street and signature.
pub fn check(
    bytes: &[u8],
    street: &str,
    mut device: impl FnMut(DeviceId) -> Option<KnownDevice>,
) -> Checked {
    let sealed = match envelope::open(bytes) {
        Ok(sealed) => sealed,
        Err(error) => return Checked::Unreadable(error.reason()),
    };
    let refused = |reason| Checked::Refused(sealed.hash, reason);
    let Some(known) = device(sealed.envelope.device) else {
        return refused(Reason::UnknownDevice);
    };
    if sealed.envelope.street != street {
        return refused(Reason::WrongStreet);
    }
    if sealed.envelope.action.person != known.person && !active(Bug::TrustBy) {
        return refused(Reason::WrongPerson);
    }
    let believed = active(Bug::TrustSignature) || left_out(Part::Signing);
    match believed || sealed.verify(&known.key) {
        true => Checked::Authentic(Box::new(sealed)),
        false => refused(Reason::BadSignature),
    }
}

impl Engine {
    /// Judges authentic envelopes, one after the other, and then does
    /// everything that follows from what they have become together: a number
    /// that arrives behind its acceptance is not given a second time.
    ///
    /// # Errors
    /// The database could not; nothing was done.
    pub fn judge_all(&mut self, arrived: &[Arrived]) -> Result<Vec<Judgement>, EngineError> {
        let judgements = arrived
            .iter()
            .map(|it| self.judge(&it.sealed, it.received_before_ms))
            .collect::<Result<_, _>>()?;
        self.draw_consequences()?;
        Ok(judgements)
    }

    fn judge(
        &mut self,
        sealed: &Sealed,
        received_before_ms: Option<i64>,
    ) -> Result<Judgement, EngineError> {
        let stored = rows::envelope(&self.db, &sealed.hash)?;
        if let Some(mut stored) = stored.filter(|_| !active(Bug::NoDedupe)) {
            if active(Bug::AgainMeansAccepted) {
                stored.judgement.standing = Standing::Accepted;
            }
            return Ok(stored.judgement);
        }
        self.check_citation(sealed)?;
        let now_ms = self.believed_ms();
        let received_at_ms = received_before_ms.map_or(now_ms, |before| before.min(now_ms));
        self.compare_anchor(sealed, received_at_ms)?;
        self.link(sealed)?;
        let judgement = self.judge_at(sealed, None, received_at_ms, Leniency::default())?;
        if judgement.standing.is_shared() || judgement.standing == Standing::Quarantined {
            self.judge_waiting(sealed.hash)?;
        }
        Ok(judgement)
    }

    /// Signs an action of the server itself and judges it like any other.
    pub(crate) fn act(&mut self, action: Action) -> Result<Judgement, EngineError> {
        let seen = self.with_document(action.kind, action.record, |_, document| {
            Ok(document.history().newest())
        })?;
        let now_ms = self.believed_ms();
        let length: i64 = db::meta(&self.db, "chain_length")?.unwrap_or(0);
        let newest: Option<[u8; 32]> = db::meta(&self.db, "chain_newest")?;
        let chain = Chain {
            length: length.cast_unsigned(),
            newest: newest.map(EnvelopeHash),
        };
        let envelope = Envelope {
            street: self.directory.street.clone(),
            device: self.device,
            dev_seq: chain.length + 1,
            prev: chain.newest,
            action,
            seen,
            claim: Claim {
                wall_ms: now_ms,
                boot: self.boot,
                mono_ms: 0,
                anchor: Some(Anchor {
                    position: self.feed_head()?,
                    head: None,
                    server_ms: now_ms,
                    age_ms: Some(0),
                }),
            },
            app: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let sealed = envelope
            .seal(&self.key)
            .map_err(|_| EngineError::Malformed("an action of the server is too large"))?;
        db::set_meta(
            &self.db,
            "chain_length",
            &sealed.envelope.dev_seq.cast_signed(),
        )?;
        db::set_meta(&self.db, "chain_newest", &sealed.hash.0)?;
        self.judge(&sealed, None)
    }

    /// Writes down an anchor that does not fit what this server published, for
    /// a person to look at. The verdict does not depend on it: a server whose
    /// clock was wrong, or that was restored, contradicts honest phones.
    fn compare_anchor(&self, sealed: &Sealed, received_at_ms: i64) -> Result<(), EngineError> {
        let Some(anchor) = sealed.envelope.claim.anchor else {
            return Ok(());
        };
        let published = Published {
            head: self.feed_head()?,
            at_ms: self.published_at_ms(anchor.position)?,
        };
        let doubt = anchor.doubt(&published, received_at_ms);
        // What was never published is the business of the cited head.
        if let Some(doubt) = doubt.filter(|doubt| *doubt != Doubt::NeverPublished) {
            let who = &sealed.envelope.action.person.0;
            let about = sealed.hash.to_string();
            db::audit(&self.db, received_at_ms, doubt.word(), who, &about)?;
        }
        Ok(())
    }

    /// Judges an envelope that is not stored yet, or (`stored`) one that has
    /// been waiting or was set aside.
    pub(crate) fn judge_at(
        &mut self,
        sealed: &Sealed,
        stored: Option<i64>,
        received_at_ms: i64,
        leniency: Leniency,
    ) -> Result<Judgement, EngineError> {
        let envelope = &sealed.envelope;
        let action = &envelope.action;
        let verdict = |standing, reason| Judgement {
            hash: sealed.hash,
            standing,
            reason,
            seen: None,
            received_at_ms,
        };
        if !leniency.looked_at
            && let Some(reason) = self.doubt(sealed)?
        {
            let doubtful = verdict(Standing::Quarantined, Some(reason));
            return self.set_aside(sealed, stored, doubtful);
        }
        let without_missing = leniency.without_missing;
        let seen = match self.effective_seen(&envelope.seen, action.record, without_missing)? {
            Ok(seen) => seen,
            Err(missing) => {
                let waiting = verdict(Standing::Waiting, Some(Reason::WaitingForOthers));
                let judgement = self.set_aside(sealed, stored, waiting)?;
                self.wait_for(&sealed.hash, &missing)?;
                return Ok(judgement);
            }
        };
        let directory = self.directory.clone();
        let member = Member {
            sealed: sealed.clone(),
            seen: seen.clone(),
            received_at_ms: Some(received_at_ms),
        };
        let judgement = self.with_document(action.kind, action.record, |engine, document| {
            let possible = match left_out(Part::Judging) {
                true => Ok(()),
                false => engine.possible(&directory, envelope, &seen, document)?,
            };
            let reason = match possible {
                Ok(()) => match document.write(member) {
                    Ok(()) => None,
                    Err(WriteError::Full) => Some(Reason::RecordFull),
                    Err(error) => return Err(DbError::from(error).into()),
                },
                Err(reason) => Some(reason),
            };
            if let Some(reason) = reason {
                let quarantined = verdict(Standing::Quarantined, Some(reason));
                return engine.set_aside(sealed, stored, quarantined);
            }
            let state = document.fold();
            let trace = state.trace_of(&sealed.hash);
            let standing = match trace {
                None => Standing::Accepted,
                Some(_) => Standing::Late,
            };
            let judgement = Judgement {
                seen: (seen != envelope.seen).then_some(seen),
                ..verdict(standing, trace)
            };
            let record = rows::begin_record(&engine.db, action.kind, action.record)?;
            let id = engine.store(record, sealed, stored, &judgement)?;
            engine.project(record, document, &state)?;
            engine.publish(record, id, &state)?;
            engine.follow_evidence(record, &action.body, &state)?;
            Ok(judgement)
        })?;
        if judgement.standing == Standing::Accepted {
            self.accepted.push_back(sealed.clone());
        }
        Ok(judgement)
    }

    /// Nobody begins a record a second time but who began it: work that was
    /// salvaged is done again. Anybody else would write themselves into the
    /// history, and so into the audience, of a record whose id they have only
    /// read somewhere.
    fn must_not_be_anothers(
        &self,
        action: &Action,
        document: &Document,
    ) -> Result<Result<(), Reason>, EngineError> {
        if !matches!(action.body, Body::Report | Body::Issue(_)) {
            return Ok(Ok(()));
        }
        let state = document.fold();
        let begun_by = match &state {
            RecordState::Finding(finding) => finding.reporter.as_ref(),
            RecordState::Whistle(whistle) => whistle.blower.as_ref(),
        };
        let anothers = begun_by.is_some_and(|by| *by != action.person);
        Ok(
            match anothers || rows::is_of_other_kind(&self.db, action.kind, action.record)? {
                true => Err(Reason::AlreadyExists),
                false => Ok(()),
            },
        )
    }

    /// Whether an action was permitted and possible on what its author had seen.
    fn possible(
        &self,
        directory: &Directory,
        envelope: &Envelope,
        seen: &[EnvelopeHash],
        document: &Document,
    ) -> Result<Result<(), Reason>, EngineError> {
        let action = &envelope.action;
        let (then, history) = document.fold_as_of(seen).map_err(DbError::from)?;
        let device = DeviceState::Active;
        match capture(directory, device, action, envelope.claim, &then, &history) {
            Ok(()) => self.must_not_be_anothers(action, document),
            Err(refused) => Ok(Err(refused.reason)),
        }
    }

    /// Why an envelope must not count before a person has looked at it.
    fn doubt(&self, sealed: &Sealed) -> Result<Option<Reason>, EngineError> {
        let envelope = &sealed.envelope;
        if !active(Bug::IgnoreClones)
            && rows::is_cloned(&self.db, envelope.device, envelope.dev_seq, &sealed.hash)?
        {
            return Ok(Some(Reason::Cloned));
        }
        Ok(match devices::state_of(&self.db, envelope.device)? {
            Some(DeviceState::Active) => None,
            Some(_) if active(Bug::IgnoreRevocation) => None,
            Some(DeviceState::Suspended) => Some(Reason::DeviceSuspended),
            Some(DeviceState::Revoked) | None => Some(Reason::DeviceRevoked),
        })
    }

    /// Judges what has waited longer than the policy allows, without what has
    /// not arrived. Returns how many were judged.
    ///
    /// # Errors
    /// The database could not.
    pub fn give_up_waiting(&mut self) -> Result<usize, EngineError> {
        let before_ms = self.believed_ms() - self.directory.policy.waiting_ms;
        let waiting: Vec<i64> = {
            let mut statement = self.db.prepare_cached(
                "SELECT DISTINCT envelope.id FROM waiting
                 JOIN envelope ON envelope.id = waiting.envelope
                 WHERE envelope.standing = 4 AND envelope.received_at_ms <= ?1
                 ORDER BY envelope.id",
            )?;
            let rows = statement.query_map([before_ms], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for id in &waiting {
            let leniency = Leniency {
                without_missing: true,
                ..Leniency::default()
            };
            self.db
                .prepare_cached("DELETE FROM waiting WHERE envelope = ?1")?
                .execute([id])?;
            let hash = self.judge_stored(*id, leniency)?;
            if let Some(hash) = hash {
                self.judge_waiting(hash)?;
            }
        }
        self.draw_consequences()?;
        Ok(waiting.len())
    }

    /// Judges a stored envelope again and tells its author; `None` if it goes
    /// on waiting.
    fn judge_stored(
        &mut self,
        id: i64,
        leniency: Leniency,
    ) -> Result<Option<EnvelopeHash>, EngineError> {
        let (bytes, received_at_ms): (Vec<u8>, i64) = self.db.query_row(
            "SELECT bytes, received_at_ms FROM envelope WHERE id = ?1",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let sealed = envelope::open(&bytes).map_err(DbError::from)?;
        let judgement = self.judge_at(&sealed, Some(id), received_at_ms, leniency)?;
        if judgement.standing == Standing::Waiting {
            return Ok(None);
        }
        self.tell_author(id, &sealed)?;
        Ok(Some(sealed.hash))
    }

    /// Judges everything that waited for `hash`, and what waited for that.
    fn judge_waiting(&mut self, hash: EnvelopeHash) -> Result<(), EngineError> {
        let mut arrived = vec![hash];
        while let Some(hash) = arrived.pop() {
            for id in self.waiting_for(&hash)? {
                arrived.extend(self.judge_stored(id, Leniency::default())?);
            }
        }
        Ok(())
    }

    /// Stores an envelope that has no place in the shared history.
    fn set_aside(
        &mut self,
        sealed: &Sealed,
        stored: Option<i64>,
        judgement: Judgement,
    ) -> Result<Judgement, EngineError> {
        let action = &sealed.envelope.action;
        if active(Bug::DropQuarantine) && judgement.standing == Standing::Quarantined {
            return Ok(judgement);
        }
        let record = rows::ensure_record(&self.db, action.kind, action.record)?;
        let id = self.store(record, sealed, stored, &judgement)?;
        if judgement.standing == Standing::Quarantined {
            self.tell_person(id, sealed)?;
        }
        self.expect_evidence(record, sealed)?;
        self.note(id)?;
        Ok(judgement)
    }

    fn store(
        &mut self,
        record: i64,
        sealed: &Sealed,
        stored: Option<i64>,
        judgement: &Judgement,
    ) -> Result<i64, EngineError> {
        Ok(match stored {
            Some(id) => {
                rows::update_judgement(&self.db, id, judgement)?;
                id
            }
            None => rows::insert_envelope(&self.db, record, sealed, judgement)?,
        })
    }

    /// What was accepted of `seen`, or the first hash that nobody knows, unless
    /// those are to be left out.
    fn effective_seen(
        &self,
        seen: &[EnvelopeHash],
        record: RecordId,
        without_missing: bool,
    ) -> Result<Result<Vec<EnvelopeHash>, EnvelopeHash>, EngineError> {
        let mut failed = None;
        let effective = effective_seen(seen, |hash| match self.cited(hash, record) {
            Ok(Cited::Unknown) if without_missing || active(Bug::NothingWaits) => {
                Cited::SetAside(Vec::new())
            }
            Ok(cited) => cited,
            Err(error) => {
                failed = Some(error);
                Cited::Unknown
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(effective),
        }
    }

    fn cited(&self, hash: &EnvelopeHash, record: RecordId) -> Result<Cited, EngineError> {
        let mut statement = self.db.prepare_cached(
            "SELECT envelope.standing, envelope.bytes, record.record FROM envelope
             JOIN record ON record.id = envelope.record WHERE envelope.hash = ?1",
        )?;
        let found: Option<(u8, Vec<u8>, [u8; 16])> = statement
            .query_row([hash.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((standing, bytes, of)) = found else {
            return Ok(Cited::Unknown);
        };
        // A citation of another record means nothing here.
        if of != record.0 {
            return Ok(Cited::SetAside(Vec::new()));
        }
        Ok(match Standing::from_code(standing) {
            Some(standing) if standing.is_shared() => Cited::InHistory,
            Some(Standing::Waiting) => Cited::Unknown,
            _ => {
                let sealed = envelope::open(&bytes).map_err(DbError::from)?;
                Cited::SetAside(sealed.envelope.seen)
            }
        })
    }

    fn wait_for(&self, hash: &EnvelopeHash, missing: &EnvelopeHash) -> Result<(), EngineError> {
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO waiting (missing, envelope)
                 SELECT ?1, id FROM envelope WHERE hash = ?2",
            )?
            .execute(params![missing.0, hash.0])?;
        Ok(())
    }

    /// Takes the list of what waits for `hash`.
    fn waiting_for(&self, hash: &EnvelopeHash) -> Result<Vec<i64>, EngineError> {
        let mut statement = self
            .db
            .prepare_cached("DELETE FROM waiting WHERE missing = ?1 RETURNING envelope")?;
        let rows = statement.query_map([hash.0], |row| row.get(0))?;
        let mut waiting: Vec<i64> = rows.collect::<Result<_, _>>()?;
        waiting.sort_unstable();
        Ok(waiting)
    }
}
