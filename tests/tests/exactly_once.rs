//! Every escalation happens, and happens once: whatever dies, and however many
//! servers work on one database. The workers are real processes
//! (`src/bin/timer_worker.rs`) on the database of a server of the world.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rand::RngExt;

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind, Value, fact};
use shaodao_core::domain::directory::Role;
use shaodao_core::domain::ids::RecordId;
use shaodao_core::domain::whistle::WhistleStage;
use shaodao_core::points::Point;
use shaodao_tests::wanted::wanted;
use shaodao_tests::world::{HOUR_MS, World, order};

const SECRETARY: &str = "P01006-00";
const URBAN: &str = "P01006-06";
const DISPATCHER: &str = "S-01";
const NORTH_GATE: &str = "530102001006";
const URBAN_POST: &str = "post:530102001006001/urban";

/// A worker process, and the thread that hands on what it says.
struct Worker {
    child: Child,
    listener: JoinHandle<()>,
}

impl Worker {
    fn start(world: &World, args: &[&str], said: &Sender<String>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_timer_worker"))
            .arg(world.folder().join("server"))
            .arg(world.now_ms().to_string())
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a worker");
        let output = BufReader::new(child.stdout.take().expect("an output"));
        let said = said.clone();
        let listener = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        Self { child, listener }
    }

    /// SIGKILL, in the middle of whatever it does.
    fn kill(mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("ends");
        self.listener.join().expect("listens to the end");
    }

    /// Waits for its own end; whether it was a good one.
    fn ends_well(mut self) -> bool {
        let status = self.child.wait().expect("ends");
        self.listener.join().expect("listens to the end");
        status.success()
    }
}

/// So many community whistles, blown by the secretaries in turn, due one second
/// after the other in an hour; time stands still before that.
fn whistles(world: &mut World, count: usize) {
    let directory = world.app().directory().expect("a directory");
    let secretaries: Vec<(String, String)> = directory
        .people
        .values()
        .flat_map(|person| {
            let grants = person.grants.iter();
            let blows = grants.filter(|grant| grant.role == Role::Secretary);
            blows.map(|grant| (person.id.0.clone(), grant.scope.clone()))
        })
        .collect();
    for (person, _) in &secretaries {
        world.phone(person);
    }
    for nth in 0..count {
        let (person, area) = &secretaries[nth % secretaries.len()];
        let target = format!("person:{person}");
        blow(world, person, area, &target, nth as i64 * 1_000);
    }
    for (person, _) in &secretaries {
        assert!(world.sync(person));
    }
}

/// Blows a whistle that is due so many milliseconds after the next full hour.
fn blow(world: &mut World, person: &str, area: &str, target: &str, later_ms: i64) -> RecordId {
    let due_ms = world.now_ms() + HOUR_MS + later_ms;
    let order = order(area, Vec::new(), &[target], due_ms);
    let title = Value::Text("请速到场处理".to_owned());
    let facts = [(fact::TITLE.to_owned(), title)].into();
    let draft = Draft::new(RecordKind::Whistle, facts, Body::Issue(order));
    world.act(person, draft)
}

/// Whatever the database says, it says it wholly: rows, records and envelopes
/// tell of the same escalations. Returns how many.
fn escalations(world: &mut World) -> i64 {
    world.start_server();
    let count = |sql: &str| world.server_count(sql);
    let rows = count("SELECT COUNT(*) FROM escalation");
    let distinct = count("SELECT COUNT(DISTINCT whistle) FROM escalation");
    let escalated = count("SELECT COUNT(*) FROM whistle WHERE stage = 'escalated'");
    let opened = count("SELECT COUNT(*) FROM whistle WHERE parent IS NOT NULL");
    let parents = count("SELECT COUNT(DISTINCT parent) FROM whistle WHERE parent IS NOT NULL");
    assert_eq!(
        (distinct, escalated, opened, parents),
        (rows, rows, rows, rows),
        "an escalation was done by half, or twice"
    );
    // The server's own chain has neither gaps nor doubles, and so has the feed.
    let own = "FROM envelope WHERE device = (SELECT value FROM meta WHERE name = 'device')";
    let length = count(&format!("SELECT COUNT(*) {own}"));
    assert_eq!(
        count(&format!("SELECT COUNT(DISTINCT dev_seq) {own}")),
        length
    );
    assert_eq!(
        count(&format!("SELECT COALESCE(MAX(dev_seq), 0) {own}")),
        length
    );
    assert_eq!(
        count("SELECT COALESCE(MAX(position), 0) FROM feed"),
        count("SELECT COUNT(*) FROM feed")
    );
    world.stop_server();
    rows
}

/// Reads so many lines of any worker; whether there were as many.
fn hear(said: &Receiver<String>, lines: usize) -> bool {
    let mut done = 0;
    for _ in 0..lines {
        match said.recv() {
            Ok(line) if line == "done" => done += 1,
            Ok(_) => {}
            Err(_) => return false,
        }
        if done > 0 {
            return false;
        }
    }
    true
}

#[test]
fn two_workers_and_many_kills_miss_nothing_and_double_nothing() {
    // What could go wrong: a worker that dies between the row and the whistle,
    // two that fire one timer, one that goes on from memory that is older than
    // the database. `make prove` runs it with 10,000 timers and 500 kills.
    let timers = wanted("SHAODAO_TIMERS", 900) as usize;
    let kills = wanted("SHAODAO_KILLS", 60) as usize;
    let mut world = World::new("kills", 611);
    whistles(&mut world, timers);
    world.stop_server();
    world.pass(HOUR_MS + timers as i64 * 1_000);
    let (sender, said) = channel();
    let start = |world: &World| Worker::start(world, &["3"], &sender);
    let mut workers = vec![start(&world), start(&world)];
    // Five steps a timer; a third of them between kills, to have some left.
    let most = (timers * 5 / kills / 3).max(2);
    let mut killed = 0;
    while killed < kills {
        let lines = world.rng.random_range(1..=most);
        assert!(hear(&said, lines), "the work was done after {killed} kills");
        let at = world.rng.random_range(0..workers.len());
        workers.swap_remove(at).kill();
        killed += 1;
        workers.push(start(&world));
    }
    let before = "two workers end what is left";
    for worker in workers {
        assert!(worker.ends_well(), "{before}");
    }
    assert_eq!(escalations(&mut world), timers as i64, "{killed} kills");
    println!("{timers} timers, {killed} kills: none missed, none doubled");
    world.settle();
}

#[test]
fn a_worker_that_dies_between_any_two_steps_leaves_nothing_half_done() {
    // What could go wrong: the one moment that nobody thought of.
    let mut world = World::new("steps", 1);
    for person in [SECRETARY, URBAN] {
        world.phone(person);
    }
    let (sender, _said) = channel();
    let mut expected = 0;
    for point in Point::ESCALATION {
        // One batch of two and one of one; it dies in the second escalation.
        for _ in 0..3 {
            blow(&mut world, SECRETARY, NORTH_GATE, URBAN_POST, 0);
        }
        world.sync(SECRETARY);
        world.stop_server();
        world.pass(2 * HOUR_MS);
        let nth = match point {
            Point::BeforeCommit | Point::Committed => "1",
            _ => "2",
        };
        let name = format!("{point:?}");
        let dies = Worker::start(&world, &["2", &name, nth], &sender);
        assert!(!dies.ends_well(), "{name}: it was to die");
        let done = escalations(&mut world);
        let wanted = match point {
            Point::Committed => expected + 2,
            _ => expected,
        };
        assert_eq!(done, wanted, "died at {name}");
        assert!(Worker::start(&world, &["2"], &sender).ends_well());
        expected += 3;
        assert_eq!(escalations(&mut world), expected, "after {name}");
        world.start_server();
    }
    world.settle();
}

#[test]
fn a_second_server_on_the_database_is_noticed() {
    // What could go wrong: the first server answers late proof from memory, in
    // which nothing was escalated.
    let mut world = World::new("second-server", 1);
    for person in [SECRETARY, URBAN, DISPATCHER] {
        world.phone(person);
    }
    let whistle = blow(&mut world, SECRETARY, NORTH_GATE, URBAN_POST, 0);
    world.sync(SECRETARY);
    world.sync(URBAN);
    world.of(URBAN).offline = true;
    world.answer(URBAN, whistle, URBAN_POST);
    // The world's own server stays up, and does not look at its deadlines.
    world.wait(2 * HOUR_MS);
    let (sender, _said) = channel();
    assert!(Worker::start(&world, &["8"], &sender).ends_well());
    assert_eq!(world.escalations(), 1);
    world.settle();
    let state = world.seen_whistle(DISPATCHER, whistle);
    assert_eq!(state.stage(), WhistleStage::FedBack);
    assert!(state.escalations[0].stood_down.is_some());
}
