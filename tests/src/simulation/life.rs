//! The plan happens, one step after the other.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::device::{Captured, DeviceError, Draft};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::record::RecordState;
use shaodao_core::store::salvage::Why;

use super::cast::{CROOK, EVERYBODY, Person, Role, speaker};
use super::crook::readable;
use super::ledger::Deed;
use super::plan::Step;
use super::{Simulation, words};
use crate::world::World;
use crate::world::network::Weather;

const MINUTE_MS: i64 = 60_000;

impl Simulation {
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Act(who) => self.act(who),
            Step::Sync(who) => {
                self.world.sync(EVERYBODY[who].id);
            }
            Step::SyncAll => self.world.sync_all(),
            Step::Pass(ms) => self.pass(ms),
            Step::ToDueTime(off_ms) => self.pass_to_due_time(off_ms),
            Step::JustInTime => self.just_in_time(),
            Step::LoseSignal(who) => {
                // The station has a wire.
                self.world.of(EVERYBODY[who].id).offline = EVERYBODY[who].role != Role::Station;
            }
            Step::FindSignal(who) => self.world.of(EVERYBODY[who].id).offline = false,
            Step::Weather(is_bad) => {
                self.world.weather = match is_bad {
                    true => Weather::bad(),
                    false => Weather::fine(),
                };
            }
            Step::AppDies(who) => {
                self.count("an app died");
                self.world.app_dies(EVERYBODY[who].id);
            }
            Step::PowerFails(who, part) => {
                self.count("power failed");
                self.world.power_fails(EVERYBODY[who].id, part);
            }
            Step::Restart(who) => self.world.switched_off(EVERYBODY[who].id, |_| {}),
            Step::SetClock(who, ms) => self.world.of(EVERYBODY[who].id).clock_error_ms = ms,
            Step::ServerDown(ms) => {
                self.world.stop_server();
                self.world.wait(ms);
                self.world.bury_server();
                self.count("the server was down");
                self.pass(0);
            }
            Step::ServerDies(who, at, nth) => {
                self.world.doom(at, nth);
                self.act(who);
                self.world.sync(EVERYBODY[who].id);
                self.world.pass(MINUTE_MS);
                let died = !self.world.is_doomed();
                self.count(if died {
                    "the server died"
                } else {
                    "the server was spared"
                });
                if !died {
                    self.world.bury_server();
                }
                self.pass(0);
            }
            Step::BackupServer => self.backup_server(),
            Step::DiskDies => self.disk_dies(),
            Step::ServerClock(ms) => {
                self.world.set_server_clock_wrong(ms);
                self.clock_is_ahead = ms > 0;
                self.pass(0);
                self.count("the server's clock jumped");
            }
            Step::Absence(who, ms) => {
                self.world.of(EVERYBODY[who].id).offline = true;
                self.pass(ms);
                self.world.of(EVERYBODY[who].id).offline = false;
                self.count("somebody was away");
            }
            Step::Suspend(who) => self.suspend(who),
            Step::Resume(_) => self.resume_all(),
            Step::Revoke(who) => self.revoke(who),
            Step::Relieve(who) => self.relieve(who),
            Step::Reinstate(who) => self.reinstate(who),
            Step::Release => self.release(),
            Step::Backup(who) => self.backup(who),
            Step::PutBack(who) => self.put_back(who),
            Step::WakeUpElsewhere(who) => self.wake_up_elsewhere(who),
            Step::Clone(who) => self.copy(who),
            Step::Redo(who) => self.redo(who),
            Step::Case(case) => self.case(case),
            Step::Mischief(times) => (0..times).for_each(|_| self.mischief()),
        }
    }

    /// Somebody does something that they can do, or tries something.
    fn act(&mut self, who: usize) {
        let person = EVERYBODY[who];
        self.act_on_phone(person.id, &person);
        // A copy of the phone is at work as well.
        let copy = format!("{}, copy", person.id);
        if self.world.people().contains(&copy) && self.rng.random_bool(0.5) {
            self.act_on_phone(&copy, &person);
            self.world.sync(&copy);
        }
    }

    fn act_on_phone(&mut self, phone: &str, person: &Person) {
        // Between two actions there is often no time at all: readings tie.
        if self.rng.random_bool(0.5) {
            let ms = self.rng.random_range(0..3) * MINUTE_MS;
            self.world.wait(ms);
        }
        let reports = !matches!(person.role, Role::Station | Role::Liaison);
        if reports && self.rng.random_range(0..100u32) < 18 {
            let draft = words::report(person, &mut self.rng);
            self.try_it(phone, draft);
            return;
        }
        let Some(record) = self.some_record(phone) else {
            return;
        };
        if self.rng.random_range(0..100u32) < 12 {
            let kind = self.world.of(phone).device.store().kind_of(record);
            let kind = kind.expect("reads").expect("is here");
            let draft = words::blind(record, kind, &mut self.rng);
            self.try_it(phone, draft);
            return;
        }
        let true_ms = self.world.now_ms();
        let held = self.world.of(phone);
        let now = held.now(true_ms);
        let offered = words::offered(&held.device, now, true_ms, record, person, &mut self.rng);
        match offered {
            Some(draft) => {
                self.try_it(phone, draft);
            }
            None => self.confide(phone, record),
        }
    }

    /// A record on somebody's phone; mostly one of the newest.
    fn some_record(&mut self, phone: &str) -> Option<RecordId> {
        let heads = self.world.of(phone).device.store().heads().expect("heads");
        let here: Vec<RecordId> = heads.iter().map(|(record, _)| *record).collect();
        let newest: Vec<RecordId> = self.ledger.records.iter().rev().take(6).copied().collect();
        let mut fresh: Vec<RecordId> = here.clone();
        fresh.retain(|record| newest.contains(record));
        let from = match fresh.is_empty() || self.rng.random_bool(0.3) {
            true => here,
            false => fresh,
        };
        match from.is_empty() {
            true => None,
            false => Some(from[self.rng.random_range(0..from.len())]),
        }
    }

    /// Leaves personal data beside a finding.
    fn confide(&mut self, phone: &str, record: RecordId) {
        let kind = self.world.of(phone).device.store().kind_of(record);
        if kind.expect("reads") == Some(RecordKind::Finding) {
            let done = self
                .world
                .confide(phone, record, PrivateKind::Phone, "13800000000");
            self.heard(phone, "confide", done);
        }
    }

    pub(super) fn try_it(&mut self, phone: &str, draft: Draft) -> Option<EnvelopeHash> {
        let word = draft.body.word().to_owned();
        let done = self.world.try_act(phone, draft);
        self.heard(phone, &word, done)
    }

    /// Writes down what came of trying something.
    fn heard(
        &mut self,
        phone: &str,
        word: &str,
        done: Result<Captured, DeviceError>,
    ) -> Option<EnvelopeHash> {
        match done {
            Ok(captured) => {
                self.told(format!("{phone} {word} {}", captured.hash));
                self.count(format!("did {word}"));
                self.write_deed(phone, captured);
                Some(captured.hash)
            }
            Err(DeviceError::Refused(refused)) => {
                self.told(format!("{phone} {word} {refused}"));
                readable(refused.reason);
                self.count("refused on the phone");
                None
            }
            // A restored phone has no directory before it has synced.
            Err(DeviceError::NoDirectory | DeviceError::NoSuchRecord) => None,
            Err(error) => panic!("{phone}: {word}: {error}"),
        }
    }

    fn write_deed(&mut self, phone: &str, captured: Captured) {
        let true_ms = self.world.now_ms();
        let held = self.world.of(phone);
        let derived = held.device.derived(captured.record).expect("is here");
        let member = derived
            .document
            .member(&captured.hash)
            .expect("is in its record");
        let sealed = member.sealed.clone();
        let wrong_ms = held.clock_error_ms.unsigned_abs();
        let anchor = sealed.envelope.claim.anchor;
        let age_ms = anchor.and_then(|anchor| anchor.age_ms);
        let clock_is_good = wrong_ms < 60_000 && age_ms.is_some_and(|age| age < 70 * 3_600_000);
        let owner = held.device.owner().expect("enrolled");
        let person = owner.person.0.clone();
        self.ledger.note(Deed {
            phone: phone.to_owned(),
            person,
            sealed,
            true_ms,
            clock_is_good,
            crooked: false,
        });
    }

    fn pass_to_due_time(&mut self, off_ms: i64) {
        let now_ms = self.world.now_ms();
        let Some((_, due_ms)) = self.ledger.next_due(now_ms + 1) else {
            return;
        };
        self.count("to a due time");
        self.pass((due_ms + off_ms - now_ms).max(0));
    }

    /// Every target of the next whistle to fall due feeds back in its very last
    /// millisecond, as far as it has a phone with the order on it.
    fn just_in_time(&mut self) {
        let now_ms = self.world.now_ms();
        let Some((whistle, due_ms)) = self.ledger.next_due(now_ms + 1) else {
            return;
        };
        self.pass(due_ms - now_ms);
        let orders: Vec<_> = self
            .ledger
            .orders()
            .map(|(id, it)| (id, it.clone()))
            .collect();
        let Some((_, order)) = orders.into_iter().find(|(id, _)| *id == whistle) else {
            return;
        };
        for target in order.targets {
            let party = target.party.key();
            let people = self.world.people();
            let phone = speaker(&party).filter(|phone| {
                // The malicious phone's own app has not signed a thing.
                *phone != EVERYBODY[CROOK].id && people.iter().any(|name| name == phone)
            });
            let Some(phone) = phone else {
                continue;
            };
            let Ok(view) = self.world.of(phone).device.show(whistle) else {
                continue;
            };
            let RecordState::Whistle(state) = view.state else {
                continue;
            };
            let open = state
                .targets
                .get(&party)
                .is_some_and(|it| it.feedback.is_empty());
            if !open || state.stage().is_over() {
                continue;
            }
            let arrive = Body::Arrive {
                party: party.clone(),
                heads: 1,
                position: None,
                away: Some("在现场".to_owned()),
            };
            self.try_it(phone, Draft::on(RecordKind::Whistle, whistle, arrive));
            let text = "已处理".to_owned();
            let done = Body::Feedback { party, text };
            if self
                .try_it(phone, Draft::on(RecordKind::Whistle, whistle, done))
                .is_some()
            {
                self.count("in the last millisecond");
            }
            if self.rng.random_bool(0.7) {
                self.world.sync(phone);
            }
        }
        self.pass(1);
    }

    fn backup(&mut self, who: usize) {
        let phone = EVERYBODY[who].id;
        let nth = self.backups.len();
        let files = self.world.phone_backup(phone, &format!("backup {nth}"));
        let now_ms = self.world.now_ms();
        self.backups.insert(phone.to_owned(), (files, now_ms));
        // The system ends an app before it copies its files.
        self.world.app_dies(phone);
        // What follows is after the backup for certain.
        self.world.wait(1);
    }

    /// A backup is put back on the same phone: it has to notice, and what was
    /// done since is gone where it had not been sent.
    fn put_back(&mut self, who: usize) {
        let phone = EVERYBODY[who].id;
        let Some((files, since_ms)) = self.backups.remove(phone) else {
            return;
        };
        let before = self.world.of(phone).device.id();
        let chain = |world: &mut World| {
            world
                .of(phone)
                .device
                .store()
                .chain()
                .expect("a chain")
                .length
        };
        let length = chain(&mut self.world);
        self.world
            .switched_off(phone, |folder| World::put_back(folder, &files));
        let incident = self.world.of(phone).device.report().incident.clone();
        let at_backup = self.ledger.deeds.values().any(|deed| {
            deed.phone == phone && deed.true_ms > since_ms && deed.sealed.envelope.device == before
        });
        // Nothing was written since: it is the same phone in the same state.
        if !at_backup && incident.is_none() {
            return;
        }
        let incident = incident.unwrap_or_else(|| {
            panic!("{phone}: a backup of an older state (chain {length} then) went on unnoticed")
        });
        assert_eq!(incident.why, Why::Restored);
        assert_ne!(self.world.of(phone).device.id(), before, "another device");
        for deed in self.ledger.deeds.values() {
            if deed.sealed.envelope.device == before && deed.true_ms > since_ms {
                self.ledger.gone.insert(deed.sealed.hash);
            }
        }
        self.count("a backup was put back");
        self.enrol_again(phone, EVERYBODY[who].id);
    }

    /// A backup wakes up on another phone of the same person, while the first
    /// one goes on.
    fn wake_up_elsewhere(&mut self, who: usize) {
        let person = EVERYBODY[who].id;
        let Some((files, _)) = self.backups.remove(person) else {
            return;
        };
        let name = format!("{person}, other");
        if self.world.people().contains(&name) {
            return;
        }
        let folder = self.world.folder().join(&name);
        World::copied(&files, &folder);
        self.world.pick_up(&name);
        let incident = self.world.of(&name).device.report().incident.clone();
        assert_eq!(incident.expect("noticed").why, Why::Restored);
        let original = self.world.of(person).device.id();
        assert_ne!(self.world.of(&name).device.id(), original, "another device");
        self.count("a backup woke up elsewhere");
        self.enrol_again(&name, person);
    }

    /// A phone that has become another device takes part again, and its owner
    /// does again, or gives up, what it had not sent.
    fn enrol_again(&mut self, phone: &str, person: &str) {
        self.world.enrol(phone, person);
        self.world.sync(phone);
        let salvaged = self.world.of(phone).device.store().salvaged();
        for action in salvaged.expect("a list") {
            match self.rng.random_range(0..3u32) {
                0 => {
                    let device = &mut self.world.of(phone).device;
                    device.forget_salvaged(&action.hash).expect("forgets");
                    self.ledger.settled.insert(action.hash);
                }
                1 => {}
                _ => self.do_again(phone, action.hash),
            }
        }
    }

    fn redo(&mut self, who: usize) {
        let phone = EVERYBODY[who].id;
        let troubles = self.world.of(phone).device.troubles().expect("troubles");
        let open = troubles.iter().find(|it| it.trouble.redone.is_none());
        if let Some(hash) = open.map(|it| it.trouble.hash) {
            self.do_again(phone, hash);
        }
    }

    fn do_again(&mut self, phone: &str, old: EnvelopeHash) {
        let true_ms = self.world.now_ms();
        let held = self.world.of(phone);
        let now = held.now(true_ms);
        let mut rng = StdRng::seed_from_u64(true_ms.cast_unsigned());
        let done = held.device.redo(now, &mut rng, old);
        if let Err(DeviceError::NothingToRedo) = done {
            return;
        }
        if self.heard(phone, "redo", done).is_some() {
            self.ledger.settled.insert(old);
            self.count("did again");
        }
    }

    fn copy(&mut self, who: usize) {
        let phone = EVERYBODY[who].id;
        let name = format!("{phone}, copy");
        if self.world.people().contains(&name) {
            return;
        }
        let device = self.world.of(phone).device.id();
        self.ledger.copied.insert(device);
        self.world.copy_phone(&name, phone);
        self.count("a phone was copied");
        self.act_on_phone(&name, &EVERYBODY[who]);
    }
}
