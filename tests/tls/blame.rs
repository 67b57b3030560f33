//! Who pays for TLS handshakes that come to nothing.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use outpost::agent::state::LinkState;
use outpost::agent::{Agent, config, identity};
use outpost::hub::config::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::authority::Authority;
use crate::peer::{Peer, get, within};
use crate::scene::Scene;

/// A connection from 127.0.0.`last`.
async fn connect_from(last: u8, hub: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(hub).await.unwrap()
}

/// Says this in place of a handshake, and waits for the end.
async fn says(last: u8, hub: SocketAddr, bytes: &[u8]) {
    let mut stream = connect_from(last, hub).await;
    within(async {
        stream.write_all(bytes).await.unwrap();
        // A reset is an end, too.
        let _reset = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
}

/// The status line of a stranger's request from there.
async fn asked_from(last: u8, scene: &Scene) -> u16 {
    let stream = connect_from(last, scene.hub.local_addr()).await;
    let mut stream = scene.peer().over(stream).await.unwrap();
    let answer = get(&mut stream, "/healthz", "").await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Starts an agent and waits until it is registered.
async fn registered(config: config::Config) -> Agent {
    let agent = Agent::start(config).await.unwrap();
    within(async {
        while agent.status().await.unwrap().state != LinkState::Connected {
            tokio::task::yield_now().await;
        }
    })
    .await;
    agent
}

#[tokio::test]
async fn a_failed_handshake_costs_its_address_as_much_as_a_bad_login_and_not_the_agents_that_were_here() {
    let scene = Scene::with(|config: &mut Config, _| {
        config.admission.auth = Duration::from_secs(3);
        config.admission.per_ip = NonZeroU32::new(3);
        config.admission.trusted_proxies = vec!["127.0.0.9".parse().unwrap()];
    })
    .await;
    let hub = scene.hub.local_addr();
    let key = scene.hub.store().add_agent(&"edge-1".parse().unwrap(), None).await.unwrap().key_file;
    let data = scene.folder.path().join("agent");
    std::fs::create_dir(&data).unwrap();
    let mut config = config::Config::new(&data).with_hub(&scene.hub.url(), None).unwrap();
    identity::put(&config.key_file, &key).unwrap();
    let ca = scene.folder.path().join("ca.pem");
    std::fs::write(&ca, scene.authority.pem()).unwrap();
    config.tls.ca_file = Some(ca);
    registered(config.clone()).await.shutdown().await.unwrap();

    // Silence, half a record, and something else than TLS, and then nothing any more.
    for bytes in [b"".as_slice(), b"\x16\x03\x01", b"SSH-2.0-x\r\n"] {
        assert_eq!(asked_from(1, &scene).await, 200);
        says(1, hub, bytes).await;
    }
    assert_eq!(asked_from(1, &scene).await, 429);
    assert_eq!(asked_from(2, &scene).await, 200, "another address");
    registered(config).await.shutdown().await.unwrap();
    let expected = serde_json::json!({"not_tls": 1, "timeout": 2});
    assert_eq!(scene.failed().await, expected, "and whoever has the admin token passes");

    // Nobody's fault: a port that is only looked at, and a certificate that the peer does not believe. Nor does a proxy pay.
    let stranger = Peer::believing(&Authority::new("somebody else's authority"));
    for _ in 0..5 {
        drop(connect_from(3, hub).await);
        assert!(stranger.over(connect_from(3, hub).await).await.is_err());
        says(9, hub, b"SSH-2.0-x\r\n").await;
    }
    scene.failed_for("unused", 5).await;
    scene.failed_for("not_believed", 5).await;
    assert_eq!((asked_from(3, &scene).await, asked_from(9, &scene).await), (200, 200));
    scene.hub.shutdown().await;
}
