//! The envelope of a row's value: `| crc u32 | commit u64 | value |`. The CRC-32C covers key, commit and value, so that a
//! row never passes for another one's; the commit number says which batch wrote it.

use bytes::BufMut;

use crate::outbox::store::host::Fault;

const COMMIT_BYTES: usize = 8;

/// An opened row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outbox::store) struct Row<'a> {
    /// The number of the commit that wrote it.
    pub(in crate::outbox::store) commit: u64,
    pub(in crate::outbox::store) value: &'a [u8],
}

/// What is stored under `key`.
pub(super) fn seal(key: &[u8], commit: u64, value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(4 + COMMIT_BYTES + value.len());
    sealed.put_u32(0);
    sealed.put_u64(commit);
    sealed.put_slice(value);
    let crc = sealed.get(4..).map_or(0, |rest| crc32c::crc32c_append(crc32c::crc32c(key), rest));
    if let Some(place) = sealed.first_chunk_mut() {
        *place = crc.to_be_bytes();
    }
    sealed
}

/// Opens what was found under `key`.
pub(super) fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Result<Row<'a>, Fault> {
    sealed
        .split_first_chunk::<4>()
        .filter(|(crc, rest)| u32::from_be_bytes(**crc) == crc32c::crc32c_append(crc32c::crc32c(key), rest))
        .and_then(|(_, rest)| rest.split_first_chunk::<COMMIT_BYTES>())
        .map(|(commit, value)| Row { commit: u64::from_be_bytes(*commit), value })
        .ok_or_else(|| Fault::Broken(format!("core row `{}`: its checksum is wrong", key.escape_ascii())))
}
