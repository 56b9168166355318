//! Twenty photos of one finding, a connection that is cut every 200 KB, and both
//! processes killed at random: all twenty arrive, and hardly a byte goes twice.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use shaodao_tests::cutting::Cutting;
use shaodao_tests::process::{ServerProcess, Setup, Terminal};
use shaodao_tests::world::MORNING_MS;

const MEMBER: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const PHOTOS: usize = 20;
const CUT_EVERY: usize = 200_000;
const SEED: u64 = 20;
/// Killed so often, each of the two.
const KILLS: usize = 4;

/// A picture of its own, a megabyte and a half.
fn photo(rng: &mut StdRng) -> Vec<u8> {
    let mut noise = vec![0; 960 * 520 * 3];
    rng.fill_bytes(&mut noise);
    let picture = image::RgbImage::from_raw(960, 520, noise).expect("a picture");
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .expect("encodes");
    bytes.into_inner()
}

struct Show {
    folder: PathBuf,
    server: ServerProcess,
    proxy: Cutting,
    phone: Terminal,
}

impl Show {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("shaodao-show-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let setup = Setup::default()
            .with("SHAODAO_LIMITS_DEVICE_BURST", 100_000)
            .with("SHAODAO_EVIDENCE_BURST", 100_000)
            .with("SHAODAO_LIMITS_ADDRESS_BURST", 100_000);
        let server = ServerProcess::start_with(&folder, MORNING_MS, setup).expect("a server");
        let proxy = Cutting::before(server.listen(), CUT_EVERY).expect("a proxy");
        let phone = Terminal::new(&folder.join("phone")).expect("the phone program");
        let address = format!("http://{}", proxy.address);
        phone.enrol_at(&server, MEMBER, &address).expect("enrols");
        Self {
            folder,
            server,
            proxy,
            phone,
        }
    }

    fn begin_sync(&self) -> Child {
        let mut command = self.phone.command(&["sync"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("runs")
    }

    /// Waits until so many bytes have gone up, or the phone has ended.
    fn wait_for(&self, child: &mut Child, bytes: u64) -> bool {
        while self.proxy.bytes_up() < bytes {
            if child.try_wait().expect("asks").is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn twenty_photos_arrive_over_a_connection_that_breaks_whoever_is_killed() {
    println!("twenty photos: seed {SEED}");
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut show = Show::new();
    let reported = show.phone.run(&[
        "report",
        "北门街燃气泄漏",
        "--category",
        "E0403",
        "--grid",
        "530102001006001",
    ]);
    let record = reported.expect("reports")["record"]
        .as_str()
        .expect("a record")
        .to_owned();
    let mut sum = 0;
    let mut attach = vec!["attach".to_owned(), record.clone()];
    for nth in 0..PHOTOS {
        let bytes = photo(&mut rng);
        sum += bytes.len() as u64;
        let file = show.folder.join(format!("{nth}.png"));
        std::fs::write(&file, bytes).expect("writes");
        attach.push(file.display().to_string());
    }
    let attach: Vec<&str> = attach.iter().map(String::as_str).collect();
    show.phone.run(&attach).expect("attaches");
    let before = show.proxy.bytes_up();

    let (mut phones_killed, mut servers_killed) = (0, 0);
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 400, "never done (seed {SEED})");
        let mut child = show.begin_sync();
        let next = show.proxy.bytes_up() + rng.random_range(1..sum / 6);
        let kill_the_phone = rng.random_bool(0.5);
        match (
            kill_the_phone,
            phones_killed < KILLS,
            servers_killed < KILLS,
        ) {
            (true, true, _) => {
                if show.wait_for(&mut child, next) {
                    phones_killed += 1;
                    let _ = child.kill();
                }
            }
            (false, _, true) => {
                if show.wait_for(&mut child, next) {
                    servers_killed += 1;
                    show.server.kill_and_restart(MORNING_MS).expect("restarts");
                }
            }
            _ => {}
        }
        let ended = child.wait().expect("ends");
        let status = show.phone.run(&["evidence", &record]).expect("a list");
        let all_there = status.to_string().matches("\"at_server\"").count() >= PHOTOS;
        if ended.success() && all_there {
            break;
        }
    }
    let sent = show.proxy.bytes_up() - before;
    let cuts = show.proxy.cuts();
    println!(
        "{PHOTOS} photos, {sum} bytes; {sent} sent, {:.3} ×; {cuts} cuts, {phones_killed} + \
         {servers_killed} kills, {rounds} rounds",
        sent as f64 / sum as f64
    );
    assert!(phones_killed > 0 && servers_killed > 0 && cuts > 10);
    assert!(sent * 10 <= sum * 11, "{sent} of {sum} (seed {SEED})");

    // All twenty are what they were, on another phone.
    let secretary = Terminal::new(&show.folder.join("secretary")).expect("the phone program");
    secretary.enrol(&show.server, SECRETARY).expect("enrols");
    secretary.run(&["sync"]).expect("syncs");
    let (code, said) = show
        .server
        .upkeep(&["verify", "--evidence", "--json"])
        .expect("runs");
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (code, &report["evidence"]),
        (Some(0), &PHOTOS.into()),
        "{said}"
    );
}
