//! What all rows together come to: rewritten with every commit, so that a start knows whether each of them is still there,
//! in the version that was written last. sled drops what is damaged from the middle of its log without a word.

use bytes::BufMut;

use super::envelope::{self, Row};
use super::key::number;

/// The row that holds it.
pub(super) const KEY: &[u8] = b"m/";

/// A sum over rows, in whatever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::outbox::store) struct Sum {
    rows: u64,
    /// Their sealed bytes.
    pub(in crate::outbox::store) bytes: u64,
    hash: u64,
}

impl Sum {
    /// Takes a sealed row in.
    pub(super) fn add(&mut self, key: &[u8], sealed: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(sealed.len() as u64);
        self.hash = self.hash.wrapping_add(hash(key, sealed));
    }

    /// Takes a sealed row out.
    pub(super) fn remove(&mut self, key: &[u8], sealed: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub(sealed.len() as u64);
        self.hash = self.hash.wrapping_sub(hash(key, sealed));
    }

    /// Its own row of a commit.
    pub(super) fn seal(&self, commit: u64) -> Vec<u8> {
        let mut value = Vec::with_capacity(24);
        [self.rows, self.bytes, self.hash].into_iter().for_each(|number| value.put_u64(number));
        envelope::seal(KEY, commit, &value)
    }

    /// The sum in its row.
    pub(super) fn parse(row: Row<'_>) -> Option<Self> {
        let (rows, rest) = number(row.value)?;
        let (bytes, rest) = number(rest)?;
        let (hash, _) = number(rest)?;
        Some(Self { rows, bytes, hash })
    }
}

/// Depends on the commit that wrote the row: an older version of it never passes for the last one.
fn hash(key: &[u8], sealed: &[u8]) -> u64 {
    let crc = u64::from(crc32c::crc32c_append(crc32c::crc32c(key), sealed));
    let commit = envelope::unseal(key, sealed).map_or(0, |row| row.commit);
    (crc << 32) ^ commit
}
