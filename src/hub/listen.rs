//! The listeners: one for API and agents, or one each.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::sockopt;

use crate::limit;
use crate::net::meter::Metered;
use crate::net::options;
use crate::net::patience::Patience;
use crate::net::stream::Stream;
use crate::net::tls::server::{ClientCertificate, HandshakeError};
use crate::wire::{CONNECT_PATH, ENROLL_PATH, TOKEN_PATH};

use super::admission::{Place, gate};
use super::socket::Channel;
use super::{Shared, StartError, api, enroll, upgrade};

/// What each listener answers.
pub(super) struct Routers {
    pub(super) api: Router,
    pub(super) agents: Router,
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })
}

pub(super) fn routers(shared: &Arc<Shared>, separate: bool) -> Routers {
    let agents = Router::new()
        .route(CONNECT_PATH, any(upgrade::connect))
        .route(TOKEN_PATH, any(upgrade::token::issue))
        .route(ENROLL_PATH, any(enroll::enroll))
        .fallback(upgrade::fallback)
        .with_state(Arc::clone(shared));
    let api = api::router(shared);
    let api = if separate {
        api.fallback(api::not_found)
    } else {
        api.route(CONNECT_PATH, any(upgrade::connect).with_state(Arc::clone(shared)))
            .route(TOKEN_PATH, any(upgrade::token::issue).with_state(Arc::clone(shared)))
            .route(ENROLL_PATH, any(enroll::enroll).with_state(Arc::clone(shared)))
            .fallback_service(any(upgrade::fallback).with_state(Arc::clone(shared)))
    };
    let gate = || from_fn_with_state(Arc::clone(shared), gate::pass);
    Routers { api: api.layer(gate()), agents: agents.layer(gate()) }
}

/// Accepts until the hub stops.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    clients: ClientCertificate,
    shared: Arc<Shared>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let place = shared.admission.enter(address);
                let connection = Accepted { stream, address, place, clients };
                shared.tasks.spawn(connection.serve(router.clone(), Arc::clone(&shared)));
            }
            Err(error) => match failure_of(&error) {
                Failure::OfThePeer => tracing::debug!(%error, "a peer went before it was accepted"),
                Failure::OfTheMachine => {
                    tracing::warn!(%error, "a connection could not be accepted; the hub needs more file descriptors");
                    shared.admission.make_room();
                    // Never in a loop without a pause: what waits is accepted once something was given back.
                    tokio::time::sleep(limit::ACCEPT_RETRY).await;
                }
            },
        }
    }
}

/// Why `accept` gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The next one is not touched.
    OfThePeer,
    /// Descriptors or memory: the next one would fail as well.
    OfTheMachine,
}

fn failure_of(error: &std::io::Error) -> Failure {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) | None => Failure::OfTheMachine,
        Some(_) => Failure::OfThePeer,
    }
}

/// Small messages go at once, and a peer that vanished without a word is found out.
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    // One that the system does not know is no reason to leave out the others.
    let pace = options::set(stream);
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, limit::TCP_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, limit::TCP_PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, limit::TCP_PROBES)?;
    pace
}

/// A connection that has said nothing yet.
struct Accepted {
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    clients: ClientCertificate,
}

impl Accepted {
    /// Until it ends, is upgraded, or has to go for another that proves something.
    async fn serve(self, router: Router, shared: Arc<Shared>) {
        let Self { stream, address, place, clients } = self;
        if let Err(error) = set_options(&stream) {
            tracing::debug!(%error, "an option of the socket was refused");
        }
        let connection = async {
            let stream = Metered::within(stream, shared.counters.traffic.clone());
            if let Some(stream) = secured(stream, address, clients, &shared).await {
                http(stream, address, place.clone(), router, &shared).await;
            }
        };
        tokio::select! {
            biased;
            () = connection => {}
            () = shared.stop.cancelled() => {}
            () = place.dropped() => tracing::debug!(%address, "a connection that had proved nothing goes for another"),
        }
    }
}

/// How long a peer is listened to that has not asked anything: on a slow line bytes move for longer than any silence may
/// last. What trickles in takes a place no longer than this, and is the oldest where places are few.
fn patience(shared: &Shared) -> Patience {
    let silence = shared.admission.auth_timeout();
    Patience { silence, whole: silence.saturating_mul(limit::TRICKLE_FACTOR) }
}

/// The handshake, where TLS is on. It has as long as a request's head.
async fn secured(
    stream: Metered<TcpStream>,
    address: SocketAddr,
    clients: ClientCertificate,
    shared: &Shared,
) -> Option<Stream> {
    let Some(tls) = &shared.tls else { return Some(Stream::Plain(stream)) };
    let meter = stream.meter();
    let done = match patience(shared).wait(&meter, tls.accept(stream, clients)).await {
        Ok(done) => done,
        Err(late) => {
            shared.counters.tls_failed.add("timeout");
            tracing::debug!(%address, %late, "a TLS handshake took too long");
            return None;
        }
    };
    match done {
        Ok(stream) => {
            shared.counters.tls_ok.add(1);
            return Some(stream);
        }
        // Whoever looks which ports are open.
        Err(error @ (HandshakeError::Closed | HandshakeError::Io(_) | HandshakeError::Protocol(_))) => {
            shared.counters.tls_failed.add(error.name());
            tracing::debug!(%address, %error, "a TLS handshake failed");
        }
        Err(error) => {
            shared.counters.tls_failed.add(error.name());
            tracing::info!(%address, %error, "a TLS handshake failed");
        }
    }
    None
}

/// One HTTP connection, until it ends or is upgraded.
async fn http(stream: Stream, address: SocketAddr, place: Place, router: Router, shared: &Shared) {
    let channel = Channel { meter: stream.meter(), binding: stream.binding() };
    let meter = stream.meter();
    let patience = patience(shared);
    let router = router
        .layer(Extension(ConnectInfo(address)))
        .layer(Extension(channel))
        .layer(Extension(place.clone()));
    let service = TowerToHyperService::new(router);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.whole)
        .max_header_size(limit::REQUEST_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let silent = async {
        tokio::select! {
            biased;
            () = place.asked() => std::future::pending().await,
            late = patience.run_out(&meter) => late,
        }
    };
    tokio::select! {
        biased;
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, %address, "an HTTP connection ended");
        },
        late = silent => tracing::debug!(%address, %late, "a connection asked nothing in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_machine_lacks_makes_accepting_wait() {
        let of = |errno: Errno| failure_of(&errno.into());
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(of(errno), Failure::OfTheMachine, "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::PERM, Errno::NETDOWN] {
            assert_eq!(of(errno), Failure::OfThePeer, "{errno}");
        }
        assert_eq!(failure_of(&std::io::Error::other("unknown")), Failure::OfTheMachine);
    }
}
