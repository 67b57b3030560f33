//! A walk over a protobuf message's top-level tags: what a decoder that keeps the last of repeated fields would hide.

use super::error::{ErrorCode, WireError};

/// Field number of `mac`.
const MAC_FIELD: u32 = 15;
/// The first field number of the bodies.
const BODY_FIRST: u32 = 7;
/// Fields from here on are ignorable extensions.
const EXTENSION_FIRST: u32 = 200;

/// Field number of the envelope's one body, 0 where it has none. Refuses what is ambiguous: a second body, a
/// repeated `seq` or `sent_at_ms`, a `mac` before the trailer, groups.
pub(super) fn body_field(mut bytes: &[u8]) -> Result<u32, WireError> {
    let malformed = |detail: String| WireError::new(ErrorCode::Malformed, detail);
    let (mut seen_seq, mut seen_sent_at, mut body) = (false, false, 0);
    while !bytes.is_empty() {
        let (field, rest) = next_field(bytes)
            .ok_or_else(|| malformed(format!("a field is cut off {} bytes before the end", bytes.len())))?;
        bytes = rest;
        match field {
            0 => return Err(malformed("a field has the number 0".to_owned())),
            1 if seen_seq => return Err(malformed("field 1 (seq) stands twice".to_owned())),
            1 => seen_seq = true,
            2 if seen_sent_at => return Err(malformed("field 2 (sent_at_ms) stands twice".to_owned())),
            2 => seen_sent_at = true,
            MAC_FIELD => return Err(malformed("field 15 (mac) stands before the trailer".to_owned())),
            BODY_FIRST..EXTENSION_FIRST if body != 0 => {
                return Err(malformed(format!("two bodies, fields {body} and {field}")));
            }
            BODY_FIRST..EXTENSION_FIRST => body = field,
            _ => {}
        }
    }
    Ok(body)
}

/// The field number that `bytes` begins with, and what follows the field's value.
fn next_field(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (tag, rest) = varint(bytes)?;
    let field = u32::try_from(tag >> 3).ok()?;
    let rest = match tag & 7 {
        0 => varint(rest)?.1,
        1 => rest.get(8..)?,
        2 => length_delimited(rest)?.1,
        5 => rest.get(4..)?,
        _ => return None,
    };
    Some((field, rest))
}

/// The value of a length-delimited field whose length `bytes` begins with, and what follows it.
pub(super) fn length_delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A varint of at most ten bytes, and what follows it.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
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
