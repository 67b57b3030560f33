//! Points in time as plain numbers. Nothing here reads a clock: `obs/clock.rs` does, everybody else is given `now`.

use std::fmt;
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

impl HubTime {
    /// As RFC 3339 has it, in UTC and seconds: `2026-11-21T17:04:53Z`.
    #[must_use]
    pub fn to_second(self) -> String {
        let text = self.to_string();
        text.split_once('.').map_or_else(|| text.clone(), |(second, _ms)| format!("{second}Z"))
    }
}

impl fmt::Display for HubTime {
    /// As RFC 3339 has it, in UTC and milliseconds: `2026-11-21T17:04:53.120Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WallTime(self.0).fmt(f)
    }
}

impl fmt::Display for WallTime {
    /// As RFC 3339 has it, in UTC and milliseconds: `2026-11-21T17:04:53.120Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        // Days since 0000-03-01 in eras of 400 years: leap days come last in each year, century and era.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let date = day - (153 * month + 2) / 5 + 1;
        let (year, month) =
            if month < 10 { (year + era * 400, month + 3) } else { (year + era * 400 + 1, month - 9) };
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{date:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
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

/// A span of time with both of its ends: when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    not_before: HubTime,
    not_after: HubTime,
}

impl Validity {
    /// From one moment to another, both included; `None` where the second lies before the first.
    #[must_use]
    pub fn new(not_before: HubTime, not_after: HubTime) -> Option<Self> {
        (not_before <= not_after).then_some(Self { not_before, not_after })
    }

    /// As certificates have it: whole seconds since 1970, the last one counting to its end.
    #[must_use]
    pub fn from_seconds(not_before: i64, not_after: i64) -> Option<Self> {
        let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        Self::new(HubTime(ms(not_before)), HubTime(ms(not_after).saturating_add(999)))
    }

    /// Its first moment.
    #[must_use]
    pub const fn not_before(self) -> HubTime {
        self.not_before
    }

    /// Its last moment.
    #[must_use]
    pub const fn not_after(self) -> HubTime {
        self.not_after
    }

    /// Whether a moment lies within it.
    #[must_use]
    pub fn contains(self, at: HubTime) -> bool {
        self.not_before <= at && at <= self.not_after
    }

    /// What lies within both; `None` where nothing does.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Self> {
        Self::new(self.not_before.max(other.not_before), self.not_after.min(other.not_after))
    }

    /// The moment within it that is nearest to `at`.
    #[must_use]
    pub fn nearest(self, at: HubTime) -> HubTime {
        at.max(self.not_before).min(self.not_after)
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.not_before.to_second(), self.not_after.to_second())
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

    #[test]
    fn times_are_written_as_dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_200_001, "2024-03-01T00:00:00.001Z"),
            (1_795_280_693_120, "2026-11-21T17:04:53.120Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(HubTime(ms).to_string(), text);
        }
    }
}
