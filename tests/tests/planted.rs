//! A check that cannot fail is a defect: bugs planted on purpose, each of which
//! the simulation has to find within 200 seeds.
//!
//! `cargo test -p shaodao-tests --features planted --test planted -- --nocapture`
//! prints every bug with the seed that finds it, and by what.
//! `SHAODAO_BUG=name,name` plants these only.

use shaodao_core::planted::{Bug, plant};
use shaodao_tests::simulation::runner::{Failure, WEEKS, wanted};

/// Seeds within which every bug is found.
const SEEDS: u64 = 200;

#[test]
fn every_planted_bug_is_found() {
    // Hundreds of seeds fail here, as they should; nobody reads each of them.
    std::panic::set_hook(Box::new(|_| {}));
    // The same seeds are right without any bug.
    let sound = WEEKS.lived(0..12);
    assert!(
        sound.failure.is_none(),
        "without a bug: {:?}",
        sound.failure
    );
    let seeds = wanted(SEEDS);
    let only = std::env::var("SHAODAO_BUG").ok();
    let mut unfound = Vec::new();
    for bug in Bug::ALL {
        let name = format!("{bug:?}");
        if only
            .as_ref()
            .is_some_and(|only| only.split(',').all(|it| it != name))
        {
            continue;
        }
        plant(Some(bug));
        let found = WEEKS.lived(0..seeds).failure;
        plant(None);
        match found {
            Some(Failure { seed, what }) => {
                let what: String = what.replace('\n', " ").chars().take(110).collect();
                println!("{name:<22} seed {seed:>3}: {what}");
            }
            None => {
                println!("{name:<22} not found in {seeds} seeds");
                unfound.push(bug);
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(unfound.is_empty(), "not found: {unfound:?}");
}
