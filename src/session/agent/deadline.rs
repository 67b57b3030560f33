//! The agent's deadlines: each state's own, the heartbeat, and the time without an ack.
//!
//! Until the session is open they count from the last byte that moved; the whole is bounded besides. The time without an
//! ack is beyond what the line needs for what is on it.

use crate::limit;
use crate::session::event::AgentEvent;
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
                let no_ack_at = live.no_ack_at.map(|at| at.after(self.uplink.rate.on_the_way()));
                Some(no_ack_at.map_or(live.heartbeat_at, |at| at.min(live.heartbeat_at)))
            }
        };
        Some(self.port.deadline(own))
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
                if live.no_ack_at.is_none() && self.uplink.has_backlog() {
                    live.no_ack_at = Some(now.after(self.config.no_ack));
                }
                let on_the_way = self.uplink.rate.on_the_way();
                let late = live.no_ack_at.filter(|at| now >= at.after(on_the_way));
                late.map(|_| {
                    let detail = format!("no ack for {:?}", self.config.no_ack.saturating_add(on_the_way));
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
            Phase::Challenge => (began, limit::HANDSHAKE_TIMEOUT),
            Phase::Ack { since } | Phase::AckMore { since, .. } => (*since, limit::REGISTER_TIMEOUT),
            Phase::Marks { .. } | Phase::Live(_) | Phase::Closed => return None,
        };
        Some(self.port.moved().max(since).after(silence).min(began.after(limit::OPENING_TIMEOUT)))
    }
}
