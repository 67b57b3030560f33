//! Whether an upgrade is signed as it has to be: by agents with a bound key, where the hub knows its own URLs.
//!
//! The credential was good before this. The nonce comes last: only what is signed and in time is remembered.

use std::sync::PoisonError;

use axum::http::HeaderMap;

use crate::hub::store::Credential;
use crate::hub::{Shared, hub_time};
use crate::limit;
use crate::obs::clock;
use crate::wire::error::ErrorCode;
use crate::wire::signed_upgrade::{SignedUpgrade, UpgradeError};

use super::nonces::Verdict;
use super::refusal::Refusal;

/// # Errors
/// Where a signature is wanted and there is none that is good, in time and new.
pub(super) fn check(shared: &Shared, headers: &HeaderMap, credential: &Credential) -> Result<(), Refusal> {
    let urls = &shared.config.public_urls;
    let Some(identity) = credential.identity.as_ref().filter(|_| !urls.is_empty()) else { return Ok(()) };
    let wrong = |detail: &'static str| Refusal::new(ErrorCode::UpgradeSignature, detail);
    let signed = SignedUpgrade::read(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    let signed = signed.map_err(|error| match error {
        UpgradeError::Missing => Refusal::new(ErrorCode::UpgradeSignature, error.to_string()),
        UpgradeError::Header(_) => Refusal::new(ErrorCode::BadRequest, error.to_string()),
    })?;
    let claim = &signed.claim;
    if claim.agent_id != credential.agent.id {
        return Err(wrong("X-Agent-ID is not the agent of the credential"));
    }
    if !urls.contains(&claim.url) {
        return Err(wrong("X-Outpost-URL is none of the hub's public_urls"));
    }
    if !signed.is_signed_by(identity) {
        return Err(wrong("X-Signature does not verify under the bound key"));
    }
    let now = hub_time();
    let late =
        |detail: &'static str| Refusal { hub_time: Some(now), ..Refusal::new(ErrorCode::Clock, detail) };
    if claim.timestamp.distance(now) > limit::CLOCK_SKEW_MAX {
        return Err(late("X-Timestamp is more than 5 minutes off"));
    }
    let verdict = shared.nonces.lock().unwrap_or_else(PoisonError::into_inner).take(clock::boot_now(), claim);
    match verdict {
        Verdict::Fresh => Ok(()),
        Verdict::Replayed => Err(Refusal::new(ErrorCode::UpgradeReplayed, "X-Nonce was used before")),
        Verdict::Forgotten => Err(late("X-Timestamp is earlier than what is remembered of this agent")),
        Verdict::Full => Err(Refusal {
            retry_after: Some(limit::UPGRADE_NONCE_SWEEP),
            ..Refusal::new(ErrorCode::Busy, "too many agents signed upgrades in the last minutes")
        }),
    }
}
