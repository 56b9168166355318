//! Request and reply of `POST /v1/sync`, and their bytes: CBOR with integer
//! keys, compressed by zstd when that makes them smaller. Frozen by
//! `tests/golden`; a field may be added, never renumbered.
//!
//! Every decoder here reads foreign bytes. What it takes is bounded before
//! anything is believed: a compressed body is one zstd frame that says how large
//! it unpacks, which may not exceed [`MAX_REQUEST_BYTES`] for a request,
//! [`MAX_PLAIN_BYTES`] for a reply, and [`MAX_RATIO`] times its own size beyond
//! that of a request; and its shape is looked at before it is decoded: lists
//! have at most [`MAX_PUSHED`] or [`MAX_LIST`] entries, whatever they announce.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::edition::KeyChange;
use super::plan::PUSH_BUDGET_BYTES;
use super::shape;
use crate::domain::ids::EnvelopeHash;
use crate::domain::reason::Reason;

/// Largest body of a reply, bytes as they travel.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Largest body of a reply after decompression, bytes.
pub const MAX_PLAIN_BYTES: usize = 16 * 1024 * 1024;
/// Largest request, bytes, as it travels and after decompression.
pub const MAX_REQUEST_BYTES: usize = 768 * 1024;
/// No server may set its limit for requests below this, bytes: what an honest
/// phone sends at most, and some room.
pub const MIN_REQUEST_BYTES: usize = PUSH_BUDGET_BYTES + 64 * 1024;
/// Largest enrolment request, bytes, as it travels and after decompression.
pub const MAX_ENROL_BYTES: usize = 16 * 1024;
/// Most envelopes in a request, whatever a server's own limit is.
pub const MAX_PUSHED: usize = 4_096;
/// Most entries of any list in a reply: more than the smallest envelopes that
/// fit into one.
pub const MAX_LIST: usize = 65_536;
/// How many times its size a reply may unpack to, beyond [`MAX_REQUEST_BYTES`].
pub const MAX_RATIO: usize = 100;
/// A message as large as its limit may have an item of CBOR for each so many
/// bytes of it; honest ones need five or more.
const BYTES_AN_ITEM: usize = 4;
/// Bodies below this are not worth compressing, bytes.
const WORTH_COMPRESSING: usize = 256;
/// Fast level: the radio is slower than the processor, but not by much.
const ZSTD_LEVEL: i32 = 3;
/// The first bytes of every zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What a phone says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct SyncRequest {
    /// The server life that the cursor belongs to; empty on first contact.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub epoch: Vec<u8>,
    /// Feed position up to which the phone has everything meant for it.
    #[n(1)]
    pub cursor: u64,
    /// How many accepted envelopes it holds.
    #[n(2)]
    pub count: u64,
    /// Exclusive or of their hashes, 32 bytes.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub digest: Vec<u8>,
    /// Version of the directory that it holds; 0 for none.
    #[n(4)]
    pub directory: u64,
    /// Envelopes in causal order.
    #[n(5)]
    pub push: Vec<ByteVec>,
    /// Most bytes of envelopes that it wants in the reply.
    #[n(6)]
    pub budget: u32,
    /// The app build.
    #[n(7)]
    pub app: String,
    /// A digest over the audience keys that the phone's records came by; empty
    /// on first contact.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub audience: Vec<u8>,
    /// The newest head of the feed that the phone has verified, of the life in
    /// `epoch`; `None` before the first.
    #[n(9)]
    pub head: Option<CitedHead>,
    /// What an earlier life of the server said about envelopes of `push`.
    #[n(10)]
    pub receipts: Vec<Receipt>,
    /// How many envelopes wait on the phone, those of this request included;
    /// left out if none.
    #[n(16)]
    pub backlog: Option<u32>,
    /// Personal data that the server has not confirmed yet.
    #[n(20)]
    pub private: Vec<PrivateItem>,
    /// Position up to which the phone has all personal data meant for it.
    #[n(21)]
    pub private_cursor: u64,
    /// Keys of evidence that the server has not confirmed yet; left out if
    /// there are none.
    #[n(24)]
    pub evidence: Option<Vec<EvidenceKey>>,
    /// Position up to which the phone knows what became of evidence; left out
    /// at the beginning.
    #[n(25)]
    pub evidence_cursor: Option<u64>,
}

/// A head of the feed as a phone cites it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CitedHead {
    /// The position.
    #[n(0)]
    pub position: u64,
    /// The first 16 bytes of the hash up to there.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub mark: Vec<u8>,
}

/// The server's own word that it had received an envelope before it lost it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// Index in the request's `push`.
    #[n(0)]
    pub index: u32,
    /// When the server received it, milliseconds.
    #[n(1)]
    pub received_at_ms: i64,
    /// The server's authentication of hash and time, 16 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub tag: Vec<u8>,
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct SyncReply {
    /// The server's present life.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub epoch: Vec<u8>,
    /// The server's time, milliseconds.
    #[n(1)]
    pub server_ms: i64,
    /// One for each pushed envelope that could be read, and for earlier ones
    /// whose verdict has changed since.
    #[n(2)]
    pub verdicts: Vec<Verdict>,
    /// Envelopes that the phone has not got, in feed order.
    #[n(3)]
    pub items: Vec<Item>,
    /// The new cursor.
    #[n(4)]
    pub cursor: u64,
    /// There is more to pull at once.
    #[n(5)]
    pub more: bool,
    /// The directory, if the phone's is old: bytes of an
    /// [`Edition`](super::edition::Edition).
    #[n(6)]
    pub directory: Option<ByteVec>,
    /// The two sides do not hold the same: the phone starts over from position
    /// 0, keeping everything it has.
    #[n(7)]
    pub start_over: bool,
    /// Records that are no longer meant for this phone, 16 bytes each.
    #[n(8)]
    pub drops: Vec<ByteVec>,
    /// Digest over the audience keys that this reply was made for.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub audience: Vec<u8>,
    /// How many envelopes of the request were not envelopes at all, by their
    /// index in it, with the reason code.
    #[n(10)]
    pub unreadable: Vec<Unreadable>,
    /// The newest head of the feed, if it is not the one that the phone cited.
    #[n(11)]
    pub head: Option<FeedHead>,
    /// [`DeviceState::code`](crate::domain::directory::DeviceState::code) of the
    /// phone; left out while it is active.
    #[n(16)]
    pub device: Option<u8>,
    /// Changes of the server's key since the phone's edition of the directory,
    /// oldest first; left out if there are none.
    #[n(17)]
    pub key_changes: Option<Vec<KeyChange>>,
    /// What became of the same person's actions from another phone, where it
    /// was not acceptance; left out if there is nothing.
    #[n(18)]
    pub notices: Option<Vec<Notice>>,
    /// Personal data that the phone has not got.
    #[n(20)]
    pub private: Vec<PrivateItem>,
    /// The new position.
    #[n(21)]
    pub private_cursor: u64,
    /// Ids of pushed personal data that need not be sent again, 32 bytes each.
    #[n(22)]
    pub private_kept: Vec<ByteVec>,
    /// What became of evidence on this phone's records, as far as it is news to
    /// it; left out if there is none.
    #[n(24)]
    pub evidence: Option<Vec<EvidenceNews>>,
    /// The new position; left out if it is the one of the request.
    #[n(25)]
    pub evidence_cursor: Option<u64>,
    /// Ciphertext hashes of pushed keys that need not be sent again, 32 bytes
    /// each; left out if there are none.
    #[n(26)]
    pub evidence_kept: Option<Vec<ByteVec>>,
}

/// The key of a piece of evidence on its way to the server.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct EvidenceKey {
    /// The record that it is attached to, 16 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub record: Vec<u8>,
    /// SHA-256 of the ciphertext, 32 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
    /// The key, 32 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub key: Vec<u8>,
}

impl std::fmt::Debug for EvidenceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key belongs into no log.
        write!(f, "EvidenceKey({} bytes)", self.key.len())
    }
}

/// How far a piece of evidence has come. Said again, whole, whenever it has
/// come further.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct EvidenceNews {
    /// The record that it is attached to, 16 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub record: Vec<u8>,
    /// SHA-256 of the ciphertext, 32 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
    /// The key, 32 bytes; left out while the server has not got it.
    #[n(2)]
    pub key: Option<ByteVec>,
    /// When the server had all of it and its hashes were right, milliseconds;
    /// left out before.
    #[n(3)]
    pub arrived_at_ms: Option<i64>,
    /// Whether the server has delivered it, or a thumbnail of it, to another
    /// device than the one that brought it.
    #[n(4)]
    pub seen: bool,
}

impl std::fmt::Debug for EvidenceNews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key belongs into no log.
        write!(
            f,
            "EvidenceNews({:?}, key: {}, seen: {})",
            self.arrived_at_ms,
            self.key.is_some(),
            self.seen
        )
    }
}

/// Personal data on its way; its id is the SHA-256 of the ciphertext.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct PrivateItem {
    /// The finding that it belongs to, 16 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub record: Vec<u8>,
    /// Nonce and ciphertext.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub ciphertext: Vec<u8>,
    /// The key, 32 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub key: Vec<u8>,
}

impl std::fmt::Debug for PrivateItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the key nor the ciphertext belongs into a log.
        write!(f, "PrivateItem({} bytes)", self.ciphertext.len())
    }
}

/// An envelope of the same person from another of their phones, which has no
/// place in the shared history.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Notice {
    /// The canonical envelope.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub envelope: Vec<u8>,
    /// [`Standing::code`].
    #[n(1)]
    pub standing: u8,
    /// [`Reason::code`].
    #[n(2)]
    pub reason: Option<String>,
    /// When the server received it, milliseconds.
    #[n(3)]
    pub received_at_ms: i64,
}

/// The newest head of the feed, signed; see [`super::head`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FeedHead {
    /// The newest position.
    #[n(0)]
    pub position: u64,
    /// Hash over everything up to it, 32 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub hash: Vec<u8>,
    /// The server's signature, 64 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
}

/// What became of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Verdict {
    /// Which envelope.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub hash: Vec<u8>,
    /// [`Standing::code`].
    #[n(1)]
    pub standing: u8,
    /// [`Reason::code`], for everything but plain acceptance.
    #[n(2)]
    pub reason: Option<String>,
    /// The part of its `seen` that was accepted, where it differs.
    #[n(3)]
    pub seen: Option<Vec<ByteVec>>,
    /// When the server received it, milliseconds.
    #[n(4)]
    pub received_at_ms: i64,
    /// The server's authentication of hash and receipt time, 16 bytes; a phone
    /// shows it to a server that has lost the envelope. See [`Receipt`].
    #[n(5)]
    pub tag: Option<ByteVec>,
}

/// An accepted envelope on its way to a phone.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Item {
    /// The canonical envelope.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub envelope: Vec<u8>,
    /// When the server received it, milliseconds.
    #[n(1)]
    pub received_at_ms: i64,
    /// [`Standing::code`]: accepted or late.
    #[n(2)]
    pub standing: u8,
    /// The part of its `seen` that was accepted, where it differs.
    #[n(3)]
    pub seen: Option<Vec<ByteVec>>,
    /// As in [`Verdict::tag`].
    #[n(4)]
    pub tag: Option<ByteVec>,
}

/// Pushed bytes that were no envelope.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Unreadable {
    /// Index in the request's `push`.
    #[n(0)]
    pub index: u32,
    /// [`Reason::code`].
    #[n(1)]
    pub reason: String,
}

/// What a phone says to become one of the street's devices.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolRequest {
    /// The ticket, as the administrator handed it out.
    #[n(0)]
    pub ticket: String,
    /// The id that the phone drew for itself, 16 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub device: Vec<u8>,
    /// Its Ed25519 public key, 32 bytes.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub key: Vec<u8>,
    /// The app build.
    #[n(3)]
    pub app: String,
    /// [`commitment`](super::enrol::commitment) to the phone's nonce, 32 bytes.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub commitment: Vec<u8>,
}

/// The ticket is good; an administrator has still to confirm.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolOffer {
    /// The server's Ed25519 public key, 32 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub server_key: Vec<u8>,
    /// The server's nonce, 32 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: Vec<u8>,
    /// Code of the street.
    #[n(2)]
    pub street: String,
}

/// The phone's nonce, once it has the server's; said again to ask whether
/// somebody has confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolReveal {
    /// The phone, 16 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub device: Vec<u8>,
    /// What it had committed to, 32 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub nonce: Vec<u8>,
}

/// How an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolStanding {
    /// Whether an administrator has confirmed; the phone opens its session.
    #[n(0)]
    pub confirmed: bool,
}

/// A phone asks for a session: first for a challenge, then with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct SessionRequest {
    /// The phone, 16 bytes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub device: Vec<u8>,
    /// Over [`session_proof`](super::enrol::session_proof), 64 bytes; empty to
    /// ask for a challenge.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub signature: Vec<u8>,
    /// Version of the directory that it holds; 0 for none.
    #[n(2)]
    pub directory: u64,
    /// The app build.
    #[n(3)]
    pub app: String,
}

/// A challenge to sign, or the session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct SessionReply {
    /// 32 bytes to sign, good once and for a short time; empty beside a
    /// session.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub challenge: Vec<u8>,
    /// The session.
    #[n(1)]
    pub session: Option<EnrolReply>,
}

/// What an enrolled phone needs to start.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolReply {
    /// Session token, opaque.
    #[n(0)]
    pub token: String,
    /// Whose phone this is.
    #[n(1)]
    pub person: String,
    /// The street that it belongs to.
    #[n(2)]
    pub street: String,
    /// The server's present life.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub epoch: Vec<u8>,
    /// The server's time, milliseconds.
    #[n(4)]
    pub server_ms: i64,
    /// The directory, if the phone's is old: bytes of an
    /// [`Edition`](super::edition::Edition), else empty.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub directory: Vec<u8>,
    /// The server's Ed25519 public key, 32 bytes.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub server_key: Vec<u8>,
    /// Changes of that key since the phone's edition, oldest first.
    #[n(7)]
    pub key_changes: Option<Vec<KeyChange>>,
}

/// Where an envelope stands, on the server and in the phone's account of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// 待上传: on this phone only.
    Pending,
    /// 已入账
    Accepted,
    /// 留痕: was possible on what its author had seen, has no effect any more.
    Late,
    /// 隔离: authentic, not permitted; kept whole.
    Quarantined,
    /// 等待: builds on something that has not arrived.
    Waiting,
    /// 拒收: not authentic or not well-formed; kept on this phone only.
    Refused,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Standing; 6] = [
        Self::Pending,
        Self::Accepted,
        Self::Late,
        Self::Quarantined,
        Self::Waiting,
        Self::Refused,
    ];

    /// The number on the wire and in the stores.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The standing with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// What became of the action and what is kept of it, in Chinese.
    pub fn zh(self) -> &'static str {
        match self {
            Self::Pending => "待上传",
            Self::Accepted => "已入账",
            Self::Late => "已留痕保存",
            Self::Quarantined => "已隔离保存",
            Self::Waiting => "已保存,等待前序操作",
            Self::Refused => "未入账,原文仍在本机",
        }
    }

    /// The same in English.
    pub fn en(self) -> &'static str {
        match self {
            Self::Pending => "waiting to be sent",
            Self::Accepted => "accepted",
            Self::Late => "kept as a trace",
            Self::Quarantined => "kept apart, whole",
            Self::Waiting => "kept, waiting for what it builds on",
            Self::Refused => "not accepted, the original stays on this phone",
        }
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Late => "late",
            Self::Quarantined => "quarantined",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        }
    }

    /// Part of the record's shared history.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Accepted | Self::Late)
    }
}

/// A verdict in the domain's types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Which envelope.
    pub hash: EnvelopeHash,
    /// What became of it.
    pub standing: Standing,
    /// Why, for everything but plain acceptance.
    pub reason: Option<Reason>,
    /// The part of its `seen` that was accepted, where it differs.
    pub seen: Option<Vec<EnvelopeHash>>,
    /// When the server received it, milliseconds.
    pub received_at_ms: i64,
}

impl Judgement {
    /// As it travels.
    pub fn to_wire(&self) -> Verdict {
        Verdict {
            hash: self.hash.0.to_vec(),
            standing: self.standing.code(),
            reason: self.reason.map(|reason| reason.code().to_owned()),
            seen: self.seen.as_deref().map(hashes_to_wire),
            received_at_ms: self.received_at_ms,
            tag: None,
        }
    }

    /// Back from the wire; `None` if it is not a verdict. A reason of a newer
    /// server reads as "needs a newer app".
    pub fn from_wire(verdict: &Verdict) -> Option<Self> {
        let reason = verdict
            .reason
            .as_deref()
            .map(|code| Reason::from_code(code).unwrap_or(Reason::NeedsNewerApp));
        Some(Self {
            hash: EnvelopeHash::from_slice(&verdict.hash)?,
            standing: Standing::from_code(verdict.standing)?,
            reason,
            seen: match &verdict.seen {
                Some(seen) => Some(hashes_from_wire(seen)?),
                None => None,
            },
            received_at_ms: verdict.received_at_ms,
        })
    }
}

/// Hashes as they travel.
pub fn hashes_to_wire(hashes: &[EnvelopeHash]) -> Vec<ByteVec> {
    hashes.iter().map(|hash| hash.0.to_vec().into()).collect()
}

/// Hashes back from the wire; `None` if one has not 32 bytes.
pub fn hashes_from_wire(hashes: &[ByteVec]) -> Option<Vec<EnvelopeHash>> {
    hashes
        .iter()
        .map(|hash| EnvelopeHash::from_slice(hash))
        .collect()
}

/// A body that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Larger than it may be.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// A list in it is longer than any honest one.
    #[error("a list in the body is longer than any honest one")]
    TooMany,
    /// Not one zstd frame of known size although it begins like one.
    #[error("the body does not decompress")]
    Compression,
    /// Not the CBOR that belongs here.
    #[error("the body is not what belongs here: {0}")]
    Malformed(String),
}

/// The bytes of a message, compressed where that makes them smaller.
pub fn to_bytes<T: Encode<()>>(message: &T) -> Vec<u8> {
    // Writing to a Vec cannot fail, and no Encode impl here fails by itself.
    let plain = minicbor::to_vec(message).unwrap_or_default();
    if plain.len() < WORTH_COMPRESSING {
        return plain;
    }
    match zstd::bulk::compress(&plain, ZSTD_LEVEL) {
        Ok(packed) if packed.len() < plain.len() => packed,
        _ => plain,
    }
}

/// Reads a reply.
///
/// # Errors
/// See [`WireError`]; time and memory are bounded by the limits above.
pub fn from_bytes<T>(body: &[u8]) -> Result<T, WireError>
where
    T: for<'b> Decode<'b, ()>,
{
    if body.len() > MAX_BODY_BYTES {
        return Err(WireError::TooLarge(MAX_BODY_BYTES));
    }
    let ratio = MAX_REQUEST_BYTES.max(body.len() * MAX_RATIO);
    read(body, MAX_PLAIN_BYTES.min(ratio), MAX_LIST)
}

/// Reads a request that has at most `limit` bytes, as it travels and unpacked.
///
/// # Errors
/// See [`WireError`]; takes at most three times `limit` of memory.
pub fn from_bytes_within<T>(body: &[u8], limit: usize) -> Result<T, WireError>
where
    T: for<'b> Decode<'b, ()>,
{
    read(body, limit, MAX_PUSHED)
}

fn read<T>(body: &[u8], limit: usize, most_entries: usize) -> Result<T, WireError>
where
    T: for<'b> Decode<'b, ()>,
{
    if body.starts_with(&ZSTD_MAGIC) {
        return decode(&unpack(body, limit)?, limit, most_entries);
    }
    match body.len() <= limit {
        true => decode(body, limit, most_entries),
        false => Err(WireError::TooLarge(limit)),
    }
}

/// Unpacks the one frame that a body is. Its size is known beforehand, so there
/// is neither a window to pay for nor a buffer that grows.
fn unpack(body: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    let announced = match zstd_safe::get_frame_content_size(body) {
        Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
        Ok(None) | Err(_) => return Err(WireError::Compression),
    };
    if announced > limit {
        return Err(WireError::TooLarge(limit));
    }
    // Frames behind the first would not count towards what was announced.
    if zstd_safe::find_frame_compressed_size(body) != Ok(body.len()) {
        return Err(WireError::Compression);
    }
    match zstd::bulk::decompress(body, announced) {
        Ok(plain) if plain.len() == announced => Ok(plain),
        _ => Err(WireError::Compression),
    }
}

fn decode<T>(plain: &[u8], limit: usize, most_entries: usize) -> Result<T, WireError>
where
    T: for<'b> Decode<'b, ()>,
{
    shape::check(plain, limit / BYTES_AN_ITEM, most_entries)?;
    minicbor::decode(plain).map_err(|error| WireError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_wire_small_or_compressed() {
        for pushes in [0, 200] {
            let request = SyncRequest {
                cursor: 7,
                push: vec![vec![1; 300].into(); pushes],
                ..SyncRequest::default()
            };
            assert_eq!(from_bytes(&to_bytes(&request)), Ok(request));
        }
    }

    #[test]
    fn a_bomb_is_refused_in_bounded_memory() {
        let zeros = vec![0u8; 64 * 1024 * 1024];
        let bomb = zstd::bulk::compress(&zeros, 19).expect("compresses");
        assert!(bomb.len() < MAX_BODY_BYTES);
        let refused = from_bytes_within::<SyncRequest>(&bomb, MAX_REQUEST_BYTES);
        assert_eq!(refused, Err(WireError::TooLarge(MAX_REQUEST_BYTES)));
        let ratio = from_bytes::<SyncRequest>(&bomb);
        assert!(matches!(ratio, Err(WireError::TooLarge(limit)) if limit < MAX_PLAIN_BYTES));
    }

    #[test]
    fn a_list_ends_where_its_limit_is() {
        for (count, wanted) in [(MAX_PUSHED, true), (MAX_PUSHED + 1, false)] {
            let request = SyncRequest {
                push: vec![Vec::new().into(); count],
                ..SyncRequest::default()
            };
            let bytes = to_bytes(&request);
            let read = from_bytes_within::<SyncRequest>(&bytes, MAX_REQUEST_BYTES);
            assert_eq!(read.is_ok(), wanted, "{count}");
        }
    }

    #[test]
    fn an_announced_length_is_not_believed() {
        // A map of one entry: key 5 (push), an array of 2^60 items, and no item.
        let lie = [0xa1, 0x05, 0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0];
        assert!(from_bytes::<SyncRequest>(&lie).is_err());
    }
}
