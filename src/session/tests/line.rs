//! Slow lines: what moves is waited for, and what is sent becomes smaller.

use std::time::Duration;

use crate::limit;
use crate::session::*;
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::key::Direction;
use crate::wire::message::*;
use crate::wire::zstd;

use super::world::*;

const SECOND: Duration = Duration::from_secs(1);

fn compressing(records: u64) -> World {
    compressing_with(records, limits().message_bytes)
}

fn compressing_with(records: u64, message_bytes: u32) -> World {
    let limits = Limits { zstd: true, message_bytes, ..limits() };
    let (agent, hub) = (AgentConfig { limits, ..agent_config() }, HubConfig { limits, ..hub_config() });
    World::new(agent, hub, [(LOGS, kept(records))].into())
}

/// Registers with a round trip of this length.
fn register_slowly(world: &mut World, round_trip: Duration) {
    world.hub_out();
    world.agent_in();
    world.agent_out();
    world.now = world.now.after(round_trip);
    while !world.is_registered() {
        world.hub_in();
        world.hub_out();
        world.agent_in();
        world.drain_agent_events();
    }
}

#[test]
fn the_hubs_answer_is_waited_for_as_long_as_bytes_move() {
    let mut world = World::plain();
    world.hub_out();
    world.agent_in();
    world.agent_out();
    for _ in 0..5 {
        world.now = world.now.after(limit::REGISTER_TIMEOUT - SECOND);
        world.agent.handle_written(world.now);
        world.agent.handle_timeout(world.now);
        world.agent_out();
        assert_eq!(world.agent_closed(), None);
    }
    world.now = world.now.after(limit::REGISTER_TIMEOUT);
    world.agent.handle_timeout(world.now);
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::RegisterTimeout)), "nothing moved any more");
}

#[test]
fn a_register_is_waited_for_as_long_as_bytes_come_and_not_for_ever() {
    let mut world = World::plain();
    let step = limit::REGISTER_TIMEOUT - SECOND;
    let mut passed = step;
    while passed < limit::OPENING_TIMEOUT {
        world.now = START.after(passed);
        world.hub.handle_activity(world.now);
        world.hub.handle_timeout(world.now);
        world.hub_out();
        assert_eq!(world.hub_closed(), None, "{passed:?}");
        passed += step;
    }
    world.now = START.after(limit::OPENING_TIMEOUT);
    world.hub.handle_timeout(world.now);
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::RegisterTimeout)));
}

#[test]
fn a_signature_is_waited_for_while_bytes_come_and_never_beyond_the_challenges_age() {
    let hub = HubConfig { identity: Some(identity().verifying_key().into()), ..hub_config() };
    let agent = AgentConfig { identity: Some(identity()), ..agent_config() };
    for (late, expected) in [
        (limit::CHALLENGE_AGE_MAX - Duration::from_millis(1), None),
        (limit::CHALLENGE_AGE_MAX, Some((1008, ErrorCode::RegisterTimeout))),
    ] {
        let mut world = World::new(agent.clone(), hub.clone(), [(LOGS, kept(0))].into());
        world.hub_out();
        world.agent_in();
        world.agent_out();
        for seconds in [9, 18, 27] {
            world.hub.handle_activity(START.after(Duration::from_secs(seconds)));
        }
        world.now = START.after(late);
        world.hub_in();
        world.hub_out();
        assert_eq!(world.hub_error(), expected, "{late:?}");
    }
}

#[test]
fn a_hub_that_only_pings_keeps_the_link() {
    let mut world = World::plain();
    world.settle();
    world.down.clear();
    for seq in 3..23 {
        world.now = world.now.after(limit::PING_INTERVAL);
        world.down.push_back(forge(Direction::HubToAgent, seq, world.hub_time(), Message::Ping));
        world.agent_in();
        world.agent.handle_timeout(world.now);
        world.agent_out();
        assert_eq!(world.agent_closed(), None, "after {:?}", world.now.since(START));
    }
    assert!(world.now.since(START) > 6 * limit::IDLE_TIMEOUT);
}

#[test]
fn a_large_frame_keeps_a_session_alive_while_it_comes() {
    let mut world = World::plain();
    world.settle();
    for _ in 0..20 {
        world.now = world.now.after(limit::IDLE_TIMEOUT - SECOND);
        world.agent.handle_activity(world.now);
        world.hub.handle_activity(world.now);
        world.agent.handle_timeout(world.now);
        world.hub.handle_timeout(world.now);
        world.agent_out();
        world.hub_out();
    }
    assert_eq!((world.agent_closed(), world.hub_closed()), (None, None));
}

#[test]
fn what_is_on_a_slow_line_is_waited_for_beyond_the_time_without_an_ack() {
    let mut world = World::with(&[(LOGS, 5_000)]);
    world.commits = false;
    register_slowly(&mut world, Duration::from_secs(2));
    let begun = world.now;
    world.run(limit::NO_ACK_TIMEOUT + SECOND);
    assert_eq!(world.agent_closed(), None, "it is on its way yet");
    world.run(Duration::from_secs(2 * limit::LINE_SECONDS));
    assert_eq!(world.agent_error(), Some((1000, ErrorCode::NoAck)), "{:?}", world.now.since(begun));
}

#[test]
fn a_slow_line_gets_little_at_once_and_more_as_acks_come() {
    let mut world = World::with(&[(LOGS, 50_000)]);
    world.commits = false;
    register_slowly(&mut world, Duration::from_secs(4));
    world.settle();
    let sent: u64 = world.store[&LOGS].mark;
    let bytes = world.in_flight_max;
    assert!(
        sent > 0 && bytes <= 2 * limit::LINE_BYTES_MIN,
        "{bytes} bytes on a line that was seen to be slow"
    );
    assert!(world.batches > 5, "in small batches: {}", world.batches);
}

#[test]
fn batches_of_a_slow_line_are_compressed_and_stored_as_they_were() {
    let mut world = compressing(5_000);
    register_slowly(&mut world, Duration::from_millis(50));
    world.settle();
    let sent: usize = world.hub.take_expanded();
    assert!(sent > 10_000, "{sent} bytes saved");
    world.run(SECOND);
    assert_eq!(world.store[&LOGS].mark, 5_000);
    assert!(world.store[&LOGS].payloads.iter().all(|(seq, stored)| *stored == payload(*seq)));
}

#[test]
fn a_fast_line_and_a_hub_that_does_not_ask_for_it_get_batches_as_they_are() {
    let mut world = compressing(5_000);
    world.run(SECOND);
    assert_eq!((world.store[&LOGS].mark, world.hub.take_expanded()), (5_000, 0), "no time passed");
    let mut plain = World::with(&[(LOGS, 5_000)]);
    register_slowly(&mut plain, Duration::from_millis(50));
    plain.run(SECOND);
    assert_eq!((plain.store[&LOGS].mark, plain.hub.take_expanded()), (5_000, 0));
}

/// What a hub makes of one Records message of an agent that may compress.
fn judged(mut change: impl FnMut(&mut Records)) -> (World, Option<(u16, ErrorCode)>) {
    let mut message = smaller(400);
    change(&mut message);
    judged_by(compressing(0), message)
}

/// Compressed records from the first on.
fn smaller(count: u32) -> Records {
    let Message::Records(mut message) = records(LOGS, 1, count) else { unreachable!() };
    message.codec = Codec::Zstd;
    message.batch = zstd::compress(&message.batch).unwrap();
    message
}

fn judged_by(mut world: World, message: Records) -> (World, Option<(u16, ErrorCode)>) {
    world.settle();
    world.up.push_back(forge(Direction::AgentToHub, 2, world.hub_time(), Message::Records(message)));
    world.hub_in();
    world.hub_out();
    let error = world.hub_error();
    (world, error)
}

#[test]
fn a_compressed_batch_that_lies_ends_the_session_and_nothing_is_stored() {
    let (world, error) = judged(|_| {});
    assert_eq!((world.store[&LOGS].mark, error), (400, None), "an honest one");
    let damage: [fn(&mut Records); 5] = [
        |records| records.raw_len += 1,
        |records| records.raw_len -= 1,
        |records| records.batch = records.batch.slice(..records.batch.len() - 1),
        |records| records.batch = [&records.batch[..], b"more"].concat().into(),
        |records| records.batch = vec![0; 5000].into(),
    ];
    for change in damage {
        let (world, error) = judged(change);
        assert_eq!((world.store[&LOGS].mark, error), (0, Some((1008, ErrorCode::BadCompression))));
        assert_eq!(world.batches, 0);
    }
}

#[test]
fn a_compressed_batch_is_no_longer_than_the_hubs_messages_may_be() {
    let message = smaller(400);
    let (world, error) = judged_by(compressing_with(0, message.raw_len), message.clone());
    assert_eq!((world.store[&LOGS].mark, error), (400, None), "exactly as long");
    let (world, error) = judged_by(compressing_with(0, message.raw_len - 1), message);
    assert_eq!((world.store[&LOGS].mark, error), (0, Some((1008, ErrorCode::BadCompression))));
}

/// Registers while everything takes far longer than any line.
#[test]
fn a_peer_that_dawdles_is_not_given_the_benefit_of_it_for_ever() {
    for (took, granted) in [
        (limit::ROUND_TRIP_MAX - SECOND, limit::ROUND_TRIP_MAX - SECOND),
        (limit::ROUND_TRIP_MAX + SECOND, limit::ROUND_TRIP_MAX),
        (2 * limit::ROUND_TRIP_MAX, limit::ROUND_TRIP_MAX),
    ] {
        let mut world = World::plain();
        world.hub_out();
        world.agent_in();
        world.agent_out();
        // A byte now and then.
        let mut passed = Duration::ZERO;
        while passed < took {
            passed = took.min(passed + limit::REGISTER_TIMEOUT - SECOND);
            world.now = START.after(passed);
            world.hub.handle_activity(world.now);
            world.agent.handle_activity(world.now);
        }
        world.settle();
        assert!(world.is_registered());
        assert_eq!((world.hub.round_trip(), world.agent.round_trip()), (granted, granted), "{took:?}");
    }
}

#[test]
fn bytes_are_counted_from_when_they_moved_not_from_when_somebody_looked() {
    let mut world = World::plain();
    world.settle();
    let heard = world.now.after(SECOND);
    world.now = heard.after(limit::IDLE_TIMEOUT - SECOND);
    world.hub.handle_activity(heard);
    world.hub.handle_timeout(world.now);
    world.hub_out();
    assert_eq!(world.hub_closed(), None);
    world.now = heard.after(limit::IDLE_TIMEOUT);
    world.hub.handle_activity(BootTime(heard.0));
    world.hub.handle_timeout(world.now);
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1000, ErrorCode::Idle)));
}
