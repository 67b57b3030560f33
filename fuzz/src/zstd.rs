//! A compressed batch as it comes from a peer: any bytes, of any length that they are said to have; and what this end makes of
//! any batch.

use outpost::limit;
use outpost::wire::error::ErrorCode;
use outpost::wire::zstd::{compress, decompress};

/// What every frame begins with: bytes at random would not.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// The limit of messages here: a hub's may be smaller than the protocol's.
const MOST: usize = limit::MESSAGE_BYTES_MAX / 4;

/// The first three bytes are the length that the batch is said to have; the rest is the frame, as it is and behind the magic
/// number, then a batch.
pub fn run(data: &[u8]) {
    let Some((said, rest)) = data.split_first_chunk::<3>() else { return };
    let said = u32::from_be_bytes([0, said[0], said[1], said[2]]) as usize;
    open(rest, said);
    open(&[&MAGIC, rest].concat(), said);
    round_trip(rest);
}

/// A frame holds just what it is said to hold, or is refused.
fn open(frame: &[u8], said: usize) {
    let batch = match decompress(frame, said, MOST) {
        Ok(batch) => batch,
        Err(error) => return assert_eq!(error.code, ErrorCode::BadCompression),
    };
    assert!(batch.len() == said && said <= MOST);
    for other in [said.wrapping_sub(1), said + 1] {
        assert!(decompress(frame, other, MOST).is_err(), "{said} bytes pass for {other}");
    }
    if said > 0 {
        assert!(decompress(frame, said, said - 1).is_err(), "above the limit");
    }
    assert!(decompress(&[frame, &[0]].concat(), said, MOST).is_err(), "something follows");
    assert!(decompress(&frame[..frame.len() - 1], said, MOST).is_err(), "its end is missing");
}

fn round_trip(batch: &[u8]) {
    let Some(frame) = compress(batch) else { return };
    assert!(frame.len() <= batch.len() - batch.len() / 8, "{} of {}", frame.len(), batch.len());
    assert_eq!(decompress(&frame, batch.len(), batch.len()).as_deref(), Ok(batch));
}
