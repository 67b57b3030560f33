//! A hub that goes.

use std::time::Duration;

use crate::session::*;
use crate::wire::error::ErrorCode;
use crate::wire::message::*;

use super::world::*;

const WAIT: Duration = Duration::from_millis(7_300);

#[test]
fn a_registered_agent_is_told_when_to_come_back_before_the_end() {
    let mut world = World::plain();
    world.settle();
    world.hub.go_away(world.now, WAIT, "a new version");
    world.settle();
    let expected = GoAway { retry_after: WAIT, reason: "a new version".to_owned() };
    assert!(world.agent_events.contains(&AgentEvent::GoAway(expected)), "{:?}", world.agent_events);
    let Some(HubEvent::Closed(closed)) = world.hub_events.last() else { panic!("the session is not over") };
    assert_eq!((closed.code, closed.error), (1001, Some(ErrorCode::GoingAway)));
}

#[test]
fn an_agent_that_has_proved_nothing_is_told_nothing() {
    let mut world = World::plain();
    world.hub.go_away(world.now, WAIT, "a new version");
    let mut out = bytes::BytesMut::new();
    assert_eq!(world.hub.poll_transmit(world.now, &mut out), None, "not even the Challenge");
    assert!(matches!(world.hub.poll_event(), Some(HubEvent::Closed(closed)) if closed.code == 1001));
}
