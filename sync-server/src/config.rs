//! Configuration: defaults, then a file, then the environment, then flags; the
//! later wins. Every value has a unit and a default; an unknown name or a wrong
//! type is an error that says where.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

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
        }
    }
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
}

/// Settings that do not read, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for is not there.
    #[error("there is no configuration file {0}")]
    NoFile(PathBuf),
    /// A name or value is wrong.
    #[error(
        "configuration: {0}\nKnown names: data, listen, directory, escalation_poll_s, log_format, log_level; in the environment with SHAODAO_ before them."
    )]
    Value(Box<figment::Error>),
    /// A value is out of range.
    #[error("configuration: escalation_poll_s is {0}, it must be 1 to 3600 seconds")]
    Poll(u64),
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
    let names = [
        "data",
        "listen",
        "directory",
        "escalation_poll_s",
        "log_format",
        "log_level",
    ];
    let config: Config = figment
        .merge(Env::prefixed("SHAODAO_").only(&names))
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| ConfigError::Value(Box::new(error)))?;
    match config.escalation_poll_s {
        1..=3600 => Ok(config),
        seconds => Err(ConfigError::Poll(seconds)),
    }
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
}
