//! Bugs planted on purpose, each of which a kind of run has to find.

use shaodao_core::planted::{Bug, plant};

use super::runner::{Failure, Run};

/// Plants each of these bugs and lives seeds from 0 on until one is not right;
/// prints which. `SHAODAO_BUG=name,name` plants these only.
///
/// # Panics
/// One of the first `sound` seeds is not right without any bug; or a bug is not
/// found within so many `seeds`.
pub fn every_bug_is_found(run: &Run, bugs: &[Bug], sound: u64, seeds: u64) {
    // Hundreds of seeds fail here, as they should; nobody reads each of them.
    std::panic::set_hook(Box::new(|_| {}));
    // The same seeds are right without any bug.
    let failure = run.lived(0..sound).failure;
    assert!(failure.is_none(), "without a bug: {failure:?}");
    let only = std::env::var("SHAODAO_BUG").ok();
    let mut unfound = Vec::new();
    for &bug in bugs {
        let name = format!("{bug:?}");
        if only
            .as_ref()
            .is_some_and(|only| only.split(',').all(|it| it != name))
        {
            continue;
        }
        plant(Some(bug));
        let found = run.lived(0..seeds).failure;
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
