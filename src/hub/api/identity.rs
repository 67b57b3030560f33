//! Who may come in: invites, rotation, revocation, and the audit of all that.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::hub::token::Scope;
use crate::hub::view::{AuditPage, Invited, Issued, Revoked, Rotating};
use crate::hub::{Shared, authority, view};
use crate::limit;
use crate::wire::error::ErrorCode;

use super::Answer;
use super::cursor::{self, List};
use super::endpoint::{Access, Acting, Endpoint, Verb};
use super::input::{Asked, count, name, optional_body, query, signature, within};
use super::problem::Problem;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let admin = Access::Token(Scope::Admin);
    vec![
        Endpoint::new(Verb::Post, "/v1/agents/{name}/invite", admin, invite).with_document(),
        Endpoint::new(Verb::Post, "/v1/agents/{name}/revoke", admin, revoke),
        Endpoint::new(Verb::Post, "/v1/agents/{name}/rotate", admin, rotate).with_document(),
        Endpoint::new(Verb::Get, "/v1/audit", admin, audit).with_parameters(),
    ]
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Invite {
    /// How long the token may be used: at most 30 days, where absent a day.
    #[cfg_attr(test, schema(minimum = 1, maximum = 2_592_000_000u64))]
    expires_ms: Option<u64>,
    /// Whether it has to sign: `none`, `optional` or `required`.
    #[cfg_attr(test, schema(pattern = "^(none|optional|required)$"))]
    signature: Option<String>,
}

/// Lets an agent enrol by itself: one that is new, or one that is known, and revoked or not.
#[cfg_attr(test, utoipa::path(post, path = "/v1/agents/{name}/invite", params(("name" = String, Path)), tag = "identity",
    request_body(content = Option<Invite>),
    responses((status = 200, description = "the only copy of its token", body = Invited),
        (status = 400, description = "bad_request"), (status = 413, description = "too_large"))))]
pub(super) async fn invite(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(text): Path<String>,
    bytes: Bytes,
) -> Answer<Invited> {
    let asked: Invite = optional_body(&bytes)?;
    let mode = asked.signature.map(|mode| signature(&mode)).transpose()?;
    let valid = within("expires_ms", asked.expires_ms, limit::INVITE_EXPIRY, limit::INVITE_EXPIRY_MAX)?;
    let name = name(&text)?;
    let ca = shared.tls.as_ref().and_then(|tls| authority::anchor(&tls.chain()));
    let invited = acting.store(&shared).invite_agent(&name, mode, valid).await?.known_by(ca);
    tracing::info!(agent = %name, id = %invited.id, by = %acting.0.name, "an agent was invited");
    Ok(Json(view::invited(&name, &invited)))
}

/// Revokes an agent: its keys open nothing any more, and its session ends.
#[cfg_attr(test, utoipa::path(post, path = "/v1/agents/{name}/revoke", params(("name" = String, Path)), tag = "identity",
    responses((status = 200, description = "it is revoked", body = Revoked),
        (status = 400, description = "bad_request"), (status = 404, description = "no_agent"))))]
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(text): Path<String>,
) -> Answer<Revoked> {
    let row = acting.store(&shared).revoke_agent(&name(&text)?).await?;
    if let Some(session) = shared.registry.session(row.id) {
        session.end(ErrorCode::Revoked);
    }
    tracing::warn!(agent = %row.name, id = %row.id, by = %acting.0.name, "an agent was revoked");
    Ok(Json(Revoked::of(&row)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Rotate {
    /// How long the present key stays good beside a new one that was not used yet: at most 365 days, where absent 30.
    #[cfg_attr(test, schema(minimum = 1, maximum = 31_536_000_000u64))]
    overlap_ms: Option<u64>,
    #[serde(default)]
    how: How,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
enum How {
    /// The two ends agree on a key in the agent's next session, or at once in the present one.
    #[default]
    Session,
    /// The key is issued here, for a site without a link.
    File,
}

/// What became of a rotation.
#[derive(Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) enum Rotated {
    Asked(Rotating),
    Issued(Issued),
}

/// Gives an agent a new key.
#[cfg_attr(test, utoipa::path(post, path = "/v1/agents/{name}/rotate", params(("name" = String, Path)), tag = "identity",
    request_body(content = Option<Rotate>),
    responses((status = 200, description = "the wish, or the only copy of the new key", body = Rotated),
        (status = 400, description = "bad_request"), (status = 404, description = "no_agent"),
        (status = 409, description = "not_active"), (status = 413, description = "too_large"))))]
pub(super) async fn rotate(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(text): Path<String>,
    bytes: Bytes,
) -> Answer<Rotated> {
    let asked: Rotate = optional_body(&bytes)?;
    let overlap =
        within("overlap_ms", asked.overlap_ms, limit::ROTATION_OVERLAP, limit::ROTATION_OVERLAP_MAX)?;
    let name = name(&text)?;
    let store = acting.store(&shared);
    match asked.how {
        How::Session => {
            let row = store.ask_for_rotation(&name, overlap).await?;
            if let Some(session) = shared.registry.session(row.id) {
                session.ask_for_rotation();
            }
            tracing::info!(agent = %row.name, id = %row.id, by = %acting.0.name, "a rotation was asked for");
            Ok(Json(Rotated::Asked(Rotating::of(&row))))
        }
        How::File => {
            let issued = store.issue_key(&name, overlap).await?;
            tracing::info!(agent = %name, id = %issued.id, by = %acting.0.name, "a new key was issued");
            Ok(Json(Rotated::Issued(view::issued(&name, &issued))))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct AuditQuery {
    /// Of one agent, or token, only.
    #[cfg_attr(test, param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    agent: Option<String>,
    /// Entries above this number only.
    after: Option<i64>,
    /// Entries on this page.
    #[cfg_attr(test, param(minimum = 1))]
    limit: Option<u32>,
    /// Where an earlier page ended: its `next`. Not beside `after`.
    cursor: Option<String>,
}

/// Who did what, the oldest first.
#[cfg_attr(test, utoipa::path(get, path = "/v1/audit", params(AuditQuery), tag = "identity",
    responses((status = 200, description = "a page", body = AuditPage),
        (status = 400, description = "bad_request, bad_cursor"))))]
pub(super) async fn audit(State(shared): State<Arc<Shared>>, asked: Asked<AuditQuery>) -> Answer<AuditPage> {
    let asked = query(asked)?;
    let agent = asked.agent.map(|text| name(&text)).transpose()?;
    let page = count(asked.limit, limit::AUDIT_PAGE_MAX, limit::AUDIT_PAGE_MAX)?;
    let after = match (asked.after, &asked.cursor) {
        (Some(_), Some(_)) => return Err(Problem::bad_request("after and cursor: name one of them")),
        (after, None) => after.unwrap_or_default(),
        (None, Some(text)) => cursor::decode_number(List::Audit, text)?,
    };
    let rows = shared.store.audit(agent.as_ref(), after, page).await?;
    let full = rows.len() >= usize::try_from(page).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| full);
    let next = next.map(|row| cursor::encode(List::Audit, &row.entry.to_be_bytes()));
    Ok(Json(AuditPage { entries: rows.iter().map(view::audit_line).collect(), next }))
}
