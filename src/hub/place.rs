//! Where a list or a stream goes on, as text that a caller hands back as it got it.
//!
//! ```text
//! text = base64url(kind[1] || place || CRC-32C[4] over both)
//! ```
//! A place is a key, not a count: what is added or removed meanwhile neither repeats nor skips anything else. The checksum tells
//! a place of another kind, or one that was cut or made up, from a good one; it is no secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longer than any place there is.
const TEXT_BYTES_MAX: usize = 256;

fn checked(kind: u8, place: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), place).to_be_bytes()
}

/// The text of a place.
pub(super) fn encode(kind: u8, place: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&[kind], place, &checked(kind, place)].concat())
}

/// The place of a text; `None` where it is of another kind, or was never given.
pub(super) fn decode(kind: u8, text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (rest, checksum) = bytes.split_last_chunk::<4>()?;
    let (first, place) = rest.split_first()?;
    (*first == kind && *checksum == checked(kind, place)).then(|| place.to_vec())
}
