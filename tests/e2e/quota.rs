//! What one agent may use: more is refused to it alone, and nothing is lost for it.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use outpost::hub::config::Config;
use outpost::id::{Epoch, Lane, StreamId};
use outpost::obs::clock::boot_now;
use outpost::wire::message::{Message, Records};

use crate::raw_agent::{RawAgent, World, records};

const CONTROL: StreamId = StreamId { lane: Lane::Control, epoch: Epoch::from_u64(1 << 32 | 9) };

fn bytes(most: u64) -> impl FnOnce(&mut Config) {
    move |config| config.quota.bytes = NonZeroU64::new(most)
}

fn in_lane(stream: StreamId, message: Message) -> Message {
    let Message::Records(records) = message else { panic!("no records") };
    Message::Records(Records { stream, ..records })
}

async fn register_both(agent: &mut RawAgent) {
    let Message::Register(mut register) = crate::raw_agent::register() else { panic!("no Register") };
    let control = outpost::wire::message::StreamState { stream: CONTROL, first_unacked: 1, next: 1000 };
    register.streams.entries.insert(0, control);
    agent.say(Message::Register(register)).await;
    assert!(matches!(agent.hear().await, Message::RegisterAck(_)));
}

#[tokio::test]
async fn an_agent_beyond_its_bytes_gets_no_ack_and_hears_why_while_others_go_on() {
    let mut world = World::with(bytes(10_000)).await;
    let first = world.key.clone();
    let (mut full, _) = world.register().await;
    full.say(records(1, &[[b'x'; 8000]])).await;
    assert_eq!(full.acked().await, 1);
    full.say(records(2, &[[b'x'; 8000]])).await;
    let Message::Error(error) = full.hear().await else { panic!("no Error") };
    assert_eq!(error.code.map(|code| code.name()), Some("quota_exceeded"));
    assert!(error.text.contains("10000") && error.text.contains("[quota] bytes"), "{}", error.text);
    assert_eq!(full.closed().await, (1013, "quota_exceeded".to_owned()));
    world = world.another("edge-2").await;
    let (mut other, _) = world.register().await;
    other.say(records(1, &[[b'y'; 8000]])).await;
    assert_eq!(other.acked().await, 1);
    assert_eq!(world.get("/readyz").await.0, 200, "one agent's quota is no fault of the hub");
    // What fits still comes in, and results do where logs do not.
    world.key = first;
    let mut again = world.connect().await;
    register_both(&mut again).await;
    again.say(records(2, &["small"])).await;
    assert_eq!(again.acked().await, 2);
    again.say(in_lane(CONTROL, records(1, &[[b'r'; 2500]]))).await;
    assert_eq!(again.acked().await, 1);
    again.say(in_lane(CONTROL, records(2, &[[b'r'; 2500]]))).await;
    assert_eq!(again.closed().await.1, "quota_exceeded", "that room has an end, too");
    let (_, shown) = world.get("/v1/agents/edge-1").await;
    assert!((10_500..11_250).contains(&shown["stored_bytes"].as_u64().unwrap()), "{}", shown["stored_bytes"]);
    assert_eq!(world.texts().await.len(), 3, "nothing was stored twice, nothing of what was refused");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_quota_that_is_raised_lets_the_rest_in() {
    let world = World::with(bytes(1000)).await;
    let (mut agent, _) = world.register().await;
    agent.say(records(1, &[[b'x'; 2000]])).await;
    assert_eq!(agent.closed().await.1, "quota_exceeded");
    let world = world.restart().await;
    let (mut agent, marks) = world.register().await;
    assert_eq!(marks[0].acked, 0);
    agent.say(records(1, &[[b'x'; 2000]])).await;
    assert_eq!(agent.acked().await, 1);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn an_agent_beyond_its_rate_is_read_slower_and_loses_nothing() {
    let rate = 64 * 1024;
    let mut world = World::with(|config| config.quota.rate = NonZeroU64::new(rate)).await;
    let (mut fast, _) = world.register().await;
    world = world.another("edge-2").await;
    let (mut other, _) = world.register().await;
    let began = boot_now();
    let payload = vec![b'x'; 13 * 1024];
    for number in 0..20 {
        fast.say(records(number + 1, &[&payload])).await;
    }
    other.say(records(1, &["not behind the others"])).await;
    assert_eq!(other.acked().await, 1);
    let mut all = std::pin::pin!(async { while fast.acked().await < 20 {} });
    let by_now = tokio::time::timeout(Duration::ZERO, all.as_mut()).await;
    assert!(by_now.is_err(), "the other one was behind all of it");
    all.await;
    let took = boot_now().since(began);
    // 260 KiB at 64 KiB a second, less the one second that may come at once.
    assert!(took >= Duration::from_millis(2900), "{took:?}");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn more_open_jobs_than_the_quota_are_refused_until_one_is_over() {
    let mut world = World::with(|config| config.quota.open_jobs = NonZeroU32::new(2)).await;
    let job = |number: u32| format!(r#"{{"kind":"exec","payload":{{"argv":["true","{number}"]}}}}"#);
    let mut last = String::new();
    for number in 1..=2 {
        let (status, job) = world.call("POST", "/v1/jobs?agent=edge-1", &job(number)).await;
        assert_eq!(status, 202, "{job}");
        job["job_id"].as_str().unwrap().clone_into(&mut last);
    }
    let (status, refusal) = world.call("POST", "/v1/jobs?agent=edge-1", &job(3)).await;
    assert_eq!((status, refusal["error"].as_str().unwrap()), (429, "too_many_jobs"));
    assert!(refusal["message"].as_str().unwrap().contains("[quota] open_jobs"), "{refusal}");
    world = world.another("edge-2").await;
    assert_eq!(world.call("POST", "/v1/jobs?agent=edge-2", &job(3)).await.0, 202, "another agent");
    assert_eq!(world.call("POST", &format!("/v1/jobs/{last}/cancel"), "").await.0, 200);
    assert_eq!(world.call("POST", "/v1/jobs?agent=edge-1", &job(3)).await.0, 202);
    world.hub.shutdown().await;
}
