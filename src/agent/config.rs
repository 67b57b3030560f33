//! The agent's settings: `agent.toml`, environment and flags, checked before anything starts.
//!
//! Precedence: flag > `OUTPOST_<SECTION>_<KEY>` > file > default. A wrong or unknown key is refused with the file or
//! variable, the key, and what is expected: a setting is never ignored in silence.

mod error;
mod exposure;
mod flags;
mod hub;
mod jobs;
mod log;
mod origin;
mod outbox;
mod raw;
mod session;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exec::ExecSettings;
use crate::limit;
use crate::net::proxy::Proxies;
use crate::net::tls::client::Settings as TlsSettings;
use crate::obs::log::Format;
use crate::outbox::Options;
use crate::time::WallTime;
use crate::wire::operator::OperatorKeys;

use super::identity::IdentityFiles;
use super::jobs::Settings as JobSettings;
use super::pace;
pub use error::ConfigError;
pub use flags::Flags;
pub use hub::Hub;
use origin::{LIBRARY, Origin};
use raw::Raw;
pub use session::SessionSettings;

/// The default data folder.
pub const DATA_DEFAULT: &str = "./outpost-agent";

/// Where an enrolment keeps the authority of its hub, in the data folder.
pub const HUB_CA_FILE: &str = "hub-ca.pem";

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
    pub jobs: JobSettings,
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
    /// What is not wrong and yet to be told at each start.
    pub warnings: Vec<String>,
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
            jobs: JobSettings::default(),
            exec: ExecSettings::default(),
            operator_keys: None,
            kinds: None,
            metrics_listen: None,
            log_format: Format::Text,
            log_level: None,
            warnings: Vec::new(),
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
        let exposure = file.and_then(|file| exposure::of(file, &raw));
        raw.overlay_environment(&environment);
        raw.overlay_flags(flags);
        let origin = Origin { file, flags: *flags != Flags::default() };
        let mut config = Self::check(&raw, &origin, &environment)?;
        config.warnings.extend(exposure);
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
        let raw = Raw::read(file)?;
        let mut config = Self::check(&raw, &Origin { file: Some(file), flags: false }, &|_| None)?;
        config.warnings.extend(exposure::of(file, &raw));
        Ok(config)
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
        tls::check_use(&config, origin)?;
        config.check_times(raw, origin)?;
        outbox::check(&mut config.outbox, &raw.outbox, origin)?;
        config.check_jobs(raw, origin)?;
        config.metrics_listen =
            raw.metrics.listen.as_deref().map(|text| origin.address("metrics.listen", text)).transpose()?;
        config.check_log(raw, origin)?;
        Ok(config)
    }
}
