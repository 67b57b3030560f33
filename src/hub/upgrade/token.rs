//! `POST {prefix}/v1/agents/token`: an agent's bearer buys a token that opens upgrades for a short time.
//!
//! Answer: `{"token": TEXT, "expires_in_s": SECONDS}`. The time is told as a span, so that the agent's clock does not matter.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use axum::response::IntoResponse as _;
use serde_json::json;

use crate::hub::{Shared, hub_time};
use crate::secret::Secret;
use crate::wire::error::ErrorCode;
use crate::wire::jwt::Claims;

use super::proof;
use super::refusal::Refusal;

/// Answers one request.
pub(in crate::hub) async fn issue(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response<Body> {
    let token = match token(&shared, request.method(), request.headers()).await {
        Ok(token) => token,
        Err(refusal) => return super::refuse(&shared, address, refusal),
    };
    shared.counters.tokens_issued.add(1);
    let body = json!({"token": token.expose(), "expires_in_s": shared.config.jwt_ttl.as_secs()});
    let mut response = Json(body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn token(shared: &Shared, method: &Method, headers: &HeaderMap) -> Result<Secret<String>, Refusal> {
    if method != Method::POST {
        return Err(Refusal::new(ErrorCode::BadRequest, "tokens are asked for with POST"));
    }
    let credential = proof::bearer(shared, headers).await?;
    let now = hub_time();
    Ok(shared.jwt.sign(&Claims {
        agent_id: credential.agent.id,
        key_id: credential.key_id,
        issued_at: now,
        expires_at: now.after(shared.config.jwt_ttl),
    }))
}
