//! Streams as the two ends list them at registration, and their marks.

use crate::limit;
use crate::wire::error::WireError;
use crate::wire::message as domain;
use crate::wire::proto;

use super::field::{invalid, lane_to_proto, stream};

pub(super) fn state_to_proto(state: &domain::StreamState) -> proto::StreamState {
    proto::StreamState {
        lane: lane_to_proto(state.stream.lane),
        epoch: state.stream.epoch.as_u64(),
        first_unacked: state.first_unacked,
        next: state.next,
    }
}

pub(super) fn state_from_proto(state: &proto::StreamState) -> Result<domain::StreamState, WireError> {
    if state.first_unacked == 0 || state.next < state.first_unacked {
        return Err(invalid(format!(
            "stream with first_unacked {} and next {}",
            state.first_unacked, state.next
        )));
    }
    Ok(domain::StreamState {
        stream: stream(state.lane, state.epoch)?,
        first_unacked: state.first_unacked,
        next: state.next,
    })
}

pub(super) fn mark_to_proto(mark: &domain::StreamMark) -> proto::StreamMark {
    proto::StreamMark {
        lane: lane_to_proto(mark.stream.lane),
        epoch: mark.stream.epoch.as_u64(),
        acked: mark.acked,
        acked_crc: mark.acked_crc,
    }
}

pub(super) fn mark_from_proto(mark: &proto::StreamMark) -> Result<domain::StreamMark, WireError> {
    Ok(domain::StreamMark {
        stream: stream(mark.lane, mark.epoch)?,
        acked: mark.acked,
        acked_crc: mark.acked_crc,
    })
}

pub(super) fn listing<P, D>(
    entries: &[P],
    more: bool,
    convert: fn(&P) -> Result<D, WireError>,
) -> Result<domain::Listing<D>, WireError> {
    if entries.len() > limit::STREAMS_PER_FRAME {
        let detail =
            format!("{} streams in one message, the limit is {}", entries.len(), limit::STREAMS_PER_FRAME);
        return Err(invalid(detail));
    }
    Ok(domain::Listing { entries: entries.iter().map(convert).collect::<Result<_, _>>()?, more })
}
