//! Offers that the hub makes no more.

use crate::hub::store::{AgentRef, Store, StoreError, time};
use crate::id::JobId;
use crate::time::HubTime;

impl Store {
    /// Closes a job that its agent has not answered for: as the hub's own word, which yields where the agent turns out to have
    /// it. One that somebody wanted to be ended is cancelled. Says whether it was open.
    ///
    /// # Errors
    /// What the database says.
    pub async fn refuse_offer(
        &self,
        agent: AgentRef,
        job: JobId,
        reason: &str,
        now: HubTime,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update jobs set by_hub = 1, closed_at = $3, finished_at = $3, reason = $4,
                 status = case when cancel_requested_at is null then 'rejected' else 'cancelled' end
             where id = $1 and agent = $2 and closed_at is null and status in ('queued', 'offered')",
        )
        .bind(job.as_bytes().to_vec())
        .bind(agent.0)
        .bind(time(now))
        .bind(reason)
        .execute(&self.pool)
        .await?;
        self.changes.note(agent);
        Ok(done.rows_affected() > 0)
    }
}
