//! `shaodao-server`: the command line of the sync server.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use shaodao_core::domain::calendar::local_text;
use shaodao_core::domain::ids::PersonId;
use shaodao_core::pack;
use shaodao_server::app::App;
use shaodao_server::clock::Clock;
use shaodao_server::config::{self, Config, Flags, LogFormat};
use shaodao_server::engine::{Engine, TICKET_MS};
use shaodao_server::http::router;

/// The sync server of Shaodao (哨到): merges, judges, escalates.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// Configuration file (TOML).
    #[arg(long, env = "SHAODAO_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Folder of the database [default: shaodao-data].
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve phones.
    Serve {
        /// Address to listen on [default: 127.0.0.1:8470].
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// Directory pack (JSON) for an empty database [default: the sample street].
        #[arg(long)]
        directory: Option<PathBuf>,
        /// How the log looks.
        #[arg(long, value_enum)]
        log_format: Option<Format>,
        /// Rehearse: time begins here (Unix milliseconds) and moves only when
        /// `POST /rehearsal/clock` says so. Loopback addresses only.
        #[arg(long)]
        rehearsal_ms: Option<i64>,
    },
    /// Administrate.
    #[command(subcommand)]
    Admin(Admin),
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Open enrolment tickets: ten characters, good for one phone and 15 minutes.
    ///
    /// Example: shaodao-server admin ticket --person P01006-01
    Ticket {
        /// Staff number; may be given several times.
        #[arg(long, required = true)]
        person: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The time of a rehearsal, Unix milliseconds.
        #[arg(long)]
        rehearsal_ms: Option<i64>,
    },
    /// What the server believes of its clock.
    #[command(subcommand)]
    Clock(ClockCommand),
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Say that the machine's clock is right: deadlines that were held fire.
    Confirm {
        /// The time of a rehearsal, Unix milliseconds.
        #[arg(long)]
        rehearsal_ms: Option<i64>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shaodao-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), AnyError> {
    let mut flags = Flags {
        data: args.data,
        ..Flags::default()
    };
    match args.command {
        Command::Serve {
            listen,
            directory,
            log_format,
            rehearsal_ms,
        } => {
            flags.listen = listen;
            flags.directory = directory;
            flags.log_format = log_format.map(|format| match format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            });
            let config = config::read(args.config.as_deref(), &flags)?;
            start_log(&config)?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(serve(config, rehearsal_ms))
        }
        Command::Admin(Admin::Ticket {
            person,
            json,
            rehearsal_ms,
        }) => {
            let config = config::read(args.config.as_deref(), &flags)?;
            tickets(&config, &person, json, rehearsal_ms)
        }
        Command::Admin(Admin::Clock(ClockCommand::Confirm { rehearsal_ms })) => {
            let config = config::read(args.config.as_deref(), &flags)?;
            confirm_clock(&config, rehearsal_ms)
        }
    }
}

async fn serve(config: Config, rehearsal_ms: Option<i64>) -> Result<(), AnyError> {
    if rehearsal_ms.is_some() && !config.listen.ip().is_loopback() {
        return Err("a rehearsal listens on a loopback address only".into());
    }
    let clock = rehearsal_ms.map_or_else(Clock::system, Clock::rehearsal);
    let directory = directory_json(&config)?;
    std::fs::create_dir_all(&config.data)
        .map_err(|error| format!("{}: {error}", config.data.display()))?;
    let (app, writer) = App::start(&config.data, clock.clone(), &directory)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    tracing::info!(
        listen = %listener.local_addr()?,
        data = %config.data.display(),
        street = %app.directory.street_name,
        "serving"
    );
    // Somebody who starts the server from a program reads the port here.
    println!("listening on {}", listener.local_addr()?);
    if matches!(clock, Clock::System(_)) {
        tokio::spawn(watch_deadlines(app.clone(), config.escalation_poll_s));
    }
    axum::serve(listener, router(app))
        .with_graceful_shutdown(stop_signal())
        .await?;
    // With the last handler gone the writer finishes what it has and ends; a
    // deadline watcher may still hold it, and the process ends all the same.
    tracing::info!("stopped");
    drop(writer);
    Ok(())
}

/// Fires what is due, again and again.
async fn watch_deadlines(app: Arc<App>, every_s: u64) {
    let mut ticks = tokio::time::interval(Duration::from_secs(every_s));
    loop {
        ticks.tick().await;
        if let Err(error) = app.watch_deadlines().await {
            tracing::error!(%error, "deadlines could not be looked at");
        }
    }
}

async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => drop(interrupt.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupt.await);
    tracing::info!("stopping: requests in hand are answered first");
}

fn tickets(
    config: &Config,
    people: &[String],
    json: bool,
    rehearsal_ms: Option<i64>,
) -> Result<(), AnyError> {
    std::fs::create_dir_all(&config.data)?;
    let clock = rehearsal_ms.map_or_else(Clock::system, Clock::rehearsal);
    let mut engine = Engine::open(&config.data, clock, &directory_json(config)?)?;
    let mut opened = Vec::new();
    for person in people {
        let person = PersonId(person.clone());
        opened.push((engine.open_ticket(&person)?, person));
    }
    if json {
        let list: Vec<_> = opened
            .iter()
            .map(|(ticket, person)| serde_json::json!({"person": person.0, "ticket": ticket}))
            .collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
        return Ok(());
    }
    let directory = engine.directory();
    for (ticket, person) in opened {
        println!("{ticket}  {person}  {}", directory.name_of(&person));
    }
    if std::io::stdout().is_terminal() {
        let minutes = TICKET_MS / 60_000;
        println!(
            "Valid for {minutes} minutes: shaodao enrol http://{} TICKET",
            config.listen
        );
    }
    Ok(())
}

fn confirm_clock(config: &Config, rehearsal_ms: Option<i64>) -> Result<(), AnyError> {
    let clock = rehearsal_ms.map_or_else(Clock::system, Clock::rehearsal);
    let mut engine = Engine::open(&config.data, clock, &directory_json(config)?)?;
    let now_ms = engine.in_transaction(|engine| {
        engine.in_savepoint(|engine| engine.confirm_clock("administrator"))
    })??;
    println!("The clock is right: {}.", local_text(now_ms));
    Ok(())
}

fn directory_json(config: &Config) -> Result<Vec<u8>, AnyError> {
    match &config.directory {
        None => Ok(pack::HUASHAN.to_vec()),
        Some(path) => read_directory(path),
    }
}

fn read_directory(path: &Path) -> Result<Vec<u8>, AnyError> {
    let json = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    pack::directory(&json)?;
    Ok(json)
}

fn start_log(config: &Config) -> Result<(), AnyError> {
    let filter = EnvFilter::try_new(&config.log_level)
        .map_err(|error| format!("configuration: log_level: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
