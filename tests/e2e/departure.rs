//! A hub that goes: everybody is told when to come back, and not all at once.

use std::time::Duration;

use futures_util::StreamExt as _;
use outpost::limit;
use outpost::wire::message::Message;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::raw_agent::{World, within};

#[tokio::test]
async fn each_agent_is_told_another_time_to_come_back_and_closed_with_1001() {
    let mut world = World::new().await;
    let (agent, _) = world.register().await;
    let mut agents = vec![agent];
    for number in 2..=30 {
        world = world.another(&format!("edge-{number}")).await;
        agents.push(world.register().await.0);
    }
    world = world.another("late").await;
    let mut unproven = world.connect().await;
    let going = tokio::spawn(world.hub.shutdown());
    let mut waits = Vec::new();
    for agent in &mut agents {
        let go_away = loop {
            match agent.hear().await {
                Message::GoAway(go_away) => break go_away,
                Message::Ping | Message::Ack(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(agent.closed().await, (1001, "going_away".to_owned()));
        waits.push(go_away.retry_after);
    }
    waits.sort();
    let turn = Duration::from_secs(1) / limit::RETURNS_PER_SECOND;
    for (number, wait) in (0u32..).zip(&waits) {
        // Milliseconds on the wire.
        let begins = limit::RETURN_PAUSE + turn * number;
        let (begins, ends) = (begins - Duration::from_millis(1), begins + turn);
        assert!((begins..=ends).contains(wait), "{number}: {wait:?} of {waits:?}");
    }
    let word = within(unproven.ws.next()).await;
    let Some(Ok(Frame::Close(Some(frame)))) = word else { panic!("{word:?}") };
    assert_eq!(u16::from(frame.code), 1001, "who has proved nothing hears no more than that");
    drop(unproven);
    within(going).await.unwrap();
}

#[tokio::test]
async fn who_was_here_when_the_hub_went_is_away_since_then() {
    let world = World::new().await;
    let (_agent, _) = world.register().await;
    let before = outpost::obs::clock::wall_now().0;
    let world = world.restart().await;
    let spec = "/v1/jobs?agent=edge-1";
    let (status, job) = world.call("POST", spec, r#"{"kind":"exec","payload":{"argv":["true"]}}"#).await;
    assert_eq!(status, 202, "{job}");
    let since = job["agent_offline_since_ms"].as_u64();
    assert!(since.is_some_and(|since| since >= before), "{job}");
    world.hub.shutdown().await;
}
