//! The shape of an upgrade request: what can be judged without knowing anybody.

use axum::http::{HeaderMap, Method};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::wire::SUBPROTOCOL;
use crate::wire::error::ErrorCode;
use crate::wire::key;

use super::refusal::Refusal;

/// What a well-formed request says of the connection to be.
pub(super) struct Wanted {
    pub(super) agent_nonce: [u8; 32],
    /// The answer to `Sec-WebSocket-Key`.
    pub(super) accept: String,
}

impl Wanted {
    /// # Errors
    /// What is missing or malformed; the version before the nonce, so that a later agent learns which one is spoken.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Result<Self, Refusal> {
        let websocket_key = text(headers, "sec-websocket-key");
        if !is_websocket(method, headers) {
            return Err(Refusal::new(ErrorCode::BadRequest, "this path takes WebSocket upgrades only"));
        }
        if !lists(headers, "sec-websocket-protocol", SUBPROTOCOL) {
            return Err(Refusal::new(ErrorCode::UnsupportedVersion, "the subprotocol is not outpost.v1"));
        }
        let agent_nonce = key::decode32(text(headers, "x-outpost-nonce")).ok_or_else(|| {
            Refusal::new(ErrorCode::BadRequest, "X-Outpost-Nonce is missing or not base64url of 32 bytes")
        })?;
        Ok(Self { agent_nonce, accept: derive_accept_key(websocket_key.as_bytes()) })
    }
}

/// Whether a WebSocket is asked for, as RFC 6455 has it.
pub(in crate::hub) fn is_websocket(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        && lists(headers, "connection", "upgrade")
        && lists(headers, "upgrade", "websocket")
        && text(headers, "sec-websocket-version") == "13"
        && !text(headers, "sec-websocket-key").is_empty()
}

/// A header's text; empty where it is missing or not text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn lists(headers: &HeaderMap, name: &str, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|entry| entry.trim().eq_ignore_ascii_case(wanted))
}
