//! What to say next: rows to request, without clock, file or socket.

use crate::domain::ids::EnvelopeHash;

use super::head::Head;
use super::wire::{CitedHead, EvidenceKey, PrivateItem, Receipt, SyncRequest};

/// Most bytes of envelopes in one request.
pub const PUSH_BUDGET_BYTES: usize = 512 * 1024;
/// Most envelopes in one request.
pub const MAX_PUSH: usize = 1_000;
/// Most bytes of envelopes wanted in one reply.
pub const PULL_BUDGET_BYTES: u32 = 1024 * 1024;

/// Most pieces of personal data in one request.
pub const PUSH_PRIVATE: u32 = 64;
/// Most keys of evidence in one request.
pub const PUSH_KEYS: u32 = 256;

/// Where a phone stands with its server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The server life that the cursor belongs to; empty before first contact.
    pub epoch: Vec<u8>,
    /// Feed position up to which everything has been stored.
    pub cursor: u64,
    /// Accepted envelopes held.
    pub count: u64,
    /// Exclusive or of their hashes.
    pub digest: [u8; 32],
    /// Version of the directory held; 0 for none.
    pub directory: u64,
    /// Digest over the audience keys of the newest reply.
    pub audience: Vec<u8>,
    /// Position up to which all personal data has been stored.
    pub private_cursor: u64,
    /// Position up to which it is known what became of evidence.
    pub evidence_cursor: u64,
    /// Envelopes that no verdict has named yet.
    pub backlog: u64,
    /// The newest head of the feed that was verified, of the life in `epoch`.
    pub head: Option<Head>,
}

/// An envelope that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its identity.
    pub hash: EnvelopeHash,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// When a server received it in an earlier life, milliseconds, and that
    /// server's own authentication of it.
    pub receipt: Option<(i64, Vec<u8>)>,
}

impl Progress {
    /// Counts one more accepted envelope.
    pub fn add(&mut self, hash: &EnvelopeHash) {
        self.count += 1;
        self.toggle(hash);
    }

    /// Counts one accepted envelope less.
    pub fn remove(&mut self, hash: &EnvelopeHash) {
        self.count = self.count.saturating_sub(1);
        self.toggle(hash);
    }

    fn toggle(&mut self, hash: &EnvelopeHash) {
        for (mine, theirs) in self.digest.iter_mut().zip(hash.0) {
            *mine ^= theirs;
        }
    }
}

/// The next request: as much of the outbox, oldest first, as one request may
/// carry. What does not fit goes into the one after it.
pub fn plan(
    progress: &Progress,
    outbox: &[Queued],
    private: Vec<PrivateItem>,
    evidence: Vec<EvidenceKey>,
    app: &str,
) -> SyncRequest {
    let mut room = PUSH_BUDGET_BYTES;
    let going: Vec<&Queued> = outbox
        .iter()
        .take(MAX_PUSH)
        .take_while(|queued| match room.checked_sub(queued.bytes.len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .collect();
    let receipts = (0..)
        .zip(&going)
        .filter_map(|(index, queued)| {
            let (received_at_ms, tag) = queued.receipt.clone()?;
            Some(Receipt {
                index,
                received_at_ms,
                tag,
            })
        })
        .collect();
    SyncRequest {
        epoch: progress.epoch.clone(),
        cursor: progress.cursor,
        count: progress.count,
        digest: progress.digest.to_vec(),
        directory: progress.directory,
        push: going.iter().map(|it| it.bytes.clone().into()).collect(),
        budget: PULL_BUDGET_BYTES,
        app: app.to_owned(),
        audience: progress.audience.clone(),
        private,
        private_cursor: progress.private_cursor,
        evidence: Some(evidence).filter(|keys| !keys.is_empty()),
        evidence_cursor: Some(progress.evidence_cursor).filter(|at| *at > 0),
        backlog: match u32::try_from(progress.backlog).unwrap_or(u32::MAX) {
            0 => None,
            backlog => Some(backlog),
        },
        head: progress.head.map(|head| CitedHead {
            position: head.position,
            mark: head.mark().0.to_vec(),
        }),
        receipts,
    }
}
