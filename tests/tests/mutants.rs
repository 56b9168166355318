//! Mutated envelopes through the real handlers of a real server: no panic, and
//! none comes further than it may. 20,000 of them on every run;
//! `SHAODAO_MUTANTS=1000000 cargo test --release -p shaodao-tests --test mutants`
//! is the long run. `SHAODAO_SEED` chooses another history.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::domain::ids::EnvelopeHash;
use shaodao_core::sync::wire::{self, Standing, SyncReply, SyncRequest};
use shaodao_tests::mutants::{AtMost, Forge, Mutant, Tally, hash_of};
use shaodao_tests::wanted::wanted;
use shaodao_tests::world::World;

const MEMBER: &str = "P01006-01";
const GRID: &str = "530102001006001";
/// Mutants in one request.
const AT_ONCE: usize = 200;
/// After so many the street begins anew: a day's limit is a day's limit.
const PER_STREET: usize = 3_000;

#[test]
fn no_mutant_comes_further_than_it_may() {
    let count = wanted("SHAODAO_MUTANTS", 20_000) as usize;
    let seed = wanted("SHAODAO_SEED", 1);
    println!("{count} mutants, seed {seed}");
    let mut tally = Tally::new();
    let mut made = 0;
    for street in 0.. {
        let here = PER_STREET.min(count - made);
        on_one_street(seed + street, here, &mut tally);
        made += here;
        if made == count {
            break;
        }
    }
    for (how, count) in &tally {
        println!("{count:>9} {how}");
    }
    assert_eq!(tally.values().sum::<u64>(), count as u64);
    assert!(tally.len() >= 25, "only {} kinds were made", tally.len());
}

fn on_one_street(seed: u64, count: usize, tally: &mut Tally) {
    let mut world = World::new("mutants", seed);
    world.phone(MEMBER);
    let device = &world.of(MEMBER).device;
    let secret: [u8; 32] = device
        .store()
        .meta("device_key")
        .expect("reads")
        .expect("a key");
    let token: String = device
        .store()
        .meta("token")
        .expect("reads")
        .expect("a token");
    let rng = StdRng::seed_from_u64(seed);
    let key = SigningKey::from_bytes(&secret);
    let mut forge = Forge::new(rng, key, device.id(), MEMBER, GRID);
    let mut stored = 0;
    for from in (0..count).step_by(AT_ONCE) {
        let size = AT_ONCE.min(count - from);
        let mutants: Vec<_> = (0..size).map(|_| forge.mutant()).collect();
        let standings = push(&world, &token, &mutants);
        for (mutant, standing) in mutants.iter().zip(standings) {
            assert!(
                mutant.check(standing),
                "seed {seed}: {}: at most {:?}, became {standing:?}",
                mutant.how,
                mutant.at_most
            );
            *tally.entry(mutant.how).or_default() += 1;
            stored += i64::from(mutant.at_most != AtMost::Refused);
        }
    }
    // What is refused leaves nothing behind, what is authentic is all there.
    let member = world.server_count("SELECT COUNT(*) FROM envelope WHERE device IN (SELECT device FROM device WHERE token_hash IS NOT NULL)");
    assert_eq!(member, stored, "seed {seed}");
}

/// What became of each, in order; `None` for what was no envelope at all.
fn push(world: &World, token: &str, mutants: &[Mutant]) -> Vec<Option<Standing>> {
    let push = mutants.iter().map(|mutant| mutant.bytes.clone().into());
    let request = SyncRequest {
        push: push.collect(),
        ..SyncRequest::default()
    };
    let (status, body) = world.post("/v1/sync", Some(token), wire::to_bytes(&request));
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let reply: SyncReply = wire::from_bytes(&body).expect("a reply");
    let verdicts: BTreeMap<EnvelopeHash, Standing> = reply
        .verdicts
        .iter()
        .filter_map(|verdict| {
            let hash = EnvelopeHash::from_slice(&verdict.hash)?;
            Some((hash, Standing::from_code(verdict.standing)?))
        })
        .collect();
    let unreadable: Vec<u32> = reply.unreadable.iter().map(|it| it.index).collect();
    let standing = |(index, mutant): (usize, &Mutant)| {
        if unreadable.contains(&(index as u32)) {
            return None;
        }
        let hash = hash_of(&mutant.bytes).expect("an envelope, as the server says");
        Some(*verdicts.get(&hash).expect("a verdict for every envelope"))
    };
    mutants.iter().enumerate().map(standing).collect()
}
