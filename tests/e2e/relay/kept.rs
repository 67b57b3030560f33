//! What the hub keeps for an agent: its order, its end, and what it outlives.

use outpost::hub::config::Config;
use outpost::limit;
use outpost::wire::error::ErrorCode;
use outpost::wire::relay::{Delivery, Relay, RelayOutcome};

use super::*;

#[tokio::test]
async fn what_is_queued_arrives_in_order_after_the_registration_and_goes_when_it_is_confirmed() {
    let mut site = Site::new().await;
    let mut sender = site.sender().await;
    for number in 1..=5 {
        send(&mut sender, queued(number, number.to_string())).await;
        assert_eq!(outcome(&mut sender, number).await, "queued");
    }
    let mut other = site.other().await;
    let first = arrival(&mut other).await;
    assert_eq!((&*first.payload, first.delivery), (b"1".as_slice(), Delivery::Queued));
    // It was not confirmed: it comes again, under the same id, before the others.
    drop(other);
    let mut other = site.other().await;
    let again = take(&mut other).await;
    assert_eq!(again, first);
    for number in 2..=4 {
        assert_eq!(take(&mut other).await.payload, number.to_string());
    }
    // While the agent is there, too.
    send(&mut sender, queued(6, "6")).await;
    assert_eq!(outcome(&mut sender, 6).await, "queued");
    for number in 5..=6 {
        assert_eq!(take(&mut other).await.payload, number.to_string());
    }
    send(&mut sender, relay(7, "now")).await;
    assert_eq!(take(&mut other).await.payload, "now", "nothing of the queue is left before it");
    let forgotten = async {
        while site.world.counter("relays_kept", "delivered").await < 6 {
            tokio::task::yield_now().await;
        }
    };
    within(forgotten).await;
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn what_is_queued_outlives_the_hub() {
    let mut site = Site::new().await;
    let mut sender = site.sender().await;
    send(&mut sender, queued(1, "kept")).await;
    assert_eq!(outcome(&mut sender, 1).await, "queued");
    site.world = site.world.restart_with(config).await;
    let mut other = site.other().await;
    let arrived = take(&mut other).await;
    assert_eq!(arrived.payload, "kept");
    assert_eq!(arrived.sender.unwrap().id, site.sender.agent_id);
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn what_is_queued_goes_nowhere_once_its_rule_or_its_size_is_withdrawn() {
    for (change, why) in [
        ((|_config: &mut Config| {}) as fn(&mut Config), "relay_denied"),
        (
            |settings| {
                config(settings);
                settings.relay.bytes = 3;
            },
            "too_large",
        ),
    ] {
        let mut site = Site::new().await;
        let mut sender = site.sender().await;
        send(&mut sender, queued(1, "kept")).await;
        assert_eq!(outcome(&mut sender, 1).await, "queued");
        site.world = site.world.restart_with(change).await;
        let _other = site.other().await;
        let judged = async {
            while site.world.counter("relays_kept", why).await == 0 {
                tokio::task::yield_now().await;
            }
        };
        within(judged).await;
        site.world.hub.shutdown().await;
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_another_agents_has_room() {
    let mut site = Site::with(|settings| {
        config(settings);
        settings.relay.rate = std::num::NonZeroU32::new(1000).unwrap();
    })
    .await;
    site.world.hub.store().add_agent(&name("ctl-2"), None).await.unwrap();
    let mut sender = site.sender().await;
    let full = limit::RELAY_QUEUE_BYTES_MAX / limit::RELAY_BYTES_MAX as u64;
    for number in 0..full {
        send(&mut sender, queued(number, vec![1; limit::RELAY_BYTES_MAX])).await;
        assert_eq!(outcome(&mut sender, number).await, "queued");
    }
    send(&mut sender, queued(100, "x")).await;
    assert_eq!(outcome(&mut sender, 100).await, "relay_full");
    // Not for want of bytes alone: an empty one fits.
    send(&mut sender, queued(101, "")).await;
    assert_eq!(outcome(&mut sender, 101).await, "queued");
    send(&mut sender, Relay { to: Some(name("ctl-2")), ..queued(102, "x") }).await;
    assert_eq!(outcome(&mut sender, 102).await, "queued");
    let mut other = site.other().await;
    take(&mut other).await;
    arrival(&mut other).await;
    send(&mut sender, queued(103, "x")).await;
    assert_eq!(outcome(&mut sender, 103).await, "queued", "one was confirmed: there is room again");
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_revocation_takes_the_messages_with_it() {
    let mut site = Site::new().await;
    let mut sender = site.sender().await;
    send(&mut sender, queued(1, "kept")).await;
    assert_eq!(outcome(&mut sender, 1).await, "queued");
    site.world.hub.store().revoke_agent(&name("ctl-1")).await.unwrap();
    for (number, delivery) in [(2, Delivery::Now), (3, Delivery::Queued)] {
        send(&mut sender, Relay { delivery, ..relay(number, "late") }).await;
        assert_eq!(outcome(&mut sender, number).await, "revoked");
    }
    // What a revoked agent has sent is not delivered either.
    site.world.hub.store().add_agent(&name("ctl-2"), None).await.unwrap();
    let to = name("ctl-2");
    send(&mut sender, Relay { to: Some(to.clone()), ..queued(4, "by one that is revoked") }).await;
    assert_eq!(outcome(&mut sender, 4).await, "queued");
    site.world.hub.store().revoke_agent(&name("edge-1")).await.unwrap();
    let recipient = site.world.hub.store().agent(&to).await.unwrap().agent;
    let kept = site.world.hub.store().oldest_relay(recipient, &[], outpost::time::HubTime(0)).await.unwrap();
    assert_eq!(kept, None);
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_message_that_its_agent_refuses_for_good_does_not_hold_up_those_behind_it() {
    let mut site = Site::new().await;
    let mut sender = site.sender().await;
    for number in 1..=2 {
        send(&mut sender, queued(number, number.to_string())).await;
        assert_eq!(outcome(&mut sender, number).await, "queued");
    }
    let mut other = site.other().await;
    let first = arrival(&mut other).await;
    answer(&mut other, first.id, RelayOutcome::refused(ErrorCode::RelayHandler, "no handler")).await;
    assert_eq!(take(&mut other).await.payload, "2");
    assert_eq!(site.world.counter("relays_kept", "relay_handler").await, 1);
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_handler_that_refuses_for_now_holds_up_its_own_mail_and_no_other_handlers() {
    let mut site = Site::new().await;
    let mut sender = site.sender().await;
    let gate = "gate".parse().unwrap();
    for (number, message) in [
        (1, queued(1, "door 1")),
        (2, queued(2, "door 2")),
        (3, Relay { handler: gate, ..queued(3, "gate 1") }),
    ] {
        send(&mut sender, message).await;
        assert_eq!(outcome(&mut sender, number).await, "queued");
    }
    let mut other = site.other().await;
    let first = arrival(&mut other).await;
    answer(&mut other, first.id, RelayOutcome::refused(ErrorCode::RelayFull, "busy")).await;
    let came = [take(&mut other).await, take(&mut other).await, take(&mut other).await];
    let payloads = came.each_ref().map(|relay| relay.payload.clone());
    assert_eq!(payloads, ["gate 1", "door 1", "door 2"]);
    assert_eq!(came[1].id, first.id);
    site.world.hub.shutdown().await;
}
