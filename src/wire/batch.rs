//! The records inside a batch: a protobuf `RecordBatch`, which is also what the outbox stores.
//!
//! A `RecordBatch` is nothing but its records one after the other, so batches are joined by writing one after the
//! other and cut between two records, without decoding: what the outbox stored travels as it is.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;

use crate::limit;
use crate::time::WallTime;

use super::error::{ErrorCode, WireError};
use super::message::{LossReport, Record};
use super::{convert, proto, walk};

/// Field 1, length-delimited.
const RECORD_TAG: u8 = 0x0A;
/// Number of a record's `payload`.
const PAYLOAD_FIELD: u64 = 4;

/// Appends one record's encoding to a batch.
pub fn push(record: Record, batch: &mut BytesMut) {
    let record = convert::record_to_proto(record);
    batch.put_u8(RECORD_TAG);
    prost::encoding::encode_varint(record.encoded_len() as u64, batch);
    record.encode_raw(batch);
}

/// The bytes that [`push`] appends at most for a payload, a source and an app's name of these lengths.
pub const fn encoded_len_max(payload: usize, source: usize, app: usize) -> usize {
    // tag + length, time, source tag + length, kind, payload tag + length, two part numbers, app tag + length
    (1 + 5) + 9 + (1 + 5 + source) + 2 + (1 + 5 + payload) + 2 * (1 + 5) + (1 + 1 + app)
}

/// The records of a batch, in order.
///
/// # Errors
/// `invalid` where it does not decode, where a record's fields are outside their bounds, where it does not hold
/// exactly `count` records, or where that is more than `limit::BATCH_RECORDS_MAX`.
pub fn decode(batch: &Bytes, count: u32) -> Result<Vec<Record>, WireError> {
    let invalid = |detail: String| WireError::new(ErrorCode::Invalid, detail);
    if count > limit::BATCH_RECORDS_MAX {
        return Err(invalid(format!(
            "a batch of {count} records, the limit is {}",
            limit::BATCH_RECORDS_MAX
        )));
    }
    // Counted before it is decoded: two bytes on the wire are an empty record, and a decoded one is fifty times that.
    if offset_of(batch, count as usize) != Some(batch.len()) {
        return Err(invalid(format!(
            "the batch of {} bytes does not hold just {count} records",
            batch.len()
        )));
    }
    let decoded =
        proto::RecordBatch::decode(batch.clone()).map_err(|error| invalid(format!("records: {error}")))?;
    decoded.records.into_iter().map(convert::record_from_proto).collect()
}

/// Where record `index` (from 0) begins in the batch; its length where there are exactly `index` records.
/// `None` where the batch is damaged or holds fewer.
pub fn offset_of(batch: &[u8], index: usize) -> Option<usize> {
    let mut rest = batch;
    for _ in 0..index {
        let (tag, after) = rest.split_first()?;
        if *tag != RECORD_TAG {
            return None;
        }
        rest = walk::length_delimited(after)?.1;
    }
    Some(batch.len() - rest.len())
}

/// One record where it lies in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lying<'a> {
    /// Its whole encoding, tag and length included.
    pub encoded: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

/// The record that `batch` begins with, and what follows it. `None` where the batch is empty or damaged.
pub fn split_first(batch: &[u8]) -> Option<(Lying<'_>, &[u8])> {
    let (tag, after) = batch.split_first()?;
    let (mut fields, rest) = walk::length_delimited(after).filter(|_| *tag == RECORD_TAG)?;
    let encoded = batch.get(..batch.len() - rest.len())?;
    let mut payload: &[u8] = &[];
    while !fields.is_empty() {
        let (key, value) = walk::varint(fields)?;
        fields = match key & 7 {
            0 => walk::varint(value)?.1,
            1 => value.get(8..)?,
            2 => {
                let (bytes, after) = walk::length_delimited(value)?;
                if key >> 3 == PAYLOAD_FIELD {
                    payload = bytes;
                }
                after
            }
            5 => value.get(4..)?,
            _ => return None,
        };
    }
    Some((Lying { encoded, payload }, rest))
}

/// What a mark keeps of the record it stands on: CRC-32C over its number (big-endian) and payload.
pub fn record_crc(seq: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&seq.to_be_bytes()), payload)
}

/// A loss report as a control record.
pub fn loss_record(report: LossReport, recorded_at: WallTime) -> Record {
    Record {
        recorded_at,
        source: "outpost".to_owned(),
        kind: super::message::RecordKind::LossReport,
        payload: convert::loss_to_proto(report).encode_to_vec().into(),
        part: None,
        app: None,
    }
}

/// The loss report in a control record's payload.
///
/// # Errors
/// `invalid` where it does not decode or its fields are outside their bounds.
pub fn decode_loss(payload: &[u8]) -> Result<LossReport, WireError> {
    proto::LossReport::decode(payload)
        .map_err(|error| WireError::new(ErrorCode::Invalid, format!("loss report: {error}")))
        .and_then(convert::loss_from_proto)
}
