//! What a session is bound to below it: the TLS connection, and a certificate that was believed on condition.

use crate::session::*;
use crate::time::Validity;
use crate::wire::error::ErrorCode;
use crate::wire::message::*;

use super::world::*;

const OURS: [u8; 32] = [0xE1; 32];
const ANOTHERS: [u8; 32] = [0xE2; 32];

fn bound(exporter: Option<[u8; 32]>) -> AgentConfig {
    AgentConfig { exporter, ..agent_config() }
}

fn binds(exported: [u8; 32]) -> HubConfig {
    HubConfig { binding: ChannelBinding::TlsExporter, channel_binding: exported, ..hub_config() }
}

fn world(agent: AgentConfig, hub: HubConfig) -> World {
    World::new(agent, hub, [(LOGS, kept(3))].into())
}

#[test]
fn two_ends_of_one_tls_connection_agree() {
    let mut world = world(bound(Some(OURS)), binds(OURS));
    world.settle();
    assert_eq!((world.agent_error(), world.hub_error()), (None, None));
    assert_eq!(world.store[&LOGS].mark, 3);
}

#[test]
fn a_proxy_that_the_hub_knows_of_may_end_tls() {
    let mut world = world(bound(Some(OURS)), hub_config());
    world.settle();
    assert_eq!(world.store[&LOGS].mark, 3);
}

#[test]
fn somebody_who_makes_tls_between_is_named_and_gets_nothing() {
    let mut world = world(bound(None), binds(OURS));
    world.settle();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::ChannelBinding)));
    assert!(world.up.is_empty() && world.store.is_empty(), "not even a Register");
}

#[test]
fn somebody_who_ends_tls_between_is_named_and_gets_nothing() {
    let mut world = world(bound(Some(ANOTHERS)), binds(OURS));
    world.hub_out();
    world.agent_in();
    world.agent_out();
    world.hub_in();
    world.hub_out();
    // The hub cannot tell it from a forged frame, the agent can: the Challenge did verify.
    assert_eq!(world.hub_error(), Some((1008, ErrorCode::BadMac)));
    assert!(world.store.is_empty());
    assert_eq!(world.agent.explain_refusal(ErrorCode::BadMac), ErrorCode::ChannelBinding);
    assert_eq!(world.agent.explain_refusal(ErrorCode::Busy), ErrorCode::Busy);
}

#[test]
fn a_first_frame_of_the_hub_that_does_not_verify_is_named_too() {
    let mut world = world(bound(Some(OURS)), binds(OURS));
    world.hub_out();
    world.agent_in();
    world.agent_out();
    world.down.push_back(forge(crate::wire::key::Direction::HubToAgent, 2, HUB_TIME, register_ack(vec![])));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::ChannelBinding)));
}

#[test]
fn later_and_without_binding_a_bad_mac_is_a_bad_mac() {
    let mut world = world(bound(Some(OURS)), binds(OURS));
    world.settle();
    assert_eq!(world.agent.explain_refusal(ErrorCode::BadMac), ErrorCode::BadMac);
    world.down.push_back(forge(crate::wire::key::Direction::HubToAgent, 3, HUB_TIME, Message::Ping));
    world.agent_in();
    world.agent_out();
    assert_eq!(world.agent_error(), Some((1008, ErrorCode::BadMac)));
    let plain = World::new(bound(None), hub_config(), [(LOGS, kept(1))].into());
    assert_eq!(plain.agent.explain_refusal(ErrorCode::BadMac), ErrorCode::BadMac);
}

/// A session under a certificate with these dates, from the hub time of the tests.
fn under(from: i64, to: i64) -> World {
    let at = |ms: i64| crate::time::HubTime(HUB_TIME.0.saturating_add_signed(ms));
    let valid = Validity::new(at(from), at(to)).unwrap();
    let condition = Some(Condition { host: "hub.example".to_owned(), valid });
    let mut world = world(AgentConfig { condition, ..agent_config() }, hub_config());
    world.settle();
    world
}

#[test]
fn a_certificate_on_condition_opens_a_session_at_the_hubs_word() {
    for (from, to) in [(-1_000, 60_000), (0, 60_000), (-1_000, 0)] {
        let world = under(from, to);
        assert_eq!(world.agent_error(), None, "{from} {to}");
        assert_eq!(world.store[&LOGS].mark, 3);
    }
}

#[test]
fn a_hub_whose_time_lies_outside_of_its_certificate_gets_no_record() {
    for (from, to) in [(60_000, 120_000), (1, 60_000), (-120_000, -60_000), (-1_000, -1)] {
        let mut world = under(from, to);
        assert_eq!(world.agent_error(), Some((1008, ErrorCode::Clock)), "{from} {to}");
        assert!(world.store.get(&LOGS).is_none_or(|stored| stored.mark == 0));
        assert_eq!(world.agent.poll_read(), None, "no record is even read");
        let opened = |event: &AgentEvent| {
            matches!(
                event,
                AgentEvent::Registered { .. } | AgentEvent::Marks(_) | AgentEvent::JobOffer { .. }
            )
        };
        assert!(!world.agent_events.iter().any(opened));
        let said = world.agent_events.iter().find_map(|event| match event {
            AgentEvent::Closed(closed) => Some(closed.detail.clone()),
            _ => None,
        });
        let said = said.unwrap();
        assert!(said.contains("certificate of hub.example is valid from"), "{said}");
        assert!(said.contains("2027-01-15T08:00:00Z") && said.contains("hub cert init"), "{said}");
    }
}
