//! Runs jobs: a place for each, its start deadline, its time-out, its end.
//!
//! A place is one step and running is another, because the journal has to say `starting` in between.

mod room;
mod runner;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use crate::id::JobId;
use crate::job::JobSpec;
use crate::obs::clock;
use crate::time::BootTime;

use super::deadline;
use super::handler::{AnyHandler, Handlers, InvalidPayload};
use super::outcome::CancelReason;
use super::report::Report;
use room::Room;

/// How a pool runs jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Jobs at once, of all kinds.
    pub concurrency: NonZeroU32,
    /// Between TERM and KILL where a spec does not say; the default is `limit::JOB_GRACE`.
    pub grace: Duration,
    /// Bytes of output where a job does not say; the default is `limit::JOB_OUTPUT_MAX`.
    pub output_max: u64,
}

/// One run of a job.
#[derive(Debug, Clone)]
pub struct JobRun {
    /// The job.
    pub id: JobId,
    /// Which run, from 1.
    pub run: u32,
    /// Its spec.
    pub spec: Arc<JobSpec>,
    /// Not to be given a place later than this from now: what is left of `start_within` and `expires_at_ms`.
    pub start_within: Option<Duration>,
}

/// Why a job got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    /// It was cancelled before.
    #[error("cancelled before it started")]
    Cancelled(CancelReason),
    /// Its `start_within` passed.
    #[error("no place was free before its start deadline")]
    TooLate,
}

/// Runs jobs. Cheap to clone; all clones are one pool.
#[derive(Debug, Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    handlers: Handlers,
    settings: Settings,
    room: Mutex<Room<oneshot::Sender<Place>>>,
    runs: TaskTracker,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("handlers", &self.handlers).field("settings", &self.settings).finish()
    }
}

impl Shared {
    fn in_room<T>(&self, act: impl FnOnce(&mut Room<oneshot::Sender<Place>>) -> T) -> T {
        act(&mut self.room.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives out what is free. A place that nobody waits for any more comes back by its drop, outside the lock.
    fn grant(self: &Arc<Self>) {
        while let Some((waiting, kind)) = self.in_room(Room::grant) {
            let _gone = waiting.send(Place { shared: Arc::clone(self), kind });
        }
    }
}

/// A place, given back when dropped.
struct Place {
    shared: Arc<Shared>,
    kind: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.in_room(|room| room.release(&self.kind));
        self.shared.grant();
    }
}

impl Pool {
    /// A pool with these handlers.
    pub fn new(handlers: Handlers, settings: Settings) -> Self {
        let room = Mutex::new(Room::new(settings.concurrency));
        Self { shared: Arc::new(Shared { handlers, settings, room, runs: TaskTracker::new() }) }
    }

    /// Whether a job with this spec can be run here; to be asked before it is accepted.
    ///
    /// # Errors
    /// Names the field and the reason.
    pub fn check(&self, spec: &JobSpec) -> Result<(), InvalidPayload> {
        self.shared.handlers.check(spec)
    }

    /// Puts a job into the queue. The order of these calls is the order of the queue; nothing runs yet.
    /// How many may wait is the caller's bound (`limit::JOB_QUEUE`).
    ///
    /// # Errors
    /// Where no handler runs its kind.
    pub fn queue(&self, job: JobRun) -> Result<Queued, InvalidPayload> {
        let handler = self.shared.handlers.find(&job.spec.kind)?;
        let start_by = job.start_within.map(|within| clock::boot_now().after(within));
        let (waiting, place) = oneshot::channel();
        let max = handler.concurrency();
        let number = self.shared.in_room(|room| room.enter(&job.spec.kind, max, waiting));
        self.shared.grant();
        let entry = Entry { shared: Arc::clone(&self.shared), number };
        Ok(Queued { job, handler, start_by, place, canceller: Canceller::new(), entry })
    }

    /// Returns when no job runs. After each was cancelled: their grace and `limit::JOB_STOP_TIMEOUT` later at most,
    /// provided that their reports are taken or their [`Running`]s dropped. For the agent's end: call it once the
    /// last job was started.
    pub async fn idle(&self) {
        self.shared.runs.close();
        self.shared.runs.wait().await;
    }
}

/// Ends a job early, wherever it is. Cheap to clone; does nothing to a job that has ended.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<watch::Sender<Option<CancelReason>>>);

impl Canceller {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// The job is to end. The first reason counts.
    pub fn cancel(&self, reason: CancelReason) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }

    fn subscribe(&self) -> watch::Receiver<Option<CancelReason>> {
        self.0.subscribe()
    }
}

/// An entry in the queue, left when dropped.
struct Entry {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.in_room(|room| room.leave(self.number));
    }
}

/// A job that waits for a place. Dropping it leaves the queue.
pub struct Queued {
    job: JobRun,
    handler: Arc<dyn AnyHandler>,
    start_by: Option<BootTime>,
    place: oneshot::Receiver<Place>,
    canceller: Canceller,
    entry: Entry,
}

impl Queued {
    /// To end it, now or when it runs.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// The place, where one is free now.
    ///
    /// # Errors
    /// The job as it was, where it has to wait.
    pub fn try_permit(mut self) -> Result<Permit, Box<Self>> {
        match self.place.try_recv() {
            Ok(place) => {
                Ok(Permit { job: self.job, handler: self.handler, canceller: self.canceller, place })
            }
            Err(_none) => Err(Box::new(self)),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Where the job was cancelled or its start deadline came first: it never runs.
    pub async fn permit(self) -> Result<Permit, NotStarted> {
        let Self { job, handler, start_by, place, canceller, entry } = self;
        let mut stop = canceller.subscribe();
        let place = tokio::select! {
            biased;
            reason = stop.wait_for(Option::is_some) => {
                let reason = reason.ok().and_then(|reason| *reason).unwrap_or(CancelReason::Shutdown);
                return Err(NotStarted::Cancelled(reason));
            }
            () = deadline::reached(start_by) => return Err(NotStarted::TooLate),
            // The queue gives every entry a place, and goes only with the last of them.
            place = place => place.map_err(|_gone| NotStarted::Cancelled(CancelReason::Shutdown))?,
        };
        drop(entry);
        Ok(Permit { job, handler, canceller, place })
    }
}

/// A job that has its place and does not run yet. Dropping it gives the place back.
pub struct Permit {
    job: JobRun,
    handler: Arc<dyn AnyHandler>,
    canceller: Canceller,
    place: Place,
}

impl Permit {
    /// To end it when it runs.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Runs it: its handler is called at once, and its time-out begins. To be called once the journal says `starting`
    /// durably. Needs a tokio runtime.
    pub fn start(self) -> Running {
        let canceller = self.canceller.clone();
        let runs = self.place.shared.runs.clone();
        let (runner, reports) = runner::Runner::new(self);
        let _detached = runs.spawn(runner.run());
        Running { reports, canceller }
    }
}

/// A running job. Dropping it ends the job, as for [`CancelReason::Shutdown`]; what it still says is lost.
#[derive(Debug)]
pub struct Running {
    reports: mpsc::Receiver<Report>,
    canceller: Canceller,
}

impl Running {
    /// To end it: TERM to its processes, its grace, KILL; a handler of another kind is told and, after its grace and
    /// `limit::JOB_STOP_TIMEOUT`, dropped.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// The job's next report; `None` after [`Report::Finished`]. At most `limit::JOB_REPORTS` wait here: a job whose
    /// reports are not taken waits. Safe to cancel.
    pub async fn next(&mut self) -> Option<Report> {
        let report = self.reports.recv().await;
        if matches!(report, Some(Report::Finished(_)) | None) {
            self.reports.close();
            // What a handler says after its end is not part of the job.
            while self.reports.try_recv().is_ok() {}
        }
        report
    }
}

macro_rules! debug_job {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("job", &self.job).finish_non_exhaustive()
            }
        }
    )*};
}
debug_job!(Queued, Permit);
