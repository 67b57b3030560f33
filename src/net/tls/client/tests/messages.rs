//! Other ends that speak TLS otherwise than we do, or not at all.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::*;
use super::world::*;
use crate::wire::error::{ErrorCode, Retry};

/// What a client makes of a server that answers its hello with these bytes and goes.
async fn answered(bytes: &'static [u8]) -> TlsError {
    let (_folder, settings) = pinned(&Authority::new("ca"));
    let (near, mut far) = wire().await;
    let server = async {
        let _hello = far.read(&mut [0; 4096]).await.unwrap();
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        // Until the client is gone: a reset could overtake what was said.
        let _rest = far.read_to_end(&mut Vec::new()).await;
    };
    let client = client(&settings);
    tokio::join!(client.handshake(HOST, near), server).0.unwrap_err()
}

#[tokio::test]
async fn both_ends_of_a_connection_export_the_same_and_no_other_connection_does() {
    let authority = Authority::new("ca");
    let (_folder, settings) = pinned(&authority);
    let client = client(&settings);
    let mut exported = Vec::new();
    for _connection in 0..2 {
        let (secured, server) = meet(&client, HOST, authority.server(&[HOST], 1..10).server()).await;
        let secured = secured.unwrap();
        let binding = secured.stream.binding();
        assert!(matches!(secured.trust, Trust::Settled(_)) && secured.own == OwnCertificate::NotAsked);
        drop(secured);
        assert_eq!(binding, server.await.unwrap());
        exported.push(binding.unwrap());
    }
    assert_ne!(exported[0], exported[1]);
}

#[tokio::test]
async fn an_address_is_a_host_too_and_what_is_none_is_said() {
    let authority = Authority::new("ca");
    let (_folder, settings) = pinned(&authority);
    let client = client(&settings);
    for host in ["127.0.0.1", "::1"] {
        let (secured, _server) = meet(&client, host, authority.server(&[host], 1..10).server()).await;
        secured.unwrap();
    }
    let (near, _far) = wire().await;
    let error = client.handshake("no host", near).await.unwrap_err();
    assert!(error.to_string().contains("`no host`"), "{error}");
}

#[tokio::test]
async fn a_server_of_tls_1_2_is_named() {
    // The alert `protocol_version`; and a ServerHello of TLS 1.2 for TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256.
    let alert: &[u8] = &[0x15, 3, 3, 0, 2, 2, 70];
    let hello: &[u8] = b"\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03\
        0123456789abcdef0123456789abcdef\x00\xc0\x2f\x00\x00\x00";
    for bytes in [alert, hello] {
        let error = answered(bytes).await;
        assert_eq!((error.code(), error.retry()), (Some(ErrorCode::Tls), Retry::Capped), "{error}");
        assert!(error.to_string().contains("hub.example does not speak TLS 1.3"), "{error}");
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_named() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.9\r\n"] {
        let error = answered(bytes).await;
        assert_eq!(error.code(), Some(ErrorCode::Tls), "{error}");
        assert!(error.to_string().contains("is no TLS") && error.to_string().contains("http://"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_is_a_matter_of_the_link() {
    let error = answered(b"").await;
    assert_eq!((error.code(), error.retry()), (None, Retry::Soon), "{error}");
    assert!(error.to_string().contains("hub.example ended in the TLS handshake"), "{error}");
}

#[tokio::test]
async fn a_server_without_http_1_1_is_named() {
    let authority = Authority::new("ca");
    let (_folder, settings) = pinned(&authority);
    let mut server = authority.server(&[HOST], 1..10).server();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let (near, far) = wire().await;
    let mut far = far.into_std().unwrap();
    far.set_nonblocking(false).unwrap();
    // The library alone: through tokio-rustls the alert behind a ServerHello is lost.
    let said = tokio::task::spawn_blocking(move || {
        let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
        server.complete_io(&mut far).map(|_| ())
    });
    let error = client(&settings).handshake(HOST, near).await.unwrap_err();
    said.await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.retry()), (Some(ErrorCode::Tls), Retry::Capped), "{error}");
    assert!(error.to_string().contains("not http/1.1"), "{error}");
}
