//! The upgrade of a connection to a WebSocket with the measured settings.
//!
//! Must not: log or show the credential. Whatever a hub answers here is *unverified*: it may change the back-off,
//! nothing else.

mod refusal;

use tokio::io::AsyncWriteExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, generate_request};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::limit;
use crate::secret::Secret;
use crate::wire::key::encode32;
use crate::wire::signed_upgrade::SignedUpgrade;

use super::answer::{Head, NoHead, Received};
use super::dial::{DialError, Endpoint, PATIENCE, Route, Security, Way};
use super::stream::Stream;
use super::tls::client::TlsError;
use super::ws::{self, Link};
pub use refusal::Refusal;

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "outpost.v1";
/// The header with the agent's nonce.
pub const NONCE_HEADER: &str = "X-Outpost-Nonce";
/// The header that names an entry of the error table.
pub const ERROR_HEADER: &str = "X-Outpost-Error";
/// The header with the hub's time, for an agent whose clock is off.
pub const TIME_HEADER: &str = "X-Outpost-Time";

/// The one status that is an upgrade.
const SWITCHING_PROTOCOLS: u16 = 101;

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

/// Upgrades a connection to `endpoint` that took this way.
///
/// # Errors
/// See [`DialError`]. Every one of them is worth another attempt, later.
pub async fn upgrade(
    stream: Stream,
    way: Way,
    endpoint: &Endpoint,
    greeting: Greeting<'_>,
) -> Result<Link<Stream>, DialError> {
    let request = request(endpoint, greeting)?;
    let meter = stream.meter();
    let attempt = exchange(stream, way, endpoint, request);
    let (host, port) = (endpoint.route.host.clone(), endpoint.route.port);
    let late = |late| Err(DialError::Timeout { host, port, way, late });
    PATIENCE.wait(&meter, attempt).await.unwrap_or_else(late)
}

/// Asks, and reads the answer: here and not in the library, which does not say what an answer of HTTP/1.0 says.
async fn exchange(
    mut stream: Stream,
    way: Way,
    endpoint: &Endpoint,
    request: Request,
) -> Result<Link<Stream>, DialError> {
    let route = &endpoint.route;
    let not_a_hub = |error: WsError| DialError::NotAHub(error.to_string());
    let (request, key) =
        generate_request(request).map(|(bytes, key)| (Secret::new(bytes), key)).map_err(not_a_hub)?;
    let broken = |error| no_answer(NoHead::Broken(error), route, way);
    stream.write_all(request.expose()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let received = Received::read(&mut stream).await.map_err(|none| no_answer(none, route, way))?;
    let head = received.head().map_err(|none| no_answer(none, route, way))?;
    if head.status != SWITCHING_PROTOCOLS {
        return Err(refused(Refusal::of(route, &head), route));
    }
    unfit(&head, &key).map_or(Ok(()), |unfit| Err(DialError::NotAHub(unfit.to_owned())))?;
    let (meter, config) = (stream.meter(), Some(ws::config(limit::SOCKET_READ_BUFFER)));
    let beyond = received.beyond().to_vec();
    Ok(Link::new(WebSocketStream::from_partially_read(stream, beyond, Role::Client, config).await, meter))
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

/// What a 101 lacks (RFC 6455, 4.1).
fn unfit(head: &Head<'_>, key: &str) -> Option<&'static str> {
    if !head.lists("upgrade", "websocket") || !head.lists("connection", "upgrade") {
        Some("it upgrades to something else")
    } else if head.text("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_str()) {
        Some("its key does not fit what was asked")
    } else if head.text("sec-websocket-protocol") != Some(SUBPROTOCOL) {
        Some("it speaks another subprotocol")
    } else {
        None
    }
}

fn no_answer(none: NoHead, route: &Route, way: Way) -> DialError {
    let Route { host, port, security } = route.clone();
    match (none, security) {
        // A client's certificate that is missing or not taken is told of only after the handshake.
        (NoHead::Broken(error), _) => match TlsError::after_handshake(&host, &error) {
            Some(error) => DialError::Tls(error),
            None => DialError::Broken { host, port, way, reason: error.to_string() },
        },
        (NoHead::Closed(bytes), _) => {
            DialError::Broken { host, port, way, reason: format!("closed {bytes} bytes into the answer") }
        }
        (NoHead::NotHttp, Security::Plain) => DialError::NotHttp { host, port },
        (NoHead::NotHttp, Security::Tls) => DialError::NotAHub("it is no HTTP".to_owned()),
        (NoHead::Long, _) => {
            DialError::NotAHub(format!("a head of more than {} bytes", limit::ANSWER_HEAD_BYTES_MAX))
        }
    }
}

fn refused(refusal: Refusal, route: &Route) -> DialError {
    // Nor does a hub answer an upgrade with a page.
    if refusal.code.is_none() && matches!(refusal.status, 200..=299) {
        return DialError::portal(route, refusal.status);
    }
    DialError::of_refusal(route, &refusal).unwrap_or(DialError::Refused(refusal))
}

#[cfg(test)]
mod tests;
