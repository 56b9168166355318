//! `make demo`: one day of the street on real parts, told as it happens.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use shaodao_tests::day::DayError;
use shaodao_tests::day::story::{Teller, live};

/// One day of 华山街道: a real server process, real phones, virtual time.
#[derive(Debug, Parser)]
struct Args {
    /// Also write the summary as JSON to this file.
    #[arg(long)]
    summary: Option<PathBuf>,
    /// Where phones and server keep their data; emptied first.
    #[arg(long, default_value = "target/demo-data")]
    data: PathBuf,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 20_250_611)]
    seed: u64,
    /// Tell nothing but the summary.
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("demo: something was lost or differs; see the summary");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool, DayError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long the rehearsal really took"
    )]
    let started = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    println!("seed {}", args.seed);
    let mut summary = runtime.block_on(live(&args.data, args.seed, &Teller::new(args.quiet)))?;
    summary.wall_s = started.elapsed().as_secs_f64();
    println!("\n{}", summary.text());
    if let Some(path) = &args.summary {
        std::fs::write(path, serde_json::to_string_pretty(&summary)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(summary.is_clean())
}
