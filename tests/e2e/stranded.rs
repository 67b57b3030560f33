//! What an agent's sessions end with, again and again: it waits for what is smaller, and is refused in the end.
//!
//! A raw agent answers no Ping, so what is large never counts as arrived.

use std::time::Duration;

use bytes::BytesMut;
use outpost::id::{JobId, MessageId};
use outpost::limit;
use outpost::obs::clock;
use outpost::time::HubTime;
use outpost::wire::envelope;
use outpost::wire::message::Message;
use outpost::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::job_agent::JobAgent;
use crate::raw_agent::{RawAgent, World, within};

const SPEC_BYTES: usize = 20_000;

/// A job of an agent's whose spec has so many bytes.
async fn submit(world: &World, agent: &str, bytes: usize) -> JobId {
    let spec = |filler: usize| {
        json!({ "kind": "exec", "payload": { "command": ["true", "x".repeat(filler)] } }).to_string()
    };
    let (status, job) =
        world.post(&format!("/v1/jobs?agent={agent}"), None, spec(bytes - spec(0).len())).await;
    assert_eq!(status, 202, "{job}");
    job["job_id"].as_str().unwrap().parse().unwrap()
}

async fn wait_for(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), waited).await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_job_that_no_session_outlives_lets_smaller_ones_pass_and_is_rejected_with_the_reason() {
    let world = World::new().await;
    let large = submit(&world, "edge-1", SPEC_BYTES).await;
    let same = submit(&world, "edge-1", SPEC_BYTES).await;
    let small = submit(&world, "edge-1", 100).await;
    let mut began = clock::boot_now();
    for session in 1..=limit::STRANDED_SESSIONS_MAX {
        began = clock::boot_now();
        let mut agent = JobAgent::register(&world).await;
        // In the first nothing is known of the line.
        for job in if session == 1 { [large, same, small] } else { [small, large, same] } {
            assert_eq!(agent.offer().await.job, job, "session {session}");
        }
        assert_eq!(world.status_of(large).await, "offered", "session {session}");
        agent.linger(limit::STRANDED_SESSION_MIN).await;
    }
    wait_for("its end", async || world.status_of(large).await == "rejected").await;
    let took = clock::boot_now().since(began);
    let job = world.job(large).await;
    let expected =
        "20000 bytes do not pass the agent's link: 20 sessions ended with them on the way, the last after ";
    let last = job["reason"].as_str().unwrap().strip_prefix(expected).unwrap_or_else(|| panic!("{job}"));
    let (seconds, advice) = last.split_once(" s; ").unwrap();
    let seconds = Duration::from_secs(seconds.parse().unwrap());
    // No more than the whole of the last one, with what came before and after it.
    assert!((limit::STRANDED_SESSION_MIN..=took).contains(&seconds), "{took:?}: {job}");
    assert!(advice.starts_with("send less"), "{job}");
    let mut agent = JobAgent::register(&world).await;
    for job in [small, same] {
        assert_eq!(agent.offer().await.job, job, "it lay behind something larger, or no smaller");
    }
    agent.settle().await;
    assert!(agent.offers.is_empty(), "{} more", agent.offers.len());
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_job_that_was_to_be_cancelled_and_never_passes_is_cancelled() {
    let world = World::new().await;
    let job = submit(&world, "edge-1", SPEC_BYTES).await;
    for session in 1..=limit::STRANDED_SESSIONS_MAX {
        let mut agent = JobAgent::register(&world).await;
        assert_eq!(agent.offer().await.job, job, "session {session}");
        if session == 1 {
            let (status, body) = world.post(&format!("/v1/jobs/{job}/cancel"), None, "").await;
            assert_eq!(status, 200, "{body}");
        }
        agent.linger(limit::STRANDED_SESSION_MIN).await;
    }
    wait_for("its end", async || world.status_of(job).await == "cancelled").await;
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_session_that_ends_for_its_time_is_reset_where_the_agent_does_not_hear_why() {
    let world = World::new().await;
    let (mut agent, _) = world.register().await;
    let mut header = agent.header();
    header.sent_at = HubTime(clock::wall_now().0 - 301_000);
    let mut frame = BytesMut::new();
    envelope::seal(header, Message::Ping, &agent.up, &mut frame);
    agent.send(frame.freeze()).await;
    // It answers no close frame, as one does not that minutes of other bytes are before.
    let socket = agent.ws.get_mut();
    let ended = within(async {
        loop {
            match socket.read(&mut [0; 1024]).await {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(error.kind()),
            }
        }
    })
    .await;
    assert_eq!(ended, Some(std::io::ErrorKind::ConnectionReset));
    assert_eq!(world.counter("sessions_ended", "clock").await, 1);
    world.hub.shutdown().await;
}

fn queued(payload: Vec<u8>) -> Relay {
    Relay {
        id: MessageId { hi: 5, lo: payload.len() as u64 },
        sender: None,
        to: Some("ctl-1".parse().unwrap()),
        handler: "door".parse().unwrap(),
        payload: payload.into(),
        delivery: Delivery::Queued,
    }
}

/// The next relayed message, whatever comes before it.
async fn arrival(agent: &mut RawAgent) -> Relay {
    loop {
        if let Message::Relay(relay) = agent.hear().await {
            return *relay;
        }
    }
}

#[tokio::test]
async fn a_kept_message_that_no_session_outlives_is_refused_and_the_next_one_comes() {
    let mut world = World::with(|config| {
        let (from, to) = ("edge-1".parse().unwrap(), "ctl-1".parse().unwrap());
        config.relay.allow = vec![outpost::hub::config::RelayRule { from, to }];
    })
    .await;
    let other = world.hub.store().add_agent(&"ctl-1".parse().unwrap(), None).await.unwrap().key_file;
    let (mut sender, _) = world.register().await;
    for payload in [vec![7; SPEC_BYTES], vec![8; 100]] {
        sender.say(Message::Relay(Box::new(queued(payload)))).await;
        while !matches!(sender.hear().await, Message::RelayReply(_)) {}
    }
    world.key = other;
    let small = submit(&world, "ctl-1", 300).await;
    for _ in 0..limit::STRANDED_SESSIONS_MAX {
        let (mut agent, _) = world.register().await;
        assert_eq!(within(arrival(&mut agent)).await.payload.len(), SPEC_BYTES);
        assert_eq!(world.counter("relays_kept", "too_large").await, 0);
        agent.linger(limit::STRANDED_SESSION_MIN).await;
    }
    wait_for("its end", async || world.counter("relays_kept", "too_large").await == 1).await;
    assert_eq!(world.status_of(small).await, "offered", "what lay behind it is not to blame");
    let (mut agent, _) = world.register().await;
    let next = within(arrival(&mut agent)).await;
    assert_eq!(next.payload.len(), 100);
    agent.say(Message::RelayReply(RelayReply { id: next.id, outcome: RelayOutcome::Delivered })).await;
    wait_for("the delivery", async || world.counter("relays_kept", "delivered").await == 1).await;
    world.hub.shutdown().await;
}
