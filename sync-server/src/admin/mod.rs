//! `shaodao-server admin`: what administrators do, as a second process on the
//! live database.
//!
//! 1. Every command opens an engine of its own; the running server notices what
//!    was committed before its next transaction.
//! 2. What changes something happens in one transaction with its audit row.
//! 3. What it says is text for people, or JSON with `--json`; an error is one
//!    sentence on the error output, and nothing was changed.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};

use shaodao_core::domain::directory::DeviceState;
use shaodao_core::domain::ids::PersonId;
use shaodao_core::sync::enrol::{Fingerprint, Invitation};

use crate::clock::Clock;
use crate::config::Config;
use crate::db;
use crate::directory;
use crate::engine::{Engine, EngineError};
use crate::tls;

mod import;
//
mod table;
//
mod print;

use import::Import;
use print::Said;

/// What went wrong, for whoever typed the command.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What every administrator's command takes.
#[derive(Debug, Group)]
pub struct Args {
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Who is doing this, for the audit [default: the name of the system's user].
    #[arg(long = "as", global = true, value_name = "NAME")]
    who: Option<String>,
    /// The time of a rehearsal, Unix milliseconds.
    #[arg(long, global = true, hide = true)]
    rehearsal_ms: Option<i64>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open enrolment tickets: each good for one phone and 15 minutes.
    ///
    /// Prints ten characters to type on the phone and, on a terminal, a QR code
    /// to scan. Example: shaodao-server admin ticket --person P01006-01
    Ticket {
        /// Staff number; may be given several times.
        #[arg(long, required = true)]
        person: Vec<String>,
        /// Address of this server as phones reach it [default: http:// and the address it
        /// listens on].
        #[arg(long)]
        server: Option<String>,
        /// Pin of the server's certificate, 64 hexadecimal digits, as `admin certificate` prints
        /// it.
        #[arg(long)]
        pin: Option<String>,
        /// Print QR codes although the output is not a terminal.
        #[arg(long)]
        qr: bool,
    },
    /// List phones that wait to be confirmed, with their check codes.
    Pending,
    /// Confirm a phone whose check code you have compared.
    ///
    /// Type the six digits that the phone shows: if no phone here has them, somebody stands
    /// between it and this server.
    Confirm {
        /// The six digits, or the beginning of the device's id.
        which: String,
    },
    /// Turn a phone away that waits to be confirmed.
    Decline {
        /// The six digits, or the beginning of the device's id.
        which: String,
    },
    /// List devices: whose, state, last sync, backlog, app build, gaps, signs of cloning.
    Devices {
        /// Only those of this person.
        #[arg(long)]
        person: Option<String>,
    },
    /// Suspend a device: what it sends is quarantined, and it receives nothing.
    Suspend {
        /// The beginning of the device's id, at least 4 characters.
        device: String,
    },
    /// Let a suspended device take part again.
    Resume {
        /// The beginning of the device's id, at least 4 characters.
        device: String,
    },
    /// Revoke a device for ever, for example a lost phone.
    Revoke {
        /// The beginning of the device's id, at least 4 characters.
        device: String,
    },
    /// What the server believes of its clock.
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Look at what was set aside; release it or send it back.
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Make a new edition of the directory from files.
    #[command(subcommand)]
    Import(Import),
    /// Print the directory in force as a pack (JSON).
    Export {
        /// What to print.
        #[arg(value_enum)]
        what: Exported,
    },
    /// Editions of the directory: list them, or go back to one.
    #[command(subcommand)]
    Directory(Editions),
    /// Give the server a new signing key; phones follow by themselves.
    RotateKey,
    /// Make a station's self-signed certificate in the data folder and print its
    /// pin. An earlier key is kept, and with it the pin.
    ///
    /// Example: shaodao-server admin certificate --name 192.168.1.10
    Certificate {
        /// Host name or address that phones use; may be given several times.
        #[arg(long, required = true)]
        name: Vec<String>,
        /// Make a new key too: every phone that pinned the old one must enrol
        /// again.
        #[arg(long)]
        new_key: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Quarantine {
    /// List what is in quarantine, oldest first.
    List,
    /// Show one of them whole.
    Show {
        /// The beginning of its hash, at least 4 characters.
        hash: String,
    },
    /// Judge one again; the state of its device does not count any more.
    Release {
        /// The beginning of its hash, at least 4 characters.
        hash: String,
    },
    /// Send one back to its author.
    Return {
        /// The beginning of its hash, at least 4 characters.
        hash: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Exported {
    /// The whole directory.
    Directory,
}

#[derive(Debug, Subcommand)]
enum Editions {
    /// List editions, newest first.
    List,
    /// Make an older edition the newest one again.
    Revert {
        /// Its number.
        version: u64,
        /// Say what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Does one command and prints what came of it.
///
/// # Errors
/// What went wrong, in one sentence; nothing was changed.
pub fn run(args: Args, config: &Config, directory_json: &[u8]) -> Result<(), AnyError> {
    std::fs::create_dir_all(&config.data)
        .map_err(|error| format!("{}: {error}", config.data.display()))?;
    let mut engine = open(&args, config, directory_json)?;
    let who = args.who.unwrap_or_else(system_user);
    let said = dispatch(args.command, &mut engine, &who, config)?;
    print!("{}", said.text(args.json)?);
    Ok(())
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Say that the machine's clock is right: deadlines that were held fire.
    Confirm,
}

/// Opens the database; where a rehearsal runs on it, in the rehearsal's time.
fn open(args: &Args, config: &Config, directory_json: &[u8]) -> Result<Engine, AnyError> {
    let clock = args
        .rehearsal_ms
        .map_or_else(Clock::system, Clock::rehearsal);
    let engine = Engine::open(&config.data, clock, directory_json)?;
    let rehearsed = db::meta::<i64>(&engine.db, "rehearsal_now_ms")?;
    match (args.rehearsal_ms, rehearsed) {
        (None, Some(now_ms)) => {
            drop(engine);
            let clock = Clock::rehearsal(now_ms);
            Ok(Engine::open(&config.data, clock, directory_json)?)
        }
        _ => Ok(engine),
    }
}

fn dispatch(
    command: Command,
    engine: &mut Engine,
    who: &str,
    config: &Config,
) -> Result<Said, AnyError> {
    Ok(match command {
        Command::Ticket {
            person,
            server,
            pin,
            qr,
        } => {
            let server = server.unwrap_or_else(|| format!("http://{}", config.listen));
            tickets(engine, who, &person, &server, pin.as_deref(), qr)?
        }
        Command::Pending => print::candidates(&engine.candidates()?, &engine.directory()),
        Command::Confirm { which } => {
            let candidate = engine.alone(|engine| engine.confirm(&which, who))?;
            print::concluded("confirmed", &candidate, &engine.directory())
        }
        Command::Decline { which } => {
            let candidate = engine.alone(|engine| engine.decline(&which, who))?;
            print::concluded("declined", &candidate, &engine.directory())
        }
        Command::Devices { person } => {
            let mut devices = engine.devices()?;
            devices.retain(|line| {
                person
                    .as_ref()
                    .is_none_or(|person| line.person.0 == *person)
            });
            print::devices(&devices, &engine.directory())
        }
        Command::Suspend { device } => set_state(engine, &device, DeviceState::Suspended, who)?,
        Command::Resume { device } => set_state(engine, &device, DeviceState::Active, who)?,
        Command::Revoke { device } => set_state(engine, &device, DeviceState::Revoked, who)?,
        Command::Quarantine(Quarantine::List) => {
            print::quarantine(&crate::quarantine::list(&engine.db)?, &engine.directory())
        }
        Command::Quarantine(Quarantine::Show { hash }) => {
            print::set_aside(&engine.quarantined(&hash)?, &engine.directory())
        }
        Command::Quarantine(Quarantine::Release { hash }) => {
            print::judged(&engine.alone(|engine| engine.release(&hash, who))?)
        }
        Command::Quarantine(Quarantine::Return { hash }) => {
            print::judged(&engine.alone(|engine| engine.send_back(&hash, who))?)
        }
        Command::Import(import) => {
            let dry_run = import.dry_run();
            let what = import.what();
            let before = engine.pack()?;
            let after = import.apply(&before)?;
            publish(engine, who, &what, &before, &after, dry_run)?
        }
        Command::Export {
            what: Exported::Directory,
        } => {
            let pack = engine.pack()?;
            print::pack(&pack)?
        }
        Command::Directory(Editions::List) => print::editions(&directory::editions(&engine.db)?),
        Command::Directory(Editions::Revert { version, dry_run }) => {
            let before = engine.pack()?;
            let older = directory::pack_of(&engine.db, version)?;
            let after = import::revert(&before, &older)?;
            let what = format!("back to edition {version}");
            publish(engine, who, &what, &before, &after, dry_run)?
        }
        Command::Clock(ClockCommand::Confirm) => {
            let now_ms = engine.alone(|engine| engine.confirm_clock(who))?;
            print::clock(now_ms)
        }
        Command::RotateKey => {
            engine.alone(|engine| engine.rotate_key(who))?;
            let fingerprint = Fingerprint::of(&engine.public_key());
            print::rotated(&fingerprint, engine.directory().version)
        }
        Command::Certificate { name, new_key } => {
            let made = tls::make_station_certificate(&config.data, &name, new_key)?;
            engine.alone(|engine| {
                let now_ms = engine.clock.now_ms();
                let pin = made.pin.to_string();
                Ok(db::audit(&engine.db, now_ms, "certificate", who, &pin)?)
            })?;
            print::certificate(&made, &name[0], config.listen.port())
        }
    })
}

fn set_state(
    engine: &mut Engine,
    device: &str,
    state: DeviceState,
    who: &str,
) -> Result<Said, EngineError> {
    let line = engine.alone(|engine| engine.set_device_state(device, state, who))?;
    Ok(print::devices(&[line], &engine.directory()))
}

fn tickets(
    engine: &mut Engine,
    who: &str,
    people: &[String],
    server: &str,
    pin: Option<&str>,
    qr: bool,
) -> Result<Said, AnyError> {
    let fingerprint = Fingerprint::of(&engine.public_key());
    let pin = match pin {
        Some(pin) => Some(print::unhex(pin).ok_or("--pin takes 64 hexadecimal digits")?),
        None => None,
    };
    // All or none: a wrong number in a list leaves no tickets behind.
    let opened = engine.alone(|engine| {
        let mut opened = Vec::new();
        for person in people {
            let person = PersonId(person.clone());
            opened.push((engine.open_ticket(&person, who)?, person));
        }
        Ok(opened)
    })?;
    let opened: Vec<_> = opened
        .into_iter()
        .map(|(ticket, person)| {
            let invitation = Invitation {
                server: server.to_owned(),
                ticket: ticket.scanned,
                fingerprint,
                pin,
            };
            (person, ticket.typed, invitation)
        })
        .collect();
    print::tickets(&opened, &engine.directory(), qr)
}

/// Makes the next edition, or says what it would change.
fn publish(
    engine: &mut Engine,
    who: &str,
    what: &str,
    before: &[u8],
    after: &[u8],
    dry_run: bool,
) -> Result<Said, AnyError> {
    let changes = import::changes(before, after)?;
    if dry_run || changes.is_empty() {
        // What does not fit together is refused in a dry run as well.
        shaodao_core::pack::directory(after)?;
        return Ok(print::changes(&changes, None));
    }
    let version = engine.alone(|engine| engine.publish_edition(after, who, what))?;
    Ok(print::changes(&changes, Some(version)))
}

/// The name under which the system knows whoever typed the command.
fn system_user() -> String {
    ["SUDO_USER", "USER", "USERNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "administrator".to_owned())
}

/// Reads a file as text; a byte order mark at its head is not part of it.
fn read(path: &PathBuf) -> Result<String, AnyError> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!(
            "{}, line {}: not UTF-8 text; save the file as \"CSV UTF-8\"",
            path.display(),
            line + 1
        )
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
