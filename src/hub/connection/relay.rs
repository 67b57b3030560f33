//! What is relayed through one session: messages of its agent's program, and those for it.
//!
//! Messages to be delivered now go out as they come, up to what the session takes. What the store keeps goes out one at a
//! time, the oldest first, and is forgotten there only when the agent has said what became of it: so their order holds, and
//! one whose answer is lost comes again, under the same id.

use std::collections::HashMap;

use crate::hub::relay::{Answer, Parcel, route};
use crate::hub::store::{KeptMessage, StoreError};
use crate::id::MessageId;
use crate::limit;
use crate::obs::clock;
use crate::time::BootTime;
use crate::wire::relay::{Delivery, Relay, RelayOutcome, RelayReply};

use super::{Connection, hub_time};

/// What the agent is to answer.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// Messages that were to be delivered now, and until when they are waited for.
    sent: HashMap<MessageId, (Answer, BootTime)>,
    kept: Kept,
}

/// The oldest message that the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kept {
    /// There is none.
    #[default]
    None,
    /// It is to be looked for.
    Look,
    /// It was sent in this session, and is sent again in the next at the earliest: on a slow line the first copy may still be
    /// on its way, and whoever has it answers.
    Sent { number: i64, id: MessageId },
    /// It is sent again then.
    Later(BootTime),
}

impl Mail {
    pub(super) fn deadline(&self) -> Option<BootTime> {
        let kept = match self.kept {
            Kept::None | Kept::Look | Kept::Sent { .. } => None,
            Kept::Later(until) => Some(until),
        };
        self.sent.values().map(|(_, until)| *until).chain(kept).min()
    }

    /// Ids whose answers are waited for no longer.
    fn give_up(&mut self, now: BootTime) -> Vec<MessageId> {
        let late: Vec<MessageId> =
            self.sent.iter().filter(|(_, (_, until))| *until <= now).map(|(id, _)| *id).collect();
        for id in &late {
            self.sent.remove(id);
        }
        if let Kept::Later(at) = self.kept
            && at <= now
        {
            self.kept = Kept::Look;
        }
        late
    }
}

impl Connection {
    /// A message of the agent's for another one.
    pub(super) async fn relay_for(&mut self, relay: Relay) {
        let outcomes = self.shared.counters.relays.clone();
        let answer = Answer::new(relay.id, self.relayed.0.clone(), outcomes);
        route(&self.shared, &self.credential.agent, relay, answer).await;
    }

    /// Gives the session as much as it takes of what waits for the agent.
    pub(super) async fn give_mail(&mut self) {
        let Some(entry) = self.entry.clone() else { return };
        while self.session.room_for_relays() > 0 {
            if entry.mailbox.take_kept() && self.mail.kept == Kept::None {
                self.mail.kept = Kept::Look;
            }
            if self.mail.kept == Kept::Look {
                self.give_kept().await;
            } else if let Some(Parcel { relay, answer, until }) = entry.mailbox.take() {
                self.mail.sent.insert(relay.id, (answer, until));
                self.session.send_relay(relay);
            } else {
                return;
            }
        }
    }

    async fn give_kept(&mut self) {
        let agent = &self.credential.agent;
        self.mail.kept = match self.shared.store.oldest_relay(agent.agent, hub_time()).await {
            Ok(None) => Kept::None,
            Ok(Some(KeptMessage { number, id, sender, handler, payload })) => {
                // Rules and limits are those of now: what was withdrawn meanwhile holds for what waits, too.
                let from = sender.as_ref().and_then(|sender| sender.name.as_ref());
                if let Err((code, detail)) = self.shared.relays.admit_pair(from, &agent.name, payload.len()) {
                    return self
                        .kept_answered(number, id, &RelayOutcome::Refused { code: Some(code), detail })
                        .await;
                }
                self.session.send_relay(Relay {
                    id,
                    sender,
                    to: None,
                    handler,
                    payload,
                    delivery: Delivery::Queued,
                });
                Kept::Sent { number, id }
            }
            Err(error) => self.retry_kept(&error),
        };
    }

    fn retry_kept(&self, error: &StoreError) -> Kept {
        tracing::warn!(%error, agent = %self.credential.agent.name, "messages that wait for an agent cannot be read");
        Kept::Later(clock::boot_now().after(limit::RELAY_RETRY))
    }

    /// What the agent says to a message.
    pub(super) async fn mail_answered(&mut self, RelayReply { id, outcome }: RelayReply) {
        if let Some((answer, _)) = self.mail.sent.remove(&id) {
            match outcome {
                outcome @ (RelayOutcome::Delivered | RelayOutcome::Refused { .. }) => answer.give(outcome),
                // No agent can say so for another; dropped, the answer says all there is to say.
                RelayOutcome::Queued | RelayOutcome::Unanswered => drop(answer),
            }
        } else if let Kept::Sent { number, id: sent } = self.mail.kept
            && sent == id
        {
            self.kept_answered(number, id, &outcome).await;
        }
        self.give_mail().await;
    }

    async fn kept_answered(&mut self, number: i64, id: MessageId, outcome: &RelayOutcome) {
        let agent = &self.credential.agent.name;
        if !outcome.is_final() {
            self.mail.kept = Kept::Later(clock::boot_now().after(limit::RELAY_RETRY));
            return;
        }
        if let RelayOutcome::Refused { detail, .. } = outcome {
            tracing::warn!(%agent, %id, error = outcome.name(), detail,
                "a message that was kept for an agent was refused and is lost");
        }
        self.mail.kept = match self.shared.store.forget_relay(number, id).await {
            Ok(()) => {
                self.shared.counters.relays_kept.add(outcome.name());
                Kept::Look
            }
            // It comes again, and the agent knows it.
            Err(error) => self.retry_kept(&error),
        };
    }

    /// Deadlines of messages that were not answered.
    pub(super) async fn mail_timeouts(&mut self, now: BootTime) {
        for id in self.mail.give_up(now) {
            self.session.forget_relay(id);
        }
        if let Some(entry) = &self.entry {
            while entry.mailbox.deadline().is_some_and(|until| until <= now) {
                // Dropped, it is unanswered.
                drop(entry.mailbox.take());
            }
        }
        self.give_mail().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    fn at(second: u64) -> BootTime {
        BootTime(Duration::from_secs(second))
    }

    #[test]
    fn what_is_not_answered_in_time_is_given_up_and_what_is_kept_is_not_sent_twice() {
        let (to, mut replies) = mpsc::channel(2);
        let id = |lo| MessageId { hi: 0, lo };
        let mut mail = Mail::default();
        assert_eq!(mail.deadline(), None);
        for (lo, second) in [(1, 30), (2, 40)] {
            mail.sent.insert(id(lo), (Answer::new(id(lo), to.clone(), Arc::default()), at(second)));
        }
        mail.kept = Kept::Sent { number: 5, id: id(3) };
        assert_eq!(mail.deadline(), Some(at(30)));
        assert_eq!(mail.give_up(at(29)), []);
        assert_eq!(mail.give_up(at(30)), [id(1)]);
        let reply = replies.try_recv().unwrap();
        assert_eq!((reply.id, reply.outcome), (id(1), RelayOutcome::Unanswered));
        assert_eq!(mail.give_up(at(40)), [id(2)]);
        assert_eq!(
            (mail.kept, mail.deadline()),
            (Kept::Sent { number: 5, id: id(3) }, None),
            "no copy follows it"
        );
        mail.kept = Kept::Later(at(45));
        assert_eq!(mail.deadline(), Some(at(45)));
        mail.give_up(at(45));
        assert_eq!((mail.kept, mail.deadline()), (Kept::Look, None));
    }
}
