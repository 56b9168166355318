//! Commands that look after the database: verify, rebuild, backup, restore,
//! resume.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use shaodao_server::clock::Clock;
use shaodao_server::config::Config;
use shaodao_server::db;
use shaodao_server::engine::{DATABASE, Engine, EngineError};
use shaodao_server::evidence::inspect::inspect;
use shaodao_server::evidence::retention;
use shaodao_server::evidence::settings::Settings;
use shaodao_server::restore;
use shaodao_server::verify::{Extent, Report};

use crate::AnyError;

/// Looks after the database.
#[derive(Debug, Subcommand)]
pub enum Upkeep {
    /// Find every row that was changed, removed, moved or inserted behind the
    /// server's back. Exit code 1 if there is one.
    ///
    /// Reads one snapshot; a running server goes on. Walks the chain of verdicts
    /// and acts to its signed end, opens every envelope and checks its signature,
    /// and makes the read model again to compare it.
    Verify {
        /// Read every piece of evidence too, and open it with its key.
        #[arg(long)]
        evidence: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look after photos and voice notes.
    Evidence {
        #[command(subcommand)]
        command: Evidence,
    },
    /// Make the read model again from the envelopes.
    Rebuild {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Copy the database to a file as of one moment; a running server goes on.
    ///
    /// The copy holds the server's key: keep it as safe as the database.
    Backup {
        /// The file to write; it must not exist.
        to: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put a backup in place of the database, which is moved aside. The server
    /// must not be running.
    ///
    /// Phones notice at their next contact and bring what is missing. Until they
    /// have had a chance (the policy says how many minutes after the start), or
    /// `shaodao-server resume`, nothing is numbered or escalated. Tickets,
    /// revocations and directory editions since the backup have to be repeated.
    Restore {
        /// The backup.
        from: PathBuf,
        /// Even if `verify` finds that the backup was altered.
        #[arg(long)]
        altered_too: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End the wait after a restore: everybody who matters has synced.
    Resume {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Looks after photos and voice notes.
#[derive(Debug, Subcommand)]
pub enum Evidence {
    /// Report what is older than the settings `evidence.keep_days_…` say, and
    /// erase it with --apply.
    ///
    /// Erasing destroys the keys: the pieces are gone everywhere, on every phone
    /// too, except in copies that were made before, such as backups.
    Retention {
        /// Erase it.
        #[arg(long)]
        apply: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
///
/// # Errors
/// What could not be done, for people.
pub fn run(command: &Upkeep, config: &Config) -> Result<ExitCode, AnyError> {
    let folder = config.data.as_path();
    match command {
        Upkeep::Verify { evidence, json } => {
            return verify(folder, evidence.then_some(&config.evidence), *json);
        }
        Upkeep::Evidence {
            command: Evidence::Retention { apply, json },
        } => {
            let mut engine = open(folder)?;
            let settings = &config.evidence;
            let report =
                engine.alone(|engine| engine.retain_evidence(settings, *apply, "administrator"))?;
            let text = retained(&report);
            tell(*json, serde_json::to_value(&report)?, &text);
        }
        Upkeep::Rebuild { json } => {
            let mut engine = open(folder)?;
            let records =
                engine.in_transaction(|engine| engine.in_savepoint(Engine::rebuild))??;
            let text = format!("{records} records made again from their envelopes");
            tell(*json, json!({ "records": records }), &text);
        }
        Upkeep::Backup { to, json } => {
            let position = restore::backup(folder, to, &clock(folder)?)?;
            let text = format!("{}: everything up to position {position}", to.display());
            tell(*json, json!({ "to": to, "position": position }), &text);
        }
        Upkeep::Restore {
            from,
            altered_too,
            json,
        } => {
            std::fs::create_dir_all(folder)?;
            let clock = clock(folder)?;
            let former = restore::restore(from, folder, &clock, *altered_too)?;
            let mut text = format!("restored from {}", from.display());
            if let Some(former) = &former {
                text.push_str(&format!(
                    "\nthe former database is kept as {}",
                    former.display()
                ));
            }
            tell(*json, json!({ "from": from, "former": former }), &text);
        }
        Upkeep::Resume { json } => {
            let mut engine = open(folder)?;
            let ended = engine
                .in_transaction(|engine| engine.in_savepoint(|it| it.resume("administrator")))??;
            let text = match ended {
                true => "the wait is over; the server does what has waited when it next looks",
                false => "nothing was waiting",
            };
            tell(*json, json!({ "ended": ended }), text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(folder: &Path, evidence: Option<&Settings>, json: bool) -> Result<ExitCode, AnyError> {
    let mut engine = open(folder)?;
    let shown = !json && std::io::stderr().is_terminal();
    let mut report = engine.verify(Extent::Everything, &mut |progress| {
        if shown {
            eprint!("\r{} {} / {} ", progress.part, progress.done, progress.of);
            let _ = std::io::stderr().flush();
        }
    })?;
    if let Some(settings) = evidence {
        inspect(settings, folder, &mut report)?;
    }
    if shown {
        eprint!("\r\x1b[K");
    }
    let code = match report.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    match json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", text(&report)),
    }
    Ok(code)
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{} positions, {} acts, {} envelopes, {} signatures, {} records\n",
        report.positions, report.acts, report.envelopes, report.signatures, report.records
    );
    if let Some(pieces) = report.evidence {
        text.push_str(&format!("{pieces} pieces of evidence\n"));
    }
    match report.bad.first() {
        None => text.push_str("everything is as it was written\n"),
        Some(first) => {
            let count = report.bad.len();
            text.push_str(&format!(
                "{count} rows do not fit; the first: {}\n",
                first.table
            ));
        }
    }
    for bad in &report.bad {
        text.push_str(&format!("  {} {}: {}\n", bad.table, bad.row, bad.problem));
    }
    text
}

/// What was found to be old, for people.
fn retained(report: &retention::Report) -> String {
    let mut text = String::new();
    for kind in &report.kinds {
        let keep = match kind.keep_days {
            0 => "kept as long as the record".to_owned(),
            days => format!("kept for {days} days"),
        };
        let (shows, pieces, bytes) = (kind.shows, kind.pieces, kind.bytes);
        text.push_str(&format!("{shows}: {keep}, {pieces} older, {bytes} bytes\n"));
    }
    for old in &report.pieces {
        let became = match (&old.reason, old.erased) {
            (Some(reason), _) => format!(" not erased: {reason}"),
            (None, true) => " erased".to_owned(),
            (None, false) => String::new(),
        };
        let (shows, piece, record, days) = (old.shows, &old.piece, &old.record, old.days);
        text.push_str(&format!(
            "  {shows} {piece} on {record}, {days} days{became}\n"
        ));
    }
    text.push_str(match report.applied {
        true => "their bytes are removed by the running server, or when it next starts",
        false => "nothing was erased; --apply does it",
    });
    text
}

fn open(folder: &Path) -> Result<Engine, AnyError> {
    if !folder.join(DATABASE).is_file() {
        return Err(format!("there is no database in {}", folder.display()).into());
    }
    Engine::open(folder, clock(folder)?, &[]).map_err(|error| match error {
        EngineError::Pack(error) => format!("the directory in the database: {error}").into(),
        error => error.into(),
    })
}

/// The time of the database: a rehearsal's stands still.
fn clock(folder: &Path) -> Result<Clock, AnyError> {
    let path = folder.join(DATABASE);
    if !path.is_file() {
        return Ok(Clock::system());
    }
    let rehearsed = db::meta::<i64>(&db::connect(&path)?, "rehearsal_now_ms").unwrap_or_default();
    Ok(rehearsed.map_or_else(Clock::system, Clock::rehearsal))
}

fn tell(as_json: bool, json: serde_json::Value, text: &str) {
    match as_json {
        true => println!("{json:#}"),
        false => println!("{text}"),
    }
}
