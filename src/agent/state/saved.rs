//! What of the state outlives the process. It is written only after a verified RegisterAck.

use serde::{Deserialize, Serialize};

/// The outbox row that holds [`Saved`].
pub const SAVED_ROW: &str = "session";

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
