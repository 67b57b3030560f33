//! The registration: who is replaced, what the marks are.

use std::sync::Arc;

use crate::hub::ingest::Intake;
use crate::hub::registry::{self, Entry};
use crate::hub::store::{Login, StoreError, Welcome};
use crate::limit;
use crate::obs::clock;
use crate::time::ClockOffset;
use crate::wire::error::ErrorCode;
use crate::wire::message::Register;

use super::{Connection, hub_time};

impl Connection {
    /// The second login of an agent wins: the first hands nothing more to the store before the marks are read.
    pub(super) async fn register(&mut self, register: &Register) -> Result<(), StoreError> {
        let agent = &self.credential.agent;
        let since = hub_time();
        let entry = Arc::new(Entry::new(
            agent.id,
            self.credential.key_id.clone(),
            self.session_id,
            register.instance,
            self.address,
            since,
            ClockOffset::between(since, register.wall_time),
        ));
        let replaced = match self.shared.registry.login(Arc::clone(&entry), clock::boot_now()) {
            registry::Login::First => None,
            registry::Login::Replaces(old) => Some(old),
            registry::Login::Refused(there) => {
                self.refuse_copy(&there);
                return Ok(());
            }
        };
        self.entry = Some(entry);
        if let Some(old) = replaced {
            tracing::warn!(agent = %agent.name, first = %old.address, second = %self.address,
                "a second login of the agent replaces the first");
            if tokio::time::timeout(self.shared.config.write_timeout, old.released()).await.is_err() {
                tracing::error!(agent = %agent.name, "the replaced session did not let go in time");
            }
        }
        let streams = register.streams.entries.iter().map(|state| state.stream).collect();
        let marks = self.shared.store.marks(agent.agent, streams).await?;
        let login = Login {
            agent,
            key_id: &self.credential.key_id,
            session: self.session_id,
            instance: register.instance,
            hostname: &register.hostname,
            agent_version: &register.agent_version,
        };
        let welcomed = match self.shared.store.log_in(login).await {
            Ok(welcomed) => welcomed,
            // A database that takes nothing now keeps no agent out, but who was revoked meanwhile.
            Err(error) => {
                tracing::warn!(%error, agent = %agent.name, "the agent's process could not be noted");
                let known = self.shared.store.credential_of(agent.id, &self.credential.key_id).await?;
                known.map(|_| Welcome::In)
            }
        };
        let welcome = match welcomed {
            Ok(welcome) => welcome,
            Err(denied) => {
                let code = denied.code();
                self.session.close(clock::boot_now(), code, code.text());
                return Ok(());
            }
        };
        tracing::info!(agent = %agent.name, address = %self.address, session = %self.session_id,
            instance = %register.instance, "an agent registered");
        self.shared.counters.registrations.add(1);
        self.intake = Some(Intake::new(agent.agent, &marks, self.stage.reply()));
        self.session.accept(clock::boot_now(), marks, None);
        if let Some(handshake) = self.handshake.take() {
            handshake.registered();
        }
        self.look_for_what_waits();
        if welcome == Welcome::Rotate
            && let Some(entry) = &self.entry
        {
            entry.ask_for_rotation();
        }
        Ok(())
    }

    /// Offers, cancels and messages from before.
    fn look_for_what_waits(&mut self) {
        self.orders.begin();
        if let Some(entry) = &self.entry {
            entry.mailbox.ring();
        }
    }

    /// Two copies of the agent run: the one that is there stays.
    fn refuse_copy(&mut self, there: &Entry) {
        let agent = &self.credential.agent.name;
        tracing::warn!(%agent, there = %there.address, refused = %self.address,
            "two copies of the agent run; give each an identity of its own");
        let detail =
            format!("another copy is connected from {}, this one comes from {}", there.address, self.address);
        self.session.send_away(ErrorCode::IdentityInUse, &detail, limit::IDENTITY_IN_USE_WAIT);
    }
}
