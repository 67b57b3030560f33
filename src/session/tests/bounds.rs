//! What the agent's end keeps to whatever its outbox and its hub hand it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::limit;
use crate::outbox::Batch;
use crate::session::*;
use crate::wire::batch;
use crate::wire::error::ErrorCode;
use crate::wire::key::Direction;
use crate::wire::message::*;

use super::world::*;

/// A session whose outbox says that `count` records are durable, at the moment it asks for the first of them.
fn asked(limits: Limits, count: u64) -> (World, ReadRequest) {
    let mut world =
        World::new(agent_config(), HubConfig { limits, ..hub_config() }, [(LOGS, kept(0))].into());
    world.settle();
    world.agent.handle_durable(LOGS, count + 1);
    let request = world.agent.poll_read().expect("records wait");
    (world, request)
}

fn batch_of(payloads: impl IntoIterator<Item = Bytes>) -> Batch {
    let mut encoded = BytesMut::new();
    let mut count = 0;
    for payload in payloads {
        batch::push(
            Record { recorded_at: crate::time::WallTime(0), source: String::new(), ..record(payload) },
            &mut encoded,
        );
        count += 1;
    }
    Batch { first: 1, count, batch: encoded.freeze(), payload_bytes: 0 }
}

/// The frames that the agent sends now, and what is in the only one of them with records.
fn sent(world: &mut World) -> (usize, Records) {
    let mut out = BytesMut::new();
    let mut found = Vec::new();
    while let Some(transmit) = world.agent.poll_transmit(world.now, &mut out) {
        assert_eq!(transmit, Transmit::Frame);
        let frame = out.split().freeze();
        let key = root().session_key(Direction::AgentToHub, &context());
        let opened = crate::wire::envelope::open(&frame, &key, frame.len()).unwrap();
        if let Message::Records(records) = opened.into_message().unwrap() {
            found.push((frame.len(), records));
        }
    }
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn a_batch_longer_than_a_message_is_cut_between_two_records() {
    let small = Limits { message_bytes: 1_000, ..limits() };
    let (mut world, request) = asked(small, 20);
    let whole = batch_of((0..20).map(|_| Bytes::from(vec![7; 98])));
    assert_eq!(whole.batch.len(), 2_040, "102 bytes a record");
    world.agent.handle_batch(request, Some(whole));
    let (length, records) = sent(&mut world);
    // 1000 less what an envelope takes, by whole records.
    assert_eq!((records.first, records.count), (1, 8));
    assert_eq!(batch::decode(&records.batch, 8).unwrap().len(), 8);
    assert!(length <= 1_000, "{length}");
    let next = world.agent.poll_read().expect("the rest is asked for again");
    assert_eq!(next.from, 9);
}

#[test]
fn a_batch_of_more_records_than_one_may_hold_is_cut() {
    let most = limit::BATCH_RECORDS_MAX;
    let (mut world, request) = asked(limits(), u64::from(most) + 1);
    world.agent.handle_batch(request, Some(batch_of((0..=most).map(|_| Bytes::new()))));
    let (_, records) = sent(&mut world);
    assert_eq!(records.count, most);
    assert_eq!(batch::decode(&records.batch, most).unwrap().len(), most as usize);
    assert_eq!(world.agent.poll_read().map(|next| next.from), Some(u64::from(most) + 1));
}

#[test]
fn a_record_that_fits_no_message_ends_the_session() {
    let small = Limits { message_bytes: 1_000, ..limits() };
    let (mut world, request) = asked(small, 1);
    world.agent.handle_batch(request, Some(batch_of([Bytes::from(vec![7; 2_000])])));
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1009, ErrorCode::TooLarge)));
    let detail = &world.agent_closed().unwrap().detail;
    assert!(detail.contains("record 1 does not fit"), "{detail}");
}

#[test]
fn an_own_frame_above_the_limit_is_not_sent_and_ends_the_session() {
    let small = Limits { message_bytes: 300, ..limits() };
    let mut world =
        World::new(agent_config(), HubConfig { limits: small, ..hub_config() }, [(LOGS, kept(0))].into());
    world.settle();
    let long = Heartbeat { agent_version: "v".repeat(400), ..Heartbeat::default() };
    world.agent.send_heartbeat(long);
    world.agent_out();
    assert!(
        world.agent.poll_timeout().is_some_and(|at| at < world.now),
        "a sleeping driver is woken for the end"
    );
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1009, ErrorCode::TooLarge)));
    assert_eq!(world.agent.poll_timeout(), None);
    let detail = world.agent_closed().unwrap().detail.clone();
    assert!(detail.starts_with("our own heartbeat has "), "{detail}");
    // The number was not used: what the agent still says is the next frame and verifies.
    assert_eq!(world.up.len(), 1, "the Error alone");
    world.settle();
    assert_eq!(world.hub_error(), Some((1000, ErrorCode::TooLarge)));
}

#[test]
fn a_minute_without_an_ack_ends_the_session_although_the_hub_lives() {
    let mut world = World::with(&[(LOGS, 5)]);
    world.commits = false;
    world.run(limit::NO_ACK_TIMEOUT - Duration::from_millis(1));
    assert_eq!((world.agent_closed(), world.hub_closed()), (None, None));
    world.run(Duration::from_millis(1));
    assert_eq!(world.agent_error(), Some((1000, ErrorCode::NoAck)));
    assert_eq!(world.hub_error(), Some((1000, ErrorCode::NoAck)), "the hub is told");
    assert_eq!(world.store[&LOGS].mark, 5, "it had come");
}

#[test]
fn another_time_without_an_ack_may_be_asked_for() {
    for no_ack in [Duration::from_secs(5), Duration::from_secs(120)] {
        let agent = AgentConfig { no_ack, ..agent_config() };
        let mut world = World::new(agent, hub_config(), [(LOGS, kept(5))].into());
        world.commits = false;
        world.run(no_ack - Duration::from_millis(1));
        assert_eq!(world.agent_closed(), None, "{no_ack:?}");
        world.run(Duration::from_millis(1));
        assert_eq!(world.agent_error(), Some((1000, ErrorCode::NoAck)), "{no_ack:?}");
        assert_eq!(world.agent_closed().unwrap().detail, format!("no ack for {} s", no_ack.as_secs()));
    }
}

#[test]
fn every_ack_gives_the_backlog_another_minute_and_without_one_none_is_due() {
    let mut world = World::plain();
    world.settle();
    world.run(Duration::from_secs(300));
    assert_eq!(world.agent_closed(), None, "nothing waits");
    world.append(LOGS, 1);
    world.run(Duration::from_secs(59));
    world.commits = false;
    world.append(LOGS, 300);
    world.run(Duration::from_secs(59));
    assert_eq!(world.agent_closed(), None, "the wait begins with the backlog");
    let mark = StreamMark { stream: LOGS, acked: 290, acked_crc: 0 };
    world.hub.handle_committed(world.now, mark);
    world.run(Duration::from_secs(59));
    assert_eq!(world.agent_closed(), None, "an ack moved the stream on");
    world.run(Duration::from_secs(1));
    assert_eq!(world.agent_error(), Some((1000, ErrorCode::NoAck)));
}

#[test]
fn a_hub_whose_limit_lets_nothing_through_ends_the_session_without_a_word() {
    let none = Limits { message_bytes: 1, ..limits() };
    let mut world = World::plain();
    world.hub_out();
    world.agent_in();
    world.agent_out();
    let Message::RegisterAck(ack) = register_ack(vec![StreamMark::none(LOGS.lane, LOGS.epoch)]) else {
        panic!()
    };
    let ack = Message::RegisterAck(Box::new(RegisterAck { limits: none, ..*ack }));
    world.down.push_back(forge(Direction::HubToAgent, 2, HUB_TIME, ack));
    world.agent_in();
    world.up.clear();
    world.agent_out();
    world.agent.send_heartbeat(Heartbeat::default());
    for _ in 0..2 {
        world.agent_out();
    }
    assert_eq!(world.agent_error(), Some((1009, ErrorCode::TooLarge)));
    assert!(world.up.is_empty());
}
