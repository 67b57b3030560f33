//! Relayed messages of one session, alike at both ends: what waits for the socket, what the peer is to answer, and what
//! it is to be answered.
//!
//! Invariants: nothing passes before the registration and after the end. At most `limit::RELAY_IN_FLIGHT` messages are
//! unanswered in each direction; one more is not taken from the driver, and is refused to the peer without the driver hearing
//! of it. Answers are matched by id: one that nobody waits for, as after the driver gave up, is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::MessageId;
use crate::limit;
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::message::Message;
use crate::wire::relay::{Relay, RelayOutcome, RelayReply};

use super::freight::Load;
use super::rate::{Beside, Rate};

/// The driver's door to what is relayed through one session.
#[derive(Debug)]
pub struct Relays {
    door: Door,
    messages: VecDeque<Relay>,
    replies: VecDeque<RelayReply>,
    /// Ours that the peer is to answer, those that wait for the socket included.
    asked: BTreeMap<MessageId, Sent>,
    /// Ids of the peer's that the driver is to answer.
    taken: BTreeSet<MessageId>,
    repeats: Repeats,
    turn: Turn,
    /// Payload bytes of the greatest of ours that came through.
    greatest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Shut,
}

/// What a message is that comes with the id of one that is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// The same: the driver answers it once. So a hub may repeat what it keeps.
    Same,
    /// A mistake: the driver answers each message it is given, so each counts.
    Refused,
}

/// How far a message is that the peer is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It waits for the socket: nothing was sent.
    Waiting,
    /// It was signed at that moment, and is on the line.
    OnTheWay(BootTime),
    /// The peer has had it from then on.
    Arrived(BootTime),
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    progress: Progress,
    /// Of its payload.
    bytes: usize,
    /// How much had gone over the line with it.
    behind: u64,
    /// And was on it before.
    before: usize,
}

/// Whose turn it is where something else waits, too: records, or offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Others,
    Relay,
}

impl Relays {
    pub(super) const fn new(repeats: Repeats) -> Self {
        Self {
            door: Door::Shut,
            messages: VecDeque::new(),
            replies: VecDeque::new(),
            asked: BTreeMap::new(),
            taken: BTreeSet::new(),
            repeats,
            turn: Turn::Others,
            greatest: 0,
        }
    }

    /// The session is registered.
    pub(super) const fn open(&mut self) {
        self.door = Door::Open;
    }

    /// The session ended.
    pub(super) const fn shut(&mut self) {
        self.door = Door::Shut;
    }

    /// How many messages may be handed to `send` now; none before the registration and after the end.
    pub fn room(&self) -> usize {
        match self.door {
            Door::Open => limit::RELAY_IN_FLIGHT.saturating_sub(self.asked.len()),
            Door::Shut => 0,
        }
    }

    /// Sends a message, where there is room for it. It is answered by the event `RelayReply`, or not at all where the session
    /// ends.
    pub fn send(&mut self, relay: Relay) {
        let waiting = Sent { progress: Progress::Waiting, bytes: relay.payload.len(), behind: 0, before: 0 };
        if self.room() > 0 && !self.asked.contains_key(&relay.id) {
            self.asked.insert(relay.id, waiting);
            self.messages.push_back(relay);
        }
    }

    /// How far this message is; `None` where no answer to it is waited for.
    pub fn progress(&self, id: MessageId) -> Option<Progress> {
        self.asked.get(&id).map(|sent| sent.progress)
    }

    /// This message where it was signed and is not known to have come: after the end, that the line did not carry it.
    pub fn on_the_way(&self, id: MessageId) -> Option<Load> {
        let Sent { progress, bytes, before, .. } = *self.asked.get(&id)?;
        match progress {
            Progress::OnTheWay(since) => Some(Load { bytes, since, before }),
            Progress::Waiting | Progress::Arrived(_) => None,
        }
    }

    /// Payload bytes of the greatest message of ours that came through so far.
    pub(super) const fn greatest_through(&self) -> usize {
        self.greatest
    }

    /// Nobody waits for the answer to this message any more. Gives how far it was: one that waited is not sent.
    pub fn forget(&mut self, id: MessageId) -> Option<Progress> {
        self.messages.retain(|relay| relay.id != id);
        self.asked.remove(&id).map(|sent| sent.progress)
    }

    /// Answers a message of the peer's.
    pub fn answer(&mut self, reply: RelayReply) {
        if self.door == Door::Open {
            self.taken.remove(&reply.id);
            self.reply(reply);
        }
    }

    /// A message of the peer's for the driver; `None` where it is answered already.
    pub(super) fn take(&mut self, relay: Relay) -> Option<Relay> {
        let known = self.taken.contains(&relay.id);
        if known && self.repeats == Repeats::Same {
            return Some(relay);
        }
        let refused = if known {
            (ErrorCode::Invalid, "a message with this id is not answered yet".to_owned())
        } else if self.taken.len() >= limit::RELAY_IN_FLIGHT {
            let detail = format!("{} messages of this session are not answered yet", self.taken.len());
            (ErrorCode::RelayFull, detail)
        } else {
            self.taken.insert(relay.id);
            return Some(relay);
        };
        let (code, detail) = refused;
        self.reply(RelayReply { id: relay.id, outcome: RelayOutcome::refused(code, detail) });
        None
    }

    /// An answer of the peer's that somebody waits for.
    pub(super) fn answered(&mut self, reply: RelayReply) -> Option<RelayReply> {
        self.asked.remove(&reply.id).map(|_| reply)
    }

    fn reply(&mut self, reply: RelayReply) {
        if self.replies.len() >= limit::RELAY_REPLIES_MAX {
            self.replies.pop_front();
        }
        self.replies.push_back(reply);
    }

    pub(super) fn pop_reply(&mut self) -> Option<Message> {
        self.replies.pop_front().map(Message::RelayReply)
    }

    /// Whether a message waits for the socket.
    pub(super) fn beside(&self) -> Beside {
        if self.messages.is_empty() { Beside::Nothing } else { Beside::Waits }
    }

    /// The next message, where the line takes it.
    pub(super) fn pop(&mut self, rate: &Rate) -> Option<Message> {
        if !rate.takes_others() {
            return None;
        }
        let relay = self.messages.pop_front()?;
        self.turn = Turn::Others;
        Some(Message::Relay(Box::new(relay)))
    }

    /// The same, where it goes before others that wait.
    pub(super) fn pop_in_turn(&mut self, rate: &Rate) -> Option<Message> {
        match self.turn {
            Turn::Others => None,
            Turn::Relay => self.pop(rate),
        }
    }

    /// Something else was sent: a message goes before the next of that.
    pub(super) const fn others_went(&mut self) {
        self.turn = Turn::Relay;
    }

    /// This message was signed, and is counted.
    pub(super) fn signed(&mut self, now: BootTime, id: MessageId, rate: &Rate) {
        let behind = rate.others_sent();
        if let Some(sent) = self.asked.get_mut(&id) {
            *sent = Sent { progress: Progress::OnTheWay(now), behind, before: rate.before_last(), ..*sent };
        }
        self.came_through(now, rate);
    }

    /// More may have come through.
    pub(super) fn came_through(&mut self, now: BootTime, rate: &Rate) {
        for sent in self.asked.values_mut() {
            if matches!(sent.progress, Progress::OnTheWay(_)) && rate.is_through(sent.behind) {
                sent.progress = Progress::Arrived(now);
                self.greatest = self.greatest.max(sent.bytes);
            }
        }
    }
}
