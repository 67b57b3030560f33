//! The internal listener: what workers ask. The order of the checks: path (404), method (405), secret (403), request (400),
//! topic (404). Answers of success have no body but the status's; the texts are part of the protocol.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use hyper::http::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::limit;

use super::broker::{Broker, RegisterError};
use super::entrance::{Host, Seat};
use super::label::Label;
use super::push::Body;
use super::registry::Access;
use super::topic::Topic;
use super::upgrade::{ADDRESS_HEADER, first_of, text_answer};

/// The header with the worker secret.
const SECRET_HEADER: &str = "x-worker-secret";

/// Who answers workers.
pub(super) struct Desk {
    pub(super) broker: Arc<Broker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Register,
    Unregister,
    Publish,
    Status,
}

impl Wish {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/internal/register" => Some(Self::Register),
            "/internal/unregister" => Some(Self::Unregister),
            "/internal/publish" | "/internal/push" => Some(Self::Publish),
            "/internal/status" => Some(Self::Status),
            _ => None,
        }
    }

    const fn method(self) -> Method {
        match self {
            Self::Register | Self::Unregister | Self::Publish => Method::POST,
            Self::Status => Method::GET,
        }
    }
}

/// What is answered where nothing is given.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    NotFound,
    Method(Method),
    Forbidden,
    BadRequest,
    MissingTopic,
    MissingPayload,
    NotRegistered,
    /// Too many topics.
    Full,
    /// The rest of the request did not come.
    Late,
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NotRegistered => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::BadRequest | Self::MissingTopic | Self::MissingPayload => StatusCode::BAD_REQUEST,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
        }
    }

    const fn text(&self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::Method(_) => "method not allowed",
            Self::Forbidden => "forbidden",
            Self::BadRequest => "bad request",
            Self::MissingTopic => "missing topic",
            Self::MissingPayload => "missing payload",
            Self::NotRegistered => "topic not registered",
            Self::Full => "too many topics",
            Self::Late => "request timeout",
        }
    }

    fn to_response(&self) -> Response<Full<Bytes>> {
        let mut response = text_answer(self.status(), self.text());
        if let Self::Method(allowed) = self
            && let Ok(allowed) = HeaderValue::from_str(allowed.as_str())
        {
            response.headers_mut().insert(ALLOW, allowed);
        }
        if *self == Self::Full {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

impl Host for Desk {
    async fn receive(&self, stream: TcpStream, address: SocketAddr, seat: Seat) {
        let service = service_fn(|request: Request<Incoming>| {
            let seat = seat.clone();
            async move {
                let client = request.headers().get(ADDRESS_HEADER).map(|value| value.as_bytes().to_owned());
                let answer = self.answer(request, &seat).await;
                let answer = answer.unwrap_or_else(|refusal| {
                    let client = client.map(|client| String::from_utf8_lossy(&client).into_owned());
                    let client = client.as_deref().map(Label).map(tracing::field::display);
                    tracing::info!(%address, client, refusal = refusal.text(), "a request of a worker was refused");
                    refusal.to_response()
                });
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limit::LIVE_REQUEST_TIMEOUT)
            .max_header_size(limit::REQUEST_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, %address, "a worker's connection ended");
        }
    }
}

impl Desk {
    async fn answer(
        &self,
        request: Request<Incoming>,
        seat: &Seat,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        if let Some(answer) = self.health(&request) {
            return Ok(answer);
        }
        let wish = Wish::of(request.uri().path()).ok_or(Refusal::NotFound)?;
        if request.method() != wish.method() {
            return Err(Refusal::Method(wish.method()));
        }
        let shown = request.headers().get(SECRET_HEADER).map(HeaderValue::as_bytes);
        if !shown.is_some_and(|shown| self.broker.is_secret(shown)) {
            return Err(Refusal::Forbidden);
        }
        seat.prove();
        if wish == Wish::Status {
            return Ok(self.status(request.uri()));
        }
        let body = tokio::time::timeout(limit::LIVE_REQUEST_TIMEOUT, read(request.into_body())).await;
        let bytes = body.map_err(|_late| Refusal::Late)?.ok_or(Refusal::BadRequest)?;
        let body = Body::parse(&bytes).ok_or(Refusal::BadRequest)?;
        let topic = body.topic.as_deref().filter(|topic| !topic.is_empty()).ok_or(Refusal::MissingTopic)?;
        let payload = match wish {
            Wish::Publish => Some(body.payload.ok_or(Refusal::MissingPayload)?),
            Wish::Register | Wish::Unregister | Wish::Status => None,
        };
        let topic: Topic = topic.parse().map_err(|_| match wish {
            // What cannot be registered is not.
            Wish::Publish => Refusal::NotRegistered,
            Wish::Register | Wish::Unregister | Wish::Status => Refusal::BadRequest,
        })?;
        match payload {
            Some(payload) => {
                let delivered =
                    self.broker.publish(&topic, payload).await.map_err(|_| Refusal::NotRegistered)?;
                if delivered.dropped > 0 {
                    tracing::debug!(%topic, dropped = delivered.dropped, "subscribers that read too slowly lost a message");
                }
            }
            None if wish == Wish::Unregister => {
                self.broker.unregister(&topic).await.map_err(|error| refused(&topic, error))?
            }
            None => {
                let access = match body.meta.unwrap_or_default().require_token {
                    Some(true) => Access::Token,
                    Some(false) | None => Access::Open,
                };
                self.broker.register(&topic, access).await.map_err(|error| refused(&topic, error))?;
            }
        }
        Ok(Response::new(Full::default()))
    }

    /// For who watches the process: without the secret.
    fn health(&self, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/healthz") => Some(text_answer(StatusCode::OK, "ok\n")),
            (&Method::GET, "/readyz") => {
                Some(json_answer(&json!({"ready": true, "live": self.broker.status().word()})))
            }
            _ => None,
        }
    }

    fn status(&self, uri: &Uri) -> Response<Full<Bytes>> {
        let status = self.broker.status();
        if first_of(uri, "topics").is_some_and(|value| value == "1") {
            json_answer(&status.with_topics(&self.broker.topics()))
        } else {
            json_answer(&status.to_json())
        }
    }
}

fn json_answer(json: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refused(topic: &Topic, error: RegisterError) -> Refusal {
    tracing::info!(%topic, %error, "a topic was not registered or unregistered");
    match error {
        RegisterError::Reserved => Refusal::BadRequest,
        RegisterError::Full(_) => Refusal::Full,
    }
}

/// The body; `None` where it is longer than it may be, or did not come whole. What is too long is read and dropped, so that
/// its sender hears why.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let mut kept = BytesMut::new();
    let mut bytes = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        bytes = bytes.saturating_add(data.len());
        if bytes <= limit::LIVE_BODY_BYTES_MAX {
            kept.extend_from_slice(&data);
        } else if bytes > limit::REQUEST_DRAIN_BYTES {
            break;
        }
    }
    (bytes <= limit::LIVE_BODY_BYTES_MAX).then(|| kept.freeze())
}
