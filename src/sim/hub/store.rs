//! The hub's database: marks by compare-and-set, records and gaps judged as they are stored, jobs.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::hub::store::{Answered, Content, Fact, Ingest, IngestReply, StoreError};
use crate::id::{JobId, MessageId, RecordId, StreamId};
use crate::job::JobState;
use crate::sim::around::Around;
use crate::sim::mutant::{self, Mutant};
use crate::time::HubTime;
use crate::wire::batch;
use crate::wire::job::{Answer, JobAck, Refusal};
use crate::wire::message::StreamMark;

/// One job at the hub.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Job {
    pub(super) spec: Bytes,
    pub(super) created_at: HubTime,
    pub(in crate::sim) state: JobState,
    pub(in crate::sim) cancel: bool,
    /// The agent said that it is over, and no result has come.
    told_over: bool,
}

impl Job {
    pub(super) const fn new(spec: Bytes, created_at: HubTime) -> Self {
        Self { spec, created_at, state: JobState::Queued, cancel: false, told_over: false }
    }
}

/// What is committed.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct HubStore {
    pub(in crate::sim) marks: BTreeMap<StreamId, StreamMark>,
    pub(in crate::sim) jobs: BTreeMap<JobId, Job>,
    /// Messages that are kept, by their place in the order.
    pub(in crate::sim) relays: BTreeMap<i64, (MessageId, Bytes)>,
}

impl HubStore {
    fn mark(&self, id: StreamId) -> StreamMark {
        self.marks.get(&id).copied().unwrap_or(StreamMark::none(id.lane, id.epoch))
    }

    pub(super) fn marks(&self, streams: &[StreamId]) -> Vec<StreamMark> {
        streams.iter().map(|id| self.mark(*id)).collect()
    }

    /// One piece as one transaction.
    pub(super) fn commit(&mut self, piece: &Ingest, around: &mut Around<'_>) -> IngestReply {
        let id = piece.mark.stream;
        if self.mark(id).acked != piece.previous && !mutant::active(Mutant::MarkMovesAlways) {
            return Err(Box::new(StoreError::MarkMoved));
        }
        around.say(|| format!("hub stores {id} {} to {}", piece.previous + 1, piece.mark.acked));
        match &piece.content {
            Content::Batch { batch, jobs, .. } => {
                let count = u32::try_from(piece.count()).expect("a batch is short");
                let records = batch::decode(batch, count).expect("the intake has decoded it");
                around.truth.stored(RecordId { stream: id, seq: piece.previous + 1 }, &records);
                for (_, fact) in jobs {
                    self.apply(fact, around);
                }
            }
            Content::Gap(gap) => around.truth.stored_gap(gap),
        }
        self.marks.insert(id, piece.mark);
        Ok(piece.mark)
    }

    fn apply(&mut self, fact: &Fact, around: &mut Around<'_>) {
        let (job, state) = match fact {
            Fact::Accepted { job, .. } => (*job, JobState::Accepted),
            Fact::Running(change) => (change.job, JobState::Running),
            Fact::Result(result) => {
                around.truth.job_result(result);
                (result.job, result.state)
            }
            Fact::Progress(_) | Fact::Output { .. } | Fact::Artifact { .. } => return,
        };
        if let Some(job) = self.jobs.get_mut(&job)
            && !job.state.is_final()
        {
            job.state = state;
        }
    }

    /// Keeps a message.
    pub(super) fn keep(&mut self, payload: Bytes, around: &mut Around<'_>) {
        around.say(|| format!("hub keeps message {payload:?}"));
        around.truth.relays.kept(&payload);
        let number = self.relays.last_key_value().map_or(1, |(last, _)| last + 1);
        self.relays.insert(number, (MessageId::from_bytes(around.bytes()), payload));
    }

    /// Mirrors what an answer to an offer means.
    pub(super) fn answer(&mut self, ack: &JobAck) -> Answered {
        let Some(job) = self.jobs.get_mut(&ack.job) else { return Answered::Taken };
        match &ack.answer {
            // Its result may still be on its way; at the second word it is not.
            Answer::Accepted(state) if state.is_final() => {
                if std::mem::replace(&mut job.told_over, true) && !job.state.is_final() {
                    job.state = *state;
                }
            }
            Answer::Accepted(state) if !job.state.is_final() => job.state = *state,
            Answer::Refused { refusal: Refusal::Busy | Refusal::Degraded, .. } => {
                if job.state == JobState::Offered {
                    job.state = JobState::Queued;
                }
                return Answered::NoRoom;
            }
            Answer::Refused { .. } if job.state == JobState::Offered => job.state = JobState::Rejected,
            Answer::Accepted(_) | Answer::Refused { .. } => {}
        }
        Answered::Taken
    }

    /// That a job was offered is committed lazily.
    pub(super) fn forget_offers(&mut self, around: &mut Around<'_>) {
        for job in self.jobs.values_mut() {
            if job.state == JobState::Offered && around.rng.bool() {
                job.state = JobState::Queued;
            }
        }
    }

    /// Jobs that are not over.
    pub(in crate::sim) fn open_jobs(&self) -> impl Iterator<Item = (&JobId, &Job)> {
        self.jobs.iter().filter(|(_, job)| !job.state.is_final())
    }
}
