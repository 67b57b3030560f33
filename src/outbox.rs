//! The outbox: what must reach the hub, kept until it is acked.

use bytes::Bytes;

/// Consecutive durable records of one stream, as they were stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Number of the first record.
    pub first: u64,
    /// How many records, at least 1.
    pub count: u32,
    /// Their encoding, see [`crate::wire::batch`].
    pub batch: Bytes,
    /// Bytes of the payloads alone.
    pub payload_bytes: u64,
}
