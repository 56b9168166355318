//! What strangers, broken phones and slips of the pen send: each a clear error,
//! nothing stored, nothing lost beside it, memory bounded. A real server
//! process, real HTTP, the real command line.

use std::path::PathBuf;
use std::process::Command;

use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use rand::rngs::StdRng;

use shaodao_core::device::{Device, Draft};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::ids::{BootId, DeviceId};
use shaodao_core::domain::time::Moment;
use shaodao_core::envelope::{self, Envelope};
use shaodao_core::sync::wire::{self, Standing, SyncReply, SyncRequest};
use shaodao_tests::home::home;
use shaodao_tests::process::{ServerProcess, Terminal, binary};
use shaodao_tests::world::{MORNING_MS, finding_facts};

const MEMBER: &str = "P01006-01";
const GRID: &str = "530102001006001";

/// A server process and one enrolled phone with findings in its outbox.
struct Scene {
    server: ServerProcess,
    device: Device,
    token: String,
    rng: StdRng,
    folder: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("shaodao-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let server = ServerProcess::start(&folder, MORNING_MS).expect("a server");
        let mut rng = StdRng::seed_from_u64(7);
        let mut device =
            Device::open(&home(&folder.join("phone"), MORNING_MS), &mut rng).expect("opens");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let enrolled = server.enrol(&mut device, &mut rng, MEMBER, now());
        runtime.block_on(enrolled).expect("enrols");
        let token = device
            .store()
            .meta("token")
            .expect("reads")
            .expect("a token");
        Self {
            server,
            device,
            token,
            rng,
            folder,
            runtime,
        }
    }

    fn report(&mut self, title: &str) {
        let facts = finding_facts(GRID, "E0403", title);
        let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
        self.device
            .capture(now(), &mut self.rng, draft)
            .expect("captures");
    }

    /// The newest envelope in the outbox.
    fn envelope(&self) -> Vec<u8> {
        let outbox = self.device.store().outbox(1 << 20).expect("an outbox");
        outbox.last().expect("something").bytes.clone()
    }

    /// Status and body of a raw POST.
    fn post(&self, path: &str, token: Option<&str>, body: Vec<u8>) -> (u16, Vec<u8>) {
        let client = reqwest::Client::new();
        let mut request = client
            .post(format!("{}{path}", self.server.address()))
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        self.runtime.block_on(async {
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            (status, response.bytes().await.expect("a body").to_vec())
        })
    }

    /// What the server says of a push.
    fn push(&self, envelopes: Vec<Vec<u8>>) -> SyncReply {
        let request = SyncRequest {
            push: envelopes.into_iter().map(Into::into).collect(),
            budget: 1 << 20,
            ..SyncRequest::default()
        };
        let (status, body) = self.post("/v1/sync", Some(&self.token), wire::to_bytes(&request));
        assert_eq!(status, 200);
        wire::from_bytes(&body).expect("a reply")
    }

    fn stored(&self) -> i64 {
        let db = rusqlite::Connection::open(self.server.database()).expect("opens");
        db.query_row("SELECT COUNT(*) FROM envelope", [], |row| row.get(0))
            .expect("counts")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn now() -> Moment {
    Moment {
        wall_ms: MORNING_MS,
        boot: BootId([1; 8]),
        mono_ms: 5_000,
    }
}

fn code(body: &[u8]) -> String {
    let said: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    for language in ["zh", "en"] {
        assert!(said[language].as_str().is_some_and(|text| text.len() > 10));
    }
    said["code"].as_str().expect("a code").to_owned()
}

#[test]
fn a_bad_body_is_refused_by_status_code_and_sentence() {
    let scene = Scene::new("bad-body");
    let token = Some(scene.token.as_str());
    let request = wire::to_bytes(&SyncRequest::default());
    let bomb = zstd::bulk::compress(&vec![0; 512 << 20], 19).expect("compresses");
    let small = zstd::bulk::compress(&vec![0; 1 << 19], 3).expect("compresses");
    let mut wide = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8]; // a window of 2^41 bytes
    wide.extend([0; 40]);
    let before = scene.server.resident_bytes().expect("memory");
    for (what, path, token, body, status, wanted) in [
        (
            "no token",
            "/v1/sync",
            None,
            request.clone(),
            401,
            "no_session",
        ),
        (
            "a stranger's token",
            "/v1/sync",
            Some("nonsense"),
            request.clone(),
            401,
            "no_session",
        ),
        (
            "another version",
            "/v2/sync",
            token,
            request.clone(),
            404,
            "unknown_path",
        ),
        (
            "not CBOR",
            "/v1/sync",
            token,
            b"{\"push\":[]}".to_vec(),
            400,
            "malformed",
        ),
        ("nothing", "/v1/sync", token, Vec::new(), 400, "malformed"),
        (
            "more after the end",
            "/v1/sync",
            token,
            [request.clone(), vec![0]].concat(),
            400,
            "malformed",
        ),
        // A list that claims 2^32 entries in six bytes is refused by its length.
        (
            "a lying length",
            "/v1/sync",
            token,
            vec![0x9a, 0xff, 0xff, 0xff, 0xff, 0x00],
            413,
            "too_many_envelopes",
        ),
        (
            "cut zstd",
            "/v1/sync",
            token,
            small[..small.len() / 2].to_vec(),
            400,
            "bad_compression",
        ),
        (
            "a bomb",
            "/v1/sync",
            token,
            bomb.clone(),
            413,
            "unpacks_too_large",
        ),
        (
            "a huge window",
            "/v1/sync",
            token,
            wide,
            400,
            "bad_compression",
        ),
        (
            "five megabytes",
            "/v1/sync",
            token,
            vec![0; 5 << 20],
            413,
            "body_too_large",
        ),
        (
            "a used ticket",
            "/v1/enrol",
            None,
            enrolment(),
            403,
            "ticket_not_valid",
        ),
        (
            "not a ticket",
            "/v1/enrol",
            None,
            vec![1, 2, 3],
            400,
            "malformed",
        ),
    ] {
        let (got, reply) = scene.post(path, token, body);
        assert_eq!((got, code(&reply)), (status, wanted.to_owned()), "{what}");
    }
    let get = scene.runtime.block_on(async {
        let url = format!("{}/v1/sync", scene.server.address());
        let response = reqwest::get(url).await.expect("an answer");
        (
            response.status().as_u16(),
            response.bytes().await.expect("a body"),
        )
    });
    assert_eq!((get.0, code(&get.1)), (405, "wrong_method".to_owned()));
    let grown = scene
        .server
        .resident_bytes()
        .expect("memory")
        .saturating_sub(before);
    assert!(grown < 64 << 20, "the server grew by {grown} bytes");
    assert_eq!(scene.stored(), 0, "nothing was stored");
}

fn enrolment() -> Vec<u8> {
    wire::to_bytes(&wire::EnrolRequest {
        ticket: "AAAAAAAAAA".to_owned(),
        device: vec![1; 16],
        key: SigningKey::from_bytes(&[1; 32])
            .verifying_key()
            .to_bytes()
            .to_vec(),
        app: "test".to_owned(),
        commitment: vec![2; 32],
    })
}

#[test]
fn a_bad_envelope_is_named_and_its_neighbours_are_taken() {
    let mut scene = Scene::new("bad-envelope");
    scene.report("北门街燃气泄漏");
    let good = scene.envelope();
    let sealed = envelope::open(&good).expect("opens");

    let truncated = good[..good.len() - 1].to_vec();
    let oversized = [good.clone(), vec![0; envelope::MAX_ENVELOPE_BYTES]].concat();
    // The same array of two, its length in two bytes instead of one.
    let not_canonical = [vec![0x98, 0x02], good[1..].to_vec()].concat();
    let mut mis_signed = good.clone();
    *mis_signed.last_mut().expect("bytes") ^= 1;
    let forge = |change: &dyn Fn(&mut Envelope)| {
        let mut envelope = sealed.envelope.clone();
        change(&mut envelope);
        let key = SigningKey::from_bytes(&[9; 32]);
        envelope.seal(&key).expect("small").bytes
    };
    let unknown_device = forge(&|envelope| envelope.device = DeviceId([9; 16]));
    let somebody_elses = forge(&|envelope| envelope.action.person = "P01006-00".into());
    let other_street = forge(&|envelope| envelope.street = "530102002".to_owned());

    let reply = scene.push(vec![
        truncated,
        oversized,
        not_canonical,
        mis_signed,
        unknown_device,
        somebody_elses,
        other_street,
        good.clone(),
        good.clone(),
        b"garbage".to_vec(),
    ]);
    let unreadable: Vec<_> = reply
        .unreadable
        .iter()
        .map(|it| (it.index, it.reason.as_str()))
        .collect();
    assert_eq!(
        unreadable,
        [
            (0, "not_canonical"),
            (1, "too_large"),
            (2, "not_canonical"),
            (9, "not_canonical")
        ]
    );
    let verdicts: Vec<_> = reply
        .verdicts
        .iter()
        .map(|it| {
            (
                Standing::from_code(it.standing).map(Standing::word),
                it.reason.as_deref(),
            )
        })
        .collect();
    let refused = Some("refused");
    assert_eq!(
        verdicts,
        [
            (refused, Some("bad_signature")),
            (refused, Some("unknown_device")),
            (refused, Some("wrong_person")),
            (refused, Some("wrong_street")),
            (Some("accepted"), None),
            (Some("accepted"), None),
        ]
    );
    assert_eq!(scene.stored(), 1, "the good one, once");
    // Sent once more another day: the same verdict, nothing stored twice.
    let again = scene.push(vec![good]);
    assert_eq!(again.verdicts[0].standing, Standing::Accepted.code());
    assert_eq!(scene.stored(), 1);
}

#[test]
fn any_cut_and_any_flipped_bit_is_refused_and_never_panics() {
    let mut scene = Scene::new("flipped");
    scene.report("圆通街电箱美化");
    let good = scene.envelope();
    let mut bad = Vec::new();
    for at in 0..good.len() {
        bad.push(good[..at].to_vec());
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        bad.push(flipped);
    }
    let count = bad.len();
    let reply = scene.push(bad);
    let refused = reply
        .verdicts
        .iter()
        .filter(|it| it.standing == Standing::Refused.code())
        .count();
    assert_eq!(refused + reply.unreadable.len(), count);
    assert_eq!(scene.stored(), 0);
    scene.push(vec![good]);
    assert_eq!(scene.stored(), 1);
}

#[test]
fn the_command_line_says_what_was_wrong_and_what_to_do() {
    let scene = Scene::new("cli");
    let phone = Terminal::new(&scene.folder.join("terminal")).expect("the phone program");
    let refused = |args: &[&str]| {
        let error = phone.run(args).expect_err("refused");
        error["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(refused(&["sync"]), "not_enrolled");
    assert_eq!(
        refused(&["enrol", "ftp://nowhere", "AAAAAAAAAA"]),
        "address"
    );
    assert_eq!(
        refused(&["enrol", "http://127.0.0.1:1", "AAAAAAAAAA"]),
        "unreachable"
    );
    let address = scene.server.address();
    assert_eq!(
        refused(&["enrol", &address, "AAAAAAAAAA"]),
        "ticket_not_valid"
    );
    assert_eq!(refused(&["enrol", &address, "??"]), "not_a_ticket");
    assert_eq!(refused(&["enrol", &address]), "not_a_ticket");
    assert_eq!(refused(&["enrol", "--resume"]), "not_enrolled");
    phone.enrol(&scene.server, "P01006-02").expect("enrols");
    assert_eq!(
        refused(&["enrol", &address, "AAAAAAAAAA"]),
        "already_enrolled"
    );
    assert_eq!(refused(&["show", "ffff"]), "no_such_record");
    assert_eq!(refused(&["list", "--stage", "lost"]), "unknown_stage");
    assert_eq!(
        refused(&["report", "x", "--category", "E9999"]),
        "unknown_category"
    );
    assert_eq!(
        refused(&["report", "x", "--category", "E0403", "--at", "here"]),
        "bad_position"
    );
    assert_eq!(
        refused(&["report", "x", "--category", "E0403", "--at", "0,0"]),
        "no_grid"
    );
    assert_eq!(
        refused(&[
            "report",
            "x",
            "--category",
            "E0403",
            "--grid",
            "530102001001001"
        ]),
        "not_your_area"
    );
    let long = "长".repeat(121);
    assert_eq!(
        refused(&["report", &long, "--category", "E0403"]),
        "too_long"
    );
    let usage = phone.command(&["whistle", "x"]).output().expect("runs");
    assert_eq!(usage.status.code(), Some(2), "clap explains the usage");
    assert_eq!(
        phone.run(&["status"]).expect("a status")["outbox"],
        0,
        "nothing was saved"
    );
}

#[test]
fn a_wrong_configuration_is_named_before_anything_is_touched() {
    let scene = Scene::new("configuration");
    let program = binary("shaodao-server").expect("the server program");
    let file = scene.folder.join("wrong.toml");
    std::fs::write(&file, "listne = \"127.0.0.1:1\"\n").expect("writes");
    let data = scene.folder.join("untouched");
    let path = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    for (args, wanted) in [
        (vec!["--config".to_owned(), path(&file)], "listne"),
        (
            vec!["--config".to_owned(), "/no/such.toml".to_owned()],
            "/no/such.toml",
        ),
    ] {
        let output = Command::new(&program)
            .args(args)
            .args(["--data", &path(&data), "serve"])
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(wanted), "{said}");
    }
    let output = Command::new(&program)
        .args(["--data", &path(&data), "serve", "--listen", "127.0.0.1:0"])
        .env("SHAODAO_ESCALATION_POLL_S", "0")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("escalation_poll_s is 0") && !output.status.success(),
        "{said}"
    );
    assert!(!data.exists(), "nothing was touched");
}
