//! A disk that is really full: a file system of its own, of so many bytes, in
//! memory.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk, mounted until it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk of so many bytes on a folder, which is made. `None`, and a
    /// line that says so, where this process may not mount: then a test has to
    /// meet a full disk in another way.
    pub fn mount(at: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(at)
            .output();
        let why = match mounted {
            Ok(output) if output.status.success() => {
                return Some(Self { at: at.to_owned() });
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        // Not by `println!`: of a test that passes nobody would see it.
        let _ = writeln!(
            std::io::stderr(),
            "NO DISK THAT IS REALLY FULL: this process may not mount a small one ({why}). Limits \
             of file and folder sizes stand for it, in tests of their own."
        );
        None
    }

    /// Somebody else's film takes all but so many bytes; with 0, until the system
    /// says that the disk is full.
    pub fn fill(&self, leave: u64) {
        let film = self.at.join("film");
        let film = OpenOptions::new().create(true).append(true).open(film);
        let mut film = film.expect("a film");
        let block = [0x66; 4_096];
        let blocks = match leave {
            0 => u64::MAX,
            leave => free(&self.at).saturating_sub(leave) / block.len() as u64,
        };
        for _ in 0..blocks {
            if let Err(error) = film.write_all(&block) {
                assert_eq!(
                    (error.kind(), leave),
                    (ErrorKind::StorageFull, 0),
                    "{error}"
                );
                return;
            }
        }
    }

    /// Somebody deletes the film.
    pub fn make_room(&self) {
        std::fs::remove_file(self.at.join("film")).expect("there was one");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        let _ = std::fs::remove_dir(&self.at);
        let _ = self.at.parent().map(std::fs::remove_dir);
    }
}

/// Bytes that a disk has left, by what `df` says.
fn free(at: &Path) -> u64 {
    let said = Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(at)
        .output();
    let said = String::from_utf8(said.expect("df runs").stdout).expect("a text");
    let last = said.split_whitespace().last().expect("a number");
    last.parse().expect("a number")
}
