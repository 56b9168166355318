//! `make bench`: the whole workload on real parts, each figure beside a plain
//! baseline that runs on the same machine in the same run.
//!
//! The server is a process of its own, and so is the plain one; phones are the
//! real core with their own database files. Times are medians.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use shaodao_core::device::{Device, Draft};
use shaodao_core::domain::action::{Body, Facts, RecordKind, Value, fact};
use shaodao_core::domain::finding::FindingStage;
use shaodao_core::domain::ids::{BootId, RecordId};
use shaodao_core::domain::time::Moment;
use shaodao_core::store::read::FindingFilter;
use shaodao_core::sync::transport::{SyncReport, Transport};
use shaodao_tests::bombs;
use shaodao_tests::home::home;
use shaodao_tests::process::{ServerProcess, Setup};
use shaodao_tests::world::MORNING_MS;

mod evidence;
mod plain;

use plain::{AnyError, PageReply, PlainFinding};

const PHONES: usize = 50;
const FINDINGS_EACH: usize = 200;
const PUSHED: usize = 1_000;
const PAGE: usize = 1_000;

/// The whole workload, measured against a plain baseline.
#[derive(Debug, Parser)]
struct Args {
    /// Where phones and servers keep their data; emptied first.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
    /// Also write the figures as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only this part of the workload.
    #[arg(long, value_enum)]
    only: Option<Part>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// Parts of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A durable capture.
    Capture,
    /// Bytes on a phone's disk.
    Size,
    /// A thousand new findings.
    Push,
    /// Fifty phones at once, and the pull of what they found.
    Street,
    /// What it takes to refuse a bomb.
    Bombs,
    /// Photos and voice notes.
    Evidence,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The plain server, started by the benchmark itself.
    #[command(hide = true)]
    Plain {
        /// Its database.
        path: PathBuf,
    },
}

/// One line of the report.
struct Figure {
    what: &'static str,
    ours: f64,
    plain: Option<f64>,
    unit: &'static str,
    /// At most (or, for a rate, at least) so much: of the unit, or of the
    /// baseline where there is one.
    target: f64,
    at_least: bool,
}

impl Figure {
    fn met(&self) -> bool {
        let value = self.plain.map_or(self.ours, |plain| self.ours / plain);
        match self.at_least {
            true => value >= self.target,
            false => value <= self.target,
        }
    }

    fn line(&self) -> String {
        let verdict = if self.met() { "✓" } else { "✗ missed" };
        let sign = if self.at_least { "≥" } else { "≤" };
        let unit = self.unit;
        let against = match self.plain {
            Some(plain) => format!(
                "plain {plain:.2} {unit}, ratio {:.2} ({sign} {})",
                self.ours / plain,
                self.target
            ),
            None => format!("({sign} {} {unit})", self.target),
        };
        format!(
            "{:<44} {:>10.2} {unit:<10} {against} {verdict}",
            self.what, self.ours
        )
    }
}

/// A phone of the benchmark.
struct Phone {
    device: Device,
    grid: String,
    person: String,
}

struct Bench {
    data: PathBuf,
    rng: StdRng,
    tick: u64,
    runtime: tokio::runtime::Runtime,
    figures: Vec<Figure>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), AnyError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if let Some(Role::Plain { path }) = &args.role {
        return runtime.block_on(plain::serve(path));
    }
    let _ = std::fs::remove_dir_all(&args.data);
    std::fs::create_dir_all(&args.data)?;
    let mut bench = Bench {
        data: args.data.clone(),
        rng: StdRng::seed_from_u64(1),
        tick: 0,
        runtime,
        figures: Vec::new(),
    };
    for part in [
        Part::Capture,
        Part::Size,
        Part::Push,
        Part::Street,
        Part::Bombs,
        Part::Evidence,
    ] {
        if args.only.is_none_or(|only| only == part) {
            bench.part(part)?;
        }
    }
    println!();
    for figure in &bench.figures {
        println!("{}", figure.line());
    }
    if let Some(path) = &args.json {
        let figures: Vec<_> = bench
            .figures
            .iter()
            .map(|figure| {
                json!({
                    "what": figure.what, "value": figure.ours, "unit": figure.unit,
                    "plain": figure.plain, "target": figure.target, "met": figure.met(),
                })
            })
            .collect();
        std::fs::write(path, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}

impl Bench {
    fn part(&mut self, part: Part) -> Result<(), AnyError> {
        match part {
            Part::Capture => self.capture(),
            Part::Size => self.size(),
            Part::Push => self.push(),
            Part::Street => self.street(),
            Part::Bombs => self.bombs(),
            Part::Evidence => self.evidence(),
        }
    }

    /// A durable capture against a bare FULL insert of the same finding.
    fn capture(&mut self) -> Result<(), AnyError> {
        let server = self.server("capture")?;
        let mut phone = self.phone(&server, "P01006-01", "530102001006001")?;
        let db = plain::open(&self.data.join("capture-plain.db"))?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for nth in 0..600 {
            let draft = self.draft(&phone.grid, nth);
            let now = self.now();
            let mut captured = None;
            let took = timed(|| {
                captured = Some(phone.device.capture(now, &mut self.rng, draft));
                Ok(())
            })?;
            captured.ok_or("not captured")??;
            let finding = plain_finding(nth, &phone.grid);
            let plain = timed(|| plain::insert(&db, &finding, false))?;
            if nth >= 100 {
                ours.push(took * 1e3);
                bare.push(plain * 1e3);
            }
        }
        self.against("capture p50 (durable)", "ms", ours, bare, 3.0);
        Ok(())
    }

    /// The phone's database, five actions a finding.
    fn size(&mut self) -> Result<(), AnyError> {
        let server = self.server("size")?;
        let mut phone = self.phone(&server, "P01006-01", "530102001006001")?;
        for nth in 0..PUSHED {
            let draft = self.draft(&phone.grid, nth);
            let now = self.now();
            let record = phone.device.capture(now, &mut self.rng, draft)?.record;
            for step in 0..4 {
                let body = Body::Note {
                    text: format!("现场情况第{step}次说明:已设置警示标志。"),
                };
                let now = self.now();
                let draft = Draft::on(RecordKind::Finding, record, body);
                phone.device.capture(now, &mut self.rng, draft)?;
            }
        }
        self.sync(&mut phone, &server)?;
        let folder = self.folder("size", &phone.person);
        drop(phone);
        let path = folder.join(shaodao_core::device::DATABASE);
        // Closed: the journal is in the file.
        let bytes = std::fs::metadata(path)?.len() as f64 / PUSHED as f64;
        self.figures.push(Figure {
            what: "phone database, a finding of five actions",
            ours: bytes,
            plain: None,
            unit: "B",
            target: 4096.0,
            at_least: false,
        });
        Ok(())
    }

    /// 1,000 new findings, from the outbox to settled.
    fn push(&mut self) -> Result<(), AnyError> {
        let server = self.server("push")?;
        let plain_server = PlainServer::start(&self.data.join("push-plain-server.db"))?;
        let client = reqwest::Client::new();
        let (mut ours, mut theirs, mut bytes) = (Vec::new(), Vec::new(), 0.0);
        for round in 0..3 {
            let mut phone =
                self.phone(&server, &format!("P01006-0{}", round + 1), &grid(3, round))?;
            self.fill(&mut phone, PUSHED)?;
            let mut report = SyncReport::default();
            ours.push(timed(|| {
                report = self.sync(&mut phone, &server)?;
                Ok(())
            })?);
            if report.outcome.accepted != PUSHED {
                return Err(format!("{} of {PUSHED} accepted", report.outcome.accepted).into());
            }
            bytes = report.bytes_up as f64 / PUSHED as f64;

            let mut db = plain::open(&self.data.join(format!("push-plain-{round}.db")))?;
            let transaction = db.transaction()?;
            for nth in 0..PUSHED {
                plain::insert(
                    &transaction,
                    &plain_finding(round * PUSHED + nth, &phone.grid),
                    false,
                )?;
            }
            transaction.commit()?;
            theirs.push(timed(|| {
                let transaction = db.transaction()?;
                let batch = {
                    let mut statement =
                        transaction.prepare("SELECT json FROM finding WHERE sent = 0")?;
                    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
                    let rows: Vec<String> = rows.collect::<Result<_, _>>()?;
                    format!("[{}]", rows.join(","))
                };
                self.runtime.block_on(async {
                    client
                        .post(format!("{}/batch", plain_server.address))
                        .header("content-type", "application/json")
                        .body(batch)
                        .send()
                        .await?
                        .error_for_status()
                })?;
                transaction.execute("UPDATE finding SET sent = 1", [])?;
                Ok(transaction.commit()?)
            })?);
        }
        let ms = |seconds: Vec<f64>| seconds.into_iter().map(|it| it * 1e3).collect();
        self.against("push of 1,000 findings", "ms", ms(ours), ms(theirs), 5.0);
        self.at_most("push, on the wire, a finding", "B", bytes, 500.0);
        Ok(())
    }

    /// Every bomb of the zoo, refused as the server does it.
    fn bombs(&mut self) -> Result<(), AnyError> {
        let mut slowest = 0.0f64;
        for bomb in bombs::zoo() {
            let mut took = Vec::new();
            for _ in 0..21 {
                took.push(timed(|| {
                    bombs::refuse(&bomb.body)?;
                    Ok(())
                })?);
            }
            let ms = median(took) * 1e3;
            println!("{:<44} {ms:>10.3} ms", bomb.name);
            slowest = slowest.max(ms);
        }
        self.at_most("the slowest bomb, refused", "ms", slowest, 5.0);
        Ok(())
    }

    /// Fifty phones at once, and what a supervisor then has on theirs.
    fn street(&mut self) -> Result<(), AnyError> {
        let server = self.server("street")?;
        let mut phones = Vec::new();
        let bar = ProgressBar::new((PHONES * FINDINGS_EACH) as u64).with_message("patrolling");
        for nth in 0..PHONES {
            let (community, member) = (nth % 10, nth / 10);
            let person = format!("P{}-{}", COMMUNITIES[community], MEMBERS[member]);
            let mut phone = self.phone(&server, &person, &grid(community, member % 4))?;
            self.fill(&mut phone, FINDINGS_EACH)?;
            bar.inc(FINDINGS_EACH as u64);
            phones.push(phone);
        }
        bar.finish_and_clear();
        self.throughput(&server, &mut phones)?;

        let total = PHONES * FINDINGS_EACH;
        let (ours, theirs, mut supervisor) = self.pull(&server, total)?;
        self.against("pull of 10,000 into an empty phone", "s", ours, theirs, 6.0);

        let unchanged = self.sync(&mut supervisor, &server)?;
        let quiet = (unchanged.bytes_up + unchanged.bytes_down) as f64;
        self.at_most("nothing changed, bodies", "B", quiet, 400.0);
        self.at_most(
            "nothing changed, round trips",
            "",
            unchanged.requests.into(),
            1.0,
        );

        self.correct_ten(&mut phones[0])?;
        self.sync(&mut phones[0], &server)?;
        let changed = self.sync(&mut supervisor, &server)?;
        if changed.outcome.pulled != 10 {
            return Err(format!("{} of 10 changes arrived", changed.outcome.pulled).into());
        }
        let bytes = (changed.bytes_up + changed.bytes_down) as f64;
        self.at_most("10 changed of 10,000, bodies", "B", bytes, 12.0 * 1024.0);
        self.at_most("10 changed, round trips", "", changed.requests.into(), 1.0);
        self.screens(supervisor)
    }

    fn throughput(&mut self, server: &ServerProcess, phones: &mut [Phone]) -> Result<(), AnyError> {
        let transport = Transport::new(&server.address())?;
        let outgoing = phones
            .iter()
            .map(|phone| phone.device.prepare_sync())
            .collect::<Result<Vec<_>, _>>()?;
        let mut replies = Vec::new();
        let took = timed(|| {
            replies = self.runtime.block_on(async {
                let tasks: Vec<_> = outgoing
                    .iter()
                    .map(|outgoing| {
                        let transport = transport.clone();
                        let (token, body) = (outgoing.token.clone(), outgoing.body.clone());
                        tokio::spawn(async move { transport.exchange(&token, body).await })
                    })
                    .collect();
                let mut replies = Vec::new();
                for task in tasks {
                    replies.push(task.await??);
                }
                Ok::<_, AnyError>(replies)
            })?;
            Ok(())
        })?;
        let resident = server.resident_bytes()? as f64 / (1 << 20) as f64;
        let mut accepted = 0;
        for ((phone, outgoing), reply) in phones.iter_mut().zip(&outgoing).zip(&replies) {
            let now = self.now();
            accepted += phone.device.settle_sync(outgoing, now, reply)?.accepted;
        }
        if accepted != PHONES * FINDINGS_EACH {
            return Err(format!("{accepted} accepted").into());
        }
        self.figures.push(Figure {
            what: "server, 50 phones at once, judged and durable",
            ours: accepted as f64 / took,
            plain: None,
            unit: "actions/s",
            target: 3000.0,
            at_least: true,
        });
        self.at_most("server memory after that", "MiB", resident, 150.0);
        for phone in phones {
            self.sync(phone, server)?;
        }
        Ok(())
    }

    fn pull(
        &mut self,
        server: &ServerProcess,
        total: usize,
    ) -> Result<(Vec<f64>, Vec<f64>, Phone), AnyError> {
        let path = self.data.join("pull-plain-server.db");
        let mut db = plain::open(&path)?;
        let transaction = db.transaction()?;
        for nth in 0..total {
            plain::insert(&transaction, &plain_finding(nth, "530102001006001"), true)?;
        }
        transaction.commit()?;
        drop(db);
        let plain_server = PlainServer::start(&path)?;
        let client = reqwest::Client::new();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut supervisor = None;
        for (round, person) in ["S-01", "S-02", "S-03"].into_iter().enumerate() {
            let mut phone = self.phone(server, person, "530102001")?;
            let mut pulled = 0;
            ours.push(timed(|| {
                pulled = self.sync(&mut phone, server)?.outcome.pulled;
                Ok(())
            })?);
            if pulled != total {
                return Err(format!("{pulled} of {total} pulled").into());
            }
            supervisor = Some(phone);
            let mut db = plain::open(&self.data.join(format!("pull-plain-{round}.db")))?;
            db.pragma_update(None, "synchronous", "NORMAL")?;
            theirs.push(timed(|| {
                let mut after = 0;
                loop {
                    let url = format!("{}/page?after={after}&limit={PAGE}", plain_server.address);
                    let body = self.runtime.block_on(async {
                        client
                            .get(url)
                            .send()
                            .await?
                            .error_for_status()?
                            .bytes()
                            .await
                    })?;
                    let page: PageReply = serde_json::from_slice(&body)?;
                    let transaction = db.transaction()?;
                    for finding in &page.rows {
                        plain::insert(&transaction, finding, true)?;
                    }
                    transaction.commit()?;
                    after = page.last;
                    if page.rows.len() < PAGE {
                        return Ok(());
                    }
                }
            })?);
        }
        Ok((ours, theirs, supervisor.ok_or("nobody pulled")?))
    }

    fn correct_ten(&mut self, phone: &mut Phone) -> Result<(), AnyError> {
        let filter = FindingFilter {
            limit: 1_000,
            ..FindingFilter::default()
        };
        let mine: Vec<RecordId> = phone
            .device
            .store()
            .findings(&filter)?
            .iter()
            .filter(|row| row.reporter == phone.person)
            .take(10)
            .map(|row| row.record)
            .collect();
        for (nth, record) in mine.into_iter().enumerate() {
            let address = Value::Text(format!("北门街{nth}号"));
            let facts: Facts = [(fact::ADDRESS.to_owned(), address)].into();
            let draft = Draft::on(RecordKind::Finding, record, Body::Correct).with_facts(facts);
            let now = self.now();
            phone.device.capture(now, &mut self.rng, draft)?;
        }
        Ok(())
    }

    /// Cold open, newest 50, and search, over 10,000 findings.
    fn screens(&mut self, supervisor: Phone) -> Result<(), AnyError> {
        let folder = self.folder("street", &supervisor.person);
        drop(supervisor);
        let filter = FindingFilter {
            stage: Some(FindingStage::Reported),
            limit: 50,
            ..FindingFilter::default()
        };
        let (mut ours, mut theirs, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..21 {
            ours.push(
                timed(|| {
                    let device = Device::open(&home(&folder, MORNING_MS), &mut self.rng)?;
                    match device.store().findings(&filter)?.len() {
                        50 => Ok(()),
                        rows => Err(format!("{rows} rows").into()),
                    }
                })? * 1e3,
            );
            theirs.push(
                timed(|| {
                    let db = plain::open(&self.data.join("pull-plain-2.db"))?;
                    let mut statement = db.prepare(
                        "SELECT json FROM finding WHERE stage = 'reported'
                     ORDER BY reported_at_ms DESC LIMIT 50",
                    )?;
                    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
                    let mut shown = 0;
                    for row in rows {
                        let _: PlainFinding = serde_json::from_str(&row?)?;
                        shown += 1;
                    }
                    match shown {
                        50 => Ok(()),
                        rows => Err(format!("{rows} rows").into()),
                    }
                })? * 1e3,
            );
        }
        self.against("cold open of 10,000, newest 50", "ms", ours, theirs, 3.0);
        let device = Device::open(&home(&folder, MORNING_MS), &mut self.rng)?;
        for word in ["井盖", "路灯", "北门", "警示", "一七"].repeat(5) {
            found.push(
                timed(|| match device.store().search(word, 50)?.len() {
                    1.. => Ok(()),
                    _ => Err(format!("{word} is not found").into()),
                })? * 1e3,
            );
        }
        let found = median(found);
        self.at_most("search of two characters in 10,000", "ms", found, 20.0);
        Ok(())
    }

    // ---- parts ----

    fn server(&self, name: &str) -> Result<ServerProcess, AnyError> {
        let folder = self.data.join(name);
        std::fs::create_dir_all(&folder)?;
        // A month's work of a phone happens on one day here.
        let setup = Setup::default()
            .with("SHAODAO_LIMITS_ACTIONS_PER_DAY", 1_000_000)
            .with("SHAODAO_LIMITS_RECORDS_PER_DAY", 1_000_000)
            .with("SHAODAO_LIMITS_DEVICE_BURST", 1_000_000)
            .with("SHAODAO_LIMITS_ADDRESS_BURST", 1_000_000)
            .with("SHAODAO_EVIDENCE_BURST", 1_000_000);
        ServerProcess::start_with(&folder, MORNING_MS, setup)
    }

    fn folder(&self, scene: &str, person: &str) -> PathBuf {
        self.data.join(scene).join(person)
    }

    fn phone(
        &mut self,
        server: &ServerProcess,
        person: &str,
        grid: &str,
    ) -> Result<Phone, AnyError> {
        let folder = server.database();
        let scene = folder.parent().and_then(Path::parent).ok_or("no folder")?;
        let mut device = Device::open(&home(&scene.join(person), MORNING_MS), &mut self.rng)?;
        let now = self.now();
        let enrolled = server.enrol(&mut device, &mut self.rng, person, now);
        self.runtime.block_on(enrolled)?;
        Ok(Phone {
            device,
            grid: grid.to_owned(),
            person: person.to_owned(),
        })
    }

    fn sync(&self, phone: &mut Phone, server: &ServerProcess) -> Result<SyncReport, AnyError> {
        let transport = Transport::new(&server.address())?;
        let now = moment(self.tick);
        let synced = transport.sync(&mut phone.device, || now, |_| {});
        Ok(self.runtime.block_on(synced)?)
    }

    fn fill(&mut self, phone: &mut Phone, count: usize) -> Result<(), AnyError> {
        for nth in 0..count {
            let draft = self.draft(&phone.grid, nth);
            let now = self.now();
            phone.device.capture(now, &mut self.rng, draft)?;
        }
        Ok(())
    }

    fn draft(&self, grid: &str, nth: usize) -> Draft {
        let finding = plain_finding(nth, grid);
        let facts = [
            (fact::CATEGORY, finding.category),
            (fact::TITLE, finding.title),
            (fact::DESCRIPTION, finding.description),
            (fact::GRID, finding.grid),
            (fact::POSITION, finding.position),
        ];
        let facts = facts
            .into_iter()
            .map(|(name, text)| (name.to_owned(), Value::Text(text)))
            .collect();
        Draft::new(RecordKind::Finding, facts, Body::Report)
    }

    fn now(&mut self) -> Moment {
        self.tick += 1;
        moment(self.tick)
    }

    fn against(
        &mut self,
        what: &'static str,
        unit: &'static str,
        ours: Vec<f64>,
        plain: Vec<f64>,
        target: f64,
    ) {
        self.figures.push(Figure {
            what,
            ours: median(ours),
            plain: Some(median(plain)),
            unit,
            target,
            at_least: false,
        });
    }

    fn at_most(&mut self, what: &'static str, unit: &'static str, ours: f64, target: f64) {
        self.figures.push(Figure {
            what,
            ours,
            plain: None,
            unit,
            target,
            at_least: false,
        });
    }
}

/// The communities of the sample street and the members who report in them.
const COMMUNITIES: [&str; 10] = [
    "01001", "01002", "01003", "01006", "01007", "01008", "01009", "01010", "01011", "01013",
];
const MEMBERS: [&str; 5] = ["01", "02", "03", "04", "06"];

fn grid(community: usize, nth: usize) -> String {
    format!("5301020{}00{}", COMMUNITIES[community], nth + 1)
}

fn plain_finding(nth: usize, grid: &str) -> PlainFinding {
    const WHAT: [&str; 8] = [
        "井盖破损",
        "路灯不亮",
        "占道经营",
        "乱堆杂物",
        "护栏损坏",
        "污水外溢",
        "违章搭建",
        "树木倾斜",
    ];
    let what = WHAT[nth % WHAT.len()];
    let digits: String = nth
        .to_string()
        .bytes()
        .map(|digit| {
            ['〇', '一', '二', '三', '四', '五', '六', '七', '八', '九'][usize::from(digit - b'0')]
        })
        .collect();
    PlainFinding {
        id: format!("{grid}-{nth}"),
        category: "E0101".to_owned(),
        title: format!("北门街第{digits}号门前{what}"),
        description: format!("巡查发现{what},已设置警示标志,影响行人通行,请尽快派人到场处理。"),
        grid: grid.to_owned(),
        position: format!(
            "25.04{:05},102.70{:05},8.0,gps",
            nth % 100_000,
            (nth * 7) % 100_000
        ),
        stage: "reported".to_owned(),
        reporter: "P01006-01".to_owned(),
        reported_at_ms: MORNING_MS + nth as i64 * 1_000,
    }
}

fn moment(tick: u64) -> Moment {
    Moment {
        wall_ms: MORNING_MS + tick.cast_signed() * 1_000,
        boot: BootId([1; 8]),
        mono_ms: 60_000 + tick * 1_000,
    }
}

/// Seconds that something takes.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed(work: impl FnOnce() -> Result<(), AnyError>) -> Result<f64, AnyError> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The plain server as a process; killed when dropped.
struct PlainServer {
    child: Child,
    address: String,
}

impl PlainServer {
    fn start(path: &Path) -> Result<Self, AnyError> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("plain")
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .ok_or("not started")?;
        let address = format!("http://{address}");
        Ok(Self { child, address })
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
