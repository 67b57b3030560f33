//! The audit of who came and went: rows are added, never changed.

use sqlx::SqliteConnection;

use crate::id::AgentId;

use super::{Store, StoreError, now};

/// Rows read at a time.
const ROWS_MAX: i64 = 1000;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Added,
    Removed,
    Imported,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Added => "agent_added",
            Self::Removed => "agent_removed",
            Self::Imported => "bundle_imported",
        }
    }
}

/// Adds a row about an agent; `detail` is its id where it came or went.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    action: Action,
    name: &str,
    detail: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into audit (entry, at, action, subject, detail)
         select coalesce(max(entry), 0) + 1, $1, $2, $3, $4 from audit",
    )
    .bind(now())
    .bind(action.name())
    .bind(name)
    .bind(detail)
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// The number of the newest entry.
    ///
    /// # Errors
    /// What the database says.
    pub async fn last_audited(&self) -> Result<i64, StoreError> {
        let (last,): (i64,) =
            sqlx::query_as("select coalesce(max(entry), 0) from audit").fetch_one(&self.pool).await?;
        Ok(last)
    }

    /// The agents that entries above `seen` remove, whichever process did it, and the last entry that was read.
    ///
    /// # Errors
    /// What the database says.
    pub async fn removed_after(&self, seen: i64) -> Result<(i64, Vec<AgentId>), StoreError> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "select entry, action, detail from audit where entry > $1 order by entry limit $2",
        )
        .bind(seen)
        .bind(ROWS_MAX)
        .fetch_all(&self.pool)
        .await?;
        let last = rows.last().map_or(seen, |(entry, ..)| *entry);
        let removed = rows.into_iter().filter(|(_, action, _)| action == Action::Removed.name());
        let ids: Result<_, _> = removed.map(|(_, _, detail)| detail.parse()).collect();
        Ok((last, ids.map_err(|_| StoreError::Damaged("audit"))?))
    }
}
