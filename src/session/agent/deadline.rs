//! The agent's deadlines: each state's own, the heartbeat, and the time without an ack.

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
            Phase::Challenge { deadline } | Phase::Ack { deadline } | Phase::AckMore { deadline, .. } => {
                Some(*deadline)
            }
            Phase::Marks { .. } => None,
            Phase::Live(live) => {
                Some(live.no_ack_at.map_or(live.heartbeat_at, |at| at.min(live.heartbeat_at)))
            }
        };
        Some(self.port.deadline(own))
    }

    /// Ends the session where a deadline has passed.
    pub(super) fn check_deadlines(&mut self, now: BootTime) {
        let late = |detail| Some(WireError::new(ErrorCode::RegisterTimeout, detail));
        let late = match &mut self.phase {
            Phase::Closed => return,
            Phase::Challenge { deadline } if now >= *deadline => late("no Challenge came in time"),
            Phase::Ack { deadline } | Phase::AckMore { deadline, .. } if now >= *deadline => {
                late("no RegisterAck came in time")
            }
            Phase::Challenge { .. } | Phase::Ack { .. } | Phase::AckMore { .. } | Phase::Marks { .. } => None,
            Phase::Live(live) => {
                if live.no_ack_at.is_none() && self.uplink.has_backlog() {
                    live.no_ack_at = Some(now.after(self.config.no_ack));
                }
                live.no_ack_at
                    .filter(|at| now >= *at)
                    .map(|_| WireError::new(ErrorCode::NoAck, format!("no ack for {:?}", self.config.no_ack)))
            }
        };
        let done = self.port.check(now, late);
        self.end_on_error(done);
    }
}
