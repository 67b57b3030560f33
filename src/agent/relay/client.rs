//! What the agent's program sends, and the way to the session there is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::id::{AgentName, HandlerName, MessageId};
use crate::limit;
use crate::obs::random;
use crate::wire::relay::{Delivery, NotDelivered, Receipt, Relay};

/// Why a message was not delivered or queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// There is no session with the hub, or it ended before it began with the message; nothing was sent.
    #[error("there is no link to the hub, nothing was sent; send it later")]
    NoLink,
    /// The session's earlier messages are not answered, or the line did not take this one, for `limit::RELAY_REPLY_TIMEOUT`;
    /// nothing was sent.
    #[error("the link has no room, nothing was sent; send it later")]
    Busy,
    /// More than one message may have; nothing was sent.
    #[error("a message of {bytes} bytes, the limit is {most}; send smaller ones")]
    TooLarge {
        /// Its payload.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// It was sent.
    #[error(transparent)]
    NotDelivered(#[from] NotDelivered),
}

/// What becomes of a message.
pub(in crate::agent) type Said = Result<Receipt, RelayError>;

/// A message for the session, and where its fate is told.
#[derive(Debug)]
pub(in crate::agent) struct Outgoing {
    pub(in crate::agent) relay: Relay,
    pub(in crate::agent) said: oneshot::Sender<Said>,
}

/// Sends messages to handlers of other agents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RelayClient {
    line: Line,
}

impl RelayClient {
    pub(in crate::agent) const fn new(line: Line) -> Self {
        Self { line }
    }

    /// Sends `payload` to the handler of that name of another agent, and waits for what becomes of it: three times
    /// `limit::RELAY_REPLY_TIMEOUT` at most, and what the line needs (twice `limit::LINE_BUSY_MAX` at most). Not cancel safe: dropped, the message may be sent all the same.
    ///
    /// # Errors
    /// [`RelayError`]: nothing was sent, or it was refused, or nobody knows ([`NotDelivered::Unanswered`]). Nothing is sent a
    /// second time by itself.
    pub async fn send(
        &self,
        to: &AgentName,
        handler: &HandlerName,
        payload: impl Into<Bytes>,
        delivery: Delivery,
    ) -> Result<Receipt, RelayError> {
        let payload = payload.into();
        let (bytes, most) = (payload.len(), limit::RELAY_BYTES_MAX);
        if bytes > most {
            return Err(RelayError::TooLarge { bytes, most });
        }
        let session = self.line.session().ok_or(RelayError::NoLink)?;
        let place = tokio::time::timeout(limit::RELAY_REPLY_TIMEOUT, session.reserve())
            .await
            .map_err(|_late| RelayError::Busy)?
            .map_err(|_ended| RelayError::NoLink)?;
        let (said, heard) = oneshot::channel();
        let (to, handler) = (Some(to.clone()), handler.clone());
        let id = MessageId::from_bytes(random::bytes());
        place.send(Outgoing { relay: Relay { id, sender: None, to, handler, payload, delivery }, said });
        // Else what a session that ends at this moment does not take would be kept by this end of it.
        drop(session);
        // The session gives it up before, and tells.
        match tokio::time::timeout(limit::RELAY_SEND_MAX, heard).await {
            Ok(Ok(said)) => said,
            // A session says what becomes of what it took. This one ended before.
            Ok(Err(_not_taken)) => Err(RelayError::NoLink),
            Err(_late) => Err(NotDelivered::Unanswered.into()),
        }
    }
}

/// Leads to the session there is, if any.
#[derive(Debug, Clone, Default)]
pub(in crate::agent) struct Line(Arc<Mutex<Option<mpsc::Sender<Outgoing>>>>);

impl Line {
    fn slot(&self) -> MutexGuard<'_, Option<mpsc::Sender<Outgoing>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> Option<mpsc::Sender<Outgoing>> {
        self.slot().clone()
    }

    /// A session is registered: until the receiver is dropped, messages arrive there.
    pub(in crate::agent) fn connect(&self) -> mpsc::Receiver<Outgoing> {
        // One waits; what waits behind it waits in its sender.
        let (session, outgoing) = mpsc::channel(1);
        *self.slot() = Some(session);
        outgoing
    }

    /// The session has ended.
    pub(in crate::agent) fn disconnect(&self) {
        *self.slot() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_no_session_took_was_not_sent() {
        let line = Line::default();
        let mut outgoing = line.connect();
        let client = RelayClient::new(line);
        let (to, handler) = ("control".parse().unwrap(), "door".parse().unwrap());
        let send = client.send(&to, &handler, "smoke", Delivery::Now);
        let (said, ()) = tokio::join!(send, async {
            let message = outgoing.recv().await.unwrap();
            // Its place was given to it before the end, and it comes after.
            outgoing.close();
            drop(message);
        });
        assert_eq!(said, Err(RelayError::NoLink));
    }
}
