//! `hub.toml` as it is written: which sections and keys there are, what the environment sets in their place, and whether each
//! text is what it should be. Whether it lies within its bounds is for [`Config::checked`], too.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::obs::log::Format;

use super::auth::Auth;
use super::limits::LimitsFile;
use super::live::LiveFile;
use super::quota::QuotaFile;
use super::relay::RelayFile;
use super::tls::TlsFile;
use super::{Config, ConfigError, LogConfig, wrong};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
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
    live: LiveFile,
    #[serde(default)]
    metrics: MetricsFile,
    #[serde(default)]
    log: LogConfig,
}

/// The `[metrics]` section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsFile {
    listen: Option<String>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        toml::from_str(&text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), error: Box::new(error) })
    }

    /// Lets the environment have its way.
    pub(super) fn overlaid_with(
        mut self,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let set = |name: &str, place: &mut Option<String>| *place = variable(name).or(place.take());
        set("OUTPOST_LISTEN", &mut self.listen);
        set("OUTPOST_AGENT_LISTEN", &mut self.agent_listen);
        set("OUTPOST_AUTH_SIGNATURE", &mut self.auth.signature);
        set("OUTPOST_AUTH_JWT_TTL", &mut self.auth.jwt_ttl);
        if let Some(urls) = variable("OUTPOST_PUBLIC_URLS") {
            self.public_urls = Some(urls.split(',').map(|url| url.trim().to_owned()).collect());
        }
        set("OUTPOST_METRICS_LISTEN", &mut self.metrics.listen);
        set("OUTPOST_LOG_LEVEL", &mut self.log.level);
        self.tls.overlay_environment(variable);
        self.limits.overlay_environment(variable);
        self.quota.overlay_environment(variable);
        self.relay.overlay_environment(variable)?;
        self.live.overlay_environment(variable);
        if let Some(list) = variable("OUTPOST_TRUSTED_PROXIES") {
            let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
            self.trusted_proxies = Some(entries.map(str::to_owned).collect());
        }
        if let Some(data) = variable("OUTPOST_DATA") {
            self.data = Some(data.into());
        }
        if let Some(format) = variable("OUTPOST_LOG_FORMAT") {
            self.log.format = Some(match format.as_str() {
                "text" => Format::Text,
                "json" => Format::Json,
                _ => return Err(wrong("log.format", &format, "text or json")),
            });
        }
        Ok(self)
    }

    /// Whether each text is what it should be.
    pub(super) fn check(self) -> Result<Config, ConfigError> {
        let defaults = Config::default();
        Ok(Config {
            data: self.data.unwrap_or(defaults.data),
            listen: address("listen", self.listen)?.unwrap_or(defaults.listen),
            agent_listen: address("agent_listen", self.agent_listen)?,
            tls: self.tls.check()?,
            public_urls: self.public_urls.unwrap_or_default(),
            jwt_ttl: self.auth.jwt_ttl()?,
            signature: self.auth.signature()?,
            message_bytes: self.limits.message()?,
            write_timeout: defaults.write_timeout,
            admission: self.limits.admission(&self.trusted_proxies.unwrap_or_default())?,
            quota: self.quota.check()?,
            relay: self.relay.check(self.limits.relay()?)?,
            live: self.live.check()?,
            metrics_listen: address("metrics.listen", self.metrics.listen)?,
            log: self.log,
        })
    }
}

fn address(key: &'static str, text: Option<String>) -> Result<Option<SocketAddr>, ConfigError> {
    text.map(|text| text.parse().map_err(|_| wrong(key, &text, "an address and port like 127.0.0.1:8440")))
        .transpose()
}
