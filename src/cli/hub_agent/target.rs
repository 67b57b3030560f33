//! What is done with a hub's agents, one way or the other. Both give the API's objects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::exit::CliError;
use crate::cli::hub_cert::cert_error;
use crate::cli::remote::Remote;
use crate::cli::{runtime, way};
use crate::hub::authority;
use crate::hub::labels::{LabelChanges, LabelValue};
use crate::hub::store::{AgentRow, Creation, Particulars, Store, StoreError};
use crate::hub::view;
use crate::id::AgentName;
use crate::limit;
use crate::time::millis;
use crate::wire::key::encode32;
use crate::wire::message::SignatureMode;

use super::store_error;

/// A hub, one way or the other.
pub(in crate::cli) enum Target {
    Remote(Remote),
    Database(Box<Database>),
}

/// The database of a hub that may run besides: it sees in the audit what was done here.
pub(in crate::cli) struct Database {
    runtime: tokio::runtime::Runtime,
    pub(in crate::cli) store: Store,
    data: PathBuf,
}

impl Database {
    pub(super) fn open(data: &Path) -> Result<Self, CliError> {
        let runtime = runtime()?;
        let (store, _writer) = runtime.block_on(Store::open(data, Creation::Refused)).map_err(store_error)?;
        Ok(Self { runtime, store, data: data.to_owned() })
    }

    pub(in crate::cli) fn run<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, CliError> {
        self.runtime.block_on(work).map_err(store_error)
    }
}

impl Target {
    /// The new agent: name, id and the line of its key file.
    pub(super) fn add(&self, name: &AgentName, with: Particulars) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => {
                let issued = hub.run(hub.store.add_agent_with(name, with))?;
                Ok(view::json(&view::issued(name, &issued)))
            }
            Self::Remote(remote) => {
                let key = with.public_key.map(|key| encode32(&key.to_bytes()));
                let mode = with.signature.map(SignatureMode::name);
                remote
                    .post("/v1/agents", &json!({"name": name.as_str(), "public_key": key, "signature": mode}))
            }
        }
    }

    /// The flags with which an agent finds this hub, as far as they are known here.
    pub(super) fn way(&self) -> String {
        match self {
            Self::Database(hub) => way::to_unknown(authority::own_file_of(&hub.data).as_deref()),
            Self::Remote(remote) => way::to(remote.base(), remote.authority()),
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
                Ok(view::json(&view::invited(name, &invited.known_by(ca))))
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
                let (rows, labels) = (hub.run(hub.store.agents())?, hub.run(hub.store.all_labels())?);
                let line = |row: &AgentRow| {
                    let labels = labels.get(&row.agent).cloned().unwrap_or_default();
                    view::json(&view::agent_line(row, &labels, None))
                };
                Ok(rows.iter().map(line).collect())
            }
            Self::Remote(remote) => {
                let (mut all, mut cursor) = (Vec::new(), None::<String>);
                loop {
                    let query: Vec<_> = cursor.take().map(|cursor| ("cursor", cursor)).into_iter().collect();
                    let mut page = remote.get("/v1/agents", &query)?;
                    all.append(&mut entries(&mut page, "agents"));
                    cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
                    if cursor.is_none() {
                        return Ok(all);
                    }
                }
            }
        }
    }

    pub(super) fn show(&self, name: &AgentName) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => hub.run(async {
                let row = hub.store.agent(name).await?;
                Ok(view::json(&view::agent(&hub.store, &row, None).await?))
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
                Ok(view::json(&view::issued(name, &issued)))
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

    /// Changes labels; the agent as the list has it then.
    pub(super) fn label(&self, name: &AgentName, changes: &LabelChanges) -> Result<Value, CliError> {
        match self {
            Self::Database(hub) => hub.run(async {
                let row = hub.store.change_labels(name, changes).await?;
                let labels = hub.store.labels(row.agent).await?;
                Ok(view::json(&view::agent_line(&row, &labels, None)))
            }),
            Self::Remote(remote) => {
                let texts = changes.0.iter();
                let body: BTreeMap<_, _> = texts
                    .map(|(name, value)| (name.as_str(), value.as_ref().map(LabelValue::as_str)))
                    .collect();
                remote.patch(&format!("/v1/agents/{name}/labels"), &json!(body))
            }
        }
    }

    /// A page of the audit above the entry `after`.
    pub(super) fn audit(&self, agent: Option<&AgentName>, after: i64) -> Result<Vec<Value>, CliError> {
        match self {
            Self::Database(hub) => {
                let rows = hub.run(hub.store.audit(agent, after, limit::AUDIT_PAGE_MAX))?;
                Ok(rows.iter().map(|row| view::json(&view::audit_line(row))).collect())
            }
            Self::Remote(remote) => {
                let mut query = vec![("after", after.to_string())];
                query.extend(agent.map(|agent| ("agent", agent.to_string())));
                Ok(entries(&mut remote.get("/v1/audit", &query)?, "entries"))
            }
        }
    }
}

pub(in crate::cli) fn entries(answer: &mut Value, key: &str) -> Vec<Value> {
    let entries = answer.get_mut(key).and_then(Value::as_array_mut).map(std::mem::take);
    entries.unwrap_or_default()
}
