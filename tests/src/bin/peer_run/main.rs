//! `make bench-peers`, the part in Rust: phones of this project and of the plain
//! baseline, each process speaking the line protocol that the peers' phones in
//! `tests/peers` speak too: a JSON object a line in, one out.
//!
//! A phone measures its own work; whoever drives it measures the wire.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod findings;
mod ours;
mod plain;

use findings::Finding;

/// Whatever went wrong.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// One contender of the benchmark against peers, started by its driver.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Writes the findings that every contender works with.
    Findings {
        /// How many.
        count: usize,
        /// To which file.
        file: PathBuf,
    },
    /// Phones of this project.
    Phones {
        /// The findings.
        file: PathBuf,
    },
    /// Phones of the plain baseline.
    PlainPhones {
        /// The findings.
        file: PathBuf,
    },
    /// The server of the plain baseline.
    PlainServer {
        /// Its database.
        database: PathBuf,
    },
}

/// What a phone is told to do; `phone` is its number in this process.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Step {
    Open {
        phone: usize,
        folder: PathBuf,
    },
    Close {
        phone: usize,
    },
    /// Makes the phone somebody's, in as many steps as that takes.
    Join {
        phone: usize,
        server: String,
        secret: Option<String>,
    },
    Capture {
        phone: usize,
        from: usize,
        count: usize,
        /// In this grid, instead of where the finding says.
        grid: Option<String>,
    },
    Sync {
        phone: usize,
        server: String,
    },
    /// All phones of this process at once, only sending.
    PushAll {
        server: String,
    },
    Count {
        phone: usize,
    },
    Edit {
        phone: usize,
        nth: usize,
        field: String,
        value: String,
    },
    Show {
        phone: usize,
        nth: usize,
        field: String,
    },
    Newest {
        phone: usize,
        limit: usize,
    },
}

/// A field of a finding as its reader meets it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// What the ordinary screen shows.
    pub value: String,
    /// Every value that can still be had, the shown one included.
    pub kept: Vec<String>,
    /// Whether the ordinary list says that people disagree.
    pub told: bool,
}

/// What every contender's phone can do.
pub trait Phone: Send + Sized {
    /// Opens the phone that lives in a folder, or makes a new one.
    fn open(folder: &Path) -> Result<Self, AnyError>;
    /// One step of becoming somebody's phone.
    fn join(&mut self, server: &str, secret: Option<&str>) -> Result<Value, AnyError>;
    /// Saves a finding.
    fn capture(&mut self, nth: usize, finding: &Finding) -> Result<(), AnyError>;
    /// Exchanges until nothing is left to say.
    fn sync(&mut self, server: &str) -> Result<(), AnyError>;
    /// Sends what is new here, and fetches no more than belongs to that.
    fn push(&mut self, server: &str) -> Result<(), AnyError>;
    /// Findings held.
    fn count(&self) -> Result<usize, AnyError>;
    /// Corrects one field of a finding.
    fn edit(&mut self, finding: &Finding, field: &str, value: &str) -> Result<(), AnyError>;
    /// One field of a finding.
    fn show(&self, finding: &Finding, field: &str) -> Result<Shown, AnyError>;
    /// Titles of the newest findings.
    fn newest(&self, limit: usize) -> Result<Vec<String>, AnyError>;
}

fn main() -> ExitCode {
    match run(&Args::parse().role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer_run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(role: &Role) -> Result<(), AnyError> {
    match role {
        Role::Findings { count, file } => {
            let all: Vec<Finding> = (0..*count).map(Finding::nth).collect();
            Ok(std::fs::write(file, serde_json::to_vec(&all)?)?)
        }
        Role::Phones { file } => obey::<ours::OurPhone>(file),
        Role::PlainPhones { file } => obey::<plain::PlainPhone>(file),
        Role::PlainServer { database } => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(plain::serve(database)),
    }
}

/// Does what standard input says until it ends.
fn obey<P: Phone>(file: &Path) -> Result<(), AnyError> {
    let findings: Vec<Finding> = serde_json::from_slice(&std::fs::read(file)?)?;
    let mut phones: Vec<Option<P>> = Vec::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let step: Step = serde_json::from_str(&line?)?;
        let said = perform(&mut phones, &findings, step)
            .unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(out, "{said}")?;
        out.flush()?;
    }
    Ok(())
}

fn perform<P: Phone>(
    phones: &mut Vec<Option<P>>,
    findings: &[Finding],
    step: Step,
) -> Result<Value, AnyError> {
    match step {
        Step::Open { phone, folder } => {
            if phones.len() <= phone {
                phones.resize_with(phone + 1, || None);
            }
            let (opened, ms) = timed(|| P::open(&folder))?;
            phones[phone] = Some(opened);
            Ok(json!({ "ms": ms }))
        }
        Step::Close { phone } => {
            phones[phone] = None;
            Ok(json!({}))
        }
        Step::Join {
            phone,
            server,
            secret,
        } => at(phones, phone)?.join(&server, secret.as_deref()),
        Step::Capture {
            phone,
            from,
            count,
            grid,
        } => {
            let phone = at(phones, phone)?;
            let mut each = Vec::new();
            for (nth, finding) in findings.iter().enumerate().skip(from).take(count) {
                let mut finding = finding.clone();
                finding.grid = grid.clone().unwrap_or(finding.grid);
                each.push(timed(|| phone.capture(nth, &finding))?.1);
            }
            Ok(json!({ "each_ms": each }))
        }
        Step::Sync { phone, server } => {
            let ((), ms) = timed(|| at(phones, phone)?.sync(&server))?;
            Ok(json!({ "ms": ms }))
        }
        Step::PushAll { server } => {
            let ((), ms) = timed(|| all_at_once(phones, &server))?;
            Ok(json!({ "ms": ms }))
        }
        Step::Count { phone } => Ok(json!({ "count": at(phones, phone)?.count()? })),
        Step::Edit {
            phone,
            nth,
            field,
            value,
        } => {
            at(phones, phone)?.edit(&findings[nth], &field, &value)?;
            Ok(json!({}))
        }
        Step::Show { phone, nth, field } => Ok(serde_json::to_value(
            at(phones, phone)?.show(&findings[nth], &field)?,
        )?),
        Step::Newest { phone, limit } => {
            let (titles, ms) = timed(|| at(phones, phone)?.newest(limit))?;
            Ok(json!({ "ms": ms, "titles": titles }))
        }
    }
}

fn at<P>(phones: &mut [Option<P>], phone: usize) -> Result<&mut P, AnyError> {
    let phone = phones.get_mut(phone).and_then(Option::as_mut);
    phone.ok_or_else(|| "no such phone is open".into())
}

fn all_at_once<P: Phone>(phones: &mut [Option<P>], server: &str) -> Result<(), AnyError> {
    std::thread::scope(|scope| {
        let running: Vec<_> = phones
            .iter_mut()
            .flatten()
            .map(|phone| scope.spawn(move || phone.push(server)))
            .collect();
        for thread in running {
            thread.join().map_err(|_| "a phone panicked")??;
        }
        Ok(())
    })
}

/// A result and the milliseconds that it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed<T>(work: impl FnOnce() -> Result<T, AnyError>) -> Result<(T, f64), AnyError> {
    let started = Instant::now();
    let done = work()?;
    Ok((done, started.elapsed().as_secs_f64() * 1e3))
}
