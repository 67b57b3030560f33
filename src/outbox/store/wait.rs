//! A producer that waits for room: in its own task, outside the queue, so that nobody waits behind it.

use tokio::time::{Instant, timeout_at};

use crate::id::Lane;
use crate::limit;
use crate::outbox::admit::Encoded;
use crate::outbox::{AppendError, Appended};

use super::Outbox;

impl Outbox {
    /// As an append, and again whenever room may have been made, until `limit::BLOCK_TIMEOUT` is over.
    pub(super) async fn append_patiently(
        &self,
        lane: Lane,
        encoded: Encoded,
    ) -> Result<Appended, AppendError> {
        let mut room = self.handle.room.clone();
        let mut deadline = None;
        loop {
            room.mark_unchanged();
            let full = match self.queue(lane, encoded.clone(), None).await {
                Err(
                    full @ (AppendError::LaneFull { .. }
                    | AppendError::OutboxFull { .. }
                    | AppendError::DiskFull { .. }),
                ) => full,
                done => return done,
            };
            let now = Instant::now();
            let deadline = *deadline.get_or_insert(now + limit::BLOCK_TIMEOUT);
            if now >= deadline {
                return Err(full);
            }
            // An error means that the store is gone: the next append says so.
            let _looked = timeout_at(deadline.min(now + limit::BLOCK_LOOK), room.changed()).await;
        }
    }
}
