//! A server that rewrites history contradicts its phones.

use rusqlite::{Connection, params};
use shaodao_core::domain::action::Body;
use shaodao_core::domain::ids::EnvelopeHash;
use shaodao_core::domain::reason::Reason;
use shaodao_core::sync::head::{Act, Contradiction, Entry, Head};
use shaodao_core::sync::wire::{Judgement, Standing};
use shaodao_server::verify::Extent;
use shaodao_tests::world::{HOUR_MS, World};

const GRID: &str = "530102001006001";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";

fn street(name: &str) -> World {
    let mut world = World::new(name, 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, GRID, "E0102", "垃圾满溢");
    world.sync(HEAD);
    world.sync(SECRETARY);
    world.on_finding(SECRETARY, finding, Body::Accept);
    world.sync(SECRETARY);
    world.sync(HEAD);
    world
}

fn contradictions(world: &World) -> i64 {
    world.server_count("SELECT COUNT(*) FROM audit WHERE what = 'contradiction'")
}

#[test]
fn an_honest_server_is_cited_and_never_contradicted() {
    // What could go wrong: a false alarm, or phones that cite nothing.
    let mut world = street("honest");
    world.report(HEAD, GRID, "E0102", "又一处");
    world.sync_all();
    let position = world.server_count("SELECT MAX(position) FROM feed");
    let head = world.of(HEAD).device.store().head().expect("reads");
    assert!(head.is_some_and(|head| head.position.cast_signed() <= position));
    let contact = world.of(HEAD).device.store().contact().expect("reads");
    assert!(contact.is_some_and(|contact| contact.head.is_some()));
    assert_eq!(contradictions(&world), 0);
    world.settle();
    for person in [HEAD, SECRETARY] {
        let contradiction = world.of(person).device.contradiction();
        assert_eq!(contradiction.expect("reads"), None);
    }
}

#[test]
fn a_database_put_back_in_secret_is_noticed_on_both_sides() {
    // What could go wrong: somebody copies yesterday's file back, without
    // `restore`, and what was decided since never happened.
    let mut world = street("put-back");
    let backup = world.backup("yesterday.db");
    world.report(HEAD, GRID, "E0102", "后来的一处");
    world.sync(HEAD);
    world.sync(HEAD);
    world.disk_dies();
    std::fs::copy(&backup, world.tampered_database()).expect("copies");
    world.start_server();
    world.sync(HEAD);
    let contradiction = world.of(HEAD).device.contradiction().expect("reads");
    assert_eq!(
        contradiction.map(|(it, _)| it),
        Some(Contradiction::WentBack)
    );
    // The other phone has not seen so much: nothing is wrong for it.
    world.sync(SECRETARY);
    let other = world.of(SECRETARY).device.contradiction().expect("reads");
    assert_eq!(other, None);
    // The phone goes on citing what it holds, and its work is judged all the same.
    world.pass(HOUR_MS);
    for nth in 0..5 {
        world.report(HEAD, GRID, "E0102", &format!("再报第{nth}处"));
    }
    world.settle();
    assert_eq!(contradictions(&world), 1);
    // The server has long grown past what the phone held; the proof stays.
    let store = world.of(HEAD).device.store();
    let meta = |name: &str| {
        store
            .meta::<Vec<u8>>(name)
            .expect("reads")
            .expect("is there")
    };
    let key: [u8; 32] = meta("server_key").try_into().expect("a key");
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).expect("a key");
    let epoch = meta("epoch");
    let [held, other] = world
        .of(HEAD)
        .device
        .proof()
        .expect("reads")
        .expect("proof");
    assert!(other.head.position < held.head.position);
    assert!(held.verify(&epoch, &key) && other.verify(&epoch, &key));
    let newest = world.of(HEAD).device.store().head().expect("reads");
    assert!(newest.is_some_and(|newest| newest.position > held.head.position));
    assert_eq!(
        world.server_count("SELECT COUNT(*) FROM envelope WHERE standing = 3"),
        0
    );
}

#[test]
fn a_history_rewritten_with_the_servers_own_key_contradicts_its_phones() {
    // What could go wrong: whoever holds database and key changes an act and
    // makes the whole chain fit again, and nobody can tell.
    let mut world = street("rewritten");
    // An action that cites the head of the true history.
    world.report(HEAD, GRID, "E0102", "作证的一处");
    world.sync(HEAD);
    world.sync(HEAD);
    assert!(world.verify(Extent::Everything).is_clean());
    world.stop_server();
    let path = world.tampered_database();
    rewrite(&path);
    world.start_server();
    let report = world.verify(Extent::Everything);
    assert!(!report.is_clean(), "an envelope cites the true history");
    assert!(
        report
            .bad
            .iter()
            .all(|bad| bad.problem.contains("another history")),
        "the chain fits otherwise: {report:#?}"
    );
    world.sync(HEAD);
    let contradiction = world.of(HEAD).device.contradiction().expect("reads");
    assert_eq!(
        contradiction.map(|(it, _)| it),
        Some(Contradiction::Differs)
    );
    world.settle();
    assert!(contradictions(&world) >= 1);
}

/// Changes the first act and makes everything after it fit, signature included.
fn rewrite(path: &std::path::Path) {
    let db = Connection::open(path).expect("opens");
    db.execute(
        "UPDATE audit SET at_ms = at_ms - 1 WHERE position = (SELECT MIN(position) FROM audit)",
        [],
    )
    .expect("alters");
    let mut head = Head::EMPTY;
    let positions: i64 = db
        .query_row("SELECT COUNT(*) FROM feed", [], |row| row.get(0))
        .expect("counts");
    for position in 1..=positions {
        let envelope: Option<i64> = db
            .query_row(
                "SELECT envelope FROM feed WHERE position = ?1",
                [position],
                |row| row.get(0),
            )
            .expect("reads");
        head = match envelope {
            Some(envelope) => {
                let judgement = db.query_row(
                    "SELECT hash, feed.standing, feed.reason, received_at_ms FROM feed
                     JOIN envelope ON envelope.id = feed.envelope
                     WHERE feed.position = ?1 AND envelope.id = ?2",
                    [position, envelope],
                    |row| {
                        let reason: Option<String> = row.get(2)?;
                        Ok(Judgement {
                            hash: row.get(0).map(EnvelopeHash)?,
                            standing: Standing::from_code(row.get(1)?).expect("a standing"),
                            reason: reason.as_deref().and_then(Reason::from_code),
                            seen: None,
                            received_at_ms: row.get(3)?,
                        })
                    },
                );
                head.then(Entry::Verdict(&judgement.expect("a verdict")))
            }
            None => db
                .query_row(
                    "SELECT at_ms, what, who, about, content FROM audit WHERE position = ?1",
                    [position],
                    |row| {
                        let texts: [String; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
                        Ok(head.then(Entry::Act(Act {
                            at_ms: row.get(0)?,
                            what: &texts[0],
                            who: &texts[1],
                            about: &texts[2],
                            content: row.get(4)?,
                        })))
                    },
                )
                .expect("an act"),
        };
        db.execute(
            "UPDATE feed SET head = ?2 WHERE position = ?1",
            params![position, head.hash],
        )
        .expect("writes");
    }
    let meta = |name: &str| -> Vec<u8> {
        db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .expect("reads")
    };
    let key: [u8; 32] = meta("device_key").try_into().expect("a key");
    let signed = head.sign(&meta("epoch"), &ed25519_dalek::SigningKey::from_bytes(&key));
    db.execute("UPDATE signed_head SET signature = ?1", [signed.signature])
        .expect("signs");
}
