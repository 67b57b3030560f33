//! How a job ends: its one result, in one commit with its row.

use crate::exec::{CancelReason, Ending, Finished, Masks, NotStarted, Outcome};
use crate::id::{JobId, RecordId};
use crate::job::journal::{Entry, Stage};
use crate::job::{JobState, OnCrash};
use crate::limit;
use crate::outbox::AppendError;
use crate::outbox::job::{ReservationChange, SpecChange};
use crate::time::{HubTime, WallTime};
use crate::wire::job::{JobRecord, JobResult, LogSummary, ResultPayload};

use super::actor::Actor;
use super::follower::{Done, End};
use super::record::record;

/// Whether the end of a job could be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It was, or the next start of the agent does it.
    Now,
    /// It found no room: it is to be tried again.
    Later,
}

impl Actor {
    /// A follower has come to its end.
    pub(super) async fn over(&mut self, job: JobId, end: End) {
        let Some(entry) = self.journal.get(job).copied() else { return };
        if let Stage::Finished { .. } = entry.stage {
            // Cancelled while it waited: said already.
            return;
        }
        match end {
            // It waits for the next start of the agent.
            End::NotStarted(NotStarted::Cancelled(CancelReason::Shutdown)) => {}
            End::NotStarted(error) => {
                let state = match error {
                    NotStarted::Cancelled(reason) => reason.state(),
                    NotStarted::TooLate => JobState::Expired,
                };
                if self.finish_unrun(job, state, &error.to_string()).await == Told::Later {
                    self.unwritten.push((job, End::NotStarted(error)));
                }
            }
            End::Refused if self.crowded_out.remove(&job) => self.enter_later(job),
            // It waits for the next start of the agent.
            End::Refused => {}
            End::Found(started_at) => {
                self.after_crash(job, started_at).await;
                if !self.stop.is_cancelled() {
                    // Where it is to begin again.
                    self.enter(job).await;
                }
            }
            End::Finished(done) if self.reruns(job, entry, &done) => self.put_back(job, entry).await,
            End::Finished(done) => self.finish(job, entry, *done).await,
        }
    }

    /// A job that the agent's own end interrupted is begun again by the next start, where its spec asks for that, and
    /// where it had its place but had not started.
    fn reruns(&self, job: JobId, entry: Entry, done: &Done) -> bool {
        done.finished.outcome.ending == Ending::Stopped(CancelReason::Shutdown)
            && (matches!(entry.stage, Stage::Starting { .. })
                || self.specs.get(&job).is_some_and(|spec| spec.on_crash == OnCrash::Rerun))
    }

    async fn put_back(&mut self, job: JobId, entry: Entry) {
        // Where this fails the next start finds it running and comes to the same.
        let _logged =
            self.commit(job, entry.put_back(), SpecChange::Keep, ReservationChange::Keep, Vec::new()).await;
    }

    async fn finish(&mut self, job: JobId, entry: Entry, done: Done) {
        let Finished { outcome, lines, bytes, cut, pipe_held } = done.finished.clone();
        let Outcome { exit_code, signal, .. } = outcome;
        let started_at = match entry.stage {
            Stage::Running { started_at, .. } => Some(started_at),
            Stage::Accepted { .. } | Stage::Starting { .. } | Stage::Finished { .. } => None,
        };
        let result = JobResult {
            job,
            run: entry.run,
            state: outcome.state(),
            exit_code,
            signal,
            reason: reason(&outcome),
            started_at,
            finished_at: done.at,
            log: LogSummary { end: done.log_end, lines: Some(lines), bytes, cut, pipe_held },
            payload: match done.payload_at {
                Some((first, last)) => ResultPayload::At { first, last },
                None => ResultPayload::Inline(outcome.payload.clone()),
            },
        };
        self.tell(job, entry, result, End::Finished(Box::new(done))).await;
    }

    /// The end of a job that this process did not run, or not to its end.
    pub(super) async fn interrupt(
        &mut self,
        job: JobId,
        entry: Entry,
        started_at: Option<WallTime>,
        reason: &str,
    ) -> Result<(), AppendError> {
        let result = JobResult {
            run: entry.run,
            started_at,
            log: LogSummary { end: self.old_logs, ..LogSummary::default() },
            ..self.result(job, JobState::Interrupted, reason)
        };
        self.write(job, entry, result).await
    }

    /// The end of a job that never ran.
    pub(super) async fn finish_unrun(&mut self, job: JobId, state: JobState, reason: &str) -> Told {
        let entry = self.journal.get(job).copied().unwrap_or(Entry {
            // Nothing is known of it but its id: what was forgotten by age says nothing about it.
            created_at: HubTime(0),
            run: 0,
            stage: Stage::Accepted { at: self.wall_now() },
        });
        let log = LogSummary {
            lines: (entry.run == 0).then_some(0),
            end: self.old_log_of(entry),
            ..LogSummary::default()
        };
        let result = JobResult { run: entry.run, log, ..self.result(job, state, reason) };
        match self.write(job, entry, result).await {
            Err(error) if error.is_shortage() => Told::Later,
            // Degraded: the next start comes to the same.
            Ok(()) | Err(_) => Told::Now,
        }
    }

    /// A rerun that does not come about leaves the log of the run before.
    fn old_log_of(&self, entry: Entry) -> Option<RecordId> {
        self.old_logs.filter(|_| entry.run > 0)
    }

    fn result(&self, job: JobId, state: JobState, reason: &str) -> JobResult {
        JobResult {
            job,
            run: 0,
            state,
            exit_code: None,
            signal: None,
            reason: reason.to_owned(),
            started_at: None,
            finished_at: self.wall_now(),
            log: LogSummary::default(),
            payload: ResultPayload::Inline(bytes::Bytes::new()),
        }
    }

    /// Writes a result; one that finds no room is kept and tried again.
    async fn tell(&mut self, job: JobId, entry: Entry, result: JobResult, end: End) {
        match self.write(job, entry, result).await {
            Ok(()) => {}
            Err(error) if error.is_shortage() => self.unwritten.push((job, end)),
            // Degraded: the next start finds the job running and reports it as interrupted.
            Err(_logged) => {}
        }
    }

    async fn write(&mut self, job: JobId, entry: Entry, mut result: JobResult) -> Result<(), AppendError> {
        if let Some(spec) = self.specs.get(&job) {
            result.reason = Masks::of(&spec.secrets).text(&result.reason).into_owned();
        }
        let (state, at) = (result.state, self.wall_now());
        let stage = Stage::Finished { state, at };
        let records = vec![record(JobRecord::Result(Box::new(result)), at)];
        let entry = Entry { stage, ..entry };
        self.commit(job, entry, SpecChange::Remove, ReservationChange::Release, records).await?;
        self.specs.remove(&job);
        self.sealed.remove(&job);
        if let Some(latest) = &mut self.latest {
            latest.settled(job);
        }
        self.with.state.count_end(|ends| ends.jobs.add(state.name()));
        tracing::info!(%job, state = state.name(), "a job is over");
        Ok(())
    }
}

fn reason(outcome: &Outcome) -> String {
    if outcome.reason.is_empty() && outcome.ending == Ending::Stopped(CancelReason::Shutdown) {
        return "the agent was stopped".to_owned();
    }
    let mut reason = outcome.reason.clone();
    reason.truncate(reason.floor_char_boundary(limit::JOB_TEXT_BYTES_MAX));
    reason
}
