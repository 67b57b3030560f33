//! One frame: where it stands, what it is, and the MAC over both and its content.

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::limit;
use crate::wire::mac::{MAC_BYTES, MacKey};

use super::{BundleError, MAGIC, VERSION};

/// Magic and version.
pub(super) const PREAMBLE_BYTES: usize = 12;
/// Index, kind and length.
pub(super) const HEAD_BYTES: usize = 9;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Header = 1,
    Chunk = 2,
    LastChunk = 3,
    End = 4,
}

/// The beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) index: u32,
    pub(super) kind: Kind,
    pub(super) length: usize,
}

impl Head {
    pub(super) fn encode(self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        let mut rest = head.as_mut_slice();
        rest.put_u32(self.index);
        rest.put_u8(self.kind as u8);
        rest.put_u32(u32::try_from(self.length).unwrap_or(u32::MAX));
        head
    }

    /// The head of frame `index`; its length is within bounds.
    pub(super) fn decode(bytes: &[u8], index: u32) -> Result<Self, BundleError> {
        let wrong = |what| BundleError::Frame { index, what };
        let (found, rest) = bytes.split_first_chunk::<4>().ok_or(BundleError::Truncated { index })?;
        let (kind, rest) = rest.split_first().ok_or(BundleError::Truncated { index })?;
        let (length, _) = rest.split_first_chunk::<4>().ok_or(BundleError::Truncated { index })?;
        if u32::from_be_bytes(*found) != index {
            return Err(wrong("another one than is due"));
        }
        let kind = [Kind::Header, Kind::Chunk, Kind::LastChunk, Kind::End]
            .into_iter()
            .find(|known| *known as u8 == *kind)
            .ok_or_else(|| wrong("of no known kind"))?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > limit::BUNDLE_FRAME_BYTES_MAX {
            return Err(wrong("longer than a frame may be"));
        }
        Ok(Self { index, kind, length })
    }

    /// Whether `rest` (content and MAC) belongs to this head.
    pub(super) fn verify(self, rest: &[u8], key: &MacKey) -> Result<(), BundleError> {
        let (content, mac) = rest.split_at_checked(self.length).unwrap_or((rest, &[]));
        let sound = key.verify_parts(&[&self.encode(), content], mac);
        if sound { Ok(()) } else { Err(BundleError::Mac { index: self.index }) }
    }
}

/// What every bundle begins with.
pub(super) fn preamble() -> [u8; PREAMBLE_BYTES] {
    let mut preamble = [0; PREAMBLE_BYTES];
    let mut rest = preamble.as_mut_slice();
    rest.put_slice(&MAGIC);
    rest.put_u32(VERSION);
    preamble
}

/// A whole frame; `digest` takes it in.
pub(super) fn seal(index: u32, kind: Kind, content: &[u8], key: &MacKey, digest: &mut Sha256) -> Bytes {
    let head = Head { index, kind, length: content.len() }.encode();
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + content.len() + MAC_BYTES);
    frame.put_slice(&head);
    frame.put_slice(content);
    let mac = key.sign(&frame);
    frame.put_slice(&mac);
    digest.update(&frame);
    frame.freeze()
}
