//! What a heartbeat says. Heartbeats are never stored: only the newest matters.

use crate::id::Lane;
use crate::outbox::Stat;
use crate::wire::message::{Heartbeat, LaneDepth};

use super::VERSION;

/// The heartbeat for these figures.
pub(super) fn heartbeat(stat: &Stat, config_version: u64) -> Heartbeat {
    let depth = Lane::ALL.map(|lane| {
        let figures = stat.lane(lane);
        LaneDepth { records: figures.records, bytes: figures.bytes }
    });
    Heartbeat { depth, agent_version: VERSION.to_owned(), config_version, config_refused: None }
}
