//! A check that cannot fail is a defect: bugs of the exchange planted on purpose
//! (`shaodao_core::planted`), each of which these seeds have to find.
//!
//! `cargo test -p shaodao-tests --features planted --test turmoil -- --nocapture`
//! prints every bug with the seed that finds it, and by what. `SHAODAO_BUG=name`
//! plants this one only.

use shaodao_core::planted::{Bug, plant};
use shaodao_tests::simulation::runner::Failure;

use super::RUN;

/// Seeds within which every bug is found.
const SEEDS: u64 = 20;
/// Bugs that a bad network, or a crash, brings to light.
const BUGS: &[Bug] = &[
    Bug::SentMeansGone,
    Bug::CursorBeforePage,
    Bug::VerdictForAnotherHash,
    Bug::NoDedupe,
    Bug::AnswerBeforeCommit,
    Bug::SaveWithoutQueue,
    Bug::AcknowledgeBeforeDisk,
];

#[test]
fn every_planted_bug_of_the_exchange_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let sound = RUN.lived(0..4);
    assert!(
        sound.failure.is_none(),
        "without a bug: {:?}",
        sound.failure
    );
    let mut unfound = Vec::new();
    let only = std::env::var("SHAODAO_BUG").ok();
    for bug in BUGS {
        let name = format!("{bug:?}");
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        plant(Some(*bug));
        let found = RUN.lived(0..SEEDS).failure;
        plant(None);
        match found {
            Some(Failure { seed, what }) => {
                let what: String = what.replace('\n', " ").chars().take(110).collect();
                println!("{name:<22} seed {seed:>3}: {what}");
            }
            None => {
                println!("{name:<22} not found in {SEEDS} seeds");
                unfound.push(bug);
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(unfound.is_empty(), "not found: {unfound:?}");
}
