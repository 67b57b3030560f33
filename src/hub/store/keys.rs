//! The keys of agents: issuing them, what they open, and when they go.
//!
//! An agent may have several for a while. The first verified Register with one deletes those that were issued before it;
//! `expires_at` bounds how long that may take. A key's id is never used twice, so that a hub restored from a backup does
//! not give a name that an agent already knows to another key.

use sqlx::SqliteConnection;

use crate::id::{AgentId, KeyId};
use crate::obs::random;
use crate::wire::error::ErrorCode;
use crate::wire::identity::BoundKey;
use crate::wire::key::{AgentKey, Bearer, MacRoot};

use super::agents::{self, AgentRow, AgentState};
use super::audit::{self, Action, Actor};
use super::{AgentRef, Store, StoreError, now};

/// What a credential opens.
#[derive(Debug)]
pub struct Credential {
    /// Whose it is.
    pub agent: AgentRow,
    /// Which of its keys.
    pub key_id: KeyId,
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
    /// No such key of the agent, or not any more.
    KeyUnknown,
    /// The secret is wrong.
    Unauthorized,
    /// The secret is right, the agent is not welcome any more.
    Revoked,
}

impl Denied {
    /// What the agent is told.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::UnknownAgent => ErrorCode::UnknownAgent,
            Self::KeyUnknown => ErrorCode::KeyUnknown,
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::Revoked => ErrorCode::Revoked,
        }
    }
}

/// An id that no key of any agent had before.
pub(in crate::hub) fn fresh_id() -> Result<KeyId, StoreError> {
    let text = format!("k{}", hex::encode(random::bytes::<8>()));
    text.parse().map_err(|_| StoreError::Damaged("key id"))
}

/// Deletes keys that nobody can use any more, and says so in the audit.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    by: &Actor,
    agent: AgentRef,
    name: &str,
    which: &[String],
) -> Result<(), StoreError> {
    for key_id in which {
        sqlx::query("delete from agent_keys where agent = $1 and key_id = $2")
            .bind(agent.0)
            .bind(key_id)
            .execute(&mut *connection)
            .await?;
        audit::note(connection, by, Action::KeyDeleted, name, key_id).await?;
    }
    Ok(())
}

/// All keys of an agent.
pub(super) async fn all(
    connection: &mut SqliteConnection,
    agent: AgentRef,
) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select key_id from agent_keys where agent = $1 order by issued")
            .bind(agent.0)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(key_id,)| key_id).collect())
}

impl Store {
    /// Puts a key into the table, as the newest of its agent.
    pub(super) async fn put_key(
        &self,
        connection: &mut SqliteConnection,
        row: &AgentRow,
        key_id: &KeyId,
        key: &AgentKey,
    ) -> Result<(), StoreError> {
        let sealed = self.sealer.seal_root(&key.mac_root(), row.id, key_id)?;
        sqlx::query(
            "insert into agent_keys (agent, key_id, bearer_sha256, mac_root_sealed, created_at, issued)
             select $1, $2, $3, $4, $5, coalesce(max(issued), 0) + 1 from agent_keys where agent = $1",
        )
        .bind(row.agent.0)
        .bind(key_id.as_str())
        .bind(key.bearer_secret().digest().to_vec())
        .bind(sealed)
        .bind(now())
        .execute(&mut *connection)
        .await?;
        audit::note(connection, &self.actor, Action::KeyIssued, row.name.as_str(), key_id.as_str()).await
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

    /// What a key of an agent opens, for whoever proved to have its secret by other means: by the MACs of a bundle, or by
    /// a token that this hub gave for it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn credential_of(
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
        let Some(agent) = agents::by_id(&self.pool, agent).await? else {
            return Ok(Err(Denied::UnknownAgent));
        };
        let key: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "select bearer_sha256, mac_root_sealed from agent_keys
             where agent = $1 and key_id = $2 and (expires_at is null or expires_at > $3)",
        )
        .bind(agent.agent.0)
        .bind(key.as_str())
        .bind(now())
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
        Ok(Ok(Credential { agent, key_id: key.clone(), mac_root, identity }))
    }
}
