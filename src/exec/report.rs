//! What a running job tells whoever runs it.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::job::process::ProcessId;
use crate::wire::job::OutputLine;

use super::outcome::Outcome;

/// Why a job could not report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Nobody takes this job's reports any more: end it.
    #[error("the agent takes nothing more of this job; end it")]
    Over,
    /// The agent could not make durable that the job runs: end it.
    #[error("the agent could not record that the job runs; end it")]
    NotRecorded,
    /// An artifact's name.
    #[error("an artifact's name has 1 to {limit} bytes, this one has {bytes}", limit = crate::limit::ARTIFACT_NAME_BYTES_MAX)]
    ArtifactName {
        /// Its length.
        bytes: usize,
    },
    /// An artifact's content.
    #[error("the artifact has {bytes} bytes, the limit is {limit}; cut it into several", limit = crate::limit::JOB_ATTACHMENT_BYTES_MAX)]
    ArtifactTooLong {
        /// Its length.
        bytes: usize,
    },
}

/// One thing a running job has to say. The order is that of the job.
#[derive(Debug)]
pub enum Report {
    /// The job runs, with this process where it has one. May come again: the newest process counts. The job goes on
    /// meanwhile, and its lines may follow at once; its `Finished` waits until the ack is given.
    Started {
        /// To be found again after a crash.
        process: Option<ProcessId>,
        /// To be given once the journal has it durably. Dropped instead, the job is ended.
        ack: Ack,
    },
    /// The next lines of output, at least one; encoded as one `JobOutput` they fit `limit::JOB_OUTPUT_BYTES`.
    Lines(Vec<OutputLine>),
    /// How far it is.
    Progress {
        /// 0 to 1000, where known.
        permille: Option<u32>,
        /// In words, at most `limit::JOB_TEXT_BYTES_MAX`.
        text: String,
    },
    /// Something it leaves behind.
    Artifact {
        /// 1 to `limit::ARTIFACT_NAME_BYTES_MAX` bytes.
        name: String,
        /// At most `limit::JOB_ATTACHMENT_BYTES_MAX`.
        content: Bytes,
    },
    /// The last one.
    Finished(Finished),
}

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended. Its reason and payload are within bounds and show no secret.
    pub outcome: Outcome,
    /// Lines of output in all `Lines` together.
    pub lines: u64,
    /// Bytes of these lines' texts.
    pub bytes: u64,
    /// It wrote more than it may; the last line says so.
    pub cut: bool,
    /// Something else still held its output open.
    pub pipe_held: bool,
}

/// Says that a report is durable.
#[derive(Debug)]
pub struct Ack(oneshot::Sender<()>);

impl Ack {
    pub(super) fn pair() -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// It is.
    pub fn durable(self) {
        // A job that ended meanwhile needs no ack.
        let _gone = self.0.send(());
    }
}
