//! One request at a time for each upload. Whoever comes later takes over: the
//! earlier one usually hangs on a connection that the phone has given up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};

use shaodao_core::domain::ids::{DeviceId, SealedId};

/// How long the earlier request may take to put down what it has.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// Whose upload of what.
pub(super) type Upload = (DeviceId, SealedId);

/// All uploads that somebody works on.
#[derive(Debug)]
pub(super) struct Turns {
    all: Mutex<HashMap<Upload, Turn>>,
    stopping: watch::Sender<bool>,
}

#[derive(Debug)]
struct Turn {
    /// Number of the newest request.
    newest: watch::Sender<u64>,
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Requests that have it or wait for it.
    users: usize,
}

/// The turn of one request; given back when dropped.
#[derive(Debug)]
pub(super) struct Holding {
    ticket: Ticket,
    stopping: watch::Receiver<bool>,
    // Given back before the ticket is.
    _lock: OwnedMutexGuard<()>,
}

#[derive(Debug)]
struct Ticket {
    turns: Arc<Turns>,
    upload: Upload,
    number: u64,
    newest: watch::Receiver<u64>,
}

/// A newer request has come, or the older one does not let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            all: Mutex::default(),
            stopping: watch::Sender::new(false),
        })
    }

    /// Whoever has a turn puts down what it has and ends.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Takes the turn from whoever has it.
    pub(super) async fn take(self: &Arc<Self>, upload: Upload) -> Result<Holding, Busy> {
        let (ticket, lock) = self.draw(upload);
        let lock = tokio::time::timeout(TAKE_OVER, lock.lock_owned()).await;
        let lock = lock.map_err(|_| Busy)?;
        match ticket.is_newest() {
            true => Ok(Holding {
                stopping: self.stopping.subscribe(),
                ticket,
                _lock: lock,
            }),
            false => Err(Busy),
        }
    }

    fn draw(self: &Arc<Self>, upload: Upload) -> (Ticket, Arc<tokio::sync::Mutex<()>>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = all.entry(upload).or_insert_with(|| Turn {
            newest: watch::Sender::new(0),
            lock: Arc::default(),
            users: 0,
        });
        turn.users += 1;
        turn.newest.send_modify(|newest| *newest += 1);
        let ticket = Ticket {
            turns: self.clone(),
            upload,
            number: *turn.newest.borrow(),
            newest: turn.newest.subscribe(),
        };
        (ticket, turn.lock.clone())
    }
}

impl Holding {
    /// Ends when somebody else wants the turn, or the server stops.
    pub(super) async fn interrupted(&mut self) {
        let Ticket { number, newest, .. } = &mut self.ticket;
        // Both senders outlive this.
        tokio::select! {
            _ = newest.wait_for(|newest| newest != number) => {}
            _ = self.stopping.wait_for(|stopping| *stopping) => {}
        }
    }
}

impl Ticket {
    fn is_newest(&self) -> bool {
        *self.newest.borrow() == self.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let all = &self.turns.all;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = all.get_mut(&self.upload) {
            turn.users -= 1;
            if turn.users == 0 {
                all.remove(&self.upload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_later_request_takes_over_and_the_list_is_empty_afterwards() {
        let turns = Turns::new();
        let upload = (DeviceId([1; 16]), SealedId([2; 32]));
        let mut first = turns.take(upload).await.expect("nobody has it");
        let later = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(upload).await.map(drop) }
        });
        first.interrupted().await;
        drop(first);
        assert_eq!(later.await.expect("ends"), Ok(()));
        assert!(turns.all.lock().expect("whole").is_empty());
    }
}
