//! Certificates that are replaced while the hub runs.

use std::net::SocketAddr;

use serde_json::Value;

use crate::authority::Authority;
use crate::peer::{Peer, get, serial, within};
use crate::scene::Scene;
use crate::world::{World, wait_for};

/// Waits until new connections see certificate `number`.
async fn serves(peer: &Peer, hub: SocketAddr, number: u8) {
    within(async {
        while serial(&peer.dial(hub).await.unwrap()) != number {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_replaced_certificate_is_used_without_a_restart_and_open_connections_stay() {
    let scene = Scene::new().await;
    let hub = scene.hub.local_addr();
    let mut before = scene.peer().dial(hub).await.unwrap();
    assert_eq!(serial(&before), 1);
    let used = |status: &Value| status["tls"]["serial"].as_str().unwrap().to_owned();
    assert!(used(&scene.status().await).ends_with("01"));
    scene.authority.server(2).write(scene.folder.path(), "hub");
    serves(&scene.peer(), hub, 2).await;
    let status = scene.status().await;
    assert!(used(&status).ends_with("02"), "{status}");
    assert!(status["tls"]["expires_ms"].as_u64().unwrap() > outpost::obs::clock::wall_now().0, "{status}");
    assert!(get(&mut before, "/healthz", "").await.unwrap().starts_with("HTTP/1.1 200"));
    scene.hub.shutdown().await;
}

#[tokio::test]
async fn a_pair_that_does_not_match_is_complained_of_once_and_the_one_before_stays() {
    let mut world = World::new();
    let authority = Authority::new("a test's authority");
    let folder = world.path("");
    authority.server(1).write(&folder, "tls");
    authority.server(2).write(&folder, "new");
    let mut process = world.start_hub_with("--tls-cert tls.pem --tls-key tls.key");
    let (peer, hub) = (Peer::believing(&authority), world.hub_address());
    // One half, and the other one does not come.
    std::fs::copy(world.path("new.pem"), world.path("tls.pem")).unwrap();
    let complaints = || {
        let log = std::fs::read_to_string(world.path("hub.log")).unwrap();
        log.lines().filter(|line| line.contains("WARN") && line.contains("cannot be used")).count()
    };
    wait_for("the hub to complain", || (complaints() > 0).then_some(()));
    assert_eq!(serial(&peer.dial(hub).await.unwrap()), 1);
    // Half of the next replacement: a complaint would come after as long again.
    std::fs::copy(world.path("new.key"), world.path("tls.key")).unwrap();
    serves(&peer, hub, 2).await;
    assert_eq!(complaints(), 1);
    process.terminate();
    let log = std::fs::read_to_string(world.path("hub.log")).unwrap();
    let used: Vec<_> = log.lines().filter(|line| line.contains("TLS runs with this certificate")).collect();
    assert!(used.len() == 2 && used[1].contains("02\"") && used[1].contains("expires="), "{used:?}");
}
