//! A walk over a protobuf message's top-level tags: what a decoder that keeps the last of repeated fields would hide.

use bytes::Bytes;

use super::error::{ErrorCode, WireError};
use super::proto;

/// Field number of `mac`.
const MAC_FIELD: u32 = 15;
/// The first field number of the bodies.
const BODY_FIRST: u32 = 7;
/// Fields from here on are ignorable extensions.
const EXTENSION_FIRST: u32 = 200;

/// What a walk over an envelope's prefix finds.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Fields 1 to 6, in their order; 0 where absent.
    pub(super) header: [u64; 6],
    /// Field number of the one body, 0 where there is none.
    pub(super) body_field: u32,
    /// How many bytes stand before the body's value, its length included in the value.
    pub(super) body_at: usize,
    /// The body's wire type.
    pub(super) body_type: u64,
}

/// Walks a prefix. Refuses what is ambiguous: a second body, a repeated `seq` or `sent_at_ms`, a `mac` before the
/// trailer, groups.
pub(super) fn walk(prefix: &[u8]) -> Result<Walked, WireError> {
    let mut walked = Walked::default();
    let (mut seen_seq, mut seen_sent_at) = (false, false);
    let mut rest = prefix;
    while !rest.is_empty() {
        let Some((field, wire_type, value, after)) = next_field(rest) else {
            return Err(malformed(format!("a field is cut off {} bytes before the end", rest.len())));
        };
        match field {
            0 => return Err(malformed("a field has the number 0".to_owned())),
            1 if seen_seq => return Err(malformed("field 1 (seq) stands twice".to_owned())),
            2 if seen_sent_at => return Err(malformed("field 2 (sent_at_ms) stands twice".to_owned())),
            1..BODY_FIRST => {
                seen_seq |= field == 1;
                seen_sent_at |= field == 2;
                let number = (wire_type == 1).then(|| value.first_chunk::<8>()).flatten();
                let slot = walked.header.get_mut(field as usize - 1);
                let (Some(number), Some(slot)) = (number, slot) else {
                    return Err(malformed(format!("field {field} is not a fixed64")));
                };
                *slot = u64::from_le_bytes(*number);
            }
            MAC_FIELD => return Err(malformed("field 15 (mac) stands before the trailer".to_owned())),
            BODY_FIRST..EXTENSION_FIRST if walked.body_field != 0 => {
                let first = walked.body_field;
                return Err(malformed(format!("two bodies, fields {first} and {field}")));
            }
            BODY_FIRST..EXTENSION_FIRST => {
                walked.body_field = field;
                walked.body_type = wire_type;
                walked.body_at = prefix.len() - value.len();
            }
            _ => {}
        }
        rest = after;
    }
    Ok(walked)
}

/// The `Records` whose length stands at `at`: what the generated decoder would read, at half its cost. `None` for
/// whatever is not as a sender of today writes it: that is the generated decoder's to judge.
pub(super) fn records(frame: &Bytes, at: usize) -> Option<proto::Records> {
    let (mut rest, _) = length_delimited(frame.get(at..)?)?;
    let mut records = proto::Records::default();
    while let Some((tag, value)) = rest.split_first() {
        rest = match tag {
            0x11 => {
                let (epoch, after) = value.split_first_chunk::<8>()?;
                records.epoch = u64::from_le_bytes(*epoch);
                after
            }
            0x3A => {
                let (batch, after) = length_delimited(value)?;
                records.batch = frame.slice_ref(batch);
                after
            }
            tag => {
                let (number, after) = varint(value)?;
                match tag {
                    0x08 => records.lane = i32::try_from(number).ok()?,
                    0x18 => records.first = number,
                    0x20 => records.count = u32::try_from(number).ok()?,
                    0x28 => records.codec = i32::try_from(number).ok()?,
                    0x30 => records.raw_len = u32::try_from(number).ok()?,
                    // ZigZag, as sint64 is written.
                    0x40 => {
                        records.clock_offset_ms =
                            Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
                    }
                    _ => return None,
                }
                after
            }
        };
    }
    Some(records)
}

fn malformed(detail: String) -> WireError {
    WireError::new(ErrorCode::Malformed, detail)
}

/// The number and wire type of the field that `bytes` begins with, `bytes` from its value on, and what follows it.
pub(super) fn next_field(bytes: &[u8]) -> Option<(u32, u64, &[u8], &[u8])> {
    let (tag, value) = varint(bytes)?;
    let field = u32::try_from(tag >> 3).ok()?;
    let rest = match tag & 7 {
        0 => varint(value)?.1,
        1 => value.get(8..)?,
        2 => length_delimited(value)?.1,
        5 => value.get(4..)?,
        _ => return None,
    };
    Some((field, tag & 7, value, rest))
}

/// The value of a length-delimited field whose length `bytes` begins with, and what follows it.
pub(super) fn length_delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A varint of at most ten bytes, and what follows it.
#[inline]
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let Some((byte @ 0..0x80, rest)) = bytes.split_first() {
        return Some((u64::from(*byte), rest));
    }
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}
