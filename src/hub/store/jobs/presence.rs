//! Since when agents are away.

use crate::hub::store::{AgentRef, Store, StoreError, time};
use crate::id::{AgentId, SessionId};
use crate::time::HubTime;

impl Store {
    /// A session of the agent ended; another one that replaced it is not touched.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_offline(
        &self,
        agent: AgentRef,
        session: SessionId,
        now: HubTime,
    ) -> Result<(), StoreError> {
        sqlx::query("update agents set offline_since = $3, session = null where agent = $1 and session = $2")
            .bind(agent.0)
            .bind(session.as_bytes().to_vec())
            .bind(time(now))
            .execute(&self.lazy)
            .await?;
        self.changes.note(agent);
        Ok(())
    }

    /// Its id on the wire; `None` where it was removed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_id(&self, agent: AgentRef) -> Result<Option<AgentId>, StoreError> {
        let row: Option<(Vec<u8>,)> =
            sqlx::query_as("select id from agents where agent = $1 and state <> 'removed'")
                .bind(agent.0)
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(id,)| AgentId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("agent id")))
            .transpose()
    }

    /// The hub stops: from now on all who were here are away.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_stop(&self, now: HubTime) -> Result<(), StoreError> {
        sqlx::query("update agents set offline_since = $1, session = null where session is not null")
            .bind(time(now))
            .execute(&self.lazy)
            .await?;
        Ok(())
    }

    /// The hub starts: nobody is here yet. Who was away stays so since then.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_start(&self, now: HubTime) -> Result<(), StoreError> {
        sqlx::query(
            "update agents set offline_since = coalesce(offline_since, $1), session = null
             where offline_since is null or session is not null",
        )
        .bind(time(now))
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
