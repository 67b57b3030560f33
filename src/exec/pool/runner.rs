//! The task of one running job: calls its handler, keeps its batch moving, ends it in time, reports its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::limit;
use crate::obs::clock;
use crate::time::BootTime;

use super::super::context::JobContext;
use super::super::deadline;
use super::super::handler::{AnyHandler, Begins};
use super::super::mask::Masks;
use super::super::outcome::{CancelReason, Outcome};
use super::super::report::Report;
use super::super::reporter::Reporter;
use super::{Canceller, Permit, Place};

pub(super) struct Runner {
    handler: Arc<dyn AnyHandler>,
    context: JobContext,
    reporter: Arc<Reporter>,
    canceller: Canceller,
    timeout: Option<Duration>,
    place: Place,
}

/// Ends a handler whose runner goes away.
struct Handler(JoinHandle<Outcome>);

impl Drop for Handler {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Runner {
    pub(super) fn new(permit: Permit) -> (Self, mpsc::Receiver<Report>) {
        let Permit { job, handler, canceller, place } = permit;
        let settings = place.shared.settings;
        let (reporter, reports) = Reporter::new(settings.output_max, Masks::of(&job.spec.secrets));
        let reporter = Arc::new(reporter);
        let context = JobContext {
            id: job.id,
            run: job.run,
            grace: job.spec.grace.unwrap_or(settings.grace),
            stop: canceller.subscribe(),
            reporter: Arc::clone(&reporter),
            spec: Arc::clone(&job.spec),
        };
        (Self { handler, context, reporter, canceller, timeout: job.spec.timeout, place }, reports)
    }

    pub(super) async fn run(self) {
        let Self { handler, context, reporter, canceller, timeout, place } = self;
        let (job, grace) = (context.id, context.grace);
        let time_out = timeout.map(|timeout| clock::boot_now().after(timeout));
        let begins = handler.begins();
        let handler = Handler(tokio::spawn(handler.run(context)));
        // That it runs is told while it does: the journal says already that it starts.
        let told = async {
            let told = if begins == Begins::AtOnce { reporter.started(None).await } else { Ok(()) };
            if told.is_err() {
                canceller.cancel(CancelReason::Shutdown);
            }
            told
        };
        let (told, mut outcome) =
            tokio::join!(told, watch_over(handler, &reporter, &canceller, time_out, grace));
        if let Err(error) = told {
            outcome = Outcome::failed(error.to_string());
        }
        drop(place);
        if reporter.finish(outcome).await.is_err() {
            tracing::debug!(%job, "a job ended that nobody waited for");
        }
    }
}

/// Waits for the handler's end and sees to it that there is one.
async fn watch_over(
    mut handler: Handler,
    reporter: &Reporter,
    canceller: &Canceller,
    time_out: Option<BootTime>,
    grace: Duration,
) -> Outcome {
    let flush = reporter.keep_flushing();
    tokio::pin!(flush);
    let mut flushing = true;
    let mut stop = canceller.subscribe();
    loop {
        let stopping = stop.borrow().is_some();
        tokio::select! {
            biased;
            ended = &mut handler.0 => return outcome_of(ended),
            () = &mut flush, if flushing => flushing = false,
            () = reporter.abandoned(), if !stopping => canceller.cancel(CancelReason::Shutdown),
            () = deadline::reached(time_out), if !stopping => canceller.cancel(CancelReason::TimedOut),
            _changed = stop.changed(), if !stopping => {}
            () = overstayed(reporter, grace), if stopping => {
                handler.0.abort();
                let ended = tokio::time::timeout(limit::JOB_STOP_TIMEOUT, &mut handler.0).await;
                // It may have ended by itself in the last moment.
                if let Ok(Ok(outcome)) = ended {
                    return outcome;
                }
                let reason = *stop.borrow();
                let mut outcome = Outcome::stopped(reason.unwrap_or(CancelReason::Shutdown));
                outcome.reason = "did not end in time and was left behind".to_owned();
                return outcome;
            }
        }
    }
}

/// Returns when a handler that was told to end has had its time. The time it waits for the agent is the agent's.
async fn overstayed(reporter: &Reporter, grace: Duration) {
    let mut left = grace.saturating_add(limit::JOB_STOP_TIMEOUT);
    while !left.is_zero() {
        let step = left.min(limit::JOB_STOP_LOOK);
        tokio::time::sleep(step).await;
        if !reporter.is_waiting() {
            left = left.saturating_sub(step);
        }
    }
}

fn outcome_of(ended: Result<Outcome, JoinError>) -> Outcome {
    match ended {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => {
            let cause = error.into_panic();
            let text = cause.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
            Outcome::failed(format!("the handler panicked: {text}"))
        }
        Err(_aborted) => Outcome::failed("the agent's runtime ended"),
    }
}
