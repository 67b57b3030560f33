//! Hub time as both ends reckon it: the Challenge's time and the boot time since.

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
    pub(super) fn check(&self, now: BootTime, sent_at: HubTime) -> Result<(), WireError> {
        let distance = self.now(now).distance(sent_at);
        if distance <= limit::CLOCK_SKEW_MAX {
            return Ok(());
        }
        Err(WireError::new(
            ErrorCode::Clock,
            format!("the message's time is {} ms off", distance.as_millis()),
        ))
    }
}
