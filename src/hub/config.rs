//! The hub's settings: flags over `OUTPOST_<SECTION>_<KEY>` over hub.toml over defaults.

mod auth;
mod bound;
mod error;
mod file;
mod limits;
mod live;
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

pub use crate::net::network::{Network, ParseNetworkError};
pub use error::ConfigError;
use error::wrong;
use file::File;
pub use limits::AdmissionConfig;
#[cfg(fuzzing)]
pub use live::fuzzing;
pub use live::{LiveConfig, RedisConfig, YamlError};
pub use quota::QuotaConfig;
pub use relay::{NamePattern, ParsePatternError, RelayConfig, RelayRule};

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
    /// The hub's URLs as agents dial them. Where there are any, upgrades of agents with a
    /// bound key have to be signed for one of them.
    pub public_urls: Vec<String>,
    /// How long a token opens upgrades: 1 minute to 24 hours.
    pub jwt_ttl: Duration,
    /// Bytes of one message, at most `limit::MESSAGE_BYTES_MAX`.
    pub message_bytes: u32,
    /// A peer that accepts no byte for this long is dropped: 1 to 90 seconds. No file sets it.
    pub write_timeout: Duration,
    /// Who is let in.
    pub admission: AdmissionConfig,
    /// What each agent may use.
    pub quota: QuotaConfig,
    /// What agents may send to each other.
    pub relay: RelayConfig,
    /// The broker of live topics; `None`: there is none.
    pub live: Option<LiveConfig>,
    /// Where metrics are answered; `None`: nowhere but to operators, at the API.
    pub metrics_listen: Option<SocketAddr>,
    /// The `[log]` section.
    pub log: LogConfig,
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

impl LogConfig {
    fn check(&self) -> Result<(), ConfigError> {
        match &self.level {
            Some(level) if level.parse::<tracing::level_filters::LevelFilter>().is_err() => {
                Err(wrong("log.level", level, "error, warn, info, debug or trace"))
            }
            Some(_) | None => Ok(()),
        }
    }
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
            live: None,
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
        let settings = file.map_or_else(|| Ok(File::default()), File::read)?;
        let checked = settings.overlaid_with(&variable).and_then(File::check).and_then(Self::checked);
        let mut config = checked.map_err(|error| error.in_file(file))?;
        if let (Some(live), Some(file)) = (&mut config.live, file) {
            live.warn_of_password_in(file);
        }
        Ok(config)
    }

    /// The settings with every one of them within its bounds, whoever gave them, and URLs in the form they are compared in.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn checked(mut self) -> Result<Self, ConfigError> {
        bound::MESSAGE.check(u64::from(self.message_bytes))?;
        bound::JWT_TTL.check(self.jwt_ttl)?;
        bound::WRITE.check(self.write_timeout)?;
        bound::AUTH.check(self.admission.auth)?;
        self.quota.check()?;
        self.relay.check()?;
        self.live.as_ref().map_or(Ok(()), LiveConfig::check)?;
        self.log.check()?;
        self.public_urls = auth::public_urls(&self.public_urls)?;
        Ok(self)
    }

    /// What this hub announces in RegisterAck.
    pub(super) fn limits(&self) -> Limits {
        Limits { message_bytes: self.message_bytes, ..Limits::default() }
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
