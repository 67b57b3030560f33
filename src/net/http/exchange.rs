//! One request and its answer, over the way that sessions take: the same dialling, the same TLS, the same trust.
//!
//! A credential goes to the address it was meant for and nowhere else: no redirect is followed. Each request has a
//! connection of its own.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;

use crate::limit;
use crate::net::dial::{Connected, DialError, Dialer, Route, Security};
use crate::net::patience::{Late, Patience};
use crate::net::tls::client::TlsError;
use crate::secret::Secret;

use super::Outgoing;

/// Where a hub's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    route: Route,
    base: String,
}

impl Target {
    /// The hub at `route`; `base` is its URL as [`crate::wire::url::HubUrl::http_base`] has it.
    pub fn new(route: Route, base: &str) -> Self {
        Self { route, base: base.trim_end_matches('/').to_owned() }
    }

    /// Where its bytes go.
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// The hub's URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The Host header, and what every path begins with.
    fn parts(&self) -> (&str, &str) {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
    }
}

/// What is asked of a hub.
#[derive(Debug)]
pub struct Ask<'a> {
    /// GET, POST, ...
    pub method: Method,
    /// Below the hub's URL, with its query.
    pub path: &'a str,
    /// The text after `Bearer `.
    pub bearer: Option<&'a Secret<String>>,
    /// Others; their values are no secrets.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent, and its media type.
    pub body: (Outgoing, Option<&'static str>),
    /// The longest answer that is read.
    pub answer_bytes_max: usize,
    /// How long it may take once the connection is there.
    pub patience: Patience,
}

/// What a hub, or whoever is there, answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
    /// As in [`Connected`].
    pub authority: Option<CertificateDer<'static>>,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended in between, or whoever answers does not speak HTTP.
    #[error("the connection broke off: {0}")]
    Broken(String),
    /// The time was up.
    #[error("no whole answer: {0}")]
    Late(Late),
    /// More than is read.
    #[error("the answer is longer than the {max} bytes that are read")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// What was to be sent cannot be read.
    #[error("{0}")]
    Source(io::Error),
    /// It makes no request.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
}

/// Asks. Dropping this ends the connection.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange(dialer: &Dialer, target: &Target, ask: Ask<'_>) -> Result<Answer, ExchangeError> {
    let (patience, answer_bytes_max) = (ask.patience, ask.answer_bytes_max);
    let request = request(target, ask)?;
    let Route { host, .. } = target.route();
    // Whose certificate is good at another time only may be asked nothing here.
    let Connected { stream, authority, .. } = dialer.connect(target.route()).await?.settled(host)?;
    let meter = stream.meter();
    let answer = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(limit::REQUEST_HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error, target))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| broken(error, target))?;
            let (head, body) = response.into_parts();
            let body = read(body, answer_bytes_max).await?;
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body, authority })
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            never = driven(connection) => match never {},
        }
    };
    patience.wait(&meter, answer).await.unwrap_or_else(|late| Err(ExchangeError::Late(late)))
}

/// Moves the bytes. What goes wrong is told to whoever waits for the answer.
async fn driven(connection: impl Future<Output = hyper::Result<()>>) -> Infallible {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP connection ended");
    }
    std::future::pending().await
}

async fn read(body: Incoming, max: usize) -> Result<Bytes, ExchangeError> {
    let read = Limited::new(body, max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ExchangeError::TooLong { max }
        } else {
            ExchangeError::Broken(chain(error.as_ref()))
        }
    });
    Ok(read?.to_bytes())
}

fn request(target: &Target, ask: Ask<'_>) -> Result<Request<Outgoing>, ExchangeError> {
    let unsendable = |error: String| ExchangeError::Unsendable(error);
    let (authority, prefix) = target.parts();
    let (body, media_type) = ask.body;
    let mut request = Request::builder()
        .method(ask.method)
        .uri(format!("{prefix}{}", ask.path))
        .header(HOST, authority)
        .body(body)
        .map_err(|error| unsendable(error.to_string()))?;
    let headers = request.headers_mut();
    if let Some(media_type) = media_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    if let Some(bearer) = ask.bearer {
        let bearer = Secret::new(format!("Bearer {}", bearer.expose()));
        // The parser's words are not shown: they are of no help, and the text is a secret.
        let mut value = HeaderValue::from_str(bearer.expose())
            .map_err(|_| unsendable("the credential has characters that no header carries".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in ask.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unsendable(error.to_string()))?;
        let value = HeaderValue::from_str(value).map_err(|error| unsendable(format!("{name}: {error}")))?;
        headers.insert(name, value);
    }
    Ok(request)
}

fn broken(error: hyper::Error, target: &Target) -> ExchangeError {
    let Route { host, port, security } = target.route();
    let own = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match own {
        Some(own) if error.is_user() => {
            return ExchangeError::Source(io::Error::new(own.kind(), own.to_string()));
        }
        // In TLS 1.3 a client learns only now that its certificate was not taken.
        Some(own) => {
            if let Some(error) = TlsError::after_handshake(host, own) {
                return DialError::from(error).into();
            }
        }
        None => {}
    }
    match security {
        Security::Plain if error.is_parse() => DialError::NotHttp { host: host.clone(), port: *port }.into(),
        Security::Plain | Security::Tls => ExchangeError::Broken(chain(&error)),
    }
}

/// An error with what caused it, where that says more.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
