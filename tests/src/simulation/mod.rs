//! Weeks of a street, by the hundred: real phones with their real databases, one
//! real server behind its real handlers, virtual time, and everything that can
//! go wrong, from one seed.
//!
//! 1. [`plan`] draws what will happen: who has a phone, and a hundred things one
//!    after the other, some of them disasters. [`cast`] says who is who.
//! 2. [`life`] makes it happen in a world of its own; [`office`] is what
//!    administrators do; [`words`] puts into words what somebody can do, [`cases`] makes whistles fall due in every way, and
//!    [`crook`] is the malicious phone.
//! 3. [`ledger`] writes down what really happened.
//! 4. [`Simulation::heal`] ends all trouble and lets a fortnight pass.
//! 5. [`invariants`] compare what phones and server then say with the ledger and
//!    with each other; each is a function with a name.
//! 6. [`runner`] lives many seeds on all cores, and prints one seed and one
//!    command when something is not right.
//!
//! Worlds begin as copies of one street in which everybody is enrolled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_server::engine::sha256;

use crate::world::World;
use crate::world::network::Weather;

pub mod plan;
//
pub mod cast;
//
pub mod ledger;
//
pub mod life;
//
pub mod office;
//
pub mod words;
//
pub mod cases;
//
pub mod crook;
//
pub mod invariants;
//
pub mod escalations;
//
pub mod runner;
//
#[cfg(feature = "planted")]
pub mod planting;

use cast::{CROOK, EVERYBODY};
use crook::Crook;
use ledger::Ledger;
use plan::Plan;

/// Worlds that this process has begun.
static LIVED: AtomicU64 = AtomicU64::new(0);
const DAY_MS: i64 = 24 * 3_600_000;

/// A world, and what happens in it.
pub struct Simulation {
    /// The world.
    pub world: World,
    /// What will happen.
    pub plan: Plan,
    /// What really happened.
    pub ledger: Ledger,
    /// How often what has happened, for people to believe that it does.
    pub tally: BTreeMap<String, u64>,
    crook: Crook,
    rng: StdRng,
    trace: Vec<String>,
    /// The server's clock is wrong, and the server knows.
    clock_is_ahead: bool,
    /// Backups of phones: the files, and how many actions the ledger had.
    backups: BTreeMap<String, (PathBuf, i64)>,
    /// The newest backup of the server, and when it was made.
    server_backup: Option<(PathBuf, i64)>,
    /// Until when a restored server leaves deadlines alone.
    waits_until_ms: i64,
}

/// What came of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Hash over everything that happened, in order.
    pub trace: [u8; 32],
    /// How often what happened.
    pub tally: BTreeMap<String, u64>,
}

/// Lives a seed and checks everything.
///
/// # Panics
/// Something that must hold does not.
pub fn live(seed: u64) -> Outcome {
    let mut simulation = Simulation::new(seed);
    simulation.happen();
    simulation.heal();
    invariants::check(&mut simulation);
    simulation.outcome()
}

impl Simulation {
    /// The world of a seed, before anything happens.
    pub fn new(seed: u64) -> Self {
        let plan = Plan::draw(seed);
        // One seed may be lived by two tests at the same time.
        let nth = LIVED.fetch_add(1, Ordering::SeqCst);
        let name = format!("shaodao-{}-week-{nth}", std::process::id());
        let folder = memory().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        World::copied(template(), &folder);
        let mut world = World::repeatable(folder, seed);
        for nth in &plan.people {
            world.pick_up(EVERYBODY[*nth].id);
        }
        let crook = Crook::new(&mut world, EVERYBODY[CROOK].id, EVERYBODY[CROOK].grid);
        Self {
            world,
            plan,
            ledger: Ledger::default(),
            tally: BTreeMap::new(),
            crook,
            rng: StdRng::seed_from_u64(seed),
            trace: Vec::new(),
            clock_is_ahead: false,
            backups: BTreeMap::new(),
            server_backup: None,
            waits_until_ms: i64::MIN,
        }
    }

    /// Everything that was planned happens.
    pub fn happen(&mut self) {
        for step in self.plan.steps.clone() {
            self.told(format!("{step:?} at {}", self.world.now_ms()));
            self.step(step);
        }
    }

    /// All trouble ends: the network and the clocks are right again, whoever was
    /// suspended takes part, everybody syncs, and a fortnight goes by.
    pub fn heal(&mut self) {
        self.world.weather = Weather::fine();
        if self.world.is_doomed() {
            self.world.bury_server();
        }
        for phone in self.world.people() {
            self.world.of(&phone).offline = false;
            self.world.of(&phone).clock_error_ms = 0;
        }
        self.resume_all();
        for _ in 0..2 {
            self.world.sync_all();
        }
        self.pass(1);
        self.world.sync_all();
        // What waits for something that never came waits for a fortnight; what
        // goes up to the street has gone up by then.
        self.pass(15 * DAY_MS);
        self.world.settle();
    }

    /// Everything that happened, as one hash, and how often what did.
    pub fn outcome(mut self) -> Outcome {
        for (record, heads) in self.world.server_heads() {
            let heads = sha256(&heads);
            self.told(format!("{record} {heads:02x?}"));
        }
        Outcome {
            trace: sha256(self.trace.join("\n").as_bytes()),
            tally: self.tally,
        }
    }

    /// Lets time go by, and the server looks at its deadlines.
    fn pass(&mut self, ms: i64) {
        self.world.pass(ms);
        self.looked();
    }

    /// The server has looked at its deadlines, and believes its clock.
    fn looked(&mut self) {
        if self.clock_is_ahead || self.world.now_ms() < self.waits_until_ms {
            return;
        }
        self.ledger.looks.push(self.world.now_ms());
    }

    fn told(&mut self, line: String) {
        if std::env::var_os("SHAODAO_TRACE").is_some() {
            println!("{line}");
        }
        self.trace.push(line);
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_default() += 1;
    }
}

/// A folder that costs no disk, where there is one: the simulation flushes some
/// hundred thousand times, and what a disk does when the power fails is tested
/// elsewhere.
pub fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    match shared.is_dir() {
        true => shared.to_owned(),
        false => std::env::temp_dir(),
    }
}

/// Removes what processes that are no more have left there.
fn forget_the_dead() {
    for entry in std::fs::read_dir(memory()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kept = name
            .strip_prefix("shaodao-")
            .and_then(|name| name.strip_suffix("-street.kept"));
        let dead = kept.is_some_and(|id| !Path::new("/proc").join(id).exists());
        if dead && Path::new("/proc/self").exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The street in which everybody is enrolled, made once for a process.
pub fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        forget_the_dead();
        let folder = memory().join(format!("shaodao-{}-street", std::process::id()));
        let kept = folder.with_extension("kept");
        for folder in [&folder, &kept] {
            let _ = std::fs::remove_dir_all(folder);
        }
        let mut world = World::repeatable(folder.clone(), 1);
        for person in EVERYBODY {
            world.phone(person.id);
            world.sync(person.id);
        }
        world.settle();
        world.stop_server();
        for person in EVERYBODY {
            world.lose(person.id);
        }
        World::copied(&folder, &kept);
        kept
    })
}
