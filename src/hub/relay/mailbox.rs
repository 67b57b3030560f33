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
    /// From then on it counts as unanswered.
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

    /// When the oldest message counts as unanswered.
    pub(in crate::hub) fn deadline(&self) -> Option<BootTime> {
        self.parcels().as_ref().and_then(|waiting| waiting.front().map(|parcel| parcel.until))
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
            let (code, detail) = away();
            parcel.answer.give(RelayOutcome::refused(code, detail));
        }
    }
}

/// The agent has no session.
pub(super) fn away() -> Refused {
    (ErrorCode::RelayOffline, "it has no session".to_owned())
}
