//! Who is let in, who waits and who is dropped, while others do what they should not.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use outpost::hub::config::Config;
use outpost::limit;
use outpost::obs::clock;
use outpost::time::HubTime;
use outpost::wire::jwt::Claims;
use outpost::wire::key::encode32;
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::raw_agent::{World, within};
use crate::raw_http::{Answer, RawHttp, socket_from};

/// An upgrade with every header it needs, from the loopback address that ends in `last`.
async fn upgrade_from(world: &World, last: u8, authorization: &str, more: &str) -> Answer {
    let mut peer = RawHttp::connect_from(last, world.hub.agent_addr()).await;
    peer.ask(upgrade(authorization, more)).await
}

fn upgrade(authorization: &str, more: &str) -> String {
    let nonce = encode32(&[7; 32]);
    format!(
        "GET /v1/agents/connect HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: outpost.v1\r\nX-Outpost-Nonce: {nonce}\r\n\
         Authorization: {authorization}\r\n{more}\r\n"
    )
}

fn bearer(world: &World) -> String {
    format!("Bearer {}", world.key.bearer().to_text().expose())
}

/// A token of the world's agent that was bought `seconds` ago and lasts a minute, as a header says it.
fn token(world: &World, seconds: u64) -> String {
    let issued_at = HubTime(clock::wall_now().0 - seconds * 1000);
    let (agent_id, key_id) = (world.key.agent_id, world.key.key_id.clone());
    let claims = Claims { agent_id, key_id, issued_at, expires_at: HubTime(issued_at.0 + 60_000) };
    format!("Bearer {}", world.hub.store().jwt_key().sign(&claims).expose())
}

const WRONG: &str = "Bearer nonsense";

fn allow(per_ip: u32) -> impl FnOnce(&mut Config) {
    move |config| config.admission.per_ip = NonZeroU32::new(per_ip)
}

async fn figures(world: &World) -> Value {
    world.get("/v1/status").await.1["admission"].clone()
}

/// Waits until a figure is what it should be.
async fn comes_to(world: &World, name: &str, expected: u64) {
    within(async {
        while figures(world).await[name] != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn silent_sockets_go_for_newer_ones_and_an_agent_gets_in_among_them() {
    let world = World::with(|config| config.admission.max_sessions = NonZeroU32::new(100)).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(RawHttp::connect(world.hub.agent_addr()).await);
    }
    let (_agent, _) = world.register().await;
    let most = limit::UNPROVEN_MIN;
    for peer in &mut silent[..100 - most] {
        assert!(peer.ended().await.is_empty());
    }
    let figures = figures(&world).await;
    assert_eq!(figures["unproven_max"], most, "{figures}");
    assert!(figures["unproven"].as_u64().unwrap() <= most as u64, "{figures}");
    assert!(figures["unproven_dropped"].as_u64().unwrap() >= 100 - most as u64, "{figures}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_address_with_many_silent_sockets_loses_its_own() {
    let world = World::with(allow(4)).await;
    let quiet = RawHttp::connect_from(2, world.hub.agent_addr()).await;
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(RawHttp::connect_from(3, world.hub.agent_addr()).await);
    }
    for peer in &mut silent[..6] {
        assert!(peer.ended().await.is_empty());
    }
    assert!(!quiet.has_ended() && !silent[6..].iter().any(RawHttp::has_ended));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_address_that_fails_too_often_waits_and_nobody_else_does() {
    let world = World::with(allow(3)).await;
    for _ in 0..3 {
        let answer = upgrade_from(&world, 2, WRONG, "").await;
        assert_eq!(answer.refusal(), (401, "unauthorized"));
    }
    let good = bearer(&world);
    let answer = upgrade_from(&world, 2, &good, "").await;
    assert_eq!(answer.refusal(), (429, "rate_limited"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(upgrade_from(&world, 3, &good, "").await.status, 101);
    let (_, status) = world.get("/v1/status").await;
    assert_eq!(status["counters"]["auth_failed"]["rate_limited"], 1, "{status}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn agents_that_were_here_and_operators_pass_though_their_neighbours_fail() {
    let world = World::with(allow(2)).await;
    let (agent, _) = world.register().await;
    drop(agent);
    let token = crate::token::bought(&world).await;
    for _ in 0..5 {
        upgrade_from(&world, 1, WRONG, "").await;
    }
    assert_eq!(upgrade_from(&world, 1, WRONG, "").await.status, 429);
    assert_eq!(world.get("/v1/status").await.0, 200, "who has the admin token is held up by nothing");
    assert_eq!(world.get_with("/v1/status", "wrong").await.0, 429);
    let answer = upgrade_from(&world, 1, &format!("Bearer {token}"), "").await;
    assert_eq!(answer.status, 101, "with a token as well");
    let (_agent, _) = world.register().await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_agent_that_was_here_passes_with_its_token_though_its_neighbours_fail() {
    let mut world = World::with(allow(2)).await;
    let (agent, _) = world.register().await;
    drop(agent);
    let familiar = token(&world, 0);
    let expired = token(&world, 61);
    world = world.another("edge-2").await;
    let stranger = token(&world, 0);
    for _ in 0..5 {
        upgrade_from(&world, 1, WRONG, "").await;
    }
    for refused in [&expired, &stranger, &format!("{familiar}A")] {
        assert_eq!(upgrade_from(&world, 1, refused, "").await.refusal(), (429, "rate_limited"), "{refused}");
    }
    assert_eq!(upgrade_from(&world, 1, &familiar, "").await.status, 101);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn the_address_behind_a_trusted_proxy_is_the_one_that_counts() {
    let world = World::with(|config| {
        allow(2)(config);
        config.admission.trusted_proxies = vec!["127.0.0.2".parse().unwrap()];
    })
    .await;
    let forwarded = |address: &str| format!("X-Forwarded-For: 192.0.2.99, {address}\r\n");
    for _ in 0..2 {
        let answer = upgrade_from(&world, 2, WRONG, &forwarded("203.0.113.5")).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(upgrade_from(&world, 2, WRONG, &forwarded("203.0.113.5")).await.status, 429);
    assert_eq!(upgrade_from(&world, 2, WRONG, &forwarded("203.0.113.6")).await.status, 401);
    // Not a proxy: it cannot have others pay for it.
    for _ in 0..2 {
        assert_eq!(upgrade_from(&world, 3, WRONG, &forwarded("203.0.113.7")).await.status, 401);
    }
    assert_eq!(upgrade_from(&world, 3, WRONG, &forwarded("203.0.113.8")).await.status, 429);
    assert_eq!(upgrade_from(&world, 2, WRONG, &forwarded("203.0.113.7")).await.status, 401);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn handshakes_in_flight_are_bounded_and_who_is_refused_hears_when_to_come_back() {
    let mut world = World::with(|config| config.admission.handshakes = NonZeroU32::new(2).unwrap()).await;
    let first = world.key.clone();
    let mut began = world.connect().await;
    for name in ["edge-2", "edge-3"] {
        world = world.another(name).await;
        if name == "edge-2" {
            drop(world.connect().await);
        }
    }
    comes_to(&world, "handshakes", 1).await;
    let held = world.connect().await;
    world = world.another("edge-4").await;
    let answer = upgrade_from(&world, 1, &bearer(&world), "").await;
    assert_eq!(answer.refusal(), (503, "busy"));
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(began.register().await.len(), 1);
    let (_fourth, _) = world.register().await;
    let figures = figures(&world).await;
    assert_eq!((&figures["handshakes"], &figures["handshakes_most"]), (&1.into(), &2.into()), "{figures}");
    drop(held);
    world.key = first;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_copied_bearer_holds_no_more_than_its_own_agents_places() {
    let mut world = World::with(|config| config.admission.handshakes = NonZeroU32::new(5).unwrap()).await;
    let mut copies = Vec::new();
    for _ in 0..limit::HANDSHAKES_PER_AGENT {
        copies.push(world.connect().await);
    }
    let _newest = world.connect().await;
    assert_eq!(copies[0].closed().await, (1013, "rate_limited".to_owned()));
    world = world.another("edge-2").await;
    let (_other, _) = world.register().await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_dropped_handshake_that_does_not_listen_holds_no_socket() {
    let world = World::new().await;
    let mut silent = VecDeque::new();
    // Of a few one at least is not held up by the machine for as long as a goodbye may take.
    for round in 0..limit::HANDSHAKES_PER_AGENT + 5 {
        let began = clock::boot_now();
        let mut peer = RawHttp::connect(world.hub.agent_addr()).await;
        assert_eq!(peer.ask(upgrade(&bearer(&world), "")).await.status, 101);
        silent.push_back(peer);
        if round >= limit::HANDSHAKES_PER_AGENT {
            silent.pop_front().unwrap().ended().await;
            if clock::boot_now().since(began) < limit::CLOSE_TIMEOUT {
                return world.hub.shutdown().await;
            }
        }
    }
    panic!("each was waited for");
}

#[tokio::test]
async fn a_full_hub_takes_back_who_is_here_and_nobody_else() {
    let mut world = World::with(|config| config.admission.max_sessions = NonZeroU32::new(1)).await;
    let first = world.key.clone();
    let (mut old, _) = world.register().await;
    world = world.another("edge-2").await;
    let answer = upgrade_from(&world, 1, &bearer(&world), "").await;
    assert_eq!(answer.refusal(), (503, "busy"));
    world.key = first;
    let (_new, _) = world.register().await;
    assert_eq!(old.closed().await, (1000, "replaced".to_owned()));
    assert_eq!(world.hub.peer_count(), 1);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn places_are_given_back_however_a_peer_goes() {
    let world = World::new().await;
    let address = world.hub.agent_addr();
    drop(RawHttp::connect(address).await);
    let mut half = RawHttp::connect(address).await;
    half.send("GET / HTTP/1.1\r\nHost:").await.unwrap();
    half.half_close().await;
    half.ended().await;
    let mut vanished = world.connect_on(TcpSocket::new_v4().unwrap()).await;
    vanished.seq += 1;
    drop(vanished);
    drop(world.connect_on(socket_from(9)).await);
    comes_to(&world, "handshakes", 0).await;
    // The one that asks.
    comes_to(&world, "unproven", 0).await;
    world.hub.shutdown().await;
}
