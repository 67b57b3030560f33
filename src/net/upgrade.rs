//! The upgrade of a connection to a WebSocket with the measured settings.
//!
//! Must not: log or show the credential. Whatever a hub answers here is *unverified*: it may change the back-off,
//! nothing else.

use std::time::Duration;

use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

use crate::limit;
use crate::secret::Secret;
use crate::time::HubTime;
use crate::wire::error::ErrorCode;
use crate::wire::key::encode32;
use crate::wire::signed_upgrade::SignedUpgrade;

use super::dial::{DialError, Endpoint, PATIENCE, Route, Security};
use super::stream::Stream;
use super::tls::client::TlsError;
use super::ws::{self, Link};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "outpost.v1";
/// The header with the agent's nonce.
pub const NONCE_HEADER: &str = "X-Outpost-Nonce";
/// The header that names an entry of the error table.
pub const ERROR_HEADER: &str = "X-Outpost-Error";
/// The header with the hub's time, for an agent whose clock is off.
pub const TIME_HEADER: &str = "X-Outpost-Time";

/// What the upgrade request says of the agent.
#[derive(Clone, Copy)]
pub struct Greeting<'a> {
    /// The text after `Bearer `.
    pub authorization: &'a Secret<String>,
    /// Fresh random bytes.
    pub nonce: &'a [u8; 32],
    /// Where the agent has an identity.
    pub signed: Option<&'a SignedUpgrade>,
}

/// An HTTP answer other than 101. Unverified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hub refused with HTTP {status}{}", code.map_or(String::new(), |code| format!(", {code}")))]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The entry of the error table that `X-Outpost-Error` names.
    pub code: Option<ErrorCode>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `X-Outpost-Time`.
    pub hub_time: Option<HubTime>,
}

impl Refusal {
    /// From the status and the headers' texts; what is not understood counts as missing.
    pub(super) fn read(
        status: u16,
        error: Option<&str>,
        retry_after: Option<&str>,
        hub_time: Option<&str>,
    ) -> Self {
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok());
        Self {
            status,
            code: error.and_then(ErrorCode::from_name),
            retry_after: number(retry_after).map(Duration::from_secs),
            hub_time: number(hub_time).map(HubTime),
        }
    }
}

/// Upgrades a connection to `endpoint`.
///
/// # Errors
/// See [`DialError`]. Every one of them is worth another attempt, later.
pub async fn upgrade(
    stream: Stream,
    endpoint: &Endpoint,
    greeting: Greeting<'_>,
) -> Result<Link<Stream>, DialError> {
    let request = request(endpoint, greeting)?;
    let meter = stream.meter();
    let moved = meter.clone();
    let attempt = async {
        let config = ws::config(limit::SOCKET_READ_BUFFER);
        let (socket, _response) = client_async_with_config(request, stream, Some(config))
            .await
            .map_err(|error| refused(error, endpoint))?;
        Ok(Link::new(socket, meter))
    };
    let (host, port) = (endpoint.route.host.clone(), endpoint.route.port);
    PATIENCE.wait(&moved, attempt).await.unwrap_or_else(|late| Err(DialError::Timeout { host, port, late }))
}

fn request(endpoint: &Endpoint, greeting: Greeting<'_>) -> Result<Request, DialError> {
    let unusable = |detail: String| DialError::NotAHub(detail);
    let mut request =
        endpoint.connect_url.as_str().into_client_request().map_err(|error| unusable(error.to_string()))?;
    let header = |text: &str| HeaderValue::from_str(text).map_err(|error| unusable(error.to_string()));
    let bearer = Secret::new(format!("Bearer {}", greeting.authorization.expose()));
    let mut authorization = header(bearer.expose())?;
    authorization.set_sensitive(true);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(NONCE_HEADER, header(&encode32(greeting.nonce))?);
    for (name, text) in greeting.signed.map(SignedUpgrade::headers).into_iter().flatten() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        headers.insert(name, header(&text)?);
    }
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

fn refused(error: WsError, endpoint: &Endpoint) -> DialError {
    let Route { host, port, security } = endpoint.route.clone();
    match (error, security) {
        (WsError::Http(response), _) => {
            let refusal = refusal(&response.map(|_body| ()));
            // No hub redirects, or answers an upgrade with a page; a network that wants a login does.
            if refusal.code.is_none() && matches!(refusal.status, 200..=399 | 511) {
                return DialError::Portal { host, port, status: refusal.status };
            }
            DialError::Refused(refusal)
        }
        // A client's certificate that is missing or not taken is told of only after the handshake.
        (WsError::Io(error), _) => match TlsError::after_handshake(&host, &error) {
            Some(error) => DialError::Tls(error),
            None => DialError::Broken(error.to_string()),
        },
        (WsError::Protocol(error @ ProtocolError::HandshakeIncomplete), _) => {
            DialError::Broken(error.to_string())
        }
        (WsError::Protocol(ProtocolError::HttparseError(_)), Security::Plain) => {
            DialError::NotHttp { host, port }
        }
        (other, _) => DialError::NotAHub(other.to_string()),
    }
}

fn refusal(response: &tokio_tungstenite::tungstenite::http::Response<()>) -> Refusal {
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let (error, retry_after, time) = (text(ERROR_HEADER), text(RETRY_AFTER.as_str()), text(TIME_HEADER));
    Refusal::read(response.status().as_u16(), error, retry_after, time)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use crate::net::dial::Dialer;

    use super::*;

    async fn greet(endpoint: &Endpoint) -> Result<Link<Stream>, DialError> {
        let authorization = &Secret::new("opa1.who".to_owned());
        let stream = Dialer::default().connect(&endpoint.route).await?.stream;
        upgrade(stream, endpoint, Greeting { authorization, nonce: &[7; 32], signed: None }).await
    }

    /// A server that answers one request with `answer` and hands back what it was asked.
    async fn answer_once(answer: &'static [u8]) -> (DialError, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoint = Endpoint {
            route: Route { host: "127.0.0.1".to_owned(), port, security: Security::Plain },
            connect_url: format!("ws://127.0.0.1:{port}/base/v1/agents/connect"),
        };
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).await.unwrap();
                asked.extend(byte);
            }
            socket.write_all(answer).await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        let (result, asked) = tokio::join!(greet(&endpoint), server);
        (result.unwrap_err(), asked)
    }

    #[tokio::test]
    async fn a_refusal_names_its_row_of_the_table_and_when_to_come_back() {
        let (error, asked) = answer_once(
            b"HTTP/1.1 503 Service Unavailable\r\nX-Outpost-Error: busy\r\nRetry-After: 7\r\nX-Outpost-Time: 1800000000000\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        let DialError::Refused(refusal) = error else { panic!("{error}") };
        let expected = Refusal {
            status: 503,
            code: Some(ErrorCode::Busy),
            retry_after: Some(Duration::from_secs(7)),
            hub_time: Some(HubTime(1_800_000_000_000)),
        };
        assert_eq!(refusal, expected);
        assert!(asked.starts_with("GET /base/v1/agents/connect HTTP/1.1\r\n"), "{asked}");
        let lower = asked.to_lowercase();
        assert!(lower.contains("authorization: bearer opa1.who"), "{asked}");
        assert!(lower.contains("x-outpost-nonce: bwchbwchbwch"), "{asked}");
        assert!(lower.contains("sec-websocket-protocol: outpost.v1"), "{asked}");
    }

    #[tokio::test]
    async fn an_unknown_or_missing_row_is_no_reason_to_fail() {
        let (error, _) = answer_once(
            b"HTTP/1.1 403 Forbidden\r\nX-Outpost-Error: moon_phase\r\nRetry-After: soon\r\nX-Outpost-Time: noon\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        let DialError::Refused(refusal) = error else { panic!("{error}") };
        assert_eq!(refusal, Refusal { status: 403, code: None, retry_after: None, hub_time: None });
    }

    #[tokio::test]
    async fn something_that_is_no_hub_is_told_apart() {
        let (error, _) = answer_once(b"220 mail.example ESMTP\r\n\r\n").await;
        assert!(matches!(error, DialError::NotHttp { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_tls_port_that_is_dialled_without_tls_is_told_apart() {
        // The alert of a TLS server that reads `GET`: unexpected message.
        let (error, _) = answer_once(&[0x15, 3, 3, 0, 2, 2, 10]).await;
        assert!(matches!(error, DialError::NotHttp { .. }), "{error}");
        assert!(error.to_string().contains("https://"), "{error}");
    }

    #[tokio::test]
    async fn a_captive_portal_is_named() {
        for (answer, status) in [
            (
                &b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>"[..],
                200,
            ),
            (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n", 302),
            (b"HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n", 511),
        ] {
            let (error, _) = answer_once(answer).await;
            assert!(matches!(error, DialError::Portal { status: found, .. } if found == status), "{error}");
            assert!(error.to_string().contains("captive portal"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_names_host_and_port() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let endpoint = Endpoint {
            route: Route { host: "127.0.0.1".to_owned(), port, security: Security::Plain },
            connect_url: format!("ws://127.0.0.1:{port}/v1/agents/connect"),
        };
        let error = greet(&endpoint).await.unwrap_err();
        assert!(matches!(error, DialError::Connect { .. }) && error.to_string().contains(&port.to_string()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoint = Endpoint {
            route: Route { host: "127.0.0.1".to_owned(), port, security: Security::Plain },
            connect_url: format!("ws://127.0.0.1:{port}/v1/agents/connect"),
        };
        let error = greet(&endpoint).await.unwrap_err();
        assert!(matches!(error, DialError::Timeout { .. }), "{error}");
    }
}
