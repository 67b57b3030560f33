//! A hub inside another program: how it is started with settings that no file was read for, and what the program asks of it.

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::id::{AgentName, HandlerName, MessageId};
use crate::limit;
use crate::obs::random;
use crate::wire::relay::{Delivery, NotDelivered, Receipt, Relay};

use super::config::{Config, RelayRule};
use super::relay::{Answer, route_own};
use super::store::StoreError;
use super::{Hub, StartError};

/// A hub that is about to start.
#[derive(Debug)]
pub struct Builder {
    config: Config,
}

/// Why a message of the hub's program was not delivered or queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The hub is closed, or about to be; nothing was sent.
    #[error("the hub is closed, nothing was sent")]
    Closed,
    /// It was handed on, or refused.
    #[error(transparent)]
    NotDelivered(#[from] NotDelivered),
}

impl Builder {
    pub(super) const fn new(config: Config) -> Self {
        Self { config }
    }

    /// Lets agents send to each other as one more rule says.
    #[must_use]
    pub fn allow_relay(mut self, rule: RelayRule) -> Self {
        self.config.relay.allow.push(rule);
        self
    }

    /// Starts the hub. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`]: settings out of their bounds, and whatever the machine refuses.
    pub async fn start(self) -> Result<Hub, StartError> {
        Hub::start_with(self.config.checked()?).await
    }
}

impl Hub {
    /// Whether the agent has a registered session now.
    ///
    /// # Errors
    /// Where there is no such agent, or the store cannot say.
    pub async fn is_connected(&self, agent: &AgentName) -> Result<bool, StoreError> {
        let row = self.shared.store.agent(agent).await?;
        Ok(self.shared.registry.session(row.id).is_some())
    }

    /// How many agents are registered now.
    pub fn peer_count(&self) -> usize {
        self.shared.registry.len()
    }

    /// Sends `payload`, at most `[limits] relay` bytes, to a handler of an agent's program, and waits for what becomes of
    /// it: `limit::RELAY_ANSWER_TIMEOUT` at most, and the store's time. The hub's own messages need no rule and have no rate.
    /// Not cancel safe: dropped, the message may be sent all the same.
    ///
    /// # Errors
    /// [`SendError`]: nothing was sent, or it was refused (`relay_offline`, `relay_full`: what was not begun on its way to the agent is in
    /// nobody's hands), or nobody knows ([`NotDelivered::Unanswered`]).
    pub async fn send(
        &self,
        agent: &AgentName,
        handler: &HandlerName,
        payload: impl Into<Bytes>,
        delivery: Delivery,
    ) -> Result<Receipt, SendError> {
        if self.shared.stop.is_cancelled() {
            return Err(SendError::Closed);
        }
        let (to, mut replies) = mpsc::channel(1);
        let id = MessageId::from_bytes(random::bytes());
        let (handler, payload) = (handler.clone(), payload.into());
        let relay = Relay { id, sender: None, to: None, handler, payload, delivery };
        let answer = Answer::new(id, to, self.shared.counters.relays.clone());
        route_own(&self.shared, agent, relay, answer).await;
        // Each answer is given; a session that hangs for longer than it may is a failure of ours.
        let heard = tokio::time::timeout(limit::RELAY_REPLY_TIMEOUT, replies.recv()).await;
        match heard {
            Ok(Some(reply)) => Ok(reply.outcome.into_receipt()?),
            Ok(None) | Err(_) => Err(NotDelivered::Unanswered.into()),
        }
    }

    /// The counters since the start, by the names that `GET /v1/status` shows them under.
    pub fn counters(&self) -> Value {
        self.shared.counters.to_json()
    }
}
