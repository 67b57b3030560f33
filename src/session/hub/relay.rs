//! Messages for the agent, and those it sends to others.

use crate::id::MessageId;
use crate::session::event::HubEvent;
use crate::wire::relay::{Relay, RelayReply};

use super::{HubSession, Phase};

impl HubSession {
    /// How many messages may be handed to `send_relay` now; none before the registration and after the end.
    pub fn room_for_relays(&self) -> usize {
        match self.phase {
            Phase::Live => self.relays.room(),
            Phase::Challenge { .. } | Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Closed => 0,
        }
    }

    /// Sends a message, where there is room for it. It is answered by [`HubEvent::RelayReply`], or not at all where the
    /// session ends.
    pub fn send_relay(&mut self, relay: Relay) {
        if self.room_for_relays() > 0 {
            self.relays.push(relay);
        }
    }

    /// Nobody waits for the answer to this message any more.
    pub fn forget_relay(&mut self, id: MessageId) {
        self.relays.forget(id);
    }

    /// Answers [`HubEvent::Relay`].
    pub fn answer_relay(&mut self, reply: RelayReply) {
        if matches!(self.phase, Phase::Live) {
            self.relays.answer(reply);
        }
    }

    pub(super) fn handle_relay(&mut self, relay: Relay) {
        if let Some(relay) = self.relays.take(relay) {
            self.port.tell(HubEvent::Relay(relay));
        }
    }

    pub(super) fn handle_relay_reply(&mut self, reply: RelayReply) {
        if let Some(reply) = self.relays.answered(reply) {
            self.port.tell(HubEvent::RelayReply(reply));
        }
    }
}
