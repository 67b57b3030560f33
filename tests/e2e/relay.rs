//! Messages between agents through a hub: who may send to whom, what becomes of each, and what a liar gets.

mod kept;
mod now;
mod store;

use bytes::Bytes;
use outpost::hub::config::{Config, RelayRule};
use outpost::id::{AgentName, MessageId};
use outpost::wire::key::KeyFile;
use outpost::wire::message::Message;
use outpost::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply};

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
