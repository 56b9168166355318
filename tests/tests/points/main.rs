//! A process dies at every moment between two durable steps
//! (`shaodao_core::points`), on the phone and on the server. Whoever opens the
//! files afterwards finds everything that was acknowledged; the same thing is
//! done again and goes on; and the world is clean.
//!
//! `cargo test -p shaodao-tests --features failpoints --test points`; `SHAODAO_ONLY`
//! names one scenario.
//!
//! The process is this very program, which lives one scenario if
//! `SHAODAO_SCENARIO` says so.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use shaodao_core::points::Point;
use shaodao_tests::simulation::memory;
use shaodao_tests::world::World;

mod scenarios;

use scenarios::{SCENARIOS, Scenario};

/// Signal of a process that ends itself.
const ABORTED: i32 = 6;

/// A scenario, where it begins.
struct Stage {
    scenario: &'static Scenario,
    folder: PathBuf,
    /// What was saved before.
    saved: BTreeSet<String>,
}

impl Stage {
    /// Lets happen what was before, and leaves the files as they lie.
    fn set(scenario: &'static Scenario) -> Self {
        let name = format!("shaodao-points-{}-{}", std::process::id(), scenario.name);
        let folder = memory().join(name.replace(' ', "-"));
        let kept = folder.join("kept");
        let _ = std::fs::remove_dir_all(&folder);
        let mut saved = BTreeSet::new();
        let made = folder.join("made");
        World::copied(shaodao_tests::simulation::template(), &made);
        let mut world = World::repeatable(made.clone(), 1);
        (scenario.before)(&mut world, &mut |captured| {
            saved.insert(captured.hash.to_string());
        });
        world.stop_server();
        for person in world.people() {
            world.lose(&person);
        }
        World::copied(&made, &kept);
        world.let_go();
        (scenario.meanwhile)(&kept);
        Self {
            scenario,
            folder,
            saved,
        }
    }

    /// Lives it in a process that dies where it passes a point for the n-th time; what
    /// it said, and the points that it passed.
    fn lived(&self, run: &Path, at: Option<(&str, usize)>) -> (Output, Vec<String>) {
        let _ = std::fs::remove_dir_all(run);
        World::copied(&self.folder.join("kept"), run);
        let passed = run.with_extension("points");
        let _ = std::fs::remove_file(&passed);
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args(["--exact", "worker", "--nocapture"])
            .env("SHAODAO_SCENARIO", self.scenario.name)
            .env("SHAODAO_WORLD", run)
            .env("SHAODAO_POINTS", &passed);
        if let Some((point, nth)) = at {
            command.env("SHAODAO_POINT_AT", format!("{point}:{nth}"));
        }
        let output = command.output().expect("runs");
        let passed = std::fs::read_to_string(&passed).unwrap_or_default();
        (output, passed.lines().map(str::to_owned).collect())
    }

    /// What was saved is there, the same is done again, and everything is well.
    fn goes_on(&self, run: &Path, output: &Output, what: &str) {
        let mut saved = self.saved.clone();
        let said = String::from_utf8_lossy(&output.stdout);
        saved.extend(
            said.lines()
                .filter_map(|it| it.strip_prefix("saved "))
                .map(str::to_owned),
        );
        let mut world = World::repeatable(run.to_owned(), 2);
        (self.scenario.during)(&mut world, &mut |captured| {
            saved.insert(captured.hash.to_string());
        });
        world.settle();
        let there = scenarios::there(&mut world);
        let lost: Vec<_> = saved.difference(&there).collect();
        assert!(lost.is_empty(), "{what}: acknowledged and lost: {lost:?}");
        (self.scenario.after)(&mut world);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn whoever_dies_between_two_steps_loses_nothing_and_goes_on() {
    // What could go wrong: the one moment that nobody thought of.
    let died: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(scenario) = SCENARIOS.get(next.fetch_add(1, Ordering::SeqCst)) {
                    for (point, times) in walk(scenario) {
                        let mut died = died.lock().expect("nobody panics with it");
                        *died.entry(point).or_default() += times;
                    }
                }
            });
        }
    });
    let died = died.into_inner().expect("nobody panics with it");
    for (point, times) in &died {
        println!("{times:>5}  {point}");
    }
    if only().is_some() {
        return;
    }
    let reached: BTreeSet<&str> = died.keys().map(String::as_str).collect();
    let names: Vec<String> = Point::ALL.iter().map(|it| format!("{it:?}")).collect();
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let never: Vec<_> = names.difference(&reached).collect();
    assert!(never.is_empty(), "nobody ever came to {never:?}");
    assert_eq!(reached, names, "points that are not in the list");
}

/// The one scenario that is wanted.
fn only() -> Option<String> {
    std::env::var("SHAODAO_ONLY").ok()
}

/// Dies every time that a scenario passes a point; how often at which.
fn walk(scenario: &'static Scenario) -> BTreeMap<String, usize> {
    if only().is_some_and(|only| only != scenario.name) {
        return BTreeMap::new();
    }
    let stage = Stage::set(scenario);
    let run = stage.folder.join("run");
    let (well, passed) = stage.lived(&run, None);
    let name = scenario.name;
    let said = String::from_utf8_lossy(&well.stderr);
    assert!(well.status.success(), "{name}, without dying: {said}");
    stage.goes_on(&run, &well, name);
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    let mut died = BTreeMap::new();
    for point in &passed {
        let nth = met.entry(point).or_default();
        *nth += 1;
        let what = format!(
            "{name}, dead at {point}, time {nth}\nagain: SHAODAO_ONLY={name:?} cargo test -p \
             shaodao-tests --features failpoints --test points whoever"
        );
        let (output, _) = stage.lived(&run, Some((point, *nth)));
        let said = String::from_utf8_lossy(&output.stderr);
        // How often a point is passed may vary by one: the server has threads.
        if output.status.success() && *nth > 1 {
            continue;
        }
        assert_eq!(output.status.signal(), Some(ABORTED), "{what}: {said}");
        *died.entry(point.clone()).or_default() += 1;
        let goes_on = std::panic::AssertUnwindSafe(|| stage.goes_on(&run, &output, &what));
        if let Err(thrown) = std::panic::catch_unwind(goes_on) {
            eprintln!("{what}");
            std::panic::resume_unwind(thrown);
        }
    }
    println!(
        "{name}: dead in {} of {} passes",
        died.values().sum::<usize>(),
        passed.len()
    );
    died
}

#[test]
fn worker() {
    let Ok(name) = std::env::var("SHAODAO_SCENARIO") else {
        return;
    };
    let scenario = SCENARIOS.iter().find(|it| it.name == name);
    let folder = std::env::var_os("SHAODAO_WORLD").expect("a folder");
    let mut world = World::repeatable(folder.into(), 3);
    (scenario.expect("a scenario").during)(&mut world, &mut |captured| {
        println!("saved {}", captured.hash);
    });
    // As a process ends: nothing is put in order.
    std::process::exit(0);
}
