//! The files of evidence, in a folder beside the database. What lies there is
//! ciphertext only; its name is its hash.
//!
//! 1. [`Pieces::begin`] keeps other processes from sweeping while something is
//!    written that no row names yet.
//! 2. [`Pieces::seal`] and [`Pieces::put`] write a file of another name, flush
//!    it, give it its own name, and flush the folder. Only then may an action
//!    cite it.
//! 3. [`Pieces::sweep`] removes whatever no row names: what was begun and never
//!    cited, what was erased, what was dropped.
//!
//! What can go wrong: (2) the disk or the quota is full: nothing is left behind
//! but what the next sweep removes; the app dies: the same.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rand::Rng;
use zeroize::Zeroizing;

use super::StoreError;
use super::journal::sync_folder;
use crate::domain::ids::SealedId;
use crate::evidence::stream::{self, PieceKey, StreamError, Streamed};
use crate::points::{Point, pass};

const LOCK: &str = "lock";
const BEGUN: &str = "begun-";

/// Which form of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As it was taken.
    Original,
    /// Smaller, for looking at.
    Display,
    /// Very small.
    Thumbnail,
    /// A part of the original that is being fetched.
    Fetched,
}

impl Form {
    const ALL: [Form; 4] = [
        Self::Original,
        Self::Display,
        Self::Thumbnail,
        Self::Fetched,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Display => "display",
            Self::Thumbnail => "thumbnail",
            Self::Fetched => "fetched",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Original => "",
            Self::Display => ".display",
            Self::Thumbnail => ".thumbnail",
            Self::Fetched => ".fetched",
        }
    }
}

/// An original, opened.
pub struct Opened {
    /// What was read.
    pub streamed: Streamed,
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// Nobody sweeps while this lives.
#[derive(Debug)]
pub struct Begun(#[allow(dead_code)] File);

/// The folder.
#[derive(Debug, Clone)]
pub struct Pieces {
    folder: PathBuf,
    quota: Option<u64>,
}

impl Pieces {
    /// The evidence of the phone whose files are in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.join("evidence"),
            quota: None,
        }
    }

    /// The folder is made when it is first needed.
    fn make(&self) -> Result<(), StoreError> {
        if !self.folder.is_dir() {
            fs::create_dir_all(&self.folder)?;
            sync_folder(&self.folder)?;
        }
        Ok(())
    }

    /// Lets the folder have so many bytes: a quota, and the way to meet a full
    /// disk on purpose.
    pub fn limit_bytes(&mut self, quota: Option<u64>) {
        self.quota = quota;
    }

    /// Bytes of everything in the folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        Ok(super::room::weigh(&self.folder)?)
    }

    /// Keeps sweepers away until what is returned is dropped.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn begin(&self) -> Result<Begun, StoreError> {
        self.make()?;
        let lock = self.lock_file()?;
        lock.lock_shared()?;
        Ok(Begun(lock))
    }

    /// Seals what `from` gives, at most `most` bytes, and keeps it as an
    /// original. On the disk when it returns.
    ///
    /// # Errors
    /// No room, or larger than that.
    pub fn seal(
        &self,
        _: &Begun,
        rng: &mut impl Rng,
        key: &PieceKey,
        from: impl Read,
        most: u64,
    ) -> Result<Streamed, StoreError> {
        let mut draft = self.draft(rng)?;
        let sealed = stream::seal(key, from, &mut draft, most);
        let streamed = sealed.map_err(|error| match error {
            StreamError::Io(error) => StoreError::from(error),
            other => StoreError::File(io::Error::other(other)),
        })?;
        draft.become_file(&self.path(streamed.sealed, Form::Original))?;
        Ok(streamed)
    }

    /// Keeps a sealed copy of a piece. On the disk when it returns.
    ///
    /// # Errors
    /// No room.
    pub fn put(
        &self,
        rng: &mut impl Rng,
        sealed: SealedId,
        form: Form,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let mut draft = self.draft(rng)?;
        draft.write_all(bytes)?;
        draft.become_file(&self.path(sealed, form))
    }

    /// Where a form of a piece is, or would be.
    pub fn path(&self, sealed: SealedId, form: Form) -> PathBuf {
        self.folder.join(format!("{sealed}{}", form.suffix()))
    }

    /// How many bytes a form of a piece has here; `None` if it is not here.
    pub fn size(&self, sealed: SealedId, form: Form) -> Option<u64> {
        let metadata = fs::metadata(self.path(sealed, form)).ok()?;
        Some(metadata.len())
    }

    /// The bytes of a sealed copy; `None` if it is not here.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, sealed: SealedId, form: Form) -> Result<Option<Vec<u8>>, StoreError> {
        match fs::read(self.path(sealed, form)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The original, opened; `None` if it is not here or is not what its name
    /// says.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(
        &self,
        sealed: SealedId,
        key: &PieceKey,
        most: u64,
    ) -> Result<Option<Opened>, StoreError> {
        let file = match File::open(self.path(sealed, Form::Original)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        match stream::open(key, BufReader::new(file), &mut *bytes, most) {
            Ok(streamed) if streamed.sealed == sealed => Ok(Some(Opened { streamed, bytes })),
            Ok(_) | Err(StreamError::Unreadable | StreamError::TooLarge(_)) => Ok(None),
            Err(StreamError::Io(error)) => Err(error.into()),
        }
    }

    /// Adds to what was fetched of a piece so far.
    ///
    /// # Errors
    /// No room.
    pub fn append_fetched(&self, sealed: SealedId, bytes: &[u8]) -> Result<(), StoreError> {
        self.make()?;
        self.room_for(bytes.len() as u64)?;
        let path = self.path(sealed, Form::Fetched);
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(file.write_all(bytes)?)
    }

    /// What was fetched is the whole piece: it gets its name.
    ///
    /// # Errors
    /// The disk does not.
    pub fn fetched_all(&self, sealed: SealedId) -> Result<(), StoreError> {
        let from = self.path(sealed, Form::Fetched);
        File::open(&from)?.sync_all()?;
        pass(Point::FetchedFlushed);
        let to = self.path(sealed, Form::Original);
        fs::rename(from, &to)?;
        Ok(sync_folder(&to)?)
    }

    /// Removes a form of a piece, if it is here.
    ///
    /// # Errors
    /// The disk does not.
    pub fn remove(&self, sealed: SealedId, form: Form) -> Result<(), StoreError> {
        match fs::remove_file(self.path(sealed, form)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Removes whatever none of the `known` names; how many files. `None` if
    /// somebody has begun something: then the next opening does it.
    ///
    /// # Errors
    /// The folder cannot be read, or `known` cannot.
    pub fn sweep(
        &self,
        known: impl FnOnce() -> Result<BTreeSet<SealedId>, StoreError>,
    ) -> Result<Option<usize>, StoreError> {
        if !self.folder.is_dir() {
            return Ok(Some(0));
        }
        let lock = self.lock_file()?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != LOCK {
                files.push((entry.path(), named(&name)));
            }
        }
        if files.is_empty() {
            return Ok(Some(0));
        }
        // Asked behind the lock: what was committed before it is known.
        let known = known()?;
        let mut removed = 0;
        for (path, sealed) in files {
            if !sealed.is_some_and(|sealed| known.contains(&sealed)) {
                fs::remove_file(&path)?;
                pass(Point::PieceSwept);
                removed += 1;
            }
        }
        Ok(Some(removed))
    }

    fn lock_file(&self) -> Result<File, StoreError> {
        let path = self.folder.join(LOCK);
        let options = OpenOptions::new().create(true).append(true).open(path);
        Ok(options?)
    }

    fn draft(&self, rng: &mut impl Rng) -> Result<Draft, StoreError> {
        self.make()?;
        let mut name = [0; 8];
        rng.fill_bytes(&mut name);
        let name = u64::from_be_bytes(name);
        let path = self.folder.join(format!("{BEGUN}{name:016x}"));
        let room = match self.quota {
            Some(quota) => Some(quota.saturating_sub(self.used()?)),
            None => None,
        };
        Ok(Draft {
            file: File::create(&path)?,
            path,
            room,
        })
    }

    fn room_for(&self, bytes: u64) -> Result<(), StoreError> {
        match self.quota {
            Some(quota) if self.used()?.saturating_add(bytes) > quota => Err(StoreError::Full),
            _ => Ok(()),
        }
    }

    fn used(&self) -> Result<u64, StoreError> {
        let mut used = 0;
        for entry in fs::read_dir(&self.folder)? {
            used += entry?.metadata()?.len();
        }
        Ok(used)
    }
}

/// The piece that a file's name names.
fn named(name: &str) -> Option<SealedId> {
    Form::ALL
        .into_iter()
        .find_map(|form| name.strip_suffix(form.suffix())?.parse().ok())
}

/// A file that has no name of its own yet.
struct Draft {
    file: File,
    path: PathBuf,
    /// Bytes that the quota leaves.
    room: Option<u64>,
}

impl Draft {
    fn become_file(self, path: &Path) -> Result<(), StoreError> {
        pass(Point::PieceWritten);
        self.file.sync_all()?;
        pass(Point::PieceFlushed);
        fs::rename(&self.path, path)?;
        pass(Point::PieceNamed);
        sync_folder(path)?;
        pass(Point::PieceKept);
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(room) = &mut self.room {
            match room.checked_sub(bytes.len() as u64) {
                Some(left) => *room = left,
                None => return Err(ErrorKind::QuotaExceeded.into()),
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
