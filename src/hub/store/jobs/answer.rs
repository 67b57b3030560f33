//! What becomes of an agent's answer to an offer.

use crate::hub::store::{AgentRef, Store, StoreError, time};
use crate::id::JobId;
use crate::job::JobState;
use crate::limit;
use crate::time::{HubTime, millis};
use crate::wire::job::{Answer, JobAck, Refusal};

/// What an answer to an offer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The job is with the agent, or over.
    Taken,
    /// The agent has no room now.
    NoRoom,
}

impl Store {
    /// An answer to an offer that came without a record. Only a job that is still offered is changed by it; the record of an
    /// acceptance also opens what the hub had closed by itself.
    ///
    /// # Errors
    /// What the database says.
    pub async fn answer_offer(
        &self,
        agent: AgentRef,
        ack: &JobAck,
        now: HubTime,
    ) -> Result<Answered, StoreError> {
        if let Answer::Accepted(state) = ack.answer
            && state.is_final()
            && state != JobState::Cancelled
        {
            return self.ended_before(agent, ack.job, state, now).await;
        }
        // (status, reason) where the job is over; a cancelled one that the agent never took is cancelled now.
        let (closing, answered) = match &ack.answer {
            Answer::Accepted(JobState::Cancelled) => {
                (Some(("cancelled", "cancelled before it was accepted".to_owned())), Answered::Taken)
            }
            Answer::Accepted(_) => (None, Answered::Taken),
            Answer::Refused { refusal: Refusal::Busy | Refusal::Degraded, .. } => (None, Answered::NoRoom),
            Answer::Refused { refusal: Refusal::Expired, detail } => {
                (Some(("expired", detail.clone())), Answered::Taken)
            }
            Answer::Refused { refusal: refusal @ (Refusal::TooOld | Refusal::Invalid), detail } => {
                (Some(("rejected", format!("{}: {detail}", refusal.name()))), Answered::Taken)
            }
        };
        let query = match (closing, answered) {
            (Some((status, reason)), _) => sqlx::query(
                "update jobs set status = $4, reason = $5, by_hub = 1, closed_at = $3, finished_at = $3
                 where id = $1 and agent = $2 and status in ('queued', 'offered')",
            )
            .bind(ack.job.as_bytes().to_vec())
            .bind(agent.0)
            .bind(time(now))
            .bind(status)
            .bind(reason.replace('\0', "")),
            (None, Answered::Taken) => sqlx::query(
                "update jobs set status = 'accepted', accepted_at = coalesce(accepted_at, $3)
                 where id = $1 and agent = $2 and status in ('queued', 'offered')",
            )
            .bind(ack.job.as_bytes().to_vec())
            .bind(agent.0)
            .bind(time(now)),
            (None, Answered::NoRoom) => sqlx::query(
                "update jobs set
                     by_hub = case when cancel_requested_at is null then 0 else 1 end,
                     closed_at = case when cancel_requested_at is null then null else $3 end,
                     finished_at = case when cancel_requested_at is null then null else $3 end,
                     reason = case when cancel_requested_at is null then '' else 'cancelled before it was accepted' end,
                     status = case when cancel_requested_at is null then 'queued' else 'cancelled' end
                 where id = $1 and agent = $2 and status = 'offered'",
            )
            .bind(ack.job.as_bytes().to_vec())
            .bind(agent.0)
            .bind(time(now)),
        };
        query.execute(&self.lazy).await?;
        self.changes.note(agent);
        Ok(answered)
    }

    /// The agent says that it has ended a job which is only offered here: its result is on its way, and the job stays
    /// offered for so long. One that does not come was stored by a hub this one is an older copy of: it is not told again,
    /// and when the agent says the same `limit::JOB_RESULT_PATIENCE` later, its word is all there is.
    async fn ended_before(
        &self,
        agent: AgentRef,
        job: JobId,
        state: JobState,
        now: HubTime,
    ) -> Result<Answered, StoreError> {
        let patient_until = HubTime(now.0.saturating_sub(millis(limit::JOB_RESULT_PATIENCE)));
        sqlx::query(
            "update jobs set
                 by_hub = case when accepted_at <= $5 then 1 else by_hub end,
                 closed_at = case when accepted_at <= $5 then $3 else closed_at end,
                 finished_at = case when accepted_at <= $5 then $3 else finished_at end,
                 reason = case when accepted_at <= $5 then $6 else reason end,
                 status = case when accepted_at <= $5 then $4 else status end,
                 accepted_at = coalesce(accepted_at, $3)
             where id = $1 and agent = $2 and status in ('queued', 'offered')",
        )
        .bind(job.as_bytes().to_vec())
        .bind(agent.0)
        .bind(time(now))
        .bind(state.name())
        .bind(time(patient_until))
        .bind("the agent had told its end before, and what it said of it is not here")
        .execute(&self.lazy)
        .await?;
        self.changes.note(agent);
        Ok(Answered::Taken)
    }
}
