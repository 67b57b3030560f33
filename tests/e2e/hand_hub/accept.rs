//! The upgrade as a hub answers it.

use outpost::wire::key::decode32;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// The WebSocket and the agent's nonce; `None` where the peer went away over it.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
) -> Option<(WebSocketStream<S>, [u8; 32])> {
    let mut nonce = None;
    #[allow(clippy::result_large_err, reason = "tungstenite's callback has this shape")]
    let callback = |request: &Request, mut response: Response| {
        nonce = request.headers().get("X-Outpost-Nonce").and_then(|value| decode32(value.to_str().unwrap()));
        response.headers_mut().insert("Sec-WebSocket-Protocol", "outpost.v1".parse().unwrap());
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, callback).await.ok()?;
    Some((socket, nonce.expect("the agent sends a nonce")))
}
