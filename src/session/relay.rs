//! Relayed messages of one session, alike at both ends: what waits for the socket, what the peer is to answer, and what
//! it is to be answered.
//!
//! Invariants: at most `limit::RELAY_IN_FLIGHT` messages are unanswered in each direction; one more is not taken from the
//! driver, and is refused to the peer without the driver hearing of it. Answers are matched by id: one that nobody waits
//! for, as after the driver gave up, is dropped.

use std::collections::{BTreeSet, VecDeque};

use crate::id::MessageId;
use crate::limit;
use crate::wire::error::ErrorCode;
use crate::wire::message::Message;
use crate::wire::relay::{Relay, RelayOutcome, RelayReply};

#[derive(Debug, Default)]
pub(super) struct Relays {
    messages: VecDeque<Relay>,
    replies: VecDeque<RelayReply>,
    /// Ids of ours that the peer is to answer, those that wait for the socket included.
    asked: BTreeSet<MessageId>,
    /// Ids of the peer's that the driver is to answer.
    taken: BTreeSet<MessageId>,
    turn: Turn,
}

/// Whose turn it is where both wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Turn {
    #[default]
    Records,
    Relay,
}

impl Relays {
    /// How many messages more may be handed over.
    pub(super) fn room(&self) -> usize {
        limit::RELAY_IN_FLIGHT.saturating_sub(self.asked.len())
    }

    /// Whether no message waits for the socket.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Sends a message, where there is room.
    pub(super) fn push(&mut self, relay: Relay) {
        if self.room() > 0 && self.asked.insert(relay.id) {
            self.messages.push_back(relay);
        }
    }

    /// The driver waits for this answer no longer.
    pub(super) fn forget(&mut self, id: MessageId) {
        self.asked.remove(&id);
        self.messages.retain(|relay| relay.id != id);
    }

    /// A message of the peer's for the driver; `None` where it has too many unanswered already.
    pub(super) fn take(&mut self, relay: Relay) -> Option<Relay> {
        if self.taken.len() >= limit::RELAY_IN_FLIGHT && !self.taken.contains(&relay.id) {
            let detail = format!("{} messages of this session are not answered yet", self.taken.len());
            self.reply(RelayReply {
                id: relay.id,
                outcome: RelayOutcome::refused(ErrorCode::RelayFull, detail),
            });
            return None;
        }
        self.taken.insert(relay.id);
        Some(relay)
    }

    /// An answer of the peer's that somebody waits for.
    pub(super) fn answered(&mut self, reply: RelayReply) -> Option<RelayReply> {
        self.asked.remove(&reply.id).then_some(reply)
    }

    /// The driver's answer.
    pub(super) fn answer(&mut self, reply: RelayReply) {
        self.taken.remove(&reply.id);
        self.reply(reply);
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

    pub(super) fn pop(&mut self) -> Option<Message> {
        let relay = self.messages.pop_front()?;
        self.turn = Turn::Records;
        Some(Message::Relay(Box::new(relay)))
    }

    /// The next message, where it goes before records that wait.
    pub(super) fn pop_in_turn(&mut self) -> Option<Message> {
        match self.turn {
            Turn::Records => None,
            Turn::Relay => self.pop(),
        }
    }

    /// Records were sent: a message goes before the next ones.
    pub(super) fn had_records(&mut self) {
        self.turn = Turn::Relay;
    }
}
