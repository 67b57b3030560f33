//! What a handler is given for one job.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::id::JobId;
use crate::job::JobSpec;
use crate::job::process::ProcessId;
use crate::limit;
use crate::secret::Secret;
use crate::wire::job::OutputStream;

use super::handler::InvalidPayload;
use super::line::Lines;
use super::outcome::{CancelReason, bounded_text};
use super::report::{Report, ReportError};
use super::reporter::Reporter;

/// One job, for its handler. An `Arc` of it may be shared among tasks; what is said after the handler returned is lost.
#[derive(Debug)]
pub struct JobContext {
    pub(super) id: JobId,
    pub(super) run: u32,
    pub(super) spec: Arc<JobSpec>,
    pub(super) grace: Duration,
    pub(super) stop: watch::Receiver<Option<CancelReason>>,
    pub(super) reporter: Arc<Reporter>,
}

impl JobContext {
    /// The job.
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// Which run of it, from 1: more than one only after a crash, and where the spec asks for a rerun.
    pub const fn run(&self) -> u32 {
        self.run
    }

    /// Its spec.
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// The spec's payload.
    ///
    /// # Errors
    /// Where it is not a `T`.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, InvalidPayload> {
        T::deserialize(&self.spec.payload).map_err(|error| InvalidPayload::new("payload", error.to_string()))
    }

    /// The value of one of the spec's secrets. Never log it under another form than its own: only that one is masked.
    pub fn secret(&self, name: &str) -> Option<&Secret<String>> {
        self.spec.secrets.get(name)
    }

    /// How long the job may take to end once it was cancelled: its spec's `grace`, else the agent's. An agent that stops
    /// gives `limit::JOB_SHUTDOWN_GRACE_MAX` at most, so that there is time to write down how the job ended.
    pub fn grace(&self) -> Duration {
        match self.cancel_reason() {
            Some(CancelReason::Shutdown) => self.grace.min(limit::JOB_SHUTDOWN_GRACE_MAX),
            Some(CancelReason::Cancelled | CancelReason::TimedOut) | None => self.grace,
        }
    }

    /// Whether the job is to end, and why.
    pub fn cancel_reason(&self) -> Option<CancelReason> {
        *self.stop.borrow()
    }

    /// Resolves when the job is to end: cancelled, timed out, or the agent stops. At once where that was before.
    /// Safe to cancel.
    pub async fn cancelled(&self) -> CancelReason {
        let mut stop = self.stop.clone();
        let reason = stop.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        // Without its other end nobody runs this job any more.
        reason.unwrap_or(CancelReason::Shutdown)
    }

    /// Writes one or more lines of output. Waits while the agent cannot take more.
    ///
    /// A line longer than `limit::JOB_LINE_BYTES_MAX` is cut into pieces; secrets become `***`; beyond the job's
    /// `output_max` the rest is dropped and one line says so. Cancelled, some of the lines may be missing.
    ///
    /// # Errors
    /// [`ReportError::Over`]: end the job.
    pub async fn log(&self, stream: OutputStream, text: impl AsRef<[u8]> + Send) -> Result<(), ReportError> {
        let masked = self.reporter.masks().bytes(text.as_ref());
        let mut lines = Lines::default();
        lines.feed(&masked);
        while let Some(line) = lines.next_line() {
            self.reporter.line(stream, line).await?;
        }
        match lines.end() {
            Some(line) => self.reporter.line(stream, line).await,
            None => Ok(()),
        }
    }

    /// Says how far the job is: a fraction from 0 to 1 where known, and a short text, cut at
    /// `limit::JOB_TEXT_BYTES_MAX`.
    ///
    /// # Errors
    /// [`ReportError::Over`]: end the job.
    pub async fn progress(&self, fraction: Option<f32>, text: &str) -> Result<(), ReportError> {
        let masked = self.reporter.masks().text(text);
        let text = bounded_text(&masked).to_owned();
        self.reporter.send(Report::Progress { permille: fraction.map(permille), text }).await
    }

    /// Keeps something the job made under a name. Not searched for secrets.
    ///
    /// # Errors
    /// Where the name or the content is too long; [`ReportError::Over`]: end the job.
    pub async fn artifact(&self, name: &str, content: impl Into<Bytes> + Send) -> Result<(), ReportError> {
        if !(1..=limit::ARTIFACT_NAME_BYTES_MAX).contains(&name.len()) {
            return Err(ReportError::ArtifactName { bytes: name.len() });
        }
        let content = content.into();
        if content.len() > limit::JOB_ATTACHMENT_BYTES_MAX {
            return Err(ReportError::ArtifactTooLong { bytes: content.len() });
        }
        self.reporter.send(Report::Artifact { name: name.to_owned(), content }).await
    }

    /// Says that the job runs, with a process that has to be ended should the agent be killed; waits until that is
    /// durable. The job may go on meanwhile. The newest process counts.
    ///
    /// # Errors
    /// The job must not run: end its process.
    pub async fn started(&self, process: Option<ProcessId>) -> Result<(), ReportError> {
        self.reporter.started(process).await
    }
}

fn permille(fraction: f32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; NaN becomes 0")]
    let permille = (fraction.clamp(0.0, 1.0) * 1000.0).round() as u32;
    permille
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::mask::Masks;

    #[test]
    fn an_agent_that_stops_shortens_a_long_grace() {
        let (reason, stop) = watch::channel(None);
        let (reporter, _reports) = Reporter::new(1, Masks::default());
        let spec = Arc::new(JobSpec::parse(br#"{"kind": "exec"}"#).unwrap());
        let reporter = Arc::new(reporter);
        let grace = Duration::from_secs(3600);
        let mut job = JobContext { id: JobId::from_bytes([1; 16]), run: 1, spec, grace, stop, reporter };
        for (why, expected) in [
            (None, grace),
            (Some(CancelReason::Cancelled), grace),
            (Some(CancelReason::TimedOut), grace),
            (Some(CancelReason::Shutdown), limit::JOB_SHUTDOWN_GRACE_MAX),
        ] {
            reason.send_replace(why);
            assert_eq!(job.grace(), expected, "{why:?}");
        }
        job.grace = Duration::ZERO;
        assert_eq!(job.grace(), Duration::ZERO);
        assert!(limit::JOB_SHUTDOWN_GRACE_MAX + limit::PIPE_HELD_TIMEOUT < limit::SHUTDOWN_JOBS_TIMEOUT);
    }

    #[test]
    fn a_fraction_of_any_kind_is_a_permille() {
        let cases = [
            (0.0, 0),
            (0.25, 250),
            (1.0, 1000),
            (7.0, 1000),
            (-1.0, 0),
            (f32::NAN, 0),
            (f32::INFINITY, 1000),
        ];
        for (fraction, expected) in cases {
            assert_eq!(permille(fraction), expected, "{fraction}");
        }
    }
}
