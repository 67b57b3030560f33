//! `[live]`: the broker of live topics, off without a secret. The same settings in a file of their own, in YAML, as a broker
//! that stands alone has them: [`yaml`].

#[cfg(fuzzing)]
pub mod fuzzing;
mod ttl;
mod yaml;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::hub::live::RedisUrl;
use crate::limit;
use crate::obs::secret_file;
use crate::secret::Secret;
use crate::unit::Scalar;

use super::{Config, ConfigError, wrong};
pub use yaml::YamlError;

/// The port of the internal listener.
const INTERNAL_PORT: u16 = 9001;
/// The port of the public one.
const PUBLIC_PORT: u16 = 9000;
const SECRET: &str =
    "one line of at least 32 characters without blanks at its ends, the same that the workers have";
const REDIS: &str = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS, with user and password percent-encoded";
const TTL: &str = "a time from 1s to 365d, like 24h or 1h30m";
const CHANNEL: &str = "1 to 128 printable ASCII characters without blanks";
/// The channel where the config does not say.
const CHANNEL_DEFAULT: &str = "outpost.live";
const ORIGINS: &str = "at most 256 origins like https://app.example";

/// What a broker of live topics runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveConfig {
    /// Where subscribers connect. Port 0 takes a free one, here and for `internal`.
    pub public: SocketAddr,
    /// Where workers connect.
    pub internal: SocketAddr,
    /// What workers show, and what tokens are signed with: at least `limit::LIVE_SECRET_CHARS_MIN` characters.
    pub secret: Secret<String>,
    /// How long a topic is registered, from `limit::LIVE_TOPIC_TTL_MIN` to `limit::LIVE_TOPIC_TTL_MAX`.
    pub topic_ttl: Duration,
    /// Whose pages may subscribe, like `https://app.example`; empty: anybody's. At most `limit::LIVE_ORIGINS_MAX`.
    pub origins: Vec<String>,
    /// The Redis that joins several nodes; `None`: this one is alone.
    pub redis: Option<RedisConfig>,
    /// What a start warns of: the settings are read before there is a log.
    pub notices: Vec<String>,
}

/// What joins several nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is.
    pub url: RedisUrl,
    /// The channel that messages go through, and what begins the names of all else: 1 to `limit::LIVE_CHANNEL_BYTES_MAX`
    /// printable ASCII characters.
    pub channel: String,
}

impl LiveConfig {
    /// On 127.0.0.1, with the ports and times of the defaults.
    pub const fn new(secret: Secret<String>) -> Self {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            public: SocketAddr::new(here, PUBLIC_PORT),
            internal: SocketAddr::new(here, INTERNAL_PORT),
            secret,
            topic_ttl: limit::LIVE_TOPIC_TTL,
            origins: Vec::new(),
            redis: None,
            notices: Vec::new(),
        }
    }

    /// Reads the config of a broker that stands alone: YAML where the file's name ends so, else the section `[live]` of a
    /// hub's config. The environment (as `variable` knows it) has its way. With it comes the rest of the hub's config, where
    /// the file may have one.
    ///
    /// # Errors
    /// Where the file cannot be read, has keys nobody knows, or a value cannot be used.
    pub fn load(
        file: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Option<Config>), ConfigError> {
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let missing = |key| ConfigError::Value {
            place: file.display().to_string(),
            key,
            value: String::new(),
            expected: SECRET,
        };
        if ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml") {
            let mut settings = yaml::read(file)?;
            settings.overlay_environment(&variable);
            let live = settings.check().map_err(|error| error.in_file(Some(file)))?;
            return Ok((live.ok_or_else(|| missing("worker_secret"))?, None));
        }
        let config = Config::load(Some(file), variable)?;
        let live = config.live.clone().ok_or_else(|| missing("live.secret_file"))?;
        Ok((live, Some(config)))
    }

    /// What the environment says where there is no file; `None` without a secret.
    ///
    /// # Errors
    /// Where a value cannot be used.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, ConfigError> {
        let mut settings = LiveFile::default();
        settings.overlay_environment(&variable);
        settings.check()
    }

    /// A password of Redis stands in the file: others should not read it.
    pub(super) fn warn_of_password_in(&mut self, file: &Path) {
        if self.redis.as_ref().is_some_and(|redis| redis.url.has_password()) {
            self.notices.extend(secret_file::exposure(file));
        }
    }

    /// Where this machine reaches the internal listener.
    pub fn internal_from_here(&self) -> SocketAddr {
        let here: IpAddr = match self.internal.ip() {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
            other => other,
        };
        SocketAddr::new(here, self.internal.port())
    }

    /// Whether everything is within its bounds.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let characters = self.secret.expose().chars().count();
        if characters < limit::LIVE_SECRET_CHARS_MIN {
            return Err(wrong("live.secret", &format!("a text of {characters} characters"), SECRET));
        }
        // No header carries these, and other programs cut them off.
        let secret = self.secret.expose();
        if secret.trim() != secret || secret.chars().any(char::is_control) {
            let found = "a text with blanks at its ends, or with control characters";
            return Err(wrong("live.secret", found, SECRET));
        }
        if !(limit::LIVE_TOPIC_TTL_MIN..=limit::LIVE_TOPIC_TTL_MAX).contains(&self.topic_ttl) {
            return Err(wrong("live.topic_ttl", &format!("{:?}", self.topic_ttl), TTL));
        }
        if self.origins.len() > limit::LIVE_ORIGINS_MAX {
            return Err(wrong("live.origins", &format!("{} origins", self.origins.len()), ORIGINS));
        }
        if let Some(RedisConfig { channel, .. }) = &self.redis {
            let printable = channel.bytes().all(|byte| byte.is_ascii_graphic());
            if !printable || !(1..=limit::LIVE_CHANNEL_BYTES_MAX).contains(&channel.len()) {
                return Err(wrong("live.redis_channel", &channel.escape_default().to_string(), CHANNEL));
            }
        }
        Ok(())
    }
}

/// A text that may hold a password.
#[derive(Debug, Default, Clone)]
struct UrlText(Secret<String>);

impl<'de> Deserialize<'de> for UrlText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveFile {
    ws_bind: Option<String>,
    ws_port: Option<Scalar>,
    internal_bind: Option<String>,
    internal_port: Option<Scalar>,
    secret_file: Option<PathBuf>,
    /// Only in YAML: TOML names a file.
    #[serde(skip)]
    worker_secret: Option<Secret<String>>,
    /// It may hold a password.
    redis_url: Option<UrlText>,
    redis_channel: Option<String>,
    topic_ttl: Option<Scalar>,
    origins: Option<Vec<String>>,
    #[serde(skip)]
    notices: Vec<String>,
}

impl LiveFile {
    pub(super) fn overlay_environment(&mut self, variable: &impl Fn(&str) -> Option<String>) {
        let text = |name: &str, place: &mut Option<String>| *place = variable(name).or(place.take());
        text("OUTPOST_LIVE_WS_BIND", &mut self.ws_bind);
        text("OUTPOST_LIVE_INTERNAL_BIND", &mut self.internal_bind);
        let scalar = |name: &str, place: &mut Option<Scalar>| {
            *place = variable(name).map(Scalar::Text).or(place.take());
        };
        scalar("OUTPOST_LIVE_WS_PORT", &mut self.ws_port);
        scalar("OUTPOST_LIVE_INTERNAL_PORT", &mut self.internal_port);
        scalar("OUTPOST_LIVE_TOPIC_TTL", &mut self.topic_ttl);
        text("OUTPOST_LIVE_REDIS_CHANNEL", &mut self.redis_channel);
        if let Some(url) = variable("OUTPOST_LIVE_REDIS_URL") {
            self.redis_url = Some(UrlText(Secret::new(url)));
        }
        if let Some(file) = variable("OUTPOST_LIVE_SECRET_FILE") {
            (self.secret_file, self.worker_secret) = (Some(file.into()), None);
        }
        if let Some(list) = variable("OUTPOST_LIVE_ORIGINS") {
            self.origins = Some(listed(&list));
        }
    }

    /// `None`: no secret, no broker.
    pub(super) fn check(self) -> Result<Option<LiveConfig>, ConfigError> {
        let secret = match (self.worker_secret, &self.secret_file) {
            (Some(secret), _) => secret,
            (None, Some(file)) => read_secret(file)?,
            (None, None) => return Ok(None),
        };
        let port = |key, value: Option<Scalar>, default| {
            let Some(value) = value else { return Ok(default) };
            let port = value.count().and_then(|number| u16::try_from(number).ok());
            port.ok_or_else(|| wrong(key, &value.to_string(), "a port from 0 to 65535"))
        };
        let public = SocketAddr::new(
            address("live.ws_bind", self.ws_bind.as_deref())?,
            port("live.ws_port", self.ws_port, PUBLIC_PORT)?,
        );
        let internal = SocketAddr::new(
            address("live.internal_bind", self.internal_bind.as_deref())?,
            port("live.internal_port", self.internal_port, INTERNAL_PORT)?,
        );
        let topic_ttl = self.topic_ttl.map_or(Ok(limit::LIVE_TOPIC_TTL), |value| {
            ttl::parse(&value).ok_or_else(|| wrong("live.topic_ttl", &value.to_string(), TTL))
        })?;
        let origins = self.origins.unwrap_or_default();
        let redis = redis(self.redis_url, self.redis_channel)?;
        let exposed = self.secret_file.as_deref().and_then(secret_file::exposure);
        let plain = redis.as_ref().filter(|redis| redis.url.is_exposed()).map(|redis| {
            format!(
                "the link to Redis at {} is not encrypted: who can listen on the way reads all messages",
                redis.url.name()
            )
        });
        let notices = self.notices.into_iter().chain(exposed).chain(plain).collect();
        let config = LiveConfig { public, internal, secret, topic_ttl, origins, redis, notices };
        config.check()?;
        Ok(Some(config))
    }
}

/// `None` where no URL is given, or an empty one.
fn redis(url: Option<UrlText>, channel: Option<String>) -> Result<Option<RedisConfig>, ConfigError> {
    let Some(UrlText(url)) = url.filter(|UrlText(url)| !url.expose().is_empty()) else { return Ok(None) };
    // Its text is not shown.
    let url = url.expose().parse().map_err(|_| wrong("live.redis_url", "not readable", REDIS))?;
    let channel = channel.filter(|channel| !channel.is_empty()).unwrap_or_else(|| CHANNEL_DEFAULT.to_owned());
    Ok(Some(RedisConfig { url, channel }))
}

/// Origins in one text.
fn listed(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(str::to_owned).collect()
}

fn address(key: &'static str, text: Option<&str>) -> Result<IpAddr, ConfigError> {
    match text.unwrap_or_default().trim() {
        "" | "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        text => text
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| wrong(key, text, "an address like 127.0.0.1, 0.0.0.0 or ::")),
    }
}

/// The first line of the file; the workers' own copy of it may end with a line feed, too.
fn read_secret(file: &Path) -> Result<Secret<String>, ConfigError> {
    let text = secret_file::read(file).map_err(|error| ConfigError::Read { path: file.to_owned(), error })?;
    Ok(Secret::new(text.expose().trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests;
