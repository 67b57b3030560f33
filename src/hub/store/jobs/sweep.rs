//! Jobs whose time is over: expired ones, and those whose agent is away for too long.

use sqlx::SqliteConnection;

use crate::hub::store::{AgentRef, Store, StoreError, now as wall_now, time};
use crate::id::JobId;
use crate::limit;
use crate::time::HubTime;

use super::{JobError, JobRow};

const EXPIRED: &str = "closed_at is null and status in ('queued', 'offered') and expires_at <= $1";
const LOST: &str = "closed_at is null and give_up_after is not null and status in ('offered', 'accepted', 'running')
    and exists (select 1 from agents where agents.agent = jobs.agent and agents.offline_since + jobs.give_up_after <= $1)";

impl Store {
    /// Closes what is due at `now`, in transactions of `limit::JOB_SWEEP_BATCH` each; says how many.
    ///
    /// # Errors
    /// What the database says; what was closed before stays closed.
    pub async fn sweep_jobs(&self, now: HubTime) -> Result<u64, StoreError> {
        let mut closed = 0;
        loop {
            // Looking takes no lock: mostly there is nothing.
            let due: (bool,) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "select exists (select 1 from jobs where {EXPIRED}) or exists (select 1 from jobs where {LOST})"
            )))
            .bind(time(now))
            .fetch_one(&self.pool)
            .await?;
            if !due.0 {
                return Ok(closed);
            }
            let batch = self.sweep_batch(now).await?;
            closed += batch;
            if batch == 0 {
                return Ok(closed);
            }
        }
    }

    /// One job as it is at `now`: what is due is closed first.
    ///
    /// # Errors
    /// `NoJob`, or what the database says.
    pub async fn job_at(&self, id: JobId, now: HubTime) -> Result<JobRow, JobError> {
        let row = self.job(id).await?;
        if !row.is_due(now) {
            return Ok(row);
        }
        self.sweep_jobs(now).await?;
        self.job(id).await
    }

    async fn sweep_batch(&self, now: HubTime) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let mut agents = Vec::new();
        for (status, reason, due) in [
            ("expired", "its time was over before an agent took it", EXPIRED),
            ("lost", "its agent was away for longer than give_up_after", LOST),
        ] {
            let rows: Vec<(i64,)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "update jobs set status = $2, reason = $3, by_hub = 1, closed_at = $1, finished_at = $1
                 where job in (select job from jobs where {due} order by job limit $4) returning agent"
            )))
            .bind(time(now))
            .bind(status)
            .bind(reason)
            .bind(i64::from(limit::JOB_SWEEP_BATCH))
            .fetch_all(&mut *transaction)
            .await?;
            agents.extend(rows.into_iter().map(|(agent,)| AgentRef(agent)));
        }
        transaction.commit().await?;
        for agent in &agents {
            self.changes.note(*agent);
        }
        Ok(agents.len() as u64)
    }
}

/// The agent is removed: what it has not begun is cancelled, what it may have begun is lost.
pub(in crate::hub::store) async fn close_for_removed(
    connection: &mut SqliteConnection,
    agent: AgentRef,
) -> Result<(), StoreError> {
    sqlx::query(
        "update jobs set status = case when status = 'queued' then 'cancelled' else 'lost' end,
             reason = 'its agent was removed', by_hub = 1, closed_at = $2, finished_at = $2
         where agent = $1 and closed_at is null",
    )
    .bind(agent.0)
    .bind(wall_now())
    .execute(connection)
    .await?;
    Ok(())
}
