//! What is left to do when a session is over: let go, note it, and say why.

use crate::limit;
use crate::session::Closed;
use crate::wire::error::ErrorCode;

use super::stranded::GivenUp;
use super::{Connection, hub_time};

/// Whether the peer heard why its session ended, as far as anybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    No,
    Yes,
}

impl Connection {
    /// From here on nothing of this session goes to the store but what this gives, and nobody finds it in the registry.
    pub(super) fn leave(&mut self) -> GivenUp {
        self.stage.clear();
        // Before the next session is let in, which is to know of it.
        let given_up = self.count_stranded();
        self.leave_mail();
        if let Some(entry) = &self.entry {
            self.shared.registry.logout(entry);
            entry.mailbox.close();
            entry.release();
        }
        given_up
    }

    /// From here on the agent counts as away, unless another session of it is there.
    pub(super) async fn note_offline(&mut self) {
        // A hub that goes notes it for all at once.
        if self.entry.is_none() || self.shared.stop.is_cancelled() {
            return;
        }
        let noted = self.shared.store.note_offline(self.credential.agent.agent, self.session_id, hub_time());
        if let Err(error) = noted.await {
            tracing::warn!(%error, agent = %self.credential.agent.name, "the end of a session could not be noted");
        }
    }

    /// Says why and closes, as far as the peer listens.
    pub(super) async fn finish(&mut self, closed: Closed) -> Heard {
        let name = closed.error.map_or("closed", ErrorCode::name);
        self.shared.counters.sessions_ended.add(name);
        if let (None, Some(error)) = (&self.intake, closed.error) {
            // It never registered: that counts with what upgrades are refused for.
            self.shared.counters.keep_out(error);
        }
        tracing::info!(agent = %self.credential.agent.name, session = %self.session_id, error = name,
            code = closed.code, detail = closed.detail, means = closed.error.map(ErrorCode::text), "a session ended");
        if closed.error == Some(ErrorCode::WriteTimeout) {
            return Heard::No;
        }
        let Self { line, session, shared, .. } = self;
        let goodbye = line.say_goodbye(&shared.counters, session, &closed);
        if tokio::time::timeout(limit::CLOSE_TIMEOUT, goodbye).await.is_err() {
            tracing::debug!(session = %self.session_id, "the peer did not hear the end");
            return Heard::No;
        }
        Heard::Yes
    }
}
