//! What waits for subscribers, and how much memory that takes.
//!
//! * A message is kept once, however many wait for it, and counted once: all that wait take [`limit::LIVE_WAITING_BYTES_MAX`] at most.
//! * One subscriber's messages take a share of what is free at most, so that those that do not read leave room for those that do:
//!   the first 32 of them, each with messages of its own, take 63 % of it, and each more a share of what is left. Who answers no
//!   ping is gone after a while, with all that waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::limit;

/// Of what is free, one subscriber takes no more than one part of so many.
const SHARES: usize = 32;

/// Bytes of all messages that somebody has not got yet.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicUsize);

impl Waiting {
    /// What one subscriber may have waiting for it at present.
    fn share(&self) -> usize {
        limit::LIVE_WAITING_BYTES_MAX.saturating_sub(self.0.load(Ordering::Relaxed)) / SHARES
    }
}

/// A message on its way to subscribers; dropped with the last of them that has it, its memory is free again.
#[derive(Debug)]
pub(in crate::hub::live) struct Parcel {
    text: Bytes,
    waiting: Arc<Waiting>,
}

impl Parcel {
    /// `None` where there is no memory for it.
    pub(super) fn new(text: String, waiting: &Arc<Waiting>) -> Option<Arc<Self>> {
        let more = |bytes: usize| {
            bytes.checked_add(text.len()).filter(|bytes| *bytes <= limit::LIVE_WAITING_BYTES_MAX)
        };
        waiting.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Arc::new(Self { text: Bytes::from(text), waiting: Arc::clone(waiting) }))
    }

    /// Its UTF-8.
    pub(in crate::hub::live) const fn bytes(&self) -> &Bytes {
        &self.text
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.waiting.0.fetch_sub(self.text.len(), Ordering::Relaxed);
    }
}

/// Where messages for one subscriber are put. Clones are the same place.
#[derive(Debug, Clone)]
pub(in crate::hub::live) struct Slot {
    queue: mpsc::Sender<Arc<Parcel>>,
    /// Bytes in the queue.
    held: Arc<AtomicUsize>,
    waiting: Arc<Waiting>,
}

/// And where it takes them out.
#[derive(Debug)]
pub(in crate::hub::live) struct Inbox {
    queue: mpsc::Receiver<Arc<Parcel>>,
    held: Arc<AtomicUsize>,
}

/// Place for [`limit::LIVE_BUFFER`] messages.
pub(super) fn inbox(waiting: &Arc<Waiting>) -> (Slot, Inbox) {
    let (sender, queue) = mpsc::channel(limit::LIVE_BUFFER);
    let held = Arc::new(AtomicUsize::new(0));
    let slot = Slot { queue: sender, held: Arc::clone(&held), waiting: Arc::clone(waiting) };
    (slot, Inbox { queue, held })
}

impl Slot {
    /// Whether there was room.
    pub(super) fn put(&self, parcel: Arc<Parcel>) -> bool {
        let bytes = parcel.text.len();
        // Before it is there to be taken: the sum is never below nothing.
        let held = self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let taken = held <= self.waiting.share() && self.queue.try_send(parcel).is_ok();
        if !taken {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    /// The same with a text for this subscriber alone.
    pub(in crate::hub::live) fn put_text(&self, text: String) -> bool {
        Parcel::new(text, &self.waiting).is_some_and(|parcel| self.put(parcel))
    }
}

impl Inbox {
    /// The next message; `None` where nobody will put one there any more. Cancel safe.
    pub(in crate::hub::live) async fn take(&mut self) -> Option<Arc<Parcel>> {
        let parcel = self.queue.recv().await?;
        self.held.fetch_sub(parcel.text.len(), Ordering::Relaxed);
        Some(parcel)
    }

    /// The same where it is there already.
    #[cfg(test)]
    pub(super) fn take_now(&mut self) -> Option<Arc<Parcel>> {
        use futures_util::FutureExt as _;
        self.take().now_or_never().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts messages of `size` bytes, each one of its own, until one is not taken.
    fn fill(slot: &Slot, size: usize) -> usize {
        (0..).take_while(|_| slot.put_text("x".repeat(size))).count()
    }

    #[test]
    fn one_that_does_not_read_leaves_room_for_those_that_do() {
        let waiting = Arc::new(Waiting::default());
        let size = limit::LIVE_WAITING_BYTES_MAX / 256;
        let stuck: Vec<_> = (0..32).map(|_| inbox(&waiting)).collect();
        let taken: Vec<_> = stuck.iter().map(|(slot, _)| fill(slot, size)).collect();
        assert_eq!(taken[0], 7, "a share of what is free with them");
        assert!(taken.is_sorted_by(|one, next| one >= next) && taken[31] > 0, "{taken:?}");
        let sum = waiting.0.load(Ordering::Relaxed);
        assert_eq!(sum, taken.iter().sum::<usize>() * size);
        assert!(sum < limit::LIVE_WAITING_BYTES_MAX / 100 * 63, "{sum}");
        let (slot, mut quick) = inbox(&waiting);
        for _ in 0..100 {
            assert!(slot.put_text("x".repeat(size)) && quick.take_now().is_some());
        }
        drop(stuck);
        assert_eq!(waiting.0.load(Ordering::Relaxed), 0);
        assert_eq!(fill(&slot, 1), limit::LIVE_BUFFER, "it has what it had");
    }

    #[test]
    fn a_message_counts_once_for_all_who_wait_for_it_and_none_is_beyond_the_bound() {
        let waiting = Arc::new(Waiting::default());
        let all: Vec<_> = (0..100).map(|_| inbox(&waiting)).collect();
        let size = limit::LIVE_WAITING_BYTES_MAX / 64;
        let parcel = Parcel::new("x".repeat(size), &waiting).unwrap();
        assert!(all.iter().all(|(slot, _)| slot.put(Arc::clone(&parcel))));
        drop(parcel);
        assert_eq!(waiting.0.load(Ordering::Relaxed), size);
        assert!(Parcel::new("x".repeat(limit::LIVE_WAITING_BYTES_MAX - size + 1), &waiting).is_none());
        assert!(Parcel::new("x".repeat(limit::LIVE_WAITING_BYTES_MAX - size), &waiting).is_some());
        drop(all);
        assert_eq!(waiting.0.load(Ordering::Relaxed), 0);
    }
}
