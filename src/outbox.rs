//! The outbox: records that are not yet acked by the hub, durable on this machine's disk.
//!
//! Pure in this folder: cutting and encoding what is handed over ([`admit`]), the stored block ([`block`]) and its encryption ([`cipher`]), what is
//! held and acked ([`ledger`]), the names of generations ([`name`]), figures ([`stat`]), the file that carries records where no
//! link is ([`bundle`]). The shell around the disk is
//! [`store`]; docs/outbox.md draws the folder and says why it looks like that.
//!
//! Invariants: numbers are contiguous from 1 per stream; nothing is readable before it is durable; nothing is removed
//! before its ack; an epoch is never used twice.

pub mod admit;
pub mod block;
pub mod bundle;
pub mod cipher;
mod error;
pub mod job;
pub mod ledger;
pub mod name;
pub mod policy;
pub mod stat;
#[cfg(feature = "agent")]
pub mod store;

use bytes::Bytes;

use crate::id::{AppName, RecordId};
use crate::time::WallTime;
use crate::wire::message::{Gap, RecordKind};

pub use error::{AppendError, OpenError, StoreError};
pub use policy::{Durability, LanePolicy, OnFull};
pub use stat::{LaneStat, Problem, Range, RangeState, Stat, Verifiable, Verified};
#[cfg(feature = "agent")]
pub use store::{Options, Outbox};

/// A record as a program hands it over, before it is cut and numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// This machine's clock when it was recorded.
    pub recorded_at: WallTime,
    /// Who made it, at most `limit::SOURCE_BYTES_MAX` bytes.
    pub source: String,
    /// What the payload is.
    pub kind: RecordKind,
    /// The bytes, at most `limit::RECORD_BYTES_MAX`.
    pub payload: Bytes,
    /// The app that these are log lines of, where they are one's.
    pub app: Option<AppName>,
}

/// The numbers an append got. `last` lies further from `first` than `count` says where records were cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// First number.
    pub first: RecordId,
    /// Last number.
    pub last: RecordId,
    /// Records as they were handed over.
    pub count: u64,
}

/// Consecutive durable records `first .. first + count` of one stream, as they travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Number of the first.
    pub first: u64,
    /// How many, at least 1.
    pub count: u32,
    /// Their encoding: a wire `RecordBatch`.
    pub batch: Bytes,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
}

/// What a reader meets at a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Records from that number on.
    Records(Batch),
    /// The number lies in this gap: it will not come, and what follows begins after it.
    Gap(Gap),
}
