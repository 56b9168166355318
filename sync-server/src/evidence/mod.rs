//! Evidence: photos, voice notes and files, as they come, rest and go out, always
//! encrypted, under the key that their author's phone drew for each.
//!
//! 1. An action attaches a piece; [`catalogue`] has a row for it on its record
//!    from then on. The key comes beside the envelopes.
//! 2. A phone brings the ciphertext, in as many requests as the network needs
//!    ([`uploads`], one at a time each: `turns`; `receiving` what comes), while
//!    there is `room`.
//! 3. While it comes, `check` opens it with the key of the record: only what is
//!    what was signed is published (`publishing`).
//! 4. It rests in [`objects`]: a folder, or a bucket.
//! 5. The news say that it has arrived, to everybody whom the record is meant
//!    for, with the key; [`delivery`] hands it and its thumbnail out, to them
//!    only, and says that it was seen.
//! 6. An action erases it: the key is destroyed at once, the bytes by the next
//!    [`sweep`]. So does what was set aside with its action, some time after that
//!    was `sent_back`. [`retention`] erases what was kept long enough, by an action of
//!    the server's own.
//!
//! What can go wrong: (2) cut, killed, full: what came stays, and goes on; (3) it
//! is not what was signed: dropped, and its author is told; (4) an object is gone:
//! [`inspect`] finds it; after a restore the phones are asked for it again; (6) a
//! copy that was made before, such as an older backup of the database, still has
//! the key: whoever erases has to destroy those too. A backup has the keys and not
//! the bytes: it is worth as much as the folder or bucket that is kept with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};

use shaodao_core::domain::ids::SealedId;

use crate::app::App;
use crate::db::DbError;
use crate::engine::{Caller, EngineError};
use crate::writer::WriteFailed;

pub mod settings;
//
pub mod catalogue;
//
pub mod uploads;
//
pub mod receiving;
//
mod publishing;
//
mod turns;
//
mod room;
//
mod check;
//
pub mod objects;
//
pub mod delivery;
//
pub mod sweep;
//
mod sent_back;
//
pub mod retention;
//
pub mod inspect;

use check::Looks;
use objects::{Objects, ObjectsError};
use room::Room;
use settings::Settings;
use turns::{Busy, Turns};

/// Name of the folder of unfinished uploads in the data folder.
const ARRIVING: &str = "evidence-arriving";

/// The evidence of a server.
#[derive(Debug)]
pub struct Evidence {
    settings: Settings,
    objects: Objects,
    arriving: PathBuf,
    turns: Arc<Turns>,
    looks: Looks,
    room: Room,
    /// How long a sender may say nothing.
    idle: Duration,
    /// Thumbnails that are being made.
    making: Semaphore,
    /// Whether what the database says was compared with what is there.
    sure: Mutex<bool>,
}

/// Evidence that was not taken or handed out, and why.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nothing by this name, or nothing for this caller.
    #[error("no such evidence")]
    NoSuch,
    /// It was erased.
    #[error("the evidence was erased")]
    Erased,
    /// The offset is another one.
    #[error("the offset is {offset}")]
    Offset {
        /// Bytes that are here.
        offset: u64,
    },
    /// A newer request has taken over, or an older one does not let go.
    #[error("another request brings the same piece")]
    Busy,
    /// Not as long as the action says.
    #[error("the action says {wanted} bytes")]
    Size {
        /// What the action says, sealed.
        wanted: u64,
    },
    /// More bytes than were announced.
    #[error("more bytes than there should be")]
    TooMuch,
    /// Not what was signed.
    #[error("not what was signed")]
    Hash,
    /// The checksum of one request is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// All is here, and its key is not.
    #[error("the key has not come")]
    Key,
    /// There is no room.
    #[error("there is no room for evidence")]
    Full,
    /// The day's limit of the device is reached.
    #[error("the day's limit is reached")]
    Quota {
        /// Seconds until the next day begins.
        wait_s: u64,
    },
    /// Nothing came for too long.
    #[error("nothing came for too long")]
    TooSlow,
    /// The connection broke: nobody hears this.
    #[error("the connection broke")]
    Cut,
    /// The store could not.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// A file could not be read or written.
    #[error("a file of evidence: {0}")]
    File(#[from] std::io::Error),
    /// The database could not.
    #[error(transparent)]
    Write(#[from] WriteFailed),
}

impl From<DbError> for Refused {
    fn from(error: DbError) -> Self {
        Self::Write(WriteFailed::Engine(EngineError::Db(error)))
    }
}

impl From<Busy> for Refused {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// A file that cannot be written because the disk, the quota or the largest file
/// that the system allows is full is no failure.
fn full_or(error: std::io::Error) -> Refused {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => Refused::Full,
        _ => Refused::File(error),
    }
}

impl Evidence {
    /// Opens the folders, or the bucket.
    ///
    /// # Errors
    /// See [`ObjectsError`].
    pub fn open(
        settings: Settings,
        data: &Path,
        idle: Duration,
    ) -> Result<Arc<Self>, ObjectsError> {
        let arriving = data.join(ARRIVING);
        std::fs::create_dir_all(&arriving).map_err(|error| ObjectsError::File {
            path: arriving.clone(),
            error,
        })?;
        let objects = Objects::open(&settings, data)?;
        objects.prepare()?;
        let room = Room::new(&settings, &arriving, objects.folder());
        Ok(Arc::new(Self {
            objects,
            arriving,
            turns: Turns::new(),
            looks: Looks::new(),
            room,
            idle,
            making: Semaphore::new(1),
            sure: Mutex::new(false),
            settings,
        }))
    }

    /// What was set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Bytes that evidence may still take of its disks.
    ///
    /// # Errors
    /// The system does not say.
    pub fn free_bytes(&self) -> std::io::Result<u64> {
        self.room.free_bytes()
    }

    /// Uploads put down what they have and end, because the server stops.
    pub fn stop(&self) {
        self.turns.stop();
    }
}

impl App {
    /// What a caller may know of a piece; see [`catalogue::find`].
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn evidence_for(
        &self,
        caller: &Caller,
        sealed: &SealedId,
    ) -> Result<Vec<catalogue::Known>, Refused> {
        let names = match caller.state {
            shaodao_core::domain::directory::DeviceState::Active => {
                let directory = self.directory().map_err(WriteFailed::Engine)?;
                directory.keys_of(&caller.person)
            }
            // Who is shut out hands in what is their own, and reads nothing.
            _ => Vec::new(),
        };
        Ok(self.read(|db| catalogue::find(db, caller, &names, sealed))?)
    }
}
