//! The disk as it lies there after the power went: every end that a write-ahead
//! log can have, clean and torn, opens to a state that contains everything that
//! had been acknowledged by then. And files of another version of the program.
//!
//! 5,000 ends of a phone's log and of a server's; `SHAODAO_POINTS=50000` is the
//! long run, `SHAODAO_SEED` chooses another session.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use shaodao_tests::wanted::wanted;

mod phone;
mod server;
mod versions;

/// Header of a write-ahead log, bytes, and of each of its frames; a page.
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + 4_096;

fn points() -> usize {
    wanted("SHAODAO_POINTS", 5_000) as usize / 2
}

fn seed() -> u64 {
    wanted("SHAODAO_SEED", 1)
}

/// A log as far as it got.
struct Cut {
    /// What is left of it.
    bytes: Vec<u8>,
    /// How much of that is as it was written.
    whole: usize,
    what: &'static str,
}

/// Where to cut: every end of a frame once, then anywhere.
fn cut(log: &[u8], nth: usize, rng: &mut StdRng) -> Cut {
    let frames = log.len().saturating_sub(LOG_HEADER) / FRAME;
    let (at, clean) = match nth <= frames {
        true => (LOG_HEADER + nth * FRAME, true),
        false => (rng.random_range(0..=log.len()), false),
    };
    let mut bytes = log[..at].to_vec();
    // The file system may have made the file longer before it wrote.
    let more = match nth <= frames {
        true => 0,
        false => rng.random_range(0..2 * FRAME).min(log.len() - at),
    };
    let what = match rng.random_range(0..3) {
        _ if more == 0 => {
            if clean {
                "clean"
            } else {
                "torn"
            }
        }
        0 => "torn",
        1 => {
            bytes.resize(at + more, 0);
            "torn, then zeroes"
        }
        _ => {
            bytes.resize(at + more, 0);
            rng.fill_bytes(&mut bytes[at..]);
            "torn, then anything"
        }
    };
    Cut {
        bytes,
        whole: at,
        what,
    }
}

/// A folder in memory where the system has such: what is tried are the bytes,
/// not the disk.
struct Memory(PathBuf);

impl Memory {
    fn new(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let base = match memory.is_dir() {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let folder = base.join(format!("shaodao-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    /// Puts files there, and nothing else.
    fn place<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        let _ = std::fs::remove_dir_all(&self.0);
        for (name, bytes) in files {
            let path = self.0.join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("writes");
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
