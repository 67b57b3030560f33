//! What an append hands over is checked, cut into parts and encoded here, on the caller's task: the store's thread
//! only copies bytes.

use bytes::BytesMut;

use crate::id::Lane;
use crate::limit;
use crate::wire::batch;
use crate::wire::message::{Part, Record};

use super::{AppendError, NewRecord, block, cipher};

// The longest part with the longest source must fit into one stored block, encrypted or not.
const _: () = assert!(
    batch::encoded_len_max(limit::RECORD_PART_BYTES_MAX, limit::SOURCE_BYTES_MAX, limit::APP_BYTES_MAX)
        + block::HEADER_BYTES
        + cipher::SEAL_BYTES
        <= limit::BLOCK_BYTES_MAX
        && batch::encoded_len_max(
            limit::CONTROL_PART_BYTES_MAX,
            limit::SOURCE_BYTES_MAX,
            limit::APP_BYTES_MAX
        ) + block::HEADER_BYTES
            + cipher::SEAL_BYTES
            <= limit::ROW_BYTES_MAX
);

/// Payload of the longest part in a lane.
pub const fn part_bytes_max(lane: Lane) -> usize {
    match lane {
        Lane::Control => limit::CONTROL_PART_BYTES_MAX,
        Lane::Events | Lane::Logs => limit::RECORD_PART_BYTES_MAX,
    }
}

/// One append, encoded: its records (long ones as parts) one after the other, not yet numbered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The encodings.
    pub bytes: BytesMut,
    /// Each one's length and time, in order.
    pub units: Vec<Unit>,
    /// Records as they were handed over.
    pub given: u64,
}

/// One numbered thing: a record or a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Bytes of its encoding.
    pub len: usize,
    /// `recorded_at` in milliseconds.
    pub recorded_at_ms: u64,
}

impl Encoded {
    /// Adds a record that is already encoded.
    pub fn push_encoded(&mut self, encoded: &[u8], recorded_at_ms: u64) {
        self.bytes.extend_from_slice(encoded);
        self.units.push(Unit { len: encoded.len(), recorded_at_ms });
        self.given += 1;
    }

    /// Adds a record or part.
    pub fn push(&mut self, record: Record) {
        let start = self.bytes.len();
        let recorded_at_ms = record.recorded_at.0;
        batch::push(record, &mut self.bytes);
        self.units.push(Unit { len: self.bytes.len() - start, recorded_at_ms });
    }

    /// Adds what another append brings.
    pub fn append(&mut self, other: Self) {
        self.bytes.extend_from_slice(&other.bytes);
        self.units.extend(other.units);
        self.given = self.given.saturating_add(other.given);
    }

    /// Each unit's encoding and time.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut rest: &[u8] = &self.bytes;
        self.units.iter().map_while(move |unit| {
            let (head, tail) = rest.split_at_checked(unit.len)?;
            rest = tail;
            Some((head, unit.recorded_at_ms))
        })
    }
}

/// Checks, cuts and encodes one append's records.
///
/// # Errors
/// `Empty`, `RecordTooLarge`, `SourceTooLong`, `CallTooLarge`.
pub fn encode(lane: Lane, records: Vec<NewRecord>) -> Result<Encoded, AppendError> {
    if records.is_empty() {
        return Err(AppendError::Empty);
    }
    encode_any(lane, records)
}

/// As [`encode`], and none at all is fine too.
///
/// # Errors
/// `RecordTooLarge`, `SourceTooLong`, `CallTooLarge`.
pub fn encode_any(lane: Lane, records: Vec<NewRecord>) -> Result<Encoded, AppendError> {
    for (index, record) in records.iter().enumerate() {
        check(index, record)?;
    }
    let payload: usize = records.iter().map(|record| record.payload.len()).sum();
    too_large_call(payload)?;
    let mut encoded = Encoded {
        bytes: BytesMut::with_capacity(payload + 48 * records.len()),
        units: Vec::with_capacity(records.len()),
        given: records.len() as u64,
    };
    for record in records {
        cut(record, part_bytes_max(lane), &mut encoded);
    }
    too_large_call(encoded.bytes.len())?;
    Ok(encoded)
}

fn check(index: usize, record: &NewRecord) -> Result<(), AppendError> {
    let bytes = record.payload.len();
    if bytes > limit::RECORD_BYTES_MAX {
        return Err(AppendError::RecordTooLarge { index, bytes, limit: limit::RECORD_BYTES_MAX });
    }
    let bytes = record.source.len();
    if bytes > limit::SOURCE_BYTES_MAX {
        return Err(AppendError::SourceTooLong { index, bytes, limit: limit::SOURCE_BYTES_MAX });
    }
    Ok(())
}

fn too_large_call(bytes: usize) -> Result<(), AppendError> {
    if bytes > limit::APPEND_BYTES_MAX {
        return Err(AppendError::CallTooLarge { bytes, limit: limit::APPEND_BYTES_MAX });
    }
    Ok(())
}

fn cut(record: NewRecord, part_bytes: usize, encoded: &mut Encoded) {
    let NewRecord { recorded_at, source, kind, payload, app } = record;
    if payload.len() <= part_bytes {
        encoded.push(Record { recorded_at, source, kind, payload, part: None, app });
        return;
    }
    // At most 1 MiB / 5.5 KiB = 187 parts.
    let of = u32::try_from(payload.len().div_ceil(part_bytes)).unwrap_or(u32::MAX);
    let mut rest = payload;
    for index in 1..=of {
        let piece = rest.split_to(rest.len().min(part_bytes));
        let part = Some(Part { index, of });
        let (source, app) = (source.clone(), app.clone());
        encoded.push(Record { recorded_at, source, kind, payload: piece, part, app });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::time::WallTime;
    use crate::wire::message::RecordKind;

    fn record(bytes: usize) -> NewRecord {
        NewRecord {
            recorded_at: WallTime(5),
            source: "test".to_owned(),
            kind: RecordKind::Opaque,
            payload: Bytes::from(vec![7; bytes]),
            app: None,
        }
    }

    #[test]
    fn a_record_at_the_part_limit_stays_whole_and_one_byte_more_is_cut() {
        for lane in Lane::ALL {
            let whole = encode(lane, vec![record(part_bytes_max(lane))]).unwrap();
            assert_eq!(whole.units.len(), 1);
            let cut = encode(lane, vec![record(part_bytes_max(lane) + 1)]).unwrap();
            assert_eq!((cut.units.len(), cut.given), (2, 1));
            let parts = batch::decode(&cut.bytes.freeze(), 2).unwrap();
            assert_eq!(parts[1].part, Some(Part { index: 2, of: 2 }));
            assert_eq!(parts[1].payload.len(), 1);
        }
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_size() {
        assert!(encode(Lane::Logs, vec![record(limit::RECORD_BYTES_MAX)]).is_ok());
        let error = encode(Lane::Logs, vec![record(1), record(limit::RECORD_BYTES_MAX + 1)]).unwrap_err();
        assert!(matches!(error, AppendError::RecordTooLarge { index: 1, .. }), "{error}");
        let long = NewRecord { source: "s".repeat(129), ..record(1) };
        assert!(matches!(encode(Lane::Logs, vec![long]), Err(AppendError::SourceTooLong { index: 0, .. })));
        let many = vec![record(limit::RECORD_BYTES_MAX), record(limit::RECORD_BYTES_MAX), record(1)];
        assert!(matches!(encode(Lane::Logs, many), Err(AppendError::CallTooLarge { .. })));
        assert_eq!(encode(Lane::Logs, Vec::new()), Err(AppendError::Empty));
    }
}
