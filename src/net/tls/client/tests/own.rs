//! The certificate of our own: shown where it is asked for, and what is said where it is missing or not taken.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt as _;

use super::super::*;
use super::world::*;
use crate::wire::error::{ErrorCode, Retry};

/// A server that wants a certificate of this authority.
fn asks(server: &Pair, clients: &Authority) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(clients.der()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
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
    let server = asks(&authority.server(&[HOST], 1..10), clients);
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
