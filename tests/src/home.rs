//! Where the phones of stories and benchmarks live: all with one key, each with
//! a folder of its own for what backups leave out.

use std::path::{Path, PathBuf};

use shaodao_core::device::Home;
use shaodao_core::store::key::DatabaseKey;

/// The key of every phone.
pub fn key() -> DatabaseKey {
    DatabaseKey::new([0x5d; 32])
}

/// The phone in `folder`, opened at `wall_ms`.
pub fn home(folder: &Path, wall_ms: i64) -> Home {
    Home {
        folder: folder.to_owned(),
        unbacked: unbacked(folder),
        key: key(),
        app: "test".to_owned(),
        wall_ms,
    }
}

/// What a copy of `folder` leaves behind: a folder beside it.
pub fn unbacked(folder: &Path) -> PathBuf {
    folder.with_extension("unbacked")
}
