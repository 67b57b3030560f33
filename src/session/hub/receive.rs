//! What the agent says, once a frame has passed every check before its meaning.

use crate::id::MessageId;
use crate::session::event::{Closed, HubEvent};
use crate::session::port::unexpected;
use crate::wire::error::WireError;
use crate::wire::message::Message;

use super::{HubSession, Phase};

impl HubSession {
    pub(super) fn handle_message(&mut self, id: MessageId, message: Message) -> Result<(), WireError> {
        match message {
            Message::Unknown(field) => {
                self.port.tell(HubEvent::Unknown(field));
                Ok(())
            }
            Message::Error(error) => {
                let detail = format!("the agent ended the session: {}", error.text);
                self.end(None, Closed { code: 1000, error: error.code, detail });
                Ok(())
            }
            message => match self.phase {
                Phase::Challenge { .. } | Phase::Listing { .. } => self.handle_handshake(message),
                Phase::Live => self.handle_live(id, message),
                Phase::Deciding { .. } | Phase::Closed => Err(unexpected(&message)),
            },
        }
    }

    fn handle_live(&mut self, id: MessageId, message: Message) -> Result<(), WireError> {
        match message {
            Message::Records(records) => {
                self.port.tell_each(self.intake.records(records)?);
                Ok(())
            }
            Message::Gap(gap) => {
                self.port.tell_each(self.intake.gap(gap)?);
                Ok(())
            }
            Message::Heartbeat(heartbeat) => {
                self.port.tell(HubEvent::Heartbeat(heartbeat));
                Ok(())
            }
            Message::JobAck(ack) => {
                self.port.tell(HubEvent::JobAck(ack));
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
            Message::KeyReply(share) => self.handle_key_reply(share),
            other => self.port.handle_other(id, &other),
        }
    }
}
