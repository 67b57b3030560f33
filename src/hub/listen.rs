//! The listeners: one for API and agents, or one each.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::routing::any;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::limit;
use crate::wire::{CONNECT_PATH, ENROLL_PATH, TOKEN_PATH};

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
    Routers { api, agents }
}

/// Accepts until the hub stops.
pub(super) async fn serve(listener: TcpListener, router: Router, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let connection = one(stream, address, router.clone(), Arc::clone(&shared));
                shared.tasks.spawn(connection);
            }
            Err(error) => {
                // Out of file descriptors, mostly: give the others a moment to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

/// One HTTP connection, until it ends or is upgraded.
async fn one(stream: TcpStream, address: SocketAddr, router: Router, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let service = TowerToHyperService::new(router.layer(Extension(ConnectInfo(address))));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit::HANDSHAKE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        biased;
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, %address, "an HTTP connection ended");
        },
        () = shared.stop.cancelled() => {}
    }
}
