//! Records and Gaps outside an envelope, as a bundle carries them: the same messages with the same bounds.
//!
//! ```text
//! entry = kind u8 (1 Records, 2 Gap) | length u32 BE | the protobuf message
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use crate::id::StreamId;

use super::error::{ErrorCode, WireError};
use super::message::{Gap, Records};
use super::{convert, proto};

/// Bytes before the message.
const HEAD_BYTES: usize = 5;
/// What an entry adds to the batch it carries, at most.
pub const OVERHEAD_BYTES_MAX: usize = HEAD_BYTES + 80;

/// Consecutive numbers of one stream: what stands there, or why nothing does.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Records.
    Records(Records),
    /// Numbers that will not come.
    Gap(Gap),
}

impl Entry {
    /// The stream.
    pub const fn stream(&self) -> StreamId {
        match self {
            Self::Records(records) => records.stream,
            Self::Gap(gap) => gap.stream,
        }
    }

    /// First number.
    pub const fn first(&self) -> u64 {
        match self {
            Self::Records(records) => records.first,
            Self::Gap(gap) => gap.from,
        }
    }

    /// Last number.
    pub const fn last(&self) -> u64 {
        match self {
            Self::Records(records) => records.last(),
            Self::Gap(gap) => gap.to,
        }
    }
}

/// Appends one entry.
pub fn push(entry: Entry, out: &mut BytesMut) {
    let (kind, message) = match entry {
        Entry::Records(records) => (1, convert::records_to_proto(records).encode_to_vec()),
        Entry::Gap(gap) => (2, convert::gap_to_proto(gap).encode_to_vec()),
    };
    out.put_u8(kind);
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(&message);
}

/// Takes the first entry off.
///
/// # Errors
/// `invalid` where it is cut off, of an unknown kind, or outside a message's bounds.
pub fn split(content: &mut Bytes) -> Result<Entry, WireError> {
    let invalid = |detail: &str| WireError::new(ErrorCode::Invalid, detail);
    if content.len() < HEAD_BYTES {
        return Err(invalid("an entry is cut off"));
    }
    let (kind, length) = (content.get_u8(), content.get_u32() as usize);
    if length > content.len() {
        return Err(invalid("an entry is longer than what holds it"));
    }
    let message = content.split_to(length);
    let malformed = |error: prost::DecodeError| invalid(&error.to_string());
    match kind {
        1 => proto::Records::decode(message)
            .map_err(malformed)
            .and_then(convert::records_from_proto)
            .map(Entry::Records),
        2 => proto::Gap::decode(message)
            .map_err(malformed)
            .and_then(|gap| convert::gap_from_proto(&gap))
            .map(Entry::Gap),
        other => Err(invalid(&format!("an entry of kind {other}"))),
    }
}
