//! The server's edge as callers meet it: TLS, pins, limits, slow callers,
//! stopping, and what the log says of people. Real processes, real sockets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpSocket;

use shaodao_core::device::{Device, Draft};
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::ids::BootId;
use shaodao_core::domain::time::Moment;
use shaodao_core::explain::Sentence;
use shaodao_core::sync::put_off::DAILY_LIMIT;
use shaodao_core::sync::transport::{SyncReport, Transport, TransportError};
use shaodao_core::sync::wire::{self, SyncRequest};
use shaodao_server::tls::{STATION_CERTIFICATE, STATION_KEY, make_station_certificate};
use shaodao_tests::bombs;
use shaodao_tests::home::{Folder, home};
use shaodao_tests::process::{ServerProcess, Setup, Terminal, binary};
use shaodao_tests::world::{HOUR_MS, MORNING_MS, finding_facts};

const MEMBER: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const GRID: &str = "530102001006001";

/// A phone that keeps an address.
struct Phone {
    device: Device,
    address: String,
    rng: StdRng,
    runtime: tokio::runtime::Runtime,
}

impl Phone {
    /// Enrols a new phone at `address` (which may carry a pin).
    fn enrolled(folder: &Folder, server: &ServerProcess, person: &str, address: &str) -> Self {
        let mut rng = StdRng::seed_from_u64(person.bytes().map(u64::from).sum());
        let home = home(&folder.0.join(person), MORNING_MS);
        let device = Device::open(&home, &mut rng).expect("opens");
        let mut phone = Self {
            device,
            address: address.to_owned(),
            rng,
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        };
        let (device, rng) = (&mut phone.device, &mut phone.rng);
        let enrolled = server.enrol_at(address, device, rng, person, at(0));
        phone.runtime.block_on(enrolled).expect("enrols");
        phone
    }

    fn report(&mut self, title: &str) {
        let facts = finding_facts(GRID, "E0403", title);
        let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
        let captured = self.device.capture(at(0), &mut self.rng, draft);
        captured.expect("captures");
    }

    /// Syncs so many milliseconds after nine in the morning.
    fn sync(&mut self, later_ms: i64) -> Result<SyncReport, TransportError> {
        let transport = Transport::new(&self.address).expect("an address");
        let synced = transport.sync(&mut self.device, || at(later_ms), |_| {});
        self.runtime.block_on(synced)
    }

    fn queued(&self) -> usize {
        self.device.store().counts().expect("counts").outbox as usize
    }

    /// A connection of another address of this machine.
    fn connect_from(&self, address: Ipv4Addr, listen: &str) -> TcpStream {
        let listen = listen.parse().expect("an address");
        let stream = self.runtime.block_on(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((address, 0)))?;
            socket.connect(listen).await?.into_std()
        });
        let stream = stream.expect("connects");
        stream.set_nonblocking(false).expect("blocks");
        stream
    }

    fn token(&self) -> String {
        let token = self.device.store().meta("token").expect("reads");
        token.expect("a token")
    }
}

fn at(later_ms: i64) -> Moment {
    Moment {
        wall_ms: MORNING_MS + later_ms,
        boot: BootId([1; 8]),
        mono_ms: 5_000 + later_ms.unsigned_abs(),
    }
}

/// A request as raw bytes, and all that comes back until the server closes.
fn raw(listen: &str, request: &[u8]) -> String {
    raw_on(TcpStream::connect(listen).expect("connects"), request)
}

/// The same on a connection.
fn raw_on(mut stream: TcpStream, request: &[u8]) -> String {
    // The server may have closed before everything is written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn over_the_days_limit_everything_stays_queued_and_goes_up_the_next_day() {
    // What could go wrong: an action lost, or a phone that also hears nothing
    // any more of what others did.
    let folder = Folder::new("daily");
    let setup = Setup::default().with("SHAODAO_LIMITS_ACTIONS_PER_DAY", 3);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let mut li = Phone::enrolled(&folder, &server, MEMBER, &server.address());
    let mut wang = Phone::enrolled(&folder, &server, SECRETARY, &server.address());
    for nth in 0..5 {
        li.report(&format!("第{nth}处积水"));
    }
    let report = li.sync(0).expect("syncs");
    assert_eq!((report.outcome.accepted, li.queued()), (3, 2));
    let put_off = report.put_off.expect("told to wait");
    assert_eq!(put_off.code, DAILY_LIMIT);
    assert_eq!(put_off.until_ms, MORNING_MS + 15 * HOUR_MS, "midnight");
    let told = Sentence::from(&put_off);
    assert!(told.zh.contains("2025-06-12 00:00"), "{}", told.zh);
    assert!(told.en.contains("2025-06-12 00:00"), "{}", told.en);

    // Others are heard all the same, without a word of the queue.
    wang.report("书记也看到了");
    wang.sync(0).expect("syncs");
    let report = li.sync(1_000).expect("fetches");
    assert_eq!((report.outcome.pulled, li.queued()), (1, 2));
    assert!(report.put_off.is_some());
    // What is known already does not count: the reply may have been lost.
    let again = li.device.put_off(at(2_000)).expect("reads");
    assert_eq!(again, report.put_off, "kept on the phone");

    let tomorrow = 15 * HOUR_MS + 1_000;
    let moved = server.set_clock(MORNING_MS + tomorrow);
    li.runtime.block_on(moved).expect("the clock moves");
    let report = li.sync(tomorrow).expect("syncs");
    assert_eq!((report.outcome.accepted, li.queued()), (2, 0));
    assert_eq!(report.put_off, None);
}

#[test]
fn new_records_of_a_day_have_a_limit_of_their_own() {
    let folder = Folder::new("records");
    let setup = Setup::default().with("SHAODAO_LIMITS_RECORDS_PER_DAY", 2);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let mut li = Phone::enrolled(&folder, &server, MEMBER, &server.address());
    for nth in 0..3 {
        li.report(&format!("第{nth}处积水"));
    }
    let report = li.sync(0).expect("syncs");
    assert_eq!((report.outcome.accepted, li.queued()), (2, 1));
    assert_eq!(report.put_off.expect("told to wait").code, DAILY_LIMIT);
}

#[test]
fn the_terminal_says_why_it_waits_and_until_when() {
    let folder = Folder::new("terminal-waits");
    let setup = Setup::default().with("SHAODAO_LIMITS_ACTIONS_PER_DAY", 1);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let phone = Terminal::new(&folder.0.join("terminal")).expect("the phone program");
    let run = |args: &[&str]| phone.run(args).expect("done");
    phone.enrol(&server, MEMBER).expect("enrols");
    for title in ["北门街燃气泄漏", "北门街电箱敞开"] {
        run(&["report", title, "--category", "E0403", "--grid", GRID]);
    }
    let synced = run(&["sync"]);
    assert_eq!(synced["accepted"], 1);
    let status = run(&["status"]);
    assert_eq!(status["outbox"], 1);
    for put_off in [&synced["put_off"], &status["put_off"]] {
        assert_eq!(put_off["code"], DAILY_LIMIT);
        let zh = put_off["zh"].as_str().expect("a sentence");
        assert!(
            zh.contains("今天的上传已达上限") && zh.contains("以后再传"),
            "{zh}"
        );
    }
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back_and_loses_nothing() {
    let folder = Folder::new("often");
    let setup = Setup::default()
        .with("SHAODAO_LIMITS_DEVICE_RATE", 1)
        .with("SHAODAO_LIMITS_DEVICE_BURST", 2);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let mut li = Phone::enrolled(&folder, &server, MEMBER, &server.address());
    // However slow this machine is, at some time two come within a second.
    let put_off = (0..1_000)
        .find_map(|_| match li.sync(0) {
            Ok(_) => None,
            Err(TransportError::ComeBack(put_off)) => Some(put_off),
            Err(error) => panic!("{error}"),
        })
        .expect("too often at some time");
    assert_eq!(put_off.code, "device_rate");
    assert_eq!(put_off.until_ms, MORNING_MS + 1_000);
    li.report("北门街燃气泄漏");
    // Until then the server is not asked; it need not even be there.
    drop(server);
    let again = li.sync(999);
    assert!(matches!(again, Err(TransportError::ComeBack(same)) if same == put_off));
    assert!(matches!(
        li.sync(1_000),
        Err(TransportError::Unreachable(_))
    ));
    assert_eq!(li.queued(), 1);
}

#[test]
fn an_address_that_floods_is_refused_with_retry_after() {
    let folder = Folder::new("flood");
    let setup = Setup::default()
        .with("SHAODAO_LIMITS_ADDRESS_RATE", 1)
        .with("SHAODAO_LIMITS_ADDRESS_BURST", 10);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let refused = (0..1_000)
        .map(|_| raw(server.listen(), request))
        .find(|answer| !answer.starts_with("HTTP/1.1 200"))
        .expect("refused at some time");
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert!(refused.contains("address_rate"), "{refused}");
}

#[test]
fn a_phone_talks_to_the_server_whose_key_it_pinned_and_to_no_other() {
    let folder = Folder::new("pin");
    let certificates = folder.0.join("certificates");
    std::fs::create_dir_all(&certificates).expect("a folder");
    let names = ["127.0.0.1".to_owned(), "station.local".to_owned()];
    let made = make_station_certificate(&certificates, &names, false).expect("a certificate");
    let log = folder.0.join("log");
    let setup = Setup {
        log: Some(log.clone()),
        ..Setup::default()
    }
    .with(
        "SHAODAO_TLS_CERTIFICATE",
        certificates.join(STATION_CERTIFICATE).display(),
    )
    .with("SHAODAO_TLS_KEY", certificates.join(STATION_KEY).display())
    .with("SHAODAO_LOG_LEVEL", "info");
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    assert!(server.address().starts_with("https://"));
    let address = format!("{}#pin={}", server.address(), made.pin);
    let mut li = Phone::enrolled(&folder, &server, MEMBER, &address);
    li.report("北门街燃气泄漏");
    assert_eq!(li.sync(0).expect("syncs").outcome.accepted, 1);

    // Without the pin nobody vouches for the certificate.
    li.report("北门街电箱敞开");
    li.address = server.address();
    assert!(matches!(li.sync(0), Err(TransportError::Unreachable(_))));
    // In the clear, the port does not answer as HTTP.
    li.address = server.address().replace("https", "http");
    assert!(li.sync(0).is_err());
    // A pin without TLS would be a promise that nobody keeps.
    let plain = format!("http://{}#pin={}", server.listen(), made.pin);
    assert!(matches!(
        Transport::new(&plain),
        Err(TransportError::Address(_))
    ));
    li.address = address;
    assert_eq!(li.sync(0).expect("syncs").outcome.accepted, 1);

    // A new certificate for the same key: no phone notices.
    let renewed = make_station_certificate(&certificates, &names[..1], false).expect("made");
    assert!(renewed.kept_key && renewed.pin == made.pin);
    server.signal("HUP").expect("a signal");
    wait_for(&log, "read again", 1);
    li.report("北门街井盖松动");
    assert_eq!(li.sync(0).expect("syncs").outcome.accepted, 1);

    // A broken file: the old certificate stays.
    let good = std::fs::read(&renewed.certificate).expect("reads");
    std::fs::write(&renewed.certificate, "not a certificate").expect("writes");
    server.signal("HUP").expect("a signal");
    wait_for(&log, "was not read again", 1);
    li.sync(0).expect("syncs");
    std::fs::write(&renewed.certificate, good).expect("writes");

    // Another key: the phone refuses to talk and says so.
    let other = make_station_certificate(&certificates, &names, true).expect("a certificate");
    assert!(!other.kept_key && other.pin != made.pin);
    server.signal("HUP").expect("a signal");
    wait_for(&log, "was read again", 2);
    li.report("北门街路灯不亮");
    let refused = li.sync(0).expect_err("not this one");
    assert!(matches!(refused, TransportError::WrongPin), "{refused}");
    let told = Sentence::from(&refused);
    assert_eq!(told.code, "wrong_pin");
    assert!(told.zh.contains("不是登记时的那台服务器"), "{}", told.zh);
    assert_eq!(li.queued(), 1, "nothing is lost by it");
}

/// Reads a log until a text stands in it so often. The process writes it while
/// this waits; a server that never does fails the test by its own time limit.
fn wait_for(log: &Path, text: &str, times: usize) {
    for _ in 0..2_000_000 {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        if said.matches(text).count() >= times {
            return;
        }
        std::thread::yield_now();
    }
    panic!("the log does not say `{text}`");
}

#[test]
fn the_command_makes_a_certificate_and_the_terminal_enrols_by_its_pin() {
    let folder = Folder::new("certificate");
    let data = folder.0.join("station");
    let output = Command::new(binary("shaodao-server").expect("the server program"))
        .arg("--data")
        .arg(&data)
        .args(["admin", "certificate", "--name", "127.0.0.1", "--json"])
        .output()
        .expect("runs");
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(text("key")).expect("is there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
    let setup = Setup::default()
        .with("SHAODAO_TLS_CERTIFICATE", text("certificate"))
        .with("SHAODAO_TLS_KEY", text("key"));
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let ticket = server
        .tickets(&[MEMBER.to_owned()])
        .expect("a ticket")
        .remove(0)
        .1;
    let phone = Terminal::new(&folder.0.join("terminal")).expect("the phone program");
    let right = format!("{}#pin={}", server.address(), text("pin"));
    let wrong = format!("{}#pin={}", server.address(), "0".repeat(64));
    let hand_in = ["enrol", "--no-wait", &wrong, &ticket];
    let refused = phone.run(&hand_in).expect_err("refused");
    assert_eq!(refused["error"]["code"], "wrong_pin");
    phone.enrol_at(&server, MEMBER, &right).expect("enrols");
    phone
        .run(&[
            "report",
            "北门街燃气泄漏",
            "--category",
            "E0403",
            "--grid",
            GRID,
        ])
        .expect("reports");
    assert_eq!(phone.run(&["sync"]).expect("syncs")["accepted"], 1);
}

#[test]
fn plain_http_beyond_loopback_has_to_be_asked_for() {
    let folder = Folder::new("plain");
    let data = folder.0.join("server");
    let output = Command::new(binary("shaodao-server").expect("the server program"))
        .arg("--data")
        .arg(&data)
        .args(["serve", "--listen", "0.0.0.0:0"])
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("allow_plain_http"),
        "{said}"
    );
    assert!(!data.exists(), "nothing was touched");
}

#[test]
fn slow_and_greedy_callers_lose_their_place() {
    // What could go wrong: a few sockets that say nothing keep everybody out.
    let folder = Folder::new("slow");
    let setup = Setup::default()
        .with("SHAODAO_LIMITS_HEADER_TIMEOUT_S", 1)
        .with("SHAODAO_LIMITS_BODY_TIMEOUT_S", 1)
        .with("SHAODAO_LIMITS_CONNECTIONS_PER_ADDRESS", 2);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let li = Phone::enrolled(&folder, &server, MEMBER, &server.address());
    let connect = || TcpStream::connect(server.listen()).expect("connects");
    let closed = |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        // Reset or ended: closed either way.
        let _ = stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    };
    // Half a head: closed when its time is over.
    let mut half_a_head = connect();
    half_a_head
        .write_all(b"POST /v1/sync HTTP/1.1\r\nhost: x\r\n")
        .expect("writes");
    assert!(!closed(&mut half_a_head).contains("200"));
    // A head and a byte now and then no more: told so.
    let head = format!(
        "POST /v1/sync HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 5000\r\n\r\n",
        li.token()
    );
    let mut half_a_body = connect();
    half_a_body.write_all(head.as_bytes()).expect("writes");
    half_a_body.write_all(b"\xa9\x00").expect("writes");
    let told = closed(&mut half_a_body);
    assert!(
        told.starts_with("HTTP/1.1 408") && told.contains("body_too_slow"),
        "{told}"
    );
    // Two silent ones take the places of their address; the third is sent away
    // without an answer, and once they are gone there is room again. Each time from
    // another address: nobody is just leaving a place of it. (On a busy machine the
    // time of the silent ones may be over before the third has come.)
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut silent = Vec::new();
    let mut addresses = (2..12).map(|host| Ipv4Addr::new(127, 0, 0, host));
    let full = addresses.find(|address| {
        let connect = || li.connect_from(*address, server.listen());
        silent = vec![connect(), connect()];
        raw_on(connect(), request).is_empty()
    });
    let full = full.expect("the third is sent away");
    drop(silent);
    let answered = (0..1_000_000).any(|_| {
        let again = li.connect_from(full, server.listen());
        raw_on(again, request).contains("200 OK")
    });
    assert!(answered);
}

#[test]
fn every_bomb_is_refused_over_http_and_leaves_no_trace() {
    let folder = Folder::new("zoo");
    let setup = Setup::default().with("SHAODAO_LIMITS_DEVICE_BURST", 1_000);
    let server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let li = Phone::enrolled(&folder, &server, MEMBER, &server.address());
    let token = li.token();
    let client = reqwest::Client::new();
    let post = |body: Vec<u8>, encoding: Option<&str>| {
        let url = format!("{}/v1/sync", server.address());
        let mut request = client.post(url).bearer_auth(&token).body(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        li.runtime.block_on(async {
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            (status, response.bytes().await.expect("a body"))
        })
    };
    let code_if_any = |body: &[u8]| {
        let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        said["code"].as_str().unwrap_or_default().to_owned()
    };
    let code = |body: &[u8]| {
        let code = code_if_any(body);
        assert!(!code.is_empty(), "{}", String::from_utf8_lossy(body));
        code
    };
    let ordinary = wire::to_bytes(&SyncRequest::default());
    assert_eq!(post(ordinary.clone(), None).0, 200);
    let before = server.resident_bytes().expect("memory");
    for bomb in bombs::zoo() {
        let wanted = bombs::refuse(&bomb.body).expect("refused");
        let (status, body) = post(bomb.body, None);
        // 4,096 are more than the 2,000 that this server takes at once.
        if code_if_any(&body) == "too_many_envelopes" {
            assert_eq!(status, 413, "{}", bomb.name);
        } else if wanted == "unreadable" {
            assert_eq!(status, 200, "{}", bomb.name);
            let reply: wire::SyncReply = wire::from_bytes(&body).expect("a reply");
            assert!(reply.verdicts.is_empty() && !reply.unreadable.is_empty());
        } else {
            assert!(matches!(status, 400 | 413), "{}: {status}", bomb.name);
            let body_too_large = code(&body) == "body_too_large";
            assert!(code(&body) == wanted || body_too_large, "{}", bomb.name);
        }
    }
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let (status, body) = post(ordinary.clone(), Some(encoding));
        assert_eq!((status, code(&body)), (415, "encoded_body".to_owned()));
    }
    let grown = server
        .resident_bytes()
        .expect("memory")
        .saturating_sub(before);
    assert!(grown < 16 << 20, "the server grew by {grown} bytes");
    let db = rusqlite::Connection::open(server.database()).expect("opens");
    let stored: i64 = db
        .query_row("SELECT COUNT(*) FROM envelope", [], |row| row.get(0))
        .expect("counts");
    assert_eq!(stored, 0);
}

#[test]
fn a_server_that_stops_sends_listeners_home_and_its_log_names_nobody() {
    // What could go wrong: a listener that never goes keeps the server up; a
    // name, a title or a secret stands in a log that everybody may read.
    let folder = Folder::new("log");
    let log = folder.0.join("log");
    let setup = Setup {
        log: Some(log.clone()),
        ..Setup::default()
    }
    .with("SHAODAO_LOG_LEVEL", "trace");
    let mut server = ServerProcess::start_with(&folder.0, MORNING_MS, setup).expect("a server");
    let mut rng = StdRng::seed_from_u64(7);
    let home = home(&folder.0.join("li"), MORNING_MS);
    let mut device = Device::open(&home, &mut rng).expect("opens");
    let ticket = server
        .tickets(&[MEMBER.to_owned()])
        .expect("a ticket")
        .remove(0)
        .1;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let transport = Transport::new(&server.address()).expect("an address");
    let handed_in = transport.hand_in(&mut device, &mut rng, &ticket, None);
    let pending = runtime.block_on(handed_in).expect("a good ticket");
    server
        .admin(&["confirm", &pending.check_code])
        .expect("confirmed");
    let opened = transport.open_session(&mut device, || at(0));
    runtime.block_on(opened).expect("a session");
    let token: String = device
        .store()
        .meta("token")
        .expect("reads")
        .expect("a token");
    let facts = finding_facts(GRID, "E0403", "北门街燃气泄漏");
    let draft = Draft::new(RecordKind::Finding, facts, Body::Report);
    device.capture(at(0), &mut rng, draft).expect("captures");
    let synced = transport.sync(&mut device, || at(0), |_| {});
    runtime.block_on(synced).expect("syncs");
    // Something goes wrong too: a used ticket, a wrong token, nonsense.
    let other = shaodao_tests::home::home(&folder.0.join("another"), MORNING_MS);
    let mut another = Device::open(&other, &mut rng).expect("opens");
    let used = transport.hand_in(&mut another, &mut rng, &ticket, None);
    assert!(runtime.block_on(used).is_err());
    let nonsense = transport.exchange(&token, vec![1, 2, 3]);
    assert!(runtime.block_on(nonsense).is_err());
    let stranger = transport.exchange("ANOTHERTOKEN", Vec::new());
    assert!(runtime.block_on(stranger).is_err());

    let mut listener = TcpStream::connect(server.listen()).expect("connects");
    let head = format!(
        "GET /v1/live HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        token
    );
    listener.write_all(head.as_bytes()).expect("writes");
    let mut first = [0; 12];
    listener.read_exact(&mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    server.signal("TERM").expect("a signal");
    assert!(server.wait().expect("ends"), "it ended well");
    let mut rest = String::new();
    let _ = listener.read_to_string(&mut rest);

    let said = std::fs::read_to_string(&log).expect("a log");
    assert!(said.contains("TRACE") && said.contains("stopped"), "{said}");
    let directory = device.directory().expect("enrolled");
    let name = directory.name_of(&MEMBER.into()).to_owned();
    for secret in [
        ("the ticket", ticket.as_str()),
        ("the token", token.as_str()),
        ("a stranger's token", "ANOTHERTOKEN"),
        ("a title", "燃气泄漏"),
        ("a name", name.as_str()),
        ("a person", MEMBER),
    ] {
        assert!(!said.contains(secret.1), "the log says {}", secret.0);
    }
}
