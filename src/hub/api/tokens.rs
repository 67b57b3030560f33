//! Operators' tokens. The text of one is in the answer that made it, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use serde::Deserialize;

use crate::hub::store::NewToken;
use crate::hub::token::Scope;
#[cfg(test)]
use crate::hub::view::NewTokenView;
use crate::hub::view::{TokenList, TokenRevoked};
use crate::hub::{Shared, view};
use crate::id::TokenName;
use crate::limit;

use super::Answer;
use super::endpoint::{Access, Acting, Endpoint, Verb};
use super::input::{body, refused, within};
use super::problem::Problem;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let admin = Access::Token(Scope::Admin);
    vec![
        Endpoint::new(Verb::Get, "/v1/tokens", admin, list),
        Endpoint::new(Verb::Post, "/v1/tokens", admin, add).with_document(),
        Endpoint::new(Verb::Delete, "/v1/tokens/{name}", admin, revoke),
    ]
}

/// All tokens that are not revoked, without their secrets. The first one, `admin.token`, is not among them.
#[cfg_attr(test, utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, description = "the tokens", body = TokenList))))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Answer<TokenList> {
    let rows = shared.store.tokens().await?;
    Ok(Json(TokenList { tokens: rows.iter().map(view::token_line).collect() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct TokenWanted {
    #[cfg_attr(test, schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))]
    name: String,
    scope: Scope,
    /// How long it is good: at most ten years; where absent, until it is revoked.
    #[cfg_attr(test, schema(minimum = 1, maximum = 315_360_000_000u64))]
    expires_ms: Option<u64>,
}

/// Makes a token.
#[cfg_attr(test, utoipa::path(post, path = "/v1/tokens", request_body = TokenWanted, tag = "tokens",
    responses((status = 201, description = "the only copy of it", body = NewTokenView),
        (status = 400, description = "bad_request"), (status = 409, description = "name_taken, too_many_tokens"),
        (status = 413, description = "too_large"))))]
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    bytes: Bytes,
) -> Result<Response<Body>, Problem> {
    let wanted: TokenWanted = body(&bytes)?;
    let name: TokenName = wanted.name.parse().map_err(refused)?;
    let longest = limit::TOKEN_EXPIRY_MAX;
    let valid: Option<Duration> =
        wanted.expires_ms.map(|_| within("expires_ms", wanted.expires_ms, longest, longest)).transpose()?;
    let new = NewToken { name, scope: wanted.scope, valid };
    let (token, row) = acting.store(&shared).add_token(new).await?;
    shared.callers.reload(&shared.store).await?;
    tracing::info!(token = %row.name, scope = %row.scope, by = %acting.0.name, "a token was made");
    let mut response = (StatusCode::CREATED, Json(view::new_token(&token, &row))).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Takes a token back; it opens nothing any more, and what it followed ends.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/tokens/{name}", params(("name" = String, Path)), tag = "tokens",
    responses((status = 200, description = "it is revoked", body = TokenRevoked),
        (status = 400, description = "bad_request"), (status = 404, description = "no_token"))))]
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    acting: Acting,
    Path(text): Path<String>,
) -> Answer<TokenRevoked> {
    let name: TokenName = text.parse().map_err(refused)?;
    let id = acting.store(&shared).revoke_token(&name).await?;
    shared.callers.reload(&shared.store).await?;
    tracing::warn!(token = %name, by = %acting.0.name, "a token was revoked");
    Ok(Json(view::token_revoked(&name, id)))
}
