//! From a request to a subscriber's WebSocket: what both listeners judge alike.

use axum::extract::Query;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use crate::hub::upgrade::is_websocket;
use crate::limit;

use super::standing::Standing;

/// The header with the address that a proxy saw. It is only ever logged.
pub(super) const ADDRESS_HEADER: &str = "x-real-ip";

/// Why a request does not become a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str);

impl Refusal {
    pub(super) const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND, "not found");
    pub(super) const METHOD: Self = Self(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    pub(super) const NO_TOPIC: Self = Self(StatusCode::BAD_REQUEST, "missing topic");
    pub(super) const UNKNOWN: Self = Self(StatusCode::NOT_FOUND, "topic not registered");
    pub(super) const OFFSET: Self = Self(StatusCode::BAD_REQUEST, "bad offset");
    pub(super) const FORBIDDEN: Self = Self(StatusCode::FORBIDDEN, "forbidden");
    pub(super) const BAD_REQUEST: Self = Self(StatusCode::BAD_REQUEST, "bad request");
    pub(super) const FULL: Self = Self(StatusCode::SERVICE_UNAVAILABLE, "too many subscribers");

    pub(super) fn to_response(self) -> Response<Full<Bytes>> {
        let mut response = text_answer(self.0, self.1);
        if self == Self::METHOD {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}

/// A text, as plain as it is.
pub(super) fn text_answer(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The first value of a key in the query, decoded; `None` where there is none, or an empty one.
pub(super) fn first_of(uri: &Uri, wanted: &str) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let (_, value) = pairs.into_iter().find(|(key, _)| key == wanted)?;
    Some(value).filter(|value| !value.is_empty())
}

/// Whether pages from there may subscribe. No `Origin`: it is no page, or one that does not say.
pub(super) fn takes_origin(origins: &[String], headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN).filter(|_| !origins.is_empty()) else { return true };
    origins.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}

/// The answer to `Sec-WebSocket-Key`.
pub(super) fn accept(method: &Method, headers: &HeaderMap) -> Result<String, Refusal> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_websocket(method, headers));
    key.map(|key| derive_accept_key(key.as_bytes())).ok_or(Refusal::BAD_REQUEST)
}

/// The answer that the upgrade comes with.
pub(super) fn switching(accept: &str) -> Response<Full<Bytes>> {
    let mut response = text_answer(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// The socket, once it is one; `None` where the subscriber went or has to go before.
pub(super) async fn socket(
    upgrade: OnUpgrade,
    standing: &Standing,
    stop: &CancellationToken,
) -> Option<WebSocketStream<TokioIo<Upgraded>>> {
    let upgraded = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        () = standing.dropped() => return None,
        upgraded = upgrade => upgraded,
    };
    match upgraded {
        Ok(upgraded) => {
            let (io, config) = (TokioIo::new(upgraded), Some(config()));
            Some(WebSocketStream::from_raw_socket(io, Role::Server, config).await)
        }
        Err(error) => {
            tracing::debug!(%error, "a subscriber went before it was one");
            None
        }
    }
}

/// Of a subscriber's connection.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(limit::SOCKET_READ_BUFFER_IDLE)
        // No more than is sent at once: what waits, waits in the subscriber's queue, where it is counted.
        .write_buffer_size(limit::LIVE_FRAME_SENT_BYTES_MAX)
        .max_message_size(Some(limit::LIVE_FRAME_BYTES_MAX))
        .max_frame_size(Some(limit::LIVE_FRAME_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_topic_of_the_query_counts_decoded() {
        for (uri, topic) in [
            ("/ws", None),
            ("/ws?", None),
            ("/ws?topic", None),
            ("/ws?topic=", None),
            ("/ws?Topic=a", None),
            ("/ws?topic=a&topic=b", Some("a")),
            ("/ws?x=1&topic=app.1%2Fb+c", Some("app.1/b c")),
            ("/ws?topic=a%0d%0ab", Some("a\r\nb")),
            ("/ws?topic=%ff", Some("\u{fffd}")),
            ("/ws?topic=%zz", Some("%zz")),
        ] {
            assert_eq!(first_of(&uri.parse().unwrap(), "topic").as_deref(), topic, "{uri}");
        }
    }
}
