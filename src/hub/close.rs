//! The end of a hub, in order and once, however often it is asked for.

use tokio::task::JoinHandle;

use crate::limit;
use crate::time::millis;

use super::store::FolderLock;
use super::{Hub, hub_time};

/// What a hub has to itself until it is closed.
pub(super) struct Held {
    /// Until it is through.
    pub(super) writer: Option<JoinHandle<()>>,
    pub(super) _lock: FolderLock,
}

impl Hub {
    /// The same as [`Self::close`], for who has it to itself.
    pub async fn shutdown(self) {
        self.close().await;
    }

    /// Ends everything in order: nobody is let in any more, and each agent is told when to come back, one after the
    /// other, then closed with 1001. A hub that is closed stays so, and whoever closes one that is being closed waits until
    /// it is. Cancel safe: it goes on with the next call.
    pub async fn close(&self) {
        let mut held = self.held.lock().await;
        let Some(Held { writer, .. }) = held.as_mut() else { return };
        let sessions = self.peer_count();
        let spread = self.shared.admission.depart(sessions);
        if sessions > 0 {
            let spread_ms = millis(spread);
            tracing::info!(sessions, spread_ms, "the agents are asked to come back one after the other");
        }
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(limit::SHUTDOWN_TIMEOUT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.shared.tasks.len(), "some connections did not end in time");
        }
        if let Err(error) = self.shared.store.note_stop(hub_time()).await {
            tracing::warn!(%error, "the end of the sessions could not be noted");
        }
        self.shared.store.close().await;
        if let Some(running) = writer
            && let Err(error) = running.await
        {
            tracing::error!(%error, "the store's writer failed");
        }
        *writer = None;
        self.shared.store.close_pool().await;
        *held = None;
    }
}
