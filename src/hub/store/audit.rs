//! The audit of who came and went, and of their keys: rows are added, never changed.

use std::fmt;

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
    /// An operator's token was made.
    TokenAdded,
    TokenRevoked,
    /// What it is labelled with was changed.
    Labelled,
    /// The lines in an app's ring were dropped.
    AppLogsDropped,
}

impl Action {
    const ALL: [Self; 15] = [
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
        Self::TokenAdded,
        Self::TokenRevoked,
        Self::Labelled,
        Self::AppLogsDropped,
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
            Self::TokenAdded => "token_added",
            Self::TokenRevoked => "token_revoked",
            Self::Labelled => "agent_labelled",
            Self::AppLogsDropped => "app_logs_dropped",
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

/// Who acts on the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A command in the hub's folder.
    Local,
    /// The hub: what agents do by themselves, and the program that the hub is part of.
    Hub,
    /// Somebody with the token of this name.
    Token(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Hub => f.write_str("hub"),
            Self::Token(name) => write!(f, "token:{name}"),
        }
    }
}

/// What entries above one that was seen say to this process.
#[derive(Debug)]
pub struct News {
    /// The last entry that was read.
    pub last: i64,
    /// Of agents that may be connected.
    pub departures: Vec<(AgentId, Departure)>,
    /// Whether tokens came or went.
    pub tokens: bool,
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
    /// The agent's name at that time, or a token's or an app's.
    pub agent: String,
    /// The agent's id, a key's id, a public key or a bundle.
    pub detail: String,
    /// Who did it; `None` in entries of versions that did not note it.
    pub actor: Option<String>,
}

/// Adds a row about an agent or a token; `detail` is its id where the agent itself is what changed.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    by: &Actor,
    action: Action,
    name: &str,
    detail: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into audit (entry, at, action, subject, detail, actor)
         select coalesce(max(entry), 0) + 1, $1, $2, $3, $4, $5 from audit",
    )
    .bind(now())
    .bind(action.name())
    .bind(name)
    .bind(detail)
    .bind(by.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether this agent was removed while it had this name.
pub(super) async fn was_removed(
    connection: &mut SqliteConnection,
    name: &AgentName,
    agent: AgentId,
) -> Result<bool, StoreError> {
    let (found,): (i64,) =
        sqlx::query_as("select count(*) from audit where action = $1 and subject = $2 and detail = $3")
            .bind(Action::Removed.name())
            .bind(name.as_str())
            .bind(agent.to_string())
            .fetch_one(connection)
            .await?;
    Ok(found > 0)
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
        let rows: Vec<(i64, i64, String, String, String, Option<String>)> = sqlx::query_as(
            "select entry, at, action, subject, detail, actor from audit
             where entry > $1 and ($2 is null or subject = $2) order by entry limit $3",
        )
        .bind(after)
        .bind(agent.map(AgentName::as_str))
        .bind(i64::from(count_max.min(limit::AUDIT_PAGE_MAX)))
        .fetch_all(&self.pool)
        .await?;
        let row =
            |(entry, at, action, agent, detail, actor)| AuditRow { entry, at, action, agent, detail, actor };
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

    /// What entries above `seen` say of agents that may be connected and of tokens, whichever process did it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn news_after(&self, seen: i64) -> Result<News, StoreError> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "select entry, action, detail from audit where entry > $1 order by entry limit $2",
        )
        .bind(seen)
        .bind(ROWS_MAX)
        .fetch_all(&self.pool)
        .await?;
        let last = rows.last().map_or(seen, |(entry, ..)| *entry);
        let (mut departures, mut tokens) = (Vec::new(), false);
        for (entry, name, detail) in rows {
            let departure = match Action::ALL.into_iter().find(|action| action.name() == name) {
                Some(Action::Removed) => Departure::Removed,
                Some(Action::Revoked) => Departure::Revoked,
                Some(Action::RotationAsked) => Departure::Rotation,
                Some(Action::TokenAdded | Action::TokenRevoked) => {
                    tokens = true;
                    continue;
                }
                Some(
                    Action::Labelled
                    | Action::AppLogsDropped
                    | Action::Added
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
        Ok(News { last, departures, tokens })
    }
}
