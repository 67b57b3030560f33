//! Messages for the agent of one session.
//!
//! Messages to be delivered now go out as they come, up to what the session takes. What the store keeps goes out one at a
//! time, the oldest first, and is forgotten there only when the agent has said what became of it: so their order holds for each
//! handler, and one whose answer is lost comes again, under the same id. A handler that takes none now is left out for a while. The store is asked beside everything else: however long it takes,
//! the connection goes on.

use std::sync::Arc;

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use crate::hub::relay::{Answer, Answered, Mail, Parcel};
use crate::hub::store::{KeptMessage, StoreError};
use crate::id::{HandlerName, MessageId};
use crate::obs::clock;
use crate::time::BootTime;
use crate::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply};

use super::{Connection, hub_time};

/// What goes to the agent.
#[derive(Default)]
pub(super) struct Deliveries {
    mail: Mail<Answer>,
    /// What the store is at, one thing at a time. A task of its own: a question that is not polled while the connection asks
    /// something else would keep its place at the database, and a few of these would keep everyone from it.
    asking: Option<AbortOnDropHandle<Stored>>,
}

/// What the store says of the messages that it keeps.
pub(super) enum Stored {
    Oldest(Result<Option<KeptMessage>, StoreError>),
    /// One with this outcome is forgotten, or not.
    Forgotten(&'static str, Result<(), StoreError>),
    /// Nothing: its task has ended before.
    Ended(JoinError),
}

impl Deliveries {
    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.mail.deadline()
    }

    /// The message that the store keeps, where it was sent and not answered.
    pub(super) fn sent_kept(&self) -> Option<(i64, MessageId)> {
        self.mail.sent_kept()
    }

    /// What the store says, once it does. Cancel safe.
    pub(super) async fn stored(&mut self) -> Stored {
        let Some(asking) = &mut self.asking else { return std::future::pending().await };
        let stored = asking.await.unwrap_or_else(Stored::Ended);
        self.asking = None;
        stored
    }
}

impl Connection {
    /// Gives the session as much as it takes of what waits for the agent.
    pub(super) fn give_mail(&mut self) {
        let Some(entry) = self.entry.clone() else { return };
        let now = clock::boot_now();
        while self.session.relays().room() > self.deliveries.mail.reserved() {
            let mail = &mut self.deliveries.mail;
            if mail.is_idle() && entry.mailbox.take_kept() {
                mail.look();
            }
            if let Some(held) = mail.ask(now) {
                self.ask_for_oldest(held);
            } else if let Some(Parcel { relay, answer, until }) = entry.mailbox.take() {
                mail.sent(relay.id, answer, until);
                self.session.relays_mut().send(relay);
            } else {
                return;
            }
        }
    }

    /// But for these handlers.
    fn ask_for_oldest(&mut self, held: Vec<HandlerName>) {
        let (shared, agent) = (Arc::clone(&self.shared), self.credential.agent.agent);
        let asking = async move { Stored::Oldest(shared.store.oldest_relay(agent, &held, hub_time()).await) };
        self.deliveries.asking = Some(AbortOnDropHandle::new(self.shared.tasks.spawn(asking)));
    }

    /// The store has answered.
    pub(super) fn mail_stored(&mut self, stored: Stored) {
        match stored {
            Stored::Oldest(Ok(kept)) => self.send_kept(kept),
            Stored::Forgotten(outcome, Ok(())) => {
                self.shared.counters.relays_kept.add(outcome);
                self.deliveries.mail.forgotten();
            }
            // One that could not be forgotten comes again, and the agent knows it.
            Stored::Oldest(Err(error)) | Stored::Forgotten(_, Err(error)) => self.mail_failed(&error),
            Stored::Ended(error) => self.mail_failed(&error),
        }
        self.give_mail();
    }

    fn mail_failed(&mut self, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, agent = %self.credential.agent.name, "messages that wait for an agent cannot be read");
        self.deliveries.mail.failed(clock::boot_now());
    }

    fn send_kept(&mut self, kept: Option<KeptMessage>) {
        let Some(KeptMessage { number, id, sender, handler, payload }) = kept else {
            return self.deliveries.mail.found(None);
        };
        // Rules and limits are those of now: what was withdrawn meanwhile holds for what waits, too.
        let from = sender.as_ref().and_then(|sender| sender.name.as_ref());
        let admitted = self.shared.relays.admit_pair(from, &self.credential.agent.name, payload.len());
        if let Err((code, detail)) = admitted {
            return self.forget_kept(number, id, &RelayOutcome::Refused { code: Some(code), detail });
        }
        self.deliveries.mail.found(Some((number, id, handler.clone())));
        let delivery = Delivery::Queued;
        self.session.relays_mut().send(Relay { id, sender, to: None, handler, payload, delivery });
    }

    /// What the agent says to a message.
    pub(super) fn mail_answered(&mut self, reply: RelayReply) {
        match self.deliveries.mail.answered(reply, clock::boot_now()) {
            Answered::Now(answer, outcome @ (RelayOutcome::Delivered | RelayOutcome::Refused { .. })) => {
                answer.give(outcome);
            }
            // No agent can say so for another; dropped, the answer says all there is to say.
            Answered::Now(answer, RelayOutcome::Queued | RelayOutcome::Unanswered) => drop(answer),
            Answered::Kept { number, id, outcome } => self.forget_kept(number, id, &outcome),
            Answered::Nothing => {}
        }
        self.give_mail();
    }

    pub(super) fn forget_kept(&mut self, number: i64, id: MessageId, outcome: &RelayOutcome) {
        self.deliveries.mail.forget();
        let (agent, name) = (&self.credential.agent.name, outcome.name());
        if let RelayOutcome::Refused { detail, .. } = outcome {
            tracing::warn!(%agent, %id, error = name, detail,
                "a message that was kept for an agent was refused and is lost");
        }
        let shared = Arc::clone(&self.shared);
        let asking = async move { Stored::Forgotten(name, shared.store.forget_relay(number, id).await) };
        self.deliveries.asking = Some(AbortOnDropHandle::new(self.shared.tasks.spawn(asking)));
    }

    /// The session is over: what it had not begun to send is sent no more.
    pub(super) fn leave_mail(&mut self) {
        let relays = self.session.relays_mut();
        for (answer, outcome) in self.deliveries.mail.end(|id| relays.forget(id)) {
            answer.give(outcome);
        }
    }

    /// The session is over: what the agent has said of a message still counts.
    pub(super) async fn settle_mail(&mut self) {
        if self.deliveries.mail.is_forgetting() {
            let stored = self.deliveries.stored().await;
            self.mail_stored(stored);
        }
    }

    /// Deadlines of messages that were not answered.
    pub(super) fn mail_timeouts(&mut self, now: BootTime) {
        let relays = self.session.relays_mut();
        for (answer, outcome) in self.deliveries.mail.give_up(now, |id| relays.forget(id)) {
            answer.give(outcome);
        }
        if let Some(entry) = &self.entry {
            entry.mailbox.give_up(now);
        }
        self.give_mail();
    }
}
