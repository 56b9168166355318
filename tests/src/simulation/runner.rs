//! Many seeds, on all cores; one command when something is not right.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Outcome;

/// Whoever waits hears of it after so many seeds.
const SAY_EVERY: u64 = 500;

/// A kind of run: what is lived, and how one seed of it is lived again.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Lives a seed and checks everything; panics where something is not right.
    pub live: fn(u64) -> Outcome,
    /// What follows `cargo test -p shaodao-tests` to live one seed again.
    pub again: &'static str,
}

/// Weeks of a street.
pub const WEEKS: Run = Run {
    live: super::live,
    again: "--test simulation one_seed",
};

/// A seed of which something is not right.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// What is not right.
    pub what: String,
}

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Seeds {
    /// How many were lived to the end.
    pub lived: u64,
    /// How often what happened, in all of them.
    pub tally: BTreeMap<String, u64>,
    /// The first that is not right.
    pub failure: Option<Failure>,
}

/// Lives one seed; what is not right comes back in words.
fn one(live: fn(u64) -> Outcome, seed: u64) -> Result<Outcome, Failure> {
    catch_unwind(AssertUnwindSafe(|| live(seed))).map_err(|thrown| {
        let text = thrown.downcast_ref::<String>().cloned();
        let text = text.or_else(|| thrown.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        let what = text.unwrap_or_else(|| "something that has no words".to_owned());
        Failure { seed, what }
    })
}

impl Run {
    /// Lives these seeds, in order, on as many threads as there are cores, until
    /// one is not right.
    pub fn lived(&self, seeds: std::ops::Range<u64>) -> Seeds {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let next = AtomicU64::new(seeds.start);
        let found: Mutex<Seeds> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::SeqCst);
                        if seed >= seeds.end {
                            return;
                        }
                        let outcome = one(self.live, seed);
                        let mut found = match found.lock() {
                            Ok(found) => found,
                            Err(poisoned) => poisoned.into_inner(),
                        };
                        match outcome {
                            Ok(outcome) => {
                                found.lived += 1;
                                if found.lived.is_multiple_of(SAY_EVERY) {
                                    println!(
                                        "{} of {} seeds",
                                        found.lived,
                                        seeds.end - seeds.start
                                    );
                                }
                                for (what, count) in outcome.tally {
                                    *found.tally.entry(what).or_default() += count;
                                }
                            }
                            Err(failure) => {
                                next.store(seeds.end, Ordering::SeqCst);
                                let first = found.failure.as_ref();
                                if first.is_none_or(|first| failure.seed < first.seed) {
                                    found.failure = Some(failure);
                                }
                            }
                        }
                    }
                });
            }
        });
        match found.into_inner() {
            Ok(found) => found,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Lives these seeds.
    ///
    /// # Panics
    /// One is not right: its number and the command that lives it again.
    pub fn all_right(&self, seeds: std::ops::Range<u64>) -> Seeds {
        let found = self.lived(seeds);
        if let Some(Failure { seed, what }) = &found.failure {
            panic!(
                "seed {seed}: {what}\nlive it again: SHAODAO_SEED={seed} cargo test -p shaodao-tests \
             {} -- --nocapture",
                self.again
            );
        }
        found
    }
}
