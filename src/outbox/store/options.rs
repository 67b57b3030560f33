//! How an outbox is opened.

use std::path::PathBuf;

use crate::id::AgentId;
use crate::outbox::ledger::PerLane;
use crate::outbox::policy::LanePolicy;

/// How an outbox is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whose records it holds; `None` before the first usable key, see [`Outbox::bind_agent`](super::Outbox::bind_agent).
    pub agent: Option<AgentId>,
    /// Bytes the whole outbox may take on disk, the control lane's quota set aside; `None`: what the lanes' quotas allow.
    pub max_bytes: Option<u64>,
    /// Bytes of the disk that events and logs leave free; `None`: a hundredth of it, at most
    /// `limit::MIN_FREE_BYTES_MAX`.
    pub min_free: Option<u64>,
    /// What each lane may take and keep.
    pub lanes: PerLane<LanePolicy>,
    /// The key that blocks are encrypted with; made where it is missing and nothing is encrypted yet. `None` for an outbox
    /// in the clear.
    pub key_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agent: None,
            max_bytes: None,
            min_free: None,
            lanes: PerLane::from_fn(LanePolicy::of),
            key_file: None,
        }
    }
}
