//! Rotating the agent's key inside its session.

use super::Connection;

impl Connection {
    /// Asks the agent for a new key where that is wanted.
    pub(super) fn look_for_rotation(&self) {
        if self.entry.as_ref().is_some_and(|entry| entry.take_rotation()) {
            tracing::debug!(agent = %self.credential.agent.name, "a rotation is due");
        }
    }
}
