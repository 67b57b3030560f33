//! What waits for an agent: offers and cancels, and what becomes of its answers.

use crate::hub::store::{AgentRef, Store, StoreError, time};
use crate::id::JobId;
use crate::job::JobState;
use crate::limit;
use crate::time::{HubTime, millis};
use crate::wire::job::{Answer, JobAck, JobOffer, Refusal};
use crate::wire::operator::OperatorSignature;

use super::JobError;

/// Which offers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbox {
    /// Jobs that wait to be offered, the oldest first.
    Queued,
    /// Jobs that were offered and not answered, submitted after this one.
    Offered {
        /// 0 for the first.
        after: i64,
    },
}

/// Something to be told to an agent.
#[derive(Debug, Clone)]
pub struct JobOrder<T> {
    /// In the order of submission.
    pub number: i64,
    /// What.
    pub order: T,
}

/// What an answer to an offer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The job is with the agent, or over.
    Taken,
    /// The agent has no room now.
    NoRoom,
}

type OfferColumns = (i64, Vec<u8>, i64, Vec<u8>, i64, Option<Vec<u8>>);

impl Store {
    /// At most `count_max` jobs to be offered now; from here on they count as offered. No more of them than
    /// `limit::JOB_OFFERS_UNANSWERED` are without an answer.
    ///
    /// # Errors
    /// What the database says.
    pub async fn take_offers(
        &self,
        agent: AgentRef,
        inbox: Inbox,
        count_max: u32,
        now: HubTime,
    ) -> Result<Vec<JobOrder<JobOffer>>, StoreError> {
        let (status, after) = match inbox {
            Inbox::Queued => (JobState::Queued, 0),
            Inbox::Offered { after } => (JobState::Offered, after),
        };
        let unanswered_max = match inbox {
            Inbox::Queued => i64::from(limit::JOB_OFFERS_UNANSWERED),
            Inbox::Offered { .. } => i64::from(u32::MAX),
        };
        let rows: Vec<OfferColumns> = sqlx::query_as(
            "select job, id, created_at, spec, spec_sealed, signature from jobs
             where agent = $1 and closed_at is null and status = $2 and job > $3
             and (not_before is null or not_before <= $4) and expires_at > $4
             order by job
             limit (select case when count(*) + $6 <= $5 then $6 when count(*) < $5 then $5 - count(*) else 0 end
                    from jobs where agent = $1 and closed_at is null and status = 'offered')",
        )
        .bind(agent.0)
        .bind(status.name())
        .bind(after)
        .bind(time(now))
        .bind(unanswered_max)
        .bind(i64::from(count_max))
        .fetch_all(&self.pool)
        .await?;
        let mut orders = rows.into_iter().map(|row| self.offer(row)).collect::<Result<Vec<_>, _>>()?;
        if let (Inbox::Queued, Some(first), Some(last)) = (inbox, orders.first(), orders.last()) {
            let taken: Vec<(i64,)> = sqlx::query_as(
                "update jobs set status = 'offered' where agent = $1 and job >= $2 and job <= $3
                 and closed_at is null and status = 'queued' and (not_before is null or not_before <= $4)
                 and expires_at > $4 returning job",
            )
            .bind(agent.0)
            .bind(first.number)
            .bind(last.number)
            .bind(time(now))
            .fetch_all(&self.lazy)
            .await?;
            // One that was cancelled meanwhile is not offered.
            orders.retain(|order| taken.contains(&(order.number,)));
        }
        Ok(orders)
    }

    /// Jobs of the agent that are to be ended, the oldest first; as many as may be open at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn job_cancels(&self, agent: AgentRef) -> Result<Vec<JobOrder<JobId>>, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "select job, id from jobs
             where agent = $1 and closed_at is null and cancel_requested_at is not null and status <> 'queued'
             order by job limit $2",
        )
        .bind(agent.0)
        .bind(i64::from(limit::JOB_SWEEP_BATCH))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(number, id)| {
                let order = JobId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job id"))?;
                Ok(JobOrder { number, order })
            })
            .collect()
    }

    /// When the next queued job of the agent may be offered.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next_offer(&self, agent: AgentRef, now: HubTime) -> Result<Option<HubTime>, StoreError> {
        let (at,): (Option<i64>,) = sqlx::query_as(
            "select min(not_before) from jobs
             where agent = $1 and closed_at is null and status = 'queued' and not_before > $2",
        )
        .bind(agent.0)
        .bind(time(now))
        .fetch_one(&self.pool)
        .await?;
        Ok(at.map(|at| HubTime(at.cast_unsigned())))
    }

    /// An answer to an offer that came without a record. Only a job that is still offered is changed by it, but for an
    /// acceptance, which also opens what the hub had closed by itself.
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

    /// How many results belong to no job of their agent.
    ///
    /// # Errors
    /// What the database says.
    pub async fn job_orphans(&self) -> Result<i64, StoreError> {
        let (count,): (i64,) =
            sqlx::query_as("select count(*) from job_orphans").fetch_one(&self.pool).await?;
        Ok(count)
    }

    /// Which agent's job this is.
    ///
    /// # Errors
    /// `NoJob`, or what the database says.
    pub async fn agent_of_job(&self, id: JobId) -> Result<AgentRef, JobError> {
        let row: Option<(i64,)> = sqlx::query_as("select agent from jobs where id = $1")
            .bind(id.as_bytes().to_vec())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|(agent,)| AgentRef(agent)).ok_or(JobError::NoJob(id))
    }

    fn offer(
        &self,
        (number, id, created_at, spec, sealed, signature): OfferColumns,
    ) -> Result<JobOrder<JobOffer>, StoreError> {
        let job = JobId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("job id"))?;
        let signature = signature
            .map(|bytes| bytes.try_into().map(OperatorSignature::from_bytes))
            .transpose()
            .map_err(|_| StoreError::Damaged("job signature"))?;
        let order = JobOffer {
            job,
            created_at: HubTime(created_at.cast_unsigned()),
            spec: self.kept_spec(job, (spec, sealed))?,
            signature,
        };
        Ok(JobOrder { number, order })
    }
}
