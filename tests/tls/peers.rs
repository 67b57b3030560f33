//! Peers that speak something else, or nothing.

use std::time::Duration;

use outpost::hub::config::Config;
use outpost::limit;
use outpost::obs::clock::boot_now;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::authority::Authority;
use crate::peer::{Peer, within};
use crate::scene::Scene;

/// A ClientHello of TLS 1.2, as openssl 3.0 sends it with `-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256`.
const OLD_HELLO: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x45, // handshake record, 69 bytes
    0x01, 0x00, 0x00, 0x41, // ClientHello, 65 bytes
    0x03, 0x03, // TLS 1.2
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7,    // random
    0x00, // no session
    0x00, 0x02, 0xc0, 0x2b, // ECDHE-ECDSA-AES128-GCM-SHA256
    0x01, 0x00, // no compression
    0x00, 0x16, // extensions, 22 bytes
    0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, // groups: P-256
    0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // points: uncompressed
    0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03, // signatures: ECDSA with SHA-256
];

/// What the hub answers to bytes that are no handshake it takes.
async fn answer(scene: &Scene, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(scene.hub.local_addr()).await.unwrap();
    within(async {
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _reset = stream.read_to_end(&mut answer).await;
        answer
    })
    .await
}

#[tokio::test]
async fn each_peer_that_does_not_fit_is_refused_for_its_own_reason() {
    let scene = Scene::new().await;
    let hub = scene.hub.local_addr();
    // A fatal alert (21), protocol_version (70).
    assert_eq!(answer(&scene, OLD_HELLO).await, [21, 3, 3, 0, 2, 2, 70]);
    let plain =
        String::from_utf8(answer(&scene, b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n").await).unwrap();
    assert!(plain.starts_with("HTTP/1.1 400 ") && plain.contains("https://"), "{plain}");
    assert_eq!(answer(&scene, b"\0\0\0\0").await, b"");
    let mut modern = scene.peer();
    modern.alpn = vec![b"h2".to_vec()];
    let error = modern.dial(hub).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    let stranger = Peer::believing(&Authority::new("somebody else's authority"));
    let error = stranger.dial(hub).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    drop(TcpStream::connect(hub).await.unwrap());
    scene.failed_for("unused", 1).await;
    let expected = json!({"version": 1, "not_tls": 2, "alpn": 1, "not_believed": 1, "unused": 1});
    assert_eq!(scene.failed().await, expected);
    scene.hub.shutdown().await;
}

#[tokio::test]
async fn who_says_nothing_or_stops_in_the_middle_loses_its_place_after_the_time_for_it() {
    let auth = Duration::from_secs(1);
    let scene = Scene::with(|config: &mut Config, _| config.admission.auth = auth).await;
    let hub = scene.hub.local_addr();
    let began = boot_now();
    let mut peers = JoinSet::new();
    for number in 0..20 {
        peers.spawn(async move {
            let mut stream = TcpStream::connect(hub).await.unwrap();
            // Nothing, a byte, or the half of a record.
            stream.write_all(&OLD_HELLO[..[0, 1, 20][number % 3]]).await.unwrap();
            within(stream.read_to_end(&mut Vec::new())).await
        });
    }
    peers.join_all().await;
    let took = boot_now().since(began);
    assert!(took >= auth && took < limit::CLOSE_TIMEOUT + auth * limit::TRICKLE_FACTOR, "{took:?}");
    scene.failed_for("timeout", 20).await;
    let status = scene.status().await;
    assert_eq!(status["admission"]["unproven_dropped"], 0, "{status}");
    assert_eq!(status["admission"]["unproven"], 0, "{status}");
    scene.hub.shutdown().await;
}

#[tokio::test]
async fn who_has_said_something_may_be_silent_for_longer_than_who_has_not() {
    let auth = Duration::from_secs(2);
    let scene = Scene::with(|config: &mut Config, _| config.admission.auth = auth).await;
    let hub = scene.hub.local_addr();
    let ended = |said: &'static [u8]| async move {
        let began = boot_now();
        let mut stream = TcpStream::connect(hub).await.unwrap();
        stream.write_all(said).await.unwrap();
        let _reset = within(stream.read_to_end(&mut Vec::new())).await;
        (boot_now(), boot_now().since(began))
    };
    // How far apart they ended, as seen here: a machine may be late for the first, but not each time.
    let mut apart: Vec<Duration> = Vec::new();
    while apart.last().is_none_or(|apart| *apart < auth / 2) {
        assert!(apart.len() < 3, "{apart:?}");
        let (silent, begun) = tokio::join!(ended(&[]), ended(&OLD_HELLO[..20]));
        assert!(silent.1 >= auth && begun.1 >= auth * limit::ANSWER_FACTOR, "{:?} {:?}", silent.1, begun.1);
        apart.push(begun.0.since(silent.0));
    }
    scene.hub.shutdown().await;
}

#[tokio::test]
async fn a_peer_that_lets_a_byte_through_now_and_then_is_not_waited_for_for_ever() {
    let auth = Duration::from_secs(1);
    let scene = Scene::with(|config: &mut Config, _| config.admission.auth = auth).await;
    let mut stream = TcpStream::connect(scene.hub.local_addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let began = boot_now();
    let mut tick = tokio::time::interval(auth / 2);
    within(async {
        for byte in OLD_HELLO {
            tick.tick().await;
            // Until it is closed.
            if stream.write_all(&[*byte]).await.is_err() || matches!(stream.try_read(&mut [0]), Ok(0)) {
                return;
            }
        }
        panic!("the whole hello was waited for");
    })
    .await;
    let took = boot_now().since(began);
    assert!(took >= auth * 2, "it was cut though its bytes moved: {took:?}");
    scene.failed_for("timeout", 1).await;
    scene.hub.shutdown().await;
}
