//! What the agent shows of itself: the link's state, counters, and what the last session left.
//!
//! One shared value behind a short lock that is never held across an await. `Saved` is what outlives the process; it
//! is written only after a verified RegisterAck.

mod counters;
mod tally;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::outbox::Stat;
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::error::ErrorCode;

pub use counters::{Counters, Ends};
pub use tally::Tally;

/// The outbox row that holds [`Saved`].
pub const SAVED_ROW: &str = "session";

/// The link, as `agent status` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Registered.
    Connected,
    /// Between two attempts, or in one.
    Reconnecting,
    /// No link is wanted, or the agent is stopped.
    #[default]
    Disconnected,
    /// No usable key.
    NoIdentity,
    /// The hub says that the agent was revoked.
    Revoked,
    /// The outbox takes nothing more until a restart.
    Degraded,
}

impl LinkState {
    /// What the link itself can be; that the outbox is degraded is another matter.
    pub const OF_THE_LINK: [Self; 5] =
        [Self::Connected, Self::Reconnecting, Self::Disconnected, Self::NoIdentity, Self::Revoked];

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Disconnected => "disconnected",
            Self::NoIdentity => "no_identity",
            Self::Revoked => "revoked",
            Self::Degraded => "degraded",
        }
    }
}

/// What outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Saved {
    /// The hub's address.
    pub hub: Option<String>,
    /// The hub.
    pub hub_id: Option<String>,
    /// The last session.
    pub session_id: Option<String>,
    /// When it was registered, by this machine's clock.
    pub connected_at_ms: Option<u64>,
    /// Hub time less this machine's clock.
    pub clock_offset_ms: Option<i64>,
    /// The latest hub time told within the dates of the certificate that vouched for the hub.
    pub time_floor_ms: Option<u64>,
}

/// Why the last session or attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// A name of the error table, or `link`, `identity`, `folder`.
    pub code: String,
    /// One line.
    pub text: String,
    /// Whether a MAC vouches for it: what came before the keys agreed does not bind anybody.
    pub verified: bool,
    /// When, by this machine's clock.
    pub at_ms: u64,
    /// The hub that was asked, where one was.
    #[serde(default)]
    pub hub: Option<String>,
}

/// The object of `agent status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The link.
    pub state: LinkState,
    /// The hub's address.
    pub hub: Option<String>,
    /// The hub.
    pub hub_id: Option<String>,
    /// The present session, or the last one.
    pub session_id: Option<String>,
    /// When the present session was registered, by this machine's clock.
    pub connected_since_ms: Option<u64>,
    /// Registrations after the first.
    pub reconnects: u64,
    /// Hub time less this machine's clock.
    pub clock_offset_ms: Option<i64>,
    /// What waits.
    pub outbox: Stat,
    /// Accepted and not finished jobs, by state.
    pub jobs: BTreeMap<String, u64>,
    /// The agent's version.
    pub version: String,
    /// Version of the config snapshot, 0 where none.
    pub config_version: u64,
    /// The hub's last config snapshot, where it was refused.
    #[serde(default)]
    pub config_refused: Option<RefusedConfig>,
    /// Why the last session or attempt ended.
    pub last_error: Option<LastError>,
    /// Counts since the start.
    pub counters: Counters,
}

/// A config snapshot that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedConfig {
    /// Its version.
    pub version: u64,
    /// Why.
    pub reason: String,
}

/// What the agent had of the hub's configs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KnownConfig {
    /// The version it has, 0 where none.
    pub version: u64,
    /// The lowest that may come next, where they are signed.
    pub least: u64,
}

impl KnownConfig {
    /// It has this one.
    pub const fn held(version: u64) -> Self {
        let least = if version == 0 { 0 } else { version.saturating_add(1) };
        Self { version, least }
    }
}

#[derive(Debug, Default)]
struct Inner {
    link: LinkState,
    saved: Saved,
    config: KnownConfig,
    config_refused: Option<RefusedConfig>,
    last_error: Option<LastError>,
    /// The last error of each hub since the last session: what is the same again is not worth a warning.
    failures: BTreeMap<Option<String>, LastError>,
    counters: Counters,
    ends: Ends,
    jobs: BTreeMap<String, u64>,
}

/// A handle; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct State {
    inner: Arc<Mutex<Inner>>,
}

impl State {
    /// What an earlier process left.
    pub fn restored(saved: Saved, config: KnownConfig) -> Self {
        let inner = Inner { saved, config, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves plain figures behind, never a torn state.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link's state.
    pub fn link(&self) -> LinkState {
        self.lock().link
    }

    /// The link changed.
    pub fn set_link(&self, link: LinkState) {
        self.lock().link = link;
    }

    /// A RegisterAck was verified.
    pub fn registered(&self, saved: Saved) {
        let mut inner = self.lock();
        inner.link = LinkState::Connected;
        inner.saved = saved;
        inner.last_error = None;
        inner.failures.clear();
        inner.counters.registrations = inner.counters.registrations.saturating_add(1);
    }

    /// A session or attempt ended. Returns whether this differs from the failure before, for the log.
    pub fn failed(&self, error: LastError, code: Option<ErrorCode>) -> Repeat {
        let mut inner = self.lock();
        inner.link = match code {
            Some(ErrorCode::Revoked) => LinkState::Revoked,
            _ => LinkState::Reconnecting,
        };
        inner.note(error)
    }

    /// There is no usable key, or it is not this folder's.
    pub fn without_identity(&self, error: LastError) -> Repeat {
        let mut inner = self.lock();
        inner.link = LinkState::NoIdentity;
        inner.note(error)
    }

    /// Changes the counters.
    pub fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.lock().counters);
    }

    /// Something ended.
    pub fn count_end(&self, change: impl FnOnce(&mut Ends)) {
        change(&mut self.lock().ends);
    }

    /// What ended so far.
    pub fn ends(&self) -> Ends {
        self.lock().ends.clone()
    }

    /// What jobs there are.
    pub fn set_jobs(&self, jobs: BTreeMap<String, u64>) {
        self.lock().jobs = jobs;
    }

    /// Hub time less this machine's clock, as the last session found it; zero before the first.
    pub fn clock_offset(&self) -> ClockOffset {
        ClockOffset(self.lock().saved.clock_offset_ms.unwrap_or_default())
    }

    /// The same, where a session ever found it.
    pub fn known_clock_offset(&self) -> Option<ClockOffset> {
        self.lock().saved.clock_offset_ms.map(ClockOffset)
    }

    /// A config snapshot is kept.
    pub fn configured(&self, version: u64) {
        let mut inner = self.lock();
        inner.config = KnownConfig::held(version);
        inner.config_refused = None;
    }

    /// A config snapshot was refused. Returns whether this differs from the refusal before, for the log.
    pub fn config_refused(&self, refused: RefusedConfig) -> Repeat {
        let mut inner = self.lock();
        let same = inner.config_refused.as_ref() == Some(&refused);
        inner.config_refused = Some(refused);
        if same { Repeat::Same } else { Repeat::New }
    }

    /// The hub's last config snapshot, where it was refused.
    pub fn refused_config(&self) -> Option<RefusedConfig> {
        self.lock().config_refused.clone()
    }

    /// Hub time at the last registration.
    pub fn registered_at(&self) -> Option<HubTime> {
        let inner = self.lock();
        let at = WallTime(inner.saved.connected_at_ms?);
        Some(ClockOffset(inner.saved.clock_offset_ms?).correct(at))
    }

    /// What an earlier process knew to be past, for the dates of certificates.
    pub fn time_floor(&self) -> HubTime {
        HubTime(self.lock().saved.time_floor_ms.unwrap_or_default())
    }

    /// Version of the config snapshot.
    pub fn config_version(&self) -> u64 {
        self.lock().config.version
    }

    /// The same, and which version may come next.
    pub fn known_config(&self) -> KnownConfig {
        self.lock().config
    }

    /// Everything, with the outbox's figures.
    pub fn status(&self, outbox: Stat) -> Status {
        let inner = self.lock();
        let state = if outbox.degraded { LinkState::Degraded } else { inner.link };
        let connected = inner.link == LinkState::Connected;
        Status {
            state,
            hub: inner.saved.hub.clone(),
            hub_id: inner.saved.hub_id.clone(),
            session_id: inner.saved.session_id.clone(),
            connected_since_ms: inner.saved.connected_at_ms.filter(|_| connected),
            reconnects: inner.counters.registrations.saturating_sub(1),
            clock_offset_ms: inner.saved.clock_offset_ms,
            outbox,
            jobs: inner.jobs.clone(),
            version: super::VERSION.to_owned(),
            config_version: inner.config.version,
            config_refused: inner.config_refused.clone(),
            last_error: inner.last_error.clone(),
            counters: inner.counters,
        }
    }
}

/// Whether a failure is the one before again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Something new: worth a warning.
    New,
    /// The same again.
    Same,
}

impl Inner {
    fn note(&mut self, error: LastError) -> Repeat {
        let before = self.failures.insert(error.hub.clone(), error.clone());
        let same = before.is_some_and(|last| last.code == error.code && last.text == error.text);
        self.last_error = Some(error);
        if same { Repeat::Same } else { Repeat::New }
    }
}

impl LastError {
    /// An error noted now.
    pub fn new(code: impl Into<String>, text: impl Into<String>, verified: bool, at: WallTime) -> Self {
        Self { code: code.into(), text: text.into(), verified, at_ms: at.0, hub: None }
    }

    /// The same, of this hub.
    #[must_use]
    pub fn of(self, hub: &str) -> Self {
        Self { hub: Some(hub.to_owned()), ..self }
    }
}
