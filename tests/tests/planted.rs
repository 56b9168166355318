//! A check that cannot fail is a defect: bugs planted on purpose, each of which
//! the simulation has to find within 200 seeds.
//!
//! `make planted` prints every bug with the seed that finds it, and by what;
//! `SHAODAO_BUG=name,name` plants these only.

use shaodao_core::planted::Bug;
use shaodao_tests::simulation::planting::every_bug_is_found;
use shaodao_tests::simulation::runner::WEEKS;
use shaodao_tests::wanted::wanted;

/// Seeds within which every bug is found.
const SEEDS: u64 = 200;

#[test]
fn every_planted_bug_is_found() {
    every_bug_is_found(&WEEKS, &Bug::ALL, 12, wanted("SHAODAO_SEEDS", SEEDS));
}
