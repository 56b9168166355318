//! Where a phone lives.

use std::path::PathBuf;

use crate::store::key::DatabaseKey;

/// Where a phone lives, and what it takes to open it.
#[derive(Debug, Clone)]
pub struct Home {
    /// The folder of its files; made if it is not there.
    pub folder: PathBuf,
    /// A folder of this installation alone, which backups and moves to another
    /// phone leave out: Android's `noBackupFilesDir`, a folder excluded from
    /// backup on iOS. Made if it is not there.
    pub unbacked: PathBuf,
    /// What its files are encrypted with.
    pub key: DatabaseKey,
    /// The app build, at most 40 bytes.
    pub app: String,
    /// The wall clock, Unix milliseconds. It names the folder of what is set
    /// aside and decides nothing.
    pub wall_ms: i64,
}
