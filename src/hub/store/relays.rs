//! Messages that wait for an agent: kept in the order they came, until it has confirmed them or their time is over.
//!
//! A message is durable before its sender hears that it is queued. What waits for one agent is bounded in bytes and in
//! rows, in the transaction that adds to it. A revocation or removal takes the messages to and from that agent with it.

use bytes::Bytes;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::id::{AgentId, AgentName, HandlerName, MessageId};
use crate::limit;
use crate::time::{HubTime, millis};
use crate::wire::relay::Sender;

use super::agents::AgentState;
use super::{AgentRef, Store, StoreError, time};

/// A message for an agent.
#[derive(Debug, Clone, Copy)]
pub struct NewRelay<'a> {
    /// Drawn by the hub.
    pub id: MessageId,
    /// Whom it is for.
    pub recipient: AgentRef,
    /// Who sends it; `None`: the hub's own program.
    pub sender: Option<AgentRef>,
    /// Who takes it there.
    pub handler: &'a HandlerName,
    /// The bytes.
    pub payload: &'a Bytes,
}

/// What became of a message that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptRelay {
    /// It is durable.
    Yes,
    /// As much waits for that agent as may.
    Full {
        /// Messages that wait.
        messages: u64,
        /// Their payload bytes.
        bytes: u64,
    },
    /// The recipient, or the sender, went meanwhile.
    Gone,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// Its place in the order.
    pub number: i64,
    /// Its id.
    pub id: MessageId,
    /// Who sent it; `None`: the hub's own program.
    pub sender: Option<Sender>,
    /// Who takes it.
    pub handler: HandlerName,
    /// The bytes.
    pub payload: Bytes,
}

/// A row, and its sender's id and name.
type Row = (i64, Vec<u8>, String, Vec<u8>, Option<Vec<u8>>, Option<String>);

impl Store {
    /// Keeps a message for its agent, durably.
    ///
    /// # Errors
    /// What the database says.
    pub async fn keep_relay(&self, relay: NewRelay<'_>, now: HubTime) -> Result<KeptRelay, StoreError> {
        let mut transaction = self.write().await?;
        for agent in [Some(relay.recipient), relay.sender].into_iter().flatten() {
            if !is_active(&mut transaction, agent).await? {
                return Ok(KeptRelay::Gone);
            }
        }
        let (messages, bytes): (i64, i64) = sqlx::query_as(
            "select count(*), coalesce(sum(length(payload)), 0) from relays
             where recipient = $1 and expires_at > $2",
        )
        .bind(relay.recipient.0)
        .bind(time(now))
        .fetch_one(&mut *transaction)
        .await?;
        let (messages, bytes) = (messages.max(0).cast_unsigned(), bytes.max(0).cast_unsigned());
        let more = u64::try_from(relay.payload.len()).unwrap_or(u64::MAX);
        if messages >= limit::RELAY_QUEUE_MESSAGES_MAX
            || bytes.saturating_add(more) > limit::RELAY_QUEUE_BYTES_MAX
        {
            return Ok(KeptRelay::Full { messages, bytes });
        }
        let expires_at = HubTime(now.0.saturating_add(millis(limit::RELAY_QUEUE_TIME)));
        sqlx::query(
            "insert into relays (number, id, recipient, sender, handler, payload, expires_at)
             select coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5, $6 from relays",
        )
        .bind(relay.id.to_bytes().to_vec())
        .bind(relay.recipient.0)
        .bind(relay.sender.map(|sender| sender.0))
        .bind(relay.handler.as_str())
        .bind(relay.payload.to_vec())
        .bind(time(expires_at))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(KeptRelay::Yes)
    }

    /// The oldest message that waits for an agent, but those for the handlers that are `held`, `limit::RELAY_HANDLERS_MAX` at most.
    ///
    /// # Errors
    /// What the database says.
    pub async fn oldest_relay(
        &self,
        recipient: AgentRef,
        held: &[HandlerName],
        now: HubTime,
    ) -> Result<Option<KeptMessage>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "select number, relays.id, handler, payload, agents.id, agents.name
             from relays left join agents on agents.agent = relays.sender where recipient = ",
        );
        query.push_bind(recipient.0).push(" and expires_at > ").push_bind(time(now));
        if !held.is_empty() {
            query.push(" and handler not in (");
            let mut list = query.separated(",");
            held.iter().for_each(|handler| {
                list.push_bind(handler.as_str());
            });
            query.push(")");
        }
        query.push(" order by number limit 1");
        let row: Option<Row> = query.build_query_as().fetch_optional(&self.pool).await?;
        row.map(message).transpose()
    }

    /// Forgets a message: its agent has it, or refused it for good.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_relay(&self, number: i64, id: MessageId) -> Result<(), StoreError> {
        sqlx::query("delete from relays where number = $1 and id = $2")
            .bind(number)
            .bind(id.to_bytes().to_vec())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Deletes the messages whose time is over, and says how many there were.
    ///
    /// # Errors
    /// What the database says.
    pub async fn sweep_relays(&self, now: HubTime) -> Result<u64, StoreError> {
        let swept = sqlx::query("delete from relays where expires_at <= $1")
            .bind(time(now))
            .execute(&self.pool)
            .await?;
        Ok(swept.rows_affected())
    }
}

/// Deletes what an agent sent and what waits for it.
pub(super) async fn delete_of(connection: &mut SqliteConnection, agent: AgentRef) -> Result<(), StoreError> {
    sqlx::query("delete from relays where recipient = $1 or sender = $1")
        .bind(agent.0)
        .execute(connection)
        .await?;
    Ok(())
}

async fn is_active(connection: &mut SqliteConnection, agent: AgentRef) -> Result<bool, StoreError> {
    let state: Option<(String,)> =
        sqlx::query_as("select state from agents where agent = $1 and name is not null")
            .bind(agent.0)
            .fetch_optional(connection)
            .await?;
    match state {
        Some((state,)) => Ok(AgentState::parse(&state)? == AgentState::Active),
        None => Ok(false),
    }
}

fn message((number, id, handler, payload, sender, name): Row) -> Result<KeptMessage, StoreError> {
    let damaged = || StoreError::Damaged("a relayed message");
    let id = <[u8; 16]>::try_from(id.as_slice()).map_err(|_| damaged())?;
    let name = name.map(|name| name.parse::<AgentName>()).transpose().map_err(|_| damaged())?;
    let sender = match sender {
        None => None,
        Some(id) => Some(Sender { id: AgentId::try_from(id.as_slice()).map_err(|_| damaged())?, name }),
    };
    Ok(KeptMessage {
        number,
        id: MessageId::from_bytes(id),
        sender,
        handler: handler.parse().map_err(|_| damaged())?,
        payload: payload.into(),
    })
}
