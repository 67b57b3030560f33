//! The envelope of a row's value, which is found among raw bytes too.
//!
//! ```text
//!  0      4            6              8        16    20
//!  | OPRW | key length | value length | commit | crc | key | value |
//! ```
//! Numbers are big-endian; the CRC-32C covers everything else of it, so that a row never passes for another one's. The
//! commit number says which batch wrote it.
//!
//! In an encrypted outbox the values under j/ and k/ are sealed (`cipher`, label: `row ` and the key), which the highest bit
//! of the key length says: damage is told from a wrong key without one. Control blocks are sealed themselves.

use std::borrow::Cow;

use bytes::BufMut;

use crate::limit;
use crate::obs::random;
use crate::outbox::block::Form;
use crate::outbox::cipher::{Cipher, SEAL_BYTES};
use crate::outbox::store::host::Fault;

/// What an envelope begins with.
pub(in crate::outbox::store) const MAGIC: [u8; 4] = *b"OPRW";
const CRC_AT: usize = 16;
const HEADER_BYTES: usize = 20;
/// The longest key of a row: a small value's name and its prefix.
const KEY_BYTES_MAX: usize = 80;
/// The longest envelope.
pub(in crate::outbox::store) const BYTES_MAX: usize =
    HEADER_BYTES + KEY_BYTES_MAX + limit::ROW_BYTES_MAX + SEAL_BYTES;
/// The bit of the key length that says that the value is sealed.
const SEALED: u16 = 0x8000;
/// Rows with what programs and hubs handed over.
const SECRET: [&[u8; 2]; 2] = [b"j/", b"k/"];

/// An opened row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outbox::store) struct Row<'a> {
    /// The number of the commit that wrote it.
    pub(in crate::outbox::store) commit: u64,
    /// As it is stored; opened in what `Core` hands out.
    pub(in crate::outbox::store) value: &'a [u8],
    pub(super) form: Form,
}

impl<'a> Row<'a> {
    /// The value, opened.
    pub(super) fn open(&self, key: &[u8], cipher: Option<&Cipher>) -> Result<Cow<'a, [u8]>, Fault> {
        match self.form {
            Form::Plain => Ok(Cow::Borrowed(self.value)),
            Form::Sealed => {
                let opened = cipher.and_then(|cipher| cipher.open(&label(key), self.value)).map(Cow::Owned);
                let wrong = "it does not open with the outbox's key";
                opened.ok_or_else(|| Fault::Broken(format!("core row `{}`: {wrong}", key.escape_ascii())))
            }
        }
    }
}

/// What binds a sealed value to its row.
fn label(key: &[u8]) -> Vec<u8> {
    [b"row ".as_slice(), key].concat()
}

/// What is stored under `key`, its value sealed where it is secret and there is a key.
pub(super) fn seal_secret(key: &[u8], commit: u64, value: &[u8], cipher: Option<&Cipher>) -> Vec<u8> {
    let secret = SECRET.iter().any(|prefix| key.starts_with(prefix.as_slice()));
    match cipher.filter(|_| secret) {
        None => wrap(key, commit, value, Form::Plain),
        Some(cipher) => wrap(key, commit, &cipher.seal(random::bytes(), &label(key), value), Form::Sealed),
    }
}

/// What is stored under `key`.
pub(super) fn seal(key: &[u8], commit: u64, value: &[u8]) -> Vec<u8> {
    wrap(key, commit, value, Form::Plain)
}

fn wrap(key: &[u8], commit: u64, value: &[u8], form: Form) -> Vec<u8> {
    let flag = match form {
        Form::Plain => 0,
        Form::Sealed => SEALED,
    };
    let mut sealed = Vec::with_capacity(HEADER_BYTES + key.len() + value.len());
    sealed.put_slice(&MAGIC);
    sealed.put_u16(u16::try_from(key.len()).unwrap_or(!SEALED) | flag);
    sealed.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
    sealed.put_u64(commit);
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&sealed), key), value);
    sealed.put_u32(crc);
    sealed.put_slice(key);
    sealed.put_slice(value);
    sealed
}

/// Opens what was found under `key`.
pub(super) fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Result<Row<'a>, Fault> {
    open_first(sealed)
        .filter(|(found, _, length)| *found == key && *length == sealed.len())
        .map(|(_, row, _)| row)
        .ok_or_else(|| Fault::Broken(format!("core row `{}`: its checksum is wrong", key.escape_ascii())))
}

/// The envelope that `bytes` begin with: its key, its row and its length.
pub(super) fn open_first(bytes: &[u8]) -> Option<(&[u8], Row<'_>, usize)> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (key_length, rest) = rest.split_first_chunk()?;
    let (value_length, rest) = rest.split_first_chunk()?;
    let (commit, rest) = rest.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let key_length = u16::from_be_bytes(*key_length);
    let form = if key_length & SEALED == 0 { Form::Plain } else { Form::Sealed };
    let (key, rest) = rest.split_at_checked(usize::from(key_length & !SEALED))?;
    let value = rest.get(..usize::from(u16::from_be_bytes(*value_length)))?;
    let head = bytes.get(..CRC_AT)?;
    let found = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(head), key), value);
    let row = Row { commit: u64::from_be_bytes(*commit), value, form };
    (found.to_be_bytes() == *crc).then_some((key, row, HEADER_BYTES + key.len() + value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_found_among_other_bytes_and_only_where_it_is_whole() {
        let sealed = seal(b"k/name", 7, b"value");
        let row = Row { commit: 7, value: b"value".as_slice(), form: Form::Plain };
        assert_eq!(unseal(b"k/name", &sealed), Ok(row));
        assert!(unseal(b"k/other", &sealed).is_err());
        let among = [sealed.as_slice(), b"rest"].concat();
        assert_eq!(open_first(&among), Some((b"k/name".as_slice(), row, sealed.len())));
        assert!(unseal(b"k/name", &among).is_err());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 0x10;
            assert_eq!(open_first(&flipped), None, "{at}");
            assert_eq!(open_first(&sealed[..at]), None, "{at}");
        }
    }
}
