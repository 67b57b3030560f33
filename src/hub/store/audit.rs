//! The audit of who came and went, and of their keys: rows are added, never changed.

use sqlx::SqliteConnection;

use crate::id::{AgentId, AgentName};
use crate::limit;

use super::{Store, StoreError, now};

/// Rows that the watch of departures reads at a time.
const ROWS_MAX: i64 = 1000;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// With its first key.
    Added,
    /// It may enrol with a token.
    Invited,
    /// A public key used the token.
    Claimed,
    /// It registered for the first time with the key it got for a token.
    Enrolled,
    KeyIssued,
    KeyDeleted,
    /// Its key is to be rotated at its next session.
    RotationAsked,
    /// It registered for the first time with a key that replaces another.
    Rotated,
    Revoked,
    Removed,
    Imported,
}

impl Action {
    const ALL: [Self; 11] = [
        Self::Added,
        Self::Invited,
        Self::Claimed,
        Self::Enrolled,
        Self::KeyIssued,
        Self::KeyDeleted,
        Self::RotationAsked,
        Self::Rotated,
        Self::Revoked,
        Self::Removed,
        Self::Imported,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Added => "agent_added",
            Self::Invited => "agent_invited",
            Self::Claimed => "invite_claimed",
            Self::Enrolled => "agent_enrolled",
            Self::KeyIssued => "key_issued",
            Self::KeyDeleted => "key_deleted",
            Self::RotationAsked => "rotation_asked",
            Self::Rotated => "key_rotated",
            Self::Revoked => "agent_revoked",
            Self::Removed => "agent_removed",
            Self::Imported => "bundle_imported",
        }
    }
}

/// What another process did to an agent that may be connected here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It is not known any more.
    Removed,
    /// It is not welcome any more.
    Revoked,
    /// It stays, and its key is to be rotated.
    Rotation,
}

/// One entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Counts up.
    pub entry: i64,
    /// Milliseconds since 1970.
    pub at: i64,
    /// What was done, by name.
    pub action: String,
    /// The agent's name at that time.
    pub agent: String,
    /// The agent's id, a key's id, a public key or a bundle.
    pub detail: String,
}

/// Adds a row about an agent; `detail` is its id where the agent itself is what changed.
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
    /// Entries above `after`, the oldest first, at most `count_max` of them; of one agent where it is named.
    ///
    /// # Errors
    /// What the database says.
    pub async fn audit(
        &self,
        agent: Option<&AgentName>,
        after: i64,
        count_max: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let rows: Vec<(i64, i64, String, String, String)> = sqlx::query_as(
            "select entry, at, action, subject, detail from audit
             where entry > $1 and ($2 is null or subject = $2) order by entry limit $3",
        )
        .bind(after)
        .bind(agent.map(AgentName::as_str))
        .bind(i64::from(count_max.min(limit::AUDIT_PAGE_MAX)))
        .fetch_all(&self.pool)
        .await?;
        let row = |(entry, at, action, agent, detail)| AuditRow { entry, at, action, agent, detail };
        Ok(rows.into_iter().map(row).collect())
    }

    /// The number of the newest entry.
    ///
    /// # Errors
    /// What the database says.
    pub async fn last_audited(&self) -> Result<i64, StoreError> {
        let (last,): (i64,) =
            sqlx::query_as("select coalesce(max(entry), 0) from audit").fetch_one(&self.pool).await?;
        Ok(last)
    }

    /// What entries above `seen` say of agents that may be connected, whichever process did it, and the last entry that
    /// was read.
    ///
    /// # Errors
    /// What the database says.
    pub async fn departures_after(&self, seen: i64) -> Result<(i64, Vec<(AgentId, Departure)>), StoreError> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "select entry, action, detail from audit where entry > $1 order by entry limit $2",
        )
        .bind(seen)
        .bind(ROWS_MAX)
        .fetch_all(&self.pool)
        .await?;
        let last = rows.last().map_or(seen, |(entry, ..)| *entry);
        let mut departures = Vec::new();
        for (entry, name, detail) in rows {
            let departure = match Action::ALL.into_iter().find(|action| action.name() == name) {
                Some(Action::Removed) => Departure::Removed,
                Some(Action::Revoked) => Departure::Revoked,
                Some(Action::RotationAsked) => Departure::Rotation,
                Some(
                    Action::Added
                    | Action::Invited
                    | Action::Claimed
                    | Action::Enrolled
                    | Action::KeyIssued
                    | Action::KeyDeleted
                    | Action::Rotated
                    | Action::Imported,
                )
                | None => continue,
            };
            // Passed over: the entries behind it count all the same.
            let Ok(id) = detail.parse() else {
                tracing::error!(entry, action = name, "an entry of the audit is damaged: it names no agent");
                continue;
            };
            departures.push((id, departure));
        }
        Ok((last, departures))
    }
}
