//! What to say next: rows to request, without clock, file or socket.

use crate::domain::ids::EnvelopeHash;

use super::wire::{PrivateItem, SyncRequest};

/// Most bytes of envelopes in one request.
pub const PUSH_BUDGET_BYTES: usize = 512 * 1024;
/// Most envelopes in one request.
pub const MAX_PUSH: usize = 1_000;
/// Most bytes of envelopes wanted in one reply.
pub const PULL_BUDGET_BYTES: u32 = 1024 * 1024;

/// Most pieces of personal data in one request.
pub const PUSH_PRIVATE: u32 = 64;

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
    /// Envelopes that no verdict has named yet.
    pub backlog: u64,
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
    outbox: &[Vec<u8>],
    private: Vec<PrivateItem>,
    app: &str,
) -> SyncRequest {
    let mut room = PUSH_BUDGET_BYTES;
    let push = outbox
        .iter()
        .take(MAX_PUSH)
        .take_while(|envelope| match room.checked_sub(envelope.len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        })
        .map(|envelope| envelope.clone().into())
        .collect();
    SyncRequest {
        epoch: progress.epoch.clone(),
        cursor: progress.cursor,
        count: progress.count,
        digest: progress.digest.to_vec(),
        directory: progress.directory,
        push,
        budget: PULL_BUDGET_BYTES,
        app: app.to_owned(),
        audience: progress.audience.clone(),
        private,
        private_cursor: progress.private_cursor,
        backlog: match u32::try_from(progress.backlog).unwrap_or(u32::MAX) {
            0 => None,
            backlog => Some(backlog),
        },
    }
}
