//! The half of a machine that its driver meets, alike at both ends: what waits to be said, what happened, the signs of
//! life, and the end.
//!
//! The phase stays with the machine; this knows nothing of a message's meaning.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::MessageId;
use crate::time::BootTime;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::{ErrorMessage, Limits, Message};

use super::arriving::Arriving;
use super::event::Closed;
use super::keepalive::Keepalive;
use super::queue::Queue;

/// `E` is what this end's driver is told.
#[derive(Debug)]
pub(super) struct Port<E> {
    pub(super) queue: Queue,
    events: VecDeque<E>,
    keepalive: Keepalive,
    arriving: Arriving,
    /// When the last byte passed, in whichever direction.
    moved: BootTime,
    socket_ping: bool,
    texts_ignored: u64,
}

impl<E> Port<E> {
    pub(super) fn new(limits: &Limits, now: BootTime) -> Self {
        Self {
            queue: Queue::default(),
            events: VecDeque::new(),
            keepalive: Keepalive::new(limits, now),
            arriving: Arriving::default(),
            moved: now,
            socket_ping: false,
            texts_ignored: 0,
        }
    }

    /// From now on these limits hold.
    pub(super) fn agreed(&mut self, limits: &Limits, now: BootTime) {
        self.keepalive = Keepalive::new(limits, now);
    }

    /// Anything of the peer counts.
    pub(super) fn heard(&mut self, now: BootTime) {
        self.keepalive.heard(now);
        self.moved = self.moved.max(now);
    }

    /// So many bytes came in all, the last of them at that moment; whether more of something large is among them.
    pub(super) fn received(&mut self, at: BootTime, bytes: u64) -> bool {
        self.heard(at);
        self.arriving.received(at, bytes)
    }

    /// A message came: how long it took from its first byte.
    pub(super) fn message(&mut self, now: BootTime) -> Duration {
        self.heard(now);
        self.arriving.message(now)
    }

    /// The peer, or what lies before it, took something of ours: that is no sign of life, but a line that moves.
    pub(super) fn written(&mut self, now: BootTime) {
        self.moved = self.moved.max(now);
    }

    /// When the last byte passed.
    pub(super) const fn moved(&self) -> BootTime {
        self.moved
    }

    pub(super) fn ignore_text(&mut self) {
        self.texts_ignored = self.texts_ignored.saturating_add(1);
    }

    pub(super) const fn texts_ignored(&self) -> u64 {
        self.texts_ignored
    }

    /// The earlier of the machine's own deadline and the next ping or the idle time-out.
    pub(super) fn deadline(&self, own: Option<BootTime>) -> BootTime {
        let keepalive = self.keepalive.deadline();
        own.map_or(keepalive, |own| own.min(keepalive))
    }

    /// What was found late, or else silence for too long.
    pub(super) fn check(&self, now: BootTime, late: Option<WireError>) -> Result<(), WireError> {
        late.map_or_else(|| self.keepalive.check_idle(now), Err)
    }

    /// Pings the socket where it is time to; `Some` where the machine may ping as well.
    pub(super) fn ping(&mut self, now: BootTime) -> Option<&mut Queue> {
        if !self.keepalive.take_ping(now) {
            return None;
        }
        self.socket_ping = true;
        Some(&mut self.queue)
    }

    pub(super) fn take_socket_ping(&mut self) -> bool {
        std::mem::take(&mut self.socket_ping)
    }

    /// What is sent before the flow of records and acks.
    pub(super) fn next(&mut self) -> Option<(Message, MessageId)> {
        self.queue.pop()
    }

    /// What both ends take alike once they are registered and that says nothing of what was sent: pings, and nothing else.
    pub(super) fn handle_other(&mut self, id: MessageId, message: &Message) -> Result<(), WireError> {
        match message {
            Message::Ping => self.queue.pong(id),
            other => return Err(unexpected(other)),
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, event: E) {
        self.events.push_back(event);
    }

    pub(super) fn tell_each(&mut self, events: impl IntoIterator<Item = E>) {
        self.events.extend(events);
    }

    /// Long past while the driver was not told everything: the end may have come from `poll_transmit`, and a driver
    /// that sleeps until the next deadline must not sleep over it.
    pub(super) fn untold(&self) -> Option<BootTime> {
        (!self.events.is_empty()).then_some(BootTime(Duration::ZERO))
    }

    pub(super) fn poll_event(&mut self) -> Option<E> {
        self.events.pop_front()
    }
}

impl<E: From<Closed>> Port<E> {
    /// The end: nothing of what waited is sent but the last word, if any.
    pub(super) fn end(&mut self, last: Option<Message>, closed: Closed) {
        self.socket_ping = false;
        self.queue.end_with(last);
        self.events.push_back(closed.into());
    }
}

/// What the peer is told of an error, and how the session ends for it.
pub(super) fn verdict(error: &WireError) -> (Message, Closed) {
    let text = error.detail.clone();
    let last = Message::Error(ErrorMessage { code: Some(error.code), text, retry_after: None });
    let closed =
        Closed { code: error.code.close_code(), error: Some(error.code), detail: error.detail.clone() };
    (last, closed)
}

/// A message that is not allowed now.
pub(super) fn unexpected(message: &Message) -> WireError {
    WireError::new(ErrorCode::Unexpected, format!("a {} message at this point", message.name()))
}
