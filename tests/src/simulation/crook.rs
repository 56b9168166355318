//! The malicious phone: enrolled like any other, its key taken out of it, and
//! from then on whatever one can say with a key and a session. It forges, lies,
//! repeats, turns round, speaks twice under one number, and speaks of kinds that
//! nobody knows.

use ed25519_dalek::SigningKey;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::domain::action::{Action, Body, EscalationCause, Facts, RecordKind, Value};
use shaodao_core::domain::ids::{EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::reason::Reason;
use shaodao_core::domain::time::{Anchor, Claim};
use shaodao_core::envelope::{self, Sealed};
use shaodao_core::sync::wire::{Judgement, Standing, SyncReply};

use super::cast::PARTIES;
use super::ledger::Deed;
use super::{Simulation, words};
use crate::mutants::{AtMost, Forge, hash_of};
use crate::world::World;

/// The malicious phone.
pub struct Crook {
    /// What the phone is called.
    name: &'static str,
    forge: Forge,
    /// What it has sent, to be sent again.
    sent: Vec<(Vec<u8>, Option<Judgement>)>,
}

impl Crook {
    /// Takes the key out of an enrolled phone.
    pub fn new(world: &mut World, name: &'static str, grid: &str) -> Self {
        let seed = world.seed;
        let device = &world.of(name).device;
        let secret: Option<[u8; 32]> = device.store().meta("device_key").expect("reads");
        let key = SigningKey::from_bytes(&secret.expect("a key"));
        let rng = StdRng::seed_from_u64(seed ^ 0x6372_6f6f);
        Self {
            name,
            forge: Forge::new(rng, key, device.id(), name, grid),
            sent: Vec::new(),
        }
    }
}

impl Simulation {
    /// The malicious phone does something.
    pub(super) fn mischief(&mut self) {
        if self.world.is_doomed() {
            self.world.bury_server();
        }
        match self.rng.random_range(0..8u32) {
            0..3 => (0..3).for_each(|_| self.send_a_mutant()),
            3..6 => self.meddle(),
            6 => self.send_again(),
            _ => self.speak_of_the_future(),
        }
    }

    /// A forged envelope; what may become of it at most is known.
    fn send_a_mutant(&mut self) {
        let mutant = self.crook.forge.mutant();
        let judgement = self.send(&mutant.bytes);
        let standing = judgement.as_ref().map(|it| it.standing);
        assert!(
            mutant.check(standing),
            "{} became {judgement:?} and may be {:?} at most",
            mutant.how,
            mutant.at_most
        );
        self.count(format!("mutant {}", mutant.how));
        if mutant.at_most != AtMost::Refused {
            self.write_down(&mutant.bytes);
        }
    }

    /// Something said of a record that the phone knows, true in form, with
    /// whatever time suits.
    fn meddle(&mut self) {
        let heads = self.world.of(self.crook.name).device.store().heads();
        let heads = heads.expect("heads");
        if heads.is_empty() {
            return;
        }
        let record = heads[self.rng.random_range(0..heads.len())].0;
        let device = &self.world.of(self.crook.name).device;
        let derived = device.derived(record).expect("is here");
        let (kind, seen) = (derived.document.kind(), derived.history.newest());
        let body = self.anything(kind, record);
        let now_ms = self.world.now_ms();
        let lie_ms = [0, -86_400_000, 86_400_000][self.rng.random_range(0..3usize)];
        let claim = Claim {
            wall_ms: now_ms + lie_ms,
            anchor: self.rng.random_bool(0.5).then_some(Anchor {
                position: 1,
                head: None,
                server_ms: now_ms + lie_ms,
                age_ms: Some(0),
            }),
            ..self.crook.forge.claim()
        };
        let action = Action {
            kind,
            record,
            person: PersonId::from(self.crook.name),
            facts: Facts::new(),
            body,
        };
        let sealed = self.crook.forge.speak(action, seen, claim);
        let judgement = self.send(&sealed.bytes);
        let judgement = judgement.expect("an envelope like any other");
        self.count(format!("meddled, {}", judgement.standing.word()));
        self.write_down(&sealed.bytes);
    }

    fn anything(&mut self, kind: RecordKind, record: RecordId) -> Body {
        let text = "说明".to_owned();
        let party = PARTIES[self.rng.random_range(0..PARTIES.len())].to_owned();
        match (kind, self.rng.random_range(0..4u32)) {
            (RecordKind::Whistle, 0) => Body::Escalate {
                cause: EscalationCause::Asked,
                into: RecordId([7; 16]),
                round: 1,
            },
            (RecordKind::Whistle, 1) => Body::Excuse {
                party,
                reason: text,
            },
            (RecordKind::Finding, 0) => Body::Note { text },
            _ => words::blind(record, kind, &mut self.rng).body,
        }
    }

    /// Something that it, or somebody else, has said before.
    fn send_again(&mut self) {
        let own = !self.crook.sent.is_empty() && self.rng.random_bool(0.5);
        if own {
            let nth = self.rng.random_range(0..self.crook.sent.len());
            let (bytes, before) = self.crook.sent[nth].clone();
            let Some(before) = before else { return };
            let again = self.send_silently(&bytes).expect("a verdict again");
            // What waited, and what a person looked at, has moved on.
            let moves = [Standing::Waiting, Standing::Quarantined].contains(&before.standing);
            assert!(
                moves || again.standing == before.standing,
                "said again, {before:?} became {again:?}"
            );
            self.count("said again");
            return;
        }
        let stored = self.world.stored();
        if stored.is_empty() {
            return;
        }
        let (before, bytes) = stored[self.rng.random_range(0..stored.len())].clone();
        let again = self.send_silently(&bytes).expect("a verdict");
        assert_eq!(again.standing, before.standing, "replayed");
        assert_eq!(again.received_at_ms, before.received_at_ms, "replayed");
        self.count("replayed");
    }

    /// What the app of next year says.
    fn speak_of_the_future(&mut self) {
        let body = Body::Unknown {
            kind: "drone_survey".to_owned(),
            fields: [(1, Value::Text("航拍".to_owned()))].into(),
        };
        let action = Action {
            kind: RecordKind::Finding,
            record: RecordId(self.rng.random()),
            person: PersonId::from(self.crook.name),
            facts: Facts::new(),
            body,
        };
        let claim = self.crook.forge.claim();
        let sealed = self.crook.forge.speak(action, Vec::new(), claim);
        let judgement = self.send(&sealed.bytes).expect("an envelope");
        assert_eq!(judgement.standing, Standing::Quarantined);
        assert_eq!(judgement.reason, Some(Reason::NeedsNewerApp));
        self.count("of the future");
        self.write_down(&sealed.bytes);
    }

    fn send(&mut self, bytes: &[u8]) -> Option<Judgement> {
        let judgement = self.send_silently(bytes);
        self.crook.sent.push((bytes.to_vec(), judgement.clone()));
        judgement
    }

    /// Sends until there is an answer; every refusal has a reason that can be
    /// read.
    fn send_silently(&mut self, bytes: &[u8]) -> Option<Judgement> {
        let reply = self.push(bytes.to_vec());
        for unreadable in &reply.unreadable {
            let reason = Reason::from_code(&unreadable.reason);
            readable(reason.expect("a reason"));
        }
        let hash = hash_of(bytes)?;
        let mut verdicts = reply.verdicts.iter().filter_map(Judgement::from_wire);
        let judgement = verdicts.find(|it| it.hash == hash)?;
        if judgement.standing != Standing::Accepted {
            readable(judgement.reason.expect("a reason"));
        }
        Some(judgement)
    }

    fn push(&mut self, bytes: Vec<u8>) -> SyncReply {
        // A session that has run out is opened again by the phone's own sync.
        for _ in 0..3 {
            let reply = self.world.push_bytes(self.crook.name, vec![bytes.clone()]);
            if let Some(reply) = reply {
                return reply;
            }
            self.world.renew_session(self.crook.name);
        }
        panic!("the server does not answer");
    }

    fn write_down(&mut self, bytes: &[u8]) {
        let sealed: Sealed = envelope::open(bytes).expect("an envelope");
        let hash: EnvelopeHash = sealed.hash;
        if self.ledger.deeds.contains_key(&hash) {
            return;
        }
        self.ledger.note(Deed {
            phone: self.crook.name.to_owned(),
            person: self.crook.name.to_owned(),
            sealed,
            true_ms: self.world.now_ms(),
            clock_is_good: false,
            crooked: true,
        });
    }
}

/// A reason says something in both languages.
///
/// # Panics
/// It does not.
pub fn readable(reason: Reason) {
    let (zh, en) = (reason.zh(), reason.en());
    assert!(
        zh.ends_with('。') && zh.chars().count() > 4,
        "{reason:?}: {zh}"
    );
    assert!(en.ends_with('.') && en.len() > 12, "{reason:?}: {en}");
}
