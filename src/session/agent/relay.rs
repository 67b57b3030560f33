//! Messages that the agent's program sends to other agents, and those that come for it.

use crate::id::MessageId;
use crate::limit;
use crate::session::event::AgentEvent;
use crate::time::BootTime;
use crate::wire::message::Message;
use crate::wire::relay::{Relay, RelayReply};

use super::{AgentSession, Phase};

impl AgentSession {
    /// How many messages may be handed to `send_relay` now; none before the registration and after the end.
    pub fn room_for_relays(&self) -> usize {
        match self.phase {
            Phase::Live(_) => self.relays.room(),
            Phase::Challenge
            | Phase::Ack { .. }
            | Phase::AckMore { .. }
            | Phase::Marks { .. }
            | Phase::Closed => 0,
        }
    }

    /// Payload bytes that one message of this session may have: what both ends take in one frame has to hold it.
    pub fn relay_bytes_max(&self) -> usize {
        let frame = self.link.as_ref().map_or(0, |link| link.outbound.bytes_max);
        frame.saturating_sub(limit::RELAY_OVERHEAD_BYTES_MAX).min(limit::RELAY_BYTES_MAX)
    }

    /// Sends a message, where there is room for it. It is answered by [`AgentEvent::RelayReply`], or not at all where the
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

    /// Answers [`AgentEvent::Relay`].
    pub fn answer_relay(&mut self, reply: RelayReply) {
        if matches!(self.phase, Phase::Live(_)) {
            self.relays.answer(reply);
        }
    }

    pub(super) fn handle_relay(&mut self, relay: Relay) {
        if let Some(relay) = self.relays.take(relay) {
            self.port.tell(AgentEvent::Relay(relay));
        }
    }

    pub(super) fn handle_relay_reply(&mut self, reply: RelayReply) {
        if let Some(reply) = self.relays.answered(reply) {
            self.port.tell(AgentEvent::RelayReply(reply));
        }
    }

    /// Records, and what is relayed between them: an answer at once, a message after one batch where one is on its way.
    pub(super) fn next_flow(&mut self, now: BootTime) -> Option<Flow> {
        if let Some(message) = self.relays.pop_reply().or_else(|| self.relays.pop_in_turn()) {
            return Some(Flow::Relay(message));
        }
        if let Some(records) = self.uplink.pop(now) {
            self.relays.had_records();
            return Some(Flow::Records(records));
        }
        if self.relays.is_empty() || self.uplink.awaits_records() {
            return None;
        }
        self.relays.pop().map(Flow::Relay)
    }
}

/// What is sent after control messages.
pub(super) enum Flow {
    /// Records or a Gap: an ack is due for it.
    Records(Message),
    /// A relayed message or an answer to one.
    Relay(Message),
}
