//! Where the phones of stories and benchmarks live: all with one key, each with
//! a folder of its own for what backups leave out.

use std::path::{Path, PathBuf};

use shaodao_core::device::Home;
use shaodao_core::store::key::DatabaseKey;

/// A folder of a test, which goes away with it.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty folder with this name in its name, for this process.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("shaodao-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

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

/// Copies a phone's files as a backup does: all of `from`, nothing of what
/// backups leave out.
pub fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, to.join(name)).expect("copies");
        }
    }
}
