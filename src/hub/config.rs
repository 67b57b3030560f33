//! The hub's settings: flags over `OUTPOST_<SECTION>_<KEY>` over hub.toml over defaults.

mod auth;
mod limits;
mod network;
mod quota;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::limit;
use crate::obs::log::Format;
use crate::wire::message::{Limits, SignatureMode};

use auth::Auth;
pub use limits::AdmissionConfig;
use limits::LimitsFile;
pub use network::{Network, ParseNetworkError};
pub use quota::QuotaConfig;
use quota::QuotaFile;

/// Where a hub listens unless told otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8440);

/// What a hub runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where the API answers, and the agents unless `agent_listen` is given. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// A listener for the agents alone.
    pub agent_listen: Option<SocketAddr>,
    /// What is asked of agents without a bound key; those with one always sign.
    pub signature: SignatureMode,
    /// The hub's URLs as agents dial them, in [`HubUrl::canonical`]'s form. Where there are any, upgrades of agents with a
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
    auth: Auth,
    trusted_proxies: Option<Vec<String>>,
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    quota: QuotaFile,
    #[serde(default)]
    log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./outpost-hub"),
            listen: LISTEN,
            agent_listen: None,
            signature: SignatureMode::Optional,
            public_urls: Vec::new(),
            jwt_ttl: limit::JWT_TTL,
            message_bytes: u32::try_from(limit::MESSAGE_BYTES_MAX).unwrap_or(u32::MAX),
            write_timeout: limit::WRITE_TIMEOUT,
            admission: AdmissionConfig::default(),
            quota: QuotaConfig::default(),
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
        set("OUTPOST_LOG_LEVEL", &mut settings.log.level);
        settings.limits.overlay_environment(&variable);
        settings.quota.overlay_environment(&variable);
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

    /// What this hub announces in RegisterAck.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            message_bytes: self.message_bytes,
            window_bytes: limit::WINDOW_BYTES,
            control_window_bytes: limit::CONTROL_WINDOW_BYTES,
            record_bytes: u32::try_from(limit::RECORD_BYTES_MAX).unwrap_or(u32::MAX),
            ping_interval: limit::PING_INTERVAL,
            idle: limit::IDLE_TIMEOUT,
            zstd: false,
        }
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
            public_urls: auth::public_urls(&self.public_urls.unwrap_or_default())?,
            jwt_ttl: self.auth.jwt_ttl()?,
            signature: self.auth.signature()?,
            message_bytes: self.limits.message()?,
            write_timeout: defaults.write_timeout,
            admission: self.limits.admission(&self.trusted_proxies.unwrap_or_default())?,
            quota: self.quota.check()?,
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

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hub.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file), |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let text = "listen = \"127.0.0.1:1\"\n[limits]\nmessage = \"128KiB\"\n[auth]\nsignature = \"none\"\n";
        let config = load(text, &[("OUTPOST_AUTH_SIGNATURE", "required")]).unwrap();
        assert_eq!(config.listen, "127.0.0.1:1".parse().unwrap());
        assert_eq!(config.message_bytes, 128 * 1024);
        assert_eq!(config.signature, SignatureMode::Required);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_named() {
        assert!(load("lisen = \"x\"", &[]).unwrap_err().to_string().contains("lisen"));
        assert!(
            load("[limits]\nmessage = \"3MiB\"", &[]).unwrap_err().to_string().contains("limits.message")
        );
        assert!(load("", &[("OUTPOST_LISTEN", "here")]).unwrap_err().to_string().contains("listen"));
    }

    #[test]
    fn limits_and_quotas_are_read_and_zero_is_no_bound() {
        let text = "trusted_proxies = [\"10.0.0.0/8\"]\n[limits]\nmax_sessions = 500\nper_ip = 0\nauth = \"5s\"\n\
                    [quota]\nrate = \"1MiB\"\nbytes = \"10GiB\"\nopen_jobs = 7\n";
        let config =
            load(text, &[("OUTPOST_LIMITS_HANDSHAKES", "9"), ("OUTPOST_QUOTA_OPEN_JOBS", "0")]).unwrap();
        let admission = &config.admission;
        assert_eq!((admission.max_sessions, admission.per_ip), (NonZeroU32::new(500), None));
        assert_eq!((admission.handshakes.get(), admission.auth), (9, Duration::from_secs(5)));
        assert_eq!(admission.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
        let quota =
            QuotaConfig { rate: NonZeroU64::new(1 << 20), bytes: NonZeroU64::new(10 << 30), open_jobs: None };
        assert_eq!(config.quota, quota);
        let config =
            load("[limits]\nmax_sessions = 0\n", &[("OUTPOST_TRUSTED_PROXIES", "::1, 10.1.1.1,")]).unwrap();
        assert_eq!((config.admission.max_sessions, config.admission.trusted_proxies.len()), (None, 2));
        assert_eq!(config.quota, QuotaConfig::default());
    }

    #[test]
    fn limits_that_cannot_be_are_named() {
        for (text, key) in [
            ("[limits]\nhandshakes = 0", "limits.handshakes"),
            ("[limits]\nmax_sessions = \"many\"", "limits.max_sessions"),
            ("[limits]\nper_ip = 4294967296", "limits.per_ip"),
            ("[limits]\nauth = \"91s\"", "limits.auth"),
            ("[limits]\nauth = \"0s\"", "limits.auth"),
            ("[limits]\nmessage = \"63KiB\"", "limits.message"),
            ("[quota]\nrate = \"1KiB\"", "quota.rate"),
            ("[quota]\nbytes = \"all\"", "quota.bytes"),
            ("[quota]\nopen_jobs = \"-1\"", "quota.open_jobs"),
            ("trusted_proxies = [\"proxy\"]", "trusted_proxies"),
        ] {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
