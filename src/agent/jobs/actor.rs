//! The task that owns the journal.
//!
//! Every change goes the same way: decide against what is durable, commit the row with the records that tell of it, then
//! change the journal in memory, then act. So whatever the process dies of, the next one finds what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::exec::{self, CancelReason, Canceller, Handlers, Pool};
use crate::id::{JobId, RecordId};
use crate::job::journal::{Cancelled, Entry, Journal, Stage};
use crate::job::process::{BootId, ProcessId};
use crate::job::{JobSpec, JobState};
use crate::limit;
use crate::outbox::job::{JobChange, ReservationChange, SpecChange, Trust};
use crate::outbox::{AppendError, NewRecord, StoreError};
use crate::time::{HubTime, WallTime};
use crate::wire::job::{JobRecord, JobStatusChange};

use super::follower::End;
use super::latest::Latest;
use super::record::record;
use super::seal::{SealKeys, is_sealed};
use super::{Order, Settings, Surroundings};

/// What followers tell.
pub(super) enum Event {
    /// The job has its place; it is run once this is answered.
    Begin { job: JobId, may: oneshot::Sender<u32> },
    /// It runs.
    Started { job: JobId, process: Option<ProcessId>, ack: exec::Ack },
    /// It is over, or never ran.
    Over { job: JobId, end: End },
}

pub(super) struct Actor {
    pub(super) settings: Settings,
    pub(super) with: Surroundings,
    pub(super) stop: CancellationToken,
    pub(super) pool: Pool,
    pub(super) journal: Journal,
    pub(super) boot: BootId,
    /// Of unfinished jobs.
    pub(super) specs: BTreeMap<JobId, Arc<JobSpec>>,
    /// The specs that are sealed on disk, as they are there; of unfinished jobs.
    pub(super) sealed: BTreeMap<JobId, Bytes>,
    /// Open and seal them.
    pub(super) keys: SealKeys,
    /// Of jobs that are in the pool.
    pub(super) cancellers: BTreeMap<JobId, Canceller>,
    /// Jobs that may not start yet, by when they may.
    pub(super) deferred: BTreeSet<(HubTime, JobId)>,
    /// Ends that found no room: their jobs are not over before they did.
    pub(super) unwritten: Vec<(JobId, End)>,
    /// Jobs that had a place and no room for the row that lets them begin.
    pub(super) crowded_out: BTreeSet<JobId>,
    pub(super) events: mpsc::Sender<Event>,
    told: Option<mpsc::Receiver<Event>>,
    pub(super) followers: TaskTracker,
    /// Where the logs of an earlier process end at the latest.
    pub(super) old_logs: Option<RecordId>,
    /// Whether the journal knows every job that it should.
    pub(super) trust: Trust,
    /// Where there are operator keys.
    pub(super) latest: Option<Latest>,
}

impl Actor {
    /// The actor as an earlier process left it; what that left running is ended.
    pub(super) async fn restore(
        settings: Settings,
        handlers: Handlers,
        with: Surroundings,
        stop: CancellationToken,
    ) -> Result<Self, StoreError> {
        let rows = with.outbox.jobs().await?;
        let unreadable = |detail: String| StoreError::Invalid { detail };
        let pairs = rows.jobs.iter().map(|row| (row.job, row.row.as_ref()));
        let mut journal = Journal::restore(pairs, rows.remembered.as_deref())
            .map_err(|error| unreadable(error.to_string()))?;
        let doubtful = rows.jobs.iter().filter(|row| row.trust == Trust::Doubtful);
        doubtful.for_each(|row| journal.doubt(row.job));
        let boot = BootId::current().map_err(|error| unreadable(format!("the kernel's boot id: {error}")))?;
        let keys = with.keys.clone();
        let specs = rows.jobs.iter().filter_map(|row| {
            let spec = keys.spec(row.job, row.spec.as_deref()?)?;
            Some((row.job, Arc::new(spec)))
        });
        let sealed = rows.jobs.iter().filter_map(|row| Some((row.job, row.spec.clone()?)));
        let sealed = sealed.filter(|(_, spec)| is_sealed(spec)).collect();
        let pool = Pool::new(
            handlers,
            exec::Settings {
                concurrency: settings.concurrency,
                grace: settings.grace,
                output_max: settings.output_max,
            },
        );
        let latest = match &with.operator_keys {
            Some(keys) => {
                let registered = with.state.registered_at();
                Some(Latest::restore(keys, &with.outbox, registered, journal.open()).await?)
            }
            None => None,
        };
        let (events, told) = mpsc::channel(limit::JOB_QUEUE);
        let mut actor = Self {
            specs: specs.collect(),
            sealed,
            keys,
            settings,
            stop,
            pool,
            journal,
            boot,
            cancellers: BTreeMap::new(),
            deferred: BTreeSet::new(),
            unwritten: Vec::new(),
            crowded_out: BTreeSet::new(),
            events,
            told: Some(told),
            followers: TaskTracker::new(),
            old_logs: None,
            trust: rows.trust,
            latest,
            with,
        };
        actor.recover().await?;
        Ok(actor)
    }

    /// Works until it is stopped, then until every job is over.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut keys: watch::Receiver<SealKeys>,
    ) {
        let Some(mut told) = self.told.take() else { return };
        for job in self.journal.open().collect::<Vec<_>>() {
            self.enter(job).await;
        }
        self.tell_locked().await;
        self.seal_anew().await;
        self.keep_time_sometimes().await;
        let stop = self.stop.clone();
        let mut orders_open = true;
        loop {
            self.show();
            let due = self.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(event) = told.recv() => self.handle(event).await,
                // Before the offers of the session that has them.
                Ok(()) = keys.changed() => {
                    let keys = keys.borrow_and_update().clone();
                    self.take_keys(keys).await;
                }
                order = orders.recv(), if orders_open => match order {
                    Some(order) => self.obey(order).await,
                    None => orders_open = false,
                },
                () = tokio::time::sleep(due) => self.tend().await,
            }
        }
        drop(orders);
        self.wind_up(told).await;
    }

    /// Ends what runs and writes down how it ended.
    async fn wind_up(mut self, mut told: mpsc::Receiver<Event>) {
        for canceller in self.cancellers.values() {
            canceller.cancel(CancelReason::Shutdown);
        }
        self.followers.close();
        let followers = self.followers.clone();
        loop {
            tokio::select! {
                biased;
                Some(event) = told.recv() => self.handle(event).await,
                () = followers.wait() => break,
            }
        }
        while let Ok(event) = told.try_recv() {
            self.handle(event).await;
        }
        self.pool.idle().await;
        self.write_unwritten().await;
        // What a crash would forget.
        let _logged = self.keep_time().await;
        self.show();
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Offer { offer, id, parties, now, answers } => {
                let job = offer.job;
                if let Some(answer) = self.offered(offer, parties, now).await {
                    super::answer(&answers, id, job, answer);
                }
            }
            Order::Cancel(job) => self.cancel(job).await,
            Order::Time(now) => {
                self.see_time(now);
                self.keep_time_sometimes().await;
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Begin { job, may } => {
                if let Some(run) = self.begin(job).await {
                    // A follower that is gone leaves a job that begun and did not: the next start reports it.
                    let _gone = may.send(run);
                }
            }
            Event::Started { job, process, ack } => {
                if self.started(job, process).await {
                    ack.durable();
                }
            }
            Event::Over { job, end } => {
                self.cancellers.remove(&job);
                self.over(job, end).await;
            }
        }
    }

    /// The journal says `starting` before anything is run. An agent that stops begins nothing: the job waits for its next
    /// start.
    pub(super) async fn begin(&mut self, job: JobId) -> Option<u32> {
        if self.stop.is_cancelled() {
            return None;
        }
        let entry = *self.journal.get(job)?;
        let Stage::Accepted { at } = entry.stage else { return None };
        let run = entry.run.saturating_add(1);
        let entry = Entry { run, stage: Stage::Starting { accepted_at: at, boot: self.boot }, ..entry };
        match self.commit(job, entry, SpecChange::Keep, ReservationChange::Keep, Vec::new()).await {
            Ok(()) => Some(run),
            Err(error) => {
                if error.is_shortage() {
                    self.crowded_out.insert(job);
                }
                None
            }
        }
    }

    async fn started(&mut self, job: JobId, process: Option<ProcessId>) -> bool {
        let Some(entry) = self.journal.get(job).copied() else { return false };
        let now = self.wall_now();
        let (accepted_at, started_at, first) = match entry.stage {
            Stage::Starting { accepted_at, .. } => (accepted_at, now, true),
            Stage::Running { accepted_at, started_at, .. } => (accepted_at, started_at, false),
            Stage::Accepted { .. } | Stage::Finished { .. } => return false,
        };
        let stage = Stage::Running { accepted_at, boot: self.boot, process, started_at };
        let change = JobStatusChange { job, run: entry.run, state: JobState::Running, at: now };
        let records = if first { vec![record(JobRecord::Status(change), now)] } else { Vec::new() };
        let entry = Entry { stage, ..entry };
        self.commit(job, entry, SpecChange::Keep, ReservationChange::Keep, records).await.is_ok()
    }

    pub(super) async fn cancel(&mut self, job: JobId) {
        match self.journal.cancelled(job) {
            Cancelled::Unknown | Cancelled::Waiting => {
                let reason = "cancelled before it started";
                // Where that finds no room the hub asks again.
                let _told = self.finish_unrun(job, JobState::Cancelled, reason).await;
                // Only now: its follower finds the job over.
                if let Some(canceller) = self.cancellers.get(&job) {
                    canceller.cancel(CancelReason::Cancelled);
                }
            }
            Cancelled::Begun if self.is_locked(job) => {
                let reason =
                    "the agent had stopped while it ran; it was cancelled while its secrets were locked";
                let _told = self.finish_unrun(job, JobState::Cancelled, reason).await;
            }
            Cancelled::Begun => {
                if let Some(canceller) = self.cancellers.get(&job) {
                    canceller.cancel(CancelReason::Cancelled);
                }
            }
            Cancelled::Finished(_) => {}
        }
    }

    /// Hub time as far as it is known, else the machine's own; with operator keys never earlier than it once was.
    pub(super) fn hub_now(&self) -> HubTime {
        self.at_least(self.with.state.clock_offset().correct(self.wall_now()))
    }

    /// A hub's word on the time, or what is known to be later.
    pub(super) fn at_least(&self, now: HubTime) -> HubTime {
        self.latest.as_ref().map_or(now, |latest| latest.now().max(now))
    }

    pub(super) fn see_time(&mut self, now: HubTime) {
        if let Some(latest) = &mut self.latest {
            latest.see(now);
        }
    }

    /// What is known of the time is durable when this returns.
    ///
    /// # Errors
    /// Where it cannot be made so.
    pub(super) async fn keep_time(&mut self) -> Result<(), StoreError> {
        let Some(latest) = &mut self.latest else { return Ok(()) };
        latest.keep(&self.with.outbox).await.inspect_err(|error| {
            tracing::warn!(%error, "how late it is could not be kept");
        })
    }

    pub(super) async fn keep_time_sometimes(&mut self) {
        if let Some(latest) = &mut self.latest
            && let Err(error) = latest.keep_sometimes(&self.with.outbox).await
        {
            tracing::debug!(%error, "how late it is is kept later");
        }
    }

    pub(super) async fn write_unwritten(&mut self) {
        for (job, end) in std::mem::take(&mut self.unwritten) {
            self.over(job, end).await;
        }
    }

    /// Commits a job's row with what is to be said, then changes the journal in memory.
    pub(super) async fn commit(
        &mut self,
        job: JobId,
        entry: Entry,
        spec: SpecChange,
        reservation: ReservationChange,
        records: Vec<NewRecord>,
    ) -> Result<(), AppendError> {
        let now = self.wall_now();
        let gone = self.journal.forgettable(now, limit::JOBS_FORGOTTEN_AT_ONCE);
        let forget = self.journal.remembered_without(&gone).filter(|_| !gone.is_empty()).map(|newest| {
            let remembered = crate::job::journal::encode_remembered(newest).into();
            crate::outbox::job::Forget { jobs: gone.clone(), remembered }
        });
        let change = JobChange { job, row: entry.encode().into(), spec, reservation, forget, records };
        self.with.outbox.change_job(change).await.inspect_err(|error| {
            tracing::warn!(%job, %error, "a change of a job could not be written");
        })?;
        self.journal.set(job, entry);
        self.journal.forget(&gone);
        Ok(())
    }

    fn show(&self) {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for job in self.journal.open() {
            if let Some(entry) = self.journal.get(job) {
                *counts.entry(entry.stage.state().name().to_owned()).or_default() += 1;
            }
        }
        self.with.state.set_jobs(counts);
    }

    /// The machine's own clock.
    pub(super) fn wall_now(&self) -> WallTime {
        (self.with.wall_clock)()
    }
}
