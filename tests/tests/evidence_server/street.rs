//! A server process, phones of the core, and their evidence.

use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use shaodao_core::device::Device;
use shaodao_core::device::Draft;
use shaodao_core::device::evidence::Shot;
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::domain::evidence::{Piece, Shows};
use shaodao_core::domain::ids::{BootId, RecordId, SealedId};
use shaodao_core::domain::time::Moment;
use shaodao_core::store::pieces::Form;
use shaodao_core::sync::evidence::PATH;
use shaodao_core::sync::transport::Transport;
use shaodao_tests::home::home;
use shaodao_tests::process::{ServerProcess, Setup};
use shaodao_tests::raw::{Answer, Caller};
use shaodao_tests::world::{MORNING_MS, finding_facts};

/// A grid member of one community.
pub const MEMBER: &str = "P01006-01";
/// The secretary of that community.
pub const SECRETARY: &str = "P01006-00";
/// A grid member of another community.
pub const STRANGER: &str = "P01001-01";
pub const GRID: &str = "530102001006001";
pub const OTHER_GRID: &str = "530102001001001";

pub struct Street {
    pub folder: PathBuf,
    pub server: ServerProcess,
    pub runtime: tokio::runtime::Runtime,
}

impl Street {
    pub fn new(name: &str, setup: Setup) -> Self {
        Self::in_folder(Self::folder(name), setup)
    }

    /// An empty folder for a street of this name.
    pub fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("shaodao-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    pub fn in_folder(folder: PathBuf, setup: Setup) -> Self {
        // How often somebody asks is another test's business.
        let setup = setup
            .with("SHAODAO_LIMITS_DEVICE_BURST", 100_000)
            .with("SHAODAO_EVIDENCE_BURST", 100_000);
        Self {
            server: ServerProcess::start_with(&folder, MORNING_MS, setup).expect("a server"),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
            folder,
        }
    }

    pub fn phone(&self, person: &str) -> Phone {
        let seed = person.bytes().map(u64::from).sum();
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = self.folder.join(person);
        let mut device = Device::open(&home(&folder, MORNING_MS), &mut rng).expect("opens");
        let enrolled = self.server.enrol(&mut device, &mut rng, person, now());
        self.runtime.block_on(enrolled).expect("enrols");
        Phone {
            device,
            rng,
            folder,
            listen: self.server.listen().to_owned(),
        }
    }

    pub fn sync(&self, phone: &mut Phone) {
        let transport = Transport::new(&self.server.address()).expect("an address");
        let synced = transport.sync(&mut phone.device, now, |_| {});
        self.runtime.block_on(synced).expect("syncs");
    }

    /// A finding of somebody with one voice note of so many bytes; the server
    /// knows of both, and has no byte of the note.
    pub fn announced(&self, phone: &mut Phone, size: usize) -> (RecordId, Piece, Vec<u8>) {
        let record = phone.report(GRID);
        let piece = phone.attach_voice(record, size);
        self.sync(phone);
        let sealed = phone.sealed(&piece);
        (record, piece, sealed)
    }

    /// The same, and the server has all of it.
    pub fn arrived(&self, phone: &mut Phone, size: usize) -> (RecordId, Piece, Vec<u8>) {
        let (record, piece, sealed) = self.announced(phone, size);
        let answer = phone.caller().patch(piece.sealed, 0, &sealed);
        assert_eq!(answer.status, 204, "{answer:?}");
        (record, piece, sealed)
    }

    pub fn objects(&self) -> PathBuf {
        self.folder.join("server/evidence")
    }

    pub fn object(&self, sealed: SealedId) -> PathBuf {
        let name = sealed.to_string();
        self.objects().join("pieces").join(&name[..2]).join(&name)
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        let _ = self.server.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub struct Phone {
    pub device: Device,
    pub rng: StdRng,
    folder: PathBuf,
    listen: String,
}

/// A phone whose app is closed.
pub struct Closed {
    rng: StdRng,
    folder: PathBuf,
    listen: String,
}

impl Closed {
    pub fn opened(mut self) -> Phone {
        let home = home(&self.folder, MORNING_MS);
        let device = Device::open(&home, &mut self.rng).expect("opens");
        Phone {
            device,
            rng: self.rng,
            folder: self.folder,
            listen: self.listen,
        }
    }
}

impl Phone {
    pub fn closed(self) -> Closed {
        Closed {
            rng: self.rng,
            folder: self.folder,
            listen: self.listen,
        }
    }

    pub fn report(&mut self, grid: &str) -> RecordId {
        let facts = finding_facts(grid, "E0403", "北门街燃气泄漏");
        self.act(Draft::new(RecordKind::Finding, facts, Body::Report))
    }

    pub fn act(&mut self, draft: Draft) -> RecordId {
        let captured = self.device.capture(now(), &mut self.rng, draft);
        captured.expect("captures").record
    }

    /// Attaches a voice note of noise.
    pub fn attach_voice(&mut self, record: RecordId, size: usize) -> Piece {
        let mut bytes = b"#!AMR\n".to_vec();
        bytes.resize(size.max(7), 0);
        self.rng.fill_bytes(&mut bytes[6..]);
        self.attach(record, Shows::Voice, &bytes)
    }

    pub fn attach(&mut self, record: RecordId, shows: Shows, bytes: &[u8]) -> Piece {
        let file = self.folder.join("taken");
        std::fs::write(&file, bytes).expect("writes");
        let shot = Shot {
            file,
            shows,
            position: None,
            taken_at_ms: None,
        };
        let attached = self.device.attach(now(), &mut self.rng, record, &[shot]);
        attached.expect("attaches");
        self.pieces(record).pop().expect("a piece")
    }

    pub fn pieces(&self, record: RecordId) -> Vec<Piece> {
        let view = self.device.show(record).expect("is here");
        view.state.evidence().iter().map(|it| it.piece).collect()
    }

    /// The ciphertext of a piece of its own.
    pub fn sealed(&self, piece: &Piece) -> Vec<u8> {
        let file = self.device.sealed_file(piece.sealed, Form::Original);
        std::fs::read(file).expect("the original is here")
    }

    /// How far a piece has come, by what this phone has heard: whether it has
    /// the key, whether all of it arrived, whether somebody has seen it.
    pub fn heard(&self, piece: &Piece) -> (bool, bool, bool) {
        let held = self.device.store().evidence(piece.sealed).expect("reads");
        held.map_or((false, false, false), |held| {
            (held.key.is_some(), held.arrived_at_ms.is_some(), held.seen)
        })
    }

    /// Requests by hand with this phone's session.
    pub fn caller(&self) -> Caller {
        let token = self.device.store().meta("token").expect("reads");
        Caller {
            listen: self.listen.clone(),
            token: token.expect("a token"),
        }
    }
}

pub const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
pub const STREAM: (&str, &str) = ("content-type", "application/offset+octet-stream");

pub fn path(sealed: SealedId) -> String {
    format!("{PATH}/{sealed}")
}

/// What is said of a piece by hand.
pub trait ByHand {
    fn patch(&self, sealed: SealedId, offset: u64, body: &[u8]) -> Answer;
    fn head(&self, sealed: SealedId) -> Answer;
    fn get(&self, sealed: SealedId, headers: &[(&str, &str)]) -> Answer;
    /// How many bytes the server has.
    fn offset(&self, sealed: SealedId) -> u64;
}

impl ByHand for Caller {
    fn patch(&self, sealed: SealedId, offset: u64, body: &[u8]) -> Answer {
        let offset = offset.to_string();
        let headers = [TUS, STREAM, ("upload-offset", &offset)];
        self.ask("PATCH", &path(sealed), &headers, body)
    }

    fn head(&self, sealed: SealedId) -> Answer {
        self.ask("HEAD", &path(sealed), &[TUS], &[])
    }

    fn get(&self, sealed: SealedId, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", &path(sealed), headers, &[])
    }

    fn offset(&self, sealed: SealedId) -> u64 {
        let answer = self.head(sealed);
        assert_eq!(answer.status, 200, "{answer:?}");
        let offset = answer.header("upload-offset").expect("an offset");
        offset.parse().expect("a number")
    }
}

pub fn now() -> Moment {
    at(0)
}

/// So many milliseconds after nine in the morning.
pub fn at(later_ms: i64) -> Moment {
    Moment {
        wall_ms: MORNING_MS + later_ms,
        boot: BootId([1; 8]),
        mono_ms: 5_000 + later_ms.unsigned_abs(),
    }
}
