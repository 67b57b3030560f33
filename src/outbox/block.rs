//! The stored block: consecutive records of one stream, as one database value.
//!
//! ```text
//!  0      4         5      6       7   8        12      20      28      32         40        48    52
//!  | OPBK | version | lane | flags | 0 | length | epoch | first | count | first_ms | last_ms | crc | RecordBatch ... |
//! ```
//! Numbers are big-endian. `flags`: 1 compressed, 2 encrypted (`cipher`); this version knows 0 and 2. `length` is
//! the body's: a block is found and read whole among raw bytes. `crc` is CRC-32C over everything else of the value, so
//! damage is told from a wrong key without one. The body, opened, is what travels in a `Records` envelope, so blocks are
//! joined by concatenating their bodies. A block has at most `limit::BLOCK_BYTES_MAX` bytes, one of
//! control, which is a row of the core, `limit::ROW_BYTES_MAX`. Its key is epoch and first.

use std::borrow::Cow;

use crate::id::{Epoch, Lane, StreamId};
use crate::limit;
#[cfg(all(test, feature = "agent"))]
use crate::sim::mutant::{self, Mutant};

use super::cipher::{Cipher, NONCE_BYTES, SEAL_BYTES};

/// Bytes before the body.
pub const HEADER_BYTES: usize = 52;
/// What a block begins with.
pub const MAGIC: [u8; 4] = *b"OPBK";
const VERSION: u8 = 1;
/// Flag of a sealed body.
const SEALED: u8 = 2;
const CRC_AT: usize = 48;

/// What a block says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The stream.
    pub stream: StreamId,
    /// Number of its first record.
    pub first: u64,
    /// How many, at least 1.
    pub count: u32,
    /// `recorded_at` of its first record.
    pub first_ms: u64,
    /// `recorded_at` of its last record.
    pub last_ms: u64,
    /// How its body is stored.
    pub form: Form,
}

/// How a body is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it travels.
    Plain,
    /// Sealed by a [`Cipher`], with everything of the header before the checksum as its label.
    Sealed,
}

impl Header {
    /// The number after its last record.
    pub const fn end(&self) -> u64 {
        self.first.saturating_add(self.count as u64)
    }
}

/// A value that is not a sound block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Shorter than a header, longer than a block, or not as long as it says.
    #[error("a block of {0} bytes")]
    Length(usize),
    /// Not a block at all.
    #[error("no block magic")]
    Magic,
    /// Written by a newer program, or with flags this one does not know.
    #[error("block version {version} with flags {flags}")]
    Version {
        /// Its version.
        version: u8,
        /// Its flags.
        flags: u8,
    },
    /// Its bytes changed.
    #[error("a block's checksum is wrong")]
    Crc,
    /// A lane, number or count out of bounds.
    #[error("a block's header is out of bounds")]
    Bounds,
    /// Its checksum is right and it does not open: it was sealed with another key, or forged.
    #[error("a sealed block does not open with the outbox's key")]
    Sealed,
}

/// A block as one value.
pub fn encode(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut value = head(header, body.len());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&value), body);
    value.reserve_exact(4 + body.len());
    value.extend_from_slice(&crc.to_be_bytes());
    value.extend_from_slice(body);
    value
}

/// How blocks are sealed.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// With this key.
    pub cipher: &'a Cipher,
    /// Gives a random nonce for each.
    pub nonce: fn() -> [u8; NONCE_BYTES],
}

/// A block as one value, its body sealed. `nonce` is random.
fn seal(header: &Header, body: &[u8], cipher: &Cipher, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
    let header = Header { form: Form::Sealed, ..*header };
    let label = head(&header, body.len() + SEAL_BYTES);
    encode(&header, &cipher.seal(nonce, &label, body))
}

/// The body as it travels.
///
/// # Errors
/// [`BlockError::Sealed`] where it is sealed and does not open.
pub fn open<'a>(
    header: &Header,
    body: &'a [u8],
    cipher: Option<&Cipher>,
) -> Result<Cow<'a, [u8]>, BlockError> {
    match header.form {
        Form::Plain => Ok(Cow::Borrowed(body)),
        Form::Sealed => {
            let opened = cipher.and_then(|cipher| cipher.open(&head(header, body.len()), body));
            opened.map(Cow::Owned).ok_or(BlockError::Sealed)
        }
    }
}

/// Everything before the checksum.
fn head(header: &Header, body_bytes: usize) -> Vec<u8> {
    let flags = match header.form {
        Form::Plain => 0,
        Form::Sealed => SEALED,
    };
    let mut value = Vec::with_capacity(CRC_AT);
    value.extend_from_slice(&MAGIC);
    value.extend_from_slice(&[VERSION, lane_code(header.stream.lane), flags, 0]);
    let length = u32::try_from(body_bytes).unwrap_or(u32::MAX);
    value.extend_from_slice(&length.to_be_bytes());
    value.extend_from_slice(&header.stream.epoch.as_u64().to_be_bytes());
    value.extend_from_slice(&header.first.to_be_bytes());
    value.extend_from_slice(&header.count.to_be_bytes());
    value.extend_from_slice(&header.first_ms.to_be_bytes());
    value.extend_from_slice(&header.last_ms.to_be_bytes());
    value
}

/// The header and body of a value.
///
/// # Errors
/// What makes it unsound; arbitrary bytes never panic.
pub fn decode(value: &[u8]) -> Result<(Header, &[u8]), BlockError> {
    if value.len() > limit::BLOCK_BYTES_MAX {
        return Err(BlockError::Length(value.len()));
    }
    let Some((head, body)) = value.split_first_chunk::<HEADER_BYTES>() else {
        return Err(BlockError::Length(value.len()));
    };
    let mut fields = Fields(head);
    if fields.take() != Some(MAGIC) {
        return Err(BlockError::Magic);
    }
    let [version, lane, flags, _] = fields.take().unwrap_or_default();
    let length = u32::from_be_bytes(fields.take().unwrap_or_default());
    if usize::try_from(length) != Ok(body.len()) {
        return Err(BlockError::Length(value.len()));
    }
    let header = fields.header(lane).ok_or(BlockError::Bounds);
    let stored = u32::from_be_bytes(fields.take().unwrap_or_default());
    let signed = head.get(..CRC_AT).unwrap_or_default();
    let sound = crc32c::crc32c_append(crc32c::crc32c(signed), body) == stored;
    #[cfg(all(test, feature = "agent"))]
    let sound = sound || mutant::active(Mutant::ChecksumIgnored);
    if !sound {
        return Err(BlockError::Crc);
    }
    let form = match (version, flags) {
        (VERSION, 0) => Form::Plain,
        (VERSION, SEALED) => Form::Sealed,
        _ => return Err(BlockError::Version { version, flags }),
    };
    header.map(|header| (Header { form, ..header }, body))
}

/// The block that `bytes` begin with, whatever follows it.
///
/// # Errors
/// As [`decode`].
pub fn decode_first(bytes: &[u8]) -> Result<(Header, &[u8]), BlockError> {
    let says = bytes.get(8..).and_then(<[u8]>::first_chunk).copied().map(u32::from_be_bytes);
    let length = says.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    let value = bytes.get(..length.saturating_add(HEADER_BYTES));
    decode(value.ok_or(BlockError::Length(length))?)
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn header(&mut self, lane: u8) -> Option<Header> {
        let (epoch, first) = (Epoch::from_u64(self.number()?), self.number()?);
        let count = u32::from_be_bytes(self.take()?);
        let (first_ms, last_ms) = (self.number()?, self.number()?);
        let sound = first > 0 && count > 0 && first.checked_add(u64::from(count)).is_some();
        let lane = lane_from_code(lane).filter(|_| sound)?;
        Some(Header { stream: StreamId { lane, epoch }, first, count, first_ms, last_ms, form: Form::Plain })
    }
}

/// The lane's number on disk.
pub const fn lane_code(lane: Lane) -> u8 {
    match lane {
        Lane::Control => 1,
        Lane::Events => 2,
        Lane::Logs => 3,
    }
}

/// The lane with this number on disk.
pub fn lane_from_code(code: u8) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| lane_code(*lane) == code)
}

/// Bytes of a lane's largest block.
const fn bytes_max(lane: Lane) -> usize {
    match lane {
        Lane::Control => limit::ROW_BYTES_MAX,
        Lane::Events | Lane::Logs => limit::BLOCK_BYTES_MAX,
    }
}

/// Puts records into full blocks.
#[derive(Debug)]
pub struct Packer<'a> {
    header: Header,
    body: Vec<u8>,
    body_max: usize,
    sealing: Option<Sealing<'a>>,
}

impl<'a> Packer<'a> {
    /// A packer whose first record gets the number `first`.
    pub fn new(stream: StreamId, first: u64, sealing: Option<Sealing<'a>>) -> Self {
        let reserved = HEADER_BYTES + sealing.map_or(0, |_| SEAL_BYTES);
        let header = Header { stream, first, count: 0, first_ms: 0, last_ms: 0, form: Form::Plain };
        Self {
            header,
            body: Vec::with_capacity(bytes_max(stream.lane)),
            body_max: bytes_max(stream.lane) - reserved,
            sealing,
        }
    }

    /// Takes one encoded record; gives the block that had no room for it.
    pub fn push(&mut self, record: &[u8], recorded_at_ms: u64) -> Option<(Header, Vec<u8>)> {
        let full = self.body.len() + record.len() > self.body_max;
        let block = if full { self.finish() } else { None };
        if self.header.count == 0 {
            self.header.first_ms = recorded_at_ms;
        }
        self.header.count += 1;
        self.header.last_ms = recorded_at_ms;
        self.body.extend_from_slice(record);
        block
    }

    /// The last block, where there is one.
    pub fn finish(&mut self) -> Option<(Header, Vec<u8>)> {
        if self.header.count == 0 {
            return None;
        }
        let header = self.header;
        let value = match self.sealing {
            None => encode(&header, &self.body),
            Some(Sealing { cipher, nonce }) => seal(&header, &self.body, cipher, nonce()),
        };
        self.header.first = header.end();
        self.header.count = 0;
        self.body.clear();
        Some((header, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn header(count: u32) -> Header {
        let stream = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(0x1_0000_0007) };
        Header { stream, first: 42, count, first_ms: 1, last_ms: 2, form: Form::Plain }
    }

    proptest! {
        #[test]
        fn a_block_survives_its_encoding(body in proptest::collection::vec(any::<u8>(), 0..4096), count in 1u32..9) {
            let value = encode(&header(count), &body);
            prop_assert_eq!(decode(&value), Ok((header(count), body.as_slice())));
            let among = [value.as_slice(), b"what follows"].concat();
            prop_assert_eq!(decode_first(&among), Ok((header(count), body.as_slice())));
        }

        #[test]
        fn a_flipped_bit_is_always_found(body in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut value = encode(&header(3), &body);
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            prop_assert!(decode(&value).is_err());
        }

        #[test]
        fn arbitrary_and_cut_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            prop_assert!(decode(&bytes).is_err() && decode_first(&bytes).is_err());
            let value = encode(&header(1), &bytes);
            let cut = cut.min(value.len());
            prop_assert_eq!(decode(&value[..cut]).is_ok(), cut == value.len());
        }

        #[test]
        fn packed_blocks_are_contiguous_and_bounded(lens in proptest::collection::vec(1usize..13_000, 1..40)) {
            let mut packer = Packer::new(header(1).stream, 42, None);
            let mut blocks = Vec::new();
            for len in &lens {
                blocks.extend(packer.push(&vec![1; *len], *len as u64));
            }
            blocks.extend(packer.finish());
            let mut next = 42;
            for (header, value) in &blocks {
                prop_assert_eq!(header.first, next);
                prop_assert!(decode(value).is_ok());
                next = header.end();
            }
            prop_assert_eq!(next, 42 + lens.len() as u64);
        }
    }

    #[test]
    fn a_sealed_block_opens_with_its_key_and_fits_however_full_it_is() {
        let [own, other] = [[1; 32], [2; 32]].map(|key| Cipher::new(&Secret::new(key)));
        let sealing = Sealing { cipher: &own, nonce: || [9; NONCE_BYTES] };
        let mut packer = Packer::new(header(1).stream, 42, Some(sealing));
        let mut blocks: Vec<_> = (0..4000u64).filter_map(|at| packer.push(&[7; 13], at)).collect();
        blocks.extend(packer.finish());
        assert!(blocks.len() > 2);
        for (header, value) in blocks {
            let body = [7; 13].repeat(header.count.try_into().unwrap());
            assert!(!value.windows(13).any(|bytes| bytes == [7; 13]));
            let (found, sealed) = decode(&value).unwrap();
            assert_eq!(found, Header { form: Form::Sealed, ..header });
            assert_eq!(open(&found, sealed, Some(&own)).unwrap(), body);
            assert_eq!(open(&found, sealed, Some(&other)), Err(BlockError::Sealed));
            assert_eq!(open(&found, sealed, None), Err(BlockError::Sealed));
            // Another header under the same body.
            let moved = Header { first: found.first + 1, ..found };
            assert_eq!(open(&moved, sealed, Some(&own)), Err(BlockError::Sealed));
        }
    }

    #[test]
    fn a_newer_block_is_told_from_a_damaged_one() {
        let mut value = encode(&header(1), b"x");
        value[4] = 9;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&value[..CRC_AT]), b"x");
        value[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&value), Err(BlockError::Version { version: 9, flags: 0 }));
    }
}
