//! A small street with people, phones, a server and a bad network, all in one
//! process, in virtual time, from one seed.
//!
//! 1. [`World::new`] makes the server (the real one, behind its real HTTP
//!    handlers, with its database in a folder of its own) and prints the seed.
//! 2. [`World::phone`] gives somebody a phone (the real core, with its own
//!    database) and enrols it with a ticket that an administrator opens and
//!    confirms ([`World::admin`]).
//! 3. People act; [`World::pass`] lets time go by; [`World::sync`] carries a
//!    phone's exchange over a network that loses, doubles, cuts and delays as
//!    [`network::Weather`] says.
//! 4. [`World::settle`] heals the network, lets everybody sync until nothing is
//!    left to say, and checks that the world is clean. A world that is dropped
//!    unsettled fails its test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tower::ServiceExt;

use shaodao_core::device::evidence::Shot;
use shaodao_core::device::{Captured, Device, DeviceError, Draft, RecordView};
use shaodao_core::domain::action::{Body as Act, Facts, Order, RecordKind, Target, Value, fact};
use shaodao_core::domain::action::{Level, Party};
use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::escalation::Case;
use shaodao_core::domain::finding::FindingState;
use shaodao_core::domain::ids::{BootId, RecordId};
use shaodao_core::domain::private::PrivateKind;
use shaodao_core::domain::record::RecordState;
use shaodao_core::domain::time::Moment;
use shaodao_core::domain::whistle::WhistleState;
use shaodao_core::pack;
use shaodao_core::store::Store;
use shaodao_server::app::App;
use shaodao_server::clock::Clock;
use shaodao_server::engine::Engine;
use shaodao_server::http::router;
use shaodao_server::verify::Extent;

pub mod deeds;
pub mod disaster;
mod evidence;
pub mod network;
mod phones;
pub mod repeat;

use network::{Fate, Weather};

use crate::home::home;

/// 2025-06-11, a Wednesday, 09:00 in Shanghai.
pub const MORNING_MS: i64 = 1_749_603_600_000;
/// An hour, milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// Exchanges after which a phone has surely said everything.
const PATIENCE: usize = 300;

/// A phone in somebody's hand.
pub struct Phone {
    /// The real core.
    pub device: Device,
    /// Flight mode.
    pub offline: bool,
    /// How wrong the wall clock is, milliseconds.
    pub clock_error_ms: i64,
    folder: PathBuf,
    boot: BootId,
    booted_at_ms: i64,
}

/// The street. See the module.
pub struct World {
    /// The seed; everything follows from it.
    pub seed: u64,
    /// The one source of chance.
    pub rng: StdRng,
    /// How bad the network is.
    pub weather: Weather,
    now_ms: i64,
    folder: PathBuf,
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
    phones: BTreeMap<String, Phone>,
    delayed: Vec<(String, Vec<u8>)>,
    settled: bool,
    /// Somebody changed the server's database behind its back.
    tampered: bool,
    pack: Vec<u8>,
    /// The server's chance comes from the seed, too; see [`repeat`].
    repeatable: bool,
    /// The server dies at one of its next steps.
    doomed: bool,
}

struct Server {
    app: Arc<App>,
    router: Router,
    clock: Clock,
    writer: JoinHandle<()>,
}

impl World {
    /// A new street. The folder is emptied first.
    pub fn new(name: &str, seed: u64) -> Self {
        Self::with_pack(name, seed, pack::HUASHAN.to_vec())
    }

    /// A new street whose directory starts as this pack.
    pub fn with_pack(name: &str, seed: u64, pack: Vec<u8>) -> Self {
        println!("world {name}: seed {seed}");
        let folder =
            std::env::temp_dir().join(format!("shaodao-{}-{name}-{seed}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        Self::found(folder, seed, pack, runtime, false)
    }

    fn found(
        folder: PathBuf,
        seed: u64,
        pack: Vec<u8>,
        runtime: tokio::runtime::Runtime,
        repeatable: bool,
    ) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder for the world");
        let mut world = Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            weather: Weather::fine(),
            now_ms: MORNING_MS,
            folder,
            server: None,
            runtime,
            phones: BTreeMap::new(),
            delayed: Vec::new(),
            settled: true,
            tampered: false,
            pack,
            repeatable,
            doomed: false,
        };
        world.start_server();
        world
    }

    /// The true time, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The world's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The running server.
    pub fn app(&self) -> &Arc<App> {
        &self.server.as_ref().expect("the server is up").app
    }

    /// Starts the server on its folder, which a stopped one left behind.
    pub fn start_server(&mut self) {
        self.start_server_with_clock_wrong(0);
    }

    /// Starts it with a wall clock that is wrong by so much.
    pub fn start_server_with_clock_wrong(&mut self, by_ms: i64) {
        let folder = self.folder.join("server");
        std::fs::create_dir_all(&folder).expect("a folder for the server");
        let clock = Clock::rehearsal(self.now_ms);
        clock.jump(by_ms);
        let engine = self.open_engine(clock.clone()).expect("a database");
        let started = App::start_on(&folder, engine, evidence::settings());
        let (app, writer) = started.expect("the server starts");
        let looked = self.runtime.block_on(app.look_at_clock());
        looked.expect("it looks at its clock");
        let router = router(app.clone());
        self.server = Some(Server {
            app,
            router,
            clock,
            writer,
        });
    }

    /// Takes the server away between two requests; its database is closed when
    /// this returns.
    pub fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            drop((server.router, server.app));
            let _ = server.writer.join();
        }
    }

    /// Lets time go by; what is due at the server happens.
    pub fn pass(&mut self, ms: i64) {
        self.wait(ms);
        self.look_at_deadlines();
    }

    /// Lets time go by, and the server does not look at its deadlines.
    pub fn wait(&mut self, ms: i64) {
        self.now_ms += ms;
        if let Some(server) = &self.server {
            server.clock.set(self.now_ms);
        }
    }

    /// The server looks at its deadlines, if it is up.
    pub fn look_at_deadlines(&mut self) {
        if let Some(server) = &self.server {
            let looked = self.runtime.block_on(server.app.watch_deadlines());
            if looked.is_err() && self.doomed {
                return self.bury_server();
            }
            looked.expect("deadlines are looked at");
        }
    }

    /// Somebody sets the server's wall clock wrong by so much.
    pub fn set_server_clock_wrong(&mut self, by_ms: i64) {
        let server = self.server.as_ref().expect("the server is up");
        server.clock.jump(by_ms);
    }

    /// Somebody's phone.
    pub fn of(&mut self, person: &str) -> &mut Phone {
        self.phones
            .get_mut(person)
            .unwrap_or_else(|| panic!("{person} has no phone"))
    }

    /// Somebody's phone is switched off and on again.
    pub fn restart(&mut self, person: &str) {
        let phone = self
            .phones
            .get_mut(person)
            .unwrap_or_else(|| panic!("{person} has no phone"));
        phone.restart(self.now_ms, &mut self.rng);
    }

    /// Somebody's phone is off while something happens to its files.
    pub fn switched_off(&mut self, person: &str, meanwhile: impl FnOnce(&Path)) {
        let phone = self.phones.remove(person);
        let Phone {
            device,
            offline,
            clock_error_ms,
            folder,
            ..
        } = phone.unwrap_or_else(|| panic!("{person} has no phone"));
        drop(device);
        meanwhile(&folder);
        let home = home(&folder, self.now_ms);
        let phone = Phone {
            device: Device::open(&home, &mut self.rng).expect("opens again"),
            offline,
            clock_error_ms,
            folder,
            boot: BootId::random(&mut self.rng),
            booted_at_ms: self.now_ms,
        };
        self.phones.insert(person.to_owned(), phone);
    }

    /// Everybody who has a phone.
    pub fn people(&self) -> Vec<String> {
        self.phones.keys().cloned().collect()
    }

    /// Somebody does something, wherever they are.
    pub fn try_act(&mut self, person: &str, draft: Draft) -> Result<Captured, DeviceError> {
        self.settled = false;
        let phone = self
            .phones
            .get_mut(person)
            .unwrap_or_else(|| panic!("{person} has no phone"));
        let now = phone.now(self.now_ms);
        phone.device.capture(now, &mut self.rng, draft)
    }

    /// Somebody does something that is possible.
    pub fn act(&mut self, person: &str, draft: Draft) -> RecordId {
        match self.try_act(person, draft) {
            Ok(captured) => captured.record,
            Err(error) => panic!("{person}: {error}"),
        }
    }

    /// Somebody leaves personal data beside a finding.
    ///
    /// # Errors
    /// It is not possible.
    pub fn confide(
        &mut self,
        person: &str,
        finding: RecordId,
        kind: PrivateKind,
        text: &str,
    ) -> Result<Captured, DeviceError> {
        self.settled = false;
        let phone = self
            .phones
            .get_mut(person)
            .unwrap_or_else(|| panic!("{person} has no phone"));
        let now = phone.now(self.now_ms);
        phone
            .device
            .confide(now, &mut self.rng, finding, kind, text)
    }

    /// Somebody attaches files to a record.
    ///
    /// # Errors
    /// It is not possible.
    pub fn attach(
        &mut self,
        person: &str,
        record: RecordId,
        shots: &[Shot],
    ) -> Result<Captured, DeviceError> {
        self.settled = false;
        let phone = self
            .phones
            .get_mut(person)
            .unwrap_or_else(|| panic!("{person} has no phone"));
        let now = phone.now(self.now_ms);
        phone.device.attach(now, &mut self.rng, record, shots)
    }

    /// Somebody reports a finding in a grid.
    pub fn report(&mut self, person: &str, grid: &str, category: &str, title: &str) -> RecordId {
        self.act(
            person,
            Draft::new(
                RecordKind::Finding,
                finding_facts(grid, category, title),
                Act::Report,
            ),
        )
    }

    /// Somebody acts on a whistle.
    pub fn on_whistle(&mut self, person: &str, whistle: RecordId, body: Act) {
        self.act(person, Draft::on(RecordKind::Whistle, whistle, body));
    }

    /// Somebody acts on a finding.
    pub fn on_finding(&mut self, person: &str, finding: RecordId, body: Act) {
        self.act(person, Draft::on(RecordKind::Finding, finding, body));
    }

    /// A secretary blows a community whistle for one finding, due in so many
    /// hours.
    pub fn whistle(
        &mut self,
        person: &str,
        area: &str,
        finding: RecordId,
        targets: &[&str],
        hours: i64,
    ) -> RecordId {
        let order = order(area, vec![finding], targets, self.now_ms + hours * HOUR_MS);
        let title = Value::Text("请速到场处理".to_owned());
        let facts = [(fact::TITLE.to_owned(), title)].into();
        self.act(
            person,
            Draft::new(RecordKind::Whistle, facts, Act::Issue(order)),
        )
    }

    /// A record as somebody sees it.
    pub fn show(&mut self, person: &str, record: RecordId) -> RecordView {
        match self.of(person).device.show(record) {
            Ok(view) => view,
            Err(error) => panic!("{person} cannot see {record}: {error}"),
        }
    }

    /// A finding as somebody sees it.
    pub fn finding(&mut self, person: &str, record: RecordId) -> FindingState {
        match self.show(person, record).state {
            RecordState::Finding(finding) => finding,
            RecordState::Whistle(_) => panic!("{record} is a whistle"),
        }
    }

    /// A whistle as somebody sees it.
    pub fn seen_whistle(&mut self, person: &str, record: RecordId) -> WhistleState {
        match self.show(person, record).state {
            RecordState::Whistle(whistle) => *whistle,
            RecordState::Finding(_) => panic!("{record} is a finding"),
        }
    }

    /// Somebody's phone tries to sync, over the weather; whether it got to the
    /// end. In flight mode nothing happens.
    pub fn sync(&mut self, person: &str) -> bool {
        for _ in 0..PATIENCE {
            if self.of(person).offline || self.server.is_none() {
                return false;
            }
            match self.exchange(person) {
                Some(true) => {}
                Some(false) => return true,
                None => return false,
            }
        }
        panic!(
            "{person}: still not done after {PATIENCE} exchanges (seed {})",
            self.seed
        );
    }

    /// Everybody who has a signal syncs, in random order.
    pub fn sync_all(&mut self) {
        let mut people = self.people();
        for at in (1..people.len()).rev() {
            people.swap(at, self.rng.random_range(0..=at));
        }
        for person in people {
            self.sync(&person);
        }
    }

    /// One exchange: `Some(more)`, or `None` if it broke.
    fn exchange(&mut self, person: &str) -> Option<bool> {
        self.settled = false;
        let outgoing = self.of(person).device.prepare_sync().expect("enrolled");
        let sent_at = {
            let now_ms = self.now_ms;
            self.of(person).now(now_ms)
        };
        let fate = self.weather.fate(&mut self.rng);
        if self.weather.delays(&mut self.rng) && !self.delayed.is_empty() {
            let at = self.rng.random_range(0..self.delayed.len());
            let (token, body) = self.delayed.swap_remove(at);
            self.post("/v1/sync", Some(&token), body);
        }
        let body = outgoing.body.clone();
        match fate {
            Fate::LostOnTheWay => return None,
            Fate::Delayed => {
                self.delayed.push((outgoing.token.clone(), body));
                return None;
            }
            Fate::Doubled => {
                self.post("/v1/sync", Some(&outgoing.token), body.clone());
            }
            Fate::Arrives | Fate::ReplyLost | Fate::ReplyCut => {}
        }
        let (status, mut reply) = self.post("/v1/sync", Some(&outgoing.token), body);
        if status == 401 {
            let mut phone = self.phones.remove(person)?;
            self.open_session(&mut phone);
            self.phones.insert(person.to_owned(), phone);
            return Some(true);
        }
        if status >= 500 && self.doomed {
            self.bury_server();
            return None;
        }
        assert_eq!(status, 200, "{person}: {}", String::from_utf8_lossy(&reply));
        if fate == Fate::ReplyLost {
            return None;
        }
        if fate == Fate::ReplyCut {
            reply.truncate(self.rng.random_range(0..reply.len()));
        }
        let device = &mut self.of(person).device;
        match device.settle_sync(&outgoing, sent_at, &reply) {
            Ok(outcome) => Some(outcome.more),
            Err(_) if fate == Fate::ReplyCut => None,
            Err(error) => panic!("{person}: {error}"),
        }
    }

    /// A page of the server, as text.
    pub fn get(&self, path: &str) -> String {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        String::from_utf8_lossy(&self.ask(request).1).into_owned()
    }

    /// An administrator says that the server's clock is right.
    pub fn confirm_clock(&mut self) {
        let confirm = |engine: &mut Engine| engine.confirm_clock("administrator");
        let writer = self.app().writer.clone();
        let confirmed = self.runtime.block_on(writer.submit(confirm));
        confirmed.expect("confirmed");
    }

    /// A request through the server's real handlers: status and body.
    pub fn post(&self, path: &str, token: Option<&str>, body: Vec<u8>) -> (u16, Vec<u8>) {
        let mut request = Request::post(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.ask(request.body(Body::from(body)).expect("a request"))
    }

    fn ask(&self, request: Request<Body>) -> (u16, Vec<u8>) {
        let router = self
            .server
            .as_ref()
            .expect("the server is up")
            .router
            .clone();
        let answered = self.runtime.block_on(async move {
            let response = router.oneshot(request).await.expect("infallible");
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX)
                .await
                .expect("a body");
            (status, body.to_vec())
        });
        if self.repeatable {
            self.quiet();
        }
        answered
    }

    /// Heals the network, lets everybody sync until nothing is left to say, and
    /// checks that the world is clean.
    pub fn settle(&mut self) {
        self.weather = Weather::fine();
        if self.server.is_none() {
            self.start_server();
        }
        while let Some((token, body)) = self.delayed.pop() {
            self.post("/v1/sync", Some(&token), body);
        }
        for phone in self.phones.values_mut() {
            phone.offline = false;
        }
        for _ in 0..3 {
            self.sync_all();
        }
        self.check();
        self.check_outlook();
        self.settled = true;
    }

    /// What must hold once everybody has synced: queues empty, the same heads
    /// wherever a record is, rows as a rebuild would make them, and on the server
    /// nothing that its chain does not bear out.
    fn check(&mut self) {
        if !self.tampered {
            let report = self.verify(Extent::Everything);
            assert!(report.is_clean(), "{report:#?} (seed {})", self.seed);
        }
        let seed = self.seed;
        let server: BTreeMap<RecordId, Vec<u8>> = self.server_heads();
        for (person, phone) in &mut self.phones {
            let counts = phone.device.store().counts().expect("counts");
            assert_eq!(counts.outbox, 0, "{person}: outbox not empty (seed {seed})");
            let unsent = phone.device.store().unsent_private(1).expect("reads");
            assert!(
                unsent.is_empty(),
                "{person}: personal data unsent (seed {seed})"
            );
            // Whoever is shut out hears of nothing, and cannot agree.
            let shut_out = phone.device.state().expect("a state") != DeviceState::Active;
            for (record, heads) in phone.device.store().heads().expect("heads") {
                // A record of which nothing was accepted has no heads there.
                let theirs = server.get(&record);
                let only_here = theirs.is_none_or(Vec::is_empty);
                assert!(
                    only_here || shut_out || theirs == Some(&heads),
                    "{person}: {record} differs (seed {seed})"
                );
            }
            let before = rows(phone.device.store());
            phone.device.rebuild().expect("rebuilds");
            assert_eq!(
                before,
                rows(phone.device.store()),
                "{person}: rebuild differs (seed {seed})"
            );
        }
    }

    /// Timers are as a rebuild would make them; and what a phone says will happen
    /// next to a whistle is what the server has a timer for, wherever both know
    /// the same facts.
    fn check_outlook(&mut self) {
        let seed = self.seed;
        let server = self.server_heads();
        let timers = self.timers();
        let writer = self.app().writer.clone();
        let again = self.runtime.block_on(writer.submit(Engine::arm_all));
        again.expect("timers are armed");
        assert_eq!(
            timers,
            self.timers(),
            "timers as a rebuild makes them (seed {seed})"
        );
        for (person, phone) in &self.phones {
            for (record, heads) in phone.device.store().heads().expect("heads") {
                let view = phone.device.show(record).expect("is here");
                let RecordState::Whistle(state) = &view.state else {
                    continue;
                };
                let carried = phone.device.carried(state).expect("findings");
                let findings = state.order.as_ref().map_or(0, |it| it.findings.len());
                let mut findings_here = state.order.iter().flat_map(|it| &it.findings);
                let store = phone.device.store();
                if server.get(&record) != Some(&heads)
                    || carried.len() != findings
                    || !findings_here.all(|finding| knows_where_it_went(store, *finding))
                {
                    continue;
                }
                let case = Case {
                    whistle: record,
                    state,
                    carried: &carried,
                    directory: &phone.device.directory().expect("enrolled"),
                };
                let next = case.next().map(|next| next.at_ms + 1);
                assert_eq!(
                    next,
                    timers.get(&record).copied(),
                    "{person}: {record} has another outlook (seed {seed})"
                );
            }
        }
    }

    /// The server's timers: when each fires first, by whistle.
    pub fn timers(&self) -> BTreeMap<RecordId, i64> {
        let timers = self.app().read(|db| {
            let mut statement = db.prepare(
                "SELECT record.record, due_at_ms FROM timer JOIN record ON record.id = whistle",
            )?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0).map(RecordId)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        timers.expect("the server's timers")
    }

    /// The server's heads by record.
    pub fn server_heads(&self) -> BTreeMap<RecordId, Vec<u8>> {
        let heads = self.app().read(|db| {
            let mut statement = db.prepare("SELECT record, heads FROM record")?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0).map(RecordId)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        });
        heads.expect("the server's heads")
    }

    /// One number that the server's database says.
    pub fn server_count(&self, sql: &str) -> i64 {
        let count = self
            .app()
            .read(|db| Ok(db.query_row(sql, [], |row| row.get(0))?));
        count.expect("a count")
    }
}

impl World {
    /// Lets a world go that is not asked whether everybody agrees: one of a
    /// benchmark, with parts of it left out.
    pub fn let_go(mut self) {
        self.settled = true;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_server();
        let _ = std::fs::remove_dir_all(&self.folder);
        if !std::thread::panicking() {
            assert!(
                self.settled,
                "a world was left unsettled (seed {})",
                self.seed
            );
        }
    }
}

impl Phone {
    /// Where the phone lives.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the phone's clocks show at a true time.
    pub fn now(&self, true_ms: i64) -> Moment {
        Moment {
            wall_ms: true_ms + self.clock_error_ms,
            boot: self.boot,
            mono_ms: (true_ms - self.booted_at_ms).unsigned_abs(),
        }
    }

    /// Another boot, the same database.
    fn restart(&mut self, true_ms: i64, rng: &mut StdRng) {
        self.boot = BootId::random(rng);
        self.booted_at_ms = true_ms;
        self.device = Device::open(&home(&self.folder, true_ms), rng).expect("opens again");
    }
}

/// Whether a phone has a finding, and whatever that was merged into.
fn knows_where_it_went(store: &Store, finding: RecordId) -> bool {
    let (mut at, mut passed) = (Some(finding), BTreeSet::new());
    while let Some(finding) = at.filter(|at| passed.insert(*at)) {
        match store.finding(finding).expect("reads") {
            Some(row) => at = row.merged_into,
            None => return false,
        }
    }
    true
}

/// Everything that lists read, as text to compare.
pub fn rows(store: &Store) -> String {
    let everything = |limit| shaodao_core::store::read::FindingFilter {
        limit,
        ..Default::default()
    };
    let mut findings = store.findings(&everything(10_000)).expect("findings");
    findings.sort_by_key(|finding| finding.record);
    let filter = shaodao_core::store::read::WhistleFilter {
        limit: 10_000,
        ..Default::default()
    };
    let mut whistles = store.whistles(&filter).expect("whistles");
    whistles.sort_by_key(|whistle| whistle.record);
    let progress = store.progress().expect("progress");
    let heads = store.heads().expect("heads");
    format!(
        "{findings:#?}\n{whistles:#?}\n{heads:?}\n{} {:?}",
        progress.count, progress.digest
    )
}

/// Facts of a report.
pub fn finding_facts(grid: &str, category: &str, title: &str) -> Facts {
    [
        (fact::GRID, grid),
        (fact::CATEGORY, category),
        (fact::TITLE, title),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), Value::Text(text.to_owned())))
    .collect()
}

/// A community order for named targets, all of them mandatory; the first leads.
pub fn order(area: &str, findings: Vec<RecordId>, targets: &[&str], due_ms: i64) -> Order {
    let target = |(at, key): (usize, &&str)| Target {
        party: Party::parse(key).expect("a party"),
        lead: at == 0,
        mandatory: true,
    };
    let level = if area.len() == 9 {
        Level::Street
    } else {
        Level::Community
    };
    Order {
        level,
        platform: if level == Level::Street { 1 } else { 5 },
        area: area.to_owned(),
        findings,
        targets: targets.iter().enumerate().map(target).collect(),
        sign_by_ms: None,
        report_by_ms: None,
        due_ms,
        terms: None,
        parent: None,
    }
}
