//! Wakes who waits for something about an agent's jobs.
//!
//! Only agents that somebody waits for have an entry, so there are as many as there are waiting requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::hub::store::{AgentRef, Store};

#[derive(Debug, Default)]
pub(in crate::hub::store) struct Changes(Mutex<HashMap<AgentRef, watch::Sender<()>>>);

impl Changes {
    /// Something of the agent's was committed.
    pub(in crate::hub::store) fn note(&self, agent: AgentRef) {
        let mut agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = agents.get(&agent)
            && sender.send(()).is_err()
        {
            agents.remove(&agent);
        }
    }

    fn subscribe(&self, agent: AgentRef) -> watch::Receiver<()> {
        let mut agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        agents.retain(|_, sender| sender.receiver_count() > 0);
        agents.entry(agent).or_insert_with(|| watch::channel(()).0).subscribe()
    }
}

/// Tells of commits that concern an agent's jobs or logs.
#[derive(Debug)]
pub struct Changed(watch::Receiver<()>);

impl Changed {
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
}
