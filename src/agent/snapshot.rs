//! The config snapshot on disk: a head, and the document in pieces a row can hold.
//!
//! ```text
//!  config       version u64 | length u32 | CRC-32C of the document u32        config.<n>   its n-th piece, from 0
//! ```
//! The head is written last. A snapshot that is not whole, because a kill came between, counts as none: the agent says
//! that it knows version 0 and the hub sends it again.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limit;
use crate::outbox::{Outbox, StoreError};
use crate::wire::message::ConfigSnapshot;

const HEAD: &str = "config";

fn piece_name(index: usize) -> String {
    format!("{HEAD}.{index}")
}

/// Keeps a snapshot; durable when this returns.
///
/// # Errors
/// Where the outbox cannot write.
pub(super) async fn save(outbox: &Outbox, snapshot: &ConfigSnapshot) -> Result<(), StoreError> {
    for (index, piece) in snapshot.document.chunks(limit::ROW_BYTES_MAX).enumerate() {
        outbox.put(&piece_name(index), snapshot.document.slice_ref(piece)).await?;
    }
    let mut head = BytesMut::with_capacity(16);
    head.put_u64(snapshot.version);
    head.put_u32(u32::try_from(snapshot.document.len()).unwrap_or(u32::MAX));
    head.put_u32(crc32c::crc32c(&snapshot.document));
    outbox.put(HEAD, head.freeze()).await
}

/// The snapshot an earlier session left; `None` where there is none, or not all of it.
///
/// # Errors
/// Where the outbox cannot be read.
pub(super) async fn load(outbox: &Outbox) -> Result<Option<ConfigSnapshot>, StoreError> {
    let Some((version, length, crc)) = outbox.get(HEAD).await?.and_then(head) else { return Ok(None) };
    let mut document = BytesMut::new();
    for index in 0..length.div_ceil(limit::ROW_BYTES_MAX) {
        let Some(piece) = outbox.get(&piece_name(index)).await? else { return Ok(None) };
        document.put(piece);
    }
    document.truncate(length);
    let whole = document.len() == length && crc32c::crc32c(&document) == crc;
    Ok(whole.then(|| ConfigSnapshot { version, document: document.freeze(), signature: None }))
}

fn head(row: Bytes) -> Option<(u64, usize, u32)> {
    let (version, rest) = row.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let crc = u32::from_be_bytes(*rest.first_chunk()?);
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let bounded = length <= limit::CONFIG_BYTES_MAX;
    bounded.then_some((u64::from_be_bytes(*version), length, crc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Options;

    fn snapshot(version: u64, bytes: usize) -> ConfigSnapshot {
        let document: Vec<u8> = (0..bytes).map(|at| u8::try_from((at + bytes) % 251).unwrap()).collect();
        ConfigSnapshot { version, document: document.into(), signature: None }
    }

    #[tokio::test]
    async fn a_snapshot_of_any_size_is_kept_and_half_a_one_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path(), Options::default()).unwrap();
        assert_eq!(load(&outbox).await.unwrap(), None);
        for (version, bytes) in [(1, 0), (2, 14_336), (3, 14_337), (4, limit::CONFIG_BYTES_MAX), (5, 10)] {
            save(&outbox, &snapshot(version, bytes)).await.unwrap();
            assert_eq!(load(&outbox).await.unwrap(), Some(snapshot(version, bytes)));
        }
        outbox.put(&piece_name(0), Bytes::from_static(b"half of the next")).await.unwrap();
        assert_eq!(load(&outbox).await.unwrap(), None);
        outbox.put(HEAD, Bytes::from_static(b"short")).await.unwrap();
        assert_eq!(load(&outbox).await.unwrap(), None);
        outbox.close().await.unwrap();
    }
}
