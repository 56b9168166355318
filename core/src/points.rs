//! Fail points: the moments between two durable steps, at each of which a test
//! lets the process die. Without the feature `failpoints`, which only a test asks
//! for, [`pass`] does nothing and nothing of it is in the program.
//!
//! Not the crate `fail`: its points are strings, which nothing ties to a list; none
//! of its actions ends the process; and it has had no release for years.
//!
//! With the feature, `SHAODAO_POINTS` names a file that gets the name of each point
//! that is passed, one a line; with `SHAODAO_POINT_AT` as `Name:2` the process dies
//! when it passes that point for the second time.

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A moment between two durable steps. The comment says what is on the disk
        /// then, and what is not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Point { $($(#[$doc])* $name,)* }

        impl Point {
            /// Every point.
            pub const ALL: &'static [Point] = &[$(Point::$name,)*];
        }
    };
}

points! {
    // A phone opens.
    /// A schema is made or brought up to date; the database has no mark.
    SchemaMade,
    /// The mark has its bytes and not its name.
    MarkDrafted,
    /// The mark of a new installation is written; the database does not have it.
    InstallationMarked,
    /// The database has got back what only the journal had; the journal is as it
    /// was.
    Reconciled,

    // An action is saved.
    /// The journal has it; the database does not.
    Journalled,
    /// Both have it; nobody has been told.
    SavedTwice,
    /// Something was destroyed; the log still has its pages.
    LogStillFull,
    /// The new journal is flushed and does not have its name.
    JournalDrafted,
    /// It has its name; the folder is not flushed.
    JournalNamed,

    // A reply is taken in.
    /// The database has it; the journal still holds what has a verdict.
    ReplyTaken,

    // A phone starts over.
    /// The folder for what is set aside is there, and empty.
    AsideMade,
    /// The new database is filled, beside its log.
    RebuiltFilled,
    /// It is one file; the journal is not copied.
    RebuiltClosed,
    /// The journal is copied; the new database does not have its name.
    JournalCopied,
    /// The new database has its name; the old files are where they were.
    RebuiltNamed,
    /// A new installation's mark is written; the old files are where they were.
    NewMarkWritten,
    /// Some of the old files are set aside.
    OldSetAside,
    /// The new database is in place; the mark that came with it is still there.
    RebuiltInPlace,

    // Evidence is kept on a phone.
    /// All bytes of a file are written, not flushed.
    PieceWritten,
    /// They are flushed; the file does not have its name.
    PieceFlushed,
    /// It has its name; the folder is not flushed.
    PieceNamed,
    /// It is kept; no action cites it.
    PieceKept,
    /// A piece is fetched whole and checked; it does not have its name.
    FetchedFlushed,
    /// Of what no row names, something is removed.
    PieceSwept,
    /// The server has a piece, the phone knows; its owner does not keep it.
    ArrivalNoted,

    // The server writes.
    /// A timer is taken; what follows is not done. See [`Point::ESCALATION`].
    TimerTaken,
    /// An escalation is noted.
    EscalationNoted,
    /// The escalated whistle says so.
    EscalateWritten,
    /// The street's whistle is there.
    StreetOpened,
    /// It says when phones were last heard of.
    LastHeardWritten,
    /// Everything is done and nothing is committed.
    BeforeCommit,
    /// It is on the disk, and nobody has heard of it.
    Committed,

    // The server takes evidence.
    /// What came is flushed; nobody has been told.
    UploadFlushed,
    /// A piece is where it rests; the folders are not flushed.
    ObjectMoved,
    /// The folders are flushed; no row says that it has arrived.
    ObjectKept,
    /// The bytes of an erased piece are gone; its row is not.
    BytesRemoved,
    /// The file of an upload is gone; its row is not.
    UploadRemoved,
    /// A file that belonged to nothing is gone.
    OrphanRemoved,

    // Backup and restore.
    /// The backup is noted, and not made.
    BackupNoted,
    /// It is made and flushed, and does not have its name.
    BackupDrafted,
    /// The backup is copied to where the database will be made of it.
    RestoreCopied,
    /// It has begun another life, beside its log.
    LifeBegun,
    /// It is one file; the former one is in place.
    RestoreDrafted,
    /// The former one has a second name.
    FormerKept,
    /// The new one is in place; the folder is not flushed.
    RestoreNamed,
}

impl Point {
    /// The steps of a transaction that performs an escalation, in order.
    pub const ESCALATION: [Point; 7] = [
        Self::TimerTaken,
        Self::EscalationNoted,
        Self::EscalateWritten,
        Self::StreetOpened,
        Self::LastHeardWritten,
        Self::BeforeCommit,
        Self::Committed,
    ];
}

/// A point is passed.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn pass(_: Point) {}

#[cfg(feature = "failpoints")]
pub use dying::pass;

#[cfg(feature = "failpoints")]
mod dying {
    use std::collections::BTreeMap;
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use super::Point;

    /// What is wanted, and how many points were passed.
    struct Walk {
        passed: Option<File>,
        at: Option<(String, u64)>,
        times: BTreeMap<Point, u64>,
    }

    static WALK: OnceLock<Mutex<Walk>> = OnceLock::new();

    fn walk() -> Mutex<Walk> {
        let passed = std::env::var_os("SHAODAO_POINTS");
        let at = std::env::var("SHAODAO_POINT_AT").ok();
        let at = at.and_then(|at| {
            let (name, times) = at.split_once(':')?;
            Some((name.to_owned(), times.parse().ok()?))
        });
        Mutex::new(Walk {
            passed: passed.and_then(|path| {
                let mut options = OpenOptions::new();
                options.create(true).append(true).open(path).ok()
            }),
            at,
            times: BTreeMap::new(),
        })
    }

    /// A point is passed; the process may end here.
    pub fn pass(point: Point) {
        let walk = WALK.get_or_init(walk).lock();
        let mut walk = walk.unwrap_or_else(PoisonError::into_inner);
        let name = format!("{point:?}");
        let times = walk.times.entry(point).or_default();
        *times += 1;
        let now = (name, *times);
        if let Some(passed) = &mut walk.passed {
            let _ = writeln!(passed, "{}", now.0);
        }
        if walk.at == Some(now) {
            std::process::abort();
        }
    }
}
