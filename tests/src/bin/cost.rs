//! `make bench`, second part: what signing, judging and encrypting cost, by the
//! same work with and without them.
//!
//! A grid member reports and notes, syncs, and a supervisor's new phone pulls all
//! of it. Phones and server are real and in one process, without sockets, so
//! that what differs between two runs is the part that was left out. Rounds are
//! interleaved, every variant once a round; times are medians. The parts can only
//! be left out in a build with the feature `planted`.

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Parser;

use shaodao_core::device::Draft;
use shaodao_core::domain::action::{Body, RecordKind};
use shaodao_core::planted::{Part, leave_out};
use shaodao_tests::world::{World, finding_facts};

const MEMBER: &str = "P01006-01";
const SUPERVISOR: &str = "S-01";
const GRID: &str = "530102001006001";

const VARIANTS: [(&str, &[Part]); 5] = [
    ("as it is", &[]),
    ("without signing", &[Part::Signing]),
    ("without judging", &[Part::Judging]),
    ("without encrypting", &[Part::Encrypting]),
    (
        "without all three",
        &[Part::Signing, Part::Judging, Part::Encrypting],
    ),
];

/// What signing, judging and encrypting cost.
#[derive(Debug, Parser)]
struct Args {
    /// Findings of a round; each gets a note as well.
    #[arg(long, default_value_t = 400)]
    findings: usize,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Also write the figures as JSON to this file.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

/// Milliseconds an action, step by step.
type Steps = [f64; 3];
const STEPS: [&str; 3] = ["capture", "push", "pull"];

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let mut times: BTreeMap<usize, Vec<Steps>> = BTreeMap::new();
    for round in 0..args.rounds {
        for (nth, (_, without)) in VARIANTS.iter().enumerate() {
            leave_out(without);
            let steps = work(round as u64, args.findings);
            times.entry(nth).or_default().push(steps);
        }
    }
    leave_out(&[]);
    let medians: Vec<Steps> = times.values().map(|rounds| median(rounds)).collect();
    let mut report = Vec::new();
    println!(
        "{:<20}{:>22}{:>22}{:>22}",
        "ms an action", STEPS[0], STEPS[1], STEPS[2]
    );
    for ((name, _), steps) in VARIANTS.iter().zip(&medians) {
        let cell = |at: usize| format!("{:.3} ({:.2})", steps[at], steps[at] / medians[0][at]);
        println!("{name:<20}{:>22}{:>22}{:>22}", cell(0), cell(1), cell(2));
        report.push(serde_json::json!({
            "variant": name,
            "capture_ms": steps[0],
            "push_ms": steps[1],
            "pull_ms": steps[2],
        }));
    }
    match args.json {
        Some(path) => std::fs::write(path, serde_json::to_string_pretty(&report)?),
        None => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn work(seed: u64, findings: usize) -> Steps {
    let mut world = World::new("cost", seed);
    world.phone(MEMBER);
    let mut reports = Vec::with_capacity(findings);
    let started = Instant::now();
    for nth in 0..findings {
        let draft = Draft::new(
            RecordKind::Finding,
            finding_facts(GRID, "E0102", &format!("第{nth}处井盖破损")),
            Body::Report,
        );
        reports.push(world.act(MEMBER, draft));
    }
    for record in &reports {
        let text = "已设置警示标志。".to_owned();
        let note = Draft::on(RecordKind::Finding, *record, Body::Note { text });
        world.act(MEMBER, note);
    }
    let captured = started.elapsed();
    let started = Instant::now();
    assert!(world.sync(MEMBER), "the push ends");
    let pushed = started.elapsed();
    world.phone(SUPERVISOR);
    let started = Instant::now();
    assert!(world.sync(SUPERVISOR), "the pull ends");
    let pulled = started.elapsed();
    let here = world.server_count("SELECT COUNT(*) FROM envelope WHERE standing = 1");
    assert!(here >= 2 * findings as i64, "all of it is accepted");
    world.let_go();
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e3 / (2 * findings) as f64;
    [each(captured), each(pushed), each(pulled)]
}

fn median(rounds: &[Steps]) -> Steps {
    let mut steps = [0.0; 3];
    for (at, step) in steps.iter_mut().enumerate() {
        let mut times: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
        times.sort_by(f64::total_cmp);
        *step = times[times.len() / 2];
    }
    steps
}
