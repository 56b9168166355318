//! The programs as a user runs them: real processes, found beside this one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rand::rngs::StdRng;
use shaodao_core::device::Device;
use shaodao_core::domain::time::Moment;
use shaodao_core::sync::transport::Transport;

use crate::day::DayError;
use crate::home::unbacked;

/// What a server process is started with, beside its defaults. Unless a setting says
/// otherwise it leaves nothing of the disk free.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Settings, by their names in the environment.
    pub environment: Vec<(String, String)>,
    /// File for what it says on standard error, instead of this process's own.
    pub log: Option<PathBuf>,
    /// The largest file that the system lets it write, in kibibytes.
    pub largest_file_kib: Option<u64>,
}

impl Setup {
    /// The defaults with one setting more.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        let setting = (name.to_owned(), value.to_string());
        self.environment.push(setting);
        self
    }

    fn speaks_tls(&self) -> bool {
        let mut names = self.environment.iter().map(|(name, _)| name);
        names.any(|name| name == "SHAODAO_TLS_CERTIFICATE")
    }
}

/// A running server process; killed when dropped.
pub struct ServerProcess {
    binary: PathBuf,
    data: PathBuf,
    setup: Setup,
    listen: String,
    child: Child,
    client: reqwest::Client,
}

impl ServerProcess {
    /// Starts a server on a free port, with an empty data folder in `folder`,
    /// rehearsing from `now_ms`.
    ///
    /// # Errors
    /// The binary is not there, or does not say where it listens.
    pub fn start(folder: &Path, now_ms: i64) -> Result<Self, DayError> {
        Self::start_with(folder, now_ms, Setup::default())
    }

    /// The same with settings of its own.
    ///
    /// # Errors
    /// As [`ServerProcess::start`].
    pub fn start_with(folder: &Path, now_ms: i64, setup: Setup) -> Result<Self, DayError> {
        // Another part of the process may have chosen a provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            // A kept connection would not survive the kill.
            .pool_max_idle_per_host(0)
            .build()?;
        let binary = binary("shaodao-server")?;
        let data = folder.join("server");
        let (child, listen) = spawn(&binary, &data, &setup, "127.0.0.1:0", now_ms)?;
        Ok(Self {
            binary,
            data,
            setup,
            listen,
            child,
            client,
        })
    }

    /// Where it listens, as a phone names it.
    pub fn address(&self) -> String {
        let scheme = if self.setup.speaks_tls() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.listen)
    }

    /// Where it listens: host and port.
    pub fn listen(&self) -> &str {
        &self.listen
    }

    /// Sends it a signal, by name, such as `HUP`.
    ///
    /// # Errors
    /// The system does not.
    pub fn signal(&self, name: &str) -> Result<(), DayError> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status()?;
        match sent.success() {
            true => Ok(()),
            false => Err(format!("kill -s {name}: {sent}").into()),
        }
    }

    /// Waits until it has ended by itself; whether it said that all went well.
    ///
    /// # Errors
    /// The system does not say.
    pub fn wait(&mut self) -> Result<bool, DayError> {
        Ok(self.child.wait()?.success())
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        let setting = (name.to_owned(), value.to_string());
        self.setup.environment.retain(|(known, _)| known != name);
        self.setup.environment.push(setting);
    }

    /// Takes a setting away again, for the next start.
    pub fn unset(&mut self, name: &str) {
        let settings = &mut self.setup.environment;
        settings.retain(|(known, _)| known != name);
    }

    /// Limits the largest file that it may write, or lifts that, for the next start.
    pub fn limit_files(&mut self, largest_file_kib: Option<u64>) {
        self.setup.largest_file_kib = largest_file_kib;
    }

    /// One number that its database says.
    pub fn count(&self, sql: &str) -> i64 {
        let db = rusqlite::Connection::open(self.database()).expect("opens");
        db.query_row(sql, [], |row| row.get(0)).expect("a number")
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.data.join("server.db")
    }

    /// Memory that it holds now, bytes (Linux).
    ///
    /// # Errors
    /// The system does not say.
    pub fn resident_bytes(&self) -> Result<u64, DayError> {
        self.memory("VmRSS:")
    }

    /// The most memory that it has ever held, bytes (Linux).
    ///
    /// # Errors
    /// The system does not say.
    pub fn peak_bytes(&self) -> Result<u64, DayError> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> Result<u64, DayError> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .ok_or_else(|| format!("no {name}"))?;
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>()?;
        Ok(kibibytes * 1024)
    }

    /// SIGKILL, in the middle of whatever it does; then started again on the
    /// same data and the same port.
    ///
    /// # Errors
    /// It does not come back.
    pub fn kill_and_restart(&mut self, now_ms: i64) -> Result<(), DayError> {
        self.stop()?;
        self.start_again(now_ms)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// The system refuses.
    pub fn stop(&mut self) -> Result<(), DayError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Started again on the same data and the same port, after [`Self::stop`].
    ///
    /// # Errors
    /// It does not come back.
    pub fn start_again(&mut self, now_ms: i64) -> Result<(), DayError> {
        let (child, listen) = spawn(&self.binary, &self.data, &self.setup, &self.listen, now_ms)?;
        self.child = child;
        self.listen = listen;
        Ok(())
    }

    /// A command of an administrator on its data: exit code and output.
    ///
    /// # Errors
    /// The program does not start.
    pub fn upkeep(&self, args: &[&str]) -> Result<(Option<i32>, String), DayError> {
        let output = Command::new(&self.binary)
            .arg("--data")
            .arg(&self.data)
            .args(args)
            .envs(self.setup.environment.iter().cloned())
            .output()?;
        let said = match output.stdout.is_empty() {
            true => output.stderr,
            false => output.stdout,
        };
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok((output.status.code(), said))
    }

    /// Moves its clock; what is due happens before this returns. Returns the
    /// escalations.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn set_clock(&self, now_ms: i64) -> Result<u64, DayError> {
        let response = self
            .client
            .post(format!("{}/rehearsal/clock", self.address()))
            .header("content-type", "application/json")
            .body(serde_json::json!({ "now_ms": now_ms }).to_string())
            .send()
            .await?
            .error_for_status()?;
        let fired: serde_json::Value = serde_json::from_str(&response.text().await?)?;
        Ok(fired["escalated"].as_u64().unwrap_or(0))
    }

    /// Enrolment tickets, opened as an administrator does, by person: what is
    /// typed.
    ///
    /// # Errors
    /// The administrator's command fails.
    pub fn tickets(&self, people: &[String]) -> Result<Vec<(String, String)>, DayError> {
        let mut args = vec!["ticket"];
        for person in people {
            args.extend(["--person", person]);
        }
        let list = self.admin(&args)?;
        let field = |entry: &serde_json::Value, name: &str| {
            entry[name].as_str().unwrap_or_default().to_owned()
        };
        let list = list.as_array().ok_or("not a list")?;
        Ok(list
            .iter()
            .map(|entry| (field(entry, "person"), field(entry, "ticket")))
            .collect())
    }

    /// An administrator's command, as a process of its own beside the running
    /// server: its JSON.
    ///
    /// # Errors
    /// The command fails: what it said.
    pub fn admin(&self, args: &[&str]) -> Result<serde_json::Value, DayError> {
        let output = Command::new(&self.binary)
            .arg("--data")
            .arg(&self.data)
            .args(["admin", "--json", "--as", "Wen"])
            .args(args)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Makes a phone somebody's: a ticket, its check code confirmed, a session.
    ///
    /// # Errors
    /// Any step fails.
    pub async fn enrol(
        &self,
        device: &mut Device,
        rng: &mut StdRng,
        person: &str,
        now: Moment,
    ) -> Result<(), DayError> {
        let address = self.address();
        self.enrol_at(&address, device, rng, person, now).await
    }

    /// The same at an address of its own, such as one with a pin.
    ///
    /// # Errors
    /// Any step fails.
    pub async fn enrol_at(
        &self,
        address: &str,
        device: &mut Device,
        rng: &mut StdRng,
        person: &str,
        now: Moment,
    ) -> Result<(), DayError> {
        let (_, ticket) = self.tickets(&[person.to_owned()])?.remove(0);
        let transport = Transport::new(address)?;
        let pending = transport.hand_in(device, rng, &ticket, None).await?;
        self.admin(&["confirm", &pending.check_code])?;
        transport.open_session(device, || now).await?;
        Ok(())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(
    binary: &Path,
    data: &Path,
    setup: &Setup,
    listen: &str,
    now_ms: i64,
) -> Result<(Child, String), DayError> {
    let log = match &setup.log {
        Some(path) => Stdio::from(std::fs::File::create(path)?),
        None => Stdio::inherit(),
    };
    let mut child = limited(binary, setup.largest_file_kib)
        .arg("--data")
        .arg(data)
        .args([
            "serve",
            "--listen",
            listen,
            "--rehearsal-ms",
            &now_ms.to_string(),
        ])
        .env("SHAODAO_LOG_LEVEL", "warn")
        // How full this machine's disk is must not decide how a story ends.
        .env("SHAODAO_EVIDENCE_RESERVE_BYTES", "0")
        .envs(setup.environment.iter().cloned())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    let stdout = child.stdout.take().ok_or("the server has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    match line.trim().strip_prefix("listening on ") {
        Some(address) => Ok((child, address.to_owned())),
        None => {
            let _ = child.kill();
            Err(format!("the server did not start: {line}").into())
        }
    }
}

/// A program that becomes the one to run, within a limit of the system. Beyond it
/// a write fails, after as much of it as still fits, and kills nobody.
fn limited(binary: &Path, largest_file_kib: Option<u64>) -> Command {
    let Some(kibibytes) = largest_file_kib else {
        return Command::new(binary);
    };
    let mut command = Command::new("bash");
    let limit = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\"");
    command.arg("-c").arg(limit).arg(binary);
    command
}

/// A program of this workspace: beside this one.
///
/// # Errors
/// It has not been built.
pub fn binary(name: &str) -> Result<PathBuf, DayError> {
    let mut folder = std::env::current_exe()?;
    folder.pop();
    // A test binary lies one folder deeper.
    if folder.ends_with("deps") {
        folder.pop();
    }
    let binary = folder.join(name);
    match binary.is_file() {
        true => Ok(binary),
        false => Err(format!(
            "{} is not there; build it: cargo build --workspace --bins",
            binary.display()
        )
        .into()),
    }
}

/// A phone in a terminal: the `shaodao` program on a folder of its own.
#[derive(Debug, Clone)]
pub struct Terminal {
    binary: PathBuf,
    home: PathBuf,
}

impl Terminal {
    /// A phone with its data in `home`.
    ///
    /// # Errors
    /// The program has not been built.
    pub fn new(home: &Path) -> Result<Self, DayError> {
        Ok(Self {
            binary: binary("shaodao")?,
            home: home.to_owned(),
        })
    }

    /// Enrols this phone for somebody, an administrator confirming it.
    ///
    /// # Errors
    /// Any step fails: what it said.
    pub fn enrol(
        &self,
        server: &ServerProcess,
        person: &str,
    ) -> Result<serde_json::Value, serde_json::Value> {
        self.enrol_at(server, person, &server.address())
    }

    /// The same at an address of its own, such as one with a pin.
    ///
    /// # Errors
    /// Any step fails: what it said.
    pub fn enrol_at(
        &self,
        server: &ServerProcess,
        person: &str,
        address: &str,
    ) -> Result<serde_json::Value, serde_json::Value> {
        let failed = |error: DayError| serde_json::Value::from(error.to_string());
        let tickets = server.tickets(&[person.to_owned()]).map_err(failed)?;
        let shown = self.run(&["enrol", "--no-wait", address, &tickets[0].1])?;
        let code = shown["check_code"].as_str().unwrap_or_default();
        server.admin(&["confirm", code]).map_err(failed)?;
        self.run(&["enrol", "--resume"])
    }

    /// The program with these arguments, in English, JSON on its output.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["--lang", "en", "--json", "--home"]);
        command.arg(&self.home).args(args);
        command.env("XDG_STATE_HOME", unbacked(&self.home));
        command
    }

    /// The program with these arguments, speaking to people.
    pub fn plain(&self, lang: &str, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["--lang", lang, "--home"]);
        command.arg(&self.home).args(args);
        command.env("XDG_STATE_HOME", unbacked(&self.home));
        command
    }

    /// What a person reads, in `zh` or `en`: the output, and the error behind it.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn read(&self, lang: &str, args: &[&str]) -> Result<String, std::io::Error> {
        let output = self.plain(lang, args).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// The JSON of a command that has to succeed.
    pub fn must(&self, args: &[&str]) -> serde_json::Value {
        match self.run(args) {
            Ok(said) => said,
            Err(error) => panic!("{args:?}: {error}"),
        }
    }

    /// Runs a command to its end: its JSON, or the JSON of its error.
    ///
    /// # Errors
    /// The error as the program told it, or its bare output.
    pub fn run(&self, args: &[&str]) -> Result<serde_json::Value, serde_json::Value> {
        let text = |error: &dyn std::fmt::Display| serde_json::Value::from(error.to_string());
        let output = self.command(args).output().map_err(|error| text(&error))?;
        let said = match output.status.success() {
            true => &output.stdout,
            false => &output.stderr,
        };
        let json =
            serde_json::from_slice(said).unwrap_or_else(|_| text(&String::from_utf8_lossy(said)));
        match output.status.success() {
            true => Ok(json),
            false => Err(json),
        }
    }
}
