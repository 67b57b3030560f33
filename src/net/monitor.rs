//! The listener for who watches this process: `/metrics` (Prometheus), `/healthz` (it answers), `/readyz` (it can do its
//! work). Plain HTTP, GET and HEAD, no credential; off until it is configured.
//!
//! * One request a connection, and a bound on how long that takes in whole: who sends or reads slowly has no hold on it.
//! * A bounded number of connections; one more takes the place of the oldest, so that no number of silent ones keeps a
//!   scraper out.
//! * One page is made at a time: scraping faster does not make the process work harder.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::http::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::limit;
use crate::obs::exposition::{self, Page};

/// Why the metrics are not to be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for metrics: {source}; choose another address with `listen` under `[metrics]`, or OUTPOST_METRICS_LISTEN"
)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// What is watched.
pub trait Watched: Send + Sync + 'static {
    /// Its figures now.
    fn page(&self) -> impl Future<Output = Page> + Send;

    /// Whether it can do its work.
    fn readiness(&self) -> impl Future<Output = Readiness> + Send;
}

/// Whether a process can do its work, and particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready(Value),
    /// It cannot; the value says why.
    NotReady(Value),
}

/// A listener that is bound and not served yet.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
    address: SocketAddr,
}

impl Monitor {
    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    /// Where the address cannot be used.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if !bound.ip().is_loopback() {
            tracing::warn!(address = %bound, "the metrics are open to everyone who reaches this address; they name no secrets, but what this machine does");
        }
        Ok(Self { listener, address: bound })
    }

    /// Where it answers.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is stopped; then every connection ends.
    pub async fn serve<W: Watched>(self, watched: W, stop: CancellationToken) {
        let watched = Arc::new(Desk { watched, turn: Mutex::new(()) });
        let mut connections = JoinSet::new();
        let mut places: VecDeque<AbortHandle> = VecDeque::with_capacity(limit::METRICS_CONNECTIONS_MAX);
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "a request for metrics failed");
                    }
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _address)) => {
                    places.retain(|place| !place.is_finished());
                    if places.len() >= limit::METRICS_CONNECTIONS_MAX
                        && let Some(oldest) = places.pop_front()
                    {
                        oldest.abort();
                    }
                    places.push_back(connections.spawn(one(stream, Arc::clone(&watched))));
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection for metrics could not be accepted");
                    tokio::time::sleep(limit::ACCEPT_RETRY).await;
                }
            }
        }
    }
}

/// Who answers, and whose turn it is.
struct Desk<W> {
    watched: W,
    turn: Mutex<()>,
}

/// One connection: a request and its answer.
async fn one<W: Watched>(stream: TcpStream, desk: Arc<Desk<W>>) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(answer(&request, &desk).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .max_header_size(limit::METRICS_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limit::METRICS_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for metrics ended"),
        Err(_late) => tracing::debug!("a request for metrics was not made, or its answer not taken, in time"),
    }
}

async fn answer<W: Watched>(request: &Request<Incoming>, desk: &Desk<W>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response =
            text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => {
            let _turn = desk.turn.lock().await;
            let (status, body) = match desk.watched.readiness().await {
                Readiness::Ready(body) => (StatusCode::OK, body),
                Readiness::NotReady(body) => (StatusCode::SERVICE_UNAVAILABLE, body),
            };
            of_type("application/json", status, body.to_string())
        }
        "/metrics" => {
            let _turn = desk.turn.lock().await;
            let page = desk.watched.page().await.into_text();
            of_type(exposition::CONTENT_TYPE, StatusCode::OK, page)
        }
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    of_type("text/plain; charset=utf-8", status, body)
}

fn of_type(kind: &'static str, status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
