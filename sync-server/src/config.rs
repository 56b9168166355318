//! Configuration: defaults, then a file, then the environment, then flags; the
//! later wins. Every value has a unit and a default; an unknown name or a wrong
//! type is an error that says where. [`settings`] lists them for people.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::evidence::settings::Settings;
use crate::limits::{Limits, OutOfRange};

/// Settings of `shaodao-server serve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of the database.
    pub data: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Directory pack for an empty database; without one the sample street.
    pub directory: Option<PathBuf>,
    /// How often deadlines are looked at, seconds, 1 to 3600.
    pub escalation_poll_s: u64,
    /// `text` or `json`.
    pub log_format: LogFormat,
    /// A level, or levels by module, such as `info,shaodao_server=debug`.
    pub log_level: String,
    /// Certificate chain, PEM; with `tls_key` the server speaks TLS.
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    pub tls_key: Option<PathBuf>,
    /// Whether to listen without TLS on an address that others can reach.
    pub allow_plain_http: bool,
    /// How much one caller may ask for.
    pub limits: Limits,
    /// Where evidence is kept, how much and for how long.
    pub evidence: Settings,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("shaodao-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8470)),
            directory: None,
            escalation_poll_s: 5,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            tls_certificate: None,
            tls_key: None,
            allow_plain_http: false,
            limits: Limits::default(),
            evidence: Settings::default(),
        }
    }
}

/// Every setting: its name, and what it means with its unit. A dot becomes an
/// underscore in the environment, after `SHAODAO_`.
pub fn settings() -> impl Iterator<Item = (&'static str, &'static str)> {
    SETTINGS.iter().copied().chain(Settings::NAMES)
}

const SETTINGS: &[(&str, &str)] = &[
    ("data", "folder of the database"),
    ("listen", "address to listen on"),
    (
        "directory",
        "directory pack (JSON) for an empty database; without one the sample street",
    ),
    (
        "escalation_poll_s",
        "seconds between two looks at the deadlines, 1 to 3600",
    ),
    ("log_format", "text or json, on standard error"),
    ("log_level", "as tracing filters"),
    (
        "tls_certificate",
        "certificate chain (PEM); read again on SIGHUP",
    ),
    (
        "tls_key",
        "private key of the certificate (PEM); read again on SIGHUP",
    ),
    (
        "allow_plain_http",
        "listen without TLS on more than a loopback address",
    ),
    (
        "limits.request_bytes",
        "largest request, bytes, packed and unpacked",
    ),
    (
        "limits.envelopes_per_request",
        "most envelopes in one request",
    ),
    (
        "limits.header_timeout_s",
        "seconds for a TLS handshake and for the head of a request",
    ),
    (
        "limits.body_timeout_s",
        "seconds for the body of a request, and for taking each piece of the answer",
    ),
    ("limits.connections", "connections at once"),
    (
        "limits.connections_per_address",
        "connections at once from one address",
    ),
    (
        "limits.address_rate",
        "requests a second from one address, sustained; an enrolment counts as ten",
    ),
    (
        "limits.address_burst",
        "requests at once from one address after a pause",
    ),
    (
        "limits.device_rate",
        "requests a second of one session, sustained",
    ),
    (
        "limits.device_burst",
        "requests at once of one session after a pause",
    ),
    (
        "limits.actions_per_day",
        "new actions of one device taken on one day (Asia/Shanghai)",
    ),
    (
        "limits.records_per_day",
        "new findings and whistles of one device taken on one day",
    ),
];

/// The settings with their defaults, as `--help` shows them.
pub fn help() -> String {
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let mut text = String::from(
        "Settings come from the file (TOML), the environment and flags, later ones winning.\n\
         In the environment the name is in capitals, SHAODAO_ stands before it, a dot is an\n\
         underscore: SHAODAO_LIMITS_DEVICE_RATE.\n\n",
    );
    for (name, meaning) in settings() {
        let value = defaults.find_value(name).ok();
        let value = value.and_then(|value| serde_json::to_value(value).ok());
        let default = match value {
            Some(serde_json::Value::String(text)) => text,
            None | Some(serde_json::Value::Null) => "none".to_owned(),
            Some(other) => other.to_string(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name} [{default}]\n      {meaning}");
    }
    text
}

/// Flags that were given, by the names of [`Config`].
#[derive(Debug, Clone, Default, Serialize)]
pub struct Flags {
    /// See [`Config::data`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// See [`Config::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// See [`Config::directory`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// See [`Config::log_format`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// See [`Config::tls_certificate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// See [`Config::tls_key`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// See [`Config::allow_plain_http`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_plain_http: Option<bool>,
}

/// Settings that do not read, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for is not there.
    #[error("there is no configuration file {0}")]
    NoFile(PathBuf),
    /// A name or value is wrong.
    #[error("configuration: {0}\nKnown names: {names}; in the environment with SHAODAO_ before them.", names = names().join(", "))]
    Value(Box<figment::Error>),
    /// A value is out of range.
    #[error("configuration: escalation_poll_s is {0}, it must be 1 to 3600 seconds")]
    Poll(u64),
    /// A limit is out of range.
    #[error("configuration: {0}")]
    Limit(#[from] OutOfRange),
    /// One of certificate and key without the other.
    #[error("configuration: tls_certificate and tls_key belong together; one of them is missing")]
    HalfTls,
    /// Others could read along.
    #[error(
        "configuration: {0} can be reached from outside and there is no TLS. Make a station \
         certificate with `shaodao-server admin certificate`, or set allow_plain_http = true if \
         something in front of this server speaks TLS."
    )]
    Plain(SocketAddr),
}

/// Reads the settings.
///
/// # Errors
/// See [`ConfigError`].
pub fn read(file: Option<&Path>, flags: &Flags) -> Result<Config, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(file) = file {
        if !file.is_file() {
            return Err(ConfigError::NoFile(file.to_owned()));
        }
        figment = figment.merge(Toml::file_exact(file));
    }
    let environment = Env::prefixed("SHAODAO_").filter_map(|variable| {
        let variable = variable.as_str().to_lowercase();
        let name = names()
            .into_iter()
            .find(|name| name.replace('.', "_") == variable)?;
        Some(name.into())
    });
    let config: Config = figment
        .merge(environment)
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| ConfigError::Value(Box::new(error)))?;
    if !(1..=3600).contains(&config.escalation_poll_s) {
        return Err(ConfigError::Poll(config.escalation_poll_s));
    }
    config.limits.check()?;
    config.evidence.check()?;
    if config.tls_certificate.is_some() != config.tls_key.is_some() {
        return Err(ConfigError::HalfTls);
    }
    Ok(config)
}

impl Config {
    /// Whether what is said on this server's address can be read by others; to
    /// be asked before it listens.
    ///
    /// # Errors
    /// [`ConfigError::Plain`], unless it was asked for.
    pub fn check_privacy(&self) -> Result<(), ConfigError> {
        let private = self.tls_certificate.is_some() || self.listen.ip().is_loopback();
        match private || self.allow_plain_http {
            true => Ok(()),
            false => Err(ConfigError::Plain(self.listen)),
        }
    }
}

fn names() -> Vec<&'static str> {
    settings().map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_and_nonsense_is_named() {
        let flags = Flags {
            data: Some("elsewhere".into()),
            ..Flags::default()
        };
        let config = read(None, &flags).expect("reads");
        assert_eq!(config.data, PathBuf::from("elsewhere"));
        assert_eq!(config.listen.port(), 8470);
        assert!(matches!(
            read(Some(Path::new("/no/such/file")), &flags),
            Err(ConfigError::NoFile(_))
        ));
    }

    #[test]
    fn every_setting_is_listed_and_nothing_else() {
        fn walk(prefix: &str, value: &serde_json::Value, names: &mut Vec<String>) {
            match value {
                serde_json::Value::Object(fields) => {
                    for (name, value) in fields {
                        let dot = if prefix.is_empty() { "" } else { "." };
                        walk(&format!("{prefix}{dot}{name}"), value, names);
                    }
                }
                _ => names.push(prefix.to_owned()),
            }
        }
        let all = serde_json::to_value(Config::default()).expect("serialises");
        let mut fields = Vec::new();
        walk("", &all, &mut fields);
        let mut listed = names();
        fields.sort();
        listed.sort_unstable();
        assert_eq!(fields, listed);
        assert!(help().contains("limits.device_rate [5]"), "{}", help());
    }

    #[test]
    fn plain_http_is_for_loopback_unless_asked_for() {
        let mut config = Config::default();
        assert!(config.check_privacy().is_ok());
        config.listen = SocketAddr::from(([0, 0, 0, 0], 8470));
        assert!(matches!(config.check_privacy(), Err(ConfigError::Plain(_))));
        config.allow_plain_http = true;
        assert!(config.check_privacy().is_ok());
        let half = Flags {
            tls_key: Some("key.pem".into()),
            ..Flags::default()
        };
        assert!(matches!(read(None, &half), Err(ConfigError::HalfTls)));
    }
}
