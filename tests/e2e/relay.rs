//! Messages between agents through a hub: who may send to whom, what becomes of each, and what a liar gets.

use bytes::Bytes;
use outpost::hub::config::{Config, RelayRule};
use outpost::id::{AgentId, AgentName, MessageId};
use outpost::limit;
use outpost::wire::error::ErrorCode;
use outpost::wire::key::KeyFile;
use outpost::wire::message::Message;
use outpost::wire::relay::{Delivery, NotDelivered, Receipt, Relay, RelayOutcome, RelayReply, Sender};

use crate::raw_agent::{RawAgent, World, within};

fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

fn rule(from: &str, to: &str) -> RelayRule {
    RelayRule { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

/// `edge-1` may send to whatever begins with `ctl`.
fn config(config: &mut Config) {
    config.relay.allow = vec![rule("edge-1", "ctl*")];
}

/// A hub with `edge-1` and another agent.
struct Site {
    world: World,
    sender: KeyFile,
    other: KeyFile,
}

impl Site {
    async fn new() -> Self {
        Self::with(config).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = World::with(change).await;
        let other = world.hub.store().add_agent(&name("ctl-1"), None).await.unwrap().key_file;
        Self { sender: world.key.clone(), world, other }
    }

    async fn login(&mut self, key: &KeyFile) -> RawAgent {
        self.world.key = key.clone();
        self.world.register().await.0
    }

    async fn sender(&mut self) -> RawAgent {
        let key = self.sender.clone();
        self.login(&key).await
    }

    async fn other(&mut self) -> RawAgent {
        let key = self.other.clone();
        self.login(&key).await
    }

    async fn counted(&self, outcome: &str) -> u64 {
        self.world.counter("relays", outcome).await
    }
}

fn relay(number: u64, payload: impl Into<Bytes>) -> Relay {
    Relay {
        id: MessageId { hi: 5, lo: number },
        sender: None,
        to: Some(name("ctl-1")),
        handler: "door".parse().unwrap(),
        payload: payload.into(),
        delivery: Delivery::Now,
    }
}

fn queued(number: u64, payload: impl Into<Bytes>) -> Relay {
    Relay { delivery: Delivery::Queued, ..relay(number, payload) }
}

async fn send(agent: &mut RawAgent, relay: Relay) {
    agent.say(Message::Relay(Box::new(relay))).await;
}

/// The next relayed message, whatever comes before it.
async fn arrival(agent: &mut RawAgent) -> Relay {
    loop {
        if let Message::Relay(relay) = agent.hear().await {
            return *relay;
        }
    }
}

async fn answer(agent: &mut RawAgent, id: MessageId, outcome: RelayOutcome) {
    agent.say(Message::RelayReply(RelayReply { id, outcome })).await;
}

/// Takes the next message.
async fn take(agent: &mut RawAgent) -> Relay {
    let relay = arrival(agent).await;
    answer(agent, relay.id, RelayOutcome::Delivered).await;
    relay
}

async fn reply(agent: &mut RawAgent) -> RelayReply {
    loop {
        if let Message::RelayReply(reply) = agent.hear().await {
            return reply;
        }
    }
}

/// What became of the message with this number: its name.
async fn outcome(agent: &mut RawAgent, number: u64) -> &'static str {
    let RelayReply { id, outcome } = reply(agent).await;
    assert_eq!(id, relay(number, "").id, "{outcome:?}");
    outcome.name()
}

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

#[tokio::test]
async fn an_agent_that_floods_others_is_held_to_its_rate() {
    let rate = 5;
    let mut site = Site::with(|settings| {
        config(settings);
        settings.relay.rate = std::num::NonZeroU32::new(rate).unwrap();
    })
    .await;
    let mut sender = site.sender().await;
    let mut refused = 0;
    for number in 0..50 {
        send(&mut sender, relay(number, "flood")).await;
        refused += u32::from(outcome(&mut sender, number).await == "rate_limited");
    }
    // A second's worth at once and one more; the rest of the time it takes gives it a few.
    assert!(refused >= 20, "{refused} of 50");
    assert_eq!(site.counted("rate_limited").await, u64::from(refused));
    assert_eq!(site.counted("relay_offline").await, u64::from(50 - refused));
    site.world.hub.shutdown().await;
}

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
    assert_eq!(site.world.counter("relays_kept", "delivered").await, 6);
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
    let kept = site.world.hub.store().oldest_relay(recipient, outpost::time::HubTime(0)).await.unwrap();
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
