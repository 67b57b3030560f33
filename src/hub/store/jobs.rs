//! Jobs as the hub knows them: submitted, offered, what agents said of them, and where their output is.
//!
//! ```text
//! queued <-> offered -> accepted -> running -> a final status
//! ```
//! Invariants: a job's spec is the bytes that were submitted; what an agent says is applied in the transaction that
//! stores the record it said it with (`apply`), so it counts once; the status only moves forward, and an agent's result
//! is final. A final status that the hub gave itself (`by_hub`: expired, lost, rejected, cancelled before it was
//! accepted) yields to the agent. `offered` and back is soft: it may be forgotten in a power cut, the job is not.

mod answer;
mod apply;
mod cancel;
mod changes;
mod group;
mod inbox;
mod kept;
mod lines;
mod list;
mod log;
mod presence;
mod refuse;
mod row;
mod submit;
mod sweep;
#[cfg(test)]
mod tests;
mod unreadable;

use std::num::NonZeroU32;

use crate::id::{AgentName, GroupId, JobId};

use super::StoreError;
pub use answer::Answered;
pub use apply::Fact;
pub(in crate::hub) use apply::facts;
pub(super) use apply::{Said, apply};
pub use changes::Changed;
pub(super) use changes::Changes;
pub use group::{GroupSubmission, GroupSubmitted};
pub use inbox::{Inbox, JobOrder};
pub use lines::{Holes, JobLine, JobLog, LinePlace, LogQuery};
pub use list::{JobCursor, JobFilter, JobPage};
pub use row::JobRow;
pub use submit::{Asked, Submission, Submitted};
pub(super) use sweep::close_for_removed;

/// What the store says no to.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No such job.
    #[error("there is no job {0}; `outpost job list` shows them")]
    NoJob(JobId),
    /// It is over.
    #[error("job {job} is {status} already; nothing was changed")]
    Final {
        /// Which.
        job: JobId,
        /// Its state.
        status: crate::job::JobState,
    },
    /// The key stands for another job.
    #[error(
        "Idempotency-Key `{key}` was used for job {job}, which has another spec, signature or agent; choose another key"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The job it stands for.
        job: JobId,
    },
    /// The key stands for a submission to several agents.
    #[error(
        "Idempotency-Key `{key}` was used for the jobs of group {group}, which has other agents, another spec or signature; choose another key"
    )]
    GroupKeyReused {
        /// The key.
        key: String,
        /// What it stands for.
        group: GroupId,
    },
    /// The id stands for another job.
    #[error("job_id: {0} is another job already, with another spec, signature or agent; choose another id")]
    IdTaken(JobId),
    /// The agent takes no jobs.
    #[error("agent `{0}` is revoked; it takes no jobs")]
    AgentRevoked(AgentName),
    /// As many jobs of the agent are open as its quota allows.
    #[error(
        "agent `{agent}` has {open} jobs that are not over and its quota is {most}; wait for some to end, or raise [quota] open_jobs in the hub's config"
    )]
    TooManyOpen {
        /// Whose.
        agent: AgentName,
        /// How many there are.
        open: i64,
        /// How many there may be.
        most: NonZeroU32,
    },
    /// The spec cannot be taken now.
    #[error(transparent)]
    Spec(#[from] crate::job::SpecError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for JobError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
