//! What administrators do: devices that are shut out, people without duties, and
//! a server that begins another life.

use std::collections::BTreeSet;

use rand::RngExt;
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::EnvelopeHash;
use shaodao_core::pack;
use shaodao_core::sync::wire::Standing;
use shaodao_server::quarantine;

use super::Simulation;
use super::cast::EVERYBODY;
use crate::world::network::Weather;

/// For how long a server waits for its phones after a restore, as the sample
/// street has it.
const WAIT_MS: i64 = 3_600_000;

impl Simulation {
    pub(super) fn suspend(&mut self, who: usize) {
        let device = self.world.of(EVERYBODY[who].id).device.id();
        if self.ledger.revoked.contains_key(&device) {
            return;
        }
        let id = device.to_string();
        let done = self
            .world
            .admin(move |engine| engine.set_device_state(&id, DeviceState::Suspended, "Wen"));
        if done.is_ok() {
            let now_ms = self.world.now_ms();
            let times = self.ledger.suspended.entry(device).or_default();
            times.push((now_ms, i64::MAX));
            self.count("suspended");
        }
    }

    /// Whoever is suspended takes part again.
    pub(super) fn resume_all(&mut self) {
        let now_ms = self.world.now_ms();
        let devices: Vec<_> = self.ledger.suspended.keys().copied().collect();
        for device in devices {
            let times = self.ledger.suspended.get_mut(&device).expect("is there");
            for (_, to) in times.iter_mut().filter(|(_, to)| *to == i64::MAX) {
                *to = now_ms;
            }
            if self.ledger.revoked.contains_key(&device) {
                continue;
            }
            let id = device.to_string();
            self.world
                .admin(move |engine| engine.set_device_state(&id, DeviceState::Active, "Wen"))
                .expect("takes part again");
        }
    }

    pub(super) fn revoke(&mut self, who: usize) {
        let device = self.world.of(EVERYBODY[who].id).device.id();
        let id = device.to_string();
        let done = self
            .world
            .admin(move |engine| engine.set_device_state(&id, DeviceState::Revoked, "Wen"));
        if done.is_ok() {
            let now_ms = self.world.now_ms();
            self.ledger.revoked.entry(device).or_insert(now_ms);
            self.count("revoked");
        }
    }

    /// Another edition of the directory in which somebody has no duties.
    pub(super) fn relieve(&mut self, who: usize) {
        let person = EVERYBODY[who].id;
        self.world.change_person(person, |entry| {
            entry["roles"] = json!([]);
            entry["posts"] = json!([]);
        });
        let now_ms = self.world.now_ms();
        let times = self.ledger.relieved.entry(person.to_owned()).or_default();
        times.push((now_ms, i64::MAX));
        self.count("relieved");
    }

    /// Another edition in which they have the duties of the first one again.
    pub(super) fn reinstate(&mut self, who: usize) {
        let person = EVERYBODY[who].id;
        let first: Json = serde_json::from_slice(pack::HUASHAN).expect("a pack");
        let mut people = first["people"].as_array().expect("people").iter();
        let before = people.find(|entry| entry["id"] == person).expect("one");
        self.world
            .change_person(person, |entry| *entry = before.clone());
        let now_ms = self.world.now_ms();
        let times = self.ledger.relieved.get_mut(person).expect("relieved");
        times.last_mut().expect("relieved").1 = now_ms;
    }

    /// An administrator looks at one thing that is set aside.
    pub(super) fn release(&mut self) {
        let listed = self.world.app().read(quarantine::list).expect("a list");
        let honest: Vec<_> = listed
            .into_iter()
            .map(|it| it.sealed.hash)
            .filter(|hash| {
                self.ledger
                    .deeds
                    .get(hash)
                    .is_some_and(|deed| !deed.crooked)
            })
            .collect();
        if honest.is_empty() {
            return;
        }
        let hash = honest[self.rng.random_range(0..honest.len())];
        let which = hash.to_string();
        if self.rng.random_bool(0.3) {
            let judged = self
                .world
                .admin(move |engine| engine.send_back(&which, "Wen"));
            judged.expect("sent back");
            self.ledger.returned.insert(hash);
            self.count("returned");
            return;
        }
        let judged = self
            .world
            .admin(move |engine| engine.release(&which, "Wen"));
        let standing = judged.expect("judged").standing;
        assert_ne!(standing, Standing::Refused);
        self.ledger.released.insert(hash);
        self.count(format!("released, {}", standing.word()));
    }

    /// Copies the server's database while it goes on.
    pub(super) fn backup_server(&mut self) {
        let nth = self.tally.get("the server was copied").unwrap_or(&0);
        let backup = self.world.backup(&format!("server backup {nth}"));
        self.count("the server was copied");
        let now_ms = self.world.now_ms();
        self.server_backup = Some((backup, now_ms));
        // What follows is after the backup for certain.
        self.world.wait(1);
    }

    /// The server's disk dies, and another life begins from the backup: everybody
    /// is called together and brings what their phone holds.
    pub(super) fn disk_dies(&mut self) {
        let Some((backup, copied_ms)) = self.server_backup.take() else {
            return;
        };
        let saved: BTreeSet<EnvelopeHash> = {
            let db = Connection::open(&backup).expect("a backup");
            let mut statement = db.prepare("SELECT hash FROM envelope").expect("reads");
            let rows = statement.query_map([], |row| row.get(0).map(EnvelopeHash));
            rows.expect("reads")
                .map(|row| row.expect("a row"))
                .collect()
        };
        let on_phones = self.world.acknowledged();
        for (judgement, _) in self.world.stored() {
            let hash = judgement.hash;
            if !saved.contains(&hash) && !on_phones.contains(&hash) {
                self.ledger.gone.insert(hash);
            }
        }
        // What the former life did about deadlines is not known for certain.
        self.ledger.looks.retain(|look_ms| *look_ms <= copied_ms);
        self.world.disk_dies();
        self.world.restore(&backup).expect("restores");
        self.world.start_server();
        // After a backup that is some days old, the server does not believe its
        // clock before a person has looked.
        self.world.confirm_clock();
        self.world.pass(1);
        self.waits_until_ms = self.world.now_ms() + WAIT_MS;
        self.count("the server's disk died");
        let weather = std::mem::replace(&mut self.world.weather, Weather::fine());
        let people = self.world.people();
        let away: Vec<String> = people
            .into_iter()
            .filter(|phone| std::mem::take(&mut self.world.of(phone).offline))
            .collect();
        for _ in 0..2 {
            self.world.sync_all();
        }
        for phone in away {
            self.world.of(&phone).offline = true;
        }
        self.world.weather = weather;
        self.pass(WAIT_MS);
    }
}
