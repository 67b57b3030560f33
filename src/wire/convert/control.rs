//! What the ends say about themselves: heartbeats, and why a session ends.

use std::time::Duration;

use crate::id::Lane;
use crate::limit;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message as domain;
use crate::wire::proto;

use super::field::{bounded, cut_text, lane, lane_to_proto, millis32, register_text};

pub(super) fn heartbeat_to_proto(heartbeat: domain::Heartbeat) -> proto::Heartbeat {
    proto::Heartbeat {
        depth: Lane::ALL
            .into_iter()
            .zip(heartbeat.depth)
            .map(|(lane, depth)| proto::LaneDepth {
                lane: lane_to_proto(lane),
                records: depth.records,
                bytes: depth.bytes,
            })
            .collect(),
        agent_version: heartbeat.agent_version,
        config_version: heartbeat.config_version,
        config_refused: heartbeat.config_refused.map(|refused| proto::ConfigRefusal {
            version: refused.version,
            reason: cut_text(refused.reason, limit::ERROR_TEXT_BYTES_MAX),
        }),
    }
}

pub(super) fn heartbeat_from_proto(heartbeat: proto::Heartbeat) -> Result<domain::Heartbeat, WireError> {
    let mut depth = [domain::LaneDepth::default(); 3];
    for entry in heartbeat.depth.iter().take(depth.len()) {
        let lane = lane(entry.lane)?;
        if let Some(slot) = depth.get_mut(lane.index()) {
            *slot = domain::LaneDepth { records: entry.records, bytes: entry.bytes };
        }
    }
    Ok(domain::Heartbeat {
        depth,
        agent_version: register_text(heartbeat.agent_version, "agent_version")?,
        config_version: heartbeat.config_version,
        config_refused: heartbeat
            .config_refused
            .map(|refused| {
                let reason = bounded(refused.reason, limit::ERROR_TEXT_BYTES_MAX, "config_refused")?;
                Ok(domain::ConfigRefusal { version: refused.version, reason })
            })
            .transpose()?,
    })
}

pub(super) fn error_to_proto(error: domain::ErrorMessage) -> proto::Error {
    proto::Error {
        code: error.code.map_or(0, ErrorCode::number),
        text: cut_text(error.text, limit::ERROR_TEXT_BYTES_MAX),
        retry_after_ms: error.retry_after.map_or(0, millis32),
    }
}

pub(super) fn error_from_proto(error: proto::Error) -> Result<domain::ErrorMessage, WireError> {
    Ok(domain::ErrorMessage {
        code: ErrorCode::from_number(error.code),
        text: bounded(error.text, limit::ERROR_TEXT_BYTES_MAX, "error text")?,
        retry_after: (error.retry_after_ms > 0).then(|| Duration::from_millis(error.retry_after_ms.into())),
    })
}

pub(super) fn go_away_to_proto(go_away: domain::GoAway) -> proto::GoAway {
    proto::GoAway {
        retry_after_ms: millis32(go_away.retry_after),
        reason: cut_text(go_away.reason, limit::ERROR_TEXT_BYTES_MAX),
    }
}

pub(super) fn go_away_from_proto(go_away: proto::GoAway) -> Result<domain::GoAway, WireError> {
    Ok(domain::GoAway {
        retry_after: Duration::from_millis(go_away.retry_after_ms.into()),
        reason: bounded(go_away.reason, limit::ERROR_TEXT_BYTES_MAX, "reason")?,
    })
}
