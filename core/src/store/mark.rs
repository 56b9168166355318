//! The mark of an installation: a small file in a place that backups and moves
//! to another phone leave out. The database knows it too, so that a database
//! which wakes up elsewhere, or older than the phone has been, is told apart.
//!
//! What can go wrong: the file is damaged: it is written anew, and until then
//! only a missing or another mark tells; the disk is full: it stays behind,
//! and a restored copy is told apart a little later.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::StoreError;
use crate::points::{Point, pass};

const FILE: &str = "installation";

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marked {
    /// Nothing: no phone has lived here.
    Not,
    /// Not readable any more.
    Unreadable,
    /// This installation, which has seen this generation.
    As {
        /// 16 random bytes.
        installation: [u8; 16],
        /// The newest generation.
        generation: u64,
    },
}

impl Marked {
    pub fn generation(self) -> u64 {
        match self {
            Self::As { generation, .. } => generation,
            _ => 0,
        }
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct Mark(PathBuf);

impl Mark {
    pub fn new(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    pub fn read(&self) -> Result<Marked, StoreError> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Marked::Not),
            Err(error) => return Err(error.into()),
        };
        let read = || {
            let (said, check) = bytes.split_at_checked(24)?;
            (Sha256::digest(said)[..8] == *check).then_some(Marked::As {
                installation: said[..16].try_into().ok()?,
                generation: u64::from_be_bytes(said[16..].try_into().ok()?),
            })
        };
        Ok(read().unwrap_or(Marked::Unreadable))
    }

    pub fn write(&self, installation: [u8; 16], generation: u64) -> Result<(), StoreError> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut bytes = installation.to_vec();
        bytes.extend(generation.to_be_bytes());
        let check = Sha256::digest(&bytes);
        bytes.extend(&check[..8]);
        let draft = self.0.with_extension("draft");
        let mut file = fs::File::create(&draft)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        pass(Point::MarkDrafted);
        Ok(fs::rename(&draft, &self.0)?)
    }
}
