//! Worlds that can be repeated to the byte, and servers that die in the middle.
//!
//! 1. [`World::repeatable`] draws the server's chance from the seed as well and
//!    lets nothing run beside the story: whatever the server does after its
//!    reply is done before the story goes on.
//! 2. Its folder may hold what an earlier world left there: a server, and phones
//!    that are picked up with [`World::pick_up`]. Enrolling costs more than a
//!    week of work; so many worlds begin as copies of one.
//! 3. [`World::doom`] lets the server die at one of its next steps, with
//!    whatever it has in hand; it is started again by whoever notices.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::device::{DATABASE, Device};
use shaodao_core::pack;
use shaodao_core::points::Point;
use shaodao_core::sync::wire::{self, Judgement, SyncReply, SyncRequest};
use shaodao_server::clock::Clock;
use shaodao_server::db::rows;
use shaodao_server::engine::{Engine, EngineError, Rehearse};

use super::{Phone, World};
use crate::home::{copied, home, unbacked};

/// What ends the writer's thread: not a panic that anybody should read of.
struct Died;

/// Ends the writer's thread when it passes this point for the `nth` time from here,
/// counted from 0, and says so before.
pub fn dying_at(point: Point, mut nth: u32, mut dies: impl FnMut() + Send + 'static) -> Rehearse {
    Box::new(move |at| match (at == point, nth) {
        (false, _) => {}
        (true, 0) => {
            dies();
            std::panic::resume_unwind(Box::new(Died));
        }
        (true, _) => nth -= 1,
    })
}

impl World {
    /// A street in this folder in which everything follows from the seed.
    pub fn repeatable(folder: PathBuf, seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self::found(folder, seed, pack::HUASHAN.to_vec(), runtime, true)
    }

    /// Copies a world's folder, phones and server, as it lies on the disk.
    pub fn copied(from: &Path, to: &Path) {
        copied(from, to);
        for entry in std::fs::read_dir(from).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                Self::copied(&path, &to.join(path.file_name().expect("a name")));
            }
        }
    }

    /// Somebody picks up the phone whose files are here already.
    pub fn pick_up(&mut self, name: &str) {
        let phone = self.new_phone(name);
        self.phones.insert(name.to_owned(), phone);
    }

    /// Somebody's app dies and is opened again; the phone goes on running.
    pub fn app_dies(&mut self, name: &str) {
        let phone = self.phones.remove(name).expect("a phone");
        drop(phone.device);
        let home = home(&phone.folder, self.now_ms);
        let device = Device::open(&home, &mut self.rng).expect("opens again");
        self.phones
            .insert(name.to_owned(), Phone { device, ..phone });
    }

    /// Somebody's phone loses power, and with it the end of its database's log;
    /// the first `part` percent of the log are left.
    pub fn power_fails(&mut self, name: &str, part: u32) {
        let folder = self.phone_folder(name);
        let copy = folder.with_extension("power");
        // Whoever closes a database empties its log: what lies there before is
        // what the power failure leaves.
        copied(&folder, &copy);
        self.switched_off(name, |folder| {
            std::fs::remove_dir_all(folder).expect("gone");
            std::fs::rename(&copy, folder).expect("moves");
            let log = folder.join(format!("{DATABASE}-wal"));
            let Ok(file) = std::fs::OpenOptions::new().write(true).open(&log) else {
                return;
            };
            let length = file.metadata().expect("a file").len();
            file.set_len(length * u64::from(part) / 100)
                .expect("cut short");
        });
    }

    /// Somebody's phone is gone for good: dropped into the lake.
    pub fn lose(&mut self, name: &str) {
        self.phones.remove(name).expect("a phone");
    }

    /// The files of somebody's phone.
    pub fn phone_folder(&mut self, name: &str) -> PathBuf {
        self.of(name).folder.clone()
    }

    /// A backup of somebody's phone, without what backups leave out.
    pub fn phone_backup(&mut self, name: &str, to: &str) -> PathBuf {
        let to = self.folder.join(to);
        copied(&self.phone_folder(name), &to);
        to
    }

    /// Puts a backup in place of the files of a phone that is switched off; what
    /// backups leave out stays as it is.
    pub fn put_back(folder: &Path, backup: &Path) {
        std::fs::remove_dir_all(folder).expect("gone");
        copied(backup, folder);
        assert!(unbacked(folder).exists(), "the same installation");
    }

    /// Sends these bytes in somebody's name, past their phone, and reads the
    /// answer; `None` if there was none.
    pub fn push_bytes(&mut self, name: &str, push: Vec<Vec<u8>>) -> Option<SyncReply> {
        self.settled = false;
        let token = self.of(name).device.prepare_sync().expect("enrolled").token;
        let request = SyncRequest {
            push: push.into_iter().map(Into::into).collect(),
            ..SyncRequest::default()
        };
        let (status, reply) = self.post("/v1/sync", Some(&token), wire::to_bytes(&request));
        match status {
            200 => Some(wire::from_bytes(&reply).expect("a reply")),
            _ => None,
        }
    }

    /// Somebody's phone opens a session, as it does when the old one has run out.
    pub fn renew_session(&mut self, name: &str) {
        let mut phone = self.phones.remove(name).expect("a phone");
        self.open_session(&mut phone);
        self.phones.insert(name.to_owned(), phone);
    }

    /// The envelopes that the server has stored, with their verdicts.
    pub fn stored(&self) -> Vec<(Judgement, Vec<u8>)> {
        let stored = self.app().read(|db| {
            let mut statement = db.prepare(
                "SELECT hash, standing, reason, seen, received_at_ms, bytes
                 FROM envelope ORDER BY id",
            )?;
            let rows =
                statement.query_map([], |row| Ok((rows::judgement(row, 0)?, row.get(5)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        stored.expect("the server's envelopes")
    }

    /// The server dies when it passes this point for the `nth` time from here,
    /// counted from 0, with whatever it has in hand.
    pub fn doom(&mut self, point: Point, nth: u32) {
        self.doomed = true;
        let writer = self.app().writer.clone();
        let installed = self.runtime.block_on(writer.submit(move |engine| {
            engine.rehearse(dying_at(point, nth, || {}));
            Ok(())
        }));
        // The very transaction that says so may be its last.
        if installed.is_err() {
            self.bury_server();
        }
    }

    /// Starts a server that has died, or that is spared.
    pub fn bury_server(&mut self) {
        self.stop_server();
        self.doomed = false;
        self.start_server();
    }

    /// Whether the server is about to die.
    pub fn is_doomed(&self) -> bool {
        self.doomed
    }

    /// Opens the server's database, with the seed's chance if the world is
    /// repeatable.
    pub(super) fn open_engine(&mut self, clock: Clock) -> Result<Engine, EngineError> {
        let folder = self.server_folder();
        match self.repeatable {
            true => {
                let chance = StdRng::seed_from_u64(self.rng.random());
                Engine::open_by(&folder, clock, &self.pack, chance)
            }
            false => Engine::open(&folder, clock, &self.pack),
        }
    }

    /// Waits for what the server does beside its replies.
    pub(super) fn quiet(&self) {
        let writer = self.app().writer.clone();
        let metrics = self.runtime.metrics();
        self.runtime.block_on(async move {
            while metrics.num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
                if writer.submit(|_| Ok(())).await.is_err() {
                    break;
                }
            }
        });
    }
}
