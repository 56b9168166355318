//! The real server and real phones over a network that fails: `turmoil` gives
//! hosts, connections and time; everything above the sockets is the product's.
//!
//! 1. [`plan`] draws from a seed what will go wrong, when, and for how long.
//! 2. [`server`] is the server with its own loop over connections, its limits and
//!    its database; [`phone`] a phone whose owner goes on working while it syncs;
//!    [`wire`] what both speak through.
//! 3. [`street`] lets it happen: hosts crash and are started again on their files,
//!    links are cut, held, slow, lossy or deaf in one direction. Then all trouble
//!    ends, and everybody syncs until nothing is left to say.
//! 4. [`checks`] say what must be true then.
//!
//! `SHAODAO_TURMOIL` says how many seeds, `SHAODAO_SEED` lives one again.
//!
//! Time is the simulation's, and stands still while the server thinks. The server
//! thinks on threads, though: of two requests that arrive within one tick either may
//! come to the writer first, so that a seed repeats what goes wrong and when, and not
//! always the same story (`tests/simulation.rs` does).

use shaodao_tests::simulation::runner::Run;
#[cfg(not(feature = "planted"))]
use shaodao_tests::wanted::wanted;

mod plan;
//
mod street;
//
mod server;
//
mod phone;
//
mod wire;
//
mod checks;
//
#[cfg(feature = "planted")]
mod planted;

const RUN: Run = Run {
    live: street::live,
    again: "--test turmoil one_seed",
};

/// What has to have happened in all seeds together.
#[cfg(not(feature = "planted"))]
const MET: &[&str] = &[
    "the server crashed",
    "the server died, BeforeCommit",
    "the server died, Committed",
    "a phone died",
    "cut",
    "deaf",
    "mute",
    "held",
    "lossy",
    "slow",
    "synced",
    "unreachable",
    "did report",
];

#[cfg(not(feature = "planted"))]
#[test]
fn every_street_heals_whatever_the_network_does_and_whoever_crashes() {
    // What could go wrong: a reply is lost with what it said; a request is judged
    // twice; a server that comes back has forgotten what it said; a connection
    // that nobody closes keeps a place for ever.
    let count = wanted("SHAODAO_TURMOIL", 200);
    let seeds = RUN.all_right(0..count);
    assert_eq!(seeds.lived, count);
    for (what, times) in &seeds.tally {
        println!("{times:>8}  {what}");
    }
    if count >= 200 {
        for what in MET {
            assert!(seeds.tally.contains_key(*what), "{what} never happened");
        }
    }
}

#[test]
fn one_seed() {
    if let Ok(seed) = std::env::var("SHAODAO_SEED") {
        let outcome = street::live(seed.parse().expect("SHAODAO_SEED is a number"));
        println!("trace {:02x?}", &outcome.trace[..8]);
    }
}
