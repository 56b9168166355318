//! The same with an S3-compatible store instead of a folder: a real server that
//! speaks S3, as its own process (`make setup` installs it).

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_tests::process::Setup;
use shaodao_tests::world::MORNING_MS;

use crate::street::{ByHand, MEMBER, SECRETARY, Street};

/// A server that speaks S3, on a folder; killed when dropped.
struct Bucket {
    child: Child,
    address: String,
    folder: PathBuf,
}

impl Bucket {
    fn start(folder: &Path) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = tests.join("../.tools/s3s-fs");
        assert!(
            program.is_file(),
            "{} is not there: make setup",
            program.display()
        );
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder.join("evidence")).expect("a bucket");
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let (host, port) = address.split_once(':').expect("host and port");
        let child = Command::new(program)
            .args(["--host", host, "--port", port])
            .args(["--access-key", "station", "--secret-key", "secret"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let bucket = Self {
            child,
            address,
            folder: folder.to_owned(),
        };
        for _ in 0..2_000_000 {
            if TcpStream::connect(&bucket.address).is_ok() {
                return bucket;
            }
            std::thread::yield_now();
        }
        panic!("it never listened on {}", bucket.address);
    }

    fn files(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).expect("a folder").flatten();
            entries
                .map(|entry| match entry.path() {
                    path if path.is_dir() => count(&path),
                    path if path.extension().is_none() => 1,
                    _ => 0,
                })
                .sum()
        }
        let pieces = self.folder.join("evidence/pieces");
        if pieces.is_dir() { count(&pieces) } else { 0 }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_bucket_takes_pieces_small_and_large_and_gives_back_every_range() {
    let folder = std::env::temp_dir().join(format!("shaodao-bucket-{}", std::process::id()));
    let bucket = Bucket::start(&folder);
    let setup = Setup::default()
        .with("SHAODAO_EVIDENCE_S3_BUCKET", "evidence")
        .with(
            "SHAODAO_EVIDENCE_S3_ENDPOINT",
            format!("http://{}", bucket.address),
        )
        .with("SHAODAO_EVIDENCE_S3_ACCESS_KEY", "station")
        .with("SHAODAO_EVIDENCE_S3_SECRET_KEY", "secret")
        .with("SHAODAO_EVIDENCE_S3_ALLOW_HTTP", true);
    let mut street = Street::new("bucket-server", setup);
    let mut li = street.phone(MEMBER);
    let mut wang = street.phone(SECRETARY);
    // The large one goes up in more than one part.
    let small = street.arrived(&mut li, 5_000);
    let (record, large, sealed) = street.announced(&mut li, 6_000_000);
    let caller = li.caller();
    let half = sealed.len() / 2;
    assert_eq!(caller.patch(large.sealed, 0, &sealed[..half]).status, 204);
    assert_eq!(bucket.files(), 1, "nothing of it before it is whole");
    street
        .server
        .kill_and_restart(MORNING_MS)
        .expect("restarts");
    assert_eq!(
        caller
            .patch(large.sealed, half as u64, &sealed[half..])
            .status,
        204
    );
    assert_eq!(bucket.files(), 2);
    assert!(!street.objects().exists(), "no folder beside the bucket");

    street.sync(&mut wang);
    let reader = wang.caller();
    for (piece, sealed) in [(small.1, &small.2), (large, &sealed)] {
        assert!(reader.get(piece.sealed, &[]).body == *sealed, "every byte");
        let range = ("range", "bytes=1000-3999");
        let part = reader.get(piece.sealed, &[range]);
        assert_eq!((part.status, &part.body[..]), (206, &sealed[1_000..4_000]));
    }
    let erase = Body::EraseEvidence {
        piece: large.id,
        reason: "不该拍的".to_owned(),
    };
    li.act(Draft::on(RecordKind::Finding, record, erase));
    street.sync(&mut li);
    let sweep = street.server.set_clock(MORNING_MS);
    street.runtime.block_on(sweep).expect("swept");
    assert_eq!(bucket.files(), 1);
    assert_eq!(reader.get(large.sealed, &[]).status, 410);
    // Without the store nothing is taken, and it is said that the server fails.
    drop(bucket);
    assert_eq!(reader.get(small.1.sealed, &[]).status, 500);
}
