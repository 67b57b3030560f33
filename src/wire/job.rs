//! What the two ends say about jobs: the bodies of envelopes, and the payloads of records that speak of jobs.
//!
//! A value of these types has passed the wire's own bounds. What a job's spec means is [`crate::job`]'s business: here
//! it is bytes.

use bytes::Bytes;

use crate::id::{JobId, RecordId};
use crate::time::{HubTime, WallTime};

use super::operator::OperatorSignature;

pub use super::convert::{OUTPUT_LINE_OVERHEAD, OUTPUT_OVERHEAD};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// At the hub; not yet offered, or refused as busy.
    Queued,
    /// Sent to the agent, no answer yet.
    Offered,
    /// In the agent's journal.
    Accepted,
    /// Started.
    Running,
    /// Ended as it should.
    Succeeded,
    /// Ended otherwise; exit code, signal or reason say how.
    Failed,
    /// Ended because somebody asked.
    Cancelled,
    /// Ran longer than it may.
    TimedOut,
    /// The agent or its machine stopped while it ran.
    Interrupted,
    /// Not started before its time was over.
    Expired,
    /// The agent cannot run it.
    Rejected,
    /// Given up: the agent was away for too long.
    Lost,
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Queued,
        Self::Offered,
        Self::Accepted,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Interrupted,
        Self::Expired,
        Self::Rejected,
        Self::Lost,
    ];

    /// The word in JSON, texts and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Lost => "lost",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing follows, but for a late result after `lost`.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Offered | Self::Accepted | Self::Running => false,
            Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::TimedOut
            | Self::Interrupted
            | Self::Expired
            | Self::Rejected
            | Self::Lost => true,
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A job for the agent (hub to agent). `Debug` shows the spec's length alone: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct JobOffer {
    /// The job.
    pub job: JobId,
    /// When the hub took it.
    pub created_at: HubTime,
    /// The spec exactly as submitted, at most `limit::JOB_SPEC_BYTES_MAX`.
    pub spec: Bytes,
    /// An operator's signature over the spec.
    pub signature: Option<OperatorSignature>,
}

impl std::fmt::Debug for JobOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { job, created_at, spec, signature } = self;
        f.debug_struct("JobOffer")
            .field("job", job)
            .field("created_at", created_at)
            .field("spec_bytes", &spec.len())
            .field("signature", signature)
            .finish()
    }
}

/// The answer to an offer: a control record where the job is accepted, else an envelope (agent to hub).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobAck {
    /// The job.
    pub job: JobId,
    /// Accepted, or why not.
    pub answer: Answer,
}

/// Whether an offer was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is in the journal, in this state.
    Accepted(JobState),
    /// It is not.
    Refused {
        /// Why.
        refusal: Refusal,
        /// What exactly, at most `limit::JOB_TEXT_BYTES_MAX`.
        detail: String,
    },
}

/// Why an offer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No room now: to be offered again.
    Busy,
    /// The agent's store takes nothing until a restart: to be offered again.
    Degraded,
    /// Its time is over.
    Expired,
    /// Not newer than the newest job the agent has forgotten.
    TooOld,
    /// It cannot be run here; the detail names the field.
    Invalid,
}

impl Refusal {
    /// The word in JSON and texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Degraded => "degraded",
            Self::Expired => "expired",
            Self::TooOld => "too_old",
            Self::Invalid => "invalid",
        }
    }
}

/// A job changed its state (control record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatusChange {
    /// The job.
    pub job: JobId,
    /// Which run, from 1.
    pub run: u32,
    /// The new state.
    pub state: JobState,
    /// When, by the agent's clock.
    pub at: WallTime,
}

/// How far a job is (events record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgress {
    /// The job.
    pub job: JobId,
    /// Which run.
    pub run: u32,
    /// When, by the agent's clock.
    pub at: WallTime,
    /// 0 to 1000, where known.
    pub permille: Option<u32>,
    /// In words, at most `limit::JOB_TEXT_BYTES_MAX`.
    pub text: String,
}

/// Which of a process's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error, and what the agent itself has to say.
    Stderr,
}

impl OutputStream {
    /// The word in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line of a job's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Where it was written.
    pub stream: OutputStream,
    /// When it was read, by the agent's clock.
    pub at: WallTime,
    /// Its bytes without the line feed, at most `limit::JOB_LINE_BYTES_MAX`.
    pub text: Bytes,
    /// Whether the line was longer: its next piece is the next line of this stream.
    pub continues: bool,
}

/// Consecutive lines of one run (logs record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutput {
    /// The job.
    pub job: JobId,
    /// Which run.
    pub run: u32,
    /// Number of the first, from 1.
    pub first_line: u64,
    /// The lines, at least one.
    pub lines: Vec<OutputLine>,
}

impl JobOutput {
    /// Number of the last line.
    pub const fn last_line(&self) -> u64 {
        self.first_line.saturating_add(self.lines.len() as u64).saturating_sub(1)
    }
}

/// Something a job leaves behind (logs record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobArtifact {
    /// The job.
    pub job: JobId,
    /// Which run.
    pub run: u32,
    /// Its name, 1 to `limit::ARTIFACT_NAME_BYTES_MAX` bytes.
    pub name: String,
    /// Its bytes.
    pub content: Bytes,
}

/// The one final word on a job (control record).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// The job.
    pub job: JobId,
    /// Which run; 0 where it never ran.
    pub run: u32,
    /// The final state.
    pub state: JobState,
    /// What its process returned.
    pub exit_code: Option<i32>,
    /// The signal that ended its process.
    pub signal: Option<u32>,
    /// In words, at most `limit::JOB_TEXT_BYTES_MAX`.
    pub reason: String,
    /// When it started, by the agent's clock; `None` where it never ran.
    pub started_at: Option<WallTime>,
    /// When it ended, by the agent's clock.
    pub finished_at: WallTime,
    /// Of its log.
    pub log: LogSummary,
    /// What its handler returned.
    pub payload: ResultPayload,
}

/// What a result says about the job's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSummary {
    /// No record of the log lies beyond; `None` where there is none.
    pub end: Option<RecordId>,
    /// Lines of the run; `None` where the agent was stopped while it ran.
    pub lines: Option<u64>,
    /// Bytes of the lines.
    pub bytes: u64,
    /// The job wrote more than it may.
    pub cut: bool,
    /// Something else still held the output open when the job had ended.
    pub pipe_held: bool,
}

/// Where a result's payload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultPayload {
    /// In the result, at most `limit::JOB_RESULT_INLINE_BYTES`; often empty.
    Inline(Bytes),
    /// In records of the logs lane.
    At {
        /// The first.
        first: RecordId,
        /// The last, of the same stream.
        last: RecordId,
    },
}

/// A record's payload that speaks of a job, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobRecord {
    /// Control.
    Ack(JobAck),
    /// Control.
    Status(JobStatusChange),
    /// Control.
    Result(Box<JobResult>),
    /// Events.
    Progress(JobProgress),
    /// Logs.
    Output(JobOutput),
    /// Logs.
    Artifact(JobArtifact),
}

#[cfg(test)]
mod tests;
