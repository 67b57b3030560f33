//! Who may come in: invites, rotation, revocation, and the audit of all that.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State, rejection::QueryRejection};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::hub::{Shared, authority, view};
use crate::id::AgentName;
use crate::limit;
use crate::time::millis;
use crate::wire::error::ErrorCode;

use super::{Answer, Failure, name, signature};

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/agents/{name}/invite", post(invite))
        .route("/v1/agents/{name}/revoke", post(revoke))
        .route("/v1/agents/{name}/rotate", post(rotate))
        .route("/v1/audit", get(audit))
}

/// The fields of a body; none at all is as good as none given.
fn fields<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, Failure> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Failure::bad_request(format!("the body: {error}")))
}

/// A duration of 1 ms to `max`.
fn within(field: &str, given_ms: Option<u64>, default: Duration, max: Duration) -> Result<Duration, Failure> {
    let asked = given_ms.map_or(default, Duration::from_millis);
    if asked.is_zero() || asked > max {
        return Err(Failure::bad_request(format!("{field} must be 1 to {}", millis(max))));
    }
    Ok(asked)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite {
    expires_ms: Option<u64>,
    /// `none`, `optional` or `required`.
    signature: Option<String>,
}

async fn invite(State(shared): State<Arc<Shared>>, Path(text): Path<String>, body: Bytes) -> Answer {
    let asked: Invite = fields(&body)?;
    let mode = asked.signature.map(|mode| signature(&mode)).transpose()?;
    let valid = within("expires_ms", asked.expires_ms, limit::INVITE_EXPIRY, limit::INVITE_EXPIRY_MAX)?;
    let name = name(&text)?;
    let ca = shared.tls.as_ref().and_then(|tls| authority::anchor(&tls.chain()));
    let invited = shared.store.invite_agent(&name, mode, valid).await?.known_by(ca);
    tracing::info!(agent = %name, id = %invited.id, "an agent was invited");
    Ok(Json(view::invited(&name, &invited)))
}

async fn revoke(State(shared): State<Arc<Shared>>, Path(text): Path<String>) -> Answer {
    let row = shared.store.revoke_agent(&name(&text)?).await?;
    if let Some(session) = shared.registry.session(row.id) {
        session.end(ErrorCode::Revoked);
    }
    tracing::warn!(agent = %row.name, id = %row.id, "an agent was revoked");
    Ok(Json(json!({"revoked": row.name.as_str(), "id": row.id.to_string()})))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    overlap_ms: Option<u64>,
    #[serde(default)]
    how: How,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// The two ends agree on a key in the agent's next session, or at once in the present one.
    #[default]
    Session,
    /// The key is issued here, for a site without a link.
    File,
}

async fn rotate(State(shared): State<Arc<Shared>>, Path(text): Path<String>, body: Bytes) -> Answer {
    let asked: Rotate = fields(&body)?;
    let overlap =
        within("overlap_ms", asked.overlap_ms, limit::ROTATION_OVERLAP, limit::ROTATION_OVERLAP_MAX)?;
    let name = name(&text)?;
    match asked.how {
        How::Session => {
            let row = shared.store.ask_for_rotation(&name, overlap).await?;
            if let Some(session) = shared.registry.session(row.id) {
                session.ask_for_rotation();
            }
            tracing::info!(agent = %row.name, id = %row.id, "a rotation was asked for");
            Ok(Json(json!({"rotating": row.name.as_str(), "id": row.id.to_string()})))
        }
        How::File => {
            let issued = shared.store.issue_key(&name, overlap).await?;
            tracing::info!(agent = %name, id = %issued.id, "a new key was issued");
            Ok(Json(view::issued(&name, &issued)))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    agent: Option<AgentNameText>,
    after: Option<i64>,
    limit: Option<u32>,
}

/// A name in a query.
#[derive(Deserialize)]
#[serde(transparent)]
struct AgentNameText(String);

async fn audit(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| Failure::bad_request(error.body_text()))?;
    let agent: Option<AgentName> = query.agent.map(|AgentNameText(text)| name(&text)).transpose()?;
    let count_max = query.limit.unwrap_or(limit::AUDIT_PAGE_MAX);
    if count_max == 0 {
        return Err(Failure::bad_request("limit must be 1 or more"));
    }
    let rows = shared.store.audit(agent.as_ref(), query.after.unwrap_or_default(), count_max).await?;
    let entries: Vec<_> = rows.iter().map(view::audit_line).collect();
    Ok(Json(json!({"entries": entries})))
}
