//! How a job ended, in its handler's words.

use bytes::Bytes;

use crate::limit;
use crate::wire::job::JobState;

/// Why a job is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// Somebody asked.
    Cancelled,
    /// It ran longer than its spec's `timeout`.
    TimedOut,
    /// The agent stops.
    Shutdown,
}

impl CancelReason {
    /// The state of a job that ended for this reason.
    pub const fn state(self) -> JobState {
        match self {
            Self::Cancelled => JobState::Cancelled,
            Self::TimedOut => JobState::TimedOut,
            Self::Shutdown => JobState::Interrupted,
        }
    }
}

/// Whether a job did what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It did.
    Succeeded,
    /// It did not.
    Failed,
    /// It was made to end early.
    Stopped(CancelReason),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it did what it should.
    pub ending: Ending,
    /// What its process returned, where it had one that ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended its process.
    pub signal: Option<u32>,
    /// In words, for people; cut at `limit::JOB_TEXT_BYTES_MAX`. Empty where the rest says it all.
    pub reason: String,
    /// For programs; at most `limit::JOB_ATTACHMENT_BYTES_MAX`, else the job has failed.
    pub payload: Bytes,
}

impl Outcome {
    fn new(ending: Ending, reason: String) -> Self {
        Self { ending, exit_code: None, signal: None, reason, payload: Bytes::new() }
    }

    /// The job did what it should.
    pub fn succeeded() -> Self {
        Self::new(Ending::Succeeded, String::new())
    }

    /// The job did not do what it should; the reason says what went wrong.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::new(Ending::Failed, reason.into())
    }

    /// The job ended early because [`super::JobContext::cancelled`] said so.
    pub fn stopped(reason: CancelReason) -> Self {
        Self::new(Ending::Stopped(reason), String::new())
    }

    /// With what the job returns to whoever asked for it.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// The job's final state.
    pub const fn state(&self) -> JobState {
        match self.ending {
            Ending::Succeeded => JobState::Succeeded,
            Ending::Failed => JobState::Failed,
            Ending::Stopped(reason) => reason.state(),
        }
    }

    /// Within the bounds of a result.
    pub(super) fn bounded(mut self) -> Self {
        let bytes = self.payload.len();
        if bytes > limit::JOB_ATTACHMENT_BYTES_MAX {
            self.payload = Bytes::new();
            if self.ending == Ending::Succeeded {
                self.ending = Ending::Failed;
            }
            self.reason = format!(
                "the result's payload has {bytes} bytes, the limit is {}; log it or make it artifacts. {}",
                limit::JOB_ATTACHMENT_BYTES_MAX,
                self.reason
            );
        }
        self.reason = bounded_text(&self.reason).to_owned();
        self
    }
}

/// The text's beginning that fits a reason, a detail or a progress.
pub(super) fn bounded_text(text: &str) -> &str {
    text.get(..text.floor_char_boundary(limit::JOB_TEXT_BYTES_MAX)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ending_is_a_final_state() {
        assert_eq!(Outcome::succeeded().state(), JobState::Succeeded);
        assert_eq!(Outcome::failed("no").state(), JobState::Failed);
        assert_eq!(Outcome::stopped(CancelReason::Cancelled).state(), JobState::Cancelled);
        assert_eq!(Outcome::stopped(CancelReason::TimedOut).state(), JobState::TimedOut);
        assert_eq!(Outcome::stopped(CancelReason::Shutdown).state(), JobState::Interrupted);
    }

    #[test]
    fn what_does_not_fit_a_result_is_said_and_left_out() {
        let long = Outcome::succeeded().with_payload(vec![0; limit::JOB_ATTACHMENT_BYTES_MAX + 1]).bounded();
        assert_eq!((long.ending, long.payload.len()), (Ending::Failed, 0));
        assert!(long.reason.contains("payload has"), "{}", long.reason);
        let fits = Outcome::succeeded().with_payload(vec![0; limit::JOB_ATTACHMENT_BYTES_MAX]).bounded();
        assert_eq!(fits.ending, Ending::Succeeded);
        let wordy = Outcome::failed("é".repeat(limit::JOB_TEXT_BYTES_MAX)).bounded();
        assert_eq!(wordy.reason, "é".repeat(limit::JOB_TEXT_BYTES_MAX / 2));
    }
}
