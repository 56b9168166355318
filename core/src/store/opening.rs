//! Opening the phone's files: are they whole, are they this installation's, and
//! do the two copies of what nobody else has say the same?
//!
//! 1. A recovery that was interrupted is finished ([`super::salvage`]).
//! 2. The database takes the key and its first pages read. At
//!    [`Check::Thorough`] every page is read and authenticated.
//! 3. Its mark is this installation's, and no newer generation has lived here
//!    (`mark.rs`).
//! 4. Database and journal are compared. What only the journal has is saved and
//!    queued again; then the journal is written anew if it says anything else
//!    than the database does.
//!
//! What can go wrong: (2) damage: the files are set aside and the phone starts
//! over with what could be salvaged; another key: [`StoreError::WrongKey`], and
//! nothing is touched; (3) a restored backup or a copied folder: set aside as
//! well, and the phone starts over as another device; (4) the end of the
//! write-ahead log is damaged: SQLite takes the log to end there, in silence,
//! and only the journal knows better.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::derived::Lately;
use super::evidence;
use super::journal::{Contents, Head, Journal};
use super::key::DatabaseKey;
use super::mark::{Mark, Marked};
use super::salvage::{self, Incident, Why};
use super::write::{find_envelope, queue, unaccepted};
use super::{
    Files, SCHEMA_VERSION, Store, StoreError, authentic, chain, generation, get_meta, head,
    put_meta,
};
use crate::domain::ids::EnvelopeHash;
use crate::envelope::Chain;
use crate::planted::{Bug, Part, active, left_out};
use crate::points::{Point, pass};

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// At what opening reads: for every start.
    Quick,
    /// At every page: after an error said that the database is damaged.
    Thorough,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Own actions that only the journal had and that are in the database
    /// again: the end of the write-ahead log was lost, or the app died between
    /// the two files.
    pub restored: usize,
    /// The files were set aside and the phone started over.
    pub incident: Option<Incident>,
}

impl Store {
    /// Opens the phone's files, or makes them. `rng` marks a new installation.
    ///
    /// # Errors
    /// See [`StoreError`]. Files that cannot be used are left as they are,
    /// except for damaged and foreign ones: those are set aside, never deleted.
    pub fn open(
        files: &Files,
        check: Check,
        rng: &mut impl Rng,
    ) -> Result<(Self, Report), StoreError> {
        salvage::finish(files)?;
        let mut report = Report::default();
        // The second round opens what the first has made.
        for _ in 0..2 {
            match attempt(files, check, rng)? {
                Attempt::Sound(store, restored) => {
                    report.restored = restored;
                    return Ok((*store, report));
                }
                Attempt::Unusable(why, contents, marked) => {
                    let incident = salvage::start_over(files, why, &contents, marked, rng)?;
                    report.incident = Some(incident);
                }
            }
        }
        Err(StoreError::Damaged("again, as soon as made".to_owned()))
    }
}

enum Attempt {
    Sound(Box<Store>, usize),
    Unusable(Why, Contents, Marked),
}

fn attempt(files: &Files, check: Check, rng: &mut impl Rng) -> Result<Attempt, StoreError> {
    let journal = Journal::new(files.journal(), &files.key)?;
    let contents = journal.read()?;
    let mark = Mark::new(&files.unbacked);
    let marked = mark.read()?;
    let opened = connect(files).and_then(|db| {
        if check == Check::Thorough {
            examine(&db)?;
        }
        let installation: Option<[u8; 16]> = get_meta(&db, "installation")?;
        let seen = generation(&db)?.max(contents.generation_of(installation));
        let installation = match (installation, marked) {
            // The journal outlives a database, or a log, that was lost whole.
            (None, _) if contents.length > 0 => {
                return Err(StoreError::Damaged("the database is empty".to_owned()));
            }
            (None, _) => install(&db, &mark, rng)?,
            (Some(its), Marked::Unreadable) => {
                mark.write(its, seen)?;
                its
            }
            (
                Some(its),
                Marked::As {
                    installation,
                    generation,
                },
            ) if (its == installation || active(Bug::IgnoreInstallation))
                && (generation <= seen || active(Bug::IgnoreGeneration)) =>
            {
                its
            }
            (Some(its), Marked::Not) if active(Bug::IgnoreInstallation) => its,
            (Some(_), _) => return Ok(None),
        };
        let mut store = Store {
            db,
            directory: None,
            journal,
            mark,
            installation,
            begun: false,
            lately: Lately::new(),
        };
        let restored = store.reconcile(&contents)?;
        authentic(&store.db)?;
        Ok(Some((Box::new(store), restored)))
    });
    match opened {
        Ok(Some((store, restored))) => Ok(Attempt::Sound(store, restored)),
        Ok(None) => Ok(Attempt::Unusable(Why::Restored, contents, marked)),
        Err(StoreError::Damaged(_)) if contents.refuses_the_key() => match marked {
            // The key stayed behind on the phone that the backup is of.
            Marked::Not => Ok(Attempt::Unusable(Why::Restored, contents, marked)),
            _ => Err(StoreError::WrongKey),
        },
        Err(StoreError::Damaged(_)) => Ok(Attempt::Unusable(Why::Damaged, contents, marked)),
        Err(error) => Err(error),
    }
}

/// Opens or makes a database, and nothing else.
pub(super) fn connect(files: &Files) -> Result<Connection, StoreError> {
    let mut db = Connection::open(&files.database)?;
    db.busy_timeout(std::time::Duration::from_secs(10))?;
    unlock(&db, &files.key)?;
    // Before anything is written, be it the journal mode.
    match schema(&db)? {
        0..=SCHEMA_VERSION => {}
        newer => return Err(StoreError::Newer(newer)),
    }
    // The journal mode answers with a row.
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "foreign_keys", true)?;
    // Without it statements are planned again whenever a value changes.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // What is erased is overwritten, not only unlinked. The pragma answers.
    db.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    db.set_prepared_statement_cache_capacity(64);
    migrate(&mut db)?;
    Ok(db)
}

/// Hands over the key and settles how pages are encrypted: AES-256 in CBC mode,
/// HMAC-SHA512 over each. Both are part of the stored format, so neither is
/// left to what a later version takes for granted.
fn unlock(db: &Connection, key: &DatabaseKey) -> Result<(), StoreError> {
    if left_out(Part::Encrypting) {
        return Ok(());
    }
    // The error of a statement quotes it, and this one holds the key.
    let keyed = db.execute_batch(&key.statement());
    keyed.map_err(|_| StoreError::NoCipher)?;
    // Without SQLCipher a key is taken in silence and nothing is encrypted.
    let cipher: Option<String> = db
        .query_row("PRAGMA cipher_version", [], |row| row.get(0))
        .optional()?;
    cipher.ok_or(StoreError::NoCipher)?;
    Ok(db.execute_batch("PRAGMA cipher_log_level = NONE; PRAGMA cipher_compatibility = 4;")?)
}

fn schema(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// How each version follows from the one before.
const SCHEMA: [&str; SCHEMA_VERSION as usize] =
    [include_str!("schema_v1.sql"), include_str!("schema_v2.sql")];

fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    match schema(db)? {
        0..SCHEMA_VERSION => {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Another process may have been here meanwhile.
            let done = usize::try_from(schema(&transaction)?).unwrap_or(0);
            for step in SCHEMA.iter().skip(done) {
                transaction.execute_batch(step)?;
            }
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
            pass(Point::SchemaMade);
            Ok(())
        }
        SCHEMA_VERSION => Ok(()),
        newer => Err(StoreError::Newer(newer)),
    }
}

/// Reads and authenticates every page, and walks every table.
fn examine(db: &Connection) -> Result<(), StoreError> {
    let mut pages = db.prepare("PRAGMA cipher_integrity_check")?;
    let bad: Option<String> = pages.query_row([], |row| row.get(0)).optional()?;
    if let Some(bad) = bad {
        return Err(StoreError::Damaged(bad));
    }
    let said: String = db.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    match said.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Damaged(said)),
    }
}

/// Gives a new database this installation's mark. The file comes first: a
/// database never has a mark that nobody has written down.
fn install(db: &Connection, mark: &Mark, rng: &mut impl Rng) -> Result<[u8; 16], StoreError> {
    let mut installation = [0; 16];
    rng.fill_bytes(&mut installation);
    mark.write(installation, 0)?;
    pass(Point::InstallationMarked);
    put_meta(db, "installation", &installation)?;
    Ok(installation)
}

impl Contents {
    /// The newest generation of an installation; 0 if it wrote none of this.
    pub(super) fn generation_of(&self, installation: Option<[u8; 16]>) -> u64 {
        let head = self.head.as_ref().filter(|head| {
            let its = head.value("installation");
            installation.is_some_and(|id| its == Some(&Value::Blob(id.to_vec())))
        });
        head.map_or(0, |head| head.generation)
    }
}

impl Store {
    /// Brings database and journal to the same state; how many actions the
    /// database had lost.
    fn reconcile(&mut self, contents: &Contents) -> Result<usize, StoreError> {
        // Most times there is nothing to do and no lock to take.
        if self.agrees(contents)? {
            return Ok(0);
        }
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let contents = self.journal.read()?;
        let mut chain = chain(&transaction)?;
        let newer = contents.generation_of(Some(self.installation)) > generation(&transaction)?;
        if let (true, Some(head)) = (newer, &contents.head) {
            put_head(&transaction, head)?;
        }
        extend(&mut chain, self::chain(&transaction)?);
        let device: Option<[u8; 16]> = get_meta(&transaction, "device")?;
        // The journal has let go of what was accepted, but not of the number.
        if let Some(head) = contents.head.as_ref().filter(|head| is_of(head, device)) {
            extend(&mut chain, chain_in(head));
        }
        let mut lost = Vec::new();
        for sealed in &contents.envelopes {
            if find_envelope(&transaction, &sealed.hash)?.is_some() {
                continue;
            }
            match device == Some(sealed.envelope.device.0) {
                true => {
                    let length = sealed.envelope.dev_seq;
                    let newest = Some(sealed.hash);
                    extend(&mut chain, Chain { length, newest });
                    lost.push(sealed.clone());
                }
                false => salvage::set_apart(&transaction, sealed)?,
            }
        }
        queue(&transaction, &lost)?;
        evidence::bring_back(&transaction, &contents.pieces)?;
        put_chain(&transaction, chain)?;
        authentic(&transaction)?;
        transaction.commit()?;
        pass(Point::Reconciled);
        self.rewrite_journal()?;
        Ok(lost.len())
    }

    /// Whether the journal says what the database does.
    fn agrees(&self, contents: &Contents) -> Result<bool, StoreError> {
        let Some(theirs) = &contents.head else {
            return Ok(false);
        };
        let ours = head(&self.db)?;
        let device: Option<[u8; 16]> = get_meta(&self.db, "device")?;
        let held = unaccepted(&self.db)?;
        let held: BTreeSet<_> = held.iter().map(|(hash, _)| *hash).collect();
        let journalled: BTreeSet<_> = contents.envelopes.iter().map(|it| it.hash).collect();
        let pieces = evidence::unarrived(&self.db)?;
        let pieces: BTreeSet<_> = pieces.iter().map(|(_, it)| it.sealed).collect();
        let kept: BTreeSet<_> = contents.pieces.iter().map(|(_, it)| it.sealed).collect();
        authentic(&self.db)?;
        Ok(contents.is_whole()
            && ours.generation == theirs.generation
            && lasting(&ours) == lasting(theirs)
            && (!is_of(theirs, device) || chain_in(theirs).length <= chain(&self.db)?.length)
            && held == journalled
            && pieces == kept)
    }
}

/// Whether a head is this device's.
fn is_of(head: &Head, device: Option<[u8; 16]>) -> bool {
    let device = device.map(|device| Value::Blob(device.to_vec()));
    device.is_some() && head.value("device") == device.as_ref()
}

/// Where the chain stood when a head was written.
fn chain_in(head: &Head) -> Chain {
    let length = match head.value("chain_length") {
        Some(Value::Integer(length)) => u64::try_from(*length).unwrap_or(0),
        _ => 0,
    };
    let newest = match head.value("chain_newest") {
        Some(Value::Blob(hash)) => EnvelopeHash::from_slice(hash),
        _ => None,
    };
    Chain { length, newest }
}

/// The values of a head that do not change with every action and every reply.
fn lasting(head: &Head) -> BTreeMap<&str, &Value> {
    let values = head
        .values
        .iter()
        .map(|(name, value)| (name.as_str(), value));
    values
        .filter(|(name, _)| !name.starts_with("chain_") && !name.starts_with("contact_"))
        .collect()
}

pub(super) fn put_head(db: &Connection, head: &Head) -> Result<(), StoreError> {
    for (name, value) in &head.values {
        put_meta(db, name, value)?;
    }
    put_meta(db, "generation", &head.generation.cast_signed())
}

pub(super) fn put_chain(db: &Connection, chain: Chain) -> Result<(), StoreError> {
    let Some(newest) = chain.newest else {
        return Ok(());
    };
    put_meta(db, "chain_length", &chain.length.cast_signed())?;
    put_meta(db, "chain_newest", &newest.0)
}

pub(super) fn extend(chain: &mut Chain, other: Chain) {
    if other.length > chain.length {
        *chain = other;
    }
}
