//! What a reply means: reply to decisions, without clock, file or socket; and
//! the one rule by which both sides leave out what was not accepted,
//! [`effective_seen`].

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;
use zeroize::Zeroizing;

use crate::domain::directory::DeviceState;
use crate::domain::ids::{EnvelopeHash, PrivateId, RecordId, SealedId};
use crate::domain::reason::Reason;
use crate::envelope::{self, Sealed};
use crate::seal::{self, SealedText};

use super::edition::KeyChange;
use super::evidence::News;
use super::head::{Contradiction, Head, SignedHead, compare};
use super::wire::{self, Judgement, Standing, SyncReply};

/// An accepted envelope from the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The envelope.
    pub sealed: Sealed,
    /// Accepted or late.
    pub standing: Standing,
    /// The part of its `seen` that was accepted, where it differs.
    pub seen: Option<Vec<EnvelopeHash>>,
    /// When the server received it, milliseconds.
    pub received_at_ms: i64,
}

/// An action of the same person from another phone, which was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// The envelope.
    pub sealed: Sealed,
    /// What became of it.
    pub judgement: Judgement,
}

/// An edition of the directory that was found to be the server's own and newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vetted {
    /// Its number.
    pub version: u64,
    /// JSON bytes of a directory pack.
    pub pack: Vec<u8>,
    /// The key that the server has now.
    pub server_key: [u8; 32],
    /// Whether this build reads the pack; one of a newer server is kept for the
    /// build that does.
    pub is_readable: bool,
}

/// What to do with a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// What became of the phone's own envelopes: each leaves the outbox, and
    /// everything but plain acceptance is shown to its author.
    pub judgements: Vec<Judgement>,
    /// What to store.
    pub incoming: Vec<Incoming>,
    /// The cursor after storing all of it.
    pub cursor: u64,
    /// Ask again at once.
    pub more: bool,
    /// Bytes of an edition of the directory, not checked yet.
    pub directory: Option<Vec<u8>>,
    /// Changes of the server's key that came with it, not checked yet.
    pub key_changes: Vec<KeyChange>,
    /// Set by whoever checked them; to be stored with the rest.
    pub vetted: Option<Vetted>,
    /// Whether the phone may take part.
    pub device: DeviceState,
    /// The same person's actions from another phone that were set aside.
    pub notices: Vec<Noticed>,
    /// Records to drop from the phone.
    pub drops: Vec<RecordId>,
    /// The server's life.
    pub epoch: Vec<u8>,
    /// Begin again at position 0, keeping everything.
    pub start_over: bool,
    /// The server has had another life: what this phone holds is offered again.
    pub offer_again: bool,
    /// Digest over the audience keys.
    pub audience: Vec<u8>,
    /// The server's time, milliseconds: the next anchor.
    pub server_ms: i64,
    /// Personal data to store.
    pub private: Vec<(RecordId, SealedText)>,
    /// Personal data that the server has confirmed.
    pub private_kept: Vec<PrivateId>,
    /// The position after storing all of it.
    pub private_cursor: u64,
    /// What became of evidence.
    pub evidence: Vec<News>,
    /// Evidence whose key the server has confirmed.
    pub evidence_kept: Vec<SealedId>,
    /// The position after storing all of it.
    pub evidence_cursor: u64,
    /// The newest head of the feed, signed by the server.
    pub head: Option<SignedHead>,
    /// That head contradicts the one held: both are kept, the older is cited on.
    pub contradiction: Option<Contradiction>,
    /// The server's authentication of receipts, by envelope.
    pub tags: BTreeMap<EnvelopeHash, Vec<u8>>,
}

/// What a phone knows of its server before a reply.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// The life that the request was made for; empty before first contact.
    pub epoch: &'a [u8],
    /// The position of evidence that the request was made for.
    pub evidence_cursor: u64,
    /// The newest head verified in that life.
    pub head: Option<Head>,
    /// The key that the phone was enrolled with.
    pub key: Option<&'a VerifyingKey>,
}

/// A reply that cannot be used; nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// A feed item is not an envelope.
    #[error("a pulled item is not an envelope: {0}")]
    Item(#[from] envelope::OpenError),
    /// A verdict or a field has the wrong shape.
    #[error("the reply is malformed: {0}")]
    Malformed(&'static str),
    /// The head of the feed is not signed by the server of this phone.
    #[error("the reply is not signed by the server that this phone was enrolled with")]
    NotThisServer,
}

/// Reads a reply. `sent` are the envelopes of the request, in its order.
///
/// # Errors
/// See [`SettleError`].
pub fn settle(
    reply: &SyncReply,
    sent: &[EnvelopeHash],
    known: Known<'_>,
) -> Result<Settlement, SettleError> {
    let mut judgements = reply
        .verdicts
        .iter()
        .map(Judgement::from_wire)
        .collect::<Option<Vec<_>>>()
        .ok_or(SettleError::Malformed("verdict"))?;
    for unreadable in &reply.unreadable {
        let hash = usize::try_from(unreadable.index)
            .ok()
            .and_then(|index| sent.get(index))
            .ok_or(SettleError::Malformed("index of an unreadable envelope"))?;
        judgements.push(Judgement {
            hash: *hash,
            standing: Standing::Refused,
            reason: Reason::from_code(&unreadable.reason).or(Some(Reason::NotCanonical)),
            seen: None,
            received_at_ms: reply.server_ms,
        });
    }
    let another_life = !known.epoch.is_empty() && known.epoch != reply.epoch;
    let head = head(reply, known.key)?;
    let held = known.head.filter(|_| !another_life);
    let contradiction = held
        .zip(head)
        .and_then(|(held, newest)| compare(&held, &newest.head).err());
    let incoming: Vec<Incoming> = reply.items.iter().map(incoming).collect::<Result<_, _>>()?;
    let tags = tags(reply, &judgements, &incoming);
    Ok(Settlement {
        judgements,
        incoming,
        cursor: reply.cursor,
        more: reply.more,
        directory: reply.directory.as_ref().map(|pack| pack.to_vec()),
        key_changes: reply.key_changes.clone().unwrap_or_default(),
        vetted: None,
        device: match reply.device {
            // A state of a newer server is not "active".
            Some(code) => DeviceState::from_code(code).unwrap_or(DeviceState::Suspended),
            None => DeviceState::Active,
        },
        notices: reply
            .notices
            .iter()
            .flatten()
            .map(noticed)
            .collect::<Result<_, _>>()?,
        drops: reply
            .drops
            .iter()
            .map(|id| RecordId::from_slice(id))
            .collect::<Option<_>>()
            .ok_or(SettleError::Malformed("dropped record"))?,
        epoch: reply.epoch.clone(),
        start_over: reply.start_over || another_life,
        offer_again: another_life,
        audience: reply.audience.clone(),
        server_ms: reply.server_ms,
        private: reply
            .private
            .iter()
            .map(private)
            .collect::<Result<_, _>>()?,
        private_kept: reply
            .private_kept
            .iter()
            .map(|id| PrivateId::from_slice(id))
            .collect::<Option<_>>()
            .ok_or(SettleError::Malformed("id of personal data"))?,
        private_cursor: match reply.start_over || another_life {
            true => 0,
            false => reply.private_cursor,
        },
        evidence: reply
            .evidence
            .iter()
            .flatten()
            .map(News::from_wire)
            .collect::<Result<_, _>>()?,
        evidence_kept: reply
            .evidence_kept
            .iter()
            .flatten()
            .map(|sealed| SealedId::from_slice(sealed))
            .collect::<Option<_>>()
            .ok_or(SettleError::Malformed("hash of evidence"))?,
        evidence_cursor: match reply.start_over || another_life {
            true => 0,
            false => reply.evidence_cursor.unwrap_or(known.evidence_cursor),
        },
        head,
        contradiction,
        tags,
    })
}

/// Personal data from the wire.
///
/// # Errors
/// It is none.
pub fn private(item: &wire::PrivateItem) -> Result<(RecordId, SealedText), SettleError> {
    const BAD: SettleError = SettleError::Malformed("personal data");
    if item.ciphertext.len() > seal::MAX_SEALED_BYTES {
        return Err(BAD);
    }
    let sealed = SealedText {
        id: seal::id_of(&item.ciphertext),
        ciphertext: item.ciphertext.clone(),
        key: Zeroizing::new(item.key.as_slice().try_into().map_err(|_| BAD)?),
    };
    Ok((RecordId::from_slice(&item.record).ok_or(BAD)?, sealed))
}

fn head(reply: &SyncReply, key: Option<&VerifyingKey>) -> Result<Option<SignedHead>, SettleError> {
    let (Some(head), Some(key)) = (&reply.head, key) else {
        return Ok(None);
    };
    let head = SignedHead::from_wire(head).ok_or(SettleError::Malformed("head of the feed"))?;
    match head.verify(&reply.epoch, key) {
        true => Ok(Some(head)),
        false => Err(SettleError::NotThisServer),
    }
}

fn tags(
    reply: &SyncReply,
    judgements: &[Judgement],
    incoming: &[Incoming],
) -> BTreeMap<EnvelopeHash, Vec<u8>> {
    let of_verdicts = judgements.iter().map(|it| it.hash);
    let of_items = incoming.iter().map(|it| it.sealed.hash);
    let verdicts = of_verdicts.zip(reply.verdicts.iter().map(|it| &it.tag));
    let items = of_items.zip(reply.items.iter().map(|it| &it.tag));
    verdicts
        .chain(items)
        .filter_map(|(hash, tag)| Some((hash, tag.as_ref()?.to_vec())))
        .collect()
}

fn incoming(item: &wire::Item) -> Result<Incoming, SettleError> {
    let standing = Standing::from_code(item.standing)
        .filter(|standing| standing.is_shared())
        .ok_or(SettleError::Malformed("standing of an item"))?;
    let seen = match &item.seen {
        Some(seen) => {
            Some(wire::hashes_from_wire(seen).ok_or(SettleError::Malformed("seen of an item"))?)
        }
        None => None,
    };
    Ok(Incoming {
        sealed: envelope::open(&item.envelope)?,
        standing,
        seen,
        received_at_ms: item.received_at_ms,
    })
}

fn noticed(notice: &wire::Notice) -> Result<Noticed, SettleError> {
    let sealed = envelope::open(&notice.envelope)?;
    let standing = Standing::from_code(notice.standing)
        .filter(|standing| !standing.is_shared())
        .ok_or(SettleError::Malformed("standing of a notice"))?;
    let reason = notice
        .reason
        .as_deref()
        .map(|code| Reason::from_code(code).unwrap_or(Reason::NeedsNewerApp));
    let judgement = Judgement {
        hash: sealed.hash,
        standing,
        reason,
        seen: None,
        received_at_ms: notice.received_at_ms,
    };
    Ok(Noticed { sealed, judgement })
}

/// What is known of an envelope that another one cites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cited {
    /// Part of the record's history (or pending on this phone).
    InHistory,
    /// Set aside (quarantined, refused, or given up on); it had cited these.
    SetAside(Vec<EnvelopeHash>),
    /// Never heard of.
    Unknown,
}

/// `seen` without what was set aside: each such envelope is replaced by what it
/// had itself seen, so that leaving one out loses no other cause.
///
/// # Errors
/// The first envelope that nobody has heard of yet.
pub fn effective_seen(
    seen: &[EnvelopeHash],
    mut lookup: impl FnMut(&EnvelopeHash) -> Cited,
) -> Result<Vec<EnvelopeHash>, EnvelopeHash> {
    let mut effective = BTreeSet::new();
    let mut visited = BTreeSet::new();
    let mut open = seen.to_vec();
    while let Some(hash) = open.pop() {
        if !visited.insert(hash) {
            continue;
        }
        match lookup(&hash) {
            Cited::InHistory => {
                effective.insert(hash);
            }
            Cited::SetAside(causes) => open.extend(causes),
            Cited::Unknown => return Err(hash),
        }
    }
    Ok(effective.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_one_out_keeps_what_it_had_seen() {
        let [a, b, c] = [1, 2, 3].map(|n| EnvelopeHash([n; 32]));
        let lookup = |hash: &EnvelopeHash| match hash {
            hash if *hash == a => Cited::InHistory,
            hash if *hash == b => Cited::SetAside(vec![a]),
            _ => Cited::Unknown,
        };
        assert_eq!(effective_seen(&[b], lookup), Ok(vec![a]));
        assert_eq!(effective_seen(&[a, c], lookup), Err(c));
    }
}
