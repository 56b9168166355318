//! One request that brings something: what comes is appended to the file of its
//! upload, a batch at a time, for as long as it comes. What is told to be here is
//! on the disk, and nothing behind it.
//!
//! What can go wrong: the connection is cut, is too slow, a newer request takes
//! over, the disk is full: what came stays, and half a batch is cut off again; a
//! checksum is wrong, or more comes than there should be: nothing of it counts.

use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_core::Stream;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use shaodao_core::points::{Point, pass};

use super::objects::{blocking, flush_folder};
use super::turns::Holding;
use super::{Evidence, Refused, full_or};

/// Written at once, bytes; more is not held of one upload.
const BATCH: usize = 256 * 1024;
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
    evidence: Arc<Evidence>,
    turn: Holding,
    body: BodyDataStream,
    file: File,
    from: u64,
    offset: u64,
    length: u64,
    idle: Duration,
    sums: Option<(Sums, Vec<u8>)>,
    /// A newer request waits: until when this one goes on at most.
    last_until: Option<Instant>,
    /// What was found behind the newest batch: the end, or a cut.
    behind: Option<Result<(), Refused>>,
}

/// What came of it.
pub(super) struct Taken {
    /// Given back once nobody has to go on.
    pub turn: Holding,
    /// How much is on the disk.
    pub offset: u64,
    /// Why it ended before the last byte of the body; what came may count.
    pub refused: Option<Refused>,
}

impl Taking {
    /// `rest` goes from what is here to what there will be.
    pub fn new(
        evidence: &Arc<Evidence>,
        turn: Holding,
        body: Body,
        file: File,
        rest: Range<u64>,
        checksum: Option<Checksum>,
    ) -> Self {
        Self {
            evidence: evidence.clone(),
            turn,
            body: body.into_data_stream(),
            file,
            from: rest.start,
            offset: rest.start,
            length: rest.end,
            idle: evidence.idle,
            sums: checksum.map(|checksum| (Sums::new(checksum.by), checksum.value)),
            last_until: None,
            behind: None,
        }
    }

    /// Writes what comes.
    pub async fn run(mut self) -> Result<Taken, Refused> {
        let mut refused = loop {
            match self.next().await {
                Ok(Some(batch)) => match self.put(batch).await {
                    Ok(()) => {}
                    Err(refused) => break Some(refused),
                },
                Ok(None) => break None,
                Err(refused) => break Some(refused),
            }
        };
        if let Some((sums, value)) = self.sums.take() {
            let right = refused.is_none() && sums.value() == value;
            // A part of what a checksum speaks of proves nothing.
            if !right {
                self.offset = self.from;
                refused = refused.or(Some(Refused::Checksum));
            }
        }
        if matches!(refused, Some(Refused::TooMuch)) {
            self.offset = self.from;
        }
        let (file, offset) = (self.file, self.offset);
        let flushed = blocking(move || {
            if file.metadata()?.len() != offset {
                file.set_len(offset)?;
            }
            file.sync_data()
        });
        flushed.await.map_err(full_or)?;
        pass(Point::UploadFlushed);
        Ok(Taken {
            turn: self.turn,
            offset,
            refused,
        })
    }

    /// What has come by now, at most a batch; waits for the first of it.
    async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Refused> {
        if let Some(behind) = self.behind.take() {
            return behind.map(|()| None);
        }
        let first = poll_fn(|cx| Pin::new(&mut self.body).poll_next(cx));
        let first = match self.last_until {
            None => tokio::select! {
                first = tokio::time::timeout(self.idle, first) => first,
                () = self.turn.interrupted() => {
                    // What is on its way still counts: the newer request comes
                    // from the same phone, which would have to send it again.
                    self.last_until = Some(Instant::now() + LAST_BYTES);
                    return Ok(Some(Vec::new()));
                }
            },
            Some(until) => {
                let silence = until.min(Instant::now() + LAST_SILENCE);
                tokio::time::timeout_at(silence, first).await
            }
        };
        let first = match first {
            Err(_) if self.last_until.is_some() => return Err(Refused::Busy),
            Err(_) => return Err(Refused::TooSlow),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Refused::Cut),
            Ok(Some(Ok(first))) => first,
        };
        let mut size = first.len();
        let mut batch = vec![first];
        while size < BATCH && self.behind.is_none() {
            let more = poll_fn(|cx| match Pin::new(&mut self.body).poll_next(cx) {
                Poll::Ready(more) => Poll::Ready(Some(more)),
                Poll::Pending => Poll::Ready(None),
            });
            match more.await {
                None => break,
                Some(None) => self.behind = Some(Ok(())),
                Some(Some(Err(_))) => self.behind = Some(Err(Refused::Cut)),
                Some(Some(Ok(bytes))) => {
                    size += bytes.len();
                    batch.push(bytes);
                }
            }
        }
        Ok(Some(batch))
    }

    /// Appends a batch, unless there is no room or it is too much. What was
    /// written of a batch that does not fit is cut off again.
    async fn put(&mut self, batch: Vec<Bytes>) -> Result<(), Refused> {
        let size: u64 = batch.iter().map(|bytes| bytes.len() as u64).sum();
        if self.offset + size > self.length {
            return Err(Refused::TooMuch);
        }
        if self.evidence.room.free_bytes()? < size {
            return Err(Refused::Full);
        }
        if let Some((sums, _)) = &mut self.sums {
            batch.iter().for_each(|bytes| sums.update(bytes));
        }
        let mut file = self.file.try_clone()?;
        let written = blocking(move || batch.iter().try_for_each(|bytes| file.write_all(bytes)));
        written.await.map_err(full_or)?;
        self.offset += size;
        Ok(())
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

/// Opens a file to append to; a new one is in its folder when this returns.
pub(super) fn open_at_end(path: &Path) -> std::io::Result<(File, u64)> {
    let is_new = !path.exists();
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    if is_new && let Some(folder) = path.parent() {
        flush_folder(folder)?;
    }
    let length = file.metadata()?.len();
    Ok((file, length))
}
