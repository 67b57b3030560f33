//! Jobs that are locked: their spec is sealed, and its key is not here. They wait for it, and are not lost.
//!
//! A key file may come late, or be put back. What ran when an earlier process ended is ended at the start as always; what
//! becomes of it is said once its spec can be read.

use bytes::Bytes;

use crate::id::{JobId, Lane};
use crate::job::journal::Stage;
use crate::job::{JobSpec, JobState};
use crate::limit;
use crate::outbox::job::{ReservationChange, SpecChange};
use crate::wire::job::{JobProgress, JobRecord};

use super::actor::Actor;
use super::follower::End;
use super::record::record;
use super::seal::{SealKeys, sealing_key};

impl Actor {
    /// Its spec is here and cannot be read.
    pub(super) fn is_locked(&self, job: JobId) -> bool {
        self.sealed.contains_key(&job) && !self.specs.contains_key(&job)
    }

    fn locked(&self) -> Vec<JobId> {
        self.sealed.keys().copied().filter(|job| self.is_locked(*job)).collect()
    }

    /// A spec as it is to be stored; `None` where it has secrets and there is no key to seal them with.
    pub(super) fn stored(&self, job: JobId, spec: &JobSpec, bytes: &Bytes) -> Option<Bytes> {
        if spec.secrets.is_empty() { Some(bytes.clone()) } else { self.keys.seal(job, bytes) }
    }

    /// The agent has these keys now.
    pub(super) async fn take_keys(&mut self, keys: SealKeys) {
        self.keys = keys.and_before(&self.keys);
        for job in self.locked() {
            self.unlock(job).await;
        }
        self.seal_anew().await;
    }

    async fn unlock(&mut self, job: JobId) {
        let Some(spec) = self.sealed.get(&job).and_then(|stored| self.keys.spec(job, stored)) else { return };
        self.specs.insert(job, spec.into());
        self.tell_hub(job, "its secrets can be opened again").await;
        match self.journal.get(job).map(|entry| entry.stage) {
            Some(Stage::Accepted { .. }) => self.enter(job).await,
            Some(Stage::Starting { .. }) => self.over(job, End::Found(None)).await,
            Some(Stage::Running { started_at, .. }) => self.over(job, End::Found(Some(started_at))).await,
            Some(Stage::Finished { .. }) | None => {}
        }
    }

    /// Whatever is sealed with an older key than the present one, is sealed with the present one: the older may go.
    pub(super) async fn seal_anew(&mut self) {
        let old = self.sealed.iter();
        let anew: Vec<(JobId, Bytes)> =
            old.filter_map(|(job, stored)| Some((*job, self.keys.seal_anew(*job, stored)?))).collect();
        for (job, stored) in anew {
            let Some(entry) = self.journal.get(job).copied() else { continue };
            let change = SpecChange::Put(stored.clone());
            // Where it finds no room it stays as it is, and is tried again with what else time brings.
            if self.commit(job, entry, change, ReservationChange::Keep, Vec::new()).await.is_ok() {
                self.sealed.insert(job, stored);
            }
        }
    }

    /// Says of each locked job what it waits for.
    pub(super) async fn tell_locked(&self) {
        for job in self.locked() {
            let key = self.sealed.get(&job).map(|stored| sealing_key(stored)).unwrap_or_default();
            let reason = format!(
                "waits: its secrets are sealed with key `{key}` of this agent, which is not here; put that key back (FILE or FILE.previous), or cancel the job and submit it again"
            );
            tracing::warn!(%job, key, "{reason}");
            self.tell_hub(job, &reason).await;
        }
    }

    /// Shows at the hub what a job is about. Only the newest such word matters: one that finds no room is dropped.
    async fn tell_hub(&self, job: JobId, text: &str) {
        let Some(entry) = self.journal.get(job) else { return };
        let at = self.wall_now();
        let progress = JobProgress { job, run: entry.run, at, permille: None, text: text.to_owned() };
        let told = self.with.outbox.append(Lane::Events, vec![record(JobRecord::Progress(progress), at)]);
        if let Err(error) = told.await {
            tracing::debug!(%job, %error, "a job's progress is dropped");
        }
    }

    /// No job waits for its key longer than one may wait for its turn.
    pub(super) async fn give_up_locked(&mut self) {
        let now = self.hub_now();
        for job in self.locked() {
            let created_at = self.journal.get(job).map(|entry| entry.created_at);
            if created_at.is_some_and(|at| at.after(limit::JOB_EXPIRY_MAX) < now) {
                let reason = "the key that its secrets are sealed with did not come back";
                // Where that finds no room it comes here again.
                let _told = self.finish_unrun(job, JobState::Expired, reason).await;
            }
        }
    }
}
