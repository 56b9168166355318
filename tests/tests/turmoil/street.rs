//! A street of a seed: the server, the phones, what goes wrong, and the evening.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use turmoil::{Builder, Sim};

use shaodao_core::device::Captured;
use shaodao_core::domain::ids::{EnvelopeHash, RecordId};
use shaodao_core::points::Point;
use shaodao_core::sync::put_off::PutOff;
use shaodao_core::sync::transport::{SyncReport, Transport};
use shaodao_server::engine::sha256;
use shaodao_tests::simulation::{self, Outcome};
use shaodao_tests::world::{MORNING_MS, World};

use super::plan::{Event, Plan, TROUBLE_MS, Trouble, What};
use super::wire::{self, SERVER};
use super::{checks, phone, server};

/// How finely the network's time goes.
const TICK: Duration = Duration::from_millis(50);
/// How long anything takes between two hosts at most, when nothing is wrong.
const LATENCY: Duration = Duration::from_millis(200);
/// So long after all trouble has ended everybody has surely said everything:
/// connections that were cut are given up after a minute.
const PATIENCE_MS: u64 = 15 * 60_000;

/// Streets that this process has begun.
static LIVED: AtomicU64 = AtomicU64::new(0);

/// An action that a phone has acknowledged as saved.
pub struct Deed {
    /// Whose phone.
    pub phone: &'static str,
    /// On which record.
    pub record: RecordId,
    /// What was done.
    pub word: String,
}

/// What hosts and checks share; nothing of it is part of the product.
pub struct Street {
    /// The way to the server.
    pub transport: Transport,
    /// The writer of the running server.
    pub writer: RefCell<Option<JoinHandle<()>>>,
    /// Where the server is to die.
    pub doom: Cell<Option<(Point, u32)>>,
    /// It has died there.
    pub died: Arc<AtomicBool>,
    /// Everything that was acknowledged.
    pub deeds: RefCell<BTreeMap<EnvelopeHash, Deed>>,
    seed: u64,
    folder: PathBuf,
    elapsed_ms: Cell<u64>,
    evening: Cell<bool>,
    /// How often something changed somewhere.
    changes: Cell<u64>,
    /// How many changes there had been when a phone last asked and heard of
    /// nothing, with nothing left to send.
    quiet: RefCell<BTreeMap<&'static str, u64>>,
    /// How often somebody has drawn a source of chance.
    drawn: RefCell<BTreeMap<&'static str, u64>>,
    trace: RefCell<Vec<String>>,
    tally: RefCell<BTreeMap<String, u64>>,
}

/// Lives a seed and checks everything.
///
/// # Panics
/// Something that must hold does not.
pub fn live(seed: u64) -> Outcome {
    let plan = Plan::draw(seed);
    let street = Rc::new(Street::new(seed));
    happen(&plan, &street);
    for (record, heads) in checks::check(&plan, &street) {
        street.told(format!("{record} {heads:02x?}"));
    }
    let trace = sha256(street.trace.borrow().join("\n").as_bytes());
    let tally = street.tally.take();
    Outcome { trace, tally }
}

/// The trouble, and the evening after it.
fn happen(plan: &Plan, street: &Rc<Street>) {
    let mut sim = Builder::new()
        .rng_seed(street.seed)
        .tick_duration(TICK)
        .max_message_latency(LATENCY)
        .repair_rate(0.5)
        .enable_random_order()
        .build();
    let it = street.clone();
    sim.host(SERVER, move || server::serve(it.clone()));
    for person in plan.people.clone() {
        let it = street.clone();
        sim.host(person.id, move || phone::live(person, it.clone()));
    }
    let mut trouble = Vec::from_iter(plan.events.iter().rev().copied());
    // What ends, and when.
    let mut ending: Vec<(u64, What)> = Vec::new();
    loop {
        let now_ms = u64::try_from(sim.elapsed().as_millis()).expect("not so long");
        street.elapsed_ms.set(now_ms);
        while let Some(event) = trouble.pop_if(|event| event.at_ms <= now_ms) {
            begin(&mut sim, street, event, &mut ending);
        }
        if street.died.swap(false, Ordering::SeqCst) {
            crash(&mut sim, street);
            ending.push((now_ms + 1_000, What::ServerCrashes));
        }
        let mut over = ending.extract_if(.., |(at_ms, _)| *at_ms <= now_ms);
        for (_, what) in over.by_ref() {
            end(&mut sim, street, what);
        }
        drop(over);
        if now_ms >= TROUBLE_MS && !street.evening.get() && ending.is_empty() {
            street.doom.take();
            heal(&mut sim, plan, street);
        }
        if street.is_evening() && street.is_quiet(plan) {
            break;
        }
        assert!(
            now_ms < TROUBLE_MS + PATIENCE_MS,
            "the street does not become quiet:\n{}",
            street.newest().join("\n")
        );
        if let Err(error) = sim.step() {
            panic!("{error}");
        }
    }
    for person in &plan.people {
        sim.crash(person.id);
    }
    crash(&mut sim, street);
}

fn begin(sim: &mut Sim<'_>, street: &Street, event: Event, ending: &mut Vec<(u64, What)>) {
    let mut ends = true;
    match event.what {
        What::ServerCrashes if !sim.is_host_running(SERVER) => ends = false,
        What::ServerCrashes => {
            street.count("the server crashed");
            crash(sim, street);
        }
        What::ServerDies(step, nth) => {
            street.doom.set(Some((step, nth)));
            street.count(format!("the server died, {step:?}"));
            ends = false;
        }
        What::Phone(who, trouble) => {
            let name = simulation::cast::EVERYBODY[who].id;
            street.count(match trouble {
                Trouble::Dies => "a phone died",
                Trouble::Cut => "cut",
                Trouble::Deaf => "deaf",
                Trouble::Mute => "mute",
                Trouble::Held => "held",
                Trouble::Lossy(_) => "lossy",
                Trouble::Slow(_) => "slow",
            });
            match trouble {
                Trouble::Dies => sim.crash(name),
                Trouble::Cut => sim.partition(name, SERVER),
                Trouble::Deaf => sim.partition_oneway(SERVER, name),
                Trouble::Mute => sim.partition_oneway(name, SERVER),
                Trouble::Held => sim.hold(name, SERVER),
                Trouble::Lossy(percent) => {
                    sim.set_link_fail_rate(name, SERVER, f64::from(percent) / 100.0);
                }
                Trouble::Slow(ms) => {
                    sim.set_link_max_message_latency(name, SERVER, Duration::from_millis(ms));
                }
            }
        }
    }
    street.told(format!("{:?} at {}", event.what, event.at_ms));
    if ends {
        ending.push((event.at_ms + event.for_ms, event.what));
    }
}

fn end(sim: &mut Sim<'_>, street: &Street, what: What) {
    street.told(format!("{what:?} is over"));
    match what {
        What::ServerCrashes => sim.bounce(SERVER),
        What::ServerDies(..) => {}
        What::Phone(who, trouble) => {
            let name = simulation::cast::EVERYBODY[who].id;
            match trouble {
                Trouble::Dies => sim.bounce(name),
                Trouble::Held => sim.release(name, SERVER),
                _ => mend(sim, name),
            }
        }
    }
}

/// The link of a phone is as it should be.
fn mend(sim: &mut Sim<'_>, name: &str) {
    sim.repair(name, SERVER);
    sim.set_link_fail_rate(name, SERVER, 0.0);
    sim.set_link_max_message_latency(name, SERVER, LATENCY);
}

/// All trouble is over.
fn heal(sim: &mut Sim<'_>, plan: &Plan, street: &Street) {
    for person in &plan.people {
        mend(sim, person.id);
    }
    street.evening.set(true);
    street.told("evening".to_owned());
}

/// The server's host crashes. Whatever its writer has in hand is done or undone
/// before anybody opens the database again, as the system sees to when a process
/// dies.
fn crash(sim: &mut Sim<'_>, street: &Street) {
    sim.crash(SERVER);
    if let Some(writer) = street.writer.take() {
        // It may have died in the middle.
        let _ = writer.join();
    }
}

impl Street {
    fn new(seed: u64) -> Self {
        let nth = LIVED.fetch_add(1, Ordering::SeqCst);
        let name = format!("shaodao-{}-turmoil-{nth}", std::process::id());
        let folder = simulation::memory().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        World::copied(simulation::template(), &folder);
        Self {
            transport: wire::transport(),
            writer: RefCell::default(),
            doom: Cell::default(),
            died: Arc::default(),
            deeds: RefCell::default(),
            seed,
            folder,
            elapsed_ms: Cell::default(),
            evening: Cell::default(),
            changes: Cell::default(),
            quiet: RefCell::default(),
            drawn: RefCell::default(),
            trace: RefCell::default(),
            tally: RefCell::default(),
        }
    }

    /// The server's folder.
    pub fn server_folder(&self) -> PathBuf {
        self.folder.join("server")
    }

    /// The folder of somebody's phone.
    pub fn phone_folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Milliseconds since the start, as finely as the network's time goes.
    pub fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms.get()
    }

    /// The true time, Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        MORNING_MS + self.elapsed_ms().cast_signed()
    }

    /// A source of chance: another one each time that somebody asks.
    pub fn chance(&self, name: &'static str) -> u64 {
        let mut drawn = self.drawn.borrow_mut();
        let nth = drawn.entry(name).or_default();
        *nth += 1;
        let said = sha256(format!("{} {name} {nth}", self.seed).as_bytes());
        u64::from_be_bytes(*said.first_chunk().expect("eight bytes"))
    }

    /// Whether all trouble is over, and nobody does anything any more.
    pub fn is_evening(&self) -> bool {
        self.evening.get()
    }

    /// How often something changed somewhere.
    pub fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// A phone has acknowledged an action.
    pub fn saved(&self, phone: &'static str, word: &str, captured: Captured) {
        self.changes.set(self.changes.get() + 1);
        self.told(format!("{phone} {word} {}", captured.hash));
        self.count(format!("did {word}"));
        let deed = Deed {
            phone,
            record: captured.record,
            word: word.to_owned(),
        };
        self.deeds.borrow_mut().insert(captured.hash, deed);
    }

    /// A phone has synced to the end; `before` is how often something had changed
    /// when it began.
    pub fn synced(&self, phone: &'static str, before: u64, report: &SyncReport, left: u64) {
        let outcome = &report.outcome;
        let heard = outcome.accepted + outcome.troubles.len() + outcome.pulled;
        self.told(format!(
            "{phone} synced in {}: {} accepted, {} troubles, {} pulled, {left} left",
            report.requests,
            outcome.accepted,
            outcome.troubles.len(),
            outcome.pulled
        ));
        self.count("synced");
        if heard > 0 || left > 0 {
            self.changes.set(self.changes.get() + 1);
        } else {
            self.quiet.borrow_mut().insert(phone, before);
        }
    }

    /// A phone could not reach the server.
    pub fn unreachable(&self, phone: &str, why: &str) {
        self.told(format!("{phone}: {why}"));
        self.count("unreachable");
    }

    /// The server asked a phone to wait.
    pub fn put_off(&self, phone: &str, put_off: &PutOff) {
        self.told(format!("{phone}: {}", put_off.code));
        self.count(format!("put off, {}", put_off.code));
    }

    /// Whether everybody has asked since the last change, and heard of nothing.
    fn is_quiet(&self, plan: &Plan) -> bool {
        let quiet = self.quiet.borrow();
        let changes = self.changes.get();
        plan.people
            .iter()
            .all(|person| quiet.get(person.id) == Some(&changes))
    }

    /// What happened last.
    fn newest(&self) -> Vec<String> {
        let trace = self.trace.borrow();
        trace[trace.len().saturating_sub(20)..].to_vec()
    }

    fn told(&self, line: String) {
        let line = format!("{} {line}", self.elapsed_ms());
        if std::env::var_os("SHAODAO_TRACE").is_some() {
            println!("{line}");
        }
        self.trace.borrow_mut().push(line);
    }

    fn count(&self, what: impl Into<String>) {
        *self.tally.borrow_mut().entry(what.into()).or_default() += 1;
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
