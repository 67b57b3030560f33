//! Peers that open a handshake and say nothing.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures_util::StreamExt as _;
use outpost::limit;
use outpost::obs::clock;
use outpost::time::BootTime;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::raw_agent::{RawAgent, World};
use crate::scene::Scene;

/// Real seconds: the hub reckons by the boot clock, and so does this.
#[tokio::test]
async fn who_does_not_answer_the_challenge_in_time_is_closed() {
    let mut scene = Scene::new().await;
    let key = SigningKey::from_bytes(&[9; 32]).verifying_key();
    let bound = scene.world.hub.store().add_agent(&"bound".parse().unwrap(), Some(key)).await.unwrap();
    scene.set().await;
    let began = clock::boot_now();
    let plain = scene.world.connect().await;
    let own = std::mem::replace(&mut scene.world.key, bound.key_file);
    let signing = scene.world.connect().await;
    scene.world.key = own;
    tokio::join!(
        ends_after(signing, began, limit::CHALLENGE_REPLY_TIMEOUT),
        ends_after(plain, began, limit::REGISTER_TIMEOUT),
    );
    scene.moved(&[("auth_ok", 2), ("refused.register_timeout", 2)]).await;
}

async fn ends_after(mut agent: RawAgent, began: BootTime, limit: Duration) {
    let frame = tokio::time::timeout(limit * 2, agent.ws.next()).await.expect("closed in time");
    let took = clock::boot_now().since(began);
    let Some(Ok(Frame::Close(Some(frame)))) = frame else { panic!("no close frame: {frame:?}") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "register_timeout"));
    assert!(took >= limit, "closed after {took:?}, the limit is {limit:?}");
    assert!(took < limit + Duration::from_secs(4), "closed after {took:?}, the limit is {limit:?}");
}

#[tokio::test]
async fn silence_of_one_keeps_no_other_waiting() {
    let world = World::new().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(world.connect().await);
    }
    let (mut agent, _) = world.register().await;
    agent.say(crate::raw_agent::records(1, &["through"])).await;
    assert_eq!(agent.acked().await, 1);
    world.hub.shutdown().await;
}
