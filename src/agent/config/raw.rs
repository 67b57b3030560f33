//! `agent.toml` as it is written. Keys of parts that are not built yet are unknown here, so that nobody believes in
//! a setting that does nothing.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::secret::Secret;
use crate::unit::Scalar;

use super::{ConfigError, Flags};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) data: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) link: Option<String>,
    pub(super) hub: RawHub,
    pub(super) reconnect: RawReconnect,
    pub(super) session: RawSession,
    pub(super) outbox: RawOutbox,
    pub(super) heartbeat: RawHeartbeat,
    pub(super) jobs: RawJobs,
    pub(super) metrics: RawMetrics,
    pub(super) log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHub {
    pub(super) urls: Option<Vec<String>>,
    #[serde(deserialize_with = "secret")]
    pub(super) proxy: Option<Secret<String>>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) identity_file: Option<PathBuf>,
    pub(super) jwt: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_cert: Option<PathBuf>,
    pub(super) client_key: Option<PathBuf>,
    #[serde(deserialize_with = "insecure")]
    pub(super) allow_insecure: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawReconnect {
    pub(super) min: Option<String>,
    pub(super) max: Option<String>,
    pub(super) fast: Option<String>,
    pub(super) fast_for: Option<String>,
    pub(super) stable: Option<String>,
    pub(super) no_ack: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSession {
    pub(super) ping: Option<String>,
    pub(super) idle: Option<String>,
    pub(super) write: Option<String>,
    pub(super) window: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawOutbox {
    pub(super) key_file: Option<PathBuf>,
    pub(super) max_bytes: Option<Scalar>,
    pub(super) min_free: Option<Scalar>,
    pub(super) control: RawLane,
    pub(super) events: RawLane,
    pub(super) logs: RawLane,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLane {
    pub(super) max_bytes: Option<Scalar>,
    pub(super) ttl: Option<String>,
    pub(super) on_full: Option<String>,
    pub(super) durable: Option<Switch>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHeartbeat {
    pub(super) interval: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJobs {
    pub(super) concurrency: Option<Scalar>,
    pub(super) queue: Option<Scalar>,
    pub(super) env_allow: Option<Vec<String>>,
    pub(super) roots: Option<Vec<PathBuf>>,
    pub(super) user: Option<String>,
    pub(super) output_max: Option<Scalar>,
    pub(super) grace: Option<String>,
    pub(super) operator_keys: Option<Vec<String>>,
    pub(super) kinds: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) level: Option<String>,
    pub(super) format: Option<String>,
}

/// `true`, or the same as text in the environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Switch {
    Value(bool),
    Text(String),
}

impl Switch {
    pub(super) fn value(&self) -> Option<bool> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

/// May hold a password.
fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Secret<String>>, D::Error> {
    String::deserialize(from).map(|text| Some(Secret::new(text)))
}

/// `allow_insecure = true`, `false` or `"any"`.
fn insecure<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Insecure {
        Switch(bool),
        Text(String),
    }
    Ok(match Insecure::deserialize(from)? {
        Insecure::Switch(false) => None,
        Insecure::Switch(true) => Some("true".to_owned()),
        Insecure::Text(text) => Some(text),
    })
}

impl RawOutbox {
    fn overlay_environment(&mut self, environment: &impl Fn(&str) -> Option<String>) {
        let scalar = |name: &str, value: &mut Option<Scalar>| {
            *value = environment(name).map(Scalar::Text).or(value.take());
        };
        scalar("OUTPOST_OUTBOX_MAX_BYTES", &mut self.max_bytes);
        scalar("OUTPOST_OUTBOX_MIN_FREE", &mut self.min_free);
        for (lane, section) in
            [("CONTROL", &mut self.control), ("EVENTS", &mut self.events), ("LOGS", &mut self.logs)]
        {
            let name = |key: &str| format!("OUTPOST_OUTBOX_{lane}_{key}");
            scalar(&name("MAX_BYTES"), &mut section.max_bytes);
            section.ttl = environment(&name("TTL")).or(section.ttl.take());
            section.on_full = environment(&name("ON_FULL")).or(section.on_full.take());
            section.durable = environment(&name("DURABLE")).map(Switch::Text).or(section.durable.take());
        }
    }
}

impl Raw {
    /// The file's content.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
        toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count().saturating_add(1));
            ConfigError::File {
                path: path.to_owned(),
                line,
                reason: error.message().lines().collect::<Vec<_>>().join(" "),
            }
        })
    }

    /// `OUTPOST_<SECTION>_<KEY>`; keys outside a section have none. Values are checked with all others.
    pub(super) fn overlay_environment(&mut self, environment: &impl Fn(&str) -> Option<String>) {
        let texts: [(&str, &mut Option<String>); 18] = [
            ("OUTPOST_LINK", &mut self.link),
            ("OUTPOST_HUB_JWT", &mut self.hub.jwt),
            ("OUTPOST_HUB_ALLOW_INSECURE", &mut self.hub.allow_insecure),
            ("OUTPOST_RECONNECT_MIN", &mut self.reconnect.min),
            ("OUTPOST_RECONNECT_MAX", &mut self.reconnect.max),
            ("OUTPOST_RECONNECT_FAST", &mut self.reconnect.fast),
            ("OUTPOST_RECONNECT_FAST_FOR", &mut self.reconnect.fast_for),
            ("OUTPOST_RECONNECT_STABLE", &mut self.reconnect.stable),
            ("OUTPOST_RECONNECT_NO_ACK", &mut self.reconnect.no_ack),
            ("OUTPOST_SESSION_PING", &mut self.session.ping),
            ("OUTPOST_SESSION_IDLE", &mut self.session.idle),
            ("OUTPOST_SESSION_WRITE", &mut self.session.write),
            ("OUTPOST_HEARTBEAT_INTERVAL", &mut self.heartbeat.interval),
            ("OUTPOST_JOBS_USER", &mut self.jobs.user),
            ("OUTPOST_JOBS_GRACE", &mut self.jobs.grace),
            ("OUTPOST_METRICS_LISTEN", &mut self.metrics.listen),
            ("OUTPOST_LOG_LEVEL", &mut self.log.level),
            ("OUTPOST_LOG_FORMAT", &mut self.log.format),
        ];
        for (name, value) in texts {
            if let Some(text) = environment(name) {
                *value = Some(text);
            }
        }
        for (name, value) in [
            ("OUTPOST_DATA", &mut self.data),
            ("OUTPOST_SOCKET", &mut self.socket),
            ("OUTPOST_HUB_KEY_FILE", &mut self.hub.key_file),
            ("OUTPOST_HUB_IDENTITY_FILE", &mut self.hub.identity_file),
            ("OUTPOST_HUB_CA_FILE", &mut self.hub.ca_file),
            ("OUTPOST_HUB_CLIENT_CERT", &mut self.hub.client_cert),
            ("OUTPOST_HUB_CLIENT_KEY", &mut self.hub.client_key),
            ("OUTPOST_OUTBOX_KEY_FILE", &mut self.outbox.key_file),
        ] {
            if let Some(text) = environment(name) {
                *value = Some(PathBuf::from(text));
            }
        }
        for (name, value) in [
            ("OUTPOST_SESSION_WINDOW", &mut self.session.window),
            ("OUTPOST_JOBS_CONCURRENCY", &mut self.jobs.concurrency),
            ("OUTPOST_JOBS_QUEUE", &mut self.jobs.queue),
            ("OUTPOST_JOBS_OUTPUT_MAX", &mut self.jobs.output_max),
        ] {
            if let Some(text) = environment(name) {
                *value = Some(Scalar::Text(text));
            }
        }
        self.outbox.overlay_environment(environment);
        // A list is separated by commas.
        let list = |text: String| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
        if let Some(text) = environment("OUTPOST_HUB_URLS") {
            self.hub.urls = Some(list(text));
        }
        if let Some(text) = environment("OUTPOST_HUB_PROXY") {
            self.hub.proxy = Some(Secret::new(text));
        }
        for (name, value) in [
            ("OUTPOST_JOBS_ENV_ALLOW", &mut self.jobs.env_allow),
            ("OUTPOST_JOBS_OPERATOR_KEYS", &mut self.jobs.operator_keys),
            ("OUTPOST_JOBS_KINDS", &mut self.jobs.kinds),
        ] {
            if let Some(text) = environment(name) {
                *value = Some(list(text));
            }
        }
        if let Some(text) = environment("OUTPOST_JOBS_ROOTS") {
            self.jobs.roots = Some(list(text).into_iter().map(PathBuf::from).collect());
        }
    }

    /// Flags win over everything.
    pub(super) fn overlay_flags(&mut self, flags: &Flags) {
        for (flag, value) in [
            (&flags.data, &mut self.data),
            (&flags.socket, &mut self.socket),
            (&flags.key_file, &mut self.hub.key_file),
            (&flags.identity_file, &mut self.hub.identity_file),
            (&flags.ca, &mut self.hub.ca_file),
            (&flags.client_cert, &mut self.hub.client_cert),
            (&flags.client_key, &mut self.hub.client_key),
        ] {
            if let Some(path) = flag {
                *value = Some(path.clone());
            }
        }
        if !flags.hubs.is_empty() {
            self.hub.urls = Some(flags.hubs.clone());
        }
        if let Some(proxy) = &flags.proxy {
            self.hub.proxy = Some(proxy.clone());
        }
        if let Some(text) = &flags.allow_insecure {
            self.hub.allow_insecure = Some(text.clone());
        }
        if flags.no_link {
            self.link = Some("off".to_owned());
        }
    }
}
