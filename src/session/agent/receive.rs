//! What the hub says, once its keys are known.

use bytes::Bytes;

use crate::id::MessageId;
use crate::session::event::{AgentEvent, Closed};
use crate::session::port::unexpected;
use crate::time::{BootTime, WallTime};
use crate::wire::error::WireError;
use crate::wire::message::{ErrorMessage, Message};

use super::{AgentSession, Phase};

impl AgentSession {
    /// One frame of a session whose keys are known.
    pub(super) fn handle_signed(
        &mut self,
        now: BootTime,
        wall: WallTime,
        frame: &Bytes,
    ) -> Result<(), WireError> {
        let Some(link) = self.link.as_mut() else { return Ok(()) };
        self.opening.note(frame.len());
        let opened = link.inbound.open(now, frame);
        let (id, message) = opened.map_err(|error| link.explain(error))?;
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
            message => self.handle_live(now, id, message),
        }
    }

    fn handle_live(&mut self, now: BootTime, id: MessageId, message: Message) -> Result<(), WireError> {
        let Phase::Live(live) = &mut self.phase else { return Err(unexpected(&message)) };
        match message {
            Message::Ack(mark) => {
                if self.uplink.ack(now, &mark)? {
                    let backlog = self.uplink.has_backlog();
                    live.no_ack_at = backlog.then(|| now.after(self.config.no_ack));
                    self.port.tell(AgentEvent::Acked(mark));
                }
                Ok(())
            }
            Message::JobOffer(offer) => {
                self.port.tell(AgentEvent::JobOffer { id, offer });
                Ok(())
            }
            Message::CancelJob(job) => {
                self.port.tell(AgentEvent::CancelJob(job));
                Ok(())
            }
            Message::Relay(relay) => {
                self.handle_relay(*relay);
                Ok(())
            }
            Message::RelayReply(reply) => {
                self.handle_relay_reply(reply);
                Ok(())
            }
            message @ (Message::RotateKey(_) | Message::KeyStored(_)) => self.handle_rotation(message),
            other => self.port.handle_other(id, &other),
        }
    }

    fn handle_error(&mut self, error: ErrorMessage) {
        let detail = format!("the hub ended the session: {}", error.text);
        let closed = Closed { code: 1000, error: error.code, detail };
        self.port.tell(AgentEvent::HubError(error));
        self.end(None, closed);
    }
}
