//! Agents: adding, showing, revoking and removing them.

use ed25519_dalek::VerifyingKey;
use sqlx::{SqliteConnection, SqlitePool};

use crate::id::{AgentId, AgentName, KeyId};
use crate::obs::random;
use crate::wire::identity::BoundKey;
use crate::wire::key::{AgentKey, KeyFile};
use crate::wire::message::SignatureMode;

use super::audit::{self, Action};
use super::{AgentRef, Store, StoreError, jobs, keys, now, relays};

/// The key an agent is given first.
const FIRST_KEY: &str = "k1";
/// Names that stand for something else in the API's paths.
const RESERVED: [&str; 2] = ["connect", "token"];

/// Whether an agent may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentState {
    /// Yes.
    Active,
    /// Known, and not any more.
    Revoked,
}

impl AgentState {
    /// The state's name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "active" => Ok(Self::Active),
            "revoked" => Ok(Self::Revoked),
            _ => Err(StoreError::Damaged("agent state")),
        }
    }
}

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentRow {
    /// Inside the database.
    pub agent: AgentRef,
    /// Its id on the wire.
    pub id: AgentId,
    /// Its name for people.
    pub name: AgentName,
    /// The Ed25519 key it must prove, where one is bound.
    pub public_key: Option<BoundKey>,
    /// Whether it has to sign its Challenges; `None` leaves it to the hub's setting.
    pub signature: Option<SignatureMode>,
    /// Whether it may come in.
    pub state: AgentState,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// A new agent and the only copy of its key.
#[derive(Debug)]
pub struct Issued {
    /// Its id on the wire.
    pub id: AgentId,
    /// What goes into its key file. A secret.
    pub key_file: KeyFile,
}

/// What an agent is added with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Particulars {
    /// Its Ed25519 key, where one is bound.
    pub public_key: Option<VerifyingKey>,
    /// Whether it has to sign its Challenges; `None` leaves it to the hub's setting.
    pub signature: Option<SignatureMode>,
}

const COLUMNS: &str = "agent, id, name, public_key, signature, state, created_at";

type Row = (i64, Vec<u8>, String, Option<Vec<u8>>, Option<String>, String, i64);

fn agent_row(row: Row) -> Result<AgentRow, StoreError> {
    let (agent, id, name, public_key, signature, state, created_at) = row;
    Ok(AgentRow {
        agent: AgentRef(agent),
        id: AgentId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("agent id"))?,
        name: name.parse().map_err(|_| StoreError::Damaged("agent name"))?,
        public_key: public_key.map(|key| BoundKey::from_registry(&key)),
        signature: signature
            .map(|mode| SignatureMode::from_name(&mode).ok_or(StoreError::Damaged("signature mode")))
            .transpose()?,
        state: AgentState::parse(&state)?,
        created_at,
    })
}

/// The agent with this id, unless it was removed.
pub(super) async fn by_id(pool: &SqlitePool, id: AgentId) -> Result<Option<AgentRow>, StoreError> {
    let query = format!("select {COLUMNS} from agents where id = $1 and name is not null");
    let row: Option<Row> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id.as_bytes().to_vec()).fetch_optional(pool).await?;
    row.map(agent_row).transpose()
}

/// The agent with this name, as the transaction sees it.
pub(super) async fn named(
    connection: &mut SqliteConnection,
    name: &AgentName,
) -> Result<Option<AgentRow>, StoreError> {
    let query = format!("select {COLUMNS} from agents where name = $1");
    let row: Option<Row> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(name.as_str()).fetch_optional(connection).await?;
    row.map(agent_row).transpose()
}

/// The agent with this number, as the transaction sees it.
pub(super) async fn numbered(connection: &mut SqliteConnection, agent: i64) -> Result<AgentRow, StoreError> {
    let query = format!("select {COLUMNS} from agents where agent = $1 and name is not null");
    let row: Option<Row> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(agent).fetch_optional(connection).await?;
    row.map(agent_row).transpose()?.ok_or(StoreError::Damaged("an invite of no agent"))
}

/// Makes the row of an agent that has no key yet.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    name: &AgentName,
    with: Particulars,
) -> Result<AgentRow, StoreError> {
    if RESERVED.contains(&name.as_str()) {
        return Err(StoreError::NameReserved(name.clone()));
    }
    let id = AgentId::from_bytes(random::bytes());
    let created_at = now();
    let (agent,): (i64,) = sqlx::query_as(
        "insert into agents (agent, id, name, public_key, signature, state, created_at, offline_since)
         select coalesce(max(agent), 0) + 1, $1, $2, $3, $4, 'active', $5, $5 from agents
         returning agent",
    )
    .bind(id.as_bytes().to_vec())
    .bind(name.as_str())
    .bind(with.public_key.map(|key| key.to_bytes().to_vec()))
    .bind(with.signature.map(SignatureMode::name))
    .bind(created_at)
    .fetch_one(&mut *connection)
    .await?;
    let (agent, signature, state) = (AgentRef(agent), with.signature, AgentState::Active);
    let public_key = with.public_key.map(BoundKey::from);
    Ok(AgentRow { agent, id, name: name.clone(), public_key, signature, state, created_at })
}

impl Store {
    /// Adds an agent and issues its key.
    ///
    /// # Errors
    /// `NameTaken`, `NameReserved`, or what the database says.
    pub async fn add_agent(
        &self,
        name: &AgentName,
        public_key: Option<VerifyingKey>,
    ) -> Result<Issued, StoreError> {
        self.add_agent_with(name, Particulars { public_key, signature: None }).await
    }

    /// The same, with everything that can be said of an agent beforehand.
    ///
    /// # Errors
    /// As [`Self::add_agent`].
    pub async fn add_agent_with(&self, name: &AgentName, with: Particulars) -> Result<Issued, StoreError> {
        let key_id: KeyId = FIRST_KEY.parse().map_err(|_| StoreError::Damaged("key id"))?;
        let key = AgentKey::new(random::bytes());
        let mut transaction = self.write().await?;
        if named(&mut transaction, name).await?.is_some() {
            return Err(StoreError::NameTaken(name.clone()));
        }
        let row = insert(&mut transaction, name, with).await?;
        audit::note(&mut transaction, &self.actor, Action::Added, name.as_str(), &row.id.to_string()).await?;
        self.put_key(&mut transaction, &row, &key_id, &key).await?;
        transaction.commit().await?;
        self.changes.note(row.agent);
        Ok(Issued { id: row.id, key_file: KeyFile { hub_id: self.hub_id, agent_id: row.id, key_id, key } })
    }

    /// Revokes an agent: from now on its keys open nothing, and it is told why. Its rows and marks stay; an invite lets it
    /// come back. One that is revoked already stays so.
    ///
    /// # Errors
    /// `NoAgent`, or what the database says.
    pub async fn revoke_agent(&self, name: &AgentName) -> Result<AgentRow, StoreError> {
        let mut transaction = self.write().await?;
        let row = named(&mut transaction, name).await?.ok_or_else(|| StoreError::NoAgent(name.clone()))?;
        sqlx::query("update agents set state = 'revoked', rotate_asked_at = null where agent = $1")
            .bind(row.agent.0)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("delete from invites where agent = $1 and used_at is null")
            .bind(row.agent.0)
            .execute(&mut *transaction)
            .await?;
        relays::delete_of(&mut transaction, row.agent).await?;
        audit::note(&mut transaction, &self.actor, Action::Revoked, name.as_str(), &row.id.to_string())
            .await?;
        transaction.commit().await?;
        self.changes.note(row.agent);
        Ok(AgentRow { state: AgentState::Revoked, ..row })
    }

    /// Removes an agent: its name and keys go, its marks stay.
    ///
    /// # Errors
    /// `NoAgent`, or what the database says.
    pub async fn remove_agent(&self, name: &AgentName) -> Result<AgentRow, StoreError> {
        let row = self.agent(name).await?;
        let mut transaction = self.write().await?;
        sqlx::query("update agents set state = 'removed', name = null where agent = $1")
            .bind(row.agent.0)
            .execute(&mut *transaction)
            .await?;
        let held = keys::all(&mut transaction, row.agent).await?;
        keys::delete(&mut transaction, &self.actor, row.agent, name.as_str(), &held).await?;
        sqlx::query("delete from invites where agent = $1")
            .bind(row.agent.0)
            .execute(&mut *transaction)
            .await?;
        relays::delete_of(&mut transaction, row.agent).await?;
        sqlx::query("delete from agent_labels where agent = $1")
            .bind(row.agent.0)
            .execute(&mut *transaction)
            .await?;
        jobs::close_for_removed(&mut transaction, row.agent).await?;
        audit::note(&mut transaction, &self.actor, Action::Removed, name.as_str(), &row.id.to_string())
            .await?;
        transaction.commit().await?;
        self.changes.note(row.agent);
        Ok(row)
    }

    /// All agents, by name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let query = format!("select {COLUMNS} from agents where name is not null order by name");
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(&self.pool).await?;
        rows.into_iter().map(agent_row).collect()
    }

    /// The agent with this id; `None` where there is none, or it was removed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agent_with_id(&self, id: AgentId) -> Result<Option<AgentRow>, StoreError> {
        by_id(&self.pool, id).await
    }

    /// One agent.
    ///
    /// # Errors
    /// `NoAgent`, or what the database says.
    pub async fn agent(&self, name: &AgentName) -> Result<AgentRow, StoreError> {
        let mut connection = self.pool.acquire().await?;
        named(&mut connection, name).await?.ok_or_else(|| StoreError::NoAgent(name.clone()))
    }
}
