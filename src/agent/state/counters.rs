//! What an agent counts of itself from its start on.

use serde::{Deserialize, Serialize};

use super::Tally;

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Attempts to connect.
    pub dials: u64,
    /// Upgrades that succeeded.
    pub upgrades: u64,
    /// Verified RegisterAcks.
    pub registrations: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Acks received.
    pub acks: u64,
    /// Bodies this version does not know.
    pub unknown_bodies: u64,
    /// Tokens fetched.
    pub tokens: u64,
    /// Records taken from local programs.
    pub records_taken: u64,
    /// Offered jobs and config snapshots that were refused while there were operator keys.
    #[serde(default)]
    pub operator_refusals: u64,
}

/// What ended since the start. Connections by a name of the error table, or `link`, `folder`, `rotated`, `rolled_back`,
/// `closed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// Attempts that the hub did not answer with an upgrade.
    pub upgrades_failed: Tally,
    /// Connections that were upgraded and never registered.
    pub registrations_failed: Tally,
    /// Registered sessions.
    pub sessions: Tally,
    /// Jobs, by the state they ended in.
    pub jobs: Tally,
}
