//! What the agent shows of itself: the link's state, counters, and what the last session left.
//!
//! One shared value behind a short lock that is never held across an await.

mod config;
mod counters;
mod failure;
mod link;
mod saved;
mod status;
mod tally;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::outbox::Stat;
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::error::ErrorCode;

pub use config::{KnownConfig, RefusedConfig};
pub use counters::{Counters, Ends};
pub use failure::{LastError, Repeat};
pub use link::LinkState;
pub use saved::{SAVED_ROW, Saved};
pub use status::Status;
pub use tally::Tally;

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

impl Inner {
    fn note(&mut self, error: LastError) -> Repeat {
        let before = self.failures.insert(error.hub.clone(), error.clone());
        let same = before.is_some_and(|last| last.code == error.code && last.text == error.text);
        self.last_error = Some(error);
        if same { Repeat::Same } else { Repeat::New }
    }
}
