//! Rotating the agent's key inside its session.

use crate::hub::store::{Kept, fresh_key_id};
use crate::id::KeyId;
use crate::obs::random;
use crate::wire::error::ErrorCode;
use crate::wire::key::AgentKey;

use super::Connection;
use super::ending::for_peer;

impl Connection {
    /// Asks the agent for a new key where that is wanted, and still so: what told of it may be older than this session.
    pub(super) async fn look_for_rotation(&mut self) {
        if !self.entry.as_ref().is_some_and(|entry| entry.take_rotation()) {
            return;
        }
        match self.shared.store.is_rotation_asked(self.credential.agent.agent).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                // The next session asks again.
                return tracing::warn!(%error, agent = %self.credential.agent.name, "a rotation could not be looked up");
            }
        }
        match fresh_key_id() {
            Ok(key_id) => {
                tracing::debug!(agent = %self.credential.agent.name, key = %key_id, "the agent is asked for a new key");
                self.session.rotate_key(key_id, random::bytes());
            }
            Err(error) => tracing::error!(%error, "no key id could be made"),
        }
    }

    /// The agent holds this key durably; now the hub does.
    pub(super) async fn keep_key(
        &mut self,
        key_id: &KeyId,
        key: &AgentKey,
    ) -> Result<(), (ErrorCode, String)> {
        let agent = &self.credential.agent;
        match self.shared.store.keep_rotated(agent, key_id, key).await {
            Ok(Kept::Yes) => {
                tracing::info!(agent = %agent.name, key = %key_id, "a new key was agreed on");
                self.session.key_stored();
                Ok(())
            }
            // The agent goes on with the key it has beside it.
            Ok(Kept::No) => {
                tracing::info!(agent = %agent.name, key = %key_id, "a new key came that nobody asks for any more");
                Ok(())
            }
            Err(error) => Err(for_peer(&error)),
        }
    }
}
