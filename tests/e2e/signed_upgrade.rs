//! Signed upgrades over real sockets: a hub that knows its own URLs refuses early who cannot sign, and each nonce passes
//! once.

use ed25519_dalek::SigningKey;
use outpost::obs::clock;
use outpost::time::HubTime;
use outpost::wire::signed_upgrade::UpgradeClaim;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::http::{HeaderName, Request};

use crate::raw_agent::{World, within};

const URL: &str = "https://hub.example/outpost";

fn identity() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A hub with public URLs, and an agent whose Ed25519 key is bound.
async fn world() -> World {
    // As a person writes it: a hub compares URLs in one form.
    let written = ["https://other.example".to_owned(), "wss://Hub.Example:443/outpost/".to_owned()];
    bound(World::with(|config| config.public_urls = written.to_vec()).await).await
}

async fn bound(world: World) -> World {
    let World { hub, folder, .. } = world;
    let name = "edge-2".parse().unwrap();
    let key = hub.store().add_agent(&name, Some(identity().verifying_key())).await.unwrap().key_file;
    World { hub, key, folder }
}

fn claim(world: &World, nonce: u8) -> UpgradeClaim {
    UpgradeClaim {
        url: URL.to_owned(),
        agent_id: world.key.agent_id,
        timestamp: HubTime(clock::wall_now().0),
        nonce: [nonce; 16],
    }
}

/// The request that says `claim`, signed by `key`.
fn request(world: &World, claim: UpgradeClaim, key: &SigningKey) -> Request<()> {
    let mut request = world.request(&[9; 32]);
    for (name, text) in claim.sign(key).headers() {
        request.headers_mut().insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), text.parse().unwrap());
    }
    request
}

/// Status, name of the error, and the hub's time where it tells it.
async fn answer(world: &World, request: Request<()>) -> (u16, String, Option<u64>) {
    let stream = TcpStream::connect(world.hub.agent_addr()).await.unwrap();
    let response = match within(tokio_tungstenite::client_async(request, stream)).await {
        Ok((_, response)) => response.map(|_| ()),
        Err(Error::Http(response)) => response.map(|_| ()),
        Err(error) => panic!("{error}"),
    };
    let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let time = text("x-outpost-time").map(|time| time.parse().unwrap());
    (response.status().as_u16(), text("x-outpost-error").unwrap_or_default(), time)
}

async fn expect(world: &World, request: Request<()>, status: u16, name: &str) {
    let (got, error, _) = answer(world, request).await;
    assert_eq!((got, error.as_str()), (status, name));
}

#[tokio::test]
async fn a_signed_upgrade_passes_and_its_nonce_passes_once() {
    let world = world().await;
    let first = || {
        request(
            &world,
            UpgradeClaim { timestamp: HubTime(clock::wall_now().0), ..claim(&world, 1) },
            &identity(),
        )
    };
    let replayed = first();
    expect(&world, replayed.clone(), 101, "").await;
    expect(&world, replayed, 401, "upgrade_replayed").await;
    expect(&world, first(), 401, "upgrade_replayed").await;
    expect(&world, request(&world, claim(&world, 2), &identity()), 101, "").await;
    assert_eq!(world.counter("auth_failed", "upgrade_replayed").await, 2);
    let shown = world.get("/v1/agents/edge-2").await.1;
    assert_eq!(shown["instances"].as_array().unwrap().len(), 0, "an upgrade alone is no login: {shown}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn what_is_not_signed_by_the_bound_key_for_this_hub_is_refused() {
    let world = world().await;
    expect(&world, world.request(&[9; 32]), 401, "upgrade_signature").await;
    let stranger = SigningKey::from_bytes(&[8; 32]);
    expect(&world, request(&world, claim(&world, 1), &stranger), 401, "upgrade_signature").await;
    let elsewhere = UpgradeClaim { url: "https://hub.example".to_owned(), ..claim(&world, 1) };
    expect(&world, request(&world, elsewhere, &identity()), 401, "upgrade_signature").await;
    let another = outpost::id::AgentId::from_bytes([1; 16]);
    let another = UpgradeClaim { agent_id: another, ..claim(&world, 1) };
    expect(&world, request(&world, another, &identity()), 401, "upgrade_signature").await;
    let later = (claim(&world, 1).timestamp.0 + 1).to_string();
    let mut tampered = request(&world, claim(&world, 1), &identity());
    tampered.headers_mut().insert("x-timestamp", later.parse().unwrap());
    expect(&world, tampered, 401, "upgrade_signature").await;
    assert_eq!(world.counter("auth_failed", "upgrade_signature").await, 5);
    for name in ["x-agent-id", "x-timestamp", "x-nonce", "x-signature", "x-outpost-url"] {
        let mut cut = request(&world, claim(&world, 1), &identity());
        cut.headers_mut().remove(name);
        expect(&world, cut, 400, "bad_request").await;
    }
    // None of these was remembered: the nonce is still good.
    expect(&world, request(&world, claim(&world, 1), &identity()), 101, "").await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_upgrade_out_of_time_is_told_the_hubs_time() {
    let world = world().await;
    let now = clock::wall_now().0;
    for timestamp in [now - 310_000, now + 310_000, 0, u64::MAX] {
        let claim = UpgradeClaim { timestamp: HubTime(timestamp), ..claim(&world, 1) };
        let (status, name, time) = answer(&world, request(&world, claim, &identity())).await;
        assert_eq!((status, name.as_str()), (401, "clock"), "{timestamp}");
        assert!(time.unwrap().abs_diff(now) < 60_000, "{time:?}");
    }
    for (nonce, timestamp) in [(1, now - 290_000), (2, now + 290_000)] {
        let claim = UpgradeClaim { timestamp: HubTime(timestamp), ..claim(&world, nonce) };
        expect(&world, request(&world, claim, &identity()), 101, "").await;
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_token_does_not_replace_the_signature() {
    let world = world().await;
    let now = HubTime(clock::wall_now().0);
    let token = world.hub.store().jwt_key().sign(&outpost::wire::jwt::Claims {
        agent_id: world.key.agent_id,
        key_id: world.key.key_id.clone(),
        issued_at: now,
        expires_at: HubTime(now.0 + 60_000),
    });
    let bearer = format!("Bearer {}", token.expose());
    for (mut request, status, name) in [
        (world.request(&[9; 32]), 401, "upgrade_signature"),
        (request(&world, claim(&world, 1), &identity()), 101, ""),
    ] {
        request.headers_mut().insert("authorization", bearer.parse().unwrap());
        expect(&world, request, status, name).await;
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn nothing_is_asked_of_agents_without_a_bound_key_nor_by_hubs_without_urls() {
    let keyless = World::with(|config| config.public_urls = vec![URL.to_owned()]).await;
    expect(&keyless, keyless.request(&[9; 32]), 101, "").await;
    keyless.hub.shutdown().await;
    let nameless = bound(World::new().await).await;
    expect(&nameless, nameless.request(&[9; 32]), 101, "").await;
    nameless.hub.shutdown().await;
}
