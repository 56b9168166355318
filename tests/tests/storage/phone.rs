//! A phone's morning, recorded after every step, and every end of its log.
//!
//! What could go wrong: a cut log that opens to a state without an action whose
//! saving had been said; a phone that takes itself for another one, or for
//! damaged, because its battery was empty; a number of the chain that is used a
//! second time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::Device;
use shaodao_core::domain::action::{Body, Value, fact};
use shaodao_core::domain::ids::{DeviceId, EnvelopeHash, RecordId};
use shaodao_core::sync::plan::PUSH_BUDGET_BYTES;
use shaodao_tests::home::{home, unbacked};
use shaodao_tests::world::{MORNING_MS, World};

use super::{Memory, cut, points, seed};

const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const GRID: &str = "530102001006001";

/// The phone after a step.
struct Step {
    database: Vec<u8>,
    log: Vec<u8>,
    journal: Vec<u8>,
    mark: Vec<(String, Vec<u8>)>,
    /// What it had said was saved and nobody else has.
    unsent: BTreeSet<EnvelopeHash>,
    chain: u64,
}

#[test]
fn whatever_end_the_log_has_what_was_saved_is_there() {
    let seed = seed();
    println!("phone log: seed {seed}");
    let mut world = World::new("phone-log", seed);
    world.phone(HEAD);
    world.phone(SECRETARY);
    let mut rng = StdRng::seed_from_u64(seed);
    let steps = record(&mut world, &mut rng);
    let device = world.of(HEAD).device.id();
    assert!(steps.len() > 30, "{} steps", steps.len());
    let memory = Memory::new("phone-log");
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    let mut restored = 0;
    let count = points();
    for nth in 0..count {
        // Each step gets its share of the points, each frame its turn.
        let at = nth % (steps.len() - 1);
        let (before, after) = (&steps[at], &steps[at + 1]);
        let end = cut(&after.log, nth / (steps.len() - 1), &mut rng);
        *tally.entry(end.what).or_default() += 1;
        // The journal is flushed before the log is written to: while it is cut
        // the log is as it was before the step.
        let flushed = rng.random_bool(0.7);
        let (log, journal) = match flushed {
            true => (end.bytes, after.journal.clone()),
            false => {
                let most = after.journal.len();
                let least = before.journal.len().min(most);
                let grown = after.journal.starts_with(&before.journal);
                let until = rng.random_range(least..=most);
                match grown {
                    true => (before.log.clone(), after.journal[..until].to_vec()),
                    false => (before.log.clone(), before.journal.clone()),
                }
            }
        };
        let what = format!(
            "point {nth}, after step {at}, {}, {} of {} bytes of the log, {} of the journal (seed {seed})",
            end.what,
            end.whole,
            after.log.len(),
            journal.len()
        );
        let mark = after
            .mark
            .iter()
            .map(|(name, bytes)| (name.as_str(), &bytes[..]));
        memory.place(
            [
                ("phone/phone.db", &after.database[..]),
                ("phone/phone.db-wal", &log),
                ("phone/phone.journal", &journal),
            ]
            .into_iter()
            .chain(mark),
        );
        // What is acknowledged by the step after counts once its journal does.
        let (wanted, chain) = match flushed {
            true => (&after.unsent, after.chain),
            false => (&before.unsent, before.chain),
        };
        // A reply that was stored between the two takes out what it names.
        let wanted: BTreeSet<_> = wanted.iter().collect();
        restored += usize::from(check(
            &memory.0.join("phone"),
            device,
            &wanted,
            chain,
            &what,
        ));
    }
    println!("{count} ends: {tally:?}; in {restored} the journal gave back an action");
    assert!(restored > count / 10, "the journal was hardly needed");
    world.settle();
}

/// Opens the phone there and looks at it; whether the journal had to help.
fn check(
    folder: &Path,
    device: DeviceId,
    wanted: &BTreeSet<&EnvelopeHash>,
    chain: u64,
    what: &str,
) -> bool {
    let mut rng = StdRng::seed_from_u64(1);
    let home = home(folder, MORNING_MS);
    let phone = Device::open(&home, &mut rng).unwrap_or_else(|error| panic!("{what}: {error}"));
    let report = phone.report().clone();
    assert!(report.incident.is_none(), "{what}: {report:?}");
    assert_eq!(phone.id(), device, "{what}: another device");
    let outbox = phone.store().outbox(PUSH_BUDGET_BYTES).expect("an outbox");
    let queued: BTreeSet<_> = outbox.iter().map(|queued| &queued.hash).collect();
    let missing: Vec<_> = wanted.difference(&queued).collect();
    assert!(missing.is_empty(), "{what}: lost {missing:?}");
    let length = phone.store().chain().expect("a chain").length;
    assert!(
        length >= chain,
        "{what}: the chain stands at {length}, {chain} were given out"
    );
    for queued in &outbox {
        let sealed = shaodao_core::envelope::open(&queued.bytes).expect("opens");
        let record = sealed.envelope.action.record;
        assert!(phone.show(record).is_ok(), "{what}: {record} is not shown");
    }
    report.restored > 0
}

/// A morning with every kind of writing: captures alone and on each other, a
/// sync with news, more captures.
fn record(world: &mut World, rng: &mut StdRng) -> Vec<Step> {
    // Everything before is in the database, and the log is a new one.
    world.switched_off(HEAD, |_| {});
    world.report(HEAD, GRID, "E0102", "第一处");
    let mut steps = vec![look(world)];
    let mut findings: Vec<RecordId> = Vec::new();
    for nth in 0..48 {
        match (nth, rng.random_range(0..4)) {
            (16 | 32, _) => {
                world.sync(HEAD);
                world.sync(SECRETARY);
                for finding in findings.iter().take(2) {
                    // One of them may have been decided on before.
                    let draft = shaodao_core::device::Draft::on(
                        shaodao_core::domain::action::RecordKind::Finding,
                        *finding,
                        Body::Accept,
                    );
                    let _ = world.try_act(SECRETARY, draft);
                }
                world.sync(SECRETARY);
                world.sync(HEAD);
            }
            (_, 0) if !findings.is_empty() => {
                let finding = findings[rng.random_range(0..findings.len())];
                let text = format!("第{nth}次查看");
                world.on_finding(HEAD, finding, Body::Note { text });
            }
            (_, 1) if !findings.is_empty() => {
                let finding = findings[rng.random_range(0..findings.len())];
                let title = Value::Text(format!("改为第{nth}版"));
                let mut draft = shaodao_core::device::Draft::on(
                    shaodao_core::domain::action::RecordKind::Finding,
                    finding,
                    Body::Correct,
                );
                draft.facts.insert(fact::TITLE.to_owned(), title);
                world.act(HEAD, draft);
            }
            _ => {
                let title = format!("第{nth}处");
                findings.push(world.report(HEAD, GRID, "E0102", &title));
            }
        }
        steps.push(look(world));
    }
    steps
}

fn look(world: &mut World) -> Step {
    let folder = world.folder().join(HEAD);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("reads");
    let unbacked = unbacked(&folder);
    let kept = std::fs::read_dir(&unbacked).expect("a folder");
    let mark = kept.map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let bytes = std::fs::read(&path).expect("reads");
        (format!("phone.unbacked/{name}"), bytes)
    });
    let store = world.of(HEAD).device.store();
    let outbox = store.outbox(PUSH_BUDGET_BYTES).expect("an outbox");
    Step {
        database: read("phone.db"),
        log: read("phone.db-wal"),
        journal: read("phone.journal"),
        mark: mark.collect(),
        unsent: outbox.iter().map(|queued| queued.hash).collect(),
        chain: store.chain().expect("a chain").length,
    }
}
