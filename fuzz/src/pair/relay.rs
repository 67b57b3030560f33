//! Messages for the other end's program, and what is said to them.

use bytes::Bytes;
use outpost::id::{AgentId, MessageId};
use outpost::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply, Sender};

use super::{End, Pair};

impl Pair {
    pub(super) fn relay(&mut self, from: End, number: u8) {
        match from {
            End::Agent => self.agent.relays_mut().send(relay(number, false)),
            End::Hub => self.hub.relays_mut().send(relay(number, true)),
        }
    }
}

/// For nobody, or in the name of another agent.
pub(super) fn relay(number: u8, named: bool) -> Relay {
    let id = AgentId::from_bytes([number; 16]);
    Relay {
        id: MessageId { hi: 3, lo: number.into() },
        sender: named.then_some(Sender { id, name: None }),
        to: named.then(|| "edge-2".parse().expect("a name")),
        handler: "any".parse().expect("a handler's name"),
        payload: Bytes::from(vec![number; number.into()]),
        delivery: Delivery::Now,
    }
}

pub(super) fn delivered(relay: &Relay) -> RelayReply {
    RelayReply { id: relay.id, outcome: RelayOutcome::Delivered }
}
