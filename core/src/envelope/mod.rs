//! The envelope: an action, signed, as it travels and as it is kept.
//!
//! 1. [`body`] turns what happened into numbered fields and back.
//! 2. [`value`] is the one canonical CBOR form of those fields.
//! 3. [`Envelope::seal`] chains the action to the device's previous one
//!    ([`Chain`]), encodes and signs it.
//! 4. [`open`] takes foreign bytes apart again: bounded, and only in exactly
//!    the form that `seal` would have produced.
//!
//! What can go wrong: (4) bytes are truncated, oversized or not canonical:
//! [`OpenError`], in time and memory bounded by 32 KiB; the signature does not
//! verify: [`Sealed::verify`] says so; nothing else is decided here.
//!
//! The bytes outlive every process that wrote them: they are frozen by
//! `tests/golden`, and a change to them is a new `schema`.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use minicbor::{Decoder, Encoder};
use sha2::{Digest, Sha256};

use crate::domain::action::{Action, Facts, RecordKind, Value};
use crate::domain::ids::{BootId, DeviceId, EnvelopeHash, HeadMark, PersonId, RecordId};
use crate::domain::reason::Reason;
use crate::domain::time::{Anchor, Claim};
use crate::planted::{Part, left_out};

pub mod value;
// `value` first: the fields of a body are values.
pub mod body;

/// The most bytes an envelope may have.
pub const MAX_ENVELOPE_BYTES: usize = 32 * 1024;
/// The most envelopes of one record that an action may cite as seen.
pub const MAX_SEEN: usize = 64;

/// Ed25519 over SHA-256 identities. 2 is reserved for SM2 with SM3.
const ALG_ED25519: i64 = 1;
const SCHEMA: i64 = 1;
/// Keeps a signature made here from meaning anything elsewhere.
const DOMAIN: &[u8] = b"shaodao envelope v1\0";

/// An action in its context, ready to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Code of the street that this is addressed to.
    pub street: String,
    /// The device that signs.
    pub device: DeviceId,
    /// Its count of envelopes, from 1.
    pub dev_seq: u64,
    /// Its previous envelope; `None` for the first.
    pub prev: Option<EnvelopeHash>,
    /// What was done.
    pub action: Action,
    /// The newest envelopes of the record that its author knew, sorted.
    pub seen: Vec<EnvelopeHash>,
    /// When, as far as the device can tell.
    pub claim: Claim,
    /// The app build.
    pub app: String,
}

/// Where a device's chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// Envelopes sealed so far.
    pub length: u64,
    /// The newest of them.
    pub newest: Option<EnvelopeHash>,
}

/// An envelope with its signature and the bytes that carry both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// What the bytes say.
    pub envelope: Envelope,
    /// The identity: SHA-256 of the signed bytes.
    pub hash: EnvelopeHash,
    /// Canonical CBOR: an array of the signed bytes and the signature.
    pub bytes: Vec<u8>,
}

/// Foreign bytes that are not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// More than [`MAX_ENVELOPE_BYTES`].
    #[error("{0} bytes, at most {MAX_ENVELOPE_BYTES} are allowed")]
    TooLarge(usize),
    /// Not CBOR, or not the fields of an envelope.
    #[error("not an envelope: {0}")]
    Malformed(&'static str),
    /// Well-formed, but not the bytes that sealing produces.
    #[error("not in canonical form")]
    NotCanonical,
}

impl OpenError {
    /// The reason that a verdict gives.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge(_) => Reason::TooLarge,
            Self::Malformed(_) | Self::NotCanonical => Reason::NotCanonical,
        }
    }
}

impl Envelope {
    /// Encodes and signs.
    ///
    /// # Errors
    /// The encoded envelope would be larger than [`MAX_ENVELOPE_BYTES`].
    pub fn seal(self, key: &SigningKey) -> Result<Sealed, OpenError> {
        let payload = self.payload();
        let signature = match left_out(Part::Signing) {
            true => [0; 64],
            false => key.sign(&signed_bytes(&payload)).to_bytes(),
        };
        let bytes = wrap(&payload, &signature);
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(OpenError::TooLarge(bytes.len()));
        }
        Ok(Sealed {
            hash: hash_of(&payload),
            envelope: self,
            bytes,
        })
    }

    fn payload(&self) -> Vec<u8> {
        let action = &self.action;
        let (word, fields) = body::encode(&action.body);
        let mut map = BTreeMap::new();
        map.insert(0, Value::Int(ALG_ED25519));
        map.insert(1, Value::Text(self.street.clone()));
        map.insert(2, Value::Text(action.person.0.clone()));
        map.insert(3, Value::Bytes(self.device.0.to_vec()));
        map.insert(4, int(self.dev_seq));
        if let Some(prev) = self.prev {
            map.insert(5, Value::Bytes(prev.0.to_vec()));
        }
        map.insert(6, Value::Int(action.kind.code().into()));
        map.insert(7, Value::Bytes(action.record.0.to_vec()));
        map.insert(8, Value::Text(word));
        let facts = action
            .facts
            .iter()
            .map(|(name, value)| Value::List(vec![Value::Text(name.clone()), value.clone()]));
        map.insert(9, Value::List(facts.collect()));
        map.insert(10, value::fields_to_list(&fields));
        let seen = self.seen.iter().map(|hash| Value::Bytes(hash.0.to_vec()));
        map.insert(11, Value::List(seen.collect()));
        map.insert(12, Value::Int(self.claim.wall_ms));
        map.insert(13, Value::Bytes(self.claim.boot.0.to_vec()));
        map.insert(14, int(self.claim.mono_ms));
        if let Some(anchor) = self.claim.anchor {
            let mut parts = vec![int(anchor.position), Value::Int(anchor.server_ms)];
            parts.extend(anchor.age_ms.map(int));
            parts.extend(anchor.head.map(|head| Value::Bytes(head.0.to_vec())));
            map.insert(15, Value::List(parts));
        }
        map.insert(16, Value::Int(SCHEMA));
        map.insert(17, Value::Text(self.app.clone()));
        value::encode_map(&map)
    }
}

impl Sealed {
    /// Whether `key` signed these bytes; strict, so that no second signature
    /// for the same content is ever accepted from a weak key.
    pub fn verify(&self, key: &VerifyingKey) -> bool {
        let Ok((payload, signature)) = unwrap(&self.bytes) else {
            return false;
        };
        let signature = Signature::from_bytes(&signature);
        key.verify_strict(&signed_bytes(payload), &signature)
            .is_ok()
    }
}

/// Takes foreign bytes apart.
///
/// # Errors
/// Anything but the exact bytes that [`Envelope::seal`] produces. The signature
/// is *not* verified: that needs the device's key.
pub fn open(bytes: &[u8]) -> Result<Sealed, OpenError> {
    if bytes.len() > MAX_ENVELOPE_BYTES {
        return Err(OpenError::TooLarge(bytes.len()));
    }
    let (payload, signature) = unwrap(bytes)?;
    let envelope = read(payload)?;
    if envelope.payload() != payload || wrap(payload, &signature) != bytes {
        return Err(OpenError::NotCanonical);
    }
    Ok(Sealed {
        hash: hash_of(payload),
        envelope,
        bytes: bytes.to_vec(),
    })
}

fn read(payload: &[u8]) -> Result<Envelope, OpenError> {
    let mut map = value::decode_map(payload)?;
    let mut fields = Fields(&mut map);
    if fields.int(0)? != ALG_ED25519 {
        return Err(OpenError::Malformed("unknown signature algorithm"));
    }
    if fields.int(16)? != SCHEMA {
        return Err(OpenError::Malformed("unknown schema"));
    }
    let kind = u8::try_from(fields.int(6)?)
        .ok()
        .and_then(RecordKind::from_code)
        .ok_or(OpenError::Malformed("unknown record kind"))?;
    let word = fields.text(8)?;
    if word.is_empty() || word.len() > 40 {
        return Err(OpenError::Malformed("kind"));
    }
    let body_fields = value::list_to_fields(fields.list(10)?)?;
    let action = Action {
        kind,
        record: RecordId(fields.bytes(7)?),
        person: PersonId(bounded(fields.text(2)?, 40, "person")?),
        facts: facts(fields.list(9)?)?,
        body: body::decode(&word, body_fields),
    };
    let seen = fields.list(11)?;
    if seen.len() > MAX_SEEN {
        return Err(OpenError::Malformed("seen"));
    }
    let seen = seen
        .into_iter()
        .map(|value| match value {
            Value::Bytes(bytes) => EnvelopeHash::from_slice(&bytes),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(OpenError::Malformed("seen"))?;
    if !seen.is_sorted_by(|a, b| a < b) {
        return Err(OpenError::NotCanonical);
    }
    let prev = match fields.0.contains_key(&5) {
        true => Some(EnvelopeHash(fields.bytes(5)?)),
        false => None,
    };
    let dev_seq = fields.unsigned(4)?;
    if dev_seq == 0 || (dev_seq == 1) != prev.is_none() {
        return Err(OpenError::Malformed("chain"));
    }
    let anchor = match fields.0.remove(&15) {
        None => None,
        Some(value) => Some(read_anchor(value).ok_or(OpenError::Malformed("anchor"))?),
    };
    Ok(Envelope {
        street: bounded(fields.text(1)?, 12, "street")?,
        device: DeviceId(fields.bytes(3)?),
        dev_seq,
        prev,
        action,
        seen,
        claim: Claim {
            wall_ms: fields.int(12)?,
            boot: BootId(fields.bytes(13)?),
            mono_ms: fields.unsigned(14)?,
            anchor,
        },
        app: bounded(fields.text(17)?, 40, "app")?,
    })
}

fn facts(list: Vec<Value>) -> Result<Facts, OpenError> {
    const BAD: OpenError = OpenError::Malformed("facts");
    let mut facts = Facts::new();
    for entry in list {
        let Value::List(pair) = entry else {
            return Err(BAD);
        };
        let Ok([Value::Text(name), value]) = <[Value; 2]>::try_from(pair) else {
            return Err(BAD);
        };
        let scalar = !matches!(value, Value::List(_));
        if name.is_empty() || name.len() > 40 || !scalar || facts.insert(name, value).is_some() {
            return Err(BAD);
        }
    }
    Ok(facts)
}

fn read_anchor(value: Value) -> Option<Anchor> {
    let Value::List(parts) = value else {
        return None;
    };
    let (position, server_ms, rest) = match parts.as_slice() {
        [Value::Int(position), Value::Int(server_ms), rest @ ..] => (*position, *server_ms, rest),
        _ => return None,
    };
    let (age_ms, head) = match rest {
        [] => (None, None),
        [Value::Int(age)] => (Some(*age), None),
        [Value::Bytes(head)] => (None, Some(head)),
        [Value::Int(age), Value::Bytes(head)] => (Some(*age), Some(head)),
        _ => return None,
    };
    Some(Anchor {
        position: u64::try_from(position).ok()?,
        head: match head {
            Some(head) => Some(HeadMark::from_slice(head)?),
            None => None,
        },
        server_ms,
        age_ms: match age_ms {
            Some(age) => Some(u64::try_from(age).ok()?),
            None => None,
        },
    })
}

fn bounded(text: String, max: usize, name: &'static str) -> Result<String, OpenError> {
    match text.len() {
        length if length <= max => Ok(text),
        _ => Err(OpenError::Malformed(name)),
    }
}

fn int(number: u64) -> Value {
    // Counters and clocks stay far below 2^63; a phone that claims more is
    // read as claiming the most.
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    [DOMAIN, payload].concat()
}

fn hash_of(payload: &[u8]) -> EnvelopeHash {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(payload);
    EnvelopeHash(hasher.finalize().into())
}

fn wrap(payload: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 72);
    let mut encoder = Encoder::new(&mut bytes);
    // Writing to a Vec cannot fail.
    let _ = encoder
        .array(2)
        .and_then(|encoder| encoder.bytes(payload))
        .and_then(|encoder| encoder.bytes(signature));
    bytes
}

fn unwrap(bytes: &[u8]) -> Result<(&[u8], [u8; 64]), OpenError> {
    const BAD: OpenError = OpenError::Malformed("outer array");
    let mut decoder = Decoder::new(bytes);
    if decoder.array().map_err(|_| BAD)? != Some(2) {
        return Err(BAD);
    }
    let payload = decoder.bytes().map_err(|_| BAD)?;
    let signature = decoder.bytes().map_err(|_| BAD)?;
    let signature = signature.try_into().map_err(|_| BAD)?;
    match decoder.position() == bytes.len() {
        true => Ok((payload, signature)),
        false => Err(BAD),
    }
}

/// Takes typed values out of the map of an envelope.
struct Fields<'a>(&'a mut BTreeMap<u8, Value>);

impl Fields<'_> {
    fn int(&mut self, key: u8) -> Result<i64, OpenError> {
        match self.0.remove(&key) {
            Some(Value::Int(number)) => Ok(number),
            _ => Err(OpenError::Malformed("integer expected")),
        }
    }

    fn unsigned(&mut self, key: u8) -> Result<u64, OpenError> {
        u64::try_from(self.int(key)?).map_err(|_| OpenError::Malformed("negative number"))
    }

    fn text(&mut self, key: u8) -> Result<String, OpenError> {
        match self.0.remove(&key) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(OpenError::Malformed("text expected")),
        }
    }

    fn bytes<const N: usize>(&mut self, key: u8) -> Result<[u8; N], OpenError> {
        match self.0.remove(&key) {
            Some(Value::Bytes(bytes)) => bytes.try_into().ok(),
            _ => None,
        }
        .ok_or(OpenError::Malformed("bytes expected"))
    }

    fn list(&mut self, key: u8) -> Result<Vec<Value>, OpenError> {
        match self.0.remove(&key) {
            Some(Value::List(list)) => Ok(list),
            _ => Err(OpenError::Malformed("list expected")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::{Body, fact};

    fn sealed() -> (Sealed, SigningKey) {
        let key = SigningKey::from_bytes(&[3; 32]);
        let envelope = Envelope {
            street: "530102001".into(),
            device: DeviceId([1; 16]),
            dev_seq: 2,
            prev: Some(EnvelopeHash([9; 32])),
            action: Action {
                kind: RecordKind::Finding,
                record: RecordId([2; 16]),
                person: "P01006-03".into(),
                facts: [(fact::TITLE.to_owned(), Value::Text("井盖破损".into()))].into(),
                body: Body::Report,
            },
            seen: vec![EnvelopeHash([4; 32]), EnvelopeHash([5; 32])],
            claim: Claim {
                wall_ms: 1_750_000_000_000,
                boot: BootId([6; 8]),
                mono_ms: 77,
                anchor: Some(Anchor {
                    position: 12,
                    head: Some(HeadMark([7; 16])),
                    server_ms: 1_749_999_999_000,
                    age_ms: Some(1_000),
                }),
            },
            app: "0.1.0".into(),
        };
        (envelope.seal(&key).expect("small enough"), key)
    }

    #[test]
    fn what_was_sealed_opens_to_the_same_and_verifies() {
        let (sealed, key) = sealed();
        assert_eq!(open(&sealed.bytes), Ok(sealed.clone()));
        assert!(sealed.verify(&key.verifying_key()));
        assert!(!sealed.verify(&SigningKey::from_bytes(&[8; 32]).verifying_key()));
    }

    #[test]
    fn no_cut_and_no_flipped_bit_passes_for_the_original() {
        let (sealed, key) = sealed();
        for end in 0..sealed.bytes.len() {
            assert!(open(&sealed.bytes[..end]).is_err(), "cut at {end}");
        }
        for bit in 0..sealed.bytes.len() * 8 {
            let mut bytes = sealed.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let forged = open(&bytes).is_ok_and(|other| other.verify(&key.verifying_key()));
            assert!(!forged, "bit {bit}");
        }
    }
}
