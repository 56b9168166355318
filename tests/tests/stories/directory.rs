//! The directory changes while people are out.

use serde_json::{Value as Json, json};

use shaodao_core::domain::action::Body;
use shaodao_core::domain::reason::Reason;
use shaodao_core::sync::edition::Edition;
use shaodao_core::sync::wire::{self, Standing, SyncReply};
use shaodao_server::engine::Engine;
use shaodao_tests::world::{HOUR_MS, World, finding_facts};

const OLD_GRID: &str = "530102001006001";
const NEW_GRID: &str = "530102001006002";
const HEAD: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";

fn moved(entry: &mut Json) {
    entry["roles"] = json!([{ "role": "member", "scope": NEW_GRID }]);
    entry["posts"] = json!([{ "post": "head", "grid": NEW_GRID }]);
}

#[test]
fn a_change_reaches_an_offline_phone_later_and_rights_follow() {
    // What could go wrong: the phone believes the old directory for ever, what
    // its owner did in good faith is lost, or the old grid stays readable.
    let mut world = World::new("moved", 1);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let others = world.report(SECRETARY, OLD_GRID, "E0102", "书记上报的垃圾");
    let own = world.report(HEAD, OLD_GRID, "E0102", "自己上报的垃圾");
    world.settle();
    world.of(HEAD).offline = true;
    world.pass(HOUR_MS);
    let version = world.change_person(HEAD, moved);
    let in_good_faith = world.report(HEAD, OLD_GRID, "E0403", "北门街燃气泄漏");
    world.of(HEAD).offline = false;
    world.sync(HEAD);

    // The running server judged by the new edition, and the phone has it.
    let troubles = world.of(HEAD).device.troubles().expect("troubles");
    assert_eq!(troubles[0].trouble.reason, Some(Reason::NotYourArea));
    let known = world.of(HEAD).device.directory().expect("a directory");
    assert_eq!(known.version, version);
    let old = finding_facts(OLD_GRID, "E0102", "旧网格");
    let draft = shaodao_core::device::Draft::new(
        shaodao_core::domain::action::RecordKind::Finding,
        old,
        Body::Report,
    );
    world.try_act(HEAD, draft).expect_err("not your area");
    let there = world.report(HEAD, NEW_GRID, "E0102", "新网格");

    // What is not theirs any more leaves the phone; their own stays.
    assert!(world.of(HEAD).device.show(others).is_err());
    assert!(world.of(HEAD).device.show(own).is_ok());

    // Released, it is judged by the directory that its author knew.
    let hash = troubles[0].trouble.hash.to_string();
    let judged = world.admin(move |engine| engine.release(&hash, "Wen"));
    assert_eq!(judged.expect("judged").standing, Standing::Accepted);
    world.settle();
    for finding in [in_good_faith, there] {
        assert!(world.of(SECRETARY).device.show(finding).is_ok());
    }
}

#[test]
fn only_newer_editions_that_the_known_server_signed_are_taken() {
    // What could go wrong: somebody on the way hands out rights.
    let mut world = World::new("forged", 2);
    world.phone(HEAD);
    let first = world.of(HEAD).device.directory().expect("a directory");
    let version = world.change_person(HEAD, moved);
    let outgoing = world.of(HEAD).device.prepare_sync().expect("enrolled");
    let (_, reply) = world.post("/v1/sync", Some(&outgoing.token), outgoing.body.clone());
    let reply: SyncReply = wire::from_bytes(&reply).expect("a reply");
    let signed = reply.directory.clone().expect("a new edition");
    let signed = Edition::from_bytes(&signed).expect("an edition");
    let other = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let mut pack: Json = serde_json::from_slice(&signed.pack).expect("a pack");
    pack["version"] = 99.into();
    let pack = pack.to_string().into_bytes();
    let now_ms = world.now_ms();
    for forged in [
        Edition {
            pack: pack.clone(),
            version: 99,
            ..signed.clone()
        },
        Edition::sign(&other, &signed.street, 99, now_ms, pack),
    ] {
        let forged = SyncReply {
            directory: Some(forged.to_bytes().into()),
            ..reply.clone()
        };
        let phone = world.of(HEAD);
        let now = phone.now(now_ms);
        let bytes = wire::to_bytes(&forged);
        let refused = phone.device.settle_sync(&outgoing, now, &bytes);
        refused.expect_err("forged");
        let kept = phone.device.directory().expect("a directory");
        assert_eq!(kept.version, first.version);
    }
    world.settle();
    let taken = world.of(HEAD).device.directory().expect("a directory");
    assert_eq!(taken.version, version);

    // An old edition that was honest once changes nothing.
    let phone = world.of(HEAD);
    let now = phone.now(now_ms);
    let outgoing = phone.device.prepare_sync().expect("enrolled");
    let newer = world.change_person(HEAD, |entry| entry["name"] = "萧桂英".into());
    world.settle();
    let replayed = wire::to_bytes(&reply);
    let phone = world.of(HEAD);
    let settled = phone.device.settle_sync(&outgoing, now, &replayed);
    settled.expect_err("older");
    let kept = phone.device.directory().expect("a directory");
    assert_eq!(kept.version, newer);
}

#[test]
fn the_server_changes_its_key_and_phones_follow() {
    // What could go wrong: phones shut the server out, or follow anybody.
    let mut world = World::new("new-key", 3);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, OLD_GRID, "E0102", "门口有垃圾");
    world.settle();
    world.on_finding(SECRETARY, finding, Body::Accept);
    world
        .admin(|engine| engine.rotate_key("Wen"))
        .expect("a new key");
    // The running server numbers with the new key, on a chain of its own.
    world.settle();
    assert!(
        world
            .finding(HEAD, finding)
            .text("number")
            .ends_with("-0001")
    );
    world
        .admin(|engine| engine.rotate_key("Wen"))
        .expect("another key");
    world.change_person(HEAD, moved);
    // Two changes at once, then a session by signature.
    world.pass(31 * 24 * HOUR_MS);
    world.settle();
    let known = world.of(HEAD).device.directory().expect("a directory");
    assert_eq!(known.version, 4);
    let suspicions = world.server_count("SELECT COUNT(*) FROM clone_sign");
    assert_eq!(suspicions, 0);
}

#[test]
fn an_older_app_goes_on_with_the_directory_that_it_can_read() {
    // What could go wrong: a server that knows more stops every older phone.
    let mut world = World::new("older-app", 4);
    for person in [HEAD, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(HEAD, OLD_GRID, "E0102", "门口有垃圾");
    world.settle();
    world.on_finding(SECRETARY, finding, Body::Accept);
    world.sync(SECRETARY);
    let mut outgoing = world.of(HEAD).device.prepare_sync().expect("enrolled");
    let (_, reply) = world.post("/v1/sync", Some(&outgoing.token), outgoing.body.clone());
    let mut reply: SyncReply = wire::from_bytes(&reply).expect("a reply");
    let pack = world.admin(|engine| engine.pack()).expect("a pack");
    let mut pack: Json = serde_json::from_slice(&pack).expect("a pack");
    pack["version"] = 2.into();
    pack["drones"] = json!([]);
    let (pack, now_ms) = (pack.to_string().into_bytes(), world.now_ms());
    let sign = move |engine: &mut Engine| Ok(engine.sign_edition(2, now_ms, pack));
    let edition = world.admin(sign).expect("signed");
    reply.directory = Some(edition.to_bytes().into());
    let bytes = wire::to_bytes(&reply);
    let phone = world.of(HEAD);
    let now = phone.now(now_ms);
    phone
        .device
        .settle_sync(&outgoing, now, &bytes)
        .expect("the rest counts");
    assert!(phone.device.needs_newer_app().expect("reads"));
    world.restart(HEAD);
    let phone = world.of(HEAD);
    assert_eq!(phone.device.directory().expect("a directory").version, 1);
    outgoing = phone.device.prepare_sync().expect("enrolled");
    let asked: wire::SyncRequest = wire::from_bytes(&outgoing.body).expect("a request");
    assert_eq!(asked.directory, 2, "the same bytes are not asked for again");
    world.settle();
    assert_eq!(world.finding(HEAD, finding).stage.word(), "accepted");
}
