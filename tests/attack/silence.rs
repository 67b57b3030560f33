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
    let mut late: Vec<Duration> = Vec::new();
    // A machine may be late by more than that, but not each time.
    while late.last().is_none_or(|late| *late >= Duration::from_secs(4)) {
        assert!(late.len() < 3, "closed so long after the limit: {late:?}");
        let began = clock::boot_now();
        let plain = scene.world.connect().await;
        let own = std::mem::replace(&mut scene.world.key, bound.key_file.clone());
        let signing = scene.world.connect().await;
        scene.world.key = own;
        let (signing, plain) = tokio::join!(
            ends_after(signing, began, limit::CHALLENGE_REPLY_TIMEOUT),
            ends_after(plain, began, limit::REGISTER_TIMEOUT),
        );
        late.push(signing.max(plain));
    }
    let ended = 2 * late.len() as u64;
    scene.moved(&[("auth_ok", ended), ("refused.register_timeout", ended)]).await;
}

/// How long after its limit it is closed.
async fn ends_after(mut agent: RawAgent, began: BootTime, limit: Duration) -> Duration {
    let frame = tokio::time::timeout(limit * 2, agent.ws.next()).await.expect("closed in time");
    let took = clock::boot_now().since(began);
    let Some(Ok(Frame::Close(Some(frame)))) = frame else { panic!("no close frame: {frame:?}") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "register_timeout"));
    assert!(took >= limit, "closed after {took:?}, the limit is {limit:?}");
    took.saturating_sub(limit)
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
