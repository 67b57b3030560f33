//! The hub's deadlines: the handshake's, an ack that waits for others, and silence.
//!
//! A registered agent owes the hub nothing but signs of life: any byte is one. But where what is large has been on the way for
//! longer than it and its Pong may take, what waits behind it has a better chance in another session.

use crate::limit;
use crate::time::BootTime;
use crate::wire::error::{ErrorCode, WireError};

use super::{HubSession, Phase, Signed};

impl HubSession {
    /// The deadline of `poll_timeout` passed.
    pub fn handle_timeout(&mut self, now: BootTime) {
        self.check_deadlines(now);
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if let (Some(queue), Phase::Live) = (self.port.ping(now), &self.phase) {
            queue.ping();
        }
        self.acks.handle_timeout(now);
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<BootTime> {
        let own = match self.phase {
            Phase::Closed => return self.port.untold(),
            Phase::Challenge { .. } | Phase::Listing { .. } => Some(self.handshake_deadline()),
            Phase::Deciding { .. } => None,
            Phase::Live => self.acks.deadline().into_iter().chain(self.stuck_deadline()).min(),
        };
        Some(self.port.deadline(own))
    }

    pub(super) fn check_deadlines(&mut self, now: BootTime) {
        let late = match self.phase {
            Phase::Closed => return,
            Phase::Challenge { .. } | Phase::Listing { .. } => {
                (now >= self.handshake_deadline()).then(|| self.no_register(now))
            }
            Phase::Deciding { .. } => None,
            Phase::Live => self.stuck_deadline().filter(|at| now >= *at).map(|_| self.stuck(now)),
        };
        let done = self.port.check(now, late);
        self.end_on_error(done);
    }

    fn no_register(&self, now: BootTime) -> WireError {
        let detail = format!(
            "no whole Register {} ms after the Challenge, {} ms after the last byte",
            now.since(self.began).as_millis(),
            now.since(self.port.moved()).as_millis()
        );
        WireError::new(ErrorCode::RegisterTimeout, detail)
    }

    /// When what is large and on the way down cannot be accepted any more, nor the word that it was.
    fn stuck_deadline(&self) -> Option<BootTime> {
        self.rate.oldest_other().map(|oldest| oldest.after(limit::LINE_STUCK))
    }

    fn stuck(&self, now: BootTime) -> WireError {
        let since = self.rate.oldest_other().unwrap_or(now);
        let detail = format!(
            "no Pong came for what was sent {} s ago: a message older than {} s is refused, and so is the word that it came. The line is too slow for so much at once; the clocks are right",
            now.since(since).as_secs(),
            limit::CLOCK_SKEW_MAX.as_secs()
        );
        WireError::new(ErrorCode::Clock, detail)
    }

    /// Counted from the last byte that moved, and in all: a signature at most as old as a Challenge may be, a Register on a
    /// slow line some minutes.
    fn handshake_deadline(&self) -> BootTime {
        let (silence, whole) = match self.phase {
            Phase::Challenge { signed: Signed::No } if self.wants_signature() => {
                (limit::CHALLENGE_REPLY_TIMEOUT, limit::CHALLENGE_AGE_MAX)
            }
            Phase::Challenge { .. }
            | Phase::Listing { .. }
            | Phase::Deciding { .. }
            | Phase::Live
            | Phase::Closed => (limit::REGISTER_TIMEOUT, limit::OPENING_TIMEOUT),
        };
        self.port.moved().max(self.began).after(silence).min(self.began.after(whole))
    }
}
