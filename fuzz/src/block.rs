//! A stored block as it comes from a disk: as it is, and with length and checksum made right.

use bytes::Bytes;
use outpost::limit;
use outpost::outbox::block::{self, Form, HEADER_BYTES};
use outpost::outbox::cipher::{Cipher, NONCE_BYTES};
use outpost::secret::Secret;
use outpost::wire::batch;

/// Where a block keeps its body's length and its checksum.
const LENGTH_AT: std::ops::Range<usize> = 8..12;
const CRC_AT: std::ops::Range<usize> = 48..52;
/// Written as zero, and not looked at.
const RESERVED_AT: usize = 7;

/// The bytes as they are, among others, and with their checksum made right.
pub fn run(data: &[u8]) {
    judge(data);
    let mut value = data.to_vec();
    if let Some(body) = value.len().checked_sub(HEADER_BYTES) {
        let length = u32::try_from(body).expect("inputs are short");
        value[..block::MAGIC.len()].copy_from_slice(&block::MAGIC);
        value[LENGTH_AT].copy_from_slice(&length.to_be_bytes());
        let crc = crc(&value);
        value[CRC_AT].copy_from_slice(&crc.to_be_bytes());
        judge(&value);
    }
}

fn judge(value: &[u8]) {
    if let Ok((header, body)) = block::decode_first(value) {
        let whole = HEADER_BYTES + body.len();
        assert_eq!(block::decode(&value[..whole]), Ok((header, body)));
    }
    let Ok((header, body)) = block::decode(value) else { return };
    assert!(value.len() <= limit::BLOCK_BYTES_MAX);
    assert_eq!(body.len(), value.len() - HEADER_BYTES);
    assert!(header.first > 0 && header.count > 0 && header.end() > header.first);
    if value[RESERVED_AT] == 0 {
        assert_eq!(block::encode(&header, body), value, "another value with the same meaning");
    }
    let mut flipped = value.to_vec();
    *flipped.last_mut().expect("a header at least") ^= 1;
    assert!(block::decode(&flipped).is_err(), "a flipped bit was not found");
    open(&header, body);
}

fn open(header: &block::Header, body: &[u8]) {
    let cipher = Cipher::new(&Secret::new([1; 32]));
    match header.form {
        Form::Plain => {
            let opened = block::open(header, body, Some(&cipher)).expect("a plain body is as it is");
            assert_eq!(opened, body);
            let records = batch::decode(&Bytes::copy_from_slice(body), header.count);
            assert!(records.is_err() || body.len() >= header.count as usize);
        }
        Form::Sealed => {
            assert!(block::open(header, body, None).is_err(), "opened without a key");
            assert!(block::open(header, body, Some(&cipher)).is_err(), "nobody sealed it");
        }
    }
    let sealed = cipher.seal([7; NONCE_BYTES], b"here", body);
    assert_eq!(cipher.open(b"here", &sealed).as_deref(), Some(body));
}

/// CRC-32C over everything but the checksum itself, bit by bit: the crate that the library uses is not asked.
fn crc(value: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in value[..CRC_AT.start].iter().chain(&value[CRC_AT.end..]) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}
