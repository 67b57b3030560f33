//! Agents that must show a certificate.

use std::time::Duration;

use outpost::hub::config::Config;
use outpost::obs::clock::boot_now;

use crate::authority::Authority;
use crate::peer::{Peer, within};
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

#[tokio::test]
async fn a_client_ca_that_is_replaced_is_used_without_a_restart() {
    let (before, after) = (Authority::new("the agents' authority"), Authority::new("the next one"));
    let scene = asking(&before, Some("127.0.0.1:0")).await;
    let agents = scene.hub.agent_addr();
    let peer = |authority: &Authority| scene.peer().showing(&authority.client());
    assert!(peer(&before).healthz(agents).await.is_ok() && peer(&after).healthz(agents).await.is_err());
    std::fs::write(scene.folder.path().join("clients.pem"), after.pem()).unwrap();
    within(async {
        while peer(&after).healthz(agents).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let refused = peer(&before).healthz(agents).await.unwrap_err();
    assert!(refused.to_string().contains("UnknownCA"), "{refused}");
    // A broken one changes nothing: nobody is let in for it.
    std::fs::write(scene.folder.path().join("clients.pem"), "").unwrap();
    let begun = boot_now();
    while boot_now() < begun.after(Duration::from_secs(3)) {
        assert!(peer(&after).healthz(agents).await.is_ok());
        assert!(scene.peer().healthz(agents).await.is_err(), "one without a certificate");
    }
    scene.hub.shutdown().await;
}
