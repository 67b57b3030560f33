//! Points in time as plain numbers. Nothing here reads a clock: `obs/clock.rs` does, everybody else is given `now`.

use std::time::Duration;

/// Milliseconds since the Unix epoch by the hub's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HubTime(pub u64);

/// Milliseconds since the Unix epoch by this machine's own clock, which may be years off and may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub u64);

/// Time since some fixed moment of this boot (suspend included); never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootTime(pub Duration);

/// Hub time less wall time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClockOffset(pub i64);

impl BootTime {
    /// The time `duration` later (saturating).
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long ago `earlier` was; zero where it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl HubTime {
    /// The hub time `duration` later (saturating).
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How far apart two hub times are.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

impl ClockOffset {
    /// The offset that turns `wall` into `hub`, both read at the same moment.
    #[must_use]
    pub fn between(hub: HubTime, wall: WallTime) -> Self {
        let offset = i128::from(hub.0) - i128::from(wall.0);
        Self(i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX }))
    }

    /// `wall` as the hub's clock would have shown it (saturating).
    #[must_use]
    pub fn correct(self, wall: WallTime) -> HubTime {
        HubTime(wall.0.saturating_add_signed(self.0))
    }
}

/// Whole milliseconds of a duration (saturating).
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_turns_wall_time_into_hub_time() {
        let offset = ClockOffset::between(HubTime(1_800_000_000_000), WallTime(5_000));
        assert_eq!(offset.correct(WallTime(6_000)), HubTime(1_800_000_001_000));
        let back = ClockOffset::between(HubTime(5_000), WallTime(9_000));
        assert_eq!(back.correct(WallTime(1_000)), HubTime(0));
    }
}
