//! What waits for one session: messages that are to be delivered now, and word that the store keeps some.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::limit;
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::relay::{Relay, RelayOutcome};

use super::{Answer, Refused};

/// A message on its way to a session.
#[derive(Debug)]
pub(in crate::hub) struct Parcel {
    /// As the agent gets it.
    pub(in crate::hub) relay: Relay,
    /// Owed to the sender.
    pub(in crate::hub) answer: Answer,
    /// So long it is waited for.
    pub(in crate::hub) until: BootTime,
}

/// A registered session's, from its login to its end.
#[derive(Debug)]
pub(in crate::hub) struct Mailbox {
    /// `None` once the session has ended.
    parcels: Mutex<Option<VecDeque<Parcel>>>,
    kept: AtomicBool,
    bell: Notify,
}

impl Default for Mailbox {
    /// Open and empty; the store may keep messages from before.
    fn default() -> Self {
        Self { parcels: Mutex::new(Some(VecDeque::new())), kept: AtomicBool::new(true), bell: Notify::new() }
    }
}

impl Mailbox {
    fn parcels(&self) -> MutexGuard<'_, Option<VecDeque<Parcel>>> {
        self.parcels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in, where there is room and a session.
    pub(super) fn post(&self, parcel: Parcel) -> Result<(), (Answer, Refused)> {
        let mut parcels = self.parcels();
        let Some(waiting) = parcels.as_mut() else { return Err((parcel.answer, away())) };
        if waiting.len() >= limit::RELAY_IN_FLIGHT {
            let detail = format!("{} messages wait for that agent's link", waiting.len());
            return Err((parcel.answer, (ErrorCode::RelayFull, detail)));
        }
        waiting.push_back(parcel);
        drop(parcels);
        self.bell.notify_one();
        Ok(())
    }

    /// The next message, and whether there is one.
    pub(in crate::hub) fn take(&self) -> Option<Parcel> {
        self.parcels().as_mut().and_then(VecDeque::pop_front)
    }

    /// When the oldest message is waited for no longer.
    pub(in crate::hub) fn deadline(&self) -> Option<BootTime> {
        self.parcels().as_ref().and_then(|waiting| waiting.front().map(|parcel| parcel.until))
    }

    /// What the session did not take in time is not delivered.
    pub(in crate::hub) fn give_up(&self, now: BootTime) {
        while self.deadline().is_some_and(|until| until <= now) {
            if let Some(parcel) = self.take() {
                parcel.refuse(no_room());
            }
        }
    }

    /// The store keeps a message for the agent.
    pub(super) fn note_kept(&self) {
        self.kept.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Whether the store may keep messages that nobody looked for since this was asked last.
    pub(in crate::hub) fn take_kept(&self) -> bool {
        self.kept.swap(false, Ordering::AcqRel)
    }

    /// The session may be given what waits now.
    pub(in crate::hub) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Completes when something came in since this last completed. Cancel safe.
    pub(in crate::hub) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// The session ends: what it was not given is not delivered.
    pub(in crate::hub) fn close(&self) {
        let left = self.parcels().take();
        for parcel in left.into_iter().flatten() {
            parcel.refuse(away());
        }
    }
}

impl Parcel {
    fn refuse(self, (code, detail): Refused) {
        self.answer.give(RelayOutcome::refused(code, detail));
    }
}

/// The agent has no session.
pub(super) fn away() -> Refused {
    (ErrorCode::RelayOffline, "it has no session".to_owned())
}

/// It has one, which did not begin with the message in time.
pub(super) fn no_room() -> Refused {
    (ErrorCode::RelayFull, "that agent's link takes no more".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::hub::counters::ByName;
    use crate::id::MessageId;
    use crate::wire::relay::{Delivery, RelayReply};

    fn at(second: u64) -> BootTime {
        BootTime(Duration::from_secs(second))
    }

    /// Posts a message that is waited for until then.
    fn post(mailbox: &Mailbox, to: &mpsc::Sender<RelayReply>, number: u64, until: BootTime) {
        let id = MessageId { hi: 0, lo: number };
        let handler = "door".parse().unwrap();
        let relay =
            Relay { id, sender: None, to: None, handler, payload: "x".into(), delivery: Delivery::Now };
        let answer = Answer::new(id, to.clone(), Arc::new(ByName::default()));
        mailbox.post(Parcel { relay, answer, until }).unwrap();
    }

    fn said(replies: &mut mpsc::Receiver<RelayReply>) -> Vec<(u64, &'static str)> {
        std::iter::from_fn(|| replies.try_recv().ok())
            .map(|reply| (reply.id.lo, reply.outcome.name()))
            .collect()
    }

    #[test]
    fn a_message_that_its_session_never_took_was_certainly_not_handled() {
        let (to, mut replies) = mpsc::channel(4);
        let mailbox = Mailbox::default();
        for (number, until) in [(1, 30), (2, 31), (3, 40)] {
            post(&mailbox, &to, number, at(until));
        }
        assert_eq!(mailbox.deadline(), Some(at(30)));
        mailbox.give_up(at(29));
        assert_eq!(said(&mut replies), []);
        mailbox.give_up(at(31));
        assert_eq!(said(&mut replies), [(1, "relay_full"), (2, "relay_full")]);
        mailbox.close();
        assert_eq!(said(&mut replies), [(3, "relay_offline")]);
        assert_eq!((mailbox.deadline(), mailbox.take().is_none()), (None, true));
    }
}
