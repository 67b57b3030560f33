//! Wakes who waits for something about an agent or its jobs, or for lines of apps.
//!
//! Only agents that somebody waits for have an entry, so there are as many as there are waiting requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::hub::store::{AgentRef, Store};

#[derive(Debug, Default)]
pub(in crate::hub::store) struct Changes {
    agents: Mutex<HashMap<AgentRef, watch::Sender<()>>>,
    /// Of apps, whichever agents they came from.
    lines: watch::Sender<()>,
    /// For who waits for any agent.
    fleet: watch::Sender<()>,
}

impl Changes {
    /// Something of the agent's was committed.
    pub(in crate::hub::store) fn note(&self, agent: AgentRef) {
        self.fleet.send_replace(());
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = agents.get(&agent)
            && sender.send(()).is_err()
        {
            agents.remove(&agent);
        }
    }

    /// Lines of apps were committed.
    pub(in crate::hub::store) fn note_lines(&self) {
        self.lines.send_replace(());
    }

    pub(in crate::hub::store) fn subscribe_lines(&self) -> Changed {
        Changed(self.lines.subscribe())
    }

    /// Something was committed, and nobody knows whose it is.
    fn note_all(&self) {
        self.fleet.send_replace(());
        for sender in self.agents.lock().unwrap_or_else(PoisonError::into_inner).values() {
            sender.send_replace(());
        }
    }

    fn subscribe(&self, agent: AgentRef) -> watch::Receiver<()> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.retain(|_, sender| sender.receiver_count() > 0);
        agents.entry(agent).or_insert_with(|| watch::channel(()).0).subscribe()
    }
}

/// Tells that there is something new: of commits that concern an agent, its jobs or logs, or of lines of apps.
#[derive(Debug)]
pub struct Changed(watch::Receiver<()>);

impl Changed {
    /// Whenever something is sent.
    pub(in crate::hub) const fn of(told: watch::Receiver<()>) -> Self {
        Self(told)
    }

    /// Completes once something was committed since this was made or last completed; for ever pending where nothing is.
    /// Cancel safe.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Store {
    /// From now on every commit that concerns the agent is told. To be called before what is waited for is looked at.
    pub fn watch_jobs(&self, agent: AgentRef) -> Changed {
        Changed(self.changes.subscribe(agent))
    }

    /// The same for every agent.
    pub fn watch_fleet(&self) -> Changed {
        Changed(self.changes.fleet.subscribe())
    }

    /// Another process changed something: all who wait look.
    pub fn note_foreign_change(&self) {
        self.changes.note_all();
    }
}
