//! Twenty photos of one finding, a connection that is cut every 200 KB, and both
//! processes killed at random: all twenty arrive, and hardly a byte goes twice.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};

use shaodao_tests::cutting::Cutting;
use shaodao_tests::process::{ServerProcess, Setup, Terminal};
use shaodao_tests::world::MORNING_MS;

const MEMBER: &str = "P01006-01";
const SECRETARY: &str = "P01006-00";
const PHOTOS: usize = 20;
const CUT_EVERY: usize = 200_000;
const SEED: u64 = 20;
/// Killed so often, each of the two, spread over the bytes of the photos.
const KILLS: usize = 4;
/// Synchronisations between two kills, at most.
const MOST_ROUNDS: usize = 100;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Phone,
    Server,
}

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
    phones_killed: usize,
    servers_killed: usize,
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
            phones_killed: 0,
            servers_killed: 0,
        }
    }

    fn begin_sync(&self) -> Child {
        let mut command = self.phone.command(&["sync"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("runs")
    }

    /// Waits until so many bytes have gone up in all, or the phone has ended;
    /// whether they have.
    fn goes_on_until(&self, phone: &mut Child, bytes: u64) -> bool {
        let (tell, told) = channel();
        self.proxy.tell_at(bytes, tell.clone());
        // Its output ends when it does.
        let mut output = phone.stdout.take().expect("its output");
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut output, &mut std::io::sink());
            let _ = tell.send(());
        });
        told.recv().expect("either happens");
        self.proxy.bytes_up() >= bytes
    }

    /// Synchronises until so many bytes have gone up in all, however often that
    /// ends because nobody is there; then kills one of the two.
    fn kill_at(&mut self, bytes: u64, victim: Victim) {
        for _ in 0..MOST_ROUNDS {
            let mut phone = self.begin_sync();
            if !self.goes_on_until(&mut phone, bytes) {
                phone.wait().expect("ends");
                continue;
            }
            match victim {
                Victim::Phone => {
                    let _ = phone.kill();
                }
                Victim::Server => {
                    self.server.kill_and_restart(MORNING_MS).expect("restarts");
                }
            }
            let ended = phone.wait().expect("ends");
            match victim {
                Victim::Phone => self.phones_killed += usize::from(ended.signal() == Some(9)),
                Victim::Server => self.servers_killed += 1,
            }
            return;
        }
        panic!("never came to {bytes} bytes (seed {SEED})");
    }

    /// Synchronises until the server has confirmed all of them.
    fn finish(&self, record: &str) {
        for _ in 0..MOST_ROUNDS {
            let ended = self.begin_sync().wait_with_output().expect("ends");
            if !ended.status.success() {
                continue;
            }
            let status = self.phone.run(&["evidence", record]).expect("a list");
            if status.to_string().matches("\"at_server\"").count() >= PHOTOS {
                return;
            }
        }
        panic!("never done (seed {SEED})");
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

    let mut victims = [[Victim::Phone; KILLS], [Victim::Server; KILLS]].concat();
    victims.shuffle(&mut rng);
    // The last one some photos before the end.
    let step = sum * 9 / 10 / victims.len() as u64;
    for (nth, victim) in victims.into_iter().enumerate() {
        let at = before + nth as u64 * step + rng.random_range(0..step);
        show.kill_at(at, victim);
    }
    show.finish(&record);
    let sent = show.proxy.bytes_up() - before;
    let (cuts, phones, servers) = (show.proxy.cuts(), show.phones_killed, show.servers_killed);
    println!(
        "{PHOTOS} photos, {sum} bytes; {sent} sent, {:.3} ×; {cuts} cuts, {phones} phones and \
         {servers} servers killed",
        sent as f64 / sum as f64
    );
    assert!(phones >= 3 && servers >= 3, "{phones} + {servers}");
    // Some connections end before, by a kill.
    assert!(cuts >= sum * 9 / 10 / CUT_EVERY as u64, "{cuts} cuts");
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
