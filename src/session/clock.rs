//! Hub time as both ends reckon it: the Challenge's time and the boot time since.

use std::time::Duration;

use crate::limit;
use crate::time::{BootTime, HubTime};
use crate::wire::error::{ErrorCode, WireError};

#[derive(Debug, Clone, Copy)]
pub(super) struct HubClock {
    base: HubTime,
    at: BootTime,
}

impl HubClock {
    /// It was `base` at `at`.
    pub(super) const fn new(base: HubTime, at: BootTime) -> Self {
        Self { base, at }
    }

    pub(super) fn now(&self, now: BootTime) -> HubTime {
        self.base.after(now.since(self.at))
    }

    /// Exactly the greatest skew passes.
    pub(super) fn check(&self, now: BootTime, sent_at: HubTime) -> Result<(), Off> {
        let now = self.now(now);
        let distance = now.distance(sent_at);
        if distance <= limit::CLOCK_SKEW_MAX {
            return Ok(());
        }
        Err(if sent_at < now { Off::Late(distance) } else { Off::Early(distance) })
    }
}

/// How far a message's time is from what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    Early(Duration),
    Late(Duration),
}

impl Off {
    /// The error, of a message of so many bytes that took so long to come. That is no excuse (whoever sits on the line makes it
    /// as long as they like), but it is what to look at: the clocks are right where the message was in time but for it.
    pub(super) fn judge(self, took: Duration, bytes: usize) -> WireError {
        let detail = match self {
            Self::Late(age) if age.saturating_sub(took) <= limit::CLOCK_SKEW_MAX => format!(
                "a message of {bytes} bytes came {} s after it was made, and took {} s of them to come: what is older than {} s is refused. The line is too slow for so much at once; the clocks are right",
                age.as_secs(),
                took.as_secs(),
                limit::CLOCK_SKEW_MAX.as_secs()
            ),
            Self::Early(distance) | Self::Late(distance) => {
                format!("the message's time is {} ms off", distance.as_millis())
            }
        };
        WireError::new(ErrorCode::Clock, detail)
    }
}
