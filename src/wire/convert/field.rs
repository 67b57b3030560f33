//! Single fields: those that several messages have, and their bounds.

use std::time::Duration;

use crate::id::{Epoch, Lane, StreamId};
use crate::limit;
use crate::time::millis;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::operator::OperatorSignature;
use crate::wire::proto;

pub(super) fn lane_to_proto(lane: Lane) -> i32 {
    let lane = match lane {
        Lane::Control => proto::Lane::Control,
        Lane::Events => proto::Lane::Events,
        Lane::Logs => proto::Lane::Logs,
    };
    lane as i32
}

pub(super) fn lane(number: i32) -> Result<Lane, WireError> {
    match proto::Lane::try_from(number) {
        Ok(proto::Lane::Control) => Ok(Lane::Control),
        Ok(proto::Lane::Events) => Ok(Lane::Events),
        Ok(proto::Lane::Logs) => Ok(Lane::Logs),
        Ok(proto::Lane::Unspecified) | Err(_) => Err(invalid(format!("lane {number}"))),
    }
}

pub(super) fn stream(lane_number: i32, epoch: u64) -> Result<StreamId, WireError> {
    Ok(StreamId { lane: lane(lane_number)?, epoch: Epoch::from_u64(epoch) })
}

pub(super) fn fixed<const N: usize>(bytes: &[u8], field: &str) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| invalid(format!("{field} has {} bytes instead of {N}", bytes.len())))
}

pub(super) fn operator_signature(bytes: &[u8]) -> Result<Option<OperatorSignature>, WireError> {
    OperatorSignature::from_wire(bytes)
        .map_err(|length| invalid(format!("signature has {length} bytes instead of 64")))
}

pub(super) fn register_text(text: String, field: &str) -> Result<String, WireError> {
    bounded(text, limit::REGISTER_TEXT_BYTES_MAX, field)
}

pub(super) fn bounded(text: String, bytes_max: usize, field: &str) -> Result<String, WireError> {
    if text.len() > bytes_max {
        return Err(invalid(format!("{field} of {} bytes, the limit is {bytes_max}", text.len())));
    }
    Ok(text)
}

/// Our own texts are cut, not refused: an error must get through.
pub(super) fn cut_text(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

pub(super) fn millis32(duration: Duration) -> u32 {
    u32::try_from(millis(duration)).unwrap_or(u32::MAX)
}

pub(super) fn seconds32(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

pub(super) fn invalid(detail: String) -> WireError {
    WireError::new(ErrorCode::Invalid, detail)
}
