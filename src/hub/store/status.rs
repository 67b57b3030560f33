//! What the hub saw of an agent: marks, gaps, losses, processes.

use crate::id::{Epoch, InstanceId, StreamId};
use crate::limit;

use super::{AgentRef, Store, StoreError, lane_of};

/// Rows of one kind that `show` gives at most; the newest.
const ROWS_MAX: i64 = 1000;

/// lane, epoch, first, last, reason, records, bytes, received_at
type GapColumns = (i64, i64, i64, i64, String, i64, i64, i64);

/// A stream's mark.
#[derive(Debug, Clone, Copy)]
pub struct StreamRow {
    /// Which.
    pub stream: StreamId,
    /// Everything up to here is stored or known to be lost.
    pub acked: i64,
}

/// Numbers that will not come.
#[derive(Debug, Clone)]
pub struct GapRow {
    /// Where.
    pub stream: StreamId,
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
    /// The reason's name.
    pub reason: String,
    /// Records lost.
    pub records: i64,
    /// Payload bytes lost, where known.
    pub bytes: i64,
    /// When the hub was told.
    pub received_at: i64,
}

/// What an agent says it lost.
#[derive(Debug, Clone)]
pub struct LossRow {
    /// Where.
    pub stream: StreamId,
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
    /// The reason's name.
    pub reason: String,
    /// When the hub was told.
    pub received_at: i64,
}

/// One key of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Which.
    pub key_id: String,
    /// When it was issued.
    pub created_at: i64,
    /// When it was registered with first.
    pub registered_at: Option<i64>,
    /// From here on it opens nothing.
    pub expires_at: Option<i64>,
}

/// What an agent may come in with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Its keys, the oldest first.
    pub keys: Vec<KeyRow>,
    /// Since when a rotation is waited for.
    pub rotate_asked_at: Option<i64>,
    /// Until when an invite may be used that was not.
    pub invited_until: Option<i64>,
}

/// One process of an agent.
#[derive(Debug, Clone)]
pub struct InstanceRow {
    /// Which.
    pub instance: InstanceId,
    /// The machine's name.
    pub hostname: String,
    /// Version and commit.
    pub agent_version: String,
    /// Its first registration.
    pub first_seen: i64,
    /// Its newest.
    pub last_seen: i64,
}

fn stream(lane: i64, epoch: i64) -> Result<StreamId, StoreError> {
    Ok(StreamId { lane: lane_of(lane)?, epoch: Epoch::from_u64(epoch.cast_unsigned()) })
}

impl Store {
    /// What the agent's batches weigh together, in bytes.
    ///
    /// # Errors
    /// What the database says.
    pub async fn stored_bytes(&self, agent: AgentRef) -> Result<i64, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("select stored_bytes from agents where agent = $1")
            .bind(agent.0)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.unwrap_or_default().0)
    }

    /// What an agent may come in with.
    ///
    /// # Errors
    /// What the database says.
    pub async fn access(&self, agent: AgentRef) -> Result<Access, StoreError> {
        let rows: Vec<(String, i64, Option<i64>, Option<i64>)> = sqlx::query_as(
            "select key_id, created_at, registered_at, expires_at from agent_keys where agent = $1 order by issued",
        )
        .bind(agent.0)
        .fetch_all(&self.pool)
        .await?;
        let key = |(key_id, created_at, registered_at, expires_at)| KeyRow {
            key_id,
            created_at,
            registered_at,
            expires_at,
        };
        let (rotate_asked_at, invited_until): (Option<i64>, Option<i64>) = sqlx::query_as(
            "select rotate_asked_at,
             (select max(expires_at) from invites where invites.agent = agents.agent and used_at is null)
             from agents where agent = $1",
        )
        .bind(agent.0)
        .fetch_one(&self.pool)
        .await?;
        Ok(Access { keys: rows.into_iter().map(key).collect(), rotate_asked_at, invited_until })
    }

    /// An agent's newest marks, by lane and epoch.
    ///
    /// # Errors
    /// What the database says.
    pub async fn stream_rows(&self, agent: AgentRef) -> Result<Vec<StreamRow>, StoreError> {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "select lane, epoch, acked from streams where agent = $1 order by epoch desc, lane limit $2",
        )
        .bind(agent.0)
        .bind(ROWS_MAX)
        .fetch_all(&self.pool)
        .await?;
        let mut rows = rows
            .into_iter()
            .map(|(lane, epoch, acked)| Ok(StreamRow { stream: stream(lane, epoch)?, acked }))
            .collect::<Result<Vec<_>, StoreError>>()?;
        rows.sort_by_key(|row| row.stream);
        Ok(rows)
    }

    /// An agent's gaps, the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn gap_rows(&self, agent: AgentRef) -> Result<Vec<GapRow>, StoreError> {
        let rows: Vec<GapColumns> = sqlx::query_as(
            "select lane, epoch, first, last, reason, records, bytes, received_at from gaps
             where agent = $1 order by received_at desc limit $2",
        )
        .bind(agent.0)
        .bind(ROWS_MAX)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(lane, epoch, from, to, reason, records, bytes, received_at)| {
                Ok(GapRow { stream: stream(lane, epoch)?, from, to, reason, records, bytes, received_at })
            })
            .collect()
    }

    /// An agent's loss reports, the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn loss_rows(&self, agent: AgentRef) -> Result<Vec<LossRow>, StoreError> {
        let rows: Vec<(i64, i64, i64, i64, String, i64)> = sqlx::query_as(
            "select lane, epoch, first, last, reason, received_at from losses
             where agent = $1 order by received_at desc limit $2",
        )
        .bind(agent.0)
        .bind(ROWS_MAX)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(lane, epoch, from, to, reason, received_at)| {
                Ok(LossRow { stream: stream(lane, epoch)?, from, to, reason, received_at })
            })
            .collect()
    }

    /// An agent's processes, the newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn instance_rows(&self, agent: AgentRef) -> Result<Vec<InstanceRow>, StoreError> {
        let rows: Vec<(Vec<u8>, String, String, i64, i64)> = sqlx::query_as(
            "select instance, hostname, agent_version, first_seen, last_seen from instances
             where agent = $1 order by last_seen desc limit $2",
        )
        .bind(agent.0)
        .bind(limit::INSTANCES_PER_AGENT)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(instance, hostname, agent_version, first_seen, last_seen)| {
                let instance = InstanceId::try_from(instance.as_slice())
                    .map_err(|_| StoreError::Damaged("instance id"))?;
                Ok(InstanceRow { instance, hostname, agent_version, first_seen, last_seen })
            })
            .collect()
    }
}
