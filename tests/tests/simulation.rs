//! Weeks of a street, by the hundred, from seeds (`shaodao_tests::simulation`).
//!
//! `SHAODAO_SEEDS` says how many, `SHAODAO_FROM` from which one on (to go on after one
//! that failed), `SHAODAO_SEED` lives one again and `SHAODAO_TRACE` tells it.

use shaodao_tests::simulation::{live, runner};
use shaodao_tests::wanted::wanted;

/// What has to have happened in all seeds together, or the simulation is not
/// what it says it is.
const MET: &[&str] = &[
    "an app died",
    "power failed",
    "the server died",
    "the server was down",
    "the server's clock jumped",
    "somebody was away",
    "suspended",
    "revoked",
    "relieved",
    "the server's disk died",
    "a phone was copied",
    "a backup was put back",
    "a backup woke up elsewhere",
    "did again",
    "returned",
    "set aside on the way",
    "in the last millisecond",
    "refused on the phone",
    "explained",
    "disagreement",
    "replayed",
    "said again",
    "of the future",
    "mutant honest",
    "mutant a stranger's signature",
    "mutant a chain number twice",
    "mutant seen by nobody",
    "escalated, due_passed",
    "escalated, asked",
    "stood down",
    "proposed",
    "suspended whistle",
];

#[test]
fn every_week_heals_whatever_goes_wrong_and_whoever_cheats() {
    // What could go wrong: anything. One phone of each street is malicious, so
    // these are the weeks with a malicious phone as well: every permissible
    // honest action accepted, every refusal explained on its author's phone.
    let (from, count) = (wanted("SHAODAO_FROM", 0), wanted("SHAODAO_SEEDS", 500));
    let seeds = runner::WEEKS.all_right(from..from + count);
    assert_eq!(seeds.lived, count);
    for (what, times) in &seeds.tally {
        println!("{times:>8}  {what}");
    }
    if count >= 500 {
        for what in MET {
            assert!(seeds.tally.contains_key(*what), "{what} never happened");
        }
    }
}

#[test]
fn the_same_seed_twice_is_the_same_story() {
    for seed in [3, 7, 11] {
        let (once, again) = (live(seed), live(seed));
        assert_eq!(once, again, "seed {seed}");
    }
}

#[test]
fn one_seed() {
    if let Ok(seed) = std::env::var("SHAODAO_SEED") {
        let outcome = live(seed.parse().expect("SHAODAO_SEED is a number"));
        println!("trace {:02x?}", &outcome.trace[..8]);
    }
}
