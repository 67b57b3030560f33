//! From the Challenge to the RegisterAck: signatures, time-outs, order.

use std::time::Duration;

use ed25519_dalek::SigningKey;

use crate::id::{HubId, Lane};
use crate::limit;
use crate::session::*;
use crate::wire::error::ErrorCode;
use crate::wire::key::Direction;
use crate::wire::message::*;

use super::world::*;

fn meets(agent: AgentConfig, hub: HubConfig) -> World {
    let mut world = World::new(agent, hub, [(LOGS, kept(3))].into());
    world.settle();
    world
}

#[test]
fn both_sides_register() {
    let world = meets(agent_config(), hub_config());
    assert!(world.is_registered());
    assert_eq!(world.store[&LOGS].mark, 3);
}

#[test]
fn a_bound_key_is_required_even_where_the_hub_asks_for_none() {
    let hub = HubConfig { identity: Some(identity().verifying_key().into()), ..hub_config() };
    let signed = AgentConfig { identity: Some(identity()), ..agent_config() };
    assert!(meets(signed, hub.clone()).is_registered());
    let other = AgentConfig { identity: Some(SigningKey::from_bytes(&[8; 32])), ..agent_config() };
    assert_eq!(meets(other, hub.clone()).hub_error(), Some((1008, ErrorCode::BadSignature)));
    let world = meets(agent_config(), hub);
    assert_eq!(
        world.agent_error(),
        Some((1008, ErrorCode::BadSignature)),
        "an agent without a key says so itself"
    );
}

#[test]
fn a_register_without_the_required_signature_is_refused_by_the_hub() {
    let hub = HubConfig { identity: Some(identity().verifying_key().into()), ..hub_config() };
    let mut world = World::new(agent_config(), hub, [(LOGS, kept(0))].into());
    world.hub_out();
    world.up.push_back(forge(
        Direction::AgentToHub,
        1,
        HUB_TIME,
        Message::Register(Box::new(register(Vec::new(), false))),
    ));
    world.hub_in();
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::BadSignature)));
}

#[test]
fn without_a_bound_key_a_signature_is_optional_or_refused() {
    for (mode, signs, registers) in [
        (SignatureMode::None, true, true),
        (SignatureMode::Optional, true, true),
        (SignatureMode::Optional, false, true),
        (SignatureMode::Required, true, false),
        (SignatureMode::Required, false, false),
    ] {
        let hub = HubConfig { signature: mode, ..hub_config() };
        let agent = AgentConfig { identity: signs.then(identity), ..agent_config() };
        assert_eq!(meets(agent, hub).is_registered(), registers, "{mode:?} {signs}");
    }
}

#[test]
fn a_signature_for_another_session_does_not_verify() {
    let hub = HubConfig { identity: Some(identity().verifying_key().into()), ..hub_config() };
    let mut world = World::new(agent_config(), hub, [(LOGS, kept(0))].into());
    world.hub_out();
    use ed25519_dalek::Signer;
    let other = crate::wire::key::SessionContext { hub_nonce: [7; 32], ..context() };
    let signature = identity().sign(&crate::wire::key::challenge_digest(&other, HUB_TIME));
    let reply = Message::ChallengeReply(Box::new(signature.to_bytes()));
    world.up.push_back(forge(Direction::AgentToHub, 1, HUB_TIME, reply));
    world.hub_in();
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::BadSignature)));
}

#[test]
fn each_missing_step_ends_the_handshake_in_its_own_time() {
    let mut world = World::plain();
    let times = [world.agent.poll_timeout(), world.hub.poll_timeout()];
    assert_eq!(
        times,
        [Some(START.after(limit::DIAL_STALL_TIMEOUT)), Some(START.after(limit::REGISTER_TIMEOUT))]
    );
    world.now = START.after(limit::DIAL_STALL_TIMEOUT);
    world.agent.handle_timeout(world.now);
    world.hub.handle_timeout(world.now);
    world.agent_out();
    world.hub_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::RegisterTimeout)), "no Challenge");
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::RegisterTimeout)), "no Register");
    assert!(world.up.is_empty() && world.down.is_empty(), "nobody has agreed on keys: no envelope");

    let hub = HubConfig { identity: Some(identity().verifying_key().into()), ..hub_config() };
    let late = World::new(agent_config(), hub, [(LOGS, kept(0))].into());
    assert_eq!(late.hub.poll_timeout(), Some(START.after(limit::CHALLENGE_REPLY_TIMEOUT)));

    let mut world = World::plain();
    world.hub_out();
    world.agent_in();
    world.agent_out();
    world.now = START.after(limit::REGISTER_TIMEOUT);
    world.agent.handle_timeout(world.now);
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::RegisterTimeout)), "no RegisterAck");
}

#[test]
fn a_late_register_is_refused_even_if_the_timer_was_not_served() {
    let mut world = World::plain();
    world.hub_out();
    world.agent_in();
    world.agent_out();
    world.now = START.after(limit::REGISTER_TIMEOUT + Duration::from_millis(1));
    world.hub_in();
    world.hub_out();
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::RegisterTimeout)));
}

#[test]
fn a_right_signature_over_an_old_challenge_is_refused_even_if_the_timer_was_not_served() {
    let hub = HubConfig { identity: Some(identity().verifying_key().into()), ..hub_config() };
    let agent = AgentConfig { identity: Some(identity()), ..agent_config() };
    for (late, expected) in [
        (limit::CHALLENGE_REPLY_TIMEOUT - Duration::from_millis(1), None),
        (limit::CHALLENGE_REPLY_TIMEOUT, Some((1008, ErrorCode::RegisterTimeout))),
        (limit::CHALLENGE_AGE_MAX + Duration::from_millis(1), Some((1008, ErrorCode::RegisterTimeout))),
    ] {
        let mut world = World::new(agent.clone(), hub.clone(), [(LOGS, kept(0))].into());
        world.hub_out();
        world.agent_in();
        world.agent_out();
        world.now = START.after(late);
        world.hub_in();
        world.hub_out();
        assert_eq!(world.hub_error(), expected, "{late:?}");
    }
}

#[test]
fn another_hub_is_told_apart() {
    let mut world = World::plain();
    let challenge = Challenge {
        hub_id: HubId::from_bytes([9; 16]),
        hub_nonce: [6; 32],
        session_id: hub_config().session_id,
        hub_time: HUB_TIME,
        signature: SignatureMode::None,
        binding: ChannelBinding::None,
    };
    let config = agent_config();
    let key = root().challenge_key(&config.agent_nonce, config.hub_id, config.agent_id);
    world.down.push_back(seal(&key, 1, HUB_TIME, Message::Challenge(challenge)));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::WrongHub)));
    let other = HubConfig { hub_id: HubId::from_bytes([9; 16]), ..hub_config() };
    assert_eq!(meets(agent_config(), other).agent_error(), Some((1008, ErrorCode::BadMac)));
}

#[test]
fn the_answer_must_list_every_stream_in_order() {
    let events = stream(Lane::Events, 1);
    let none = |id: crate::id::StreamId| StreamMark::none(id.lane, id.epoch);
    for marks in
        [vec![], vec![none(LOGS)], vec![none(LOGS), none(events)], vec![none(events), none(LOGS), none(LOGS)]]
    {
        let mut world = World::with(&[(events, 1), (LOGS, 1)]);
        world.hub_out();
        world.agent_in();
        world.down.push_back(forge(Direction::HubToAgent, 2, HUB_TIME, register_ack(marks)));
        world.agent_in();
        world.agent_out();
        assert_eq!(world.agent_error(), Some((1008, ErrorCode::Invalid)));
        assert!(!world.agent_events.iter().any(|event| matches!(event, AgentEvent::Marks(_))));
    }
}

#[test]
fn the_smaller_limits_hold() {
    let small = Limits { message_bytes: 4_096, window_bytes: 2_000, ..limits() };
    let mut world =
        World::new(agent_config(), HubConfig { limits: small, ..hub_config() }, [(LOGS, kept(1_000))].into());
    world.hub_out();
    let mut largest = 0;
    world.settle();
    for _ in 0..2_000 {
        world.agent_out();
        largest = largest.max(world.up.iter().map(bytes::Bytes::len).max().unwrap_or(0));
        world.run(Duration::from_millis(100));
    }
    assert_eq!(world.store[&LOGS].mark, 1_000);
    assert!(largest <= 4_096 && world.in_flight_max <= 2_000, "{largest} {}", world.in_flight_max);
}

#[test]
fn no_record_goes_before_the_register_ack() {
    let mut world = World::with(&[(LOGS, 5)]);
    world.hub_out();
    world.agent_in();
    world.append(LOGS, 5);
    world.agent_out();
    assert_eq!(world.up.len(), 1, "Register alone");
    assert_eq!(world.agent.poll_read(), None);
    world.settle();
    assert_eq!(world.store[&LOGS].mark, 10, "what became durable meanwhile goes too");
}
