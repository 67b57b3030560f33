//! Jobs whose rows cannot be offered: a spec that `hub.key` does not open, or what nobody wrote. The hub closes them, so
//! that they do not stand in the way of their agent's other jobs. As its own word, which yields where the agent turns
//! out to have the job.

use crate::hub::store::{AgentRef, Store, StoreError, time};
use crate::time::HubTime;

/// One of them.
pub(super) struct Unreadable {
    pub(super) number: i64,
    pub(super) error: StoreError,
}

impl Store {
    /// Closes them, with the reason.
    ///
    /// # Errors
    /// What the database says.
    pub(super) async fn close_unreadable(
        &self,
        agent: AgentRef,
        jobs: &[Unreadable],
        now: HubTime,
    ) -> Result<(), StoreError> {
        for Unreadable { number, error } in jobs {
            tracing::error!(%error, job = number, "a job that cannot be offered is closed");
            sqlx::query(
                "update jobs set status = 'rejected', by_hub = 1, closed_at = $2, finished_at = $2, reason = $3
                 where job = $1 and closed_at is null and status in ('queued', 'offered')",
            )
            .bind(number)
            .bind(time(now))
            .bind(format!("the hub cannot offer it: {error}; submit it again"))
            .execute(&self.lazy)
            .await?;
        }
        self.changes.note(agent);
        Ok(())
    }
}
