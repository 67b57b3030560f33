//! From an HTTP request to an agent's WebSocket: everything that can be refused with a status is refused here.
//!
//! The order: shape, version (426) and nonce (400), credential (401, 403), the signature where one is wanted (401), then
//! whether the hub can take anything (503).
//! Each refusal carries `X-Outpost-Error` with the error table's name, and is counted under it.

mod nonces;
mod proof;
mod refusal;
mod request;
mod signed;
pub(super) mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use hyper::upgrade::OnUpgrade;

use crate::wire::error::ErrorCode;
use crate::wire::{CONNECT_PATH, ENROLL_PATH, SUBPROTOCOL, TOKEN_PATH};

use super::admission::Handshake;
use super::connection::Peer;
use super::socket::Channel;
use super::store::Credential;
use super::{Shared, api, connection, enroll};
pub(super) use nonces::Nonces;
use proof::Proof;
pub(super) use refusal::{Refusal, seconds};
use request::Wanted;
pub(super) use request::is_websocket;

/// What a good request leads to.
struct Admitted {
    handshake: Handshake,
    wanted: Wanted,
    credential: Credential,
    proof: Proof,
}

/// The agents' paths below any prefix; everything else is not found.
pub(super) async fn fallback(
    state: State<Arc<Shared>>,
    address: ConnectInfo<SocketAddr>,
    uri: Uri,
    request: Request<Body>,
) -> Response<Body> {
    if uri.path().ends_with(CONNECT_PATH) {
        return connect(state, address, request).await;
    }
    if uri.path().ends_with(TOKEN_PATH) {
        return token::issue(state, address, request).await;
    }
    if uri.path().ends_with(ENROLL_PATH) {
        return enroll::enroll(state, request).await;
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
        Err(refusal) => return refuse(&shared, address, refusal),
    };
    let extensions = request.extensions_mut();
    let (Some(upgrade), Some(channel)) = (extensions.remove::<OnUpgrade>(), extensions.remove::<Channel>())
    else {
        let refusal = Refusal::new(ErrorCode::BadRequest, "the connection cannot be upgraded");
        return refuse(&shared, address, refusal);
    };
    let Admitted { handshake, wanted: Wanted { agent_nonce, accept }, credential, proof } = admitted;
    shared.counters.auth_ok.add(1);
    shared.counters.credentials.add(proof.name());
    let peer = Peer { address, channel };
    let serve = connection::serve(Arc::clone(&shared), upgrade, handshake, credential, agent_nonce, peer);
    shared.tasks.spawn(serve);
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Body::empty());
    response
        .unwrap_or_else(|_| Refusal::new(ErrorCode::Internal, "the answer could not be made").into_response())
}

async fn admit(shared: &Shared, method: &Method, headers: &HeaderMap) -> Result<Admitted, Refusal> {
    let wanted = Wanted::of(method, headers)?;
    let (credential, proof) = proof::check(shared, headers).await?;
    signed::check(shared, headers, &credential)?;
    if shared.stop.is_cancelled() {
        return Err(Refusal::new(ErrorCode::GoingAway, "the hub is shutting down"));
    }
    shared.store.ready().await?;
    let begun = shared.admission.begin(credential.agent.id, &shared.registry);
    let handshake = begun.map_err(|(code, detail)| Refusal::new(code, detail))?;
    Ok(Admitted { handshake, wanted, credential, proof })
}

/// Counts and logs a refusal on its way out.
fn refuse(shared: &Shared, address: SocketAddr, refusal: Refusal) -> Response<Body> {
    let Refusal { code, detail, .. } = &refusal;
    shared.counters.keep_out(*code);
    shared.counters.requests_refused.add(code.name());
    tracing::info!(%address, error = code.name(), %detail, "an agent was not let in");
    refusal.into_response()
}
