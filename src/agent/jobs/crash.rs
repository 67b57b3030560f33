//! What an earlier process left: what still runs is ended, then reported once or begun again.

use crate::exec;
use crate::id::{JobId, Lane, RecordId};
use crate::job::OnCrash;
use crate::job::journal::{AfterCrash, Found, Journal, Survivor};
use crate::limit;
use crate::outbox::StoreError;
use crate::outbox::job::{ReservationChange, SpecChange};
use crate::time::WallTime;

use super::actor::Actor;
use super::follower::End;

impl Actor {
    pub(super) async fn recover(&mut self) -> Result<(), StoreError> {
        self.old_logs = self.last_of_old_logs().await?;
        for (job, found) in self.journal.found(self.boot) {
            let Found::Begun { survivor, started_at } = found else { continue };
            self.end_survivor(job, survivor).await;
            // One that begins no more is over whatever its spec says, and must not hold the others up for its key.
            if self.is_locked(job) && !self.is_void(job) {
                continue;
            }
            self.after_crash(job, started_at).await;
        }
        Ok(())
    }

    /// The last record of the newest epoch before this one: a log of an earlier process does not go beyond.
    async fn last_of_old_logs(&self) -> Result<Option<RecordId>, StoreError> {
        let durable = self.with.outbox.durable();
        let [_, _, current] = *durable.borrow();
        let streams = self.with.outbox.streams().await?;
        let old = streams.into_iter().filter(|state| {
            state.stream.lane == Lane::Logs
                && state.stream != current.stream
                && state.first_unacked < state.next
        });
        let newest = old.max_by_key(|state| state.stream.epoch);
        Ok(newest.map(|state| RecordId { stream: state.stream, seq: state.next.saturating_sub(1) }))
    }

    async fn end_survivor(&self, job: JobId, survivor: Survivor) {
        let process = match survivor {
            Survivor::None => return,
            Survivor::Group(process) => Some(process),
            Survivor::Unknown => None,
        };
        match exec::survivor::end(job, process, limit::SURVIVOR_TIMEOUT).await {
            Ok(ended) => tracing::info!(%job, ?ended, "what an earlier process left of a job is gone"),
            Err(error) => tracing::error!(%job, %error, "what an earlier process left of a job does not end"),
        }
    }

    pub(super) async fn after_crash(&mut self, job: JobId, started_at: Option<WallTime>) {
        let Some(entry) = self.journal.get(job).copied() else { return };
        let doubtful = self.journal.is_doubtful(job);
        let spec = self.specs.get(&job).filter(|_| !doubtful);
        let on_crash = spec.map_or(OnCrash::Report, |spec| spec.on_crash);
        let result = match Journal::after_crash(on_crash) {
            AfterCrash::Interrupted => {
                let reason = if doubtful {
                    "the agent's journal was damaged on disk; it may have run"
                } else if started_at.is_some() {
                    "the agent or its machine stopped while it ran"
                } else {
                    "the agent or its machine stopped while it was started; it may have run"
                };
                self.interrupt(job, entry, started_at, reason).await
            }
            AfterCrash::Rerun => {
                self.commit(job, entry.put_back(), SpecChange::Keep, ReservationChange::Keep, Vec::new())
                    .await
            }
        };
        match result {
            Ok(()) => {}
            Err(error) if error.is_shortage() => self.unwritten.push((job, End::Found(started_at))),
            // It stays as it was found, and the next start comes to the same.
            Err(error) => tracing::error!(%job, %error, "what became of a job could not be written"),
        }
    }
}
