//! The certificate of our own: shown where it is asked for, and what is said where it is missing or not taken.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::*;
use super::world::*;
use crate::net::dial::{Dialer, Route, Security};
use crate::net::http::{self, HttpError, Target};
use crate::wire::error::{ErrorCode, Retry};

/// What becomes of a client without a certificate.
#[derive(Clone, Copy)]
enum Without {
    Refused,
    Taken,
}

/// A server that wants a certificate of this authority.
fn asks(server: &Pair, clients: &Authority, without: Without) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(clients.der()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = match without {
        Without::Refused => verifier,
        Without::Taken => verifier.allow_unauthenticated(),
    };
    let verifier = verifier.build().unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(server.chain.clone(), server.private())
        .unwrap()
}

/// What became of it, and the error that the first read brings, where it brings one.
async fn shown(clients: &Authority, own: Option<&Pair>) -> (OwnCertificate, Option<TlsError>) {
    let authority = Authority::new("ca of hubs");
    let (folder, mut settings) = pinned(&authority);
    settings.client = own.map(|own| own.files(folder.path()));
    let server = asks(&authority.server(&[HOST], 1..10), clients, Without::Refused);
    let (secured, _server) = meet(&client(&settings), HOST, server).await;
    let Secured { mut stream, own, .. } = secured.unwrap();
    let read = stream.read(&mut [0]).await;
    (own, read.err().map(|error| TlsError::after_handshake(HOST, &error).unwrap()))
}

#[tokio::test]
async fn one_that_the_hub_issued_is_taken() {
    let agents = Authority::new("ca of agents");
    let (own, error) = shown(&agents, Some(&agents.client(2200))).await;
    assert_eq!(own, OwnCertificate::Shown);
    assert!(error.is_none(), "{error:?}");
}

#[tokio::test]
async fn a_missing_one_is_named_after_the_handshake() {
    let (own, error) = shown(&Authority::new("ca of agents"), None).await;
    let error = error.unwrap();
    assert_eq!(own, OwnCertificate::Missing);
    assert_eq!((error.code(), error.retry()), (Some(ErrorCode::Tls), Retry::Capped), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("hub.example asks for a client certificate"), "{text}");
    assert!(text.contains("--client-cert"), "{text}");
}

#[tokio::test]
async fn one_that_is_not_taken_is_named_with_what_the_hub_said() {
    let agents = Authority::new("ca of agents");
    for (own, says) in
        [(agents.client(2001), "certificate expired"), (Authority::new("another").client(2200), "unknown ca")]
    {
        let (fate, error) = shown(&agents, Some(&own)).await;
        let text = error.unwrap().to_string();
        assert_eq!(fate, OwnCertificate::Shown);
        assert!(
            text.starts_with(&format!("hub.example refuses this side's client certificate ({says})")),
            "{text}"
        );
    }
}

/// A request of an agent or an operator to a server that asks for a certificate and, in place of an answer, hangs up.
#[tokio::test]
async fn a_missing_one_is_named_where_the_alert_was_lost_and_not_where_nobody_asked() {
    let authority = Authority::new("ca of hubs");
    let pair = authority.server(&["127.0.0.1"], 1..10);
    let asking = asks(&pair, &Authority::new("ca of agents"), Without::Taken);
    for (server, says) in [(asking, "asks for a client certificate"), (pair.server(), "broke off")] {
        let (_folder, settings) = pinned(&authority);
        let dialer = Dialer { tls: Some(client(&settings)), ..Dialer::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let hangs_up = async {
            let far = listener.accept().await.unwrap().0;
            let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
        };
        let route = Route { host: "127.0.0.1".to_owned(), port, security: Security::Tls };
        let target = Target::new(route, &format!("https://127.0.0.1:{port}"));
        let patience = crate::limit::DIAL_STALL_TIMEOUT;
        let body = serde_json::json!({});
        let asked = http::post(&dialer, &target, "/v1/x", None, &body, patience);
        let (answer, ()) = tokio::join!(asked, hangs_up);
        let error = answer.unwrap_err();
        assert!(matches!(error, HttpError::Away { .. }) && error.to_string().contains(says), "{error}");
    }
}
