//! What goes up once the session is open and nothing of the protocol's own waits: answers, records, relayed messages.
//!
//! A message goes after one batch of records where one is on its way, and where the line takes it.

use bytes::BytesMut;

use crate::limit;
use crate::session::event::{AgentEvent, Transmit};
use crate::session::flow::Flow;
use crate::session::freight::Freight;
use crate::session::outbound::Outbound;
use crate::session::port::Port;
use crate::session::rate::Rate;
use crate::session::relay::Relays;
use crate::time::BootTime;
use crate::wire::error::WireError;
use crate::wire::message::Message;

use super::{AgentSession, Phase};

impl AgentSession {
    /// Payload bytes that one relayed message of this session may have: what both ends take in one frame has to hold it.
    pub fn relay_bytes_max(&self) -> usize {
        let frame = self.link.as_ref().map_or(0, |link| link.outbound.bytes_max);
        frame.saturating_sub(limit::RELAY_OVERHEAD_BYTES_MAX).min(limit::RELAY_BYTES_MAX)
    }

    /// Numbers and signs the next frame and appends it to `out`.
    pub fn poll_transmit(&mut self, now: BootTime, out: &mut BytesMut) -> Option<Transmit> {
        self.transmit(now, out)
    }
}

impl Flow for AgentSession {
    type Event = AgentEvent;

    fn port(&mut self) -> &mut Port<AgentEvent> {
        &mut self.port
    }

    fn outbound(&mut self) -> Option<&mut Outbound> {
        self.link.as_mut().map(|link| &mut link.outbound)
    }

    fn beside(&mut self) -> (&mut Relays, &mut Rate) {
        (&mut self.relays, &mut self.uplink.rate)
    }

    fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    fn next_own(&mut self, now: BootTime) -> Option<Message> {
        if let Some(heartbeat) = self.heartbeat.take() {
            return Some(Message::Heartbeat(heartbeat));
        }
        if let Some(message) = self.relays.pop_reply().or_else(|| self.relays.pop_in_turn(&self.uplink.rate))
        {
            return Some(message);
        }
        if let Some(records) = self.uplink.pop(now) {
            self.relays.others_went();
            if let Phase::Live(live) = &mut self.phase {
                live.unacked.waits(now);
            }
            return Some(records);
        }
        if self.uplink.awaits_records() {
            return None;
        }
        self.relays.pop(&self.uplink.rate)
    }

    fn was_signed(&mut self, _now: BootTime, _freight: Freight, bytes: usize) {
        self.opening.note(bytes);
    }

    /// Records that waited for it begin their time without an ack anew.
    fn came_through(&mut self, now: BootTime) {
        if let Phase::Live(live) = &mut self.phase {
            if self.uplink.rate.has_records() {
                live.unacked.busy(now);
            } else {
                // What waits was not sent: the hub owes nothing for that time.
                live.unacked.sends_again(now);
            }
        }
    }

    fn end_for(&mut self, error: &WireError) {
        self.fail(error);
    }
}
