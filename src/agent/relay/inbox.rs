//! Messages for this agent's handlers: one task for each handler, which takes them in the order they came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::id::{HandlerName, MessageId};
use crate::limit;
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Relay, RelayOutcome, RelayReply};

use super::memory::{Memory, Seen};
use super::{AnyHandler, RelayHandlers, RelayMessage};

/// A handle on the handlers; cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Inbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    workers: BTreeMap<HandlerName, mpsc::Sender<RelayMessage>>,
    memory: Mutex<Memory>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Inbox {
    /// Starts a task for each handler.
    pub(in crate::agent) fn start(handlers: RelayHandlers) -> Self {
        let mut workers = BTreeMap::new();
        let mut waiting = Vec::new();
        for (name, handler) in handlers.0 {
            let (worker, messages) = mpsc::channel(limit::RELAY_IN_FLIGHT);
            workers.insert(name, worker);
            waiting.push((handler, messages));
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let inner = Arc::new(Inner { workers, memory: Mutex::default(), stop, tasks });
        for (handler, messages) in waiting {
            let worker = Worker { handler, inner: Arc::clone(&inner) };
            inner.tasks.spawn(worker.run(messages));
        }
        Self(inner)
    }

    /// A message came: it is handled, or answered at once. Never waits.
    pub(in crate::agent) fn take(&self, relay: Relay, replies: &mpsc::Sender<RelayReply>) {
        let id = relay.id;
        if let Err(outcome) = self.0.take(relay, replies) {
            tell(replies, id, outcome);
        }
    }

    /// Ends all handlers where they are. A message that the hub kept and that was not handled to its end comes again.
    pub(in crate::agent) async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Err` says what is to be answered at once.
    fn take(&self, relay: Relay, replies: &mpsc::Sender<RelayReply>) -> Result<(), RelayOutcome> {
        let (bytes, most) = (relay.payload.len(), limit::RELAY_BYTES_MAX);
        if bytes > most {
            let detail = format!("{bytes} bytes, the limit is {most}");
            return Err(RelayOutcome::refused(ErrorCode::TooLarge, detail));
        }
        let mut memory = self.memory();
        match memory.look(relay.id, replies) {
            Seen::Never => {}
            Seen::Running => return Ok(()),
            Seen::Done(outcome) => return Err(outcome),
        }
        let Some(worker) = self.workers.get(&relay.handler) else {
            let detail = format!("this agent has no handler `{}`", relay.handler);
            return Err(RelayOutcome::refused(ErrorCode::RelayHandler, detail));
        };
        let message = RelayMessage {
            id: relay.id,
            sender: relay.sender,
            // Not a slice of the socket's block, which it would keep.
            payload: Bytes::copy_from_slice(&relay.payload),
            delivery: relay.delivery,
        };
        if worker.try_send(message).is_err() {
            let detail = format!("the handler `{}` does not keep up", relay.handler);
            return Err(RelayOutcome::refused(ErrorCode::RelayFull, detail));
        }
        memory.begin(relay.id, replies.clone());
        Ok(())
    }

    fn handled(&self, id: MessageId, outcome: RelayOutcome) {
        let told = self.memory().finish(id, outcome.clone());
        if let Some(replies) = told {
            tell(&replies, id, outcome);
        }
    }
}

/// An answer that finds no session is lost with it.
fn tell(replies: &mpsc::Sender<RelayReply>, id: MessageId, outcome: RelayOutcome) {
    if replies.try_send(RelayReply { id, outcome }).is_err() {
        tracing::debug!(%id, "the answer to a message found no session");
    }
}

/// One handler at work.
struct Worker {
    handler: Arc<dyn AnyHandler>,
    inner: Arc<Inner>,
}

impl Worker {
    async fn run(self, mut messages: mpsc::Receiver<RelayMessage>) {
        let stop = self.inner.stop.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                message = messages.recv() => match message {
                    Some(message) => message,
                    None => return,
                },
            };
            let id = message.id;
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                outcome = self.handle(message) => outcome,
            };
            self.inner.handled(id, outcome);
        }
    }

    /// In a task of its own: a panic is a refusal.
    async fn handle(&self, message: RelayMessage) -> RelayOutcome {
        let refused = |detail: String| RelayOutcome::refused(ErrorCode::RelayHandler, detail);
        let handling = tokio::spawn(Arc::clone(&self.handler).handle(message));
        let handling = AbortOnDropHandle::new(handling);
        match tokio::time::timeout(limit::RELAY_HANDLER_TIMEOUT, handling).await {
            Ok(Ok(Ok(()))) => RelayOutcome::Delivered,
            Ok(Ok(Err(refusal))) => RelayOutcome::refused(refusal.code, refusal.reason),
            Ok(Err(error)) => {
                tracing::error!(%error, "a handler of relayed messages ended badly");
                refused("the handler failed".to_owned())
            }
            Err(_late) => {
                let most = limit::RELAY_HANDLER_TIMEOUT.as_secs();
                refused(format!("the handler took longer than {most} s"))
            }
        }
    }
}
