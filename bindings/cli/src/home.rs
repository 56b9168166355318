//! Where this phone lives on a computer, and the key of its files.
//!
//! A phone's app keeps the key where the system keeps secrets (Android's
//! Keystore, the Keychain of iOS). A computer at large has no such place, so
//! the key lies in a file beside the database that only its owner may read:
//! it guards what leaves the folder, such as a copied database or a discarded
//! disk sector, not against somebody who can read the folder.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rand::Rng;
use zeroize::Zeroizing;

use shaodao_core::device::{DATABASE, Home};
use shaodao_core::explain::Sentence;
use shaodao_core::store::key::DatabaseKey;

const KEY: &str = "key";

/// The phone in `folder`, or in the place of this user's data.
///
/// # Errors
/// There is no home folder, or the key cannot be read or made.
pub fn home(folder: Option<PathBuf>, wall_ms: i64, rng: &mut impl Rng) -> Result<Home, Sentence> {
    let folder = match folder {
        Some(folder) => folder,
        None => user_folder("XDG_DATA_HOME", ".local/share")?,
    };
    fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
    let folder = folder
        .canonicalize()
        .map_err(|error| unusable(&folder, &error))?;
    let key = key(&folder, rng)?;
    // One installation for each folder of a phone: its path, spelled as a name.
    let name: String = folder
        .to_string_lossy()
        .chars()
        .map(|letter| if letter == '/' { '%' } else { letter })
        .collect();
    Ok(Home {
        unbacked: user_folder("XDG_STATE_HOME", ".local/state")?.join(name),
        folder,
        key,
        app: concat!("shaodao ", env!("CARGO_PKG_VERSION")).to_owned(),
        wall_ms,
    })
}

/// The key beside the database, made on first use.
fn key(folder: &Path, rng: &mut impl Rng) -> Result<DatabaseKey, Sentence> {
    let path = folder.join(KEY);
    if let Some(key) = kept(&path)? {
        return Ok(key);
    }
    if folder.join(DATABASE).exists() {
        return Err(Sentence::new(
            "no_key",
            format!(
                "数据库的钥匙不见了:{};请放回原处,没有它数据无法打开。",
                path.display()
            ),
            format!(
                "The key of the database is gone: {}; put it back, nothing can be read without \
                 it.",
                path.display()
            ),
        ));
    }
    keep(&path, &DatabaseKey::random(rng)).map_err(|error| unusable(&path, &error))?;
    // Two first commands at once: the one that was first keeps its key.
    kept(&path)?.ok_or_else(|| unusable(&path, &ErrorKind::NotFound.into()))
}

fn kept(path: &Path) -> Result<Option<DatabaseKey>, Sentence> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
    };
    let bytes = <[u8; 32]>::try_from(bytes.as_slice());
    let bytes = bytes.map_err(|_| unusable(path, &ErrorKind::InvalidData.into()))?;
    Ok(Some(DatabaseKey::new(bytes)))
}

/// Writes the key whole or not at all, and never over another one.
fn keep(path: &Path, key: &DatabaseKey) -> io::Result<()> {
    let draft = path.with_extension(std::process::id().to_string());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    fs::remove_file(&draft)?;
    linked?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn user_folder(variable: &str, otherwise: &str) -> Result<PathBuf, Sentence> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = folder(variable).map(PathBuf::from);
    let home = || folder("HOME").map(|home| Path::new(&home).join(otherwise));
    let base = named.or_else(home).ok_or_else(|| {
        Sentence::new(
            "no_home",
            format!("不知道数据放在哪里,请设置 HOME 或 {variable}。"),
            format!("There is no home folder; set HOME or {variable}."),
        )
    })?;
    Ok(base.join("shaodao"))
}

fn unusable(path: &Path, error: &io::Error) -> Sentence {
    Sentence::new(
        "folder",
        format!("{} 不能使用:{error}", path.display()),
        format!("{} cannot be used: {error}", path.display()),
    )
}
