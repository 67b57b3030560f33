//! Pings while the session lives, and its end when nothing is heard.

use std::time::Duration;

use crate::time::BootTime;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::Limits;

#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
    idle: Duration,
    heard: BootTime,
    ping_at: BootTime,
}

impl Keepalive {
    pub(super) fn new(limits: &Limits, now: BootTime) -> Self {
        let (interval, idle) = (limits.ping_interval, limits.idle);
        Self { interval, idle, heard: now, ping_at: now.after(interval) }
    }

    /// Any frame, ping or pong counts.
    pub(super) fn heard(&mut self, now: BootTime) {
        self.heard = self.heard.max(now);
    }

    pub(super) fn deadline(&self) -> BootTime {
        self.heard.after(self.idle).min(self.ping_at)
    }

    pub(super) fn check_idle(&self, now: BootTime) -> Result<(), WireError> {
        if now < self.heard.after(self.idle) {
            return Ok(());
        }
        let detail = format!("nothing was received for {} s", now.since(self.heard).as_secs());
        Err(WireError::new(ErrorCode::Idle, detail))
    }

    /// Whether a ping is due; the next one is due an interval later.
    pub(super) fn take_ping(&mut self, now: BootTime) -> bool {
        let due = now >= self.ping_at;
        if due {
            self.ping_at = now.after(self.interval);
        }
        due
    }
}
