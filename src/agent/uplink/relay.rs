//! Messages of one session: those of the agent's program on their way to their answers, and those for its handlers.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::agent::relay::{Inbox, Line, Outgoing, RelayError, Said};
use crate::id::MessageId;
use crate::limit;
use crate::session::AgentSession;
use crate::time::BootTime;
use crate::wire::relay::{Relay, RelayReply};

use super::Uplink;

/// What the session relays with.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Relaying {
    pub(in crate::agent) line: Line,
    pub(in crate::agent) inbox: Inbox,
}

/// Messages of the agent's program.
pub(super) struct Sends {
    line: Line,
    /// Once the session is registered.
    outgoing: Option<mpsc::Receiver<Outgoing>>,
    /// Who waits for an answer, and until when.
    waiting: HashMap<MessageId, (oneshot::Sender<Said>, BootTime)>,
}

impl Sends {
    pub(super) fn new(line: Line) -> Self {
        Self { line, outgoing: None, waiting: HashMap::new() }
    }

    /// The session is registered.
    pub(super) fn open(&mut self) {
        self.outgoing = Some(self.line.connect());
    }

    /// The next message of the program; never ready before the registration. Cancel safe.
    pub(super) async fn next(&mut self) -> Outgoing {
        if let Some(outgoing) = &mut self.outgoing
            && let Some(next) = outgoing.recv().await
        {
            return next;
        }
        std::future::pending().await
    }

    pub(super) fn send(&mut self, session: &mut AgentSession, outgoing: Outgoing, now: BootTime) {
        let Outgoing { relay, said } = outgoing;
        let (bytes, most) = (relay.payload.len(), session.relay_bytes_max());
        if bytes > most {
            return tell(said, Err(RelayError::TooLarge { bytes, most }));
        }
        self.waiting.insert(relay.id, (said, now.after(limit::RELAY_REPLY_TIMEOUT)));
        session.send_relay(relay);
    }

    pub(super) fn answered(&mut self, reply: RelayReply) {
        if let Some((said, _)) = self.waiting.remove(&reply.id) {
            tell(said, reply.outcome.into_receipt().map_err(RelayError::from));
        }
    }

    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.waiting.values().map(|(_, until)| *until).min()
    }

    /// Whoever waits for too long has gone.
    pub(super) fn give_up(&mut self, session: &mut AgentSession, now: BootTime) {
        self.waiting.retain(|id, (_, until)| {
            let late = *until <= now;
            if late {
                session.forget_relay(*id);
            }
            !late
        });
    }
}

impl Drop for Sends {
    /// What was not sent is said to be so; what waits for an answer hears that there is none.
    fn drop(&mut self) {
        if let Some(mut outgoing) = self.outgoing.take() {
            self.line.disconnect();
            outgoing.close();
            while let Ok(Outgoing { said, .. }) = outgoing.try_recv() {
                tell(said, Err(RelayError::NoLink));
            }
        }
    }
}

fn tell(said: oneshot::Sender<Said>, what: Said) {
    if said.send(what).is_err() {
        tracing::debug!("whoever sent a message waits for its answer no longer");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) fn on_relay(&self, relay: Relay) {
        self.with.relaying.inbox.take(relay, &self.relay_replies.0);
    }
}
