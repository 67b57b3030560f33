//! Keys that are wrong, foreign, or damaged in the registry.

use outpost::obs::random;
use outpost::wire::key::{AgentKey, Direction, encode32};
use outpost::wire::message::Message;

use crate::raw_agent::register;
use crate::scene::Scene;

const NONCE: [u8; 32] = [7; 32];

#[tokio::test]
async fn a_wrong_key_an_unknown_agent_and_an_unknown_key_are_told_apart_and_counted() {
    let mut scene = Scene::new().await;
    let own = scene.world.key.clone();
    scene.world.key.key = AgentKey::new(random::bytes());
    assert_eq!(refusal(&scene).await, (401, "unauthorized".to_owned()));
    scene.world.key = own.clone();
    scene.world.key.agent_id = outpost::id::AgentId::from_bytes(random::bytes());
    assert_eq!(refusal(&scene).await, (401, "unknown_agent".to_owned()));
    scene.world.key = own;
    scene.world.key.key_id = "k9".parse().unwrap();
    assert_eq!(refusal(&scene).await, (401, "key_unknown".to_owned()));
    scene
        .moved(&[
            ("auth_failed.unauthorized", 1),
            ("auth_failed.unknown_agent", 1),
            ("auth_failed.key_unknown", 1),
        ])
        .await;
}

#[tokio::test]
async fn a_stolen_bearer_without_its_key_opens_no_session() {
    let scene = Scene::new().await;
    let mut thief = scene.world.connect().await;
    // Who has the bearer has not the MAC root: both come from the key, neither from the other.
    let guess = AgentKey::new(random::bytes()).mac_root();
    thief.up = guess.session_key(Direction::AgentToHub, &thief.context);
    thief.say(register()).await;
    assert_eq!(thief.closed().await, (1008, "bad_mac".to_owned()));
    scene.moved(&[("auth_ok", 1), ("refused.bad_mac", 1)]).await;
}

#[tokio::test]
async fn a_session_of_another_agents_id_is_not_carried_by_ones_own_key() {
    let mut scene = Scene::new().await;
    let victim = scene.world.key.clone();
    let own = scene.world.hub.store().add_agent(&"neighbour".parse().unwrap(), None).await.unwrap().key_file;
    scene.set().await;
    // With its own credential and the other's id in the bearer: no such secret there.
    scene.world.key = own.clone();
    scene.world.key.agent_id = victim.agent_id;
    assert_eq!(refusal(&scene).await, (401, "unauthorized".to_owned()));
    // With its own session, under keys for the other's id: no such session here.
    scene.world.key = own.clone();
    let mut agent = scene.world.connect().await;
    let context = outpost::wire::key::SessionContext { agent_id: victim.agent_id, ..agent.context };
    agent.up = own.key.mac_root().session_key(Direction::AgentToHub, &context);
    agent.say(register()).await;
    assert_eq!(agent.closed().await, (1008, "bad_mac".to_owned()));
    scene.moved(&[("auth_failed.unauthorized", 1), ("auth_ok", 1), ("refused.bad_mac", 1)]).await;
}

#[tokio::test]
async fn damaged_key_rows_let_nobody_in_and_harm_no_other_agent() {
    let of_the_agent = "where agent = (select agent from agents where id = $2)";
    for (column, expected) in
        [("bearer_sha256", (401, "unauthorized")), ("mac_root_sealed", (500, "internal"))]
    {
        for length in [0, 31, 33] {
            let mut scene = Scene::new().await;
            let sql = format!("update agent_keys set {column} = $1 {of_the_agent}");
            scene.plant(&sql, &vec![0xa5; length]).await;
            scene.set().await;
            let (status, name) = refusal(&scene).await;
            assert_eq!((status, name.as_str()), expected, "{column} of {length} bytes");
            scene.moved(&[(&format!("auth_failed.{name}"), 1)]).await;
        }
    }
}

#[tokio::test]
async fn a_bound_public_key_of_another_length_or_a_weak_one_verifies_nothing_and_is_still_required() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    // R neutral and S = 0: a signature of anything under a weak key, where that is not refused.
    let mut forged = [0; 64];
    forged[0] = 1;
    for bytes in [vec![], vec![0xa5; 31], vec![0xa5; 33], neutral.to_vec(), vec![0; 32]] {
        let mut scene = Scene::new().await;
        scene.plant("update agents set public_key = $1 where id = $2", &bytes).await;
        scene.set().await;
        let mut agent = scene.world.connect().await;
        agent.say(register()).await;
        assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()), "unsigned, {bytes:?}");
        let mut agent = scene.world.connect().await;
        agent.say(Message::ChallengeReply(Box::new(forged))).await;
        assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()), "forged, {bytes:?}");
        let (status, agents) = scene.world.get("/v1/agents").await;
        assert_eq!((status, agents["agents"].as_array().unwrap().len()), (200, 2), "{agents}");
        scene.moved(&[("auth_ok", 2), ("refused.bad_signature", 2)]).await;
    }
}

#[tokio::test]
async fn a_weak_public_key_cannot_be_bound() {
    let scene = Scene::new().await;
    let mut order_8 = [0; 32];
    order_8.copy_from_slice(
        &hex::decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a").unwrap(),
    );
    let mut neutral = [0; 32];
    neutral[0] = 1;
    for weak in [[0; 32], neutral, order_8] {
        let body = format!(r#"{{"name": "edge-9", "public_key": "{}"}}"#, encode32(&weak));
        let (status, answer) = scene.world.call("POST", "/v1/agents", &body).await;
        assert_eq!((status, answer["error"].as_str()), (400, Some("bad_request")), "{weak:?}: {answer}");
    }
    scene.moved(&[]).await;
}

async fn refusal(scene: &Scene) -> (u16, String) {
    scene.world.refusal(scene.world.request(&NONCE)).await
}
