//! The disk fails at every single thing that is asked of it. The real programs
//! run on real files; a library loaded before them (`tests/faulty`) lets the n-th
//! write, flush, cut, rename or removal fail, find no room, get torn, or kills the
//! process before it, for every n. Afterwards the disk is well again: whatever
//! had been acknowledged is there, the phone is the same one, and it goes on.
//!
//! In an ordinary run each n fails in one of the four ways, in turn;
//! `SHAODAO_FAULTS=all` tries all four.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use shaodao_tests::home::Folder;

mod phone;
mod server;
mod upgrade;

/// The ways to fail, as the library names them.
const WAYS: [&str; 4] = ["error", "full", "torn", "kill"];

/// Files by their path below a folder.
type Files = BTreeMap<String, Vec<u8>>;

/// The library, built beside the programs.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "shaodao-faulty"])
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the failing disk does not build");
        let mut folder = std::env::current_exe().expect("this program");
        folder.pop();
        folder.pop();
        let library = folder.join("libshaodao_faulty.so");
        assert!(library.is_file(), "{} is not there", library.display());
        library
    })
}

/// How a program went on a disk that failed.
struct Went {
    output: Output,
    /// How often the disk was asked for something.
    asked: u64,
}

impl Went {
    /// It ended by itself, saying that all went well or that it did not; it did
    /// not fall over.
    fn ended_well(&self, what: &str) -> bool {
        let code = self.output.status.code();
        let said = String::from_utf8_lossy(&self.output.stderr);
        assert!(
            matches!(code, None | Some(0 | 1)),
            "{what}: {code:?}: {said}"
        );
        assert!(!said.contains("panicked"), "{what}: {said}");
        code == Some(0)
    }
}

/// Runs a program on a disk that fails at the `at`-th thing in this way.
fn run(mut command: Command, input: &str, disk: &Path, at: u64, how: &str) -> Went {
    let count = disk.with_extension("count");
    let _ = std::fs::remove_file(&count);
    let mut child = command
        .env("LD_PRELOAD", library())
        .env("SHAODAO_FAULT_FOLDERS", folders(disk))
        .env("SHAODAO_FAULT_COUNT", &count)
        .env("SHAODAO_FAULT_AT", at.to_string())
        .env("SHAODAO_FAULT_HOW", how)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    // It may be dead by now.
    let _ = child
        .stdin
        .take()
        .expect("an input")
        .write_all(input.as_bytes());
    let output = child.wait_with_output().expect("ends");
    let asked = std::fs::read_to_string(&count).unwrap_or_default();
    Went {
        output,
        asked: asked.trim().parse().unwrap_or(0),
    }
}

fn folders(disk: &Path) -> String {
    let unbacked = shaodao_tests::home::unbacked(disk);
    format!("{}:{}", disk.display(), unbacked.display())
}

/// Tries every n, each in its way or in all of them; how many were tried.
fn every_n(asked: u64, attempt: impl FnMut(u64, &'static str)) -> usize {
    every_n_in(&WAYS, asked, attempt)
}

/// The same in some of the ways.
fn every_n_in(
    ways: &[&'static str],
    asked: u64,
    mut attempt: impl FnMut(u64, &'static str),
) -> usize {
    assert!(asked > 0, "the disk was never asked for anything");
    let all = std::env::var("SHAODAO_FAULTS").is_ok_and(|ways| ways == "all");
    let mut tried = 0;
    for at in 1..=asked {
        for (nth, how) in ways.iter().copied().enumerate() {
            if all || at as usize % ways.len() == nth {
                attempt(at, how);
                tried += 1;
            }
        }
    }
    tried
}

/// Everything below a phone's folders.
fn files_of(disk: &Path) -> Files {
    let mut files = Files::new();
    let unbacked = shaodao_tests::home::unbacked(disk);
    for (top, prefix) in [(disk, "home"), (&*unbacked, "unbacked")] {
        let mut folders = vec![top.to_owned()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let below = path.strip_prefix(top).expect("below");
                let name = format!("{prefix}/{}", below.display());
                files.insert(name, std::fs::read(&path).expect("reads"));
            }
        }
    }
    files
}

/// Puts files back, and nothing else.
fn place(disk: &Path, files: &Files) {
    let unbacked = shaodao_tests::home::unbacked(disk);
    for folder in [disk, &unbacked] {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder).expect("a folder");
    }
    for (name, bytes) in files {
        let path = match name.split_once('/') {
            Some(("home", below)) => disk.join(below),
            Some((_, below)) => unbacked.join(below),
            None => continue,
        };
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("writes");
    }
}

/// The records named in what a program said, line by line.
fn records(said: &[u8]) -> BTreeSet<String> {
    String::from_utf8_lossy(said)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|said| said["record"].as_str().map(str::to_owned))
        .collect()
}
