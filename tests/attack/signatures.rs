//! Ed25519 signatures that were made, but not for this handshake by this agent.

use ed25519_dalek::{Signer as _, SigningKey};
use outpost::id::{AgentId, HubId};
use outpost::time::HubTime;
use outpost::wire::key::{SessionContext, challenge_digest};
use outpost::wire::message::Message;

use crate::raw_agent::{RawAgent, register};
use crate::scene::Scene;

fn identity() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// The agent that is attacked has an identity bound to it.
async fn bound() -> Scene {
    let mut scene = Scene::new().await;
    let public = identity().verifying_key();
    let issued = scene.world.hub.store().add_agent(&"bound".parse().unwrap(), Some(public)).await.unwrap();
    scene.world.key = issued.key_file;
    scene.set().await;
    scene
}

/// Says it, with Register right after it as agents do.
async fn reply(agent: &mut RawAgent, key: &SigningKey, context: &SessionContext, hub_time: HubTime) {
    let signature = key.sign(&challenge_digest(context, hub_time)).to_bytes();
    agent.say(Message::ChallengeReply(Box::new(signature))).await;
}

#[tokio::test]
async fn the_identity_itself_is_let_in() {
    let scene = bound().await;
    let mut agent = scene.world.connect().await;
    let (context, hub_time) = (agent.context, agent.hub_time);
    reply(&mut agent, &identity(), &context, hub_time).await;
    assert_eq!(agent.register().await.len(), 1);
    scene.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_register_without_the_signature_is_refused() {
    let scene = bound().await;
    let mut agent = scene.world.connect().await;
    agent.say(register()).await;
    assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()));
    scene.moved(&[("auth_ok", 1), ("refused.bad_signature", 1)]).await;
}

#[tokio::test]
async fn a_signature_over_an_earlier_challenge_is_refused() {
    let scene = bound().await;
    let earlier = scene.world.connect().await;
    let (context, hub_time) = (earlier.context, earlier.hub_time);
    let mut agent = scene.world.connect().await;
    // As it was; and with everything of the new one but the hub's nonce.
    let mixed = SessionContext { hub_nonce: context.hub_nonce, ..agent.context };
    reply(&mut agent, &identity(), &context, hub_time).await;
    assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()));
    let mut agent = scene.world.connect().await;
    let hub_time = agent.hub_time;
    reply(&mut agent, &identity(), &mixed, hub_time).await;
    assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()));
    scene.moved(&[("auth_ok", 3), ("refused.bad_signature", 2)]).await;
}

#[tokio::test]
async fn a_signature_for_another_agent_hub_nonce_session_channel_or_time_is_refused() {
    type Change = fn(SessionContext, HubTime) -> (SessionContext, HubTime);
    let changes: [(&str, Change); 7] = [
        ("agent id", |context, at| {
            (SessionContext { agent_id: AgentId::from_bytes([1; 16]), ..context }, at)
        }),
        ("hub id", |context, at| (SessionContext { hub_id: HubId::from_bytes([1; 16]), ..context }, at)),
        ("agent nonce", |context, at| (SessionContext { agent_nonce: [1; 32], ..context }, at)),
        ("hub nonce", |context, at| (SessionContext { hub_nonce: [1; 32], ..context }, at)),
        ("session", |context, at| {
            (SessionContext { session_id: outpost::id::SessionId::from_bytes([1; 16]), ..context }, at)
        }),
        ("channel", |context, at| (SessionContext { channel_binding: [1; 32], ..context }, at)),
        ("time", |context, at| (context, HubTime(at.0 + 1))),
    ];
    let count = changes.len() as u64;
    let scene = bound().await;
    for (what, change) in changes {
        let mut agent = scene.world.connect().await;
        let (context, hub_time) = change(agent.context, agent.hub_time);
        reply(&mut agent, &identity(), &context, hub_time).await;
        assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()), "{what}");
    }
    scene.moved(&[("auth_ok", count), ("refused.bad_signature", count)]).await;
}

#[tokio::test]
async fn a_signature_of_another_identity_is_refused() {
    let mut scene = bound().await;
    let other = SigningKey::from_bytes(&[8; 32]);
    let name = "neighbour".parse().unwrap();
    scene.world.hub.store().add_agent(&name, Some(other.verifying_key())).await.unwrap();
    scene.set().await;
    let mut agent = scene.world.connect().await;
    let (context, hub_time) = (agent.context, agent.hub_time);
    reply(&mut agent, &other, &context, hub_time).await;
    assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()));
    scene.moved(&[("auth_ok", 1), ("refused.bad_signature", 1)]).await;
}

/// Somebody between poses as another hub, to have the agent sign what this hub wants signed.
#[tokio::test]
async fn a_signature_made_for_another_hubs_challenge_is_refused() {
    let scene = bound().await;
    let elsewhere = bound().await;
    let mut asked = elsewhere.world.connect().await;
    let mut agent = scene.world.connect().await;
    let (context, hub_time) = (asked.context, asked.hub_time);
    reply(&mut agent, &identity(), &context, hub_time).await;
    assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()));
    // And the frame that the other hub would take, as it is.
    let signature = identity().sign(&challenge_digest(&context, hub_time)).to_bytes();
    let frame = asked.sealed(Message::ChallengeReply(Box::new(signature)));
    let mut agent = scene.world.connect().await;
    agent.send(frame.freeze()).await;
    assert_eq!(agent.closed().await, (1008, "bad_mac".to_owned()));
    let expected = [("auth_ok", 2), ("refused.bad_signature", 1), ("refused.bad_mac", 1)];
    scene.moved(&expected).await;
    elsewhere.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_signature_changed_in_any_byte_is_refused() {
    let scene = bound().await;
    for at in [0, 31, 32, 62, 63] {
        let mut agent = scene.world.connect().await;
        let mut signature = identity().sign(&challenge_digest(&agent.context, agent.hub_time)).to_bytes();
        signature[at] ^= 1;
        agent.say(Message::ChallengeReply(Box::new(signature))).await;
        assert_eq!(agent.closed().await, (1008, "bad_signature".to_owned()), "byte {at}");
    }
    scene.moved(&[("auth_ok", 5), ("refused.bad_signature", 5)]).await;
}
