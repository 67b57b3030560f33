//! The HTTP API: JSON, an admin token as bearer, errors as `{"error", "message"}`.
//!
//! `/healthz` (the process answers) and `/readyz` (the database commits) ask for no token; `/metrics` does, as it is for
//! those who have no listener of their own for it.

mod bundles;
mod identity;
mod jobs;
mod refusal;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::get;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::id::{AgentName, Lane, RecordId};
use crate::net::monitor::{Readiness, Watched as _};
use crate::obs::exposition;
use crate::wire::error::ErrorCode;
use crate::wire::key::decode32;
use crate::wire::message::SignatureMode;

use super::store::{Cursor, Particulars, StoreError};
use super::{Shared, tls, view};

/// Records of a page where the caller names no limit.
const PAGE: u32 = 1000;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/v1/status", get(status))
        .route("/metrics", get(metrics))
        .route("/v1/agents", get(agents).post(add_agent))
        .route("/v1/agents/{name}", get(agent).delete(remove_agent))
        .route("/v1/agents/{name}/records", get(records))
        .merge(jobs::router())
        .merge(bundles::router())
        .merge(identity::router())
        .route_layer(from_fn_with_state(Arc::clone(shared), authorize));
    guarded
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(map_response(refusal::as_json))
        .with_state(Arc::clone(shared))
}

/// An answer that says what went wrong.
pub(super) fn error(status: u16, name: &str, message: &str) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({"error": name, "message": message}))).into_response()
}

pub(super) async fn not_found() -> Response<Body> {
    error(404, "not_found", "there is nothing at this path")
}

/// An answer of the API.
type Answer = Result<Json<Value>, Failure>;

/// Why there is none.
struct Failure {
    status: StatusCode,
    name: &'static str,
    message: String,
}

impl Failure {
    fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, name: "bad_request", message: message.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response<Body> {
        error(self.status.as_u16(), self.name, &self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (status, name) = match &error {
            StoreError::NoAgent(_) => (StatusCode::NOT_FOUND, "no_agent"),
            StoreError::NotActive(_) => (StatusCode::CONFLICT, "revoked"),
            StoreError::NameTaken(_) => (StatusCode::CONFLICT, "name_taken"),
            StoreError::NameReserved(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            other => {
                tracing::error!(error = %other, "the store failed for the API");
                (StatusCode::SERVICE_UNAVAILABLE, "store")
            }
        };
        Self { status, name, message: error.to_string() }
    }
}

async fn authorize(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if token.is_some_and(|token| shared.token.is(token)) {
        return next.run(request).await;
    }
    let message = "the admin token is missing or wrong; it is in the hub's folder, file admin.token";
    let mut response = error(401, "unauthorized", message);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response<Body> {
    match shared.readiness().await {
        Readiness::Ready(body) => Json(body).into_response(),
        Readiness::NotReady(body) => (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let page = shared.page().await.into_text();
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], page).into_response()
}

async fn status(State(shared): State<Arc<Shared>>) -> Answer {
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("OUTPOST_COMMIT"),
        "hub_id": shared.store.hub_id().to_string(),
        "sessions": shared.registry.len(),
        "counters": shared.counters.to_json(),
        "tls": shared.tls.as_deref().map(tls::to_json),
        "admission": shared.admission.to_json(),
        "job_orphans": shared.store.job_orphans().await?,
    })))
}

async fn agents(State(shared): State<Arc<Shared>>) -> Answer {
    let rows = shared.store.agents().await?;
    let lines: Vec<_> = rows.iter().map(|row| view::agent_line(row, Some(&shared.registry))).collect();
    Ok(Json(json!({"agents": lines})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAgent {
    name: String,
    /// base64url of 32 bytes.
    public_key: Option<String>,
    /// `none`, `optional` or `required`.
    signature: Option<String>,
}

async fn add_agent(State(shared): State<Arc<Shared>>, body: axum::body::Bytes) -> Answer {
    let new: NewAgent =
        serde_json::from_slice(&body).map_err(|error| Failure::bad_request(format!("the body: {error}")))?;
    let name = name(&new.name)?;
    let public_key = new
        .public_key
        .map(|text| {
            decode32(&text)
                .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
                .filter(|key| !key.is_weak())
                .ok_or_else(|| {
                    Failure::bad_request("public_key is not an Ed25519 key (base64url of 32 bytes)")
                })
        })
        .transpose()?;
    let signature = new.signature.map(|mode| signature(&mode)).transpose()?;
    let issued = shared.store.add_agent_with(&name, Particulars { public_key, signature }).await?;
    tracing::info!(agent = %name, id = %issued.id, "an agent was added");
    Ok(Json(view::issued(&name, &issued)))
}

async fn agent(State(shared): State<Arc<Shared>>, Path(text): Path<String>) -> Answer {
    let row = shared.store.agent(&name(&text)?).await?;
    Ok(Json(view::agent(&shared.store, &row, Some(&shared.registry)).await?))
}

async fn remove_agent(State(shared): State<Arc<Shared>>, Path(text): Path<String>) -> Answer {
    let row = shared.store.remove_agent(&name(&text)?).await?;
    if let Some(session) = shared.registry.session(row.id) {
        session.end(ErrorCode::UnknownAgent);
    }
    tracing::info!(agent = %row.name, id = %row.id, "an agent was removed");
    Ok(Json(json!({"removed": row.name.as_str(), "id": row.id.to_string()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    lane: Option<String>,
    from: Option<String>,
    limit: Option<u32>,
}

async fn records(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
    query: Result<Query<RecordsQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| Failure::bad_request(error.body_text()))?;
    if query.limit == Some(0) {
        return Err(Failure::bad_request("limit must be 1 or more"));
    }
    let row = shared.store.agent(&name(&text)?).await?;
    let lane: Option<Lane> = query.lane.map(|lane| lane.parse()).transpose().map_err(refused)?;
    let from: Option<RecordId> = query.from.map(|from| from.parse()).transpose().map_err(refused)?;
    let page = shared.store.records(row.agent, Cursor { lane, from }, query.limit.unwrap_or(PAGE)).await?;
    Ok(Json(view::page(&page)))
}

fn signature(text: &str) -> Result<SignatureMode, Failure> {
    SignatureMode::from_name(text)
        .ok_or_else(|| Failure::bad_request("signature must be none, optional or required"))
}

fn name(text: &str) -> Result<AgentName, Failure> {
    text.parse().map_err(refused)
}

fn refused(error: crate::id::ParseIdError) -> Failure {
    Failure::bad_request(error.to_string())
}
