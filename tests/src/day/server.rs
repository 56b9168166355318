//! The server process of the day.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::DayError;

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
        let binary = binary()?;
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

    /// SIGKILL, in the middle of whatever it does; then started again on the
    /// same data and the same port.
    ///
    /// # Errors
    /// It does not come back.
    pub fn kill_and_restart(&mut self, now_ms: i64) -> Result<(), DayError> {
        self.child.kill()?;
        self.child.wait()?;
        let (child, listen) = spawn(&self.binary, &self.data, &self.listen, now_ms)?;
        self.child = child;
        self.listen = listen;
        Ok(())
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

/// The server's binary: beside this one.
fn binary() -> Result<PathBuf, DayError> {
    let mut folder = std::env::current_exe()?;
    folder.pop();
    // A test binary lies one folder deeper.
    if folder.ends_with("deps") {
        folder.pop();
    }
    let binary = folder.join("shaodao-server");
    match binary.is_file() {
        true => Ok(binary),
        false => Err(format!(
            "{} is not there; build it: cargo build -p shaodao-server",
            binary.display()
        )
        .into()),
    }
}
