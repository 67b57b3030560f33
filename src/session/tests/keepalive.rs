//! Pings, silence and the clock.

use std::time::Duration;

use crate::limit;
use crate::session::*;
use crate::time::HubTime;
use crate::wire::envelope;
use crate::wire::error::ErrorCode;
use crate::wire::key::Direction;
use crate::wire::message::*;

use super::world::*;

#[test]
fn a_ping_is_answered_with_its_id() {
    let mut world = World::plain();
    world.settle();
    world.up.push_back(forge(Direction::AgentToHub, 2, world.hub_time(), Message::Ping));
    world.hub_in();
    world.hub_out();
    let frame = world.down.pop_back().unwrap();
    let key = root().session_key(Direction::HubToAgent, &context());
    let opened = envelope::open(&frame, &key, 1_000).unwrap();
    assert_eq!(opened.header.correlation, crate::id::MessageId { hi: 0, lo: 2 });
    assert_eq!(opened.into_message(), Ok(Message::Pong));
    world.down.push_back(forge(Direction::HubToAgent, 3, world.hub_time(), Message::Ping));
    world.agent_in();
    world.agent_out();
    let frame = world.up.pop_back().unwrap();
    let key = root().session_key(Direction::AgentToHub, &context());
    let opened = envelope::open(&frame, &key, 1_000).unwrap();
    assert_eq!(opened.header.correlation, crate::id::MessageId { hi: 0, lo: 3 });
    assert_eq!(opened.into_message(), Ok(Message::Pong));
}

#[test]
fn a_quiet_session_lives_on_pings() {
    let mut world = World::plain();
    world.run(Duration::from_secs(3_600));
    assert_eq!((world.agent_closed(), world.hub_closed()), (None, None));
    assert!(world.heartbeats >= 120);
}

#[test]
fn ninety_seconds_of_silence_end_both_sides() {
    let mut world = World::plain();
    world.settle();
    let heard = world.now;
    world.now = heard.after(limit::IDLE_TIMEOUT - Duration::from_millis(1));
    world.agent.handle_timeout(world.now);
    world.hub.handle_timeout(world.now);
    assert!(
        world.agent.poll_event().is_some() && world.hub.poll_event().is_none(),
        "a heartbeat is due, no end"
    );
    world.now = heard.after(limit::IDLE_TIMEOUT);
    world.agent.handle_timeout(world.now);
    world.hub.handle_timeout(world.now);
    world.agent_out();
    world.hub_out();
    assert_eq!(world.agent_error(), Some((1000, ErrorCode::Idle)));
    assert_eq!(world.hub_error(), Some((1000, ErrorCode::Idle)));
}

#[test]
fn a_websocket_pong_alone_keeps_the_session() {
    let mut world = World::plain();
    world.settle();
    for _ in 0..10 {
        world.now = world.now.after(Duration::from_secs(60));
        world.agent.handle_activity(world.now);
        world.hub.handle_activity(world.now);
        world.agent.handle_timeout(world.now);
        world.hub.handle_timeout(world.now);
    }
    world.hub_out();
    world.agent_out();
    assert_eq!((world.agent_closed(), world.hub_closed()), (None, None));
}

#[test]
fn exactly_five_minutes_pass_and_one_more_millisecond_does_not() {
    for (off, passes) in [(-300_000i64, true), (300_000, true), (-300_001, false), (300_001, false)] {
        let mut world = World::plain();
        world.settle();
        let sent_at = HubTime(world.hub_time().0.saturating_add_signed(off));
        world.up.push_back(forge(Direction::AgentToHub, 2, sent_at, Message::Ping));
        world.down.push_back(forge(Direction::HubToAgent, 3, sent_at, Message::Ping));
        world.agent_in();
        world.hub_in();
        world.agent_out();
        world.hub_out();
        let expected = (!passes).then_some((1008, ErrorCode::Clock));
        assert_eq!((world.hub_error(), world.agent_error()), (expected, expected), "{off}");
    }
}

#[test]
fn a_flood_of_pings_is_answered_only_so_far_as_it_is_read() {
    let mut world = World::plain();
    world.settle();
    for seq in 2..1_002 {
        let frame = forge(Direction::AgentToHub, seq, world.hub_time(), Message::Ping);
        world.hub.handle_frame(world.now, frame);
    }
    world.hub_out();
    assert_eq!(world.down.len(), limit::PONGS_MAX);
}

#[test]
fn the_agent_learns_its_offset_although_its_clock_says_1970() {
    let mut world = World::plain();
    world.settle();
    let offset = world.agent_events.iter().find_map(|event| match event {
        AgentEvent::Registered { offset, hub_time, .. } => Some((offset.0, *hub_time)),
        _ => None,
    });
    assert_eq!(offset, Some((1_800_000_000_000 - 5_000, HUB_TIME)));
}
