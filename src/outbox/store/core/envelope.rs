//! The envelope of a row's value: `| crc u32 | commit u64 | value |`. The CRC-32C covers key, commit and value, so that a
//! row never passes for another one's; the commit number says which batch wrote it.
//!
//! In an encrypted outbox the values under j/ and k/ are sealed (`cipher`, label: `row ` and the key), which an inverted
//! checksum says: damage is told from a wrong key without one. Control blocks are sealed themselves.

use std::borrow::Cow;

use bytes::BufMut;

use crate::obs::random;
use crate::outbox::cipher::Cipher;
use crate::outbox::store::host::Fault;

const COMMIT_BYTES: usize = 8;
/// Rows with what programs and hubs handed over.
const SECRET: [&[u8; 2]; 2] = [b"j/", b"k/"];

/// An opened row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::outbox::store) struct Row<'a> {
    /// The number of the commit that wrote it.
    pub(in crate::outbox::store) commit: u64,
    pub(in crate::outbox::store) value: Cow<'a, [u8]>,
}

/// What is stored under `key`.
pub(super) fn seal(key: &[u8], commit: u64, value: &[u8], cipher: Option<&Cipher>) -> Vec<u8> {
    let secret = SECRET.iter().any(|prefix| key.starts_with(prefix.as_slice()));
    match cipher.filter(|_| secret) {
        None => wrap(key, commit, value),
        Some(cipher) => {
            let mut wrapped = wrap(key, commit, &cipher.seal(random::bytes(), &label(key), value));
            wrapped.iter_mut().take(4).for_each(|byte| *byte = !*byte);
            wrapped
        }
    }
}

/// What binds a sealed value to its row.
fn label(key: &[u8]) -> Vec<u8> {
    [b"row ".as_slice(), key].concat()
}

fn wrap(key: &[u8], commit: u64, value: &[u8]) -> Vec<u8> {
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
pub(super) fn unseal<'a>(key: &[u8], stored: &'a [u8], cipher: Option<&Cipher>) -> Result<Row<'a>, Fault> {
    let broken = |what: &str| Fault::Broken(format!("core row `{}`: {what}", key.escape_ascii()));
    let wrong = || broken("its checksum is wrong");
    let (found, rest) = stored.split_first_chunk::<4>().ok_or_else(wrong)?;
    let (found, crc) = (u32::from_be_bytes(*found), crc32c::crc32c_append(crc32c::crc32c(key), rest));
    let (commit, value) = rest.split_first_chunk::<COMMIT_BYTES>().ok_or_else(wrong)?;
    let value = if found == crc {
        Cow::Borrowed(value)
    } else if found == !crc {
        let opened = cipher.and_then(|cipher| cipher.open(&label(key), value));
        Cow::Owned(opened.ok_or_else(|| broken("it does not open with the outbox's key"))?)
    } else {
        return Err(wrong());
    };
    Ok(Row { commit: u64::from_be_bytes(*commit), value })
}
