//! The listeners: one for API and agents, or one each.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::middleware::{from_fn, from_fn_with_state};
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
use crate::net::stream::Stream;
use crate::net::tls::server::{ClientCertificate, Fault, HandshakeError};
use crate::wire::{CONNECT_PATH, ENROLL_PATH, TOKEN_PATH};

use super::admission::{Place, gate};
use super::socket::Channel;
use super::{Shared, StartError, api, enroll, live, upgrade};

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
    let api = api::router(shared).route(live::PATH, any(live::connect).with_state(Arc::clone(shared)));
    let api = if separate {
        api.fallback(api::not_found)
    } else {
        api.route(CONNECT_PATH, any(upgrade::connect).with_state(Arc::clone(shared)))
            .route(TOKEN_PATH, any(upgrade::token::issue).with_state(Arc::clone(shared)))
            .route(ENROLL_PATH, any(enroll::enroll).with_state(Arc::clone(shared)))
            .fallback_service(any(upgrade::fallback).with_state(Arc::clone(shared)))
    };
    let gate = || from_fn_with_state(Arc::clone(shared), gate::pass);
    let whole = |router: Router| router.layer(gate()).layer(from_fn(api::stamp::stamp));
    Routers { api: whole(api), agents: whole(agents) }
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

/// A peer that vanished without a word is found out.
fn watch(stream: &TcpStream) {
    let set = || {
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, limit::TCP_IDLE)?;
        sockopt::set_tcp_keepintvl(stream, limit::TCP_PROBE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(stream, limit::TCP_PROBES)
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "an option of the socket was refused");
    }
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
        options::ask(&stream);
        watch(&stream);
        let connection = async {
            if !speaks(&stream, address, &shared).await {
                tracing::debug!(%address, "a connection said nothing in time");
                return;
            }
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

/// Waits for a peer's first byte, or its end. It comes with the connection, however far the peer is: nothing but silence is
/// cut short by this.
async fn speaks(stream: &TcpStream, address: SocketAddr, shared: &Shared) -> bool {
    let heard = tokio::time::timeout(shared.admission.auth_timeout(), stream.peek(&mut [0])).await;
    if heard.is_err() && shared.tls.is_some() {
        shared.counters.tls_failed.add("timeout");
        shared.admission.note_handshake_failure(address);
    }
    heard.is_ok()
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
    let failed = |name, fault| {
        shared.counters.tls_failed.add(name);
        if fault == Fault::OfThePeer {
            shared.admission.note_handshake_failure(address);
        }
    };
    let done = match shared.admission.patience().wait(&meter, tls.accept(stream, clients)).await {
        Ok(done) => done,
        Err(late) => {
            failed("timeout", Fault::OfThePeer);
            tracing::debug!(%address, %late, "a TLS handshake took too long");
            return None;
        }
    };
    let error = match done {
        Ok(stream) => {
            shared.counters.tls_ok.add(1);
            return Some(stream);
        }
        Err(error) => error,
    };
    failed(error.name(), error.fault());
    match error {
        // Whoever looks which ports are open.
        HandshakeError::Unused
        | HandshakeError::Closed
        | HandshakeError::Io(_)
        | HandshakeError::Protocol(_) => tracing::debug!(%address, %error, "a TLS handshake failed"),
        error => tracing::info!(%address, %error, "a TLS handshake failed"),
    }
    None
}

/// One HTTP connection, until it ends or is upgraded.
async fn http(stream: Stream, address: SocketAddr, place: Place, router: Router, shared: &Shared) {
    let channel = Channel { meter: stream.meter(), binding: stream.binding() };
    let meter = stream.meter();
    let patience = shared.admission.patience();
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
