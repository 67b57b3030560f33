//! Messages between agents, and from the hub's own program to one: who may send, to whom, how much, and where it goes.
//!
//! ```text
//! sender's session -> Relays::route -> another agent's mailbox -> its session -> its handler
//!        ^                |                    (now)                                |
//!        |                +-> the store -> its session, oldest first (queued)       |
//!        +------------------------ Answer <-----------------------------------------+
//! ```
//! * The sender is the agent whose session a message came in. One that names another is refused, whatever the rules say.
//! * Nothing passes without a rule (`[relay] allow`); the hub's own program needs none.
//! * Each message has exactly one answer. Whoever drops an [`Answer`] says `unanswered` by it. A message of which no byte went to its
//!   agent is never left at that: its sender hears that it was certainly not handled (`relay_full`, `relay_offline`).
//! * A session's mailbox, its unanswered messages and what the store keeps for it are bounded: one agent that does not read
//!   fills nothing, and keeps no other from being served.

mod answer;
mod hold;
mod mail;
mod mailbox;

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::id::{AgentName, MessageId};
use crate::limit;
use crate::obs::{clock, random};
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Delivery, Relay, RelayOutcome, Sender};

use super::config::RelayConfig;
use super::quota::Flows;
use super::store::{AgentRow, AgentState, KeptRelay, NewRelay, StoreError};
use super::{Shared, hub_time};
pub(super) use answer::Answer;
pub(crate) use mail::{Answered, Mail};
pub(super) use mailbox::{Mailbox, Parcel};
use mailbox::{away, no_room};

/// What every message has to pass.
pub(super) struct Relays {
    config: RelayConfig,
    bytes_max: usize,
    /// How fast each agent's messages come.
    flows: Mutex<Flows>,
}

/// Why a message goes nowhere.
type Refused = (ErrorCode, String);

impl Relays {
    /// `bytes_max`: of one message's payload.
    pub(super) fn new(config: RelayConfig, bytes_max: usize) -> Self {
        let flows = Mutex::new(Flows::new(NonZeroU64::from(config.rate)));
        Self { config, bytes_max, flows }
    }

    /// Whom a message of an agent is for, where it may be sent.
    fn admit<'a>(
        &self,
        sender: &AgentRow,
        relay: &'a Relay,
        now: BootTime,
    ) -> Result<&'a AgentName, Refused> {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        if flows.slowed_until(sender.agent, now).is_some() {
            let detail = format!("more than {} messages a second", self.config.rate);
            return Err((ErrorCode::RateLimited, detail));
        }
        flows.note(sender.agent, 1, now);
        drop(flows);
        if let Some(Sender { id, name }) = &relay.sender
            && (*id != sender.id || name.as_ref().is_some_and(|name| *name != sender.name))
        {
            return Err((ErrorCode::RelaySender, format!("it names {id}, it came from {}", sender.id)));
        }
        let Some(to) = &relay.to else {
            return Err((ErrorCode::Invalid, "it says not whom it is for".to_owned()));
        };
        self.admit_pair(Some(&sender.name), to, relay.payload.len())?;
        Ok(to)
    }

    /// Whether so many bytes of this sender, `None` being the hub's own program, may go to this agent.
    pub(super) fn admit_pair(
        &self,
        sender: Option<&AgentName>,
        to: &AgentName,
        bytes: usize,
    ) -> Result<(), Refused> {
        if let Some(sender) = sender
            && !self.config.allows(sender, to)
        {
            return Err((ErrorCode::RelayDenied, format!("from {sender} to {to}")));
        }
        self.admit_size(bytes)
    }

    fn admit_size(&self, bytes: usize) -> Result<(), Refused> {
        if bytes > self.bytes_max {
            let detail = format!("{bytes} bytes, the limit is {}", self.bytes_max);
            return Err((ErrorCode::TooLarge, detail));
        }
        Ok(())
    }
}

/// Sends a message of an agent on its way, or answers it.
pub(super) async fn route(shared: &Shared, sender: &AgentRow, relay: Relay, answer: Answer) {
    let sent = match shared.relays.admit(sender, &relay, clock::boot_now()) {
        Ok(to) => {
            let to = to.clone();
            deliver(shared, Some(sender), &to, relay, answer).await
        }
        Err(refused) => Err((answer, refused)),
    };
    if let Err((answer, (code, detail))) = sent {
        match code {
            ErrorCode::RelaySender => tracing::warn!(agent = %sender.name, detail,
                "an agent sent a message in the name of another; it was refused"),
            code => {
                tracing::debug!(agent = %sender.name, error = code.name(), detail, "a message was refused")
            }
        }
        answer.give(RelayOutcome::Refused { code: Some(code), detail });
    }
}

/// Sends a message of the hub's own program on its way, or answers it.
pub(super) async fn route_own(shared: &Shared, to: &AgentName, relay: Relay, answer: Answer) {
    let sent = match shared.relays.admit_size(relay.payload.len()) {
        Ok(()) => deliver(shared, None, to, relay, answer).await,
        Err(refused) => Err((answer, refused)),
    };
    if let Err((answer, (code, detail))) = sent {
        answer.give(RelayOutcome::Refused { code: Some(code), detail });
    }
}

/// Gives a message to the session of whom it is for, or to the store. Its id is drawn anew: what a sender calls a message is
/// nothing that another agent could rely on.
async fn deliver(
    shared: &Shared,
    sender: Option<&AgentRow>,
    to: &AgentName,
    relay: Relay,
    answer: Answer,
) -> Result<(), (Answer, Refused)> {
    let recipient = match shared.store.agent(to).await {
        Ok(recipient) if recipient.state == AgentState::Active => recipient,
        Ok(_) => return Err((answer, (ErrorCode::Revoked, format!("`{to}`")))),
        Err(StoreError::NoAgent(_)) => return Err((answer, (ErrorCode::UnknownAgent, format!("`{to}`")))),
        Err(error) => return Err((answer, for_sender(ErrorCode::Internal, &error))),
    };
    let id = MessageId::from_bytes(random::bytes());
    match relay.delivery {
        Delivery::Now => {
            let from = sender.map(|row| Sender { id: row.id, name: Some(row.name.clone()) });
            let relay = Relay { id, sender: from, to: None, ..relay };
            let until = clock::boot_now().after(limit::RELAY_ANSWER_TIMEOUT);
            match shared.registry.session(recipient.id) {
                Some(session) => session.mailbox.post(Parcel { relay, answer, until }),
                None => Err((answer, away())),
            }
        }
        Delivery::Queued => {
            let (handler, payload) = (&relay.handler, &relay.payload);
            let new = NewRelay {
                id,
                recipient: recipient.agent,
                sender: sender.map(|row| row.agent),
                handler,
                payload,
            };
            match shared.store.keep_relay(new, hub_time()).await {
                Ok(KeptRelay::Yes) => {
                    if let Some(session) = shared.registry.session(recipient.id) {
                        session.mailbox.note_kept();
                    }
                    answer.give(RelayOutcome::Queued);
                    Ok(())
                }
                Ok(KeptRelay::Full { messages, bytes }) => {
                    let detail = format!("{messages} messages of {bytes} bytes wait for `{to}`");
                    Err((answer, (ErrorCode::RelayFull, detail)))
                }
                Ok(KeptRelay::Gone) => Err((answer, (ErrorCode::Revoked, format!("`{to}`")))),
                Err(error) => Err((answer, for_sender(ErrorCode::StorageFull, &error))),
            }
        }
    }
}

/// What a failure of the store is to a sender.
fn for_sender(code: ErrorCode, error: &StoreError) -> Refused {
    tracing::warn!(%error, "a message could not be looked up or kept");
    (code, "the hub's store failed".to_owned())
}

/// Deletes messages whose time is over, again and again until the hub stops.
pub(super) async fn sweep(shared: Arc<Shared>) {
    let stop: CancellationToken = shared.stop.clone();
    loop {
        match shared.store.sweep_relays(hub_time()).await {
            Ok(0) => {}
            Ok(messages) => {
                shared.counters.relays_expired.add(messages);
                tracing::warn!(messages, "messages that waited for an agent for too long were deleted");
            }
            Err(error) => {
                tracing::warn!(%error, "expired messages cannot be deleted; it is tried again")
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(limit::RELAY_SWEEP_INTERVAL) => {}
        }
    }
}
