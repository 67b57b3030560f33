//! The hub's half of a rotation: asked, answered, kept, confirmed. Once a session at most.

use crate::id::KeyId;
use crate::session::event::HubEvent;
use crate::session::port::unexpected;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::key::{RotationContext, RotationHalf};
use crate::wire::message::{KeyShare, Message};

use super::{HubSession, Phase};

/// How far it is.
#[derive(Debug, Default)]
pub(super) enum Rotation {
    /// Not asked for.
    #[default]
    No,
    /// The agent is to answer.
    Asked { key_id: KeyId, half: RotationHalf },
    /// The driver keeps the key.
    Answered(KeyId),
    /// The agent comes back with it.
    Done,
}

impl HubSession {
    /// Asks the agent for a new key with this id; `seed` is random. Only a registered agent is asked, and only once.
    pub fn rotate_key(&mut self, key_id: KeyId, seed: [u8; 32]) {
        if !matches!((&self.phase, &self.rotation), (Phase::Live, Rotation::No)) {
            return;
        }
        let half = RotationHalf::new(seed);
        self.port.queue.push(Message::RotateKey(KeyShare { key_id: key_id.clone(), public: half.public() }));
        self.rotation = Rotation::Asked { key_id, half };
    }

    /// The key of [`HubEvent::KeyAgreed`] is durable here: from now on the agent may come with it.
    pub fn key_stored(&mut self) {
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        match std::mem::replace(&mut self.rotation, Rotation::Done) {
            Rotation::Answered(key_id) => self.port.queue.push(Message::KeyStored(key_id)),
            other => self.rotation = other,
        }
    }

    pub(super) fn handle_key_reply(&mut self, share: KeyShare) -> Result<(), WireError> {
        match std::mem::replace(&mut self.rotation, Rotation::Done) {
            Rotation::Asked { key_id, half } if key_id == share.key_id => {
                let hub_public = half.public();
                let context = RotationContext {
                    root: &self.config.mac_root,
                    hub_id: self.config.hub_id,
                    agent_id: self.config.agent_id,
                    key_id: &key_id,
                    hub_public: &hub_public,
                    agent_public: &share.public,
                };
                let key = half.agree(&share.public, &context).ok_or_else(|| {
                    WireError::new(ErrorCode::Invalid, "the agent's public key is of low order")
                })?;
                self.port.tell(HubEvent::KeyAgreed { key_id: key_id.clone(), key });
                self.rotation = Rotation::Answered(key_id);
                Ok(())
            }
            Rotation::No | Rotation::Asked { .. } | Rotation::Answered(_) | Rotation::Done => {
                Err(unexpected(&Message::KeyReply(share)))
            }
        }
    }
}
