//! Tokens that a bearer buys, over real sockets: which open an upgrade, and which do not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outpost::obs::{clock, random};
use outpost::secret::Secret;
use outpost::time::HubTime;
use outpost::wire::jwt::{Claims, JwtKey};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::http::Request;

use crate::raw_agent::{RawAgent, World, within};

const NONCE: [u8; 32] = [7; 32];

/// Asks for a token: status, name of the error, body.
async fn ask(world: &World, method: &str, bearer: &str) -> (u16, String, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}/some/prefix/v1/agents/token", world.hub.agent_addr()))
        .header("Authorization", format!("Bearer {bearer}"))
        .body("{}".to_owned())
        .unwrap();
    let call = move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
        let mut answer = agent.run(request).unwrap();
        let name = answer.headers().get("x-outpost-error").map_or("", |name| name.to_str().unwrap());
        (answer.status().as_u16(), name.to_owned(), answer.body_mut().read_json().unwrap())
    };
    within(tokio::task::spawn_blocking(call)).await.unwrap()
}

pub(crate) async fn bought(world: &World) -> String {
    let (status, _, body) = ask(world, "POST", world.key.bearer().to_text().expose()).await;
    assert_eq!((status, body["expires_in_s"].as_u64()), (200, Some(900)), "{body}");
    body["token"].as_str().unwrap().to_owned()
}

fn presenting(world: &World, token: &str, nonce: &[u8; 32]) -> Request<()> {
    let mut request = world.request(nonce);
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn connect(world: &World, token: &str) -> RawAgent {
    let nonce = random::bytes();
    world.connect_asking(presenting(world, token, &nonce), nonce, TcpSocket::new_v4().unwrap()).await
}

async fn refusal(world: &World, token: &str) -> (u16, String) {
    world.refusal(presenting(world, token, &NONCE)).await
}

fn named(status: u16, name: &str) -> (u16, String) {
    (status, name.to_owned())
}

/// What a token of this agent says whose time began `seconds` ago and lasts a minute.
fn claims(world: &World, seconds: u64) -> Claims {
    let issued_at = HubTime(clock::wall_now().0 - seconds * 1000);
    let (agent_id, key_id) = (world.key.agent_id, world.key.key_id.clone());
    Claims { agent_id, key_id, issued_at, expires_at: HubTime(issued_at.0 + 60_000) }
}

#[tokio::test]
async fn a_bearer_buys_a_token_that_opens_sessions() {
    let world = World::new().await;
    let token = bought(&world).await;
    let mut agent = connect(&world, &token).await;
    agent.register().await;
    assert_eq!(world.hub.peer_count(), 1);
    // A token opens as often as it is presented within its time.
    connect(&world, &token).await.register().await;
    assert_eq!(world.counter("credentials", "token").await, 2);
    assert_eq!(world.counter("credentials", "bearer").await, 0);
    assert_eq!(world.get("/v1/status").await.1["counters"]["tokens_issued"], 1);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_token_of_a_revoked_or_removed_agent_opens_nothing() {
    let world = World::new().await;
    let token = bought(&world).await;
    world.hub.store().revoke_agent(&"edge-1".parse().unwrap()).await.unwrap();
    assert_eq!(refusal(&world, &token).await, named(403, "revoked"));
    assert_eq!(world.counter("auth_failed", "revoked").await, 1);
    let shown = world.get("/v1/agents/edge-1").await.1;
    assert_eq!(shown["instances"].as_array().unwrap().len(), 0, "nothing is stored of it: {shown}");
    let (status, name, _) = ask(&world, "POST", world.key.bearer().to_text().expose()).await;
    assert_eq!((status, name.as_str()), (403, "revoked"), "and it buys no other");
    world.hub.store().remove_agent(&"edge-1".parse().unwrap()).await.unwrap();
    assert_eq!(refusal(&world, &token).await, named(401, "unknown_agent"));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_token_of_a_key_that_is_gone_opens_nothing() {
    let world = World::new().await;
    let mut claims = claims(&world, 0);
    claims.key_id = "k2".parse().unwrap();
    let token = world.hub.store().jwt_key().sign(&claims);
    assert_eq!(refusal(&world, token.expose()).await, named(401, "key_unknown"));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn tampered_expired_foreign_and_unsigned_tokens_are_refused() {
    let world = World::new().await;
    let hub_id = world.key.hub_id;
    let good = world.hub.store().jwt_key().sign(&claims(&world, 0)).expose().clone();
    let expired = world.hub.store().jwt_key().sign(&claims(&world, 61)).expose().clone();
    let foreign = JwtKey::new(&Secret::new([9; 32]), hub_id).sign(&claims(&world, 0)).expose().clone();
    let parts: Vec<_> = good.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let other = world.hub.store().add_agent(&"edge-2".parse().unwrap(), None).await.unwrap().id.to_string();
    let body = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let body = URL_SAFE_NO_PAD.encode(body.replace(&world.key.agent_id.to_string(), &other));
    let refused = [
        ("expired", expired),
        ("foreign", foreign),
        ("cut", good[..good.len() - 1].to_owned()),
        ("of another agent", format!("{}.{body}.{}", parts[0], parts[2])),
        ("without an algorithm", format!("{none}.{}.", parts[1])),
        ("without an algorithm, and a MAC", format!("{none}.{}.{}", parts[1], parts[2])),
        ("long", format!("{}.{}.{}", parts[0], "A".repeat(4000), parts[2])),
    ];
    for (count, (what, token)) in refused.iter().enumerate() {
        assert_eq!(refusal(&world, token).await, named(401, "unauthorized"), "{what}");
        assert_eq!(world.counter("auth_failed", "unauthorized").await, count as u64 + 1, "{what}");
    }
    let mut agent = connect(&world, &good).await;
    agent.register().await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_token_is_sold_for_a_bearer_alone() {
    let world = World::new().await;
    let token = bought(&world).await;
    let mut wrong = world.key.clone();
    wrong.key = outpost::wire::key::AgentKey::new([1; 32]);
    let wrong = wrong.bearer().to_text().expose().clone();
    let admin = std::fs::read_to_string(world.folder.path().join("admin.token")).unwrap();
    for bearer in [token.as_str(), wrong.as_str(), admin.trim(), ""] {
        let (status, name, _) = ask(&world, "POST", bearer).await;
        assert_eq!((status, name.as_str()), (401, "unauthorized"), "{}", &bearer[..bearer.len().min(4)]);
    }
    let (status, name, _) = ask(&world, "GET", world.key.bearer().to_text().expose()).await;
    assert_eq!((status, name.as_str()), (400, "bad_request"));
    assert_eq!(world.get("/v1/status").await.1["counters"]["tokens_issued"], 1);
    world.hub.shutdown().await;
}
