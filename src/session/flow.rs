//! How frames leave, alike at both ends: what the protocol itself has to say, then the end's own flow, each counted against the
//! line as soon as it is signed.

use bytes::BytesMut;

use crate::id::MessageId;
use crate::time::BootTime;
use crate::wire::error::WireError;
use crate::wire::message::Message;

use super::event::Transmit;
use super::freight::Freight;
use super::outbound::Outbound;
use super::port::Port;
use super::rate::Rate;
use super::relay::Relays;

/// One end.
pub(super) trait Flow {
    /// What its driver is told.
    type Event;

    fn port(&mut self) -> &mut Port<Self::Event>;

    /// `None` before there are keys.
    fn outbound(&mut self) -> Option<&mut Outbound>;

    fn beside(&mut self) -> (&mut Relays, &mut Rate);

    /// Whether the session is registered and not over.
    fn is_live(&self) -> bool;

    /// What goes next where nothing of the protocol's own waits, once the session is live.
    fn next_own(&mut self, now: BootTime) -> Option<Message>;

    /// A frame of so many bytes was signed, and counted.
    fn was_signed(&mut self, now: BootTime, freight: Freight, bytes: usize);

    /// More of what is no record came through.
    fn came_through(&mut self, now: BootTime);

    /// Ends the session for what cannot be sent.
    fn end_for(&mut self, error: &WireError);

    /// Numbers and signs the next frame and appends it to `out`.
    fn transmit(&mut self, now: BootTime, out: &mut BytesMut) -> Option<Transmit> {
        if self.port().take_socket_ping() {
            return Some(Transmit::Ping);
        }
        let (message, correlation) = match self.port().next() {
            Some(next) => next,
            None if self.is_live() => (self.next_own(now)?, MessageId::NONE),
            None => return None,
        };
        let (freight, before) = (Freight::of(&message), out.len());
        match self.outbound()?.seal(now, message, correlation, out) {
            Ok(id) => {
                let bytes = out.len().saturating_sub(before);
                let (relays, rate) = self.beside();
                freight.count(now, id, bytes, relays, rate);
                self.was_signed(now, freight, bytes);
                self.ask_for_pong();
                Some(Transmit::Frame)
            }
            Err(error) => {
                // What is left is the Error at most.
                self.end_for(&error);
                self.transmit(now, out)
            }
        }
    }

    /// The peer has read what was before this Ping.
    fn handle_pong(&mut self, now: BootTime, ping: MessageId) {
        if self.beside().1.ponged(now, ping) {
            self.others_came_through(now);
        }
    }

    /// What is no record came through, or is waited for no longer.
    fn others_came_through(&mut self, now: BootTime) {
        let (relays, rate) = self.beside();
        relays.came_through(now, rate);
        self.came_through(now);
        self.ask_for_pong();
    }

    fn ask_for_pong(&mut self) {
        if self.is_live() && self.beside().1.wants_ping() {
            self.port().queue.ping();
        }
    }
}
