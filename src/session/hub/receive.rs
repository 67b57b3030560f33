//! What the agent says, once a frame has passed every check before its meaning.

use crate::session::event::{Closed, HubEvent};
use crate::session::flow::Flow as _;
use crate::session::port::unexpected;
use crate::time::BootTime;
use crate::wire::envelope::Header;
use crate::wire::error::WireError;
use crate::wire::message::Message;

use super::{HubSession, Phase};

impl HubSession {
    pub(super) fn handle_message(
        &mut self,
        now: BootTime,
        header: Header,
        message: Message,
    ) -> Result<(), WireError> {
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
                Phase::Live => self.handle_live(now, header, message),
                Phase::Deciding { .. } | Phase::Closed => Err(unexpected(&message)),
            },
        }
    }

    fn handle_live(&mut self, now: BootTime, header: Header, message: Message) -> Result<(), WireError> {
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
                self.port.tell_each(self.relays.take(*relay).map(HubEvent::Relay));
                Ok(())
            }
            Message::RelayReply(reply) => {
                self.port.tell_each(self.relays.answered(reply).map(HubEvent::RelayReply));
                Ok(())
            }
            Message::KeyReply(share) => self.handle_key_reply(share),
            Message::Pong => {
                self.handle_pong(now, header.correlation);
                Ok(())
            }
            other => self.port.handle_other(header.id, &other),
        }
    }
}
