//! Who asks: the bearer of a request or the token it bought, held against the store. The agent's state and key are read at
//! each request, so a revocation never waits for a token to expire.

use axum::http::HeaderMap;

use crate::hub::store::Credential;
use crate::hub::{Shared, bearer, hub_time};
use crate::wire::error::ErrorCode;
use crate::wire::key::Bearer;

use super::refusal::Refusal;

/// What proved who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Bearer,
    Token,
}

impl Proof {
    /// The name its counter has.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Token => "token",
        }
    }
}

/// What the request's bearer or token opens.
///
/// # Errors
/// Where it opens nothing, or the store fails.
pub(super) async fn check(shared: &Shared, headers: &HeaderMap) -> Result<(Credential, Proof), Refusal> {
    let text = presented(headers)?;
    if let Ok(bearer) = text.parse::<Bearer>() {
        return Ok((shared.store.authenticate(&bearer).await??, Proof::Bearer));
    }
    let claims = shared
        .jwt
        .verify(text, hub_time())
        .map_err(|error| Refusal::new(ErrorCode::Unauthorized, error.to_string()))?;
    Ok((shared.store.credential_of(claims.agent_id, &claims.key_id).await??, Proof::Token))
}

/// What the request's bearer opens; no token, so that none ever buys another.
///
/// # Errors
/// As [`check`].
pub(super) async fn bearer(shared: &Shared, headers: &HeaderMap) -> Result<Credential, Refusal> {
    let bearer = presented(headers)?.parse::<Bearer>();
    let bearer = bearer.map_err(|error| Refusal::new(ErrorCode::Unauthorized, error.to_string()))?;
    Ok(shared.store.authenticate(&bearer).await??)
}

fn presented(headers: &HeaderMap) -> Result<&str, Refusal> {
    bearer::presented(headers).ok_or_else(|| Refusal::new(ErrorCode::Unauthorized, "no bearer of an agent"))
}
