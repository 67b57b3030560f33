//! Agents that must show a certificate.

use outpost::hub::config::Config;

use crate::authority::Authority;
use crate::peer::Peer;
use crate::scene::Scene;

/// A hub whose agents show a certificate of this authority.
async fn asking(authority: &Authority, agent_listen: Option<&str>) -> Scene {
    let pem = authority.pem();
    Scene::with(|config: &mut Config, folder| {
        let file = folder.join("clients.pem");
        std::fs::write(&file, pem).unwrap();
        config.tls.as_mut().unwrap().client_ca = Some(file);
        config.agent_listen = agent_listen.map(|address| address.parse().unwrap());
    })
    .await
}

#[tokio::test]
async fn agents_without_the_right_certificate_are_not_let_in_and_operators_need_none() {
    let clients = Authority::new("the agents' authority");
    let scene = asking(&clients, Some("127.0.0.1:0")).await;
    let agents = scene.hub.agent_addr();
    let right = scene.peer().showing(&clients.client());
    // No route of the agents' listener, but an answer.
    assert!(right.healthz(agents).await.unwrap().starts_with("HTTP/1.1 404"));
    let missing = scene.peer().healthz(agents).await.unwrap_err();
    assert!(missing.to_string().contains("CertificateRequired"), "{missing}");
    let stranger = Authority::new("somebody else's authority").client();
    let wrong = scene.peer().showing(&stranger).healthz(agents).await.unwrap_err();
    assert!(wrong.to_string().contains("UnknownCA"), "{wrong}");
    // A server's certificate is nobody's, though the authority is right.
    let server = scene.peer().showing(&clients.server(1)).healthz(agents).await;
    assert!(server.is_err(), "{server:?}");
    assert!(scene.peer().healthz(scene.hub.local_addr()).await.unwrap().starts_with("HTTP/1.1 200"));
    let expected = serde_json::json!({"no_client_certificate": 1, "bad_client_certificate": 2});
    assert_eq!(scene.failed().await, expected);
    scene.hub.shutdown().await;
}

#[tokio::test]
async fn one_listener_for_all_asks_all() {
    let clients = Authority::new("the agents' authority");
    let scene = asking(&clients, None).await;
    let hub = scene.hub.local_addr();
    assert!(scene.peer().healthz(hub).await.is_err());
    let right = Peer::believing(&scene.authority).showing(&clients.client());
    assert!(right.healthz(hub).await.unwrap().starts_with("HTTP/1.1 200"));
    scene.hub.shutdown().await;
}
