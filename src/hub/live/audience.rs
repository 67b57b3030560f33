//! Who listens to which topic, and handing a message to all of them.
//!
//! * Each subscriber has a queue of [`crate::limit::LIVE_BUFFER`] messages, and all together have so much memory: `inbox`. One that is
//!   full loses what comes now, which is counted: nobody ever waits for a subscriber.
//! * A topic has a lock of its own, held while a message is put into its queues: all subscribers see one order, and topics do
//!   not wait for each other.

mod inbox;
mod readers;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::push::{GAP, Push};
use super::topic::Topic;
use inbox::Waiting;
pub(super) use inbox::{Inbox, Parcel, Slot};
use readers::Readers;
pub(super) use readers::{Count, Full, Reader};

/// Whether a subscriber has shown a token for its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It has.
    Token,
    /// Its topic asked for none.
    None,
}

/// How a subscriber wants its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Plain,
    /// With their numbers, and told of what is missing between.
    Numbered,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delivered {
    /// Queues that took it.
    pub(super) queued: u64,
    /// Queues that were full, or for which there was no memory.
    pub(super) dropped: u64,
}

/// All subscribers.
#[derive(Debug, Default)]
pub(super) struct Audience {
    rooms: Mutex<HashMap<Topic, Arc<Room>>>,
    readers: Mutex<Readers>,
    waiting: Arc<Waiting>,
    last: AtomicU64,
    dropped: AtomicU64,
}

/// One topic's subscribers. No two of the locks here are held at once but this one and that of all rooms, in this order, where
/// a room that has become empty is given up.
#[derive(Debug, Default)]
struct Room(Mutex<Members>);

#[derive(Debug, Default)]
struct Members {
    /// In the order they came.
    all: BTreeMap<u64, Member>,
    /// The number of the last message.
    last: u64,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// It was given up: who wants to join looks for the room anew.
    Gone,
}

impl Members {
    /// A room that was given up has no place for it.
    fn insert(&mut self, number: u64, member: Member) -> Result<(), Member> {
        match self.state {
            State::Open => {
                self.all.insert(number, member);
                Ok(())
            }
            State::Gone => Err(member),
        }
    }
}

#[derive(Debug)]
struct Member {
    slot: Slot,
    dropped: Arc<AtomicU64>,
    proof: Proof,
    form: Form,
    unwelcome: CancellationToken,
}

impl Member {
    /// Whether there was room in its queue, and memory for the message.
    fn send(&self, message: Option<Arc<Parcel>>) -> bool {
        let sent = message.is_some_and(|message| self.slot.put(message));
        if !sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }
}

/// A subscriber.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) place: Place,
    /// What is to be sent.
    pub(super) messages: Inbox,
    /// For what only this subscriber gets.
    pub(super) own: Slot,
    /// Cancelled when the topic begins to want a token and this subscriber has shown none.
    pub(super) unwelcome: CancellationToken,
    /// Messages that found its queue full.
    pub(super) dropped: Arc<AtomicU64>,
}

/// A subscriber's place in its room; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    audience: Arc<Audience>,
    topic: Topic,
    number: u64,
    reader: Reader,
}

impl Audience {
    /// One more subscriber.
    pub(super) fn join(
        self: &Arc<Self>,
        topic: &Topic,
        reader: Reader,
        proof: Proof,
        form: Form,
    ) -> Result<Subscription, Full> {
        lock(&self.readers).enter(&reader)?;
        // From here on the reader is counted, and only a place that is dropped counts it out again.
        let (own, messages) = inbox::inbox(&self.waiting);
        let unwelcome = CancellationToken::new();
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let dropped = Arc::new(AtomicU64::new(0));
        let (slot, taken) = (own.clone(), Arc::clone(&dropped));
        let mut member = Member { slot, dropped: taken, proof, form, unwelcome: unwelcome.clone() };
        loop {
            let room = Arc::clone(lock(&self.rooms).entry(topic.clone()).or_default());
            let inserted = lock(&room.0).insert(number, member);
            match inserted {
                Ok(()) => break,
                Err(back) => member = back,
            }
        }
        let place = Place { audience: Arc::clone(self), topic: topic.clone(), number, reader };
        Ok(Subscription { place, messages, own, unwelcome, dropped })
    }

    /// Hands a message to all who listen to the topic.
    pub(super) fn push(&self, topic: &Topic, push: Push<'_>) -> Delivered {
        // Each form is made once, when the first one wants it.
        let (plain, numbered) = (OnceCell::new(), OnceCell::new());
        let mut delivered = Delivered::default();
        let Some(room) = self.room(topic) else { return delivered };
        let mut members = lock(&room.0);
        members.last = members.last.saturating_add(1);
        for member in members.all.values() {
            let message = match member.form {
                Form::Plain => plain.get_or_init(|| Parcel::new(push.plain(), &self.waiting)),
                Form::Numbered => {
                    numbered.get_or_init(|| Parcel::new(push.numbered(members.last), &self.waiting))
                }
            };
            if member.send(message.clone()) {
                delivered.queued += 1;
            } else {
                delivered.dropped += 1;
            }
        }
        drop(members);
        self.dropped.fetch_add(delivered.dropped, Ordering::Relaxed);
        delivered
    }

    /// Nobody knows what was missed between: those who asked for numbers are told, by a message and by a number left out.
    pub(super) fn note_gap(&self) {
        let rooms: Vec<Arc<Room>> = lock(&self.rooms).values().cloned().collect();
        let gap = Parcel::new(GAP.to_owned(), &self.waiting);
        for room in rooms {
            let mut members = lock(&room.0);
            members.last = members.last.saturating_add(1);
            for member in members.all.values().filter(|member| member.form == Form::Numbered) {
                member.send(gap.clone());
            }
        }
    }

    /// The topic wants tokens from now on: who has shown none has to go.
    pub(super) fn expel_unproven(&self, topic: &Topic) {
        let Some(room) = self.room(topic) else { return };
        for member in lock(&room.0).all.values().filter(|member| member.proof == Proof::None) {
            member.unwelcome.cancel();
        }
    }

    /// Topics that somebody listens to, in no order.
    pub(super) fn topics(&self) -> Vec<Topic> {
        lock(&self.rooms).keys().cloned().collect()
    }

    /// How many these are.
    pub(super) fn topic_count(&self) -> usize {
        lock(&self.rooms).len()
    }

    pub(super) fn count(&self) -> Count {
        lock(&self.readers).count()
    }

    /// Messages that found a queue full, since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn room(&self, topic: &Topic) -> Option<Arc<Room>> {
        lock(&self.rooms).get(topic).cloned()
    }

    fn leave(&self, topic: &Topic, number: u64, reader: &Reader) {
        if let Some(room) = self.room(topic) {
            let mut members = lock(&room.0);
            members.all.remove(&number);
            if members.all.is_empty() && members.state == State::Open {
                members.state = State::Gone;
                lock(&self.rooms).remove(topic);
            }
        }
        lock(&self.readers).leave(reader);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.audience.leave(&self.topic, self.number, &self.reader);
    }
}

/// Nothing is left half done while one of these locks is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
