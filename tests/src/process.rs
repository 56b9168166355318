//! The programs as a user runs them: real processes, found beside this one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::day::DayError;

/// A running server process; killed when dropped.
pub struct ServerProcess {
    binary: PathBuf,
    data: PathBuf,
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
        // Another part of the process may have chosen a provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            // A kept connection would not survive the kill.
            .pool_max_idle_per_host(0)
            .build()?;
        let binary = binary("shaodao-server")?;
        let data = folder.join("server");
        let (child, listen) = spawn(&binary, &data, "127.0.0.1:0", now_ms)?;
        Ok(Self {
            binary,
            data,
            listen,
            child,
            client,
        })
    }

    /// Where it listens, as a phone names it.
    pub fn address(&self) -> String {
        format!("http://{}", self.listen)
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no VmRSS")?;
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
        let (child, listen) = spawn(&self.binary, &self.data, &self.listen, now_ms)?;
        self.child = child;
        self.listen = listen;
        Ok(())
    }

    /// A command of an administrator on its data: exit code and output.
    ///
    /// # Errors
    /// The program does not start.
    pub fn upkeep(&self, args: &[&str]) -> Result<(Option<i32>, String), DayError> {
        let mut command = Command::new(&self.binary);
        let output = command.arg("--data").arg(&self.data).args(args).output()?;
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

    /// Enrolment tickets, opened as an administrator does, by person.
    ///
    /// # Errors
    /// The administrator's command fails.
    pub fn tickets(
        &self,
        people: &[String],
        now_ms: i64,
    ) -> Result<Vec<(String, String)>, DayError> {
        let mut command = Command::new(&self.binary);
        command
            .arg("--data")
            .arg(&self.data)
            .args(["admin", "ticket", "--json"]);
        command.args(["--rehearsal-ms", &now_ms.to_string()]);
        for person in people {
            command.args(["--person", person]);
        }
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let list: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
        let field = |entry: &serde_json::Value, name: &str| {
            entry[name].as_str().unwrap_or_default().to_owned()
        };
        Ok(list
            .iter()
            .map(|entry| (field(entry, "person"), field(entry, "ticket")))
            .collect())
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
    listen: &str,
    now_ms: i64,
) -> Result<(Child, String), DayError> {
    let mut child = Command::new(binary)
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
        .stdout(Stdio::piped())
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

    /// The program with these arguments, in English, JSON on its output.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["--lang", "en", "--json", "--home"]);
        command.arg(&self.home).args(args);
        command
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
