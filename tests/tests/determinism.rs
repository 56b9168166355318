//! Same envelopes, any order, any duplicates: same heads, same state, same
//! rows; and what was built step by step equals what a rebuild makes.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::document::Document;
use shaodao_core::pack;
use shaodao_core::store::Store;
use shaodao_tests::random::{causal_order, histories, nothing_new, refuse, replica};
use shaodao_tests::world::rows;

/// Together 2,000 histories.
const BATCHES: u64 = 50;
const RECORDS: usize = 40;
const ORDERS: usize = 3;
const REPLICAS: usize = 2;

#[test]
fn two_thousand_histories_first_half() {
    run(0..BATCHES / 2);
}

#[test]
fn two_thousand_histories_second_half() {
    run(BATCHES / 2..BATCHES);
}

#[test]
fn another_directory_moves_the_due_times_in_the_lists_too() {
    // What could go wrong: a list that shows a due time by a policy that is not
    // in force any more. A pause that depends on it is rare, and none happens
    // late in a long history: many short ones are looked at.
    let mut moved = 0;
    for seed in 20_250_611..20_250_611 + BATCHES {
        println!("histories: seed {seed}");
        let envelopes = histories(seed, RECORDS);
        let mut rng = StdRng::seed_from_u64(seed);
        let folder =
            std::env::temp_dir().join(format!("shaodao-due-times-{}-{seed}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut store = replica(&folder.join("phone.db"), &envelopes, &mut rng);
        let before = rows(&store);
        let mut directory = pack::directory(pack::HUASHAN).expect("the sample street");
        // No phone's time is believed any more: receipts count.
        directory.policy.time.max_anchor_age_ms = 0;
        store.go_by(Arc::new(directory));
        nothing_new(&mut store);
        let after = rows(&store);
        moved += usize::from(before != after);
        store.rebuild().expect("rebuilds");
        assert!(rows(&store) == after, "a rebuild differs (seed {seed})");
        drop(store);
        let _ = std::fs::remove_dir_all(&folder);
    }
    println!("{moved} of {BATCHES} histories moved");
    assert!(moved > 0, "some due time depends on it");
}

#[test]
fn a_refusal_of_somebody_elses_work_takes_nothing_away() {
    // What could go wrong: a restored server does not know a device that was
    // enrolled after its backup, refuses what other phones offer of it, and the
    // last copies leave the phones.
    let envelopes = histories(7, 6);
    let mut rng = StdRng::seed_from_u64(7);
    let folder = std::env::temp_dir().join(format!("shaodao-refused-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut store = replica(&folder.join("phone.db"), &envelopes, &mut rng);
    let before = (rows(&store), states(&store));
    for envelope in &envelopes {
        refuse(&mut store, envelope.sealed.hash);
    }
    assert!(before == (rows(&store), states(&store)));
    drop(store);
    let _ = std::fs::remove_dir_all(&folder);
}

fn run(batches: std::ops::Range<u64>) {
    for batch in batches {
        let seed = 20_250_611 + batch;
        println!("histories: seed {seed}");
        let envelopes = histories(seed, RECORDS);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut expected: Option<(String, Vec<String>)> = None;
        for order in 0..ORDERS {
            let order = (order, causal_order(&envelopes, &mut rng));
            for nth in 0..REPLICAS {
                let folder = std::env::temp_dir().join(format!(
                    "shaodao-determinism-{}-{seed}-{}-{nth}",
                    std::process::id(),
                    order.0
                ));
                std::fs::create_dir_all(&folder).expect("a folder");
                let mut store = replica(&folder.join("phone.db"), &order.1, &mut rng);
                let seen = (rows(&store), states(&store));
                match &expected {
                    None => expected = Some(seen.clone()),
                    Some(expected) => assert!(
                        *expected == seen,
                        "order {}, replica {nth} differs (seed {seed})",
                        order.0
                    ),
                }
                store.rebuild().expect("rebuilds");
                assert!(rows(&store) == seen.0, "a rebuild differs (seed {seed})");
                drop(store);
                let _ = std::fs::remove_dir_all(&folder);
            }
        }
        let (rows, states) = expected.expect("replicas");
        assert_eq!(states.len(), RECORDS, "every record is there (seed {seed})");
        assert!(
            rows.contains("conflicts: 1"),
            "somebody disagrees (seed {seed})"
        );
    }
}

/// Every record, folded, as text to compare.
fn states(store: &Store) -> Vec<String> {
    let heads = store.heads().expect("heads");
    heads
        .iter()
        .map(|(record, heads)| {
            let kind = store.kind_of(*record).expect("reads").expect("is here");
            let members = store.members(*record).expect("members");
            let (document, waiting) = Document::rebuild(kind, *record, members).expect("builds");
            assert!(waiting.is_empty(), "{record}: something waits");
            assert_eq!(
                document.heads(),
                *heads,
                "{record}: heads by rows and by envelopes"
            );
            format!("{:?}", document.fold())
        })
        .collect()
}
