//! What is done with a hub's agents, one way or the other. Both give the API's objects.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::exit::CliError;
use crate::cli::hub_cert::cert_error;
use crate::cli::remote::Remote;
use crate::cli::runtime;
use crate::hub::authority;
use crate::hub::store::{Creation, Particulars, Store, StoreError};
use crate::hub::view;
use crate::id::AgentName;
use crate::limit;
use crate::time::millis;
use crate::wire::key::encode32;
use crate::wire::message::SignatureMode;

use super::store_error;

/// A hub, one way or the other.
pub(super) enum Target {
    Remote(Remote),
    Database(Box<Database>),
}

/// The database of a hub that may run besides: it sees in the audit what was done here.
pub(super) struct Database {
    runtime: tokio::runtime::Runtime,
    store: Store,
    data: PathBuf,
}

impl Database {
    pub(super) fn open(data: &Path) -> Result<Self, CliError> {
        let runtime = runtime()?;
        let (store, _writer) = runtime.block_on(Store::open(data, Creation::Refused)).map_err(store_error)?;
        Ok(Self { runtime, store, data: data.to_owned() })
    }

    fn run<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, CliError> {
        self.runtime.block_on(work).map_err(store_error)
    }
}

impl Target {
    /// The new agent: name, id and the line of its key file.
    pub(super) fn add(&self, name: &AgentName, with: Particulars) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => {
                let issued = hub.run(hub.store.add_agent_with(name, with))?;
                Ok(view::issued(name, &issued))
            }
            Self::Remote(remote) => {
                let key = with.public_key.map(|key| encode32(&key.to_bytes()));
                let mode = with.signature.map(SignatureMode::name);
                remote
                    .post("/v1/agents", &json!({"name": name.as_str(), "public_key": key, "signature": mode}))
            }
        }
    }

    /// The invite: name, id, token and its end.
    pub(super) fn invite(
        &self,
        name: &AgentName,
        signature: Option<SignatureMode>,
        valid: Duration,
    ) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => {
                let ca = authority::own_anchor(&hub.data).map_err(cert_error)?;
                let invited = hub.run(hub.store.invite_agent(name, signature, valid))?;
                Ok(view::invited(name, &invited.known_by(ca)))
            }
            Self::Remote(remote) => {
                let body =
                    json!({"expires_ms": millis(valid), "signature": signature.map(SignatureMode::name)});
                remote.post(&format!("/v1/agents/{name}/invite"), &body)
            }
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Value>, CliError> {
        match self {
            Self::Database(hub) => {
                let rows = hub.run(hub.store.agents())?;
                Ok(rows.iter().map(|row| view::agent_line(row, None)).collect())
            }
            Self::Remote(remote) => Ok(entries(&mut remote.get("/v1/agents", &[])?, "agents")),
        }
    }

    pub(super) fn show(&self, name: &AgentName) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => hub.run(async {
                let row = hub.store.agent(name).await?;
                view::agent(&hub.store, &row, None).await
            }),
            Self::Remote(remote) => remote.get(&format!("/v1/agents/{name}"), &[]),
        }
    }

    /// Asks for a rotation in the agent's session.
    pub(super) fn rotate(&self, name: &AgentName, overlap: Duration) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => {
                let row = hub.run(hub.store.ask_for_rotation(name, overlap))?;
                Ok(json!({"rotating": name.as_str(), "id": row.id.to_string()}))
            }
            Self::Remote(remote) => {
                let body = json!({"overlap_ms": millis(overlap), "how": "session"});
                remote.post(&format!("/v1/agents/{name}/rotate"), &body)
            }
        }
    }

    /// Issues a new key as a file: name, id and its line.
    pub(super) fn issue(&self, name: &AgentName, overlap: Duration) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => {
                let issued = hub.run(hub.store.issue_key(name, overlap))?;
                Ok(view::issued(name, &issued))
            }
            Self::Remote(remote) => {
                let body = json!({"overlap_ms": millis(overlap), "how": "file"});
                remote.post(&format!("/v1/agents/{name}/rotate"), &body)
            }
        }
    }

    pub(super) fn revoke(&self, name: &AgentName) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => {
                let row = hub.run(hub.store.revoke_agent(name))?;
                Ok(json!({"revoked": name.as_str(), "id": row.id.to_string()}))
            }
            Self::Remote(remote) => remote.post(&format!("/v1/agents/{name}/revoke"), &json!({})),
        }
    }

    pub(super) fn remove(&self, name: &AgentName) -> Result<(), CliError> {
        match self {
            Self::Database(hub) => hub.run(hub.store.remove_agent(name)).map(|_| ()),
            Self::Remote(remote) => remote.delete(&format!("/v1/agents/{name}")).map(|_| ()),
        }
    }

    /// A page of the audit above the entry `after`.
    pub(super) fn audit(&self, agent: Option<&AgentName>, after: i64) -> Result<Vec<Value>, CliError> {
        match self {
            Self::Database(hub) => {
                let rows = hub.run(hub.store.audit(agent, after, limit::AUDIT_PAGE_MAX))?;
                Ok(rows.iter().map(view::audit_line).collect())
            }
            Self::Remote(remote) => {
                let mut query = vec![("after", after.to_string())];
                query.extend(agent.map(|agent| ("agent", agent.to_string())));
                Ok(entries(&mut remote.get("/v1/audit", &query)?, "entries"))
            }
        }
    }
}

fn entries(answer: &mut Value, key: &str) -> Vec<Value> {
    let entries = answer.get_mut(key).and_then(Value::as_array_mut).map(std::mem::take);
    entries.unwrap_or_default()
}
