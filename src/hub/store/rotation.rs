//! A new key for an agent that has one: agreed on in a session, or issued as a file.
//!
//! The old keys stay good until the new one is registered with, at most for the overlap. One that was never registered
//! with gives way to the next, as long as the agent has another that is good: an agent whose answer was lost holds that
//! one, not this.

use std::time::Duration;

use crate::id::{AgentName, KeyId};
use crate::obs::random;
use crate::time::millis;
use crate::wire::key::{AgentKey, KeyFile};

use super::agents::{self, AgentRow, AgentState, Issued};
use super::audit::{self, Action};
use super::{AgentRef, Store, StoreError, keys, now};

impl Store {
    /// Asks for a new key to be agreed on in the agent's present or next session; then its older keys are good for
    /// `overlap` at most.
    ///
    /// # Errors
    /// `NoAgent`, `Revoked`, or what the database says.
    pub async fn ask_for_rotation(
        &self,
        name: &AgentName,
        overlap: Duration,
    ) -> Result<AgentRow, StoreError> {
        let mut transaction = self.write().await?;
        let row = active(&mut transaction, name).await?;
        sqlx::query("update agents set rotate_asked_at = $2, rotate_overlap = $3 where agent = $1")
            .bind(row.agent.0)
            .bind(now())
            .bind(i64::try_from(millis(overlap)).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await?;
        audit::note(&mut transaction, &self.actor, Action::RotationAsked, name.as_str(), &row.id.to_string())
            .await?;
        transaction.commit().await?;
        Ok(row)
    }

    /// Whether a rotation was asked for and is not done.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_rotation_asked(&self, agent: AgentRef) -> Result<bool, StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(asked(&mut connection, agent).await?.is_some())
    }

    /// Issues a new key as a file.
    ///
    /// # Errors
    /// As [`Self::ask_for_rotation`].
    pub async fn issue_key(&self, name: &AgentName, overlap: Duration) -> Result<Issued, StoreError> {
        let mut transaction = self.write().await?;
        let row = active(&mut transaction, name).await?;
        let (key_id, key) = (keys::fresh_id()?, AgentKey::new(random::bytes()));
        let overlap = i64::try_from(millis(overlap)).unwrap_or(i64::MAX);
        self.put_beside(&mut transaction, &row, &key_id, &key, overlap).await?;
        transaction.commit().await?;
        Ok(Issued { id: row.id, key_file: KeyFile { hub_id: self.hub_id, agent_id: row.id, key_id, key } })
    }

    /// Keeps a key that an agent agreed on in a session and holds already. Where the rotation was not asked for (any more)
    /// it is not kept, and this says so.
    ///
    /// # Errors
    /// As [`Self::ask_for_rotation`].
    pub async fn keep_rotated(
        &self,
        agent: &AgentRow,
        key_id: &KeyId,
        key: &AgentKey,
    ) -> Result<Kept, StoreError> {
        let mut transaction = self.write().await?;
        let row = active(&mut transaction, &agent.name).await?;
        if row.agent != agent.agent {
            // Removed, and another has its name.
            return Ok(Kept::No);
        }
        let Some(overlap) = asked(&mut transaction, row.agent).await? else { return Ok(Kept::No) };
        self.put_beside(&mut transaction, &row, key_id, key, overlap).await?;
        transaction.commit().await?;
        Ok(Kept::Yes)
    }

    /// Puts a key beside those the agent registered with, in the place of those it did not.
    async fn put_beside(
        &self,
        connection: &mut sqlx::SqliteConnection,
        row: &AgentRow,
        key_id: &KeyId,
        key: &AgentKey,
        overlap: i64,
    ) -> Result<(), StoreError> {
        let until = now().saturating_add(overlap);
        let columns: Vec<(String, Option<i64>, Option<i64>)> = sqlx::query_as(
            "select key_id, registered_at, expires_at from agent_keys where agent = $1 order by issued",
        )
        .bind(row.agent.0)
        .fetch_all(&mut *connection)
        .await?;
        let over = |expires_at: Option<i64>| expires_at.is_some_and(|at| at <= now());
        let used = columns
            .iter()
            .any(|(_, registered_at, expires_at)| registered_at.is_some() && !over(*expires_at));
        let gone: Vec<String> = columns
            .iter()
            // An agent none of whose used keys is good may hold one that was not used: that one stays as well.
            .filter(|(_, registered_at, expires_at)| (used && registered_at.is_none()) || over(*expires_at))
            .map(|(key_id, ..)| key_id.clone())
            .collect();
        keys::delete(connection, &self.actor, row.agent, row.name.as_str(), &gone).await?;
        sqlx::query("update agent_keys set expires_at = $2 where agent = $1 and (expires_at is null or expires_at > $2)")
            .bind(row.agent.0)
            .bind(until)
            .execute(&mut *connection)
            .await?;
        self.put_key(connection, row, key_id, key).await
    }
}

/// Whether a key that was agreed on is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is, durably.
    Yes,
    /// Nobody asks for it any more.
    No,
}

async fn active(connection: &mut sqlx::SqliteConnection, name: &AgentName) -> Result<AgentRow, StoreError> {
    let row = agents::named(connection, name).await?.ok_or_else(|| StoreError::NoAgent(name.clone()))?;
    match row.state {
        AgentState::Active => Ok(row),
        AgentState::Revoked => Err(StoreError::NotActive(name.clone())),
    }
}

/// The overlap of the rotation that was asked for, where one was.
async fn asked(connection: &mut sqlx::SqliteConnection, agent: AgentRef) -> Result<Option<i64>, StoreError> {
    let (overlap,): (Option<i64>,) = sqlx::query_as(
        "select case when rotate_asked_at is null then null else rotate_overlap end from agents where agent = $1",
    )
    .bind(agent.0)
    .fetch_one(connection)
    .await?;
    Ok(overlap)
}
