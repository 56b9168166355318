//! Whether bytes are what an action says: the ciphertext has the hash that names
//! it, and with the key of the record it opens to bytes of the hash and size that
//! were signed. Reads in chunks; nothing is held whole.

use std::future::poll_fn;
use std::io::{self, Read};
use std::path::PathBuf;

use axum::body::Bytes;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use shaodao_core::domain::ids::SealedId;
use shaodao_core::evidence::stream::{self, StreamError};

use super::catalogue::Known;
use super::objects::ByteStream;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

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

/// Checks a ciphertext for every row that has a key. Takes its time: to be run
/// off the async threads, inside a runtime.
pub(super) fn check(
    sealed: &SealedId,
    rows: &[Known],
    mut source: impl FnMut() -> io::Result<Source>,
) -> io::Result<Checked> {
    let mut checked = Checked::default();
    let mut hash = None;
    for row in rows {
        let Some(key) = &row.key else {
            continue;
        };
        match stream::open(key, reader(source()?)?, io::sink(), row.size) {
            Ok(streamed) => {
                hash = Some(streamed.sealed);
                match streamed.id == row.id && streamed.size == row.size {
                    true => checked.right.push(row.row),
                    false => checked.untrue.push(row.row),
                }
            }
            Err(StreamError::Unreadable) => checked.wrong_key.push(row.row),
            Err(StreamError::TooLarge(_)) => checked.untrue.push(row.row),
            Err(StreamError::Io(error)) => return Err(error),
        }
    }
    let hash = match hash {
        Some(hash) => hash,
        None => hash_of(reader(source()?)?)?,
    };
    checked.named_right = hash == *sealed;
    Ok(checked)
}

/// The hash of everything that can be read.
fn hash_of(mut from: impl Read) -> io::Result<SealedId> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(SealedId(hasher.finalize().into())),
            Ok(read) => hasher.update(&chunk[..read]),
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
