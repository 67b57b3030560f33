//! Messages of one session's agent for others.
//!
//! A task of its own sends them on, in the order they came: however long the store takes for one, the connection goes on. The
//! session bounds how many there are, and the task ends with the connection.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::hub::Shared;
use crate::hub::relay::{Answer, route};
use crate::hub::store::AgentRow;
use crate::limit;
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Relay, RelayOutcome, RelayReply};

use super::Connection;

/// Nothing before the first message: most agents send none.
#[derive(Default)]
pub(super) struct Outgoing {
    sender: Option<Sender>,
}

struct Sender {
    messages: mpsc::Sender<(Relay, Answer)>,
    /// Where what becomes of them comes back.
    answers: (mpsc::Sender<RelayReply>, mpsc::Receiver<RelayReply>),
    /// Ends with this.
    _task: AbortOnDropHandle<()>,
}

impl Outgoing {
    /// What became of a message. Cancel safe.
    pub(super) async fn answered(&mut self) -> RelayReply {
        let answers = self.sender.as_mut().map(|sender| &mut sender.answers.1);
        match answers {
            Some(answers) => match answers.recv().await {
                Some(reply) => reply,
                // Not while this has the other end itself.
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

impl Sender {
    fn start(shared: &Arc<Shared>, agent: &AgentRow) -> Self {
        let (messages, waiting) = mpsc::channel(limit::RELAY_IN_FLIGHT);
        let task = shared.tasks.spawn(send_each(Arc::clone(shared), agent.clone(), waiting));
        Self { messages, answers: mpsc::channel(limit::RELAY_IN_FLIGHT), _task: AbortOnDropHandle::new(task) }
    }
}

async fn send_each(shared: Arc<Shared>, agent: AgentRow, mut waiting: mpsc::Receiver<(Relay, Answer)>) {
    while let Some((relay, answer)) = waiting.recv().await {
        route(&shared, &agent, relay, answer).await;
    }
}

impl Connection {
    /// A message of the agent's for another one. Never waits.
    pub(super) fn relay_for(&mut self, relay: Relay) {
        let Self { shared, credential, outgoing: Outgoing { sender }, .. } = self;
        let sender = sender.get_or_insert_with(|| Sender::start(shared, &credential.agent));
        let answer = Answer::new(relay.id, sender.answers.0.clone(), shared.counters.relays.clone());
        if let Err(full) = sender.messages.try_send((relay, answer)) {
            let (_, answer) = full.into_inner();
            answer.give(RelayOutcome::refused(
                ErrorCode::RelayFull,
                "earlier messages wait for the hub's store",
            ));
        }
    }
}
