//! Messages that are to be delivered now: who may send what, what each sender hears, and who is not held up.

use outpost::id::AgentId;
use outpost::limit;
use outpost::obs::clock::boot_now;
use outpost::wire::error::ErrorCode;
use outpost::wire::relay::{Delivery, NotDelivered, Receipt, Relay, RelayOutcome, RelayReply, Sender};

use super::*;

#[tokio::test]
async fn a_message_of_exactly_64_kib_passes_with_the_senders_name_and_one_byte_more_is_refused() {
    let mut site = Site::new().await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    send(&mut sender, relay(1, vec![7; 64 * 1024])).await;
    let arrived = take(&mut other).await;
    assert_eq!(arrived.payload, vec![7; 64 * 1024]);
    assert_eq!(arrived.handler.as_str(), "door");
    let id = site.sender.agent_id;
    assert_eq!(arrived.sender, Some(Sender { id, name: Some(name("edge-1")) }));
    assert_ne!(arrived.id, relay(1, "").id, "what the sender calls it is nobody else's");
    assert_eq!(outcome(&mut sender, 1).await, "delivered");
    send(&mut sender, relay(2, vec![7; 64 * 1024 + 1])).await;
    assert_eq!(outcome(&mut sender, 2).await, "too_large");
    // The session goes on.
    send(&mut sender, relay(3, "small")).await;
    assert_eq!(take(&mut other).await.payload, "small");
    assert_eq!(outcome(&mut sender, 3).await, "delivered");
    assert_eq!((site.counted("delivered").await, site.counted("too_large").await), (2, 1));
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_message_in_the_name_of_another_is_refused_and_counted_and_the_session_goes_on() {
    let mut site = Site::with(|config| config.relay.allow = vec![rule("*", "*")]).await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    let of = |id, name| Some(Sender { id, name });
    let (own, others) = (site.sender.agent_id, site.other.agent_id);
    for (number, lie) in [
        (1, of(others, None)),
        (2, of(AgentId::from_bytes([0; 16]), None)),
        (3, of(own, Some(name("ctl-1")))),
    ] {
        send(&mut sender, Relay { sender: lie, ..relay(number, "lie") }).await;
        assert_eq!(outcome(&mut sender, number).await, "relay_sender");
    }
    // Who names itself tells the truth.
    send(&mut sender, Relay { sender: of(own, Some(name("edge-1"))), ..relay(4, "truth") }).await;
    assert_eq!(take(&mut other).await.payload, "truth");
    assert_eq!(outcome(&mut sender, 4).await, "delivered");
    assert_eq!(site.counted("relay_sender").await, 3);
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn nothing_is_relayed_without_a_rule() {
    let mut site = Site::with(|_| {}).await;
    let (mut sender, _other) = (site.sender().await, site.other().await);
    send(&mut sender, relay(1, "no rule at all")).await;
    assert_eq!(outcome(&mut sender, 1).await, "relay_denied");
    site.world.hub.shutdown().await;

    let mut site = Site::new().await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    send(&mut other, Relay { to: Some(name("edge-1")), ..relay(1, "the other way") }).await;
    assert_eq!(outcome(&mut other, 1).await, "relay_denied");
    // Without a rule nobody learns which agents there are.
    send(&mut other, Relay { to: Some(name("nobody")), ..relay(2, "") }).await;
    assert_eq!(outcome(&mut other, 2).await, "relay_denied");
    send(&mut sender, Relay { to: Some(name("ctl-9")), ..relay(3, "") }).await;
    assert_eq!(outcome(&mut sender, 3).await, "unknown_agent");
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_message_to_an_agent_that_is_away_is_refused_at_once() {
    let mut site = Site::new().await;
    let mut sender = site.sender().await;
    send(&mut sender, relay(1, "now")).await;
    assert_eq!(outcome(&mut sender, 1).await, "relay_offline");
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn what_an_agent_says_to_a_message_reaches_its_sender_and_nobody_else_may_say_it() {
    let mut site = Site::new().await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    send(&mut sender, relay(1, "knock")).await;
    let arrived = arrival(&mut other).await;
    // Answers to what was never asked change nothing.
    answer(&mut other, relay(1, "").id, RelayOutcome::Delivered).await;
    answer(&mut sender, arrived.id, RelayOutcome::Delivered).await;
    let detail = "no handler door".to_owned();
    let refused = RelayOutcome::Refused { code: Some(ErrorCode::RelayHandler), detail };
    answer(&mut other, arrived.id, refused.clone()).await;
    assert_eq!(reply(&mut sender).await, RelayReply { id: relay(1, "").id, outcome: refused });
    // Nor can an agent say that the hub keeps a message.
    send(&mut sender, relay(2, "knock")).await;
    let arrived = arrival(&mut other).await;
    answer(&mut other, arrived.id, RelayOutcome::Queued).await;
    assert_eq!(outcome(&mut sender, 2).await, "unanswered");
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn a_session_that_ends_leaves_its_messages_unanswered() {
    let mut site = Site::new().await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    send(&mut sender, relay(1, "knock")).await;
    arrival(&mut other).await;
    drop(other);
    assert_eq!(outcome(&mut sender, 1).await, "unanswered");
    site.world.hub.shutdown().await;
}

/// Its link takes little of them: of the rest no byte is on its way.
#[tokio::test]
async fn of_what_a_session_had_not_begun_when_it_ended_the_senders_hear_that_nobody_has_it() {
    let mut site = Site::with(|settings| {
        config(settings);
        settings.relay.rate = std::num::NonZeroU32::new(1000).unwrap();
    })
    .await;
    site.world.hub.store().add_agent(&name("ctl-2"), None).await.unwrap();
    // It reads nothing.
    let (mut sender, mut deaf) = (site.sender().await, site.other().await);
    let count = limit::RELAY_IN_FLIGHT as u64 - 1;
    for number in 1..=count {
        send(&mut sender, relay(number, vec![7; limit::RELAY_BYTES_MAX])).await;
    }
    // An answer about another agent comes once those before are routed, and once the hub has heard something else of this one
    // its session has taken them.
    send(&mut sender, Relay { to: Some(name("ctl-2")), ..queued(100, "") }).await;
    assert_eq!(outcome(&mut sender, 100).await, "queued");
    send(&mut deaf, Relay { to: Some(name("edge-1")), ..relay(1, "the other way") }).await;
    let heard = async {
        while site.counted("relay_denied").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    within(heard).await;
    drop(deaf);
    let mut outcomes = std::collections::BTreeMap::new();
    for _ in 1..=count {
        let RelayReply { id, outcome } = reply(&mut sender).await;
        outcomes.insert(id.lo, outcome.name());
    }
    let outcomes: Vec<_> = outcomes.into_values().collect();
    let begun = outcomes.iter().filter(|outcome| **outcome == "unanswered").count();
    assert!(outcomes[..begun].iter().all(|outcome| *outcome == "unanswered"), "{outcomes:?}");
    assert!(outcomes[begun..].iter().all(|outcome| *outcome == "relay_offline"), "{outcomes:?}");
    assert!(begun > 0 && begun < outcomes.len(), "some were begun, some were not: {outcomes:?}");
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn an_agent_that_floods_others_is_held_to_its_rate() {
    let rate = 5;
    let mut site = Site::with(|settings| {
        config(settings);
        settings.relay.rate = std::num::NonZeroU32::new(rate).unwrap();
    })
    .await;
    let mut sender = site.sender().await;
    let (mut refused, began) = (0, boot_now());
    for number in 0..50 {
        send(&mut sender, relay(number, "flood")).await;
        refused += u32::from(outcome(&mut sender, number).await == "rate_limited");
    }
    // A second's worth at once and one more; the time it takes gives it the rest.
    let took = boot_now().since(began);
    let most = f64::from(rate) * (1.0 + took.as_secs_f64()) + 1.0;
    assert!(f64::from(50 - refused) <= most, "{refused} of 50 were refused in {took:?}");
    assert_eq!(site.counted("rate_limited").await, u64::from(refused));
    assert_eq!(site.counted("relay_offline").await, u64::from(50 - refused));
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn an_agent_that_answers_nothing_holds_up_nobody_but_those_who_send_to_it() {
    let mut site = Site::with(|settings| {
        config(settings);
        settings.relay.rate = std::num::NonZeroU32::new(1000).unwrap();
    })
    .await;
    let third = site.world.hub.store().add_agent(&name("ctl-2"), None).await.unwrap().key_file;
    let (mut sender, mut silent) = (site.sender().await, site.other().await);
    let mut other = site.login(&third).await;
    for number in 0..limit::RELAY_IN_FLIGHT as u64 {
        send(&mut sender, relay(number, "to the silent one")).await;
    }
    // As many of one sender may be unanswered.
    send(&mut sender, relay(100, "one more")).await;
    assert_eq!(outcome(&mut sender, 100).await, "relay_full");
    for _ in 0..limit::RELAY_IN_FLIGHT {
        arrival(&mut silent).await;
    }
    // The hub's own program and the other agent are not among them.
    let (hub, to, door) = (&site.world.hub, name("ctl-2"), "door".parse().unwrap());
    let send_own = hub.send(&to, &door, "from the hub", Delivery::Now);
    let (sent, arrived) = within(async { tokio::join!(send_own, take(&mut other)) }).await;
    assert_eq!(sent, Ok(Receipt::Delivered));
    assert_eq!((&*arrived.payload, arrived.sender), (b"from the hub".as_slice(), None));
    drop(silent);
    for number in 0..limit::RELAY_IN_FLIGHT as u64 {
        let RelayReply { outcome, .. } = reply(&mut sender).await;
        assert_eq!(outcome, RelayOutcome::Unanswered, "{number}");
    }
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn the_hubs_own_program_is_told_what_becomes_of_its_messages() {
    let mut site = Site::with(|_| {}).await;
    let door = "door".parse().unwrap();
    let refused = |code| Err(NotDelivered::Refused { code: Some(code), detail: String::new() }.into());
    let sent = |to: &str, payload: Vec<u8>, delivery| {
        let (hub, door, to) = (&site.world.hub, &door, name(to));
        async move {
            let sent = hub.send(&to, door, payload, delivery).await;
            sent.map_err(|error| match error {
                outpost::hub::embedded::SendError::NotDelivered(NotDelivered::Refused { code, .. }) => {
                    NotDelivered::Refused { code, detail: String::new() }.into()
                }
                other => other,
            })
        }
    };
    assert_eq!(sent("ctl-1", vec![1], Delivery::Now).await, refused(ErrorCode::RelayOffline));
    assert_eq!(sent("nobody", vec![1], Delivery::Now).await, refused(ErrorCode::UnknownAgent));
    let large = vec![1; limit::RELAY_BYTES_MAX + 1];
    assert_eq!(sent("ctl-1", large, Delivery::Queued).await, refused(ErrorCode::TooLarge));
    assert_eq!(sent("ctl-1", vec![9], Delivery::Queued).await, Ok(Receipt::Queued));
    let mut other = site.other().await;
    let arrived = take(&mut other).await;
    assert_eq!((&*arrived.payload, arrived.sender), ([9].as_slice(), None));
    site.world.hub.shutdown().await;
}

#[tokio::test]
async fn an_id_that_is_not_answered_yet_is_refused_and_goes_nowhere() {
    let mut site = Site::new().await;
    let (mut sender, mut other) = (site.sender().await, site.other().await);
    send(&mut sender, relay(1, "first")).await;
    for _ in 0..2 * limit::RELAY_IN_FLIGHT {
        send(&mut sender, relay(1, "again")).await;
        assert_eq!(outcome(&mut sender, 1).await, "invalid");
    }
    assert_eq!(take(&mut other).await.payload, "first");
    assert_eq!(outcome(&mut sender, 1).await, "delivered");
    send(&mut sender, relay(1, "another")).await;
    assert_eq!(take(&mut other).await.payload, "another");
    assert_eq!(outcome(&mut sender, 1).await, "delivered");
    site.world.hub.shutdown().await;
}
