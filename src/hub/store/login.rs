//! A session that registered: the proof that its key arrived, so that older ones may go.

use crate::id::{InstanceId, KeyId, SessionId};
use crate::limit;

use super::agents::{AgentRow, AgentState};
use super::audit::{self, Action};
use super::{Denied, Store, StoreError, keys, now};

/// A verified Register.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// Who.
    pub agent: &'a AgentRow,
    /// With which key.
    pub key_id: &'a KeyId,
    /// In which session.
    pub session: SessionId,
    /// The agent's process.
    pub instance: InstanceId,
    /// The machine's name.
    pub hostname: &'a str,
    /// The agent's version.
    pub agent_version: &'a str,
}

/// What is to be said to an agent that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// Nothing.
    In,
    /// Its key is to be rotated.
    Rotate,
}

/// The key's own state: when it was first registered with, its place in the order of issue, and whether a rotation of the
/// agent was asked for.
type KeyColumns = (Option<i64>, i64, Option<i64>, String);

impl Store {
    /// Notes a session of an agent that registered, and the process it belongs to. The first under a key deletes the keys
    /// that were issued before it and closes the invite it came from; `Denied` where agent or key went since the upgrade.
    ///
    /// # Errors
    /// What the database says.
    pub async fn log_in(&self, login: Login<'_>) -> Result<Result<Welcome, Denied>, StoreError> {
        let agent = login.agent.agent;
        let mut transaction = self.write().await?;
        let key: Option<KeyColumns> = sqlx::query_as(
            "select agent_keys.registered_at, agent_keys.issued, agents.rotate_asked_at, agents.state
             from agent_keys join agents on agents.agent = agent_keys.agent
             where agent_keys.agent = $1 and key_id = $2",
        )
        .bind(agent.0)
        .bind(login.key_id.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((registered_at, issued, rotate, state)) = key else { return Ok(Err(Denied::KeyUnknown)) };
        if AgentState::parse(&state)? == AgentState::Revoked {
            return Ok(Err(Denied::Revoked));
        }
        let mut rotate = rotate.is_some();
        if registered_at.is_none() {
            rotate &= self.first_use(&mut transaction, &login, issued).await?;
        }
        sqlx::query(
            "insert into instances (agent, instance, hostname, agent_version, first_seen, last_seen)
             values ($1, $2, $3, $4, $5, $5)
             on conflict (agent, instance) do update set last_seen = excluded.last_seen",
        )
        .bind(agent.0)
        .bind(login.instance.as_bytes().to_vec())
        .bind(login.hostname)
        .bind(login.agent_version)
        .bind(now())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "delete from instances where agent = $1 and instance not in
             (select instance from instances where agent = $1 order by last_seen desc limit $2)",
        )
        .bind(agent.0)
        .bind(limit::INSTANCES_PER_AGENT)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("update agents set offline_since = null, session = $2 where agent = $1")
            .bind(agent.0)
            .bind(login.session.as_bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.changes.note(agent);
        Ok(Ok(if rotate { Welcome::Rotate } else { Welcome::In }))
    }

    /// A key proves to have arrived. Whether a rotation that was asked for is still to be done.
    async fn first_use(
        &self,
        connection: &mut sqlx::SqliteConnection,
        login: &Login<'_>,
        issued: i64,
    ) -> Result<bool, StoreError> {
        let (agent, name) = (login.agent.agent, login.agent.name.as_str());
        let older: Vec<(String,)> =
            sqlx::query_as("select key_id from agent_keys where agent = $1 and issued < $2 order by issued")
                .bind(agent.0)
                .bind(issued)
                .fetch_all(&mut *connection)
                .await?;
        let older: Vec<String> = older.into_iter().map(|(key_id,)| key_id).collect();
        keys::delete(connection, &self.actor, agent, name, &older).await?;
        sqlx::query(
            "update agent_keys set registered_at = $3, expires_at = null where agent = $1 and key_id = $2",
        )
        .bind(agent.0)
        .bind(login.key_id.as_str())
        .bind(now())
        .execute(&mut *connection)
        .await?;
        let invites = sqlx::query("update invites set used_at = $3 where agent = $1 and key_id = $2")
            .bind(agent.0)
            .bind(login.key_id.as_str())
            .bind(now())
            .execute(&mut *connection)
            .await?;
        if invites.rows_affected() > 0 {
            audit::note(connection, &self.actor, Action::Enrolled, name, login.key_id.as_str()).await?;
        }
        // A new key is what a rotation is for, whichever way it came; but not an agent's first.
        if older.is_empty() {
            return Ok(true);
        }
        sqlx::query("update agents set rotate_asked_at = null, rotate_overlap = null where agent = $1")
            .bind(agent.0)
            .execute(&mut *connection)
            .await?;
        audit::note(connection, &self.actor, Action::Rotated, name, login.key_id.as_str()).await?;
        Ok(false)
    }
}
