//! What a heartbeat says. Heartbeats are never stored: only the newest matters.

use crate::id::Lane;
use crate::outbox::Stat;
use crate::wire::message::{ConfigRefusal, Heartbeat, LaneDepth};

use super::VERSION;
use super::state::State;

/// The heartbeat for these figures.
pub(super) fn heartbeat(stat: &Stat, state: &State) -> Heartbeat {
    let depth = Lane::ALL.map(|lane| {
        let figures = stat.lane(lane);
        LaneDepth { records: figures.records, bytes: figures.bytes }
    });
    let refused = state.refused_config();
    Heartbeat {
        depth,
        agent_version: VERSION.to_owned(),
        config_version: state.config_version(),
        config_refused: refused
            .map(|refused| ConfigRefusal { version: refused.version, reason: refused.reason }),
    }
}
