//! One request and its answer, over the way that sessions take: the same dialling, the same TLS, the same trust.
//!
//! A credential goes to the address it was meant for and nowhere else: no redirect is followed. Each request has a
//! connection of its own.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;

use crate::limit;
use crate::net::dial::{Connected, DialError, Dialer, Route, Security};
use crate::net::patience::{Late, Patience};
use crate::net::tls::client::TlsError;
use crate::net::upgrade::{ERROR_HEADER, Refusal};
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
    /// Others.
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

    /// What the hub at `route` says no with.
    pub fn refusal(&self, route: &Route) -> Refusal {
        Refusal::read(route, self.status, |name| self.header(name))
    }

    /// The same, unless somebody else answered, or the hub on a port that speaks otherwise.
    fn of_a_hub(self, route: &Route) -> Result<Self, ExchangeError> {
        if (200..300).contains(&self.status) && self.is_page() {
            return Err(DialError::portal(route, self.status).into());
        }
        match DialError::of_refusal(route, &self.refusal(route)) {
            Some(other) => Err(other.into()),
            None => Ok(self),
        }
    }

    /// Whether somebody is there who can answer: a hub, even where it cannot now.
    fn is_of_use(&self) -> bool {
        self.status < 500 || self.header(ERROR_HEADER).is_some()
    }

    /// Whether it is a web page; a hub answers with JSON.
    fn is_page(&self) -> bool {
        match self.headers.get(CONTENT_TYPE) {
            Some(media) => media.as_bytes().to_ascii_lowercase().starts_with(b"text/html"),
            None => self.body.trim_ascii_start().starts_with(b"<"),
        }
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

/// Asks. Dropping this ends the connection. A page or a redirect of whoever stands in the hub's place is no answer.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange(dialer: &Dialer, target: &Target, ask: Ask<'_>) -> Result<Answer, ExchangeError> {
    let answer_bytes_max = ask.answer_bytes_max;
    answered(dialer, target, ask, async |_status, body| read(body, answer_bytes_max).await).await
}

/// Asks, and hands the body of an answer of status 200 to `take` as it comes, until it ends or `take` has enough; then the
/// answer's own body is empty. Any other answer is read whole. Dropping this ends the connection.
///
/// # Errors
/// See [`ExchangeError`]; what came before was taken.
pub async fn listen(
    dialer: &Dialer,
    target: &Target,
    ask: Ask<'_>,
    mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Answer, ExchangeError> {
    let answer_bytes_max = ask.answer_bytes_max;
    answered(dialer, target, ask, async |status, body: Incoming| {
        if status != StatusCode::OK {
            return read(body, answer_bytes_max).await;
        }
        let mut body = body;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ExchangeError::Broken(chain(&error)))?;
            if frame.data_ref().is_some_and(|data| take(data).is_break()) {
                break;
            }
        }
        Ok(Bytes::new())
    })
    .await
}

/// Asks, and reads the answer's body with `reader`.
async fn answered(
    dialer: &Dialer,
    target: &Target,
    ask: Ask<'_>,
    reader: impl AsyncFnOnce(StatusCode, Incoming) -> Result<Bytes, ExchangeError>,
) -> Result<Answer, ExchangeError> {
    let patience = ask.patience;
    let request = request(target, ask)?;
    let Route { host, .. } = target.route();
    // Whose certificate is good at another time only may be asked nothing here.
    let connected = dialer.connect(target.route()).await?.settled(host)?;
    let Connected { stream, authority, own, trial, .. } = connected;
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
            let body = reader(head.status, body).await?;
            let answer = Answer { status: head.status.as_u16(), headers: head.headers, body, authority };
            answer.of_a_hub(target.route())
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            never = driven(connection) => match never {},
        }
    };
    let answer = patience.wait(&meter, answer).await.unwrap_or_else(|late| Err(ExchangeError::Late(late)));
    if answer.as_ref().is_ok_and(Answer::is_of_use) {
        trial.served();
    }
    answer.map_err(|error| match (error, own.lacking(host)) {
        // The alert that says it may be lost with the connection.
        (ExchangeError::Broken(_), Some(lacking)) => DialError::from(lacking).into(),
        (error, _) => error,
    })
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
        let mut value =
            HeaderValue::from_str(value).map_err(|error| unsendable(format!("{name}: {error}")))?;
        value.set_sensitive(true);
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
