//! What the agent tells of itself when it is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outbox::Stat;

use super::config::RefusedConfig;
use super::{Counters, LastError, LinkState};

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
