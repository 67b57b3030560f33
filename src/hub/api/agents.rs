//! Agents: the list, one of them, its labels, its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;

use crate::hub::labels::{LabelChanges, Selector};
use crate::hub::store::{AgentRow, AgentState, Cursor, Particulars};
use crate::hub::token::Scope;
use crate::hub::view::{AgentLine, AgentPage, AgentView, Issued, RecordPage, Removed};
use crate::hub::{Shared, view};
use crate::id::{Lane, RecordId};
use crate::limit;
use crate::wire::error::ErrorCode;
use crate::wire::key::decode32;

use super::Answer;
use super::cursor::{self, List};
use super::endpoint::{Access, Acting, Endpoint, Verb};
use super::input::{Asked, body, count, name, query, refused, signature};
use super::problem::{Kind, Problem};

/// Records of a page where the caller names no limit.
const RECORDS: u32 = 1000;
/// Agents likewise: as many as there may be on one, so that who knows nothing of pages sees what a fleet of that size has.
const AGENTS: u32 = limit::AGENTS_PAGE_MAX;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (read, admin) = (Access::Token(Scope::Read), Access::Token(Scope::Admin));
    vec![
        Endpoint::new(Verb::Get, "/v1/agents", read, list).with_parameters(),
        Endpoint::new(Verb::Post, "/v1/agents", admin, add).with_document(),
        Endpoint::new(Verb::Get, "/v1/agents/{name}", read, show),
        Endpoint::new(Verb::Delete, "/v1/agents/{name}", admin, remove),
        Endpoint::new(Verb::Patch, "/v1/agents/{name}/labels", admin, label).with_document(),
        Endpoint::new(Verb::Get, "/v1/agents/{name}/records", read, records).with_parameters(),
    ]
}

pub(super) fn selector(text: &str) -> Result<Selector, Problem> {
    text.parse().map_err(|error| Problem::new(Kind::BadSelector, format!("selector: {error}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct AgentsQuery {
    /// Only those in this state.
    #[cfg_attr(test, param(pattern = "^(active|revoked)$"))]
    state: Option<String>,
    /// Only those that have a session now, or only those that have none.
    connected: Option<bool>,
    /// Only those with such labels: `name=value`, `name!=value`, `name in (a,b)`, `name notin (a,b)`, `name`, `!name`, with
    /// commas between them.
    #[cfg_attr(test, param(max_length = 1024))]
    selector: Option<String>,
    /// Agents on this page.
    #[cfg_attr(test, param(minimum = 1))]
    limit: Option<u32>,
    /// Where an earlier page ended: its `next`.
    cursor: Option<String>,
}

/// The agents, by name.
#[cfg_attr(test, utoipa::path(get, path = "/v1/agents", params(AgentsQuery), tag = "agents",
    responses((status = 200, description = "a page", body = AgentPage),
        (status = 400, description = "bad_request, bad_selector, bad_cursor"))))]
pub(super) async fn list(State(shared): State<Arc<Shared>>, asked: Asked<AgentsQuery>) -> Answer<AgentPage> {
    let asked = query(asked)?;
    let state = match asked.state.as_deref() {
        None => None,
        Some("active") => Some(AgentState::Active),
        Some("revoked") => Some(AgentState::Revoked),
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            return Err(Problem::bad_request(format!("state: `{other}` is not active or revoked")));
        }
    };
    let chosen = asked.selector.as_deref().map(selector).transpose()?;
    let after = asked.cursor.as_deref().map(|text| cursor::decode(List::Agents, text)).transpose()?;
    let page = usize::try_from(count(asked.limit, AGENTS, limit::AGENTS_PAGE_MAX)?).unwrap_or(1);
    let mut rows = match &chosen {
        Some(selector) => shared.store.selected(selector).await?,
        None => shared.store.agents().await?,
    };
    rows.retain(|row| {
        let connected =
            asked.connected.is_none_or(|wanted| shared.registry.session(row.id).is_some() == wanted);
        let beyond = after.as_ref().is_none_or(|after| row.name.as_str().as_bytes() > after.as_slice());
        connected && beyond && state.is_none_or(|state| row.state == state)
    });
    let more = rows.len() > page;
    rows.truncate(page);
    let next = rows.last().filter(|_| more);
    let next = next.map(|row| cursor::encode(List::Agents, row.name.as_str().as_bytes()));
    let labels = shared.store.all_labels().await?;
    let line = |row: &AgentRow| {
        let labels = labels.get(&row.agent).cloned().unwrap_or_default();
        view::agent_line(row, &labels, Some(&shared.registry))
    };
    Ok(Json(AgentPage { agents: rows.iter().map(line).collect(), next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct NewAgent {
    #[cfg_attr(test, schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    name: String,
    /// An Ed25519 key to bind, base64url of 32 bytes.
    public_key: Option<String>,
    /// Whether it has to sign: `none`, `optional` or `required`; null: as the hub's settings say.
    #[cfg_attr(test, schema(pattern = "^(none|optional|required)$"))]
    signature: Option<String>,
}

/// Adds an agent and issues its key.
#[cfg_attr(test, utoipa::path(post, path = "/v1/agents", request_body = NewAgent, tag = "agents",
    responses((status = 200, description = "the agent and the only copy of its key", body = Issued),
        (status = 400, description = "bad_request"), (status = 409, description = "name_taken"),
        (status = 413, description = "too_large"))))]
pub(super) async fn add(State(shared): State<Arc<Shared>>, acting: Acting, bytes: Bytes) -> Answer<Issued> {
    let new: NewAgent = body(&bytes)?;
    let name = name(&new.name)?;
    let public_key = new
        .public_key
        .map(|text| {
            decode32(&text)
                .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
                .filter(|key| !key.is_weak())
                .ok_or_else(|| {
                    Problem::bad_request("public_key is not an Ed25519 key (base64url of 32 bytes)")
                })
        })
        .transpose()?;
    let signature = new.signature.map(|mode| signature(&mode)).transpose()?;
    let issued = acting.store(&shared).add_agent_with(&name, Particulars { public_key, signature }).await?;
    tracing::info!(agent = %name, id = %issued.id, by = %acting.0.name, "an agent was added");
    Ok(Json(view::issued(&name, &issued)))
}

/// Everything the hub saw of one agent.
#[cfg_attr(test, utoipa::path(get, path = "/v1/agents/{name}", params(("name" = String, Path)), tag = "agents",
    responses((status = 200, description = "the agent", body = AgentView),
        (status = 400, description = "bad_request"), (status = 404, description = "no_agent"))))]
pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(text): Path<String>) -> Answer<AgentView> {
    let row = shared.store.agent(&name(&text)?).await?;
    Ok(Json(view::agent(&shared.store, &row, Some(&shared.registry)).await?))
}

/// Removes an agent: its name, keys and labels go, its records stay.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/agents/{name}", params(("name" = String, Path)), tag = "agents",
    responses((status = 200, description = "it is removed", body = Removed),
        (status = 400, description = "bad_request"), (status = 404, description = "no_agent"))))]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(text): Path<String>,
) -> Answer<Removed> {
    let row = acting.store(&shared).remove_agent(&name(&text)?).await?;
    if let Some(session) = shared.registry.session(row.id) {
        session.end(ErrorCode::UnknownAgent);
    }
    tracing::info!(agent = %row.name, id = %row.id, by = %acting.0.name, "an agent was removed");
    Ok(Json(Removed::of(&row)))
}

/// Changes labels: a text sets one, null takes it away, those that are not named stay.
#[cfg_attr(test, utoipa::path(patch, path = "/v1/agents/{name}/labels", params(("name" = String, Path)), tag = "agents",
    request_body = BTreeMap<String, Option<String>>,
    responses((status = 200, description = "the agent with its labels", body = AgentLine),
        (status = 400, description = "bad_request"), (status = 404, description = "no_agent"),
        (status = 409, description = "too_many_labels"), (status = 413, description = "too_large"))))]
pub(super) async fn label(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(text): Path<String>,
    bytes: Bytes,
) -> Answer<AgentLine> {
    let name = name(&text)?;
    let changes: BTreeMap<String, Option<String>> = body(&bytes)?;
    let changes = LabelChanges::parse(changes.iter().map(|(name, value)| (name.as_str(), value.as_deref())))
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    let row = acting.store(&shared).change_labels(&name, &changes).await?;
    tracing::info!(agent = %row.name, by = %acting.0.name, "an agent was labelled");
    let labels = shared.store.labels(row.agent).await?;
    Ok(Json(view::agent_line(&row, &labels, Some(&shared.registry))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct RecordsQuery {
    /// One lane only.
    #[cfg_attr(test, param(pattern = "^(control|events|logs)$"))]
    lane: Option<String>,
    /// The first record, lane/epoch/seq: an earlier page's `next`.
    from: Option<String>,
    /// Records on this page.
    #[cfg_attr(test, param(minimum = 1))]
    limit: Option<u32>,
}

/// What the hub stored of an agent, in order, with gaps where they belong.
#[cfg_attr(test, utoipa::path(get, path = "/v1/agents/{name}/records", params(("name" = String, Path), RecordsQuery),
    tag = "agents",
    responses((status = 200, description = "a page", body = RecordPage),
        (status = 400, description = "bad_request"), (status = 404, description = "no_agent"))))]
pub(super) async fn records(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
    asked: Asked<RecordsQuery>,
) -> Answer<RecordPage> {
    let asked = query(asked)?;
    let count = count(asked.limit, RECORDS, limit::RECORDS_PAGE_MAX)?;
    let row = shared.store.agent(&name(&text)?).await?;
    let lane: Option<Lane> = asked.lane.map(|lane| lane.parse()).transpose().map_err(refused)?;
    let from: Option<RecordId> = asked.from.map(|from| from.parse()).transpose().map_err(refused)?;
    let page = shared.store.records(row.agent, Cursor { lane, from }, count).await?;
    Ok(Json(view::page(&page)))
}
