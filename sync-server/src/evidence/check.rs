//! Whether bytes are what an action says: the ciphertext has the hash that names
//! it, and with the key of the record it opens to bytes of the hash and size that
//! were signed. Nothing is held whole.
//!
//! 1. A [`Look`] takes the ciphertext in parts, while it comes or as it is read
//!    again.
//! 2. An upload that goes on in the next request leaves its look here
//!    ([`Looks`]), so that nothing is read twice when all of it is there.
//!
//! What can go wrong: (2) there are too many, the server was started again, the
//! key has come meanwhile: what is on the disk is read again ([`check`]).

use std::future::poll_fn;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use lru::LruCache;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use shaodao_core::domain::ids::{EvidenceId, SealedId};
use shaodao_core::evidence::stream::{Opening, PieceKey, StreamError};

use super::catalogue::Known;
use super::objects::ByteStream;
use super::turns::Upload;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Records for which a piece is opened in one reading; each holds a chunk.
const ROWS_AT_ONCE: usize = 4;
/// Looks that are kept for the next request.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// Where a ciphertext is.
pub(super) enum Source {
    /// In a file.
    File(PathBuf),
    /// In the store.
    Object(ByteStream),
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The ciphertext has the hash that names it.
    pub named_right: bool,
    /// Rows whose key opens it to what was signed.
    pub right: Vec<i64>,
    /// Rows whose key does not open it.
    pub wrong_key: Vec<i64>,
    /// Rows whose key opens it to something else than was signed.
    pub untrue: Vec<i64>,
}

/// A look at a ciphertext, from its first byte on.
pub(super) struct Look {
    hash: Sha256,
    at: u64,
    rows: Vec<Opened>,
}

/// What is opened with the key of one row.
struct Opened {
    row: i64,
    key: PieceKey,
    id: EvidenceId,
    size: u64,
    opening: Result<Box<Opening<io::Sink>>, StreamError>,
}

impl Look {
    /// Begins to look for these rows; those without a key are left out.
    pub fn new<'a>(rows: impl IntoIterator<Item = &'a Known>) -> Self {
        let opened = |row: &Known| {
            let key = row.key.clone()?;
            let opening = Opening::new(&key, io::sink(), row.size);
            Some(Opened {
                row: row.row,
                key,
                id: row.id,
                size: row.size,
                opening: Ok(Box::new(opening)),
            })
        };
        Self {
            hash: Sha256::new(),
            at: 0,
            rows: rows.into_iter().filter_map(opened).collect(),
        }
    }

    /// Begins to look while a piece comes, unless it is attached to so many
    /// records that this would take much memory.
    pub fn at_few(rows: &[Known]) -> Option<Self> {
        let rows = rows.iter().filter(|row| row.key.is_some());
        (rows.clone().count() <= ROWS_AT_ONCE).then(|| Self::new(rows))
    }

    /// How far it has looked, bytes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Takes the next part.
    pub fn take(&mut self, part: &[u8]) {
        self.hash.update(part);
        self.at += part.len() as u64;
        for row in &mut self.rows {
            if let Ok(opening) = &mut row.opening
                && let Err(error) = opening.take(part)
            {
                row.opening = Err(error);
            }
        }
    }

    /// Whether it says something of each of these rows that has a key, by that
    /// key and what is signed.
    pub fn knows(&self, rows: &[Known]) -> bool {
        rows.iter().all(|row| {
            let is_it = |it: &Opened| {
                it.row == row.row
                    && row.key.as_ref() == Some(&it.key)
                    && (it.id, it.size) == (row.id, row.size)
            };
            row.key.is_none() || self.rows.iter().any(is_it)
        })
    }

    /// All of it was taken.
    pub fn end(self, sealed: &SealedId) -> Checked {
        let mut checked = Checked {
            named_right: self.hash.finalize()[..] == sealed.0,
            ..Checked::default()
        };
        for row in self.rows {
            let opened = row.opening.and_then(|opening| opening.end());
            match opened {
                Ok(opened) if opened == (row.id, row.size) => checked.right.push(row.row),
                // Writing to nowhere does not fail.
                Ok(_) | Err(StreamError::TooLarge(_) | StreamError::Io(_)) => {
                    checked.untrue.push(row.row);
                }
                Err(StreamError::Unreadable) => checked.wrong_key.push(row.row),
            }
        }
        checked
    }
}

/// Looks at uploads between two of their requests.
#[derive(Debug)]
pub(super) struct Looks(Mutex<LruCache<Upload, Look>>);

impl std::fmt::Debug for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Look(at {})", self.at)
    }
}

impl Looks {
    pub fn new() -> Self {
        Self(Mutex::new(LruCache::new(KEPT)))
    }

    /// A look at an upload of which so much is here; `None` if it has to be read
    /// again.
    pub fn take(&self, upload: &Upload, here: u64) -> Option<Look> {
        self.looks().pop(upload).filter(|look| look.at == here)
    }

    /// Nobody goes on with an upload.
    pub fn forget(&self, upload: &Upload) {
        self.looks().pop(upload);
    }

    /// Keeps a look for the next request.
    pub fn keep(&self, upload: Upload, look: Look) {
        self.looks().put(upload, look);
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, LruCache<Upload, Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks a ciphertext for every row that has a key. Takes its time: to be run
/// off the async threads, inside a runtime.
pub(super) fn check(
    sealed: &SealedId,
    rows: &[Known],
    mut source: impl FnMut() -> io::Result<Source>,
) -> io::Result<Checked> {
    let rows: Vec<_> = rows.iter().filter(|row| row.key.is_some()).collect();
    let (first, others) = rows.split_at(rows.len().min(ROWS_AT_ONCE));
    let mut checked = read(first, source()?)?.end(sealed);
    for some in others.chunks(ROWS_AT_ONCE) {
        let more = read(some, source()?)?.end(sealed);
        checked.named_right &= more.named_right;
        checked.right.extend(more.right);
        checked.wrong_key.extend(more.wrong_key);
        checked.untrue.extend(more.untrue);
    }
    Ok(checked)
}

/// Looks at everything that can be read.
fn read(rows: &[&Known], source: Source) -> io::Result<Look> {
    let mut from = reader(source)?;
    let mut look = Look::new(rows.iter().copied());
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(look),
            Ok(read) => look.take(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a source outside of the async threads, but inside a runtime.
pub(super) fn reader(source: Source) -> io::Result<Box<dyn Read>> {
    Ok(match source {
        Source::File(path) => Box::new(std::fs::File::open(path)?),
        Source::Object(stream) => Box::new(Streamed {
            runtime: Handle::current(),
            stream,
            rest: Bytes::new(),
        }),
    })
}

struct Streamed {
    runtime: Handle,
    stream: ByteStream,
    rest: Bytes,
}

impl Read for Streamed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let stream = &mut self.stream;
            let next = poll_fn(|cx| stream.as_mut().poll_next(cx));
            match self.runtime.block_on(next) {
                Some(Ok(bytes)) => self.rest = bytes,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(into.len());
        into[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
