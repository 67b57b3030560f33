//! `{prefix}/v1/enroll`: an agent shows its invite and gets its key. Whoever has the token and can sign with the public
//! key it names is let in; nothing else is asked for, and nothing is stored for a request that is refused.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, Request, Response, header};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::limit;
use crate::wire::identity::public_from_line;
use crate::wire::invite::Invite;

use super::store::Uninvited;
use super::{Shared, api};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// `opt1. ...`
    token: String,
    /// `opp1. ...`
    public_key: String,
    /// base64url of 64 bytes.
    signature: String,
}

/// What is refused: HTTP status, name and text.
type Refusal = (u16, &'static str, String);

/// Answers one request.
pub(super) async fn enroll(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let answered = tokio::time::timeout(limit::ENROLL_TIMEOUT, answer(&shared, request)).await;
    let late = || Err((408, "timeout", "the request took too long".to_owned()));
    match answered.unwrap_or_else(|_late| late()) {
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response(),
        Err((status, name, message)) => {
            shared.counters.enroll_failed.add(name);
            tracing::info!(error = name, "an agent was not enrolled");
            api::error(status, name, message)
        }
    }
}

async fn answer(shared: &Shared, request: Request<Body>) -> Result<Value, Refusal> {
    if request.method() != Method::POST {
        return Err((405, "method_not_allowed", "this path takes POST".to_owned()));
    }
    let body = to_bytes(request.into_body(), limit::ENROLL_BODY_BYTES_MAX)
        .await
        .map_err(|_| (413, "too_large", "the body is too long or broke off".to_owned()))?;
    let (invite, public_key) = verified(shared, &body)?;
    if shared.stop.is_cancelled() {
        return Err((503, "going_away", "the hub is shutting down".to_owned()));
    }
    let enrolled = shared.store.enroll(invite.digest(), &public_key).await.map_err(|error| {
        tracing::error!(%error, "the store failed at an enrolment");
        (503, "store", "the store failed; try again".to_owned())
    })?;
    let enrolled = enrolled.map_err(|why| {
        let status = if why == Uninvited::Unknown { 401 } else { 403 };
        (status, why.name(), why.to_string())
    })?;
    shared.counters.enrolled.add(1);
    let id = enrolled.key_file.agent_id.to_string();
    tracing::info!(agent = %enrolled.name, id, key = %enrolled.key_file.key_id, "an agent used its invite");
    Ok(json!({"name": enrolled.name.as_str(), "id": id, "key": enrolled.key_file.to_line().expose()}))
}

/// The token and the public key, where whoever asks has the private half of it.
fn verified(shared: &Shared, body: &[u8]) -> Result<(Invite, VerifyingKey), Refusal> {
    let wrong = |message: String| (400, "bad_request", message);
    // What does not parse may have the token in it: the parser's words are not shown.
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|_| wrong("the body is not {token, public_key, signature}".to_owned()))?;
    let invite: Invite = asked.token.parse().map_err(|error| wrong(format!("token: {error}")))?;
    let public_key = public_from_line(&asked.public_key).map_err(|error| wrong(error.to_string()))?;
    let signature: Option<[u8; 64]> =
        URL_SAFE_NO_PAD.decode(&asked.signature).ok().and_then(|bytes| bytes.try_into().ok());
    let signature = signature.ok_or_else(|| wrong("signature is not base64url of 64 bytes".to_owned()))?;
    if invite.hub_id != shared.store.hub_id() {
        let message =
            format!("the invite is for hub {}, this is hub {}", invite.hub_id, shared.store.hub_id());
        return Err((403, "wrong_hub", message));
    }
    if !invite.verify(&public_key, &signature) {
        let message = "the signature does not verify under public_key".to_owned();
        return Err((403, "bad_signature", message));
    }
    Ok((invite, public_key))
}
