//! Agents and their keys.

use ed25519_dalek::VerifyingKey;

use crate::id::{AgentId, AgentName, InstanceId, KeyId, SessionId};
use crate::obs::random;
use crate::wire::identity::BoundKey;
use crate::wire::key::{AgentKey, Bearer, KeyFile, MacRoot};

use super::audit::{self, Action};
use super::{AgentRef, Store, StoreError, jobs, now};

/// The key an agent is given first.
const FIRST_KEY: &str = "k1";
/// Names that stand for something else in the API's paths.
const RESERVED: [&str; 1] = ["connect"];

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

    fn parse(text: &str) -> Result<Self, StoreError> {
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

/// What a credential opens.
#[derive(Debug)]
pub struct Credential {
    /// Whose it is.
    pub agent: AgentRow,
    /// The root of the session's keys.
    pub mac_root: MacRoot,
    /// The bound public key.
    pub identity: Option<BoundKey>,
}

/// Why a credential opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No such agent.
    UnknownAgent,
    /// No such key of the agent.
    KeyUnknown,
    /// The secret is wrong.
    Unauthorized,
    /// The secret is right, the agent is not welcome any more.
    Revoked,
}

type Row = (i64, Vec<u8>, String, Option<Vec<u8>>, String, i64);

fn agent_row((agent, id, name, public_key, state, created_at): Row) -> Result<AgentRow, StoreError> {
    Ok(AgentRow {
        agent: AgentRef(agent),
        id: AgentId::try_from(id.as_slice()).map_err(|_| StoreError::Damaged("agent id"))?,
        name: name.parse().map_err(|_| StoreError::Damaged("agent name"))?,
        public_key: public_key.map(|key| BoundKey::from_registry(&key)),
        state: AgentState::parse(&state)?,
        created_at,
    })
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
        if RESERVED.contains(&name.as_str()) {
            return Err(StoreError::NameReserved(name.clone()));
        }
        let id = AgentId::from_bytes(random::bytes());
        let key_id: KeyId = FIRST_KEY.parse().map_err(|_| StoreError::Damaged("key id"))?;
        let key = AgentKey::new(random::bytes());
        let sealed = self.sealer.seal_root(&key.mac_root(), id, &key_id)?;
        let mut transaction = self.write().await?;
        let taken: Option<(i64,)> = sqlx::query_as("select agent from agents where name = $1")
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if taken.is_some() {
            return Err(StoreError::NameTaken(name.clone()));
        }
        let (agent,): (i64,) = sqlx::query_as("select coalesce(max(agent), 0) + 1 from agents")
            .fetch_one(&mut *transaction)
            .await?;
        sqlx::query(
            "insert into agents (agent, id, name, public_key, state, created_at, offline_since)
             values ($1, $2, $3, $4, 'active', $5, $5)",
        )
        .bind(agent)
        .bind(id.as_bytes().to_vec())
        .bind(name.as_str())
        .bind(public_key.map(|key| key.to_bytes().to_vec()))
        .bind(now())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "insert into agent_keys (agent, key_id, bearer_sha256, mac_root_sealed, created_at) values ($1, $2, $3, $4, $5)",
        )
        .bind(agent)
        .bind(key_id.as_str())
        .bind(key.bearer_secret().digest().to_vec())
        .bind(sealed)
        .bind(now())
        .execute(&mut *transaction)
        .await?;
        audit::note(&mut transaction, Action::Added, name.as_str(), &id.to_string()).await?;
        transaction.commit().await?;
        Ok(Issued { id, key_file: KeyFile { hub_id: self.hub_id, agent_id: id, key_id, key } })
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
        sqlx::query("delete from agent_keys where agent = $1")
            .bind(row.agent.0)
            .execute(&mut *transaction)
            .await?;
        jobs::close_for_removed(&mut transaction, row.agent).await?;
        audit::note(&mut transaction, Action::Removed, name.as_str(), &row.id.to_string()).await?;
        transaction.commit().await?;
        self.changes.note(row.agent);
        Ok(row)
    }

    /// All agents, by name.
    ///
    /// # Errors
    /// What the database says.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "select agent, id, name, public_key, state, created_at from agents where name is not null order by name",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(agent_row).collect()
    }

    /// One agent.
    ///
    /// # Errors
    /// `NoAgent`, or what the database says.
    pub async fn agent(&self, name: &AgentName) -> Result<AgentRow, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "select agent, id, name, public_key, state, created_at from agents where name = $1",
        )
        .bind(name.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.map(agent_row).ok_or_else(|| StoreError::NoAgent(name.clone()))?
    }

    /// What a bearer opens. The secret is compared in constant time, and whether an agent was revoked is told only to
    /// who knows it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn authenticate(&self, bearer: &Bearer) -> Result<Result<Credential, Denied>, StoreError> {
        use subtle::ConstantTimeEq as _;
        let (agent, digest, sealed) = match self.agent_key(bearer.agent_id, &bearer.key_id).await? {
            Ok(found) => found,
            Err(denied) => return Ok(Err(denied)),
        };
        if !bool::from(bearer.secret.digest().as_slice().ct_eq(&digest)) {
            return Ok(Err(Denied::Unauthorized));
        }
        self.credential(agent, &bearer.key_id, &sealed)
    }

    /// What verifies a bundle of an agent that was made with this key: whoever made its MACs had the key's secret.
    ///
    /// # Errors
    /// What the database says.
    pub async fn bundle_credential(
        &self,
        agent: AgentId,
        key: &KeyId,
    ) -> Result<Result<Credential, Denied>, StoreError> {
        match self.agent_key(agent, key).await? {
            Ok((agent, _, sealed)) => self.credential(agent, key, &sealed),
            Err(denied) => Ok(Err(denied)),
        }
    }

    /// An agent, the digest of a key's bearer secret, and the key's sealed root.
    async fn agent_key(
        &self,
        agent: AgentId,
        key: &KeyId,
    ) -> Result<Result<(AgentRow, Vec<u8>, Vec<u8>), Denied>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "select agent, id, name, public_key, state, created_at from agents where id = $1 and name is not null",
        )
        .bind(agent.as_bytes().to_vec())
        .fetch_optional(&self.pool)
        .await?;
        let Some(agent) = row.map(agent_row).transpose()? else { return Ok(Err(Denied::UnknownAgent)) };
        let key: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "select bearer_sha256, mac_root_sealed from agent_keys where agent = $1 and key_id = $2",
        )
        .bind(agent.agent.0)
        .bind(key.as_str())
        .fetch_optional(&self.pool)
        .await?;
        Ok(key.map(|(digest, sealed)| (agent, digest, sealed)).ok_or(Denied::KeyUnknown))
    }

    fn credential(
        &self,
        agent: AgentRow,
        key: &KeyId,
        sealed: &[u8],
    ) -> Result<Result<Credential, Denied>, StoreError> {
        if agent.state == AgentState::Revoked {
            return Ok(Err(Denied::Revoked));
        }
        let mac_root = self.sealer.open_root(sealed, agent.id, key)?;
        let identity = agent.public_key;
        if identity.is_some_and(|key| !key.is_usable()) {
            tracing::error!(agent = %agent.name, "the public key bound to the agent is damaged: remove and add it again");
        }
        Ok(Ok(Credential { agent, mac_root, identity }))
    }

    /// Notes a session of an agent that registered, and the process it belongs to.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_instance(
        &self,
        agent: AgentRef,
        session: SessionId,
        instance: InstanceId,
        hostname: &str,
        agent_version: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "insert into instances (agent, instance, hostname, agent_version, first_seen, last_seen)
             values ($1, $2, $3, $4, $5, $5)
             on conflict (agent, instance) do update set last_seen = excluded.last_seen",
        )
        .bind(agent.0)
        .bind(instance.as_bytes().to_vec())
        .bind(hostname)
        .bind(agent_version)
        .bind(now())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("update agents set offline_since = null, session = $2 where agent = $1")
            .bind(agent.0)
            .bind(session.as_bytes().to_vec())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}
