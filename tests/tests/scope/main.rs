//! Nobody reads what is not theirs: random organisations, each with a hundred
//! requests of people who try. What may be read is said by `scope::statement`,
//! apart from the server; what a request must not tell is found by asking twice,
//! once about something that exists out of the caller's sight, once about nothing.
//!
//! 500 organisations by `SHAODAO_SCOPES=500`, fewer in an ordinary run;
//! `SHAODAO_SEED` chooses others. How long an answer takes is not measured: where
//! one of two answers would need work that the other does not, the work is done
//! for both (`app.rs`, sessions) or does not depend on the record (`ingest`, the
//! rights come before anything that is only there if the record is).

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::domain::ids::{EnvelopeHash, PrivateId, RecordId};
use shaodao_core::envelope;
use shaodao_core::seal;
use shaodao_core::sync::wire::SyncReply;
use shaodao_server::engine::Engine;
use shaodao_server::verify::Extent;
use shaodao_tests::scope::life::Life;
use shaodao_tests::wanted::wanted;

mod door;
mod hostile;
mod leaks;

/// Hostile requests to one organisation.
const REQUESTS: usize = 100;

/// Half of the organisations each, on the two cores of a small machine.
#[test]
fn nobody_reads_what_is_not_theirs() {
    organisations(0);
}

#[test]
fn nor_does_anybody_else() {
    organisations(1);
}

fn organisations(half: u64) {
    let first = wanted("SHAODAO_SEED", 1);
    let count = wanted("SHAODAO_SCOPES", 40);
    let mut tally = hostile::Tally::new();
    for nth in (half..count).step_by(2) {
        let seed = first + nth;
        println!("organisation: seed {seed}");
        on_one_organisation(seed, &mut tally);
    }
    for (what, count) in &tally {
        println!("{count:>7} {what}");
    }
    assert_eq!(tally.len(), 9, "every kind of request was made");
}

fn on_one_organisation(seed: u64, tally: &mut hostile::Tally) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut life = Life::begin(&format!("{seed}"), &mut rng);
    life.go_on(&mut rng);
    everybody_reads_theirs(&life);
    for _ in 0..REQUESTS {
        let what = hostile::request(&mut life, &mut rng);
        *tally.entry(what).or_default() += 1;
    }
    // Whatever they tried has let nobody in, and shut nobody out.
    everybody_reads_theirs(&life);
    nothing_is_out_of_place(&life);
}

/// The database is what its envelopes make of it.
pub fn nothing_is_out_of_place(life: &Life) {
    let verify = |engine: &mut Engine| engine.verify(Extent::Everything, &mut |_| {});
    let report = life.running.admin(verify);
    assert!(report.is_clean(), "{:#?}", report.bad);
}

/// What everybody gets from the start is what the statement says, no more and no
/// less.
pub fn everybody_reads_theirs(life: &Life) {
    for (nth, who) in life.organisation.people.iter().enumerate() {
        let mut read = BTreeSet::new();
        let mut read_private = BTreeSet::new();
        for reply in life.running.pull_everything(nth) {
            check_reply(life, nth, &reply);
            read.extend(reply.items.iter().map(|it| record_of(&it.envelope)));
            let items = reply.private.iter();
            read_private.extend(items.map(|it| seal::id_of(&it.ciphertext)));
        }
        let id = &who.id;
        // Who is summoned by a whistle only after it has gone up reads the one
        // above with its next action: those are not waited for.
        let taken_over = |record: &RecordId| {
            let whistle = life.statement.whistles.get(record);
            whistle.is_some_and(|whistle| whistle.from.is_some())
        };
        let missing: Vec<_> = life
            .statement
            .readable(who)
            .into_iter()
            .filter(|record| !read.contains(record) && !taken_over(record))
            .collect();
        assert!(missing.is_empty(), "{id} does not get {missing:?}");
        let private = life.statement.private.keys();
        let missing: Vec<&PrivateId> = private
            .filter(|item| life.statement.may_read_private(who, item))
            .filter(|item| !read_private.contains(item))
            .collect();
        assert!(missing.is_empty(), "{id} does not get {missing:?}");
    }
}

/// Nothing in a reply is outside of what its receiver may read.
pub fn check_reply(life: &Life, nth: usize, reply: &SyncReply) {
    let phone = &life.running.phones[nth];
    let who = &phone.who;
    let id = &who.id;
    for item in &reply.items {
        let record = record_of(&item.envelope);
        let may = life.statement.may_read(who, &record);
        assert!(may, "{id} ({:?}) is given {record}", who.roles);
    }
    for item in &reply.private {
        let item = seal::id_of(&item.ciphertext);
        let may = life.statement.may_read_private(who, &item);
        assert!(may, "{id} ({:?}) is given private {item}", who.roles);
    }
    // Nobody has moved, so nothing is taken from anybody.
    assert!(reply.drops.is_empty(), "{id} is told of {:?}", reply.drops);
    for notice in reply.notices.iter().flatten() {
        let sealed = envelope::open(&notice.envelope).expect("an envelope");
        assert_eq!(sealed.envelope.action.person.0, *id, "somebody else's");
    }
    for verdict in &reply.verdicts {
        let hash = EnvelopeHash::from_slice(&verdict.hash).expect("a hash");
        assert!(
            phone.signed.contains(&hash),
            "{id} hears what became of somebody else's action"
        );
    }
}

fn record_of(bytes: &[u8]) -> RecordId {
    let sealed = envelope::open(bytes).expect("an envelope");
    sealed.envelope.action.record
}

/// Something of this kind that somebody cannot read.
pub fn out_of_sight(life: &Life, nth: usize, whistle: bool, rng: &mut StdRng) -> Option<RecordId> {
    let who = &life.organisation.people[nth];
    let all: Vec<RecordId> = match whistle {
        true => life.statement.whistles.keys().copied().collect(),
        false => life.statement.findings.keys().copied().collect(),
    };
    let hidden: Vec<RecordId> = all
        .into_iter()
        .filter(|record| !life.statement.may_read(who, record))
        .collect();
    (!hidden.is_empty()).then(|| hidden[rng.random_range(0..hidden.len())])
}
