//! Who asks: the bearer of a request, held against the store. The agent's state and key are read at each request, so a
//! revocation never waits for anything to expire.

use axum::http::HeaderMap;

use crate::hub::Shared;
use crate::hub::store::Credential;
use crate::wire::error::ErrorCode;
use crate::wire::key::Bearer;

use super::refusal::Refusal;
use super::request::text;

/// What the request's credential opens.
///
/// # Errors
/// Where it opens nothing, or the store fails.
pub(super) async fn check(shared: &Shared, headers: &HeaderMap) -> Result<Credential, Refusal> {
    let bearer: Bearer = text(headers, "authorization")
        .strip_prefix("Bearer ")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::new(ErrorCode::Unauthorized, "no bearer of an agent"))?;
    Ok(shared.store.authenticate(&bearer).await??)
}
