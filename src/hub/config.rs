//! The hub's settings: flags over `OUTPOST_<SECTION>_<KEY>` over hub.toml over defaults.

mod auth;
mod limits;
mod network;
mod quota;
mod relay;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::limit;
use crate::net::tls::server::Files;
use crate::obs::log::Format;
use crate::wire::message::{Limits, SignatureMode};

use auth::Auth;
pub use limits::AdmissionConfig;
use limits::LimitsFile;
pub use network::{Network, ParseNetworkError};
pub use quota::QuotaConfig;
use quota::QuotaFile;
use relay::RelayFile;
pub use relay::{NamePattern, ParsePatternError, RelayConfig, RelayRule};
use tls::TlsFile;

/// Where a hub listens unless told otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8440);

/// The default data folder.
pub const DATA_DEFAULT: &str = "./outpost-hub";

/// What a hub runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where the API answers, and the agents unless `agent_listen` is given. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// A listener for the agents alone.
    pub agent_listen: Option<SocketAddr>,
    /// TLS on every listener; a client certificate is asked for where agents connect.
    pub tls: Option<Files>,
    /// What is asked of agents without a bound key; those with one always sign.
    pub signature: SignatureMode,
    /// The hub's URLs as agents dial them, in [`crate::wire::url::HubUrl::canonical`]'s form. Where there are any, upgrades of agents with a
    /// bound key have to be signed for one of them.
    pub public_urls: Vec<String>,
    /// How long a token opens upgrades: 1 minute to 24 hours.
    pub jwt_ttl: Duration,
    /// Bytes of one message, at most `limit::MESSAGE_BYTES_MAX`.
    pub message_bytes: u32,
    /// A peer that accepts no byte for this long is dropped; not a setting, tests shorten it.
    pub write_timeout: Duration,
    /// Who is let in.
    pub admission: AdmissionConfig,
    /// What each agent may use.
    pub quota: QuotaConfig,
    /// What agents may send to each other.
    pub relay: RelayConfig,
    /// Where metrics are answered; `None`: nowhere but to operators, at the API.
    pub metrics_listen: Option<SocketAddr>,
    /// The `[log]` section.
    pub log: LogConfig,
}

/// The `[metrics]` section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsFile {
    listen: Option<String>,
}

/// How the log looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// error, warn, info, debug or trace.
    pub level: Option<String>,
    /// Text or JSON.
    pub format: Option<Format>,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {path}: {error}; check the path given with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("the config {path}: {}; correct it, then run `outpost config check {path}`", error.to_string().trim_end())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// One value is not what it should be.
    #[error("{place}: `{key}` is `{value}`; it must be {expected}")]
    Value {
        /// Where it was given, as far as that is known.
        place: String,
        /// The setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

impl ConfigError {
    /// Names the file a value may have come from.
    fn in_file(self, file: Option<&Path>) -> Self {
        match (self, file) {
            (Self::Value { key, value, expected, .. }, Some(file)) => {
                Self::Value { place: format!("{} or the environment", file.display()), key, value, expected }
            }
            (error, _) => error,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    listen: Option<String>,
    agent_listen: Option<String>,
    public_urls: Option<Vec<String>>,
    #[serde(default)]
    tls: TlsFile,
    #[serde(default)]
    auth: Auth,
    trusted_proxies: Option<Vec<String>>,
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    quota: QuotaFile,
    #[serde(default)]
    relay: RelayFile,
    #[serde(default)]
    metrics: MetricsFile,
    #[serde(default)]
    log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from(DATA_DEFAULT),
            listen: LISTEN,
            agent_listen: None,
            tls: None,
            signature: SignatureMode::Optional,
            public_urls: Vec::new(),
            jwt_ttl: limit::JWT_TTL,
            message_bytes: u32::try_from(limit::MESSAGE_BYTES_MAX).unwrap_or(u32::MAX),
            write_timeout: limit::WRITE_TIMEOUT,
            admission: AdmissionConfig::default(),
            quota: QuotaConfig::default(),
            relay: RelayConfig::default(),
            metrics_listen: None,
            log: LogConfig::default(),
        }
    }
}

impl Config {
    /// Reads `file`, then lets the environment (as `variable` knows it) have its way.
    ///
    /// # Errors
    /// Where the file cannot be read, has keys nobody knows, or a value cannot be used.
    pub fn load(file: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = match file {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
                toml::from_str(&text)
                    .map_err(|error| ConfigError::Parse { path: path.to_owned(), error: Box::new(error) })?
            }
        };
        let set = |name: &str, place: &mut Option<String>| {
            if let Some(value) = variable(name) {
                *place = Some(value);
            }
        };
        set("OUTPOST_LISTEN", &mut settings.listen);
        set("OUTPOST_AGENT_LISTEN", &mut settings.agent_listen);
        set("OUTPOST_AUTH_SIGNATURE", &mut settings.auth.signature);
        set("OUTPOST_AUTH_JWT_TTL", &mut settings.auth.jwt_ttl);
        if let Some(urls) = variable("OUTPOST_PUBLIC_URLS") {
            settings.public_urls = Some(urls.split(',').map(|url| url.trim().to_owned()).collect());
        }
        set("OUTPOST_METRICS_LISTEN", &mut settings.metrics.listen);
        set("OUTPOST_LOG_LEVEL", &mut settings.log.level);
        settings.tls.overlay_environment(&variable);
        settings.limits.overlay_environment(&variable);
        settings.quota.overlay_environment(&variable);
        settings.relay.overlay_environment(&variable)?;
        if let Some(list) = variable("OUTPOST_TRUSTED_PROXIES") {
            let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
            settings.trusted_proxies = Some(entries.map(str::to_owned).collect());
        }
        if let Some(data) = variable("OUTPOST_DATA") {
            settings.data = Some(data.into());
        }
        if let Some(format) = variable("OUTPOST_LOG_FORMAT") {
            settings.log.format = Some(match format.as_str() {
                "text" => Format::Text,
                "json" => Format::Json,
                _ => return Err(wrong("log.format", &format, "text or json")),
            });
        }
        settings.check().map_err(|error| error.in_file(file))
    }

    /// Whether every setting is within its bounds, for one that was not read from a file.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let value = |key, value: String, expected| {
            Err(ConfigError::Value { place: "the settings".to_owned(), key, value, expected })
        };
        let most = u32::try_from(limit::MESSAGE_BYTES_MAX).unwrap_or(u32::MAX);
        if !(limit::MESSAGE_BYTES_LEAST..=most).contains(&self.message_bytes) {
            return value("message_bytes", self.message_bytes.to_string(), limits::MESSAGE);
        }
        if !(limit::JWT_TTL_MIN..=limit::JWT_TTL_MAX).contains(&self.jwt_ttl) {
            return value("jwt_ttl", format!("{:?}", self.jwt_ttl), auth::TTL);
        }
        auth::public_urls(&self.public_urls)?;
        self.relay.check()
    }

    /// What this hub announces in RegisterAck.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            message_bytes: self.message_bytes,
            window_bytes: limit::WINDOW_BYTES,
            control_window_bytes: limit::CONTROL_WINDOW_BYTES,
            record_bytes: u32::try_from(limit::RECORD_BYTES_MAX).unwrap_or(u32::MAX),
            ping_interval: limit::PING_INTERVAL,
            idle: limit::IDLE_TIMEOUT,
            zstd: true,
        }
    }

    /// Payload bytes of one relayed message: a frame has to hold it.
    pub(super) fn relay_bytes_max(&self) -> usize {
        let frame = self.message_bytes_max().saturating_sub(limit::RELAY_OVERHEAD_BYTES_MAX);
        usize::try_from(self.relay.bytes)
            .unwrap_or(limit::RELAY_BYTES_MAX)
            .min(limit::RELAY_BYTES_MAX)
            .min(frame)
    }

    pub(super) fn message_bytes_max(&self) -> usize {
        usize::try_from(self.message_bytes).unwrap_or(limit::MESSAGE_BYTES_MAX).min(limit::MESSAGE_BYTES_MAX)
    }
}

impl File {
    fn check(self) -> Result<Config, ConfigError> {
        let defaults = Config::default();
        if let Some(level) = &self.log.level
            && level.parse::<tracing::level_filters::LevelFilter>().is_err()
        {
            return Err(wrong("log.level", level, "error, warn, info, debug or trace"));
        }
        Ok(Config {
            data: self.data.unwrap_or(defaults.data),
            listen: address("listen", self.listen)?.unwrap_or(defaults.listen),
            agent_listen: address("agent_listen", self.agent_listen)?,
            tls: self.tls.check()?,
            public_urls: auth::public_urls(&self.public_urls.unwrap_or_default())?,
            jwt_ttl: self.auth.jwt_ttl()?,
            signature: self.auth.signature()?,
            message_bytes: self.limits.message()?,
            write_timeout: defaults.write_timeout,
            admission: self.limits.admission(&self.trusted_proxies.unwrap_or_default())?,
            quota: self.quota.check()?,
            relay: self.relay.check(self.limits.relay()?)?,
            metrics_listen: address("metrics.listen", self.metrics.listen)?,
            log: self.log,
        })
    }
}

fn wrong(key: &'static str, value: &str, expected: &'static str) -> ConfigError {
    let place = "the environment".to_owned();
    ConfigError::Value { place, key, value: value.to_owned(), expected }
}

fn address(key: &'static str, text: Option<String>) -> Result<Option<SocketAddr>, ConfigError> {
    text.map(|text| text.parse().map_err(|_| wrong(key, &text, "an address and port like 127.0.0.1:8440")))
        .transpose()
}
