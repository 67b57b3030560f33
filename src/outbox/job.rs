//! What the outbox keeps for the journal of jobs: rows whose meaning is the journal's, and space in the core.
//!
//! A change of a job's row and the control records that tell the hub of it become durable in one commit: neither is ever
//! there without the other.

use bytes::Bytes;

use crate::id::JobId;
#[cfg(feature = "agent")]
use crate::id::RecordId;

use super::NewRecord;

/// The name of the small value that stands for the forgotten jobs.
pub const REMEMBERED: &str = "jobs";

/// One change of the journal, committed whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobChange {
    /// The job.
    pub job: JobId,
    /// Its row from now on, at most `limit::JOB_ROW_BYTES_MAX`.
    pub row: Bytes,
    /// What becomes of its spec.
    pub spec: SpecChange,
    /// What becomes of its reservation.
    pub reservation: ReservationChange,
    /// Finished jobs that are forgotten with this change, and what the journal remembers instead of them.
    pub forget: Option<Forget>,
    /// What the hub is told, in the control lane; may be empty.
    pub records: Vec<NewRecord>,
}

/// The bytes a job was offered with: kept while it may still be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecChange {
    /// As it is.
    Keep,
    /// Kept from now on, at most `limit::JOB_SPEC_STORED_BYTES_MAX`.
    Put(Bytes),
    /// Not needed any more.
    Remove,
}

#[cfg(feature = "agent")]
impl SpecChange {
    /// Bytes that are to be written.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Put(spec) => spec.len(),
            Self::Keep | Self::Remove => 0,
        }
    }
}

/// Space in the core for what will be said about a job, so that a full core can still take the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationChange {
    /// Reserves `limit::JOB_RESERVATION_BYTES`, or refuses the change.
    Take,
    /// As it is.
    Keep,
    /// Given back once this change's last record is acked; at once where there is none.
    Release,
}

/// Finished jobs that go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forget {
    /// Their ids.
    pub jobs: Vec<JobId>,
    /// A small value kept under the journal's name.
    pub remembered: Bytes,
}

/// A job as an earlier process left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// The job.
    pub job: JobId,
    /// What the journal wrote.
    pub row: Bytes,
    /// Its spec, where it is kept.
    pub spec: Option<Bytes>,
    /// Whether this is known to be the last that was written of it.
    pub trust: Trust,
}

/// Whether a row is known to be the last version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is.
    Certain,
    /// It was found in a damaged file: later versions may be lost. A job that is not over by it may be over.
    Doubtful,
}

/// The journal as an earlier process left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRows {
    /// Every job, by id.
    pub jobs: Vec<JobRow>,
    /// What is remembered of the forgotten ones.
    pub remembered: Option<Bytes>,
    /// Whether every job is among them, or the forgotten ones. Settled by the next [`REMEMBERED`] that is put.
    pub trust: Trust,
}

/// Whether space is kept for a job.
#[cfg(feature = "agent")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reservation {
    /// As long as it is not finished.
    Held,
    /// Until this record is acked.
    UntilAcked(RecordId),
}
