//! A server's morning, and every end of its log: each verdict that had been
//! given by then is there, and nothing that is there contradicts itself.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::domain::ids::EnvelopeHash;
use shaodao_server::clock::Clock;
use shaodao_server::engine::{DATABASE, Engine};
use shaodao_server::verify::Extent;
use shaodao_tests::scope::life::Life;
use shaodao_tests::world::MORNING_MS;

use super::{Memory, cut, points, seed};

/// Every so manieth point is walked through as a whole.
const WALKED: usize = 20;

#[test]
fn whatever_end_the_log_has_every_verdict_is_there() {
    let seed = seed();
    println!("server log: seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut life = Life::begin("server-log", &mut rng);
    // The first commit empties the log; from here on it only grows.
    life.running.pull_everything(0);
    let database = std::fs::read(life.running.folder().join(DATABASE)).expect("reads");
    life.running.begin_noting();
    life.go_on(&mut rng);
    let log = std::fs::read(life.running.log()).expect("reads");
    let given: Vec<(usize, EnvelopeHash)> = life.running.noted().to_vec();
    assert!(given.len() > 10, "{} verdicts", given.len());
    assert!(given.is_sorted(), "the log was emptied in between");
    assert!(given.last().is_some_and(|last| last.0 <= log.len()));
    let pack = life.organisation.pack();
    let memory = Memory::new("server-log");
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    let count = points();
    for nth in 0..count {
        let end = cut(&log, nth, &mut rng);
        *tally.entry(end.what).or_default() += 1;
        let name = format!("{DATABASE}-wal");
        memory.place([(DATABASE, &database[..]), (&name, &end.bytes)]);
        let what = format!(
            "point {nth}, {}, {} of {} bytes (seed {seed})",
            end.what,
            end.whole,
            log.len()
        );
        let clock = Clock::rehearsal(MORNING_MS);
        let engine = Engine::open(&memory.0, clock, &pack);
        let mut engine = engine.unwrap_or_else(|error| panic!("{what}: {error}"));
        let sql = "SELECT COUNT(*) FROM envelope WHERE hash = ?1";
        let mut kept = engine.connection().prepare(sql).expect("a query");
        for (length, hash) in given.iter().filter(|(length, _)| *length <= end.whole) {
            let here: i64 = kept.query_row([hash.0], |row| row.get(0)).expect("a count");
            assert_eq!(here, 1, "{what}: {hash} was judged at {length}");
        }
        drop(kept);
        if nth % WALKED == 0 {
            let report = engine.verify(Extent::First, &mut |_| {}).expect("walks");
            assert!(report.is_clean(), "{what}: {:?}", report.bad);
        }
    }
    println!("{count} ends: {tally:?}");
}
