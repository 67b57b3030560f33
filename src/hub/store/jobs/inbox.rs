//! What waits for an agent: offers and cancels.

use crate::hub::store::{AgentRef, Store, StoreError, time};
use crate::id::JobId;
use crate::job::JobState;
use crate::limit;
use crate::time::HubTime;
use crate::wire::job::JobOffer;
use crate::wire::operator::OperatorSignature;

use super::JobError;
use super::unreadable::Unreadable;

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

type OfferColumns = (i64, Vec<u8>, i64, Vec<u8>, i64, Option<Vec<u8>>);

impl Store {
    /// At most `count_max` jobs to be offered now; from here on they count as offered. No more of them than
    /// `limit::JOB_OFFERS_UNANSWERED` are without an answer. Jobs that cannot be read are closed on the way.
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
        loop {
            let (mut orders, mut unreadable) = (Vec::new(), Vec::new());
            for row in self.offer_rows(agent, inbox, count_max, now).await? {
                let number = row.0;
                match self.offer(row) {
                    Ok(order) => orders.push(order),
                    Err(error) => unreadable.push(Unreadable { number, error }),
                }
            }
            if !unreadable.is_empty() {
                self.close_unreadable(agent, &unreadable, now).await?;
            }
            // Where all that was found is closed there may be others behind it.
            if unreadable.is_empty() || !orders.is_empty() {
                self.mark_offered(agent, inbox, &mut orders, now).await?;
                return Ok(orders);
            }
        }
    }

    async fn offer_rows(
        &self,
        agent: AgentRef,
        inbox: Inbox,
        count_max: u32,
        now: HubTime,
    ) -> Result<Vec<OfferColumns>, StoreError> {
        let (status, after) = match inbox {
            Inbox::Queued => (JobState::Queued, 0),
            Inbox::Offered { after } => (JobState::Offered, after),
        };
        let unanswered_max = match inbox {
            Inbox::Queued => i64::from(limit::JOB_OFFERS_UNANSWERED),
            Inbox::Offered { .. } => i64::from(u32::MAX),
        };
        let rows = sqlx::query_as(
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
        Ok(rows)
    }

    /// New ones count as offered from here on.
    async fn mark_offered(
        &self,
        agent: AgentRef,
        inbox: Inbox,
        orders: &mut Vec<JobOrder<JobOffer>>,
        now: HubTime,
    ) -> Result<(), StoreError> {
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
        Ok(())
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
            spec: self.kept_spec(job, (spec, sealed)).ok_or(StoreError::Unsealable)?,
            signature,
        };
        Ok(JobOrder { number, order })
    }
}
