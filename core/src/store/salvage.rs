//! Starting over: a database that is damaged, or that another installation
//! wrote, is set aside, and a new one takes its place with everything that
//! nobody else has.
//!
//! 1. Own actions that the server has not accepted are gathered, from the
//!    journal and from whatever of the database still reads.
//! 2. A new database is made in a folder of its own, `damaged-…` or
//!    `restored-…`. After damage, and if the journal is whole, the phone stays
//!    the same device, and the actions are queued in it. Otherwise it becomes
//!    another device: it must enrol again, and the actions are *salvaged*: kept
//!    and shown, to be done again by their owner ([`Store::salvaged`]).
//! 3. The new database is whole: it gets its final name there. From here on the
//!    recovery is finished by whoever opens the phone next.
//! 4. The old files move into that folder, and the new database takes their
//!    place. Records of others come from the feed again.
//!
//! Why not keep the identity of a restored backup: its chain would fork from
//! the chain of the phone that it is a copy of, and one of the two would lose.
//!
//! What can go wrong: the app dies: before (3) the next opening begins anew,
//! after it the next opening goes on; the disk is full: nothing has moved, and
//! the next opening tries again; database and journal are damaged in the same
//! action: its record and hash are named, its content is gone.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use rand::Rng;
use rusqlite::ffi::{SQLITE_IOERR, SQLITE_IOERR_DATA, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::evidence::{self, OwnPiece};
use super::journal::{Contents, Head, sync_folder};
use super::mark::{Mark, Marked};
use super::opening::{connect, extend, put_chain, put_head};
use super::write::{find_envelope, hash, id, queue, unaccepted};
use super::{Files, Store, StoreError, authentic, chain, generation, get_meta, put_meta, unsigned};
use crate::domain::ids::{EnvelopeHash, RecordId};
use crate::envelope::{self, Chain, Sealed};
use crate::points::{Point, pass};

/// The new database while it is being made, and when it is whole.
const DRAFT: &str = "rebuilt.draft";
const REBUILT: &str = "rebuilt.db";
/// The new installation's mark, if there is one.
const NEW_MARK: &str = "rebuilt.mark";

/// Why a phone started over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its database does not read any more.
    Damaged,
    /// Its database is another installation's, or an older copy.
    Restored,
}

impl Why {
    const ALL: [Self; 2] = [Self::Damaged, Self::Restored];

    /// A stable word, in `snake_case`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Restored => "restored",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.word() == word)
    }
}

/// A time when the phone started over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// When, by the wall clock, Unix milliseconds.
    pub at_ms: i64,
    /// Why.
    pub why: Why,
    /// The folder, beside the database, that the old files are in.
    pub aside: String,
    /// Whether it is still the same device; otherwise it must enrol again.
    pub same_device: bool,
    /// Own actions that are queued again.
    pub queued: u64,
    /// Own actions that wait for their owner to do them again.
    pub salvaged: u64,
    /// Own actions of which only the name is left.
    pub lost: u64,
}

/// An own action of a device that this phone is not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Which action.
    pub hash: EnvelopeHash,
    /// On which record.
    pub record: RecordId,
    /// As it was sealed; `None` if only its name is left.
    pub envelope: Option<Vec<u8>>,
}

impl Store {
    /// When this phone started over, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        incidents(&self.db)
    }

    /// Own actions of a former device that have neither been done again nor
    /// arrived by themselves, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn salvaged(&self) -> Result<Vec<Salvaged>, StoreError> {
        salvaged(&self.db)
    }

    /// Takes a salvaged action off the list: it was done again, or its owner has seen that
    /// it is lost or not wanted.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn settle_salvaged(&mut self, hash: &EnvelopeHash) -> Result<(), StoreError> {
        settle(&self.db, hash)
    }
}

/// Takes an action off the list. Its row stays, so that the journal, which may
/// still hold it, does not bring it back.
pub(super) fn settle(db: &Connection, hash: &EnvelopeHash) -> Result<(), StoreError> {
    db.prepare_cached("UPDATE salvaged SET settled = 1, bytes = NULL WHERE hash = ?1")?
        .execute([hash.0])?;
    Ok(())
}

/// Keeps an action of a former device.
pub(super) fn set_apart(db: &Connection, sealed: &Sealed) -> Result<(), StoreError> {
    let record = sealed.envelope.action.record;
    put_salvaged(db, &sealed.hash, record, Some(&sealed.bytes))
}

/// Sets the files aside and puts a new database in their place.
pub(super) fn start_over(
    files: &Files,
    why: Why,
    contents: &Contents,
    marked: Marked,
    rng: &mut impl Rng,
) -> Result<Incident, StoreError> {
    let rescued = Rescued::from(files)?;
    let head = match why {
        Why::Damaged => surviving(contents, marked),
        Why::Restored => None,
    };
    let seen = contents.head.as_ref().map_or(0, |head| head.generation);
    let newest = seen.max(rescued.generation).max(marked.generation());
    let aside = aside(files, why)?;
    pass(Point::AsideMade);
    let draft = Files {
        database: aside.join(DRAFT),
        ..files.clone()
    };
    let mut db = connect(&draft)?;
    let transaction = db.transaction()?;
    for before in rescued.incidents.iter().rev() {
        put_incident(&transaction, before)?;
    }
    for kept in &rescued.salvaged {
        let bytes = kept.envelope.as_deref();
        put_salvaged(&transaction, &kept.hash, kept.record, bytes)?;
    }
    let mut unsent = contents.envelopes.clone();
    unsent.retain(|sealed| !rescued.accepted.contains(&sealed.hash));
    let known: BTreeSet<_> = unsent.iter().map(|sealed| sealed.hash).collect();
    let read = rescued.unaccepted.into_iter();
    unsent.extend(read.filter(|sealed| !known.contains(&sealed.hash)));
    unsent.sort_by_key(|sealed| sealed.envelope.dev_seq);
    let device = head.and_then(|head| head.value("device")).cloned();
    let (queued, apart): (Vec<_>, Vec<_>) = unsent
        .into_iter()
        .partition(|it| device == Some(Value::Blob(it.envelope.device.0.to_vec())));
    match head {
        Some(head) => {
            put_head(&transaction, head)?;
            let mut chain = chain(&transaction)?;
            if let Some(last) = queued.last() {
                let (length, newest) = (last.envelope.dev_seq, Some(last.hash));
                extend(&mut chain, Chain { length, newest });
            }
            put_chain(&transaction, chain)?;
            for (name, value) in &rescued.directory {
                put_meta(&transaction, name, value)?;
            }
        }
        None => {
            let mut installation = [0; 16];
            rng.fill_bytes(&mut installation);
            put_meta(&transaction, "installation", &installation)?;
            fs::write(aside.join(NEW_MARK), installation)?;
        }
    }
    put_meta(&transaction, "generation", &(newest + 1).cast_signed())?;
    queue(&transaction, &queued)?;
    for sealed in &apart {
        set_apart(&transaction, sealed)?;
    }
    let mut lost = 0;
    for (record, hash) in &contents.lost {
        let elsewhere = find_envelope(&transaction, hash)?.is_some()
            || rescued.accepted.contains(hash)
            || apart.iter().any(|sealed| sealed.hash == *hash);
        if !elsewhere {
            put_salvaged(&transaction, hash, *record, None)?;
            lost += 1;
        }
    }
    let pieces = contents.pieces.iter().chain(&rescued.pieces);
    evidence::bring_back(&transaction, &pieces.cloned().collect::<Vec<_>>())?;
    let incident = Incident {
        at_ms: files.wall_ms,
        why,
        aside: name_of(&aside),
        same_device: head.is_some(),
        queued: queued.len() as u64,
        salvaged: apart.len() as u64,
        lost,
    };
    put_incident(&transaction, &incident)?;
    transaction.commit()?;
    pass(Point::RebuiltFilled);
    // One file from here on. Closing writes the log back too, but would not say that
    // the disk has refused it.
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Err(StoreError::Busy);
    }
    db.close().map_err(|(_, error)| error)?;
    pass(Point::RebuiltClosed);
    if files.journal().exists() {
        fs::copy(files.journal(), aside.join(name_of(&files.journal())))?;
    }
    pass(Point::JournalCopied);
    fs::rename(&draft.database, aside.join(REBUILT))?;
    sync_folder(&aside.join(REBUILT))?;
    pass(Point::RebuiltNamed);
    swap(files, &aside)?;
    Ok(incident)
}

/// Finishes, or clears away, what an app that died has begun.
pub(super) fn finish(files: &Files) -> Result<(), StoreError> {
    let entries = match fs::read_dir(files.folder()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let path = entry?.path();
        let name = name_of(&path);
        let is_aside = |why: Why| name.starts_with(&format!("{}-", why.word()));
        if !Why::ALL.into_iter().any(is_aside) {
            continue;
        }
        if path.join(REBUILT).exists() {
            swap(files, &path)?;
        } else if path.join(DRAFT).exists() {
            // Nothing has moved into it yet: copies only.
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Moves the old files into the folder and the new database out of it. Doing
/// it twice is doing it once.
fn swap(files: &Files, aside: &Path) -> Result<(), StoreError> {
    let mark = aside.join(NEW_MARK);
    if let Ok(bytes) = fs::read(&mark)
        && let Ok(installation) = bytes.try_into()
    {
        Mark::new(&files.unbacked).write(installation, 0)?;
        pass(Point::NewMarkWritten);
    }
    for suffix in ["-wal", "-shm", ""] {
        let mut path = files.database.clone().into_os_string();
        path.push(suffix);
        let path = PathBuf::from(path);
        match fs::rename(&path, aside.join(name_of(&path))) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Ok(()) => pass(Point::OldSetAside),
            Err(_) => {}
        }
    }
    fs::rename(aside.join(REBUILT), &files.database)?;
    sync_folder(&files.database)?;
    pass(Point::RebuiltInPlace);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// A new folder for what is set aside, named by the time in UTC.
fn aside(files: &Files, why: Why) -> Result<PathBuf, StoreError> {
    let time = DateTime::from_timestamp_millis(files.wall_ms).unwrap_or_default();
    let name = format!("{}-{}", why.word(), time.format("%Y%m%dT%H%M%SZ"));
    for nth in 1.. {
        let folder = match nth {
            1 => files.folder().join(&name),
            nth => files.folder().join(format!("{name}-{nth}")),
        };
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Damaged("no folder name is left".to_owned()))
}

/// The head under which a damaged phone goes on. Only a whole journal knows
/// where the chain stands, and only this installation's may go on with it.
fn surviving(contents: &Contents, marked: Marked) -> Option<&Head> {
    let head = contents.head.as_ref()?;
    let ours = match marked {
        Marked::As {
            installation,
            generation,
        } => contents.generation_of(Some(installation)) >= generation.max(1),
        Marked::Unreadable => true,
        Marked::Not => false,
    };
    (ours && contents.is_whole()).then_some(head)
}

/// What still reads of a database.
#[derive(Default)]
struct Rescued {
    generation: u64,
    unaccepted: Vec<Sealed>,
    accepted: BTreeSet<EnvelopeHash>,
    salvaged: Vec<Salvaged>,
    incidents: Vec<Incident>,
    directory: Vec<(&'static str, Value)>,
    pieces: Vec<(RecordId, OwnPiece)>,
}

impl Rescued {
    /// As much as there is: what does not read is left out. A connection that
    /// has met one bad page reads no other, so each question has its own.
    ///
    /// # Errors
    /// The disk refuses what reading takes, such as a log: that says nothing of
    /// what is there, and nothing is left out because of it.
    fn from(files: &Files) -> Result<Self, StoreError> {
        if !files.database.exists() {
            return Ok(Self::default());
        }
        fn ask<T: Default>(
            files: &Files,
            question: impl FnOnce(&Connection) -> Result<T, StoreError>,
        ) -> Result<T, StoreError> {
            let answer = connect(files).and_then(|db| {
                let answer = question(&db)?;
                authentic(&db).map(|()| answer)
            });
            match answer {
                Err(error) if refuses(&error) => Err(error),
                answer => Ok(answer.unwrap_or_default()),
            }
        }
        let unaccepted = ask(files, |db| {
            let envelopes = unaccepted(db)?.into_iter();
            Ok(envelopes
                .filter_map(|(_, bytes)| envelope::open(&bytes).ok())
                .collect())
        });
        Ok(Self {
            generation: ask(files, generation)?,
            unaccepted: unaccepted?,
            accepted: ask(files, accepted)?,
            salvaged: ask(files, salvaged)?,
            incidents: ask(files, incidents)?,
            pieces: ask(files, evidence::unarrived)?,
            directory: ask(files, |db| {
                let mut values = Vec::new();
                for name in ["directory", "directory_version"] {
                    let value = get_meta::<Value>(db, name)?;
                    values.extend(value.map(|value| (name, value)));
                }
                Ok(values)
            })?,
        })
    }
}

/// Whether an error is of the disk, which may do it the next time, and not of what
/// is on it.
fn refuses(error: &StoreError) -> bool {
    match error {
        StoreError::Full | StoreError::Busy => true,
        StoreError::Sqlite(error) => error.sqlite_error().is_some_and(|error| {
            let of_reading = [
                SQLITE_IOERR_READ,
                SQLITE_IOERR_SHORT_READ,
                SQLITE_IOERR_DATA,
            ];
            error.extended_code & 0xff == SQLITE_IOERR && !of_reading.contains(&error.extended_code)
        }),
        _ => false,
    }
}

/// Own envelopes that the server has accepted, late ones included.
fn accepted(db: &Connection) -> Result<BTreeSet<EnvelopeHash>, StoreError> {
    let mut statement =
        db.prepare("SELECT hash FROM envelope WHERE own = 1 AND standing IN (1, 2)")?;
    let rows = statement.query_map([], |row| hash(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn salvaged(db: &Connection) -> Result<Vec<Salvaged>, StoreError> {
    // What the former device has sent itself is here by its hash.
    let mut statement = db.prepare_cached(
        "SELECT hash, record, bytes FROM salvaged
         WHERE settled = 0 AND NOT EXISTS (SELECT 1 FROM envelope WHERE envelope.hash = salvaged.hash)
         ORDER BY id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Salvaged {
            hash: hash(row, 0)?,
            record: id(row, 1)?,
            envelope: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn put_salvaged(
    db: &Connection,
    hash: &EnvelopeHash,
    record: RecordId,
    bytes: Option<&[u8]>,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO salvaged (hash, record, bytes) VALUES (?1, ?2, ?3)
         ON CONFLICT (hash) DO UPDATE SET bytes = coalesce(bytes, excluded.bytes)
         WHERE settled = 0",
    )?
    .execute(params![hash.0, record.0, bytes])?;
    Ok(())
}

fn incidents(db: &Connection) -> Result<Vec<Incident>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT at_ms, why, aside, same_device, queued, salvaged, lost
         FROM incident ORDER BY id DESC",
    )?;
    let rows = statement.query_map([], |row| {
        let why: String = row.get(1)?;
        let count = |at| row.get::<_, i64>(at).map(|count| unsigned(Some(count)));
        Ok(Incident {
            at_ms: row.get(0)?,
            why: Why::from_word(&why).ok_or(rusqlite::Error::InvalidQuery)?,
            aside: row.get(2)?,
            same_device: row.get(3)?,
            queued: count(4)?,
            salvaged: count(5)?,
            lost: count(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn put_incident(db: &Connection, incident: &Incident) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO incident (at_ms, why, aside, same_device, queued, salvaged, lost)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        incident.at_ms,
        incident.why.word(),
        incident.aside,
        incident.same_device,
        incident.queued.cast_signed(),
        incident.salvaged.cast_signed(),
        incident.lost.cast_signed(),
    ])?;
    Ok(())
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
