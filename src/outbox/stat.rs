//! Figures of an outbox, as `outbox stat` and `outbox ls` print them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::Lane;

use super::name::GenerationName;

/// The whole outbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stat {
    /// Each lane by name.
    pub lanes: BTreeMap<String, LaneStat>,
    /// Bytes of all files.
    pub disk_bytes: u64,
    /// Gaps that are not yet acked.
    pub gaps: u64,
    /// Records those gaps stand for.
    #[serde(default)]
    pub lost: u64,
    /// Records that were declared lost since the outbox was opened, by lane and reason.
    #[serde(default)]
    pub losses: BTreeMap<String, BTreeMap<String, u64>>,
    /// Whether a failure made the store refuse durable work until a restart.
    pub degraded: bool,
}

impl Stat {
    /// One lane's figures.
    pub fn lane(&self, lane: Lane) -> LaneStat {
        self.lanes.get(lane.name()).copied().unwrap_or_default()
    }
}

/// One lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaneStat {
    /// Unacked records, parts counted singly.
    pub records: u64,
    /// Their encoded bytes; estimated from file lengths for generations written before this start.
    pub bytes: u64,
    /// Bytes of the lane's files.
    pub disk_bytes: u64,
    /// When the oldest unacked record was recorded, by this machine's clock.
    pub oldest_ms: Option<u64>,
    /// The lane's quota.
    pub quota_bytes: u64,
}

/// One contiguous range of unacked records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The lane's name.
    pub lane: String,
    /// The epoch's text form.
    pub epoch: String,
    /// First number.
    pub first: u64,
    /// Last number.
    pub last: u64,
    /// How many.
    pub count: u64,
    /// Their encoded bytes, see [`LaneStat::bytes`].
    pub bytes: u64,
    /// What is done with them.
    pub state: RangeState,
}

/// What is done with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RangeState {
    /// Waits for its ack.
    Unacked,
    /// Sent, waits for its ack.
    Leased,
    /// Lies in a damaged generation.
    Quarantine,
}

/// A part of an outbox that is verified at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifiable {
    /// Everything that commits together: control records, the journal of jobs, cursors, gaps.
    Core,
    /// One generation of events or logs.
    Generation(GenerationName),
}

/// What verifying a part found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// `core`, or the generation's name.
    pub part: String,
    /// Sound blocks with unacked records.
    pub blocks: u64,
    /// Records in them, parts counted singly; acked ones of the first block too.
    pub records: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The lane's name; empty for a row of the core that is no record.
    pub lane: String,
    /// The epoch's text form.
    pub epoch: String,
    /// First number that is concerned.
    pub from: u64,
    /// Last number.
    pub to: u64,
    /// What it is.
    pub problem: String,
}
