//! One request that brings something: what comes is appended to the file of its
//! upload, and looked at (`check`), while the next of it comes. Nothing is
//! behind what is told to be here. It is flushed when it is whole, or when somebody
//! asks how far it is: of what a part was answered with, a power cut may take some,
//! and the phone, which asks then, sends that again.
//!
//! What can go wrong: the connection is cut, is too slow, a newer request takes
//! over, the disk is full: what came stays, and half a batch is cut off again; a
//! checksum is wrong, or more comes than there should be: nothing of it counts.

use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_core::Stream;
#[cfg(target_os = "linux")]
use rustix::fs::Advice;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use shaodao_core::points::{Point, pass};

use super::check::Look;
use super::objects::blocking;
use super::turns::Holding;
use super::{Evidence, Refused, full_or};

/// Reads of a connection that wait at most until they are put down, and as many
/// more are being put down: a mebibyte in all.
const IN_HAND: usize = 32;
/// Bytes that the disk is given at once, while more comes.
const WRITE_AT_ONCE: u64 = 1 << 20;
/// For how long a request goes on reading once a newer one waits, at most, and
/// how long nothing may come in that time.
const LAST_BYTES: Duration = Duration::from_secs(2);
const LAST_SILENCE: Duration = Duration::from_millis(200);

/// A hash over the body of one request, as tus has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// By which function.
    pub by: ChecksumBy,
    /// What it has to be.
    pub value: Vec<u8>,
}

/// Functions for such a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumBy {
    /// SHA-1, which tus asks for.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// One request that brings something.
pub(super) struct Taking {
    coming: Coming,
    down: PuttingDown,
}

/// What came of it.
pub(super) struct Taken {
    /// Given back once nobody has to go on.
    pub turn: Holding,
    /// How much is here; all of it is on the disk.
    pub offset: u64,
    /// A look at that much, if there is one.
    pub look: Option<Look>,
    /// Why it ended before the last byte of the body; what came may count.
    pub refused: Option<Refused>,
}

impl Taking {
    /// What comes is added to `file` until that has `length` bytes; `look` has
    /// seen what is there.
    pub fn new(
        evidence: &Arc<Evidence>,
        turn: Holding,
        body: Body,
        file: Arriving,
        length: u64,
        look: Option<Look>,
        checksum: Option<Checksum>,
    ) -> Self {
        Self {
            coming: Coming {
                turn,
                body: body.into_data_stream(),
                idle: evidence.idle,
                last_until: None,
            },
            down: PuttingDown {
                evidence: evidence.clone(),
                offset: file.length,
                file,
                length,
                sums: checksum.map(|checksum| (Sums::new(checksum.by), checksum.value)),
                look,
            },
        }
    }

    /// Puts down what comes, while the next of it comes.
    pub async fn run(self) -> Result<Taken, Refused> {
        let (hand_over, handed_over) = mpsc::channel(IN_HAND);
        let came = self.coming.run(hand_over);
        let ((turn, broken), put) = tokio::join!(came, self.down.run(handed_over));
        let (down, refused) = put?;
        let refused = refused.or(broken);
        let ended = blocking(move || down.end(refused)).await;
        let (offset, look, refused) = ended.map_err(full_or)?;
        Ok(Taken {
            turn,
            offset,
            look,
            refused,
        })
    }
}

/// What is on its way.
struct Coming {
    turn: Holding,
    body: BodyDataStream,
    idle: Duration,
    /// A newer request waits: until when this one goes on at most.
    last_until: Option<Instant>,
}

impl Coming {
    /// Hands over what comes, until there is no more, or nobody takes it; why it
    /// ended before the end.
    async fn run(mut self, to: mpsc::Sender<Bytes>) -> (Holding, Option<Refused>) {
        loop {
            let next = tokio::select! {
                next = self.next() => next,
                () = to.closed() => return (self.turn, None),
            };
            match next {
                Ok(Some(bytes)) => match to.send(bytes).await {
                    Ok(()) => {}
                    Err(_) => return (self.turn, None),
                },
                Ok(None) => return (self.turn, None),
                Err(refused) => return (self.turn, Some(refused)),
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        let next = loop {
            let next = poll_fn(|cx| Pin::new(&mut self.body).poll_next(cx));
            match self.last_until {
                None => tokio::select! {
                    next = tokio::time::timeout(self.idle, next) => break next,
                    // What is on its way still counts: the newer request comes
                    // from the same phone, which would have to send it again.
                    () = self.turn.interrupted() => {
                        self.last_until = Some(Instant::now() + LAST_BYTES);
                    }
                },
                Some(until) => {
                    let silence = until.min(Instant::now() + LAST_SILENCE);
                    break tokio::time::timeout_at(silence, next).await;
                }
            }
        };
        match next {
            Err(_) if self.last_until.is_some() => Err(Refused::Busy),
            Err(_) => Err(Refused::TooSlow),
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err(Refused::Cut),
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        }
    }
}

/// Where it is put down.
struct PuttingDown {
    evidence: Arc<Evidence>,
    file: Arriving,
    offset: u64,
    length: u64,
    sums: Option<(Sums, Vec<u8>)>,
    look: Option<Look>,
}

impl PuttingDown {
    /// Puts down what is handed over, as much at a time as has come; why it
    /// ended before the end.
    async fn run(
        mut self,
        mut from: mpsc::Receiver<Bytes>,
    ) -> Result<(Self, Option<Refused>), Refused> {
        let mut batch = Vec::new();
        while from.recv_many(&mut batch, IN_HAND).await > 0 {
            let bytes = std::mem::take(&mut batch);
            let put = blocking(move || {
                let put = self.put(&bytes);
                Ok((self, put))
            });
            let (down, put) = put.await?;
            self = down;
            if let Err(refused) = put {
                return Ok((self, Some(refused)));
            }
        }
        Ok((self, None))
    }

    /// Appends a batch, unless there is no room or it is too much.
    fn put(&mut self, batch: &[Bytes]) -> Result<(), Refused> {
        let size: u64 = batch.iter().map(|bytes| bytes.len() as u64).sum();
        if self.offset + size > self.length {
            return Err(Refused::TooMuch);
        }
        if self.evidence.room.free_bytes()? < size {
            return Err(Refused::Full);
        }
        // Of a batch that does not fit nothing was seen.
        let mut look = self.look.take();
        for bytes in batch {
            self.file.file.write_all(bytes).map_err(full_or)?;
            if let Some((sums, _)) = &mut self.sums {
                sums.update(bytes);
            }
            if let Some(look) = &mut look {
                look.take(bytes);
            }
        }
        self.look = look;
        self.offset += size;
        self.file.begin_to_write(self.offset);
        Ok(())
    }

    /// Cuts off what does not count, and flushes what is whole.
    fn end(
        mut self,
        mut refused: Option<Refused>,
    ) -> std::io::Result<(u64, Option<Look>, Option<Refused>)> {
        if let Some((sums, value)) = self.sums.take() {
            let right = refused.is_none() && sums.value() == value;
            // A part of what a checksum speaks of proves nothing.
            if !right {
                self.offset = self.file.length;
                refused = refused.or(Some(Refused::Checksum));
            }
        }
        if matches!(refused, Some(Refused::TooMuch)) {
            self.offset = self.file.length;
        }
        self.file.end(self.offset, self.length)?;
        pass(Point::UploadFlushed);
        let look = self.look.filter(|look| look.at() == self.offset);
        Ok((self.offset, look, refused))
    }
}

enum Sums {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Sums {
    fn new(by: ChecksumBy) -> Self {
        match by {
            ChecksumBy::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumBy::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(sums) => sums.update(bytes),
            Self::Sha256(sums) => sums.update(bytes),
        }
    }

    fn value(self) -> Vec<u8> {
        match self {
            Self::Sha1(sums) => sums.finalize().to_vec(),
            Self::Sha256(sums) => sums.finalize().to_vec(),
        }
    }
}

/// The file of an upload, to append to.
pub(super) struct Arriving {
    file: File,
    /// How long it was, bytes.
    pub length: u64,
    /// Up to where the system was asked to write it.
    writing: u64,
}

impl Arriving {
    /// Opens or makes it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self {
            file,
            length,
            writing: length,
        })
    }

    /// Has the disk begin with what was appended, so that the flush at the end
    /// finds little left to do. Advice: a system that does not take it writes all
    /// of it then.
    fn begin_to_write(&mut self, until: u64) {
        let size = until.saturating_sub(self.writing);
        if size < WRITE_AT_ONCE {
            return;
        }
        // Nobody reads it again before it has been published: Linux writes what is
        // not needed, and forgets it.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(
            &self.file,
            self.writing,
            std::num::NonZeroU64::new(size),
            Advice::DontNeed,
        );
        self.writing = until;
    }

    /// Leaves it with so many bytes; if those are all, on the disk.
    fn end(&self, length: u64, all: u64) -> std::io::Result<()> {
        if self.file.metadata()?.len() != length {
            self.file.set_len(length)?;
        }
        match length == all {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }
}
