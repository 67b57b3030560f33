//! The config snapshot on disk: a head, and the document in pieces a row can hold.
//!
//! ```text
//!  config       version u64 | length u32 | CRC-32C of the document u32 | an operator's signature, 0 or 64 bytes
//!  config.<n>   its n-th piece, from 0
//!  config.floor version u64: no signed one below it is taken any more
//! ```
//! The floor is written first, the head last. A snapshot that is not whole, because a kill came between, counts as none: the
//! agent says that it knows version 0 and the hub sends it again, but nothing older than what was lost. So does one that an
//! agent with operator keys finds there and that none of them signed: it is from before they were set, and no floor came
//! of it.

mod judge;
mod local;

use bytes::{BufMut, Bytes, BytesMut};

use crate::agent::state::KnownConfig;
use crate::limit;
use crate::outbox::{Outbox, StoreError};
use crate::wire::message::ConfigSnapshot;
use crate::wire::operator::{OperatorKeys, OperatorSignature, Subject};

pub(super) use judge::judge;

const HEAD: &str = "config";
const FLOOR: &str = "config.floor";

/// Whether versions only go up: what nobody signed is the hub's own to take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signing {
    /// The snapshot was verified with the agent's operator keys.
    Verified,
    /// There are no operator keys.
    NotWanted,
}

fn piece_name(index: usize) -> String {
    format!("{HEAD}.{index}")
}

/// Keeps a snapshot; durable when this returns.
///
/// # Errors
/// Where the outbox cannot write.
pub(super) async fn save(
    outbox: &Outbox,
    snapshot: &ConfigSnapshot,
    signing: Signing,
) -> Result<(), StoreError> {
    if signing == Signing::Verified {
        outbox.put(FLOOR, Bytes::copy_from_slice(&snapshot.version.to_be_bytes())).await?;
    }
    for (index, piece) in snapshot.document.chunks(limit::ROW_BYTES_MAX).enumerate() {
        outbox.put(&piece_name(index), snapshot.document.slice_ref(piece)).await?;
    }
    let mut head = BytesMut::with_capacity(16 + 64);
    head.put_u64(snapshot.version);
    head.put_u32(u32::try_from(snapshot.document.len()).unwrap_or(u32::MAX));
    head.put_u32(crc32c::crc32c(&snapshot.document));
    if let Some(signature) = &snapshot.signature {
        head.put_slice(signature.as_bytes());
    }
    outbox.put(HEAD, head.freeze()).await
}

/// Which version an earlier session left, and which may come next.
///
/// # Errors
/// Where the outbox cannot be read.
pub(super) async fn known(outbox: &Outbox, keys: Option<&OperatorKeys>) -> Result<KnownConfig, StoreError> {
    let held = load(outbox, keys).await?.map_or(0, |snapshot| snapshot.version);
    let floor = outbox.get(FLOOR).await?.and_then(|row| row.first_chunk().copied().map(u64::from_be_bytes));
    let known = KnownConfig::held(held);
    Ok(KnownConfig { least: known.least.max(floor.unwrap_or_default()), ..known })
}

/// The snapshot an earlier session left; `None` where there is none, not all of it, or none that `keys` signed.
///
/// # Errors
/// Where the outbox cannot be read.
async fn load(outbox: &Outbox, keys: Option<&OperatorKeys>) -> Result<Option<ConfigSnapshot>, StoreError> {
    let Some(snapshot) = read(outbox).await? else { return Ok(None) };
    if let Some(keys) = keys
        && let Err(error) = keys.verify(Subject::Config, &snapshot.document, snapshot.signature.as_ref())
    {
        tracing::warn!(%error, version = snapshot.version, "the config snapshot in the folder does not count");
        return Ok(None);
    }
    Ok(Some(snapshot))
}

async fn read(outbox: &Outbox) -> Result<Option<ConfigSnapshot>, StoreError> {
    let Some((version, length, crc, signature)) = outbox.get(HEAD).await?.and_then(head) else {
        return Ok(None);
    };
    let mut document = BytesMut::new();
    for index in 0..length.div_ceil(limit::ROW_BYTES_MAX) {
        let Some(piece) = outbox.get(&piece_name(index)).await? else { return Ok(None) };
        document.put(piece);
    }
    document.truncate(length);
    let whole = document.len() == length && crc32c::crc32c(&document) == crc;
    Ok(whole.then(|| ConfigSnapshot { version, document: document.freeze(), signature }))
}

fn head(row: Bytes) -> Option<(u64, usize, u32, Option<OperatorSignature>)> {
    let (version, rest) = row.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let crc = u32::from_be_bytes(*crc);
    let signature = rest.first_chunk().copied().map(OperatorSignature::from_bytes);
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let bounded = length <= limit::CONFIG_BYTES_MAX;
    bounded.then_some((u64::from_be_bytes(*version), length, crc, signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Options;
    use crate::wire::identity::public_to_line;

    fn snapshot(version: u64, bytes: usize) -> ConfigSnapshot {
        let document: Vec<u8> = (0..bytes).map(|at| u8::try_from((at + bytes) % 251).unwrap()).collect();
        ConfigSnapshot { version, document: document.into(), signature: None }
    }

    #[tokio::test]
    async fn a_snapshot_of_any_size_is_kept_and_half_a_one_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path(), Options::default()).unwrap();
        assert_eq!(load(&outbox, None).await.unwrap(), None);
        for (version, bytes) in [(1, 0), (2, 14_336), (3, 14_337), (4, limit::CONFIG_BYTES_MAX), (5, 10)] {
            save(&outbox, &snapshot(version, bytes), Signing::NotWanted).await.unwrap();
            assert_eq!(load(&outbox, None).await.unwrap(), Some(snapshot(version, bytes)));
        }
        outbox.put(&piece_name(0), Bytes::from_static(b"half of the next")).await.unwrap();
        assert_eq!(load(&outbox, None).await.unwrap(), None);
        outbox.put(HEAD, Bytes::from_static(b"short")).await.unwrap();
        assert_eq!(load(&outbox, None).await.unwrap(), None);
        outbox.close().await.unwrap();
    }

    #[tokio::test]
    async fn with_operator_keys_only_what_they_signed_counts() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path(), Options::default()).unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
        let keys = OperatorKeys::parse(&[public_to_line(&key.verifying_key())]).unwrap();
        save(&outbox, &snapshot(u64::MAX, 100), Signing::NotWanted).await.unwrap();
        assert_eq!(load(&outbox, Some(&keys)).await.unwrap(), None);
        assert_eq!(known(&outbox, Some(&keys)).await.unwrap(), KnownConfig::default());
        let unsigned = snapshot(2, 100);
        let signature = Some(OperatorSignature::sign(Subject::Config, &key, &unsigned.document));
        let signed = ConfigSnapshot { signature, ..unsigned };
        save(&outbox, &signed, Signing::Verified).await.unwrap();
        assert_eq!(load(&outbox, Some(&keys)).await.unwrap(), Some(signed.clone()));
        assert_eq!(known(&outbox, Some(&keys)).await.unwrap(), KnownConfig { version: 2, least: 3 });
        // Killed between the pieces of the next one: that one, or this one again, and none before.
        outbox.put(FLOOR, Bytes::copy_from_slice(&9_u64.to_be_bytes())).await.unwrap();
        assert_eq!(known(&outbox, Some(&keys)).await.unwrap(), KnownConfig { version: 2, least: 9 });
        outbox.put(&piece_name(0), Bytes::from_static(b"half of the next")).await.unwrap();
        assert_eq!(known(&outbox, Some(&keys)).await.unwrap(), KnownConfig { version: 0, least: 9 });
        outbox.close().await.unwrap();
    }
}
