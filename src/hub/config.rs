//! The hub's settings: flags over `OUTPOST_<SECTION>_<KEY>` over hub.toml over defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::limit;
use crate::obs::log::Format;
use crate::unit;
use crate::wire::message::{Limits, SignatureMode};
use crate::wire::url::{AllowInsecure, HubUrl};

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
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    log: LogConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    signature: Option<String>,
    jwt_ttl: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    message: Option<String>,
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
        set("OUTPOST_LIMITS_MESSAGE", &mut settings.limits.message);
        set("OUTPOST_LOG_LEVEL", &mut settings.log.level);
        if let Some(urls) = variable("OUTPOST_PUBLIC_URLS") {
            settings.public_urls = Some(urls.split(',').map(|url| url.trim().to_owned()).collect());
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
        let signature = match self.auth.signature.as_deref() {
            None => defaults.signature,
            Some(name) => SignatureMode::from_name(name)
                .ok_or_else(|| wrong("auth.signature", name, "none, optional or required"))?,
        };
        if let Some(level) = &self.log.level
            && level.parse::<tracing::level_filters::LevelFilter>().is_err()
        {
            return Err(wrong("log.level", level, "error, warn, info, debug or trace"));
        }
        Ok(Config {
            data: self.data.unwrap_or(defaults.data),
            listen: address("listen", self.listen)?.unwrap_or(defaults.listen),
            agent_listen: address("agent_listen", self.agent_listen)?,
            public_urls: self
                .public_urls
                .unwrap_or_default()
                .iter()
                .map(|url| public_url(url))
                .collect::<Result<_, _>>()?,
            jwt_ttl: self.auth.jwt_ttl.map_or(Ok(defaults.jwt_ttl), |text| jwt_ttl(&text))?,
            signature,
            message_bytes: self.limits.message.map_or(Ok(defaults.message_bytes), |text| message(&text))?,
            write_timeout: defaults.write_timeout,
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

/// Only compared with what agents say they dial: nothing is sent there.
fn public_url(text: &str) -> Result<String, ConfigError> {
    HubUrl::parse(text, AllowInsecure::Any)
        .map(|url| url.canonical())
        .map_err(|_| wrong("public_urls", text, "a URL like https://hub.example[:port][/prefix]"))
}

fn jwt_ttl(text: &str) -> Result<Duration, ConfigError> {
    let fits = |time: &Duration| (limit::JWT_TTL_MIN..=limit::JWT_TTL_MAX).contains(time);
    unit::duration(text).ok().filter(fits).ok_or_else(|| wrong("auth.jwt_ttl", text, "a time from 1m to 24h"))
}

/// A size such as `512KiB` or `2MiB`, from 64 KiB (a batch must fit) to the protocol's limit.
fn message(text: &str) -> Result<u32, ConfigError> {
    let expected = "a size from 64KiB to 2MiB";
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit.trim() {
        "" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(wrong("limits.message", text, expected)),
    };
    digits
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| (64 * 1024..=Config::default().message_bytes).contains(bytes))
        .ok_or_else(|| wrong("limits.message", text, expected))
}

#[cfg(test)]
mod tests {
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
    fn a_hubs_urls_are_compared_in_one_form_and_tokens_have_bounds() {
        let text = "public_urls = [\"wss://Hub.Example:443/out/\", \"http://10.0.0.1:80\"]\n[auth]\njwt_ttl = \"5m\"\n";
        let config = load(text, &[]).unwrap();
        assert_eq!(config.public_urls, ["https://hub.example/out", "http://10.0.0.1"]);
        assert_eq!(config.jwt_ttl, Duration::from_secs(300));
        let config = load(text, &[("OUTPOST_PUBLIC_URLS", "https://a:8443, https://b")]).unwrap();
        assert_eq!(config.public_urls, ["https://a:8443", "https://b"]);
        for (variable, value) in
            [("OUTPOST_AUTH_JWT_TTL", "59s"), ("OUTPOST_AUTH_JWT_TTL", "25h"), ("OUTPOST_PUBLIC_URLS", "hub")]
        {
            let error = load("", &[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(value), "{error}");
        }
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_named() {
        assert!(load("lisen = \"x\"", &[]).unwrap_err().to_string().contains("lisen"));
        assert!(
            load("[limits]\nmessage = \"3MiB\"", &[]).unwrap_err().to_string().contains("limits.message")
        );
        assert!(load("", &[("OUTPOST_LISTEN", "here")]).unwrap_err().to_string().contains("listen"));
    }
}
