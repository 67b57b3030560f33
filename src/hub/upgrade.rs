//! From an HTTP request to an agent's WebSocket: everything that can be refused with a status is refused here.
//!
//! The order: version (426), shape and nonce (400), credential (401, 403), then whether the hub can take anything (503).
//! Each refusal carries `X-Outpost-Error` with the error table's name.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::wire::error::ErrorCode;
use crate::wire::key::{self, Bearer};
use crate::wire::{CONNECT_PATH, SUBPROTOCOL};

use super::admission::Handshake;
use super::store::{Credential, Denied, StoreError};
use super::{Shared, api, connection};

/// What a good request leads to.
struct Admitted {
    handshake: Handshake,
    credential: Credential,
    agent_nonce: [u8; 32],
    accept: String,
}

/// The agents' path below any prefix; everything else is not found.
pub(super) async fn fallback(
    state: State<Arc<Shared>>,
    address: ConnectInfo<SocketAddr>,
    uri: Uri,
    request: Request<Body>,
) -> Response<Body> {
    if uri.path().ends_with(CONNECT_PATH) {
        return connect(state, address, request).await;
    }
    api::not_found().await
}

/// `{prefix}/v1/agents/connect`.
pub(super) async fn connect(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request<Body>,
) -> Response<Body> {
    let admitted = match admit(&shared, request.method(), request.headers()).await {
        Ok(admitted) => admitted,
        Err((code, detail)) => {
            shared.counters.auth_failed.add(code.name());
            tracing::info!(%address, error = code.name(), detail, "an agent was not let in");
            return refuse(code, detail);
        }
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return refuse(ErrorCode::BadRequest, "the connection cannot be upgraded");
    };
    shared.counters.auth_ok.add(1);
    let Admitted { handshake, credential, agent_nonce, accept } = admitted;
    let serve = connection::serve(Arc::clone(&shared), upgrade, handshake, credential, agent_nonce, address);
    shared.tasks.spawn(serve);
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Body::empty());
    response.unwrap_or_else(|_| refuse(ErrorCode::Internal, "the answer could not be made"))
}

type Refusal = (ErrorCode, &'static str);

async fn admit(shared: &Shared, method: &Method, headers: &HeaderMap) -> Result<Admitted, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let lists = |name: &str, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|entry| entry.trim().eq_ignore_ascii_case(wanted))
    };
    let upgrade = method == Method::GET
        && lists("connection", "upgrade")
        && lists("upgrade", "websocket")
        && text("sec-websocket-version") == "13";
    let websocket_key = text("sec-websocket-key");
    if !upgrade || websocket_key.is_empty() {
        return Err((ErrorCode::BadRequest, "this path takes WebSocket upgrades only"));
    }
    if !lists("sec-websocket-protocol", SUBPROTOCOL) {
        return Err((ErrorCode::UnsupportedVersion, "the subprotocol is not outpost.v1"));
    }
    let agent_nonce = key::decode32(text("x-outpost-nonce"))
        .ok_or((ErrorCode::BadRequest, "X-Outpost-Nonce is missing or not base64url of 32 bytes"))?;
    let bearer: Bearer = text("authorization")
        .strip_prefix("Bearer ")
        .and_then(|text| text.parse().ok())
        .ok_or((ErrorCode::Unauthorized, "no bearer of an agent"))?;
    let credential = match shared.store.authenticate(&bearer).await {
        Ok(Ok(credential)) => credential,
        Ok(Err(denied)) => return Err(denial(denied)),
        Err(error) => return Err(failure(&error)),
    };
    if shared.stop.is_cancelled() {
        return Err((ErrorCode::GoingAway, "the hub is shutting down"));
    }
    shared.store.ready().await.map_err(|error| failure(&error))?;
    let handshake = shared.admission.begin(credential.agent.id, &shared.registry)?;
    Ok(Admitted { handshake, credential, agent_nonce, accept: derive_accept_key(websocket_key.as_bytes()) })
}

fn denial(denied: Denied) -> Refusal {
    match denied {
        Denied::UnknownAgent => (ErrorCode::UnknownAgent, "no such agent"),
        Denied::KeyUnknown => (ErrorCode::KeyUnknown, "no such key"),
        Denied::Unauthorized => (ErrorCode::Unauthorized, "the bearer's secret is wrong"),
        Denied::Revoked => (ErrorCode::Revoked, "the agent was revoked"),
    }
}

fn failure(error: &StoreError) -> Refusal {
    if let StoreError::CannotCommit(_) = error {
        return (ErrorCode::StorageFull, "the database cannot commit");
    }
    tracing::error!(%error, "the store failed at an upgrade");
    (ErrorCode::Internal, "the store failed")
}

fn refuse(code: ErrorCode, detail: &str) -> Response<Body> {
    let mut response = api::error(code.http_status(), code.name(), &format!("{}: {detail}", code.text()));
    let headers = response.headers_mut();
    headers.insert("x-outpost-error", header::HeaderValue::from_static(code.name()));
    if code == ErrorCode::UnsupportedVersion {
        headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, header::HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}
