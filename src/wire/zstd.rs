//! Batches that were made smaller for a slow line: one zstd frame each.
//!
//! Whoever takes one in knows its size before (`raw_len`, bounded by the limit of messages that is in force): it is decoded into
//! exactly that much memory and must fill it. So no frame, however it was made, takes more memory or time than a plain message of the
//! greatest size.

use bytes::Bytes;

use crate::limit;

use super::error::{ErrorCode, WireError};

/// Level 1: the fastest; higher ones save little on batches of some kilobytes.
const LEVEL: i32 = 1;
/// What a frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// In the byte after the magic number: the frame needs no window beside its content.
const SINGLE_SEGMENT: u8 = 1 << 5;
/// `ZSTD_error_dstSize_tooSmall` of zstd_errors.h, whose numbers are stable; the library's small build has no texts.
const MEMORY_ENDS: usize = 70;
/// Base-2 logarithm of the smallest window.
const WINDOW_LOG_LEAST: u8 = 10;

/// The batch as one frame; `None` where that would save less than an eighth.
pub fn compress(batch: &[u8]) -> Option<Bytes> {
    let mut frame = vec![0; batch.len() - batch.len() / 8];
    // What does not fit there is not worth it.
    let length = zstd_safe::compress(frame.as_mut_slice(), batch, LEVEL).ok()?;
    frame.truncate(length);
    Some(Bytes::from(frame))
}

/// The batch of a frame, which must have exactly `raw_len` bytes, and no more than `bytes_max`.
///
/// # Errors
/// `bad_compression` where it is no single whole frame, needs a larger window than `limit::ZSTD_WINDOW_LOG_MAX`, or holds
/// another number of bytes.
pub fn decompress(frame: &[u8], raw_len: usize, bytes_max: usize) -> Result<Bytes, WireError> {
    let wrong = |detail: String| WireError::new(ErrorCode::BadCompression, detail);
    // The library's result is the negative of the error's number.
    let of_zstd = |code: usize| match code.wrapping_neg() {
        MEMORY_ENDS => wrong(format!("the batch has more than the {raw_len} bytes that the message says")),
        number => wrong(format!("a compressed batch that is damaged (error {number} of zstd)")),
    };
    if raw_len > bytes_max {
        return Err(wrong(format!("a batch of {raw_len} bytes, the limit of messages is {bytes_max}")));
    }
    check_window(frame).map_err(wrong)?;
    let length = zstd_safe::find_frame_compressed_size(frame).map_err(of_zstd)?;
    if length != frame.len() {
        return Err(wrong(format!("{} bytes follow a compressed batch", frame.len().saturating_sub(length))));
    }
    let stated = zstd_safe::get_frame_content_size(frame).ok().flatten();
    if let Some(stated) = stated.filter(|stated| *stated != raw_len as u64) {
        return Err(wrong(format!("the batch has {stated} bytes, the message says {raw_len}")));
    }
    let mut batch = vec![0; raw_len];
    let length = zstd_safe::decompress(batch.as_mut_slice(), frame).map_err(of_zstd)?;
    if length != raw_len {
        return Err(wrong(format!("the batch has {length} bytes, the message says {raw_len}")));
    }
    Ok(Bytes::from(batch))
}

/// Reads the frame's header as far as its window (RFC 8878, 3.1.1.1).
fn check_window(frame: &[u8]) -> Result<(), String> {
    let Some((descriptor, rest)) = frame.strip_prefix(&MAGIC).and_then(<[u8]>::split_first) else {
        return Err("a compressed batch that is no zstd frame".to_owned());
    };
    if descriptor & SINGLE_SEGMENT != 0 {
        return Ok(());
    }
    let window = rest.first().ok_or("a compressed batch that is cut off")?;
    let (log, eighths) = (WINDOW_LOG_LEAST + (window >> 3), window & 7);
    let most = limit::ZSTD_WINDOW_LOG_MAX;
    if log > most || (log == most && eighths > 0) {
        return Err(format!(
            "a compressed batch with a window of 2^{log} and {eighths} eighths, the limit is 2^{most}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
