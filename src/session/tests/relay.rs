//! Relayed messages pass between two registered ends beside records, bounded in both directions.

use bytes::Bytes;

use super::world::*;
use crate::id::{AgentId, Lane, MessageId};
use crate::limit;
use crate::session::{AgentEvent, HubEvent};
use crate::wire::error::ErrorCode;
use crate::wire::relay::*;

fn relay(number: u64) -> Relay {
    Relay {
        id: MessageId { hi: 1, lo: number },
        sender: None,
        to: Some("edge-2".parse().unwrap()),
        handler: "door".parse().unwrap(),
        payload: Bytes::from(number.to_string()),
        delivery: Delivery::Now,
    }
}

fn delivered(relay: &Relay) -> RelayReply {
    RelayReply { id: relay.id, outcome: RelayOutcome::Delivered }
}

fn at_hub(world: &World) -> Vec<Relay> {
    let relays = world.hub_events.iter().filter_map(|event| match event {
        HubEvent::Relay(relay) => Some(relay.clone()),
        _ => None,
    });
    relays.collect()
}

fn replies_at_agent(world: &World) -> Vec<RelayReply> {
    let replies = world.agent_events.iter().filter_map(|event| match event {
        AgentEvent::RelayReply(reply) => Some(reply.clone()),
        _ => None,
    });
    replies.collect()
}

#[test]
fn a_message_arrives_as_it_was_and_its_answer_comes_back_in_both_directions() {
    let mut world = World::plain();
    world.settle();
    let up = Relay { payload: Bytes::from(vec![7; limit::RELAY_BYTES_MAX]), ..relay(1) };
    let sender = Some(Sender { id: AgentId::from_bytes([9; 16]), name: Some("edge-9".parse().unwrap()) });
    let down = Relay { sender, to: None, ..relay(2) };
    world.agent.relays_mut().send(up.clone());
    world.hub.relays_mut().send(down.clone());
    world.settle();
    assert_eq!(at_hub(&world), std::slice::from_ref(&up));
    assert!(world.agent_events.contains(&AgentEvent::Relay(down.clone())));
    world.hub.relays_mut().answer(delivered(&up));
    world.agent.relays_mut().answer(delivered(&down));
    world.settle();
    assert_eq!(replies_at_agent(&world), [delivered(&up)]);
    assert!(world.hub_events.contains(&HubEvent::RelayReply(delivered(&down))));
}

/// Else nobody knew for half a minute whether it came through.
#[test]
fn a_ping_follows_what_is_large_at_once_in_both_directions() {
    let mut world = World::plain();
    world.settle();
    for (bytes, frames) in [(limit::LINE_BYTES_MIN / 2, 1), (limit::RELAY_BYTES_MAX, 2)] {
        let large = Relay { payload: Bytes::from(vec![7; bytes]), ..relay(bytes as u64) };
        world.agent.relays_mut().send(large.clone());
        world.hub.relays_mut().send(Relay { to: None, ..large });
        world.agent_out();
        world.hub_out();
        assert_eq!((world.up.len(), world.down.len()), (frames, frames), "{bytes} bytes");
        world.settle();
    }
}

#[test]
fn nothing_is_relayed_before_the_registration() {
    let mut world = World::plain();
    assert_eq!((world.agent.relays().room(), world.hub.relays().room()), (0, 0));
    world.agent.relays_mut().send(relay(1));
    world.hub.relays_mut().send(relay(2));
    world.agent.relays_mut().answer(delivered(&relay(3)));
    world.settle();
    assert!(world.is_registered());
    assert!(at_hub(&world).is_empty() && replies_at_agent(&world).is_empty());
    assert_eq!(world.agent.relays().room(), limit::RELAY_IN_FLIGHT);
}

#[test]
fn an_end_that_does_not_answer_gets_no_more_than_it_may_have() {
    let mut world = World::plain();
    world.settle();
    for number in 0..100 {
        world.agent.relays_mut().send(relay(number));
    }
    world.settle();
    assert_eq!(at_hub(&world).len(), limit::RELAY_IN_FLIGHT);
    assert_eq!(world.agent.relays().room(), 0);
    world.hub.relays_mut().answer(delivered(&relay(0)));
    // One that nobody waits for any more makes room as well, and its answer is not told.
    world.agent.relays_mut().forget(relay(1).id);
    world.hub.relays_mut().answer(delivered(&relay(1)));
    world.settle();
    assert_eq!(world.agent.relays().room(), 2);
    assert_eq!(replies_at_agent(&world), [delivered(&relay(0))]);
}

#[test]
fn a_peer_that_sends_more_than_it_may_is_refused_and_its_session_goes_on() {
    let mut world = World::plain();
    world.settle();
    let most = limit::RELAY_IN_FLIGHT as u64;
    for number in 0..=most {
        world.agent.relays_mut().send(relay(number));
        world.settle();
        // As if it had been answered.
        world.agent.relays_mut().forget(relay(number).id);
    }
    assert_eq!(at_hub(&world).len(), limit::RELAY_IN_FLIGHT, "the driver does not hear of the last one");
    assert!(world.hub_closed().is_none());
    let [RelayReply { id, outcome }] = replies_at_agent(&world).try_into().unwrap();
    assert_eq!(id, relay(most).id);
    assert!(matches!(outcome, RelayOutcome::Refused { code: Some(ErrorCode::RelayFull), .. }), "{outcome:?}");
}

#[test]
fn an_id_that_is_not_answered_yet_is_refused_by_the_hub_and_known_by_the_agent() {
    let mut world = World::plain();
    world.settle();
    for _ in 0..2 * limit::RELAY_IN_FLIGHT {
        world.agent.relays_mut().send(relay(1));
        world.hub.relays_mut().send(relay(2));
        world.settle();
        world.agent.relays_mut().forget(relay(1).id);
        world.hub.relays_mut().forget(relay(2).id);
    }
    // The hub's driver answers each message it hears of: it hears of one.
    assert_eq!(at_hub(&world).len(), 1);
    let said: Vec<_> = replies_at_agent(&world).iter().map(|reply| reply.outcome.name()).collect();
    assert_eq!(said, vec!["invalid"; 2 * limit::RELAY_IN_FLIGHT - 1]);
    // The agent's answers once: it hears of each, and has room for others.
    let again = world.agent_events.iter().filter(|event| matches!(event, AgentEvent::Relay(_))).count();
    assert_eq!(again, 2 * limit::RELAY_IN_FLIGHT);
    world.agent.relays_mut().answer(delivered(&relay(2)));
    world.hub.relays_mut().answer(delivered(&relay(1)));
    world.agent.relays_mut().send(relay(1));
    world.settle();
    assert_eq!(at_hub(&world).len(), 2, "once it is answered, it is as any other");
}

#[test]
fn between_two_messages_one_batch_of_records_goes_first() {
    let mut world = World::with(&[(stream(Lane::Control, 1), 200), (LOGS, 2000)]);
    // The agent is registered and has sent no records yet.
    assert!(world.hub_out() && world.agent_in() && world.agent_out() && world.hub_in());
    assert!(world.hub_out() && world.agent_in() && world.drain_agent_events() && world.is_registered());
    for number in 0..limit::RELAY_IN_FLIGHT as u64 {
        world.agent.relays_mut().send(relay(number));
    }
    // Whether a message, or records, came at each step.
    let mut came = Vec::new();
    while world.agent_out() | world.hub_out() | world.agent_in() {
        while world.hub_in() {
            let before = (at_hub(&world).len(), world.batches);
            world.drain_hub_events();
            let after = (at_hub(&world).len(), world.batches);
            came.extend((after != before).then_some(after.0 > before.0));
        }
    }
    assert_eq!(at_hub(&world).len(), limit::RELAY_IN_FLIGHT);
    let last = came.iter().rposition(|relay| !relay).unwrap();
    let (relays, batches) =
        (came[..last].iter().filter(|relay| **relay).count(), usize::try_from(world.batches).unwrap());
    assert!(
        came[..last].windows(2).all(|pair| pair != [true, true]),
        "records wait for one at most: {came:?}"
    );
    assert!(relays + 1 >= (batches - 1).min(limit::RELAY_IN_FLIGHT), "nor do records starve them: {came:?}");
}

#[test]
fn a_message_of_the_greatest_size_fits_into_the_smallest_frame_that_says_so() {
    let mut agent = agent_config();
    agent.limits.message_bytes = limit::MESSAGE_BYTES_LEAST;
    let mut world = World::new(agent, hub_config(), [(LOGS, kept(0))].into());
    world.settle();
    let most = world.agent.relay_bytes_max();
    assert_eq!(most, limit::MESSAGE_BYTES_LEAST as usize - limit::RELAY_OVERHEAD_BYTES_MAX);
    let long = "a".repeat(63);
    world.agent.relays_mut().send(Relay {
        id: MessageId { hi: u64::MAX, lo: u64::MAX },
        sender: Some(Sender { id: AgentId::from_bytes([255; 16]), name: Some(long.parse().unwrap()) }),
        to: Some(long.parse().unwrap()),
        handler: "h".repeat(64).parse().unwrap(),
        payload: vec![255; most].into(),
        delivery: Delivery::Queued,
    });
    world.settle();
    assert_eq!(at_hub(&world).len(), 1);
    assert!(world.agent_closed().is_none());
}
