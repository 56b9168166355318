//! `make load`: five hundred phones at the station, and how cost grows with what
//! a server and a phone hold. Real parts: the server is a process, phones are the
//! real core with their own database files, all over loopback.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use shaodao_core::device::{Captured, Device, Draft};
use shaodao_core::domain::action::{Body, Facts, RecordKind, Value, fact};
use shaodao_core::domain::ids::BootId;
use shaodao_core::domain::time::Moment;
use shaodao_core::sync::transport::{SyncReport, Transport};
use shaodao_tests::home::home;
use shaodao_tests::process::{ServerProcess, Setup};
use shaodao_tests::world::MORNING_MS;

mod growth;
mod plot;
mod report;
mod station;

/// Whatever went wrong.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Load, and how cost grows.
#[derive(Debug, Parser)]
struct Args {
    /// Where phones and servers keep their data; emptied first and last.
    #[arg(long, default_value = "target/load-data")]
    data: PathBuf,
    /// Phones at the station.
    #[arg(long, default_value_t = 500)]
    phones: usize,
    /// Findings on the server, growing.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    server: Vec<usize>,
    /// Findings on the phone, growing.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    phone: Vec<usize>,
    /// Only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Folder for `growth.md` and `growth.svg`.
    #[arg(long)]
    docs: Option<PathBuf>,
    /// Also write the figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Everybody syncs at once.
    Station,
    /// What a server holds grows.
    Server,
    /// What a phone holds grows.
    Phone,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = run(&args);
    let _ = std::fs::remove_dir_all(&args.data);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), AnyError> {
    let wanted = |part| args.only.is_none_or(|only| only == part);
    let mut station = None;
    let mut tables = Vec::new();
    if wanted(Part::Station) {
        let measured = station::measure(&args.data.join("station"), args.phones)?;
        println!("{}", report::station(&measured));
        station = Some(measured);
    }
    if wanted(Part::Server) {
        let table = growth::server(&args.data.join("server"), &args.server)?;
        println!("{}", report::growth(&table));
        tables.push(table);
    }
    if wanted(Part::Phone) {
        let table = growth::phone(&args.data.join("phone"), &args.phone)?;
        println!("{}", report::growth(&table));
        tables.push(table);
    }
    if let Some(docs) = &args.docs {
        std::fs::create_dir_all(docs)?;
        plot::draw(&docs.join("growth.svg"), &tables)?;
        let page = report::page(station.as_ref(), &tables);
        std::fs::write(docs.join("growth.md"), page)?;
    }
    if let Some(path) = &args.json {
        let figures = json!({ "station": station, "growth": tables });
        std::fs::write(path, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}

// ---- a street under load ----

/// A server process and what its phones have in common.
pub struct Street {
    /// The server.
    pub server: ServerProcess,
    /// The one source of chance.
    pub rng: StdRng,
    runtime: tokio::runtime::Runtime,
    folder: PathBuf,
    ticks: u64,
}

/// A phone of a load.
pub struct Phone {
    /// The real core.
    pub device: Device,
    /// Whose it is.
    pub person: String,
    /// The grid that its owner walks.
    pub grid: String,
}

impl Street {
    /// An empty street; `directory` is a pack of its own.
    pub fn open(folder: &Path, directory: Option<&Path>) -> Result<Self, AnyError> {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
        // A month's work of a phone happens on one day here, and all phones
        // have one address.
        let mut setup = Setup::default()
            .with("SHAODAO_LIMITS_ACTIONS_PER_DAY", 1_000_000)
            .with("SHAODAO_LIMITS_RECORDS_PER_DAY", 1_000_000)
            .with("SHAODAO_LIMITS_DEVICE_BURST", 1_000_000)
            .with("SHAODAO_LIMITS_ADDRESS_BURST", 1_000_000)
            .with("SHAODAO_LIMITS_CONNECTIONS_PER_ADDRESS", 2_000);
        if let Some(directory) = directory {
            setup = setup.with("SHAODAO_DIRECTORY", directory.display());
        }
        Ok(Self {
            server: ServerProcess::start_with(folder, MORNING_MS, setup)?,
            rng: StdRng::seed_from_u64(1),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?,
            folder: folder.to_owned(),
            ticks: 0,
        })
    }

    /// Runs something on the network.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Time goes by.
    pub fn now(&mut self) -> Moment {
        self.ticks += 1;
        Moment {
            wall_ms: MORNING_MS + self.ticks.cast_signed() * 100,
            boot: BootId([1; 8]),
            mono_ms: 60_000 + self.ticks * 100,
        }
    }

    /// Where the phone called `name` lives.
    pub fn phone_folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Somebody's new phone, enrolled.
    pub fn phone(&mut self, name: &str, person: &str, grid: &str) -> Result<Phone, AnyError> {
        let folder = self.phone_folder(name);
        let mut device = Device::open(&home(&folder, MORNING_MS), &mut self.rng)?;
        let now = self.now();
        let enrolled = self.server.enrol(&mut device, &mut self.rng, person, now);
        self.runtime.block_on(enrolled)?;
        Ok(Phone {
            device,
            person: person.to_owned(),
            grid: grid.to_owned(),
        })
    }

    /// Somebody does something, offline.
    pub fn act(&mut self, phone: &mut Phone, draft: Draft) -> Result<Captured, AnyError> {
        let now = self.now();
        Ok(phone.device.capture(now, &mut self.rng, draft)?)
    }

    /// Somebody reports a finding, offline.
    pub fn report(&mut self, phone: &mut Phone, nth: usize) -> Result<Captured, AnyError> {
        let draft = finding(&phone.grid, nth);
        self.act(phone, draft)
    }

    /// Exchanges until nothing is left to say; everything is accepted.
    pub fn sync(&mut self, phone: &mut Phone) -> Result<SyncReport, AnyError> {
        let transport = Transport::new(&self.server.address())?;
        let now = self.now();
        let synced = transport.sync(&mut phone.device, || now, |_| {});
        let report = self.runtime.block_on(synced)?;
        match report.outcome.troubles.first() {
            None => Ok(report),
            Some(trouble) => Err(format!("not accepted: {trouble:?}").into()),
        }
    }
}

/// A finding that somebody is about to report.
fn finding(grid: &str, nth: usize) -> Draft {
    const WHAT: [&str; 4] = ["井盖破损", "路灯不亮", "占道经营", "污水外溢"];
    let what = WHAT[nth % WHAT.len()];
    let position = format!(
        "25.04{:05},102.70{:05},8.0,gps",
        nth % 100_000,
        (nth * 7) % 100_000
    );
    let facts: Facts = [
        (fact::CATEGORY, "E0101".to_owned()),
        (fact::TITLE, format!("北门街第{nth}号门前{what}")),
        (
            fact::DESCRIPTION,
            format!("巡查发现{what},影响行人通行,请尽快派人到场处理。"),
        ),
        (fact::GRID, grid.to_owned()),
        (fact::POSITION, position),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), Value::Text(text)))
    .collect();
    Draft::new(RecordKind::Finding, facts, Body::Report)
}

/// A result and the milliseconds that it took.
#[expect(clippy::disallowed_methods, reason = "a load test measures time")]
pub fn timed<T>(work: impl FnOnce() -> Result<T, AnyError>) -> Result<(T, f64), AnyError> {
    let started = Instant::now();
    let done = work()?;
    Ok((done, started.elapsed().as_secs_f64() * 1e3))
}

/// The value below which `part` of the values lie.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    sorted[((last as f64 * part).round() as usize).min(last)]
}
