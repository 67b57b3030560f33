//! A second login of an agent, and two copies that run at once.

use std::time::Duration;

use outpost::id::InstanceId;
use outpost::wire::error::ErrorCode;
use outpost::wire::message::Message;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::raw_agent::{RawAgent, World, records, register, within};

/// Says a Register as this process.
async fn say(agent: &mut RawAgent, instance: u8) {
    let Message::Register(mut message) = register() else { panic!("not a Register") };
    message.instance = InstanceId::from_bytes([instance; 16]);
    agent.say(Message::Register(message)).await;
}

async fn logged_in(world: &World, instance: u8) -> RawAgent {
    let mut agent = world.connect().await;
    say(&mut agent, instance).await;
    let answer = agent.hear().await;
    assert!(matches!(answer, Message::RegisterAck(_)), "{answer:?}");
    agent
}

#[tokio::test]
async fn a_copy_that_comes_back_is_told_apart_and_the_one_that_is_there_stays() {
    let world = World::new().await;
    let mut first = logged_in(&world, 1).await;
    let mut second = logged_in(&world, 2).await;
    assert_eq!(first.closed().await, (1000, "replaced".to_owned()));
    let shown = world.get("/v1/agents/edge-1").await.1;
    assert_eq!(shown["alarms"].as_array().unwrap().len(), 0, "so far it may be one machine: {shown}");

    for refusals in 1..=2 {
        let mut again = world.connect().await;
        let from = again.ws.get_ref().local_addr().unwrap().to_string();
        say(&mut again, 1).await;
        let Message::Error(error) = again.hear().await else { panic!("not an Error") };
        assert_eq!(error.code, Some(ErrorCode::IdentityInUse));
        assert_eq!(error.retry_after, Some(Duration::from_secs(300)));
        assert_eq!(again.closed().await, (1008, "identity_in_use".to_owned()));
        let there = second.ws.get_ref().local_addr().unwrap().to_string();
        let shown = world.get("/v1/agents/edge-1").await.1;
        let alarm = shown["alarms"][0].as_str().unwrap_or_default();
        assert!(alarm.contains(&from) && alarm.contains(&there), "both addresses: {shown}");
        assert_eq!(shown["copies"][0]["refusals"], refusals, "{shown}");
        assert_eq!(shown["session"]["address"], there, "{shown}");
        assert_eq!(shown["instances"].as_array().unwrap().len(), 2, "nothing more is stored: {shown}");
        assert_eq!(world.counter("auth_failed", "identity_in_use").await, refusals);
    }
    second.say(records(1, &["of the one that stays"])).await;
    assert_eq!(second.acked().await, 1);
    assert_eq!(world.texts().await, ["of the one that stays"]);

    // When that one has gone, the other may come.
    within(second.ws.close(None)).await.unwrap();
    while let Some(Ok(_)) = within(futures_util::StreamExt::next(&mut second.ws)).await {}
    within(async {
        while world.hub.peer_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut first = logged_in(&world, 1).await;
    first.say(records(2, &["and of the other"])).await;
    assert_eq!(first.acked().await, 2);
    let shown = world.get("/v1/agents/edge-1").await.1;
    assert_eq!(shown["alarms"].as_array().unwrap().len(), 0, "{shown}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_process_that_lost_its_link_replaces_its_own_session_as_often_as_it_must() {
    let world = World::new().await;
    let mut sessions = vec![logged_in(&world, 1).await];
    for _ in 0..3 {
        sessions.push(logged_in(&world, 1).await);
    }
    let mut last = sessions.pop().unwrap();
    for mut old in sessions {
        assert_eq!(old.closed().await, (1000, "replaced".to_owned()));
    }
    last.say(records(1, &["still here"])).await;
    assert_eq!(last.acked().await, 1);
    assert_eq!(world.counter("auth_failed", "identity_in_use").await, 0);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn what_ends_a_session_before_it_registered_counts_as_a_refusal() {
    let world = World::new().await;
    let mut agent = world.connect().await;
    agent.up = agent.down.clone();
    agent.say(register()).await;
    assert_eq!(agent.closed().await, (1008, "bad_mac".to_owned()));
    let mut text = world.connect().await;
    within(futures_util::SinkExt::send(&mut text.ws, Frame::text("hello"))).await.unwrap();
    assert_eq!(text.closed().await, (1008, "text_frame".to_owned()));
    assert_eq!(world.counter("auth_failed", "bad_mac").await, 1);
    assert_eq!(world.counter("auth_failed", "text_frame").await, 1);
    let (mut agent, _) = world.register().await;
    agent.send(vec![0; 40].into()).await;
    assert_eq!(agent.closed().await, (1008, "bad_trailer".to_owned()));
    assert_eq!(world.counter("auth_failed", "bad_trailer").await, 0, "that one was let in");
    world.hub.shutdown().await;
}
