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

use shaodao_core::pack;
use shaodao_server::admin;
use shaodao_server::app::App;
use shaodao_server::clock::Clock;
use shaodao_server::config::{self, Config, Flags, LogFormat};
use shaodao_server::engine::Engine;
use shaodao_server::evidence::Evidence;
use shaodao_server::http;
use shaodao_server::tls::Tls;

mod upkeep;

/// Between two looks at erased and unfinished evidence.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

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
    #[command(after_help = config::help())]
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
        /// Certificate chain (PEM); with --tls-key the server speaks TLS.
        #[arg(long)]
        tls_certificate: Option<PathBuf>,
        /// Private key of the certificate (PEM).
        #[arg(long)]
        tls_key: Option<PathBuf>,
        /// Listen without TLS although others can reach the address.
        #[arg(long)]
        allow_plain_http: bool,
        /// Rehearse: time begins here (Unix milliseconds) and moves only when
        /// `POST /rehearsal/clock` says so. Loopback addresses only.
        #[arg(long)]
        rehearsal_ms: Option<i64>,
    },
    /// Administrate: enrolment, devices, quarantine, directory.
    Admin(admin::Args),
    /// Look after the database.
    #[command(flatten)]
    Upkeep(upkeep::Upkeep),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shaodao-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode, AnyError> {
    let mut flags = Flags {
        data: args.data,
        ..Flags::default()
    };
    match args.command {
        Command::Serve {
            listen,
            directory,
            log_format,
            tls_certificate,
            tls_key,
            allow_plain_http,
            rehearsal_ms,
        } => {
            flags.listen = listen;
            flags.tls_certificate = tls_certificate;
            flags.tls_key = tls_key;
            flags.allow_plain_http = allow_plain_http.then_some(true);
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
            runtime.block_on(serve(config, rehearsal_ms))?;
        }
        Command::Admin(args_of_admin) => {
            let config = config::read(args.config.as_deref(), &flags)?;
            let directory = directory_json(&config)?;
            admin::run(args_of_admin, &config, &directory)?;
        }
        Command::Upkeep(command) => {
            let config = config::read(args.config.as_deref(), &flags)?;
            return upkeep::run(&command, &config);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, rehearsal_ms: Option<i64>) -> Result<(), AnyError> {
    if rehearsal_ms.is_some() && !config.listen.ip().is_loopback() {
        return Err("a rehearsal listens on a loopback address only".into());
    }
    config.check_privacy()?;
    let tls = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::open(certificate, key)?),
        _ => None,
    };
    let acceptor = tls.as_ref().map(Tls::acceptor).transpose()?;
    let clock = rehearsal_ms.map_or_else(Clock::system, Clock::rehearsal);
    let directory = directory_json(&config)?;
    std::fs::create_dir_all(&config.data)
        .map_err(|error| format!("{}: {error}", config.data.display()))?;
    let idle = Duration::from_secs(config.limits.body_timeout_s);
    let evidence = Evidence::open(config.evidence.clone(), &config.data, idle)?;
    let engine = Engine::open(&config.data, clock.clone(), &directory)?;
    let (app, writer) = App::start_with(&config.data, engine, evidence)?;
    // Administrators' commands live in the rehearsal's time as well, and in the
    // machine's once a rehearsal is over.
    let rehearsed = rehearsal_ms.map(|_| clock.now_ms());
    let note = move |engine: &mut Engine| match rehearsed {
        Some(now_ms) => engine.note_rehearsal(now_ms),
        None => engine.end_rehearsal(),
    };
    app.writer.submit(note).await?;
    app.look_at_clock().await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    tracing::info!(
        listen = %listener.local_addr()?,
        data = %config.data.display(),
        street = %app.directory()?.street_name,
        tls = tls.is_some(),
        "serving"
    );
    if tls.is_none() && !config.listen.ip().is_loopback() {
        tracing::warn!("without TLS others can read along; something in front must speak it");
    }
    if let Some(tls) = tls {
        tracing::info!(pin = %tls.pin()?, "the certificate's pin");
        tokio::spawn(watch_certificate(tls));
    }
    // Somebody who starts the server from a program reads the port here.
    println!("listening on {}", listener.local_addr()?);
    if matches!(clock, Clock::System(_)) {
        tokio::spawn(watch_deadlines(app.clone(), config.escalation_poll_s));
        tokio::spawn(sweep_evidence(app.clone()));
    }
    let router = http::limited_router(app.clone(), config.limits.clone());
    http::serve(listener, acceptor, router, &config.limits, async {
        stop_signal().await;
        app.live.stop();
        app.evidence.stop();
    })
    .await;
    // With the last handler gone the writer finishes what it has and ends; a
    // deadline watcher may still hold it, and the process ends all the same.
    tracing::info!("stopped");
    drop(writer);
    Ok(())
}

/// Reads the certificate again whenever the process gets SIGHUP.
async fn watch_certificate(tls: Arc<Tls>) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return;
        };
        while hangup.recv().await.is_some() {
            match tls.reload() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => {
                    tracing::error!(%error, "the certificate was not read again, the old one stays");
                }
            }
        }
    }
    #[cfg(not(unix))]
    drop(tls);
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

/// Tidies evidence up, again and again.
async fn sweep_evidence(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = app.evidence.sweep(&app).await {
            tracing::error!(%error, "evidence could not be tidied up");
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
