//! TLS: to Redis, whose certificate an authority of the test's own has signed, and to a hub's broker.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, client};

use super::authority::Authority;
use super::node::{DEADLINE, Node};
use super::page::{Page, push};
use super::redis::Redis;

#[test]
#[ignore = "needs redis-server"]
fn nodes_are_linked_over_tls_where_they_know_who_vouches_for_redis() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let authority = Authority::new("a test's authority");
    authority.server(1).write(folder.path(), "redis");
    std::fs::write(at("ca.pem"), authority.pem()).unwrap();
    std::fs::write(at("other.pem"), Authority::new("another").pem()).unwrap();
    let redis = Redis::start_with_tls(&at("redis.pem"), &at("redis.key"), &at("ca.pem"));
    let lines = format!("redis_url: rediss://localhost:{}\n", redis.port());
    let all = [Node::start_trusting(&lines, &at("ca.pem")), Node::start_trusting(&lines, &at("ca.pem"))];
    for node in &all {
        node.wait_for("linked", |status| status["status"] == "ok" && status["cluster_nodes"] == 2);
    }
    all[0].register("a", false);
    let mut page = Page::subscribe(&all[1], "a", None);
    all[0].publish("a", "1");
    assert_eq!(page.hear(), push("1"));
    // Whoever else vouches for it, and without TLS: no link, and everything else.
    let plain = format!("redis_url: redis://localhost:{}\n", redis.port());
    for (lines, authorities) in [(&lines, "other.pem"), (&plain, "ca.pem")] {
        let node = Node::start_trusting(lines, &at(authorities));
        node.wait_for("refused", |_| node.log().contains("Redis is away"));
        assert_eq!(node.status()["status"], "degraded", "{lines}");
        node.register("b", false);
        let mut page = Page::subscribe(&node, "b", None);
        node.publish("b", "2");
        assert_eq!(page.hear(), push("2"));
    }
}

#[test]
fn a_hub_with_a_certificate_has_its_subscribers_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let authority = Authority::new("a test's authority");
    authority.server(1).write(folder.path(), "hub");
    let lines = format!("[tls]\ncert = {:?}\nkey = {:?}\n", at("hub.pem"), at("hub.key"));
    let hub = Node::hub(&lines);
    hub.register("a", false);
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let tls = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(&hub.ws).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!("wss://{}/ws?topic=a", hub.ws).into_client_request().unwrap();
    let (mut page, _) = match client::client(request, StreamOwned::new(tls, socket)) {
        Ok(upgraded) => upgraded,
        Err(error) => panic!("{error}"),
    };
    page.send(Message::text(r#"{"type":"auth"}"#)).unwrap();
    assert_eq!(page.read().unwrap(), Message::text(r#"{"type":"auth_ok"}"#));
    let long = format!("\"{}\"", "x".repeat(100_000));
    hub.publish("a", &long);
    assert_eq!(page.read().unwrap(), Message::text(push(&long)));
    // Who speaks without it is not answered.
    let request = format!("ws://{}/ws?topic=a", hub.ws).into_client_request().unwrap();
    let socket = TcpStream::connect(&hub.ws).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(client::client(request, socket).is_err());
}
