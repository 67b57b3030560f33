//! A new key inside a session: who says what, once, and what is refused.

use crate::id::KeyId;
use crate::session::*;
use crate::wire::error::ErrorCode;
use crate::wire::key::{AgentKey, Direction};
use crate::wire::message::*;

use super::world::*;

fn key_id() -> KeyId {
    "k2".parse().unwrap()
}

fn registered() -> World {
    let mut world = World::with(&[(LOGS, 3)]);
    world.settle();
    assert!(world.is_registered());
    world
}

/// The hub asks, and the agent's driver hears of it.
fn asked() -> (World, KeyShare) {
    let mut world = registered();
    world.hub.rotate_key(key_id(), [1; 32]);
    world.settle();
    let share = world.agent_events.iter().find_map(|event| match event {
        AgentEvent::RotateKey(share) => Some(share.clone()),
        _ => None,
    });
    (world, share.unwrap())
}

fn agreed_at_hub(world: &World) -> Vec<(KeyId, AgentKey)> {
    let agreed = world.hub_events.iter().filter_map(|event| match event {
        HubEvent::KeyAgreed { key_id, key } => Some((key_id.clone(), key.clone())),
        _ => None,
    });
    agreed.collect()
}

fn stored_at_agent(world: &World) -> usize {
    world.agent_events.iter().filter(|event| matches!(event, AgentEvent::KeyStored(_))).count()
}

#[test]
fn both_ends_have_the_same_key_and_neither_says_it() {
    let (mut world, share) = asked();
    let key = world.agent.agree_key(&share, [2; 32]).unwrap();
    world.settle();
    assert!(agreed_at_hub(&world).is_empty(), "nothing is said before the key is durable");
    world.agent.key_is_durable();
    world.agent_out();
    let said = world.up.iter().any(|frame| frame.windows(8).any(|piece| piece == &key_bytes(&key)[..8]));
    assert!(!said);
    world.settle();
    assert_eq!(agreed_at_hub(&world), [(key_id(), key)]);
    assert_eq!(stored_at_agent(&world), 0, "the hub has not committed it");
    world.hub.key_stored();
    world.settle();
    assert_eq!(stored_at_agent(&world), 1);
    // The session itself goes on until the driver ends it.
    world.append(LOGS, 2);
    world.settle();
    assert_eq!(world.store[&LOGS].mark, 5);
}

fn key_bytes(key: &AgentKey) -> Vec<u8> {
    let file = crate::wire::key::KeyFile {
        hub_id: hub_config().hub_id,
        agent_id: hub_config().agent_id,
        key_id: key_id(),
        key: key.clone(),
    };
    let line = file.to_line();
    let text = line.expose().rsplit('.').next().unwrap();
    crate::wire::key::decode32(text).unwrap().to_vec()
}

#[test]
fn a_session_has_one_rotation() {
    let (mut world, share) = asked();
    world.hub.rotate_key("k3".parse().unwrap(), [4; 32]);
    world.settle();
    let asked = world.agent_events.iter().filter(|event| matches!(event, AgentEvent::RotateKey(_)));
    assert_eq!(asked.count(), 1, "the hub asks once");
    let key = world.agent.agree_key(&share, [2; 32]);
    assert!(key.is_some() && world.agent.agree_key(&share, [3; 32]).is_none());
    world.agent.key_is_durable();
    world.agent.key_is_durable();
    world.settle();
    assert_eq!(agreed_at_hub(&world).len(), 1);
    assert_eq!((world.agent_error(), world.hub_error()), (None, None));
    // A hub that asks again all the same makes the agent write no second key.
    world.down.push_back(forge(
        Direction::HubToAgent,
        next_down(&world),
        world.hub_time(),
        Message::RotateKey(share),
    ));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::Unexpected)));
}

/// The number of the hub's next frame: Challenge, RegisterAck, an ack of the three records and the question went before.
fn next_down(world: &World) -> u64 {
    3 + world.acks + 1
}

#[test]
fn nobody_rotates_before_the_registration() {
    let mut world = World::with(&[(LOGS, 1)]);
    world.hub.rotate_key(key_id(), [1; 32]);
    world.hub_out();
    assert_eq!(world.down.len(), 1, "the Challenge alone");
    let share = KeyShare { key_id: key_id(), public: [9; 32] };
    assert_eq!(world.agent.agree_key(&share, [2; 32]), None);
    world.agent_in();
    world.agent_out();
    world.down.push_back(forge(Direction::HubToAgent, 2, HUB_TIME, Message::RotateKey(share)));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::Unexpected)));
}

#[test]
fn a_public_of_low_order_ends_the_session_at_either_end() {
    let mut world = registered();
    let low = KeyShare { key_id: key_id(), public: [0; 32] };
    let seq = 2 + world.acks + 1;
    world.down.push_back(forge(
        Direction::HubToAgent,
        seq,
        world.hub_time(),
        Message::RotateKey(low.clone()),
    ));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent.agree_key(&low, [2; 32]), None);
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::Invalid)));

    let (mut world, _) = asked();
    let seq = up_seq(&mut world);
    world.up.push_back(forge(Direction::AgentToHub, seq, world.hub_time(), Message::KeyReply(low)));
    world.hub_in();
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::Invalid)));
    assert!(agreed_at_hub(&world).is_empty());
}

/// The number of the agent's next frame: it sends one more, which is looked into and dropped.
fn up_seq(world: &mut World) -> u64 {
    world.agent.send_heartbeat(Heartbeat::default());
    world.agent_out();
    let frame = world.up.pop_back().unwrap();
    u64::from_le_bytes(frame[1..9].try_into().unwrap())
}

#[test]
fn answers_that_nobody_asked_for_end_the_session() {
    let share = || KeyShare { key_id: key_id(), public: [9; 32] };
    let mut world = registered();
    let seq = up_seq(&mut world);
    world.up.push_back(forge(Direction::AgentToHub, seq, world.hub_time(), Message::KeyReply(share())));
    world.hub_in();
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::Unexpected)));

    let (mut world, _) = asked();
    let seq = up_seq(&mut world);
    let other = KeyShare { key_id: "k7".parse().unwrap(), ..share() };
    world.up.push_back(forge(Direction::AgentToHub, seq, world.hub_time(), Message::KeyReply(other)));
    world.hub_in();
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::Unexpected)), "for another key");

    let mut world = registered();
    let seq = 2 + world.acks + 1;
    world.down.push_back(forge(Direction::HubToAgent, seq, world.hub_time(), Message::KeyStored(key_id())));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::Unexpected)));
}
