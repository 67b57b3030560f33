//! How often one subscriber is told the status. Pure.

use crate::limit;
use crate::time::BootTime;

/// When it was told last.
#[derive(Debug, Default)]
pub(super) struct Throttle(Option<BootTime>);

impl Throttle {
    /// Whether it is told now; a question that comes too early is dropped, and does not begin the time anew.
    pub(super) fn allows(&mut self, now: BootTime) -> bool {
        let early = self.0.is_some_and(|last| now.since(last) < limit::LIVE_STATUS_INTERVAL);
        if !early {
            self.0 = Some(now);
        }
        !early
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_status_is_told_every_700_ms_at_most() {
        let mut throttle = Throttle::default();
        let told: Vec<_> = (0..3000_u64)
            .step_by(50)
            .filter(|ms| throttle.allows(BootTime(Duration::from_millis(*ms))))
            .collect();
        assert_eq!(told, [0, 700, 1400, 2100, 2800]);
    }
}
