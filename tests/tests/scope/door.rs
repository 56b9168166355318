//! Every route for whoever has no business there: "there is no such thing" and
//! "not for you" are one answer, byte for byte.

use axum::body::Body;
use axum::http::Request;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::DeviceId;
use shaodao_core::sync::enrol::commitment;
use shaodao_core::sync::wire::{
    self, EnrolRequest, EnrolReveal, SessionRequest, SyncReply, SyncRequest,
};
use shaodao_tests::scope::life::Life;
use shaodao_tests::scope::running::Answer;

const HOUR_MS: i64 = 3_600_000;

/// A request with a session or without.
type Ask = fn(&Life, Option<&str>) -> Answer;

#[test]
fn the_door_says_nothing_of_who_lives_there() {
    let mut rng = StdRng::seed_from_u64(11);
    let mut life = Life::begin("door", &mut rng);
    life.go_on(&mut rng);
    without_a_session(&life);
    tickets(&life, &mut rng);
    enrolments(&life, &mut rng);
    sessions(&life, &mut rng);
    pages_for_machines(&life);
}

/// No token, a guessed one, an expired one: every route that wants one says the
/// same.
fn without_a_session(life: &Life) {
    let phone = &life.running.phones[0];
    let expired = phone.device;
    let before = life.running.post("/v1/sync", Some(&phone.token), sync());
    assert_eq!(before.status, 200);
    life.running.admin(move |engine| {
        let sql = "UPDATE device SET token_expires_ms = 0 WHERE device = ?1";
        engine.connection().execute(sql, [expired.0])?;
        Ok(())
    });
    let asks: [(&str, Ask); 2] = [
        ("sync", |life, token| {
            life.running.post("/v1/sync", token, sync())
        }),
        ("live", |life, token| {
            let mut request = Request::get("/v1/live");
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            life.running
                .ask(request.body(Body::empty()).expect("a request"))
        }),
    ];
    for (name, ask) in asks {
        let nobody = ask(life, None);
        assert_eq!(nobody.status, 401, "{name}");
        assert_eq!(ask(life, Some("guessed")), nobody, "{name}: guessed");
        assert_eq!(ask(life, Some(&phone.token)), nobody, "{name}: expired");
    }
}

fn sync() -> Vec<u8> {
    wire::to_bytes(&SyncRequest::default())
}

/// A ticket that never was, one that is used, one that is dead, one that is too
/// old.
fn tickets(life: &Life, rng: &mut StdRng) {
    let open = || {
        let who = life.organisation.people[1].id.as_str().into();
        let opened = life
            .running
            .admin(move |engine| engine.open_ticket(&who, "Wen"));
        opened.typed.to_string()
    };
    let hand_in = |ticket: &str, rng: &mut StdRng| {
        let request = EnrolRequest {
            ticket: ticket.to_owned(),
            device: DeviceId::random(rng).0.to_vec(),
            key: ed25519_dalek::SigningKey::from_bytes(&rng.random())
                .verifying_key()
                .to_bytes()
                .to_vec(),
            app: "door".to_owned(),
            commitment: commitment(&[1; 32]).to_vec(),
        };
        life.running
            .post("/v1/enrol", None, wire::to_bytes(&request))
    };
    let (used, dead, old) = (open(), open(), open());
    // Its first characters name it; the rest is the secret.
    let wrong = format!("{}{}", &dead[..dead.len() - 4], "0000");
    assert_eq!(hand_in(&used, rng).status, 200);
    for _ in 0..5 {
        hand_in(&wrong, rng);
    }
    let never = hand_in("ABCDEFGHJK", rng);
    assert_eq!(never.status, 403);
    assert_eq!(hand_in(&used, rng), never, "used");
    assert_eq!(hand_in(&dead, rng), never, "dead");
    life.running
        .clock
        .set(life.running.clock.now_ms() + HOUR_MS);
    assert_eq!(hand_in(&old, rng), never, "old");
}

/// Somebody asks how an enrolment stands: of a phone that has long been
/// somebody's, and of none.
fn enrolments(life: &Life, rng: &mut StdRng) {
    let ask = |device: DeviceId| {
        let request = EnrolReveal {
            device: device.0.to_vec(),
            nonce: vec![1; 32],
        };
        life.running
            .post("/v1/enrol/reveal", None, wire::to_bytes(&request))
    };
    let of_nobody = ask(DeviceId::random(rng));
    assert_eq!(of_nobody.status, 403);
    assert_eq!(ask(life.running.phones[2].device), of_nobody);
}

/// A session with a wrong signature, for a phone, a revoked phone and none; with
/// and without a challenge to answer.
fn sessions(life: &Life, rng: &mut StdRng) {
    let (active, revoked) = (life.running.phones[3].device, life.running.phones[4].device);
    life.running.admin(move |engine| {
        let state = DeviceState::Revoked;
        engine.set_device_state(&revoked.to_string(), state, "Wen")
    });
    let ask = |device: DeviceId, signature: Vec<u8>| {
        let request = SessionRequest {
            device: device.0.to_vec(),
            signature,
            directory: 0,
            app: "door".to_owned(),
        };
        let body = wire::to_bytes(&request);
        life.running.post("/v1/session", None, body)
    };
    let nobody = DeviceId::random(rng);
    for signature in [vec![7; 64], vec![7; 63]] {
        let mut answers = Vec::new();
        for device in [nobody, active, revoked] {
            let unasked = ask(device, signature.clone());
            let challenge = ask(device, Vec::new());
            assert_eq!(challenge.status, 200);
            let answered = ask(device, signature.clone());
            answers.push((unasked, challenge.body.len(), answered));
        }
        assert_eq!(answers[0].0.status, 403);
        assert_eq!(answers[0].2.status, 403);
        assert_eq!(answers[1], answers[0], "a phone");
        assert_eq!(answers[2], answers[0], "a revoked phone");
    }
    // A revoked phone with its old token hands in and hears nothing.
    let reply = life.running.sync(4, &SyncRequest::default());
    let silent = SyncReply {
        server_ms: reply.server_ms,
        device: Some(DeviceState::Revoked.code()),
        ..SyncReply::default()
    };
    assert_eq!(reply, silent);
}

/// What machines read names nobody and nothing.
fn pages_for_machines(life: &Life) {
    for path in ["/healthz", "/readyz", "/metrics", "/v1/nothing"] {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = life.running.ask(request);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        for phone in &life.running.phones {
            assert!(!text.contains(&phone.who.id), "{path} names somebody");
            let device = phone.device.to_string();
            assert!(!text.contains(&device), "{path} names a phone");
        }
        let records = life.statement.findings.keys();
        for record in records.chain(life.statement.whistles.keys()) {
            assert!(!text.contains(&record.to_string()), "{path}: {record}");
        }
        for code in life.organisation.communities.iter() {
            assert!(!text.contains(code.as_str()), "{path} names a community");
        }
    }
}
