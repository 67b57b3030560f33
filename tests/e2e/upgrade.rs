//! What is refused before the upgrade, each with its status and name.

use outpost::wire::key::encode32;

use crate::raw_agent::World;

const NONCE: [u8; 32] = [7; 32];

#[tokio::test]
async fn missing_or_malformed_nonce_is_a_bad_request() {
    let world = World::new().await;
    let mut request = world.request(&NONCE);
    request.headers_mut().remove("x-outpost-nonce");
    assert_eq!(world.refusal(request).await, (400, "bad_request".to_owned()));
    let mut request = world.request(&NONCE);
    request.headers_mut().insert("x-outpost-nonce", encode32(&NONCE)[1..].parse().unwrap());
    assert_eq!(world.refusal(request).await, (400, "bad_request".to_owned()));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn unknown_subprotocol_is_answered_426() {
    let world = World::new().await;
    let mut request = world.request(&NONCE);
    request.headers_mut().insert("sec-websocket-protocol", "outpost.v2".parse().unwrap());
    assert_eq!(world.refusal(request).await, (426, "unsupported_version".to_owned()));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn wrong_key_unknown_agent_and_unknown_key_are_told_apart() {
    let mut world = World::new().await;
    let other = world.hub.store().add_agent(&"edge-2".parse().unwrap(), None).await.unwrap().key_file;
    let own = world.key.clone();
    world.key.key = other.key.clone();
    assert_eq!(world.refusal(world.request(&NONCE)).await, (401, "unauthorized".to_owned()));
    world.key = own.clone();
    world.key.key_id = "k2".parse().unwrap();
    assert_eq!(world.refusal(world.request(&NONCE)).await, (401, "key_unknown".to_owned()));
    world.key = own;
    world.hub.store().remove_agent(&"edge-1".parse().unwrap()).await.unwrap();
    assert_eq!(world.refusal(world.request(&NONCE)).await, (401, "unknown_agent".to_owned()));
    let mut request = world.request(&NONCE);
    request.headers_mut().remove("authorization");
    assert_eq!(world.refusal(request).await, (401, "unauthorized".to_owned()));
    let (_, status) = world.get("/v1/status").await;
    assert_eq!(status["counters"]["auth_failed"]["unauthorized"], 2, "{status}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn the_api_wants_its_token_and_answers_in_json() {
    let world = World::new().await;
    let (status, body) = world.get_with("/v1/agents", "nonsense").await;
    assert_eq!((status, body["error"].as_str()), (401, Some("unauthorized")));
    let (status, body) = world.get("/v1/agents/nobody").await;
    assert_eq!((status, body["error"].as_str()), (404, Some("no_agent")));
    let (status, body) = world.get("/v1/nothing").await;
    assert_eq!((status, body["error"].as_str()), (404, Some("not_found")));
    let (status, body) = world.get("/readyz").await;
    assert_eq!((status, body["ready"].as_bool()), (200, Some(true)));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn whatever_the_api_refuses_is_json_and_says_what_it_takes() {
    let world = World::new().await;
    let long = "x".repeat(3 << 20);
    let cases = [
        ("DELETE", "/v1/agents", "", (405, "method_not_allowed"), "Allow"),
        ("POST", "/readyz", "", (405, "method_not_allowed"), "Allow"),
        ("POST", "/v1/agents", long.as_str(), (413, "too_large"), "the limit is 2097152"),
        ("POST", "/v1/agents", "{}", (400, "bad_request"), "name"),
        ("POST", "/v1/agents", "nonsense", (400, "bad_request"), "the body"),
        ("GET", "/v1/agents/%FF", "", (400, "bad_request"), "UTF-8"),
        ("GET", "/v1/agents/edge-1/records?limit=0", "", (400, "bad_request"), "limit"),
        ("GET", "/v1/agents/edge-1/records?limit=x", "", (400, "bad_request"), "limit"),
        ("GET", "/v1/agents/edge-1/records?nonsense=1", "", (400, "bad_request"), "nonsense"),
        ("GET", "/v1/agents/edge-1/records?from=1/2", "", (400, "bad_request"), "lane/epoch/seq"),
    ];
    for (method, path, sent, expected, says) in cases {
        let (status, body) = world.call(method, path, sent).await;
        assert_eq!((status, body["error"].as_str().unwrap()), expected, "{method} {path}: {body}");
        assert!(body["message"].as_str().unwrap().contains(says), "{method} {path}: {body}");
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn agents_have_a_listener_of_their_own_where_wanted() {
    let world = World::with(|config| config.agent_listen = Some("127.0.0.1:0".parse().unwrap())).await;
    assert_ne!(world.hub.local_addr(), world.hub.agent_addr());
    let (mut agent, _) = world.register().await;
    assert_eq!(world.get("/v1/agents/connect").await.0, 404, "a name here, and a reserved one");
    world.hub.shutdown().await;
    assert_eq!(agent.closed().await.0, 1001);
}
