//! What the pieces of one transaction add up to: bytes stored of each agent, and whether there is room for them; numbers of the
//! apps' log lines.
//!
//! The sum in the database is what all batches of the agent weigh; it moves in the transaction that stores them. Gaps
//! weigh nothing and always pass: they only say what will not come.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::hub::store::{AgentRef, StoreError, app_lines};

use super::Ingest;
use super::round::Outcome;

#[derive(Debug, Default)]
pub(super) struct Tally {
    agents: HashMap<AgentRef, Count>,
    lines: app_lines::Numbers,
}

#[derive(Debug, Default)]
struct Count {
    /// What was stored before this transaction; only read where there is a quota.
    before: Option<u64>,
    added: u64,
}

impl Tally {
    /// Why a piece is not stored, where its agent's quota has no room for it.
    pub(super) async fn refusal(
        &mut self,
        connection: &mut SqliteConnection,
        ingest: &Ingest,
    ) -> Result<Option<Outcome>, StoreError> {
        let Some(most) = ingest.bytes_max.filter(|_| !ingest.is_empty()) else { return Ok(None) };
        let count = self.agents.entry(ingest.agent).or_default();
        let before = match count.before {
            Some(before) => before,
            None => *count.before.insert(stored(connection, ingest.agent).await?),
        };
        let stored = before.saturating_add(count.added);
        let room = most.get().saturating_sub(stored);
        Ok((weight(ingest) > room).then_some(Outcome::OverQuota { stored, most: most.get() }))
    }

    /// A piece was stored.
    pub(super) fn add(&mut self, ingest: &Ingest) {
        if !ingest.is_empty() {
            let count = self.agents.entry(ingest.agent).or_default();
            count.added = count.added.saturating_add(weight(ingest));
        }
    }

    /// The log lines of apps in it get their numbers.
    pub(super) async fn number_lines(
        &mut self,
        connection: &mut SqliteConnection,
        ingest: &Ingest,
    ) -> Result<(), StoreError> {
        self.lines.give(connection, ingest).await
    }

    /// Moves the sums.
    pub(super) async fn write(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        for (agent, count) in self.agents.into_iter().filter(|(_, count)| count.added > 0) {
            sqlx::query("update agents set stored_bytes = stored_bytes + $2 where agent = $1")
                .bind(agent.0)
                .bind(i64::try_from(count.added).unwrap_or(i64::MAX))
                .execute(&mut *connection)
                .await?;
        }
        self.lines.write(connection).await
    }
}

fn weight(ingest: &Ingest) -> u64 {
    u64::try_from(ingest.len()).unwrap_or(u64::MAX)
}

async fn stored(connection: &mut SqliteConnection, agent: AgentRef) -> Result<u64, StoreError> {
    let row: Option<(i64,)> = sqlx::query_as("select stored_bytes from agents where agent = $1")
        .bind(agent.0)
        .fetch_optional(&mut *connection)
        .await?;
    match u64::try_from(row.unwrap_or_default().0) {
        Ok(stored) => Ok(stored),
        Err(_negative) => summed(connection, agent).await,
    }
}

/// Adds up anew what cannot be: one agent's damaged row must not fail the round of all others for ever.
async fn summed(connection: &mut SqliteConnection, agent: AgentRef) -> Result<u64, StoreError> {
    let (sum,): (i64,) = sqlx::query_as(
        "update agents set stored_bytes =
             coalesce((select sum(length(batch)) from batches where batches.agent = agents.agent), 0)
         where agent = $1 returning stored_bytes",
    )
    .bind(agent.0)
    .fetch_one(connection)
    .await?;
    tracing::error!(
        agent = agent.0,
        sum,
        "the sum of an agent's stored bytes was negative; it is added up anew"
    );
    u64::try_from(sum).map_err(|_| StoreError::Damaged("stored_bytes"))
}
