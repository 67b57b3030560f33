//! Frames made by hand: prefixes no sender of ours would make, signed all the same.

use bytes::{Bytes, BytesMut};
use outpost::id::MessageId;
use outpost::secret::Secret;
use outpost::time::HubTime;
use outpost::wire::envelope::{Header, seal};
use outpost::wire::error::{ErrorCode, WireError};
use outpost::wire::mac::MacKey;
use outpost::wire::message::Message;

/// `mac` as the last field: number 15, length-delimited, 32 bytes.
pub(crate) const TRAILER: [u8; 2] = [0x7A, 0x20];

/// The key of all frames here.
pub(crate) fn key() -> MacKey {
    MacKey::new(&Secret::new([7; 32]))
}

/// A frame with this prefix and a MAC that holds.
pub(crate) fn signed(prefix: &[u8]) -> Bytes {
    [prefix, &TRAILER, &key().sign(prefix)].concat().into()
}

/// The header of frames whose header does not matter.
pub(crate) fn header() -> Header {
    Header { seq: 1, sent_at: HubTime(2), id: MessageId { hi: 3, lo: 4 }, correlation: MessageId::NONE }
}

/// A sealed message.
pub(crate) fn sealed(message: Message) -> Bytes {
    let mut frame = BytesMut::new();
    seal(header(), message, &key(), &mut frame);
    frame.freeze()
}

/// Fields 1 and 2 as every honest prefix begins.
pub(crate) fn beginning() -> Vec<u8> {
    [field64(1, 1), field64(2, 2)].concat()
}

/// A fixed64 field.
pub(crate) fn field64(number: u32, value: u64) -> Vec<u8> {
    [tag(number, 1), value.to_le_bytes().to_vec()].concat()
}

/// A length-delimited field.
pub(crate) fn field_bytes(number: u32, content: &[u8]) -> Vec<u8> {
    [tag(number, 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A varint field.
pub(crate) fn field_varint(number: u32, value: u64) -> Vec<u8> {
    [tag(number, 0), varint(value)].concat()
}

/// A field's tag.
pub(crate) fn tag(number: u32, wire_type: u64) -> Vec<u8> {
    varint(u64::from(number) << 3 | wire_type)
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

/// The code and detail of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, WireError>) -> (ErrorCode, String) {
    let error = result.unwrap_err();
    (error.code, error.detail)
}
