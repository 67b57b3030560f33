//! Messages that wait for the socket, besides records and acks.

use std::collections::VecDeque;

use crate::id::MessageId;
use crate::limit;
use crate::wire::message::Message;

/// Handshake messages, offers and their answers, pings, pongs and the last Error. Bounded: a handshake has at most 66
/// messages of its own, answers and pongs are counted, a ping waits once; the hub's driver asks before it offers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: VecDeque<(Message, MessageId)>,
    pongs: VecDeque<MessageId>,
    ping: bool,
}

impl Queue {
    pub(super) fn push(&mut self, message: Message) {
        self.messages.push_back((message, MessageId::NONE));
    }

    /// Messages that wait, pings and pongs aside.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Answers an offer. Only the agent has answers, and its handshake is over when the first one comes: what is dropped
    /// where a hub asks faster than it reads is an answer.
    pub(super) fn answer(&mut self, message: Message, id: MessageId) {
        if self.messages.len() >= limit::JOB_ANSWERS_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back((message, id));
    }

    /// Answers the ping with this id.
    pub(super) fn pong(&mut self, id: MessageId) {
        if self.pongs.len() >= limit::PONGS_MAX {
            self.pongs.pop_front();
        }
        self.pongs.push_back(id);
    }

    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    pub(super) fn pop(&mut self) -> Option<(Message, MessageId)> {
        if let Some(next) = self.messages.pop_front() {
            return Some(next);
        }
        if let Some(id) = self.pongs.pop_front() {
            return Some((Message::Pong, id));
        }
        std::mem::take(&mut self.ping).then_some((Message::Ping, MessageId::NONE))
    }

    /// Drops everything that waits and leaves the last word, if any.
    pub(super) fn end_with(&mut self, last: Option<Message>) {
        *self = Self::default();
        self.messages.extend(last.map(|message| (message, MessageId::NONE)));
    }
}
