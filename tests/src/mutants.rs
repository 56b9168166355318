//! Envelopes that a broken or dishonest phone could send, by the million: each
//! begins as an honest one and is changed in one of many ways, from one seed.
//! What must become of it is known from how it was made, not from the code that
//! judges it.
//!
//! 1. [`Forge::new`] holds an enrolled device's key and a stranger's.
//! 2. [`Forge::mutant`] makes the next one and says what it may become at most.
//! 3. [`Mutant::check`] compares that with the server's verdict.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use rand::RngExt;
use rand::rngs::StdRng;

use shaodao_core::domain::action::{Action, Body, Facts, RecordKind, Target, Value, fact};
use shaodao_core::domain::action::{EscalationCause, Party};
use shaodao_core::domain::ids::{BootId, DeviceId, EnvelopeHash, PersonId, RecordId};
use shaodao_core::domain::time::Claim;
use shaodao_core::envelope::value::{decode_map, encode_map};
use shaodao_core::envelope::{self, Chain, Envelope, Sealed};
use shaodao_core::sync::wire::Standing;

use crate::world::{MORNING_MS, finding_facts, order};

/// How far a mutant may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtMost {
    /// Not authentic: refused, or not even an envelope. Not stored.
    Refused,
    /// Authentic, so it is kept; never part of a shared history.
    SetAside,
    /// Waits for something that nobody has.
    Waiting,
    /// As good as any.
    Accepted,
}

/// A changed envelope.
pub struct Mutant {
    /// How it was made.
    pub how: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How far it may come.
    pub at_most: AtMost,
}

impl Mutant {
    /// Whether a verdict (`None`: unreadable) is what must become of it.
    pub fn check(&self, standing: Option<Standing>) -> bool {
        match self.at_most {
            AtMost::Refused => matches!(standing, None | Some(Standing::Refused)),
            AtMost::SetAside => standing == Some(Standing::Quarantined),
            AtMost::Waiting => standing == Some(Standing::Waiting),
            AtMost::Accepted => standing == Some(Standing::Accepted),
        }
    }
}

/// Makes mutants.
pub struct Forge {
    rng: StdRng,
    key: SigningKey,
    stranger: SigningKey,
    device: DeviceId,
    person: PersonId,
    grid: String,
    chain: Chain,
    /// The newest honest report, the ground that others build on.
    newest: Option<Sealed>,
}

impl Forge {
    /// Forges in the name of a grid member whose device has this key and has
    /// signed nothing yet.
    pub fn new(rng: StdRng, key: SigningKey, device: DeviceId, person: &str, grid: &str) -> Self {
        Self {
            rng,
            key,
            stranger: SigningKey::from_bytes(&[9; 32]),
            device,
            person: person.into(),
            grid: grid.to_owned(),
            chain: Chain::default(),
            newest: None,
        }
    }

    /// The next mutant.
    pub fn mutant(&mut self) -> Mutant {
        // One in eight is honest: a server that refuses everything is not right
        // either, and the others need something to build on.
        if self.newest.is_none() || self.rng.random_range(0..8u32) == 0 {
            return self.honest();
        }
        match self.rng.random_range(0..6u32) {
            0 | 1 => self.broken_bytes(),
            2 => self.swapped_fields(),
            3 => self.another_form(),
            4 => self.wrong_signer(),
            _ => self.signed_but_not_right(),
        }
    }

    /// Signs whatever is to be said, next in the device's chain.
    pub fn speak(&mut self, action: Action, seen: Vec<EnvelopeHash>, claim: Claim) -> Sealed {
        let envelope = Envelope {
            action,
            seen,
            claim,
            ..self.report()
        };
        let sealed = self.sealed(envelope);
        self.chain = Chain {
            length: sealed.envelope.dev_seq,
            newest: Some(sealed.hash),
        };
        sealed
    }

    /// A claim of a time as good as any.
    pub fn claim(&mut self) -> Claim {
        self.report().claim
    }

    /// An honest report, next in the device's chain.
    fn honest(&mut self) -> Mutant {
        let envelope = self.report();
        let sealed = self.sealed(envelope);
        self.chain = Chain {
            length: sealed.envelope.dev_seq,
            newest: Some(sealed.hash),
        };
        self.newest = Some(sealed.clone());
        Mutant {
            how: "honest",
            bytes: sealed.bytes,
            at_most: AtMost::Accepted,
        }
    }

    /// Bits flipped, bytes changed, cut, added, moved.
    fn broken_bytes(&mut self) -> Mutant {
        let envelope = self.report();
        let original = self.sealed(envelope).bytes;
        let mut bytes = original.clone();
        let at = self.rng.random_range(0..bytes.len());
        let how = match self.rng.random_range(0..7u32) {
            0 => {
                bytes[at] ^= 1 << self.rng.random_range(0..8u32);
                "a bit flipped"
            }
            1 => {
                for _ in 0..self.rng.random_range(2..12u32) {
                    let at = self.rng.random_range(0..bytes.len());
                    bytes[at] = self.rng.random();
                }
                "bytes overwritten"
            }
            2 => {
                bytes.truncate(at);
                "cut"
            }
            3 => {
                bytes.insert(at, self.rng.random());
                "a byte too many"
            }
            4 => {
                bytes.remove(at);
                "a byte too few"
            }
            5 => {
                // A head of CBOR that claims far too much.
                let head = [0x5b, 0x7b, 0x9b, 0xbb][self.rng.random_range(0..4usize)];
                bytes.splice(
                    at..at,
                    [head, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                );
                "a lying length"
            }
            _ => {
                let other = self.rng.random_range(0..bytes.len());
                bytes.rotate_left(other.min(at));
                "moved around"
            }
        };
        self.unless_same(how, bytes, &original)
    }

    /// A field of the payload replaced, the old signature kept.
    fn swapped_fields(&mut self) -> Mutant {
        let envelope = self.report();
        let original = self.sealed(envelope).bytes;
        let (payload, signature) = apart(&original);
        let mut map = decode_map(&payload).unwrap_or_default();
        let key = self.rng.random_range(0..18u8);
        let value = match self.rng.random_range(0..6u32) {
            0 => Value::Int(self.rng.random()),
            1 => Value::Text("别人".to_owned()),
            2 => Value::Bytes(vec![self.rng.random(); 16]),
            3 => Value::List(Vec::new()),
            4 => Value::Bool(true),
            _ => {
                let other = self.rng.random_range(0..18u8);
                map.get(&other).cloned().unwrap_or(Value::Int(0))
            }
        };
        map.insert(key, value);
        let bytes = together(&encode_map(&map), &signature);
        self.unless_same("a field swapped", bytes, &original)
    }

    /// The same content in bytes that sealing would not produce, properly
    /// signed: there must be one form only.
    fn another_form(&mut self) -> Mutant {
        let envelope = self.report();
        let original = self.sealed(envelope).bytes;
        let (payload, _) = apart(&original);
        let (how, payload) = match self.rng.random_range(0..5u32) {
            // The map's head in two bytes instead of one.
            0 => {
                let head = [0xb8, payload[0] & 0x1f];
                ("a longer head", [&head[..], &payload[1..]].concat())
            }
            1 => {
                let open = [&[0xbf][..], &payload[1..], &[0xff]].concat();
                ("an open map", open)
            }
            2 => ("bytes after the end", [&payload[..], &[0x00]].concat()),
            // One entry more than the head says, as key 0 again.
            3 => {
                let more = [&[payload[0] + 1][..], &payload[1..], &[0x00, 0x01]].concat();
                ("a key twice", more)
            }
            _ => {
                let mut map = decode_map(&payload).unwrap_or_default();
                map.insert(self.rng.random_range(18..40u8), Value::Int(1));
                ("a field that does not exist", encode_map(&map))
            }
        };
        let signature = signature(&self.key, &payload);
        let bytes = together(&payload, &signature);
        self.unless_same(how, bytes, &original)
    }

    /// Right in form, signed by or for somebody else.
    fn wrong_signer(&mut self) -> Mutant {
        let mut envelope = self.report();
        let choice = self.rng.random_range(0..6u32);
        let how = match choice {
            0 => "a stranger's signature",
            1 => {
                envelope.device = DeviceId(self.rng.random());
                "an unknown device"
            }
            2 => {
                envelope.action.person = "P01006-00".into();
                "in the secretary's name"
            }
            3 => {
                envelope.action.person = PersonId::server();
                "in the server's name"
            }
            4 => {
                envelope.street = "530102002".to_owned();
                "for another street"
            }
            _ => "half a signature",
        };
        let key = if choice == 0 {
            &self.stranger
        } else {
            &self.key
        };
        let mut bytes = sealed_by(envelope, key).bytes;
        if choice == 5 {
            let end = bytes.len();
            bytes[end - 32..].fill(0);
        }
        Mutant {
            how,
            bytes,
            at_most: AtMost::Refused,
        }
    }

    /// Authentic in every byte, and not right: what an enrolled phone with a
    /// changed app could say. Next in the chain, so that only what is wrong with
    /// it can be the reason.
    fn signed_but_not_right(&mut self) -> Mutant {
        let mut envelope = self.report();
        let (how, at_most) = match self.rng.random_range(0..11u32) {
            0 => {
                // Another report under a number that has been used.
                envelope.dev_seq = self.chain.length;
                envelope.prev = (envelope.dev_seq > 1).then(|| EnvelopeHash(self.rng.random()));
                return self.kept("a chain number twice", envelope, AtMost::SetAside, false);
            }
            1 => {
                envelope.seen = vec![EnvelopeHash(self.rng.random())];
                return self.kept("seen by nobody", envelope, AtMost::Waiting, true);
            }
            2 => self.as_on_newest(&mut envelope, "accepted by its reporter", Body::Accept),
            3 => self.as_on_newest(&mut envelope, "numbered by a phone", Body::Number),
            4 => {
                let body = Body::Decline {
                    reason: "不归我管".to_owned(),
                };
                self.as_on_newest(&mut envelope, "declined by its reporter", body)
            }
            5 => {
                envelope.action.facts = finding_facts("530102001001001", "E0403", "别人的网格");
                ("in another's grid", AtMost::SetAside)
            }
            6 => {
                envelope.action.facts = finding_facts(&self.grid, "E9999", "没有这个分类");
                ("of no category", AtMost::SetAside)
            }
            7 => {
                let title = "长".repeat(self.rng.random_range(200..5_000usize));
                envelope.action.facts = finding_facts(&self.grid, "E0403", &title);
                ("a title without end", AtMost::SetAside)
            }
            8 => {
                let findings = vec![envelope.action.record];
                let due_ms = MORNING_MS + 3_600_000;
                let order = order("530102001006", findings, &["person:P01006-02"], due_ms);
                envelope.action.kind = RecordKind::Whistle;
                envelope.action.body = Body::Issue(order);
                envelope.action.facts = title("我来吹哨");
                ("a whistle by a member", AtMost::SetAside)
            }
            9 => {
                envelope.action.kind = RecordKind::Whistle;
                envelope.action.facts = Facts::new();
                envelope.action.body = Body::Escalate {
                    cause: EscalationCause::DuePassed,
                    into: RecordId(self.rng.random()),
                    round: 1,
                };
                ("an escalation by a phone", AtMost::SetAside)
            }
            _ => {
                envelope.action.kind = RecordKind::Whistle;
                envelope.action.facts = Facts::new();
                let party = Party::parse("person:P01006-02");
                let target = |party| Target {
                    party,
                    lead: true,
                    mandatory: true,
                };
                envelope.action.body = Body::Summon {
                    targets: party.into_iter().map(target).collect(),
                };
                ("summoned to no whistle", AtMost::SetAside)
            }
        };
        self.kept(how, envelope, at_most, true)
    }

    /// Turns a report into an act on the newest honest one.
    fn as_on_newest(
        &self,
        envelope: &mut Envelope,
        how: &'static str,
        body: Body,
    ) -> (&'static str, AtMost) {
        if let Some(newest) = &self.newest {
            envelope.action.record = newest.envelope.action.record;
            envelope.seen = vec![newest.hash];
        }
        envelope.action.facts = match body {
            Body::Number => {
                let number = Value::Text("E0403-20250611-0001".to_owned());
                [(fact::NUMBER.to_owned(), number)].into()
            }
            _ => Facts::new(),
        };
        envelope.action.body = body;
        (how, AtMost::SetAside)
    }

    /// Seals what is authentic; it is part of the device's chain from then on if
    /// it has a number of its own.
    fn kept(
        &mut self,
        how: &'static str,
        envelope: Envelope,
        at_most: AtMost,
        in_chain: bool,
    ) -> Mutant {
        let sealed = self.sealed(envelope);
        if in_chain {
            self.chain = Chain {
                length: sealed.envelope.dev_seq,
                newest: Some(sealed.hash),
            };
        }
        Mutant {
            how,
            bytes: sealed.bytes,
            at_most,
        }
    }

    /// An honest report that has not been sealed.
    fn report(&mut self) -> Envelope {
        let title = format!("第{}处垃圾", self.rng.random_range(0..1_000_000u32));
        Envelope {
            street: "530102001".to_owned(),
            device: self.device,
            dev_seq: self.chain.length + 1,
            prev: self.chain.newest,
            action: Action {
                kind: RecordKind::Finding,
                record: RecordId(self.rng.random()),
                person: self.person.clone(),
                facts: finding_facts(&self.grid, "E0403", &title),
                body: Body::Report,
            },
            seen: Vec::new(),
            claim: Claim {
                wall_ms: MORNING_MS,
                boot: BootId([1; 8]),
                mono_ms: self.rng.random_range(0..1_000_000_000u64),
                anchor: None,
            },
            app: "mutants".to_owned(),
        }
    }

    fn sealed(&self, envelope: Envelope) -> Sealed {
        sealed_by(envelope, &self.key)
    }

    /// Chance may change nothing: then it is an honest report that was not sent
    /// before, and it is not sent now.
    fn unless_same(&mut self, how: &'static str, bytes: Vec<u8>, original: &[u8]) -> Mutant {
        if bytes == original {
            return self.wrong_signer();
        }
        Mutant {
            how,
            bytes,
            at_most: AtMost::Refused,
        }
    }
}

/// How many of each kind became what they had to.
pub type Tally = BTreeMap<&'static str, u64>;

fn title(text: &str) -> Facts {
    [(fact::TITLE.to_owned(), Value::Text(text.to_owned()))].into()
}

fn sealed_by(envelope: Envelope, key: &SigningKey) -> Sealed {
    match envelope.seal(key) {
        Ok(sealed) => sealed,
        Err(error) => panic!("a mutant does not fit: {error}"),
    }
}

/// A signature as sealing makes it: over the format's prefix and the payload.
fn signature(key: &SigningKey, payload: &[u8]) -> [u8; 64] {
    let signed = [b"shaodao envelope v1\0", payload].concat();
    key.sign(&signed).to_bytes()
}

fn apart(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut decoder = minicbor::Decoder::new(bytes);
    let parts = decoder.array().and_then(|_| {
        let payload = decoder.bytes()?.to_vec();
        Ok((payload, decoder.bytes()?.to_vec()))
    });
    match parts {
        Ok(parts) => parts,
        Err(error) => panic!("a sealed envelope does not come apart: {error}"),
    }
}

fn together(payload: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = minicbor::Encoder::new(&mut bytes);
    // Writing to a Vec cannot fail.
    let _ = encoder
        .array(2)
        .and_then(|encoder| encoder.bytes(payload))
        .and_then(|encoder| encoder.bytes(signature));
    bytes
}

/// The identity of an envelope's bytes, if they are one.
pub fn hash_of(bytes: &[u8]) -> Option<EnvelopeHash> {
    envelope::open(bytes).ok().map(|sealed| sealed.hash)
}
