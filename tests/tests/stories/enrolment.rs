//! How a phone becomes one of the street's, and who tries to be one without.

use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::{Device, DeviceError};
use shaodao_core::sync::enrol::{Fingerprint, TICKET_MS};
use shaodao_core::sync::wire::{
    EnrolOffer, EnrolReveal, SessionReply, SessionRequest, from_bytes, to_bytes,
};
use shaodao_server::engine::EngineError;
use shaodao_tests::world::World;

const LI: &str = "P01006-02";
const SECRETARY: &str = "P01006-00";
const GRID: &str = "530102001006002";

fn devices(world: &World) -> i64 {
    world.server_count("SELECT COUNT(*) FROM device WHERE person <> 'server'")
}

#[test]
fn a_ticket_is_dead_after_five_guesses() {
    // What could go wrong: somebody tries six characters until they fit.
    let mut world = World::new("guesses", 1);
    let ticket = world.ticket(LI);
    let mut thief = world.new_phone("thief").device;
    let right = ticket.typed.to_string();
    for guess in 0..5 {
        let wrong = format!("{}00000{guess}", ticket.typed.selector());
        assert_ne!(wrong, right);
        let refused = world.hand_in(&mut thief, &wrong).expect_err("a guess");
        assert!(refused.contains("ticket_not_valid"), "{refused}");
    }
    // Neither form of it opens anything now, for anybody.
    let mut honest = world.new_phone("honest").device;
    for secret in [right, ticket.scanned.to_string()] {
        let refused = world.hand_in(&mut honest, &secret).expect_err("dead");
        assert!(refused.contains("ticket_not_valid"), "{refused}");
    }
    assert_eq!(devices(&world), 0);
    let dead = "SELECT COUNT(*) FROM audit WHERE what = 'ticket_dead'";
    assert_eq!(world.server_count(dead), 1);
}

#[test]
fn a_ticket_is_good_for_one_phone_and_a_quarter_of_an_hour() {
    // What could go wrong: a ticket on a slip of paper is used again.
    let mut world = World::new("one-phone", 2);
    let ticket = world.ticket(LI).typed.to_string();
    let mut first = world.new_phone("first").device;
    let code = world.hand_in(&mut first, &ticket).expect("good");
    let mut second = world.new_phone("second").device;
    world.hand_in(&mut second, &ticket).expect_err("used");
    // A lost reply: the same phone begins again, and the code is another one.
    let again = world.hand_in(&mut first, &ticket).expect("the same phone");
    assert_ne!(again, code);
    world
        .admin(move |engine| engine.confirm(&code, "Wen"))
        .expect_err("nobody shows the old code");

    let late = world.ticket(LI).scanned.to_string();
    world.pass(TICKET_MS + 1);
    world.hand_in(&mut second, &late).expect_err("too old");
    // What was handed in and not confirmed in time is over as well.
    world
        .admin(move |engine| engine.confirm(&again, "Wen"))
        .expect_err("too late");
    assert_eq!(devices(&world), 0);
}

#[test]
fn whoever_stands_in_the_middle_is_seen_by_the_check_code() {
    // What could go wrong: the phone talks to somebody who talks to the server
    // with a key of their own.
    let mut world = World::new("middle", 3);
    let ticket = world.ticket(LI);
    let mut li = world.new_phone("li").device;
    let mut mallory = world.new_phone("mallory").device;
    let mut rng = StdRng::seed_from_u64(world.seed);
    li.enrol_request(&mut rng, &ticket.typed.to_string())
        .expect("a request");
    let on_the_server = world
        .hand_in(&mut mallory, &ticket.typed.to_string())
        .expect("the ticket is good");
    let key = SigningKey::from_bytes(&[66; 32]).verifying_key().to_bytes();
    let offer = EnrolOffer {
        server_key: key.to_vec(),
        nonce: vec![66; 32],
        street: "530102001".to_owned(),
    };
    let on_the_phone = li.accept_offer("http://mallory", None, &offer);
    let on_the_phone = on_the_phone.expect("an offer").check_code;
    assert_ne!(on_the_phone, on_the_server);
    let refused = world.admin(move |engine| engine.confirm(&on_the_phone, "Wen"));
    let refused = refused.expect_err("no phone here shows it");
    assert!(matches!(refused, EngineError::NoSuch(_)), "{refused}");
    assert!(refused.to_string().contains("do not confirm"), "{refused}");
    world
        .admin(move |engine| engine.decline(&on_the_server, "Wen"))
        .expect("turned away");
    let reveal = mallory
        .pending_enrolment()
        .expect("reads")
        .expect("pending");
    let (status, _) = world.post("/v1/enrol/reveal", None, to_bytes(&reveal.reveal));
    assert_eq!(status, 403);
    assert_eq!(devices(&world), 0);

    // With the QR code the phone knows at once.
    let own = world.admin(|engine| Ok(Fingerprint::of(&engine.public_key())));
    let own = own.expect("a key");
    let refused = li.accept_offer("http://mallory", Some(own), &offer);
    assert!(matches!(refused, Err(DeviceError::WrongServer)));
}

#[test]
fn nobody_is_enrolled_without_a_person_and_a_session_needs_the_key() {
    // What could go wrong: the ticket alone, or the device's id alone, is enough.
    let mut world = World::new("no-shortcut", 4);
    let ticket = world.ticket(LI).typed.to_string();
    let mut phone = world.new_phone("li").device;
    let code = world.hand_in(&mut phone, &ticket).expect("good");
    // What is signed for a challenge that means nothing: whether it is known is
    // told to nobody.
    let signed = phone.session_request(&[7; 32]).expect("a request");
    let (status, _) = world.post("/v1/session", None, to_bytes(&signed));
    assert_eq!(status, 403);
    // A nonce that the phone was not bound to counts for nothing.
    let forged = EnrolReveal {
        device: phone.id().0.to_vec(),
        nonce: vec![1; 32],
    };
    assert_eq!(
        world.post("/v1/enrol/reveal", None, to_bytes(&forged)).0,
        403
    );
    world
        .admin(move |engine| engine.confirm(&code, "Wen"))
        .expect("confirmed");
    // Now there is a challenge, and a wrong signature uses it up.
    let ask = |phone: &Device| to_bytes(&phone.session_request(&[]).expect("a request"));
    assert_eq!(world.post("/v1/session", None, ask(&phone)).0, 200);
    let forged = SessionRequest {
        device: phone.id().0.to_vec(),
        signature: vec![1; 64],
        ..SessionRequest::default()
    };
    assert_eq!(world.post("/v1/session", None, to_bytes(&forged)).0, 403);
    assert_eq!(world.post("/v1/session", None, to_bytes(&forged)).0, 403);
    let tokens = "SELECT COUNT(*) FROM device WHERE token_hash IS NOT NULL";
    assert_eq!(world.server_count(tokens), 0);
}

#[test]
fn a_session_that_is_too_old_is_opened_again_by_signature() {
    // What could go wrong: after a month in the hills a phone is locked out with
    // its reports on it.
    let mut world = World::new("old-session", 5);
    for person in [LI, SECRETARY] {
        world.phone(person);
    }
    let finding = world.report(LI, GRID, "E0102", "门口有垃圾");
    world.pass(31 * 24 * 3_600_000);
    world.settle();
    assert_eq!(
        world.finding(SECRETARY, finding).text("title"),
        "门口有垃圾"
    );
}

#[test]
fn a_server_that_forgot_a_phone_takes_it_back_with_all_that_is_on_it() {
    // What could go wrong: the server is restored from a copy that is older than
    // the phone's enrolment, and the phone is told to enrol and may not.
    let mut world = World::new("forgotten", 6);
    world.phone(SECRETARY);
    let (server, copy) = (world.folder().join("server"), world.folder().join("copy"));
    let copy_all = |from: &std::path::Path, to: &std::path::Path| {
        let _ = std::fs::remove_dir_all(to);
        std::fs::create_dir_all(to).expect("a folder");
        for file in std::fs::read_dir(from).expect("the server's folder") {
            let file = file.expect("a file");
            // The folder of evidence is empty here.
            if file.path().is_file() {
                std::fs::copy(file.path(), to.join(file.file_name())).expect("copies");
            }
        }
    };
    copy_all(&server, &copy);
    world.phone(LI);
    let finding = world.report(LI, GRID, "E0102", "门口有垃圾");
    world.stop_server();
    copy_all(&copy, &server);
    world.start_server();

    // It is asked to prove itself like any other, and then is not known.
    let phone = &world.of(LI).device;
    let ask = to_bytes(&phone.session_request(&[]).expect("a request"));
    let (status, said) = world.post("/v1/session", None, ask);
    assert_eq!(status, 200);
    let challenged: SessionReply = from_bytes(&said).expect("a challenge");
    let phone = &world.of(LI).device;
    let answer = phone.session_request(&challenged.challenge);
    let answer = to_bytes(&answer.expect("a request"));
    let (status, said) = world.post("/v1/session", None, answer);
    assert_eq!(status, 403);
    assert!(String::from_utf8_lossy(&said).contains("not_proven"));
    world.enrol(LI, LI);
    world.settle();
    assert_eq!(
        world.finding(SECRETARY, finding).text("title"),
        "门口有垃圾"
    );

    // Another server cannot take the phone over that way.
    let key = SigningKey::from_bytes(&[66; 32]).verifying_key().to_bytes();
    let offer = EnrolOffer {
        server_key: key.to_vec(),
        nonce: vec![66; 32],
        street: "530102001".to_owned(),
    };
    let taken = world
        .of(LI)
        .device
        .accept_offer("http://mallory", None, &offer);
    assert!(matches!(taken, Err(DeviceError::WrongServer)));
}
