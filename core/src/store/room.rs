//! What the phone takes on the device, and giving back what nobody needs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Store, StoreError, unsigned};

/// Folders of what was set aside begin so ([`super::salvage`]).
const ASIDE: [&str; 2] = ["damaged-", "restored-"];

/// Bytes of a page of the database.
const PAGE_BYTES: u64 = 4_096;

/// What the phone takes on the device, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// The database, its log included.
    pub database_bytes: u64,
    /// Of that, pages that nothing uses.
    pub unused_bytes: u64,
    /// The journal.
    pub journal_bytes: u64,
    /// What was set aside when the phone started over.
    pub aside_bytes: u64,
}

impl Store {
    /// What the phone takes on the device.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn room(&self) -> Result<Room, StoreError> {
        let database = self.path();
        let unused = self
            .db
            .pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let mut room = Room {
            database_bytes: size(&database)? + size(&beside(&database, "-wal"))?,
            unused_bytes: unsigned(Some(unused)) * PAGE_BYTES,
            journal_bytes: size(&database.with_extension("journal"))?,
            aside_bytes: 0,
        };
        for folder in self.aside()? {
            room.aside_bytes += weigh(&folder)?;
        }
        Ok(room)
    }

    /// Gives unused pages back to the device, and what was set aside if `aside`
    /// says so. Returns the bytes gained.
    ///
    /// # Errors
    /// See [`StoreError`]; a full disk may refuse, for the database is written
    /// anew.
    pub fn purge(&mut self, aside: bool) -> Result<u64, StoreError> {
        let before = self.room()?;
        self.db.execute_batch("VACUUM")?;
        let mut truncate = self.db.prepare("PRAGMA wal_checkpoint(TRUNCATE)")?;
        truncate.query_row([], |_| Ok(()))?;
        drop(truncate);
        for folder in self.aside()?.into_iter().filter(|_| aside) {
            fs::remove_dir_all(folder)?;
        }
        let after = self.room()?;
        let total = |room: Room| room.database_bytes + room.journal_bytes + room.aside_bytes;
        Ok(total(before).saturating_sub(total(after)))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(self.db.path().unwrap_or_default())
    }

    /// Folders of what was set aside.
    fn aside(&self) -> Result<Vec<PathBuf>, StoreError> {
        let path = self.path();
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_aside = ASIDE.iter().any(|prefix| name.starts_with(prefix));
            if is_aside && entry.file_type()?.is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Bytes of a file; 0 if there is none.
fn size(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Bytes of everything in a folder; 0 if there is none.
pub(super) fn weigh(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => weigh(&entry.path())?,
            false => size(&entry.path())?,
        };
    }
    Ok(bytes)
}
