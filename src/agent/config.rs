//! The agent's settings: `agent.toml`, environment and flags, checked before anything starts.
//!
//! Precedence: flag > `OUTPOST_<SECTION>_<KEY>` > file > default. A wrong or unknown key is refused with the file or
//! variable, the key, and what is expected: a setting is never ignored in silence.

mod hub;
mod outbox;
mod raw;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exec::{EnvAllow, ExecSettings};
use crate::job::spec::is_kind;
use crate::limit;
use crate::net::proxy::Proxies;
use crate::net::tls::client::Settings as TlsSettings;
use crate::obs::log::Format;
use crate::outbox::Options;
use crate::secret::Secret;
use crate::time::WallTime;
use crate::unit::{self, Scalar};
use crate::wire::operator::OperatorKeys;

use super::identity::IdentityFiles;
use super::{jobs, pace};
pub use hub::Hub;
use raw::Raw;

/// The default data folder.
pub const DATA_DEFAULT: &str = "./outpost-agent";

/// Where an enrolment keeps the authority of its hub, in the data folder.
pub const HUB_CA_FILE: &str = "hub-ca.pem";

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the config file {}: {reason}; check the path given with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is not TOML, or has a key this build does not know.
    #[error("{}{}: {reason}; remove the key or correct it, then run `outpost config check {}`", path.display(), line.map_or(String::new(), |line| format!(" line {line}")), path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: Option<usize>,
        /// What is wrong; names the key.
        reason: String,
    },
    /// A value is outside its bounds.
    #[error("{origin}: {key}: {reason}")]
    Value {
        /// The file, `environment` or `command line`.
        origin: String,
        /// The key or variable.
        key: String,
        /// What is wrong and what is expected.
        reason: String,
    },
}

/// Whether the agent looks for its hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkMode {
    /// It does.
    #[default]
    On,
    /// Records are taken and kept; nothing is dialled.
    Off,
}

/// Whether upgrades present short-lived tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JwtMode {
    /// Where there is a good one; otherwise the bearer.
    On,
    /// The bearer, always.
    #[default]
    Off,
}

/// What the command line sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--hub`, each of them
    pub hubs: Vec<String>,
    /// `--proxy`
    pub proxy: Option<Secret<String>>,
    /// `--key-file`
    pub key_file: Option<PathBuf>,
    /// `--identity-file`
    pub identity_file: Option<PathBuf>,
    /// `--allow-insecure[=any]`
    pub allow_insecure: Option<String>,
    /// `--no-link`
    pub no_link: bool,
    /// `--ca`
    pub ca: Option<PathBuf>,
    /// `--client-cert`
    pub client_cert: Option<PathBuf>,
    /// `--client-key`
    pub client_key: Option<PathBuf>,
}

/// The `[session]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// Distance of pings.
    pub ping: Duration,
    /// Silence that ends a session.
    pub idle: Duration,
    /// Time without one byte accepted by the peer that ends a session.
    pub write: Duration,
    /// Unacked bytes in flight.
    pub window_bytes: u32,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            ping: limit::PING_INTERVAL,
            idle: limit::IDLE_TIMEOUT,
            write: limit::WRITE_TIMEOUT,
            window_bytes: limit::WINDOW_BYTES,
        }
    }
}

/// Checked settings of one agent.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// The Unix socket.
    pub socket: PathBuf,
    /// Whether the hub is dialled.
    pub link: LinkMode,
    /// Where the hub is: addresses that are asked in turn; none only without a link.
    pub hubs: Vec<Hub>,
    /// The way there.
    pub proxies: Proxies,
    /// The agent key, `DATA/agent.key` by default. It need not exist yet.
    pub key_file: PathBuf,
    /// The Ed25519 identity, where one is named; else `DATA/agent.identity` where that is there.
    pub identity_file: Option<PathBuf>,
    /// Whether upgrades present tokens.
    pub jwt: JwtMode,
    /// Whom TLS believes, `DATA/hub-ca.pem` where nothing is set and that is there, and what it shows.
    pub tls: TlsSettings,
    /// Reconnect delays.
    pub reconnect: pace::Settings,
    /// A backlog without an ack for this long ends the session.
    pub no_ack: Duration,
    /// Session settings.
    pub session: SessionSettings,
    /// What the outbox may take and keep; its agent is filled in from the key.
    pub outbox: Options,
    /// Distance of heartbeats; `None` leaves it to the hub.
    pub heartbeat: Option<Duration>,
    /// How many jobs run, and how they end.
    pub jobs: jobs::Settings,
    /// What jobs of the kind `exec` may do.
    pub exec: ExecSettings,
    /// Whose signatures jobs and config snapshots need; `None`: they need none.
    pub operator_keys: Option<OperatorKeys>,
    /// The only kinds of job that are run; `None`: every kind there is a handler for.
    pub kinds: Option<BTreeSet<String>>,
    /// Where metrics are answered; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// How log lines look.
    pub log_format: Format,
    /// The least severe level that is logged; `None` leaves it to the command line.
    pub log_level: Option<tracing::level_filters::LevelFilter>,
    /// The wall clock, a seam for tests: an agent whose clock is decades off must deliver.
    pub wall_clock: fn() -> WallTime,
}

impl Config {
    /// The defaults for a data folder: no hub, link off. What tests and the library begin with.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let data = data.into();
        Self {
            socket: data.join("agent.sock"),
            link: LinkMode::Off,
            hubs: Vec::new(),
            proxies: Proxies::default(),
            key_file: data.join("agent.key"),
            identity_file: None,
            jwt: JwtMode::default(),
            tls: TlsSettings { ca_default: Some(data.join(HUB_CA_FILE)), ..TlsSettings::default() },
            reconnect: pace::Settings::default(),
            no_ack: limit::NO_ACK_TIMEOUT,
            session: SessionSettings::default(),
            outbox: Options::default(),
            heartbeat: None,
            jobs: jobs::Settings::default(),
            exec: ExecSettings::default(),
            operator_keys: None,
            kinds: None,
            metrics_listen: None,
            log_format: Format::Text,
            log_level: None,
            wall_clock: crate::obs::clock::wall_now,
            data,
        }
    }

    /// Where it is written who the agent is.
    pub fn identity_files(&self) -> IdentityFiles {
        IdentityFiles {
            key_file: self.key_file.clone(),
            identity_file: self.identity_file.clone(),
            identity_default: self.data.join("agent.identity"),
        }
    }

    /// Turns the link on. One more address each time; they are asked in turn.
    ///
    /// # Errors
    /// Where the address is not one this build can use, or one too many.
    pub fn with_hub(mut self, url: &str, allow_insecure: Option<&str>) -> Result<Self, ConfigError> {
        self.add_hub(url, allow_insecure, &LIBRARY)?;
        self.check_way(&LIBRARY)?;
        self.link = LinkMode::On;
        Ok(self)
    }

    /// Reaches every hub through this HTTP proxy, `http://[user:password@]host[:port]`.
    ///
    /// # Errors
    /// Where the URL is none, or plain text may not go there.
    pub fn with_proxy(mut self, url: &str) -> Result<Self, ConfigError> {
        self.proxies = Proxies::new(Some(url), |_| None)
            .map_err(|error| LIBRARY.wrong("hub.proxy", error.to_string()))?;
        self.check_way(&LIBRARY)?;
        Ok(self)
    }

    /// Reads file, environment and flags.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let mut raw = file.map(Raw::read).transpose()?.unwrap_or_default();
        raw.overlay_environment(&environment);
        raw.overlay_flags(flags);
        let origin = Origin { file, flags: *flags != Flags::default() };
        let config = Self::check(&raw, &origin, &environment)?;
        if config.link == LinkMode::On && config.hubs.is_empty() {
            return Err(origin.wrong(
                "hub.urls",
                "no hub address: pass --hub URL, set OUTPOST_HUB_URLS or hub.urls, or pass --no-link to only take records",
            ));
        }
        Ok(config)
    }

    /// Checks a file as it stands, without environment and flags; a missing address is no error here.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check_file(file: &Path) -> Result<Self, ConfigError> {
        Self::check(&Raw::read(file)?, &Origin { file: Some(file), flags: false }, &|_| None)
    }

    fn check(
        raw: &Raw,
        origin: &Origin<'_>,
        environment: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let data = raw.data.clone().unwrap_or_else(|| PathBuf::from(DATA_DEFAULT));
        let mut config = Self::new(data);
        config.socket = raw.socket.clone().unwrap_or(config.socket);
        config.link = match raw.link.as_deref() {
            None | Some("on") => LinkMode::On,
            Some("off") => LinkMode::Off,
            Some(other) => return Err(origin.wrong("link", format!("`{other}` is not `on` or `off`"))),
        };
        config.key_file = raw.hub.key_file.clone().unwrap_or(config.key_file);
        config.identity_file = raw.hub.identity_file.clone();
        config.jwt = match raw.hub.jwt.as_deref() {
            None | Some("off") => JwtMode::Off,
            Some("on") => JwtMode::On,
            Some(other) => return Err(origin.wrong("hub.jwt", format!("`{other}` is not `on` or `off`"))),
        };
        tls::check(&mut config.tls, &raw.hub, origin)?;
        config.check_hubs(raw, origin, environment)?;
        config.check_times(raw, origin)?;
        outbox::check(&mut config.outbox, &raw.outbox, origin)?;
        config.check_jobs(raw, origin)?;
        config.metrics_listen =
            raw.metrics.listen.as_deref().map(|text| origin.address("metrics.listen", text)).transpose()?;
        config.check_log(raw, origin)?;
        Ok(config)
    }

    fn check_times(&mut self, raw: &Raw, origin: &Origin<'_>) -> Result<(), ConfigError> {
        let section = &raw.reconnect;
        let pace = &mut self.reconnect;
        origin.time("reconnect.min", &section.min, &mut pace.min)?;
        origin.time("reconnect.max", &section.max, &mut pace.max)?;
        origin.time("reconnect.fast", &section.fast, &mut pace.fast)?;
        origin.time("reconnect.fast_for", &section.fast_for, &mut pace.fast_for)?;
        origin.time("reconnect.stable", &section.stable, &mut pace.stable)?;
        origin.time("reconnect.no_ack", &section.no_ack, &mut self.no_ack)?;
        if pace.min > pace.max {
            return Err(origin.wrong("reconnect.min", "is greater than reconnect.max; make it smaller"));
        }
        origin.time("session.ping", &raw.session.ping, &mut self.session.ping)?;
        origin.time("session.idle", &raw.session.idle, &mut self.session.idle)?;
        origin.time("session.write", &raw.session.write, &mut self.session.write)?;
        if self.session.ping >= self.session.idle {
            return Err(origin.wrong(
                "session.ping",
                "is not smaller than session.idle; a healthy session would end for idleness",
            ));
        }
        if let Some(window) = origin.size("session.window", raw.session.window.as_ref())? {
            let least = limit::BATCH_BYTES as u64;
            let window =
                u32::try_from(window).ok().filter(|window| u64::from(*window) >= least).ok_or_else(|| {
                    origin.wrong("session.window", format!("must be {least} bytes to 4 GiB less one byte"))
                })?;
            self.session.window_bytes = window;
        }
        let mut interval = limit::HEARTBEAT_INTERVAL;
        origin.time("heartbeat.interval", &raw.heartbeat.interval, &mut interval)?;
        if interval < Duration::from_secs(1) {
            return Err(origin.wrong("heartbeat.interval", "must be at least 1s"));
        }
        self.heartbeat = raw.heartbeat.interval.as_ref().map(|_| interval);
        Ok(())
    }

    fn check_jobs(&mut self, raw: &Raw, origin: &Origin<'_>) -> Result<(), ConfigError> {
        let (section, jobs) = (&raw.jobs, &mut self.jobs);
        let most = limit::JOB_QUEUE_MAX;
        if let Some(places) = origin.count("jobs.concurrency", section.concurrency.as_ref(), most)? {
            jobs.concurrency = places;
        }
        if let Some(queue) = origin.count("jobs.queue", section.queue.as_ref(), most)? {
            jobs.queue = queue.get() as usize;
        }
        origin.time("jobs.grace", &section.grace, &mut jobs.grace)?;
        if let Some(bytes) = origin.size("jobs.output_max", section.output_max.as_ref())? {
            jobs.output_max = bytes;
        }
        if let Some(patterns) = &section.env_allow {
            self.exec.env_allow = EnvAllow::new(patterns.clone());
        }
        for root in section.roots.iter().flatten() {
            if !root.is_absolute() {
                return Err(origin.wrong("jobs.roots", format!("{} is not absolute", root.display())));
            }
            self.exec.roots.push(root.clone());
        }
        self.exec.user.clone_from(&section.user);
        if let Some(texts) = &section.operator_keys {
            let keys = OperatorKeys::parse(texts);
            self.operator_keys =
                Some(keys.map_err(|error| origin.wrong("jobs.operator_keys", error.to_string()))?);
        }
        self.kinds = section.kinds.as_deref().map(|kinds| origin.kinds(kinds)).transpose()?;
        Ok(())
    }

    fn check_log(&mut self, raw: &Raw, origin: &Origin<'_>) -> Result<(), ConfigError> {
        self.log_format = match raw.log.format.as_deref() {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => {
                return Err(origin.wrong("log.format", format!("`{other}` is not `text` or `json`")));
            }
        };
        self.log_level = match raw.log.level.as_deref() {
            None => None,
            Some(text @ ("off" | "error" | "warn" | "info" | "debug" | "trace")) => text.parse().ok(),
            Some(other) => {
                let reason = format!("`{other}` is not off, error, warn, info, debug or trace");
                return Err(origin.wrong("log.level", reason));
            }
        };
        Ok(())
    }
}

/// Where the library's users write it.
const LIBRARY: Origin<'_> = Origin { file: None, flags: false };

/// Where a wrong value may have come from, for its message.
struct Origin<'a> {
    file: Option<&'a Path>,
    flags: bool,
}

impl Origin<'_> {
    fn wrong(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        let origin = match (self.file, self.flags) {
            (Some(file), _) => file.display().to_string(),
            (None, true) => "command line".to_owned(),
            (None, false) => "settings".to_owned(),
        };
        ConfigError::Value { origin, key: key.to_owned(), reason: reason.into() }
    }

    fn time(&self, key: &str, text: &Option<String>, value: &mut Duration) -> Result<(), ConfigError> {
        if let Some(text) = text {
            *value = unit::duration(text).map_err(|error| self.wrong(key, error.to_string()))?;
            if value.is_zero() {
                return Err(self.wrong(key, "must not be zero"));
            }
        }
        Ok(())
    }

    /// A whole number from 1 to `most`.
    fn count(&self, key: &str, value: Option<&Scalar>, most: u32) -> Result<Option<NonZeroU32>, ConfigError> {
        let Some(value) = value else { return Ok(None) };
        let number = value.count().and_then(|number| u32::try_from(number).ok());
        let fits = number.filter(|number| *number <= most).and_then(NonZeroU32::new);
        fits.map(Some).ok_or_else(|| self.wrong(key, format!("must be a whole number from 1 to {most}")))
    }

    fn size(&self, key: &str, value: Option<&Scalar>) -> Result<Option<u64>, ConfigError> {
        value.map(|value| value.bytes().map_err(|error| self.wrong(key, error.to_string()))).transpose()
    }

    fn address(&self, key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
        let wrong = |_| self.wrong(key, format!("`{text}` is not an address and port like 127.0.0.1:9440"));
        text.parse().map_err(wrong)
    }

    fn kinds(&self, kinds: &[String]) -> Result<BTreeSet<String>, ConfigError> {
        if kinds.len() > limit::JOB_KINDS_MAX {
            let reason = format!("{} kinds, the limit is {}", kinds.len(), limit::JOB_KINDS_MAX);
            return Err(self.wrong("jobs.kinds", reason));
        }
        match kinds.iter().find(|kind| !is_kind(kind)) {
            Some(kind) => {
                Err(self
                    .wrong("jobs.kinds", format!("`{kind}` is not 1 to 64 of a-z, 0-9, `.`, `_` and `-`")))
            }
            None => Ok(kinds.iter().cloned().collect()),
        }
    }
}
