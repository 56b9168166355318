//! What happens to the server's database: backups, dead disks, and people who
//! change it behind the server's back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::{Connection, params};

use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::envelope;
use shaodao_server::clock::Clock;
use shaodao_server::engine::DATABASE;
use shaodao_server::restore::{self, RestoreError};
use shaodao_server::verify::{Extent, Report};

use super::World;

impl World {
    /// The server's folder.
    pub fn server_folder(&self) -> PathBuf {
        self.folder.join("server")
    }

    /// Copies the server's database while the server goes on.
    pub fn backup(&self, name: &str) -> PathBuf {
        let to = self.folder.join(name);
        let clock = Clock::rehearsal(self.now_ms);
        restore::backup(&self.server_folder(), &to, &clock).expect("a backup");
        to
    }

    /// The server's disk dies; nothing of its database is left.
    pub fn disk_dies(&mut self) {
        self.stop_server();
        let folder = self.server_folder();
        std::fs::remove_dir_all(&folder).expect("the disk dies");
        std::fs::create_dir_all(&folder).expect("a new disk");
    }

    /// Puts a backup in place of whatever is there.
    pub fn restore(&mut self, from: &Path) -> Result<Option<PathBuf>, RestoreError> {
        let clock = Clock::rehearsal(self.now_ms);
        let folder = self.server_folder();
        match self.repeatable {
            true => {
                let chance = StdRng::seed_from_u64(self.rng.random());
                restore::restore_by(from, &folder, &clock, false, chance)
            }
            false => restore::restore(from, &folder, &clock, false),
        }
    }

    /// Ends the wait after a restore, as an administrator does.
    pub fn resume(&self) -> bool {
        let writer = self.app().writer.clone();
        self.runtime
            .block_on(writer.submit(|engine| engine.resume("administrator")))
            .expect("resumes")
    }

    /// What `shaodao-server verify` finds on the running server.
    pub fn verify(&self, extent: Extent) -> Report {
        let writer = self.app().writer.clone();
        self.runtime
            .block_on(writer.submit(move |engine| engine.verify(extent, &mut |_| {})))
            .expect("verifies")
    }

    /// The server's database, for somebody who changes it behind its back.
    pub fn tampered_database(&mut self) -> PathBuf {
        self.tampered = true;
        self.server_folder().join(DATABASE)
    }

    /// Makes the server believe that another phone has used the chain number of
    /// this queued envelope before.
    pub fn poison(&mut self, person: &str, hash: &EnvelopeHash) {
        let outbox = self.of(person).device.store().outbox(usize::MAX);
        let mut queued = outbox.expect("an outbox").into_iter();
        let queued = queued.find(|it| it.hash == *hash).expect("queued");
        let envelope = envelope::open(&queued.bytes).expect("opens").envelope;
        let db = Connection::open(self.tampered_database()).expect("opens");
        db.execute(
            "INSERT INTO envelope (hash, record, device, dev_seq, standing, bytes, received_at_ms)
             SELECT zeroblob(32), record, ?1, ?2, 3, X'', 0 FROM envelope LIMIT 1",
            params![envelope.device.0, envelope.dev_seq.cast_signed()],
        )
        .expect("inserts");
    }

    /// Envelopes of which the phones were told that the server keeps them.
    pub fn acknowledged(&self) -> BTreeSet<EnvelopeHash> {
        let mut hashes = BTreeSet::new();
        for phone in self.phones.values() {
            for record in records(phone.device.store()) {
                let account = phone.device.store().account(record).expect("an account");
                let kept = account
                    .into_iter()
                    .filter(|(_, standing, _)| matches!(standing.code(), 1..=4));
                hashes.extend(kept.map(|(hash, ..)| hash));
            }
        }
        hashes
    }

    /// Envelopes that the server keeps.
    pub fn kept(&self) -> BTreeSet<EnvelopeHash> {
        let kept = self.app().read(|db| {
            let mut statement = db.prepare("SELECT hash FROM envelope WHERE standing < 5")?;
            let rows = statement.query_map([], |row| row.get(0).map(EnvelopeHash))?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        kept.expect("the server's envelopes")
    }
}

fn records(store: &shaodao_core::store::Store) -> Vec<RecordId> {
    let heads = store.heads().expect("heads");
    heads.into_iter().map(|(record, _)| record).collect()
}
