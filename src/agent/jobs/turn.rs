//! When a job has its turn: not before it may, in the order of acceptance, in time or not at all.

use std::sync::Arc;
use std::time::Duration;

use crate::exec::{InvalidPayload, JobRun, Permit, Queued};
use crate::id::JobId;
use crate::job::journal::{Entry, Stage};
use crate::job::{JobSpec, JobState};
use crate::limit;
use crate::time::{HubTime, WallTime};

use super::actor::Actor;
use super::end::Told;
use super::follower::Follower;

/// Whether a job has its place.
pub(super) enum Turn {
    /// It waits for one.
    Waits(Queued),
    /// It has it, and the journal says that this run starts.
    Has(Permit, u32),
}

impl Actor {
    /// Puts an accepted job into the pool, now or when it may start.
    pub(super) async fn enter(&mut self, job: JobId) {
        let Some(Entry { stage: Stage::Accepted { at }, created_at, .. }) = self.journal.get(job).copied()
        else {
            return;
        };
        if self.is_void(job) {
            let reason =
                "the operator keys of this agent were changed since it was accepted; submit it again";
            return self.fail(job, reason).await;
        }
        let Some(spec) = self.specs.get(&job).cloned() else {
            if self.is_locked(job) {
                return;
            }
            return self.fail(job, "its spec is not in the journal any more").await;
        };
        match self.queue(job, &spec, created_at, at) {
            Ok(Some(queued)) => self.follow(job, &spec, Turn::Waits(queued)),
            Ok(None) => {}
            // A handler that was there when the job was accepted, by an earlier process.
            Err(error) => self.fail(job, &error.to_string()).await,
        }
    }

    /// It was accepted under other operator keys, or none, and does not begin any more.
    pub(super) fn is_void(&self, job: JobId) -> bool {
        self.latest.as_ref().is_some_and(|latest| latest.is_void(job))
    }

    async fn fail(&mut self, job: JobId, reason: &str) {
        if self.finish_unrun(job, JobState::Failed, reason).await == Told::Later {
            self.enter_later(job);
        }
    }

    /// What could not be written down for a job that waits is tried again.
    pub(super) fn enter_later(&mut self, job: JobId) {
        self.deferred.insert((self.hub_now().after(limit::JOB_WRITE_RETRY), job));
    }

    /// Puts a job into the pool's queue; `None` where it may not start yet, and is tended to when it may.
    pub(super) fn queue(
        &mut self,
        job: JobId,
        spec: &Arc<JobSpec>,
        created_at: HubTime,
        accepted_at: WallTime,
    ) -> Result<Option<Queued>, InvalidPayload> {
        let now = self.hub_now();
        if let Some(from) = spec.not_before_ms.map(HubTime).filter(|from| *from > now) {
            self.deferred.insert((from, job));
            return Ok(None);
        }
        let run = JobRun {
            id: job,
            run: self.journal.get(job).map_or(1, |entry| entry.run.saturating_add(1)),
            start_within: Some(self.start_within(spec, accepted_at, created_at, now)),
            spec: Arc::clone(spec),
        };
        self.pool.queue(run).map(Some)
    }

    /// From here on a task of its own looks after the job.
    pub(super) fn follow(&mut self, job: JobId, spec: &JobSpec, turn: Turn) {
        let (outbox, app) = (self.with.outbox.clone(), spec.app.clone());
        let follower = Follower::new(job, app, outbox, self.with.wall_clock, self.events.clone());
        match turn {
            Turn::Waits(queued) => {
                self.cancellers.insert(job, queued.canceller());
                self.followers.spawn(follower.follow(queued));
            }
            Turn::Has(permit, run) => {
                self.cancellers.insert(job, permit.canceller());
                self.followers.spawn(follower.follow_started(permit, run));
            }
        }
    }

    /// What is left of `start_within` and until it expires.
    fn start_within(
        &self,
        spec: &JobSpec,
        accepted_at: WallTime,
        created_at: HubTime,
        now: HubTime,
    ) -> Duration {
        let expires = spec.expires_at_ms(created_at.0).unwrap_or(created_at.0);
        let until_expiry = Duration::from_millis(expires.saturating_sub(now.0));
        let waited = Duration::from_millis(self.wall_now().0.saturating_sub(accepted_at.0));
        spec.start_within.map_or(until_expiry, |within| within.saturating_sub(waited).min(until_expiry))
    }

    /// How long until something is to be looked at.
    pub(super) fn due(&self) -> Duration {
        if !self.unwritten.is_empty() {
            return limit::JOB_WRITE_RETRY;
        }
        let now = self.hub_now();
        let next = self.deferred.first().map(|(from, _)| from.0.saturating_sub(now.0));
        // The clock may be stepped meanwhile.
        next.map_or(limit::JOB_TEND_INTERVAL, Duration::from_millis).min(limit::JOB_TEND_INTERVAL)
    }

    /// What time brings: ends that found no room, and jobs that may start by now.
    pub(super) async fn tend(&mut self) {
        self.write_unwritten().await;
        self.seal_anew().await;
        self.give_up_locked().await;
        self.keep_time_sometimes().await;
        let now = self.hub_now();
        while let Some((from, job)) = self.deferred.first().copied().filter(|(from, _)| *from <= now) {
            self.deferred.remove(&(from, job));
            self.enter(job).await;
        }
    }
}
