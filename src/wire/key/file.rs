//! The texts that carry keys: the one line of a key file, and the bearer of an upgrade request.

use std::str::FromStr;

use crate::id::{AgentId, HubId, KeyId};
use crate::secret::Secret;

use super::{AgentKey, BearerSecret, decode32, encode32};

/// A text that is not a key file or a bearer. The text itself is a secret and not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `opk1.<hub>.<agent>.<key id>.<key>`.
    #[error(
        "not an agent key: expected one line `opk1.<hub id>.<agent id>.<key id>.<key>`; issue one with `outpost hub agent add`"
    )]
    NotAKeyFile,
    /// A field of the key file does not parse.
    #[error("the agent key's {0} is malformed; issue a new one with `outpost hub agent add`")]
    Field(&'static str),
    /// Not `opa1.<agent>.<key id>.<secret>`.
    #[error("not a bearer of the form `opa1.<agent id>.<key id>.<secret>`")]
    NotABearer,
}

/// The one line of an agent's key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The hub that issued it.
    pub hub_id: HubId,
    /// Whose key it is.
    pub agent_id: AgentId,
    /// Which of the agent's keys.
    pub key_id: KeyId,
    /// The key.
    pub key: AgentKey,
}

impl KeyFile {
    /// The line, without a line end.
    pub fn to_line(&self) -> Secret<String> {
        let Self { hub_id, agent_id, key_id, key } = self;
        let key = Secret::new(encode32(key.0.expose()));
        Secret::new(format!("opk1.{hub_id}.{agent_id}.{key_id}.{}", key.expose()))
    }

    /// The credential of the upgrade request.
    pub fn bearer(&self) -> Bearer {
        Bearer { agent_id: self.agent_id, key_id: self.key_id.clone(), secret: self.key.bearer_secret() }
    }
}

impl FromStr for KeyFile {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut fields = text.trim_end_matches(['\r', '\n']).split('.');
        let mut next = || fields.next().ok_or(KeyError::NotAKeyFile);
        if next()? != "opk1" {
            return Err(KeyError::NotAKeyFile);
        }
        let file = Self {
            hub_id: next()?.parse().map_err(|_| KeyError::Field("hub id"))?,
            agent_id: next()?.parse().map_err(|_| KeyError::Field("agent id"))?,
            key_id: next()?.parse().map_err(|_| KeyError::Field("key id"))?,
            key: AgentKey::new(decode32(next()?).ok_or(KeyError::Field("key (32 bytes, base64url)"))?),
        };
        match fields.next() {
            None => Ok(file),
            Some(_) => Err(KeyError::NotAKeyFile),
        }
    }
}

/// `opa1.<agent_id>.<key_id>.<bearer_secret>`: the upgrade's credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// Who.
    pub agent_id: AgentId,
    /// With which key.
    pub key_id: KeyId,
    /// The proof.
    pub secret: BearerSecret,
}

impl Bearer {
    /// The text of the Authorization header after `Bearer `.
    pub fn to_text(&self) -> Secret<String> {
        let Self { agent_id, key_id, secret } = self;
        let secret = Secret::new(encode32(secret.0.expose()));
        Secret::new(format!("opa1.{agent_id}.{key_id}.{}", secret.expose()))
    }
}

impl FromStr for Bearer {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut fields = text.split('.');
        let mut next = || fields.next().ok_or(KeyError::NotABearer);
        if next()? != "opa1" {
            return Err(KeyError::NotABearer);
        }
        let bearer = Self {
            agent_id: next()?.parse().map_err(|_| KeyError::NotABearer)?,
            key_id: next()?.parse().map_err(|_| KeyError::NotABearer)?,
            secret: BearerSecret(Secret::new(decode32(next()?).ok_or(KeyError::NotABearer)?)),
        };
        match fields.next() {
            None => Ok(bearer),
            Some(_) => Err(KeyError::NotABearer),
        }
    }
}
