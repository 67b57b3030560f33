//! What the hub says, once its keys are known.

use std::time::Duration;

use bytes::Bytes;

use crate::session::event::{AgentEvent, Closed};
use crate::session::flow::Flow as _;
use crate::session::port::unexpected;
use crate::time::{BootTime, WallTime};
use crate::wire::envelope::Header;
use crate::wire::error::WireError;
use crate::wire::message::{ErrorMessage, Message};

use super::{AgentSession, Phase};

impl AgentSession {
    /// One frame of a session whose keys are known, which took so long to come.
    pub(super) fn handle_signed(
        &mut self,
        now: BootTime,
        wall: WallTime,
        took: Duration,
        frame: &Bytes,
    ) -> Result<(), WireError> {
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        self.opening.note(frame.len());
        let opened = link.inbound.open(now, took, frame);
        let (header, message) = opened.map_err(|error| link.explain(error))?;
        match message {
            Message::Error(error) => {
                self.handle_error(error);
                Ok(())
            }
            Message::Unknown(field) => {
                self.port.tell(AgentEvent::Unknown(field));
                Ok(())
            }
            Message::GoAway(go_away) => {
                self.port.tell(AgentEvent::GoAway(go_away));
                Ok(())
            }
            message @ (Message::RegisterAck(_) | Message::RegisterAckMore(_)) => {
                self.handle_register_ack(now, wall, message)
            }
            message => self.handle_live(now, header, message),
        }
    }

    fn handle_live(&mut self, now: BootTime, header: Header, message: Message) -> Result<(), WireError> {
        let Phase::Live(live) = &mut self.phase else { return Err(unexpected(&message)) };
        match message {
            Message::Ack(mark) => {
                if self.uplink.ack(now, &mark)? {
                    live.unacked.acked(now);
                    if !self.uplink.has_backlog() {
                        live.unacked.nothing_waits();
                    }
                    self.port.tell(AgentEvent::Acked(mark));
                }
                Ok(())
            }
            Message::JobOffer(offer) => {
                self.port.tell(AgentEvent::JobOffer { id: header.id, offer });
                Ok(())
            }
            Message::CancelJob(job) => {
                self.port.tell(AgentEvent::CancelJob(job));
                Ok(())
            }
            Message::Relay(relay) => {
                self.port.tell_each(self.relays.take(*relay).map(AgentEvent::Relay));
                Ok(())
            }
            Message::RelayReply(reply) => {
                self.port.tell_each(self.relays.answered(reply).map(AgentEvent::RelayReply));
                Ok(())
            }
            message @ (Message::RotateKey(_) | Message::KeyStored(_)) => self.handle_rotation(message),
            Message::Pong => {
                self.handle_pong(now, header.correlation);
                Ok(())
            }
            other => self.port.handle_other(header.id, &other),
        }
    }

    fn handle_error(&mut self, error: ErrorMessage) {
        let detail = format!("the hub ended the session: {}", error.text);
        let closed = Closed { code: 1000, error: error.code, detail };
        self.port.tell(AgentEvent::HubError(error));
        self.end(None, closed);
    }
}
