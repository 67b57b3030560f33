//! The agent's deadlines: each state's own, the heartbeat, and the time without an ack.
//!
//! Until the session is open they count from the last byte that moved; the whole is bounded besides. The time without an
//! ack is beyond what the line needs for what is on it ([`super::unacked`]).

use crate::limit;
use crate::session::event::AgentEvent;
use crate::session::flow::Flow as _;
use crate::time::BootTime;
use crate::wire::error::{ErrorCode, WireError};

use super::{AgentSession, Phase};

impl AgentSession {
    /// The deadline of `poll_timeout` passed.
    pub fn handle_timeout(&mut self, now: BootTime) {
        self.check_deadlines(now);
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if self.uplink.rate.expire(now) {
            self.others_came_through(now);
        }
        if let (Some(queue), Phase::Live(_)) = (self.port.ping(now), &self.phase) {
            queue.ping();
        }
        if let Phase::Live(live) = &mut self.phase
            && now >= live.heartbeat_at
        {
            live.heartbeat_at = now.after(live.heartbeat_interval);
            self.port.tell(AgentEvent::HeartbeatDue);
        }
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<BootTime> {
        let own = match &self.phase {
            Phase::Closed => return self.port.untold(),
            Phase::Challenge | Phase::Ack { .. } | Phase::AckMore { .. } => self.opening_deadline(),
            Phase::Marks { .. } => None,
            Phase::Live(live) => {
                let no_ack_at = live.unacked.deadline(self.config.no_ack, self.uplink.rate.on_the_way());
                Some(no_ack_at.map_or(live.heartbeat_at, |at| at.min(live.heartbeat_at)))
            }
        };
        Some(self.port.deadline(own))
    }

    /// When the last part of something large came, or went: what is small and follows it comes after it. Long ago where there was
    /// none.
    pub fn last_busy(&self) -> BootTime {
        match &self.phase {
            Phase::Live(live) => live.unacked.last_busy(),
            Phase::Challenge
            | Phase::Ack { .. }
            | Phase::AckMore { .. }
            | Phase::Marks { .. }
            | Phase::Closed => BootTime::default(),
        }
    }

    /// Ends the session where a deadline has passed.
    pub(super) fn check_deadlines(&mut self, now: BootTime) {
        let opening_late = self.opening_deadline().is_some_and(|deadline| now >= deadline);
        let late = |detail| opening_late.then(|| WireError::new(ErrorCode::RegisterTimeout, detail));
        let late = match &mut self.phase {
            Phase::Closed => return,
            Phase::Challenge => late("no Challenge came in time"),
            Phase::Ack { .. } | Phase::AckMore { .. } => late("no RegisterAck came in time"),
            Phase::Marks { .. } => None,
            Phase::Live(live) => {
                if self.uplink.has_backlog() {
                    live.unacked.waits(now);
                }
                let deadline = live.unacked.deadline(self.config.no_ack, self.uplink.rate.on_the_way());
                deadline.filter(|at| now >= *at).map(|_| {
                    let detail = format!("no ack for {} s", live.unacked.waited(now).as_secs());
                    WireError::new(ErrorCode::NoAck, detail)
                })
            }
        };
        let done = self.port.check(now, late);
        self.end_on_error(done);
    }

    /// When what the hub owes us before the session is open is too late.
    fn opening_deadline(&self) -> Option<BootTime> {
        let began = self.opening.began;
        let (since, silence) = match &self.phase {
            Phase::Challenge => (began, limit::DIAL_STALL_TIMEOUT),
            Phase::Ack { since } | Phase::AckMore { since, .. } => (*since, limit::REGISTER_TIMEOUT),
            Phase::Marks { .. } | Phase::Live(_) | Phase::Closed => return None,
        };
        Some(self.port.moved().max(since).after(silence).min(began.after(limit::OPENING_TIMEOUT)))
    }
}
