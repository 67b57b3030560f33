//! What goes down once the session is open and nothing of the protocol's own waits: acks, answers, then what may be large.
//!
//! Offers and relayed messages take turns, and each waits until the line takes it: an ack never lies behind more than one of them
//! and what of others the line carries in `limit::LINE_SECONDS`.

use bytes::BytesMut;

use crate::session::event::{HubEvent, Transmit};
use crate::session::flow::Flow;
use crate::session::freight::Freight;
use crate::session::outbound::Outbound;
use crate::session::port::Port;
use crate::session::rate::Rate;
use crate::session::relay::Relays;
use crate::time::BootTime;
use crate::wire::error::WireError;
use crate::wire::message::Message;

use super::{HubSession, Phase};

impl HubSession {
    /// Numbers and signs the next frame and appends it to `out`.
    pub fn poll_transmit(&mut self, now: BootTime, out: &mut BytesMut) -> Option<Transmit> {
        self.transmit(now, out)
    }
}

impl Flow for HubSession {
    type Event = HubEvent;

    fn port(&mut self) -> &mut Port<HubEvent> {
        &mut self.port
    }

    fn outbound(&mut self) -> Option<&mut Outbound> {
        Some(&mut self.outbound)
    }

    fn beside(&mut self) -> (&mut Relays, &mut Rate) {
        (&mut self.relays, &mut self.rate)
    }

    fn is_live(&self) -> bool {
        match self.phase {
            Phase::Live => true,
            Phase::Challenge { .. } | Phase::Listing { .. } | Phase::Deciding { .. } | Phase::Closed => false,
        }
    }

    fn next_own(&mut self, now: BootTime) -> Option<Message> {
        if let Some(mark) = self.acks.pop(now) {
            return Some(Message::Ack(mark));
        }
        if let Some(message) = self.relays.pop_reply().or_else(|| self.relays.pop_in_turn(&self.rate)) {
            return Some(message);
        }
        if let Some(offer) = self.orders.pop(&self.rate) {
            self.relays.others_went();
            return Some(offer);
        }
        self.relays.pop(&self.rate)
    }

    fn was_signed(&mut self, now: BootTime, freight: Freight, bytes: usize) {
        if let Freight::Offer(job, bytes) = freight {
            self.orders.signed(now, job, bytes, &self.rate);
        }
        if self.challenge_bytes == 0 {
            self.challenge_bytes = bytes;
        }
    }

    fn came_through(&mut self, now: BootTime) {
        self.orders.came_through(now, &self.rate);
    }

    fn end_for(&mut self, error: &WireError) {
        self.fail(error);
    }
}
