//! Keys of the core's rows, and the values of the short ones.

use bytes::BufMut;

use crate::id::{Epoch, Lane, StreamId};
use crate::outbox::block;
use crate::outbox::store::generation;
use crate::wire::message::{Gap, GapReason};

use super::envelope::Row;

/// Behind a number in a row `n/`: this very commit closes the epoch.
const CLOSING: u8 = 1;

pub(super) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk().map(|(head, rest)| (u64::from_be_bytes(*head), rest))
}

pub(super) fn stream(bytes: &[u8]) -> Option<(StreamId, &[u8])> {
    let (lane, rest) = bytes.split_first()?;
    let (epoch, rest) = number(rest)?;
    Some((StreamId { lane: block::lane_from_code(*lane)?, epoch: Epoch::from_u64(epoch) }, rest))
}

const REASONS: [GapReason; 5] =
    [GapReason::Evicted, GapReason::Expired, GapReason::Corrupt, GapReason::CutTail, GapReason::HubLost];

pub(super) fn gap(key: &[u8], value: &[u8]) -> Option<Gap> {
    let (stream, rest) = stream(key)?;
    let (from, _) = number(rest)?;
    let (to, rest) = number(value)?;
    let (reason, rest) = rest.split_first()?;
    let (records, rest) = number(rest)?;
    let (bytes, _) = number(rest)?;
    Some(Gap { stream, from, to, reason: *REASONS.get(usize::from(*reason))?, records, bytes })
}

/// The cursor that a row holds: acked number and CRC.
pub(super) fn cursor(key: &[u8], row: Row<'_>) -> Option<(StreamId, (u64, u32))> {
    let (stream, _) = stream(key.strip_prefix(b"c/")?)?;
    let (acked, crc) = number(row.value)?;
    Some((stream, (acked, u32::from_be_bytes(*crc.first_chunk()?))))
}

/// A gap's row.
pub(in crate::outbox::store) fn gap_row(gap: &Gap) -> (Vec<u8>, Vec<u8>) {
    let mut key = stream_key(b"g/", gap.stream);
    key.put_u64(gap.from);
    let mut value = Vec::with_capacity(25);
    value.put_u64(gap.to);
    let reason = REASONS.iter().position(|reason| *reason == gap.reason).unwrap_or_default();
    value.put_u8(u8::try_from(reason).unwrap_or_default());
    value.put_u64(gap.records);
    value.put_u64(gap.bytes);
    (key, value)
}

fn stream_key(prefix: &[u8; 2], stream: StreamId) -> Vec<u8> {
    let mut key = Vec::with_capacity(19);
    key.put_slice(prefix);
    key.put_u8(block::lane_code(stream.lane));
    key.put_u64(stream.epoch.as_u64());
    key
}

pub(in crate::outbox::store) fn epoch_key(lane: Lane) -> Vec<u8> {
    vec![b'e', b'/', block::lane_code(lane)]
}

pub(in crate::outbox::store) fn next_key(stream: StreamId) -> Vec<u8> {
    stream_key(b"n/", stream)
}

/// The end of an epoch that was over before: nothing is appended to it any more.
pub(in crate::outbox::store) fn next_value(next: u64) -> Vec<u8> {
    next.to_be_bytes().to_vec()
}

/// The end of an epoch that this commit closes: where it is refused, the epoch goes on.
pub(in crate::outbox::store) fn closing_value(next: u64) -> Vec<u8> {
    let mut value = next_value(next);
    value.put_u8(CLOSING);
    value
}

/// Whether a row says nothing where its commit was refused. Cursors, gaps and the ends of epochs that were over say what
/// happened, whoever was refused beside them.
pub(super) fn is_asked_for(key: &[u8], value: &[u8]) -> bool {
    match key.first_chunk() {
        Some(b"r/" | b"j/") => true,
        Some(b"n/") => number(value).is_some_and(|(_, rest)| rest == [CLOSING]),
        _ => false,
    }
}

pub(in crate::outbox::store) fn cursor_key(stream: StreamId) -> Vec<u8> {
    stream_key(b"c/", stream)
}

pub(in crate::outbox::store) fn cursor_value(acked: u64, crc: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(12);
    value.put_u64(acked);
    value.put_u32(crc);
    value
}

pub(in crate::outbox::store) fn control_key(stream: StreamId, first: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(18);
    key.put_slice(b"r/");
    key.put_slice(&generation::key(stream, first));
    key
}

pub(in crate::outbox::store) fn name_key(name: &str) -> Vec<u8> {
    [b"k/", name.as_bytes()].concat()
}
