//! Invites: an agent that may enrol with a token, and what becomes of it.
//!
//! ```text
//! open --first public key--> claimed --first verified Register--> used
//! ```
//! A claimed one may be claimed again by the same public key, since an answer may be lost, and gets the same key again: it
//! follows from `hub.key` and the invite. So nobody who repeats a request takes the key of the agent away that made it. An
//! agent is told apart by its row, not by its name: who enrols again is the same.

use std::time::Duration;

use ed25519_dalek::VerifyingKey;

use crate::id::{AgentId, AgentName, KeyId};
use crate::obs::random;
use crate::secret::Secret;
use crate::time::millis;
use crate::wire::identity::public_to_line;
use crate::wire::invite::{Claim, Invite};
use crate::wire::key::KeyFile;
use crate::wire::message::SignatureMode;

use super::agents::{self, AgentRow, AgentState, Particulars};
use super::audit::{self, Action};
use super::{Store, StoreError, keys, now};

/// An invited agent and the only copy of its token.
#[derive(Debug)]
pub struct Invited {
    /// Its id on the wire: a new one, or the one it had.
    pub id: AgentId,
    /// What it enrols with. A secret.
    pub invite: Invite,
    /// Until when it may, in milliseconds since 1970.
    pub expires_at: i64,
}

impl Invited {
    /// The same for a hub that is known by this authority.
    #[must_use]
    pub fn known_by(mut self, ca: Option<[u8; 32]>) -> Self {
        self.invite.ca = ca;
        self
    }
}

/// An agent that used its token, and the only copy of its key.
#[derive(Debug)]
pub struct Enrolled {
    /// Its name.
    pub name: AgentName,
    /// What goes into its key file. A secret.
    pub key_file: KeyFile,
}

/// Why a token is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uninvited {
    /// Never given, or taken back.
    #[error(
        "this hub does not know the invite, or took it back; ask for a new one (`outpost hub agent invite`)"
    )]
    Unknown,
    /// Its time is over.
    #[error("the invite's time is over; ask for a new one (`outpost hub agent invite`)")]
    Expired,
    /// An agent registered with what it got for it, or another public key claimed it.
    #[error(
        "the invite was used already; ask for a new one (`outpost hub agent invite`), and if it was not you who used it, have the agent revoked"
    )]
    Used,
}

impl Uninvited {
    /// The error's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "invite_unknown",
            Self::Expired => "invite_expired",
            Self::Used => "invite_used",
        }
    }
}

/// The agent, the end, the public key that claimed it, the key that was issued, and when it was used.
type InviteColumns = (i64, i64, Option<Vec<u8>>, Option<String>, Option<i64>);

impl Store {
    /// Lets an agent enrol: one that is new, or one that is known, and revoked or not, as which it comes back. An earlier
    /// invite of it that was not used is taken back.
    ///
    /// # Errors
    /// `NameReserved`, or what the database says.
    pub async fn invite_agent(
        &self,
        name: &AgentName,
        signature: Option<SignatureMode>,
        valid: Duration,
    ) -> Result<Invited, StoreError> {
        let secret = Secret::new(random::bytes());
        let invite = Invite { hub_id: self.hub_id, secret, ca: None };
        let created_at = now();
        let expires_at = created_at.saturating_add(i64::try_from(millis(valid)).unwrap_or(i64::MAX));
        let mut transaction = self.write().await?;
        let row = match agents::named(&mut transaction, name).await? {
            Some(row) => row,
            None => {
                let with = Particulars { public_key: None, signature };
                agents::insert(&mut transaction, name, with).await?
            }
        };
        if let Some(mode) = signature {
            sqlx::query("update agents set signature = $2 where agent = $1")
                .bind(row.agent.0)
                .bind(mode.name())
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("delete from invites where agent = $1 and used_at is null")
            .bind(row.agent.0)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "insert into invites (token_sha256, agent, created_at, expires_at) values ($1, $2, $3, $4)",
        )
        .bind(invite.digest().to_vec())
        .bind(row.agent.0)
        .bind(created_at)
        .bind(expires_at)
        .execute(&mut *transaction)
        .await?;
        audit::note(&mut transaction, &self.actor, Action::Invited, name.as_str(), &row.id.to_string())
            .await?;
        transaction.commit().await?;
        Ok(Invited { id: row.id, invite, expires_at })
    }

    /// Takes a token and binds the public key, whose owner has shown to have its other half; issues a key.
    ///
    /// # Errors
    /// What the database says.
    pub async fn enroll(
        &self,
        token: [u8; 32],
        public_key: &VerifyingKey,
    ) -> Result<Result<Enrolled, Uninvited>, StoreError> {
        let mut transaction = self.write().await?;
        let invite: Option<InviteColumns> = sqlx::query_as(
            "select agent, expires_at, public_key, key_id, used_at from invites where token_sha256 = $1",
        )
        .bind(token.to_vec())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((agent, expires_at, claimed_by, issued, used_at)) = invite else {
            return Ok(Err(Uninvited::Unknown));
        };
        let claimed = claimed_by.as_ref().map(|key| key.as_slice() == public_key.as_bytes());
        match (used_at, claimed) {
            (Some(_), _) | (None, Some(false)) => return Ok(Err(Uninvited::Used)),
            // Who claimed it in time may ask again later: the answer was lost.
            (None, None) if expires_at <= now() => return Ok(Err(Uninvited::Expired)),
            (None, None | Some(true)) => {}
        }
        let row = agents::numbered(&mut transaction, agent).await?;
        let name = row.name.as_str();
        let claim = Claim { token: &token, public_key };
        if let (Some(true), Some(key_id)) = (claimed, &issued)
            && let Some(key_file) = self.issued_again(&mut transaction, &row, &claim, key_id).await?
        {
            return Ok(Ok(Enrolled { name: row.name, key_file }));
        }
        if claimed.is_none() {
            let public = public_to_line(public_key);
            audit::note(&mut transaction, &self.actor, Action::Claimed, name, &public).await?;
        }
        self.welcome(&mut transaction, &row, public_key, issued).await?;
        let key_id = keys::fresh_id()?;
        let key = self.sealer.enrolled_key(&claim, &key_id);
        self.put_key(&mut transaction, &row, &key_id, &key).await?;
        sqlx::query("update invites set public_key = $2, key_id = $3 where token_sha256 = $1")
            .bind(token.to_vec())
            .bind(public_key.as_bytes().to_vec())
            .bind(key_id.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let key_file = KeyFile { hub_id: self.hub_id, agent_id: row.id, key_id, key };
        Ok(Ok(Enrolled { name: row.name, key_file }))
    }

    /// What the claim got before, where that is still good: the answer was lost.
    async fn issued_again(
        &self,
        connection: &mut sqlx::SqliteConnection,
        row: &AgentRow,
        claim: &Claim<'_>,
        key_id: &str,
    ) -> Result<Option<KeyFile>, StoreError> {
        let there: Option<(Vec<u8>,)> =
            sqlx::query_as("select bearer_sha256 from agent_keys where agent = $1 and key_id = $2")
                .bind(row.agent.0)
                .bind(key_id)
                .fetch_optional(connection)
                .await?;
        let (Some((digest,)), AgentState::Active) = (there, row.state) else { return Ok(None) };
        let key_id: KeyId = key_id.parse().map_err(|_| StoreError::Damaged("key id"))?;
        let key = self.sealer.enrolled_key(claim, &key_id);
        // A key of before it followed from anything, or of another hub.key: it cannot be said again.
        let same = key.bearer_secret().digest().as_slice() == digest;
        Ok(same.then(|| KeyFile { hub_id: self.hub_id, agent_id: row.id, key_id, key }))
    }

    /// Makes the agent welcome under its public key. What it was revoked with opens nothing any more; where it was not
    /// revoked its key goes on until the new one is registered with.
    async fn welcome(
        &self,
        connection: &mut sqlx::SqliteConnection,
        row: &AgentRow,
        public_key: &VerifyingKey,
        unused: Option<String>,
    ) -> Result<(), StoreError> {
        let gone = match row.state {
            AgentState::Revoked => keys::all(connection, row.agent).await?,
            AgentState::Active => unused.into_iter().collect(),
        };
        keys::delete(connection, &self.actor, row.agent, row.name.as_str(), &gone).await?;
        sqlx::query("update agents set state = 'active', public_key = $2 where agent = $1")
            .bind(row.agent.0)
            .bind(public_key.as_bytes().to_vec())
            .execute(connection)
            .await?;
        Ok(())
    }
}
