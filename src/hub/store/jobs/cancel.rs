//! Asking for a job's end.

use crate::hub::store::{AgentRef, Store, StoreError, time};
use crate::id::JobId;
use crate::job::JobState;
use crate::time::HubTime;

use super::JobError;

impl Store {
    /// A queued job is cancelled at once; for one that its agent may have, the wish is kept until the agent says how it
    /// ended. Says whose job it is.
    ///
    /// # Errors
    /// `NoJob`, `Final`, or what the database says.
    pub async fn cancel_job(&self, id: JobId, now: HubTime) -> Result<AgentRef, JobError> {
        let mut transaction = self.write().await?;
        let row: Option<(i64, i64, String)> =
            sqlx::query_as("select job, agent, status from jobs where id = $1")
                .bind(id.as_bytes().to_vec())
                .fetch_optional(&mut *transaction)
                .await?;
        let (job, agent, status) = row.ok_or(JobError::NoJob(id))?;
        let status = JobState::from_name(&status).ok_or(StoreError::Damaged("job status"))?;
        if status.is_final() {
            return Err(JobError::Final { job: id, status });
        }
        let query = if status == JobState::Queued {
            sqlx::query(
                "update jobs set status = 'cancelled', by_hub = 1, reason = 'cancelled before it was offered',
                     closed_at = $2, finished_at = $2, cancel_requested_at = coalesce(cancel_requested_at, $2)
                 where job = $1",
            )
        } else {
            sqlx::query(
                "update jobs set cancel_requested_at = coalesce(cancel_requested_at, $2) where job = $1",
            )
        };
        query.bind(job).bind(time(now)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        self.changes.note(AgentRef(agent));
        Ok(AgentRef(agent))
    }
}
