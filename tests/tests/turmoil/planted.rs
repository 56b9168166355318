//! A check that cannot fail is a defect: bugs of the exchange planted on purpose
//! (`shaodao_core::planted`), each of which these seeds have to find.
//!
//! `cargo test -p shaodao-tests --features planted --test turmoil -- --nocapture`
//! prints every bug with the seed that finds it, and by what. `SHAODAO_BUG=name,name`
//! plants these only.

use shaodao_core::planted::Bug;
use shaodao_tests::simulation::planting::every_bug_is_found;

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
    every_bug_is_found(&RUN, BUGS, 4, SEEDS);
}
