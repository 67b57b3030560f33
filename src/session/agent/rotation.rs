//! The agent's half of a rotation: asked, agreed, durable, answered, confirmed. Once a session at most, so that no hub
//! makes an agent write key after key.

use crate::id::KeyId;
use crate::session::event::AgentEvent;
use crate::session::port::unexpected;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::key::{AgentKey, RotationContext, RotationHalf};
use crate::wire::message::{KeyShare, Message};

use super::{AgentSession, Phase};

/// How far it is.
#[derive(Debug, Default)]
pub(super) enum Rotation {
    /// Not asked for.
    #[default]
    No,
    /// The driver is to agree.
    Asked,
    /// The driver makes the key durable; this is to be answered then.
    Agreed(KeyShare),
    /// The hub is to confirm.
    Answered(KeyId),
    /// Nothing more comes of it.
    Done,
}

impl AgentSession {
    /// Agrees on the key that [`AgentEvent::RotateKey`] asks for; `seed` is random. `None` where the session ended or ends
    /// for what the hub sent. The key is to be made durable, beside the one of this session, before `key_is_durable`.
    pub fn agree_key(&mut self, hub: &KeyShare, seed: [u8; 32]) -> Option<AgentKey> {
        if !matches!((&self.phase, &self.rotation), (Phase::Live(_), Rotation::Asked)) {
            return None;
        }
        let half = RotationHalf::new(seed);
        let public = half.public();
        let context = RotationContext {
            root: &self.config.mac_root,
            hub_id: self.config.hub_id,
            agent_id: self.config.agent_id,
            key_id: &hub.key_id,
            hub_public: &hub.public,
            agent_public: &public,
        };
        let Some(key) = half.agree(&hub.public, &context) else {
            self.fail(&WireError::new(ErrorCode::Invalid, "the hub's public key is of low order"));
            return None;
        };
        self.rotation = Rotation::Agreed(KeyShare { key_id: hub.key_id.clone(), public });
        Some(key)
    }

    /// The key that was agreed on survives a power cut: the hub may know.
    pub fn key_is_durable(&mut self) {
        if !matches!(self.phase, Phase::Live(_)) {
            return;
        }
        match std::mem::replace(&mut self.rotation, Rotation::Done) {
            Rotation::Agreed(share) => {
                self.rotation = Rotation::Answered(share.key_id.clone());
                self.port.queue.push(Message::KeyReply(share));
            }
            other => self.rotation = other,
        }
    }

    pub(super) fn handle_rotation(&mut self, message: Message) -> Result<(), WireError> {
        match (&self.rotation, message) {
            (Rotation::No, Message::RotateKey(share)) => {
                self.rotation = Rotation::Asked;
                self.port.tell(AgentEvent::RotateKey(share));
                Ok(())
            }
            (Rotation::Answered(waiting), Message::KeyStored(key_id)) if *waiting == key_id => {
                self.rotation = Rotation::Done;
                self.port.tell(AgentEvent::KeyStored(key_id));
                Ok(())
            }
            (_, other) => Err(unexpected(&other)),
        }
    }
}
