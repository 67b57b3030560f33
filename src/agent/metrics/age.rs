//! How old a record is, on a machine whose clock may be set at any time.

use crate::limit;
use crate::obs::clock::boot_now;
use crate::time::{BootTime, WallTime, millis};

/// What the clocks said when the agent began, and where they are to be read.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent) struct Clocks {
    wall: fn() -> WallTime,
    began: Moment,
}

/// One moment by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: WallTime,
    boot: BootTime,
}

impl Clocks {
    /// The agent begins now.
    pub(in crate::agent) fn start(wall: fn() -> WallTime) -> Self {
        Self { wall, began: Moment { wall: wall(), boot: boot_now() } }
    }

    /// Milliseconds since a record was made.
    pub(super) fn age(&self, recorded_ms: u64) -> u64 {
        age(recorded_ms, self.began, Moment { wall: (self.wall)(), boot: boot_now() })
    }
}

/// A clock that is set makes nothing old, as with the TTL (docs/outbox.md): what was made since `began` is no older than that
/// is long ago, and what was made before is judged by the clock of now and of then, whichever has it younger. What a clock
/// said that was never set counts from `began`. None is younger than now.
fn age(recorded_ms: u64, began: Moment, now: Moment) -> u64 {
    let running = millis(now.boot.since(began.boot));
    let by_now = now.wall.0.saturating_sub(recorded_ms);
    let was_set = |wall_ms: u64| wall_ms >= limit::WALL_CLOCK_MS_MIN;
    match (was_set(recorded_ms), was_set(began.wall.0)) {
        (false, _) => by_now.min(running),
        // Of another process, or since the clock was set: the clock of then says nothing of it.
        (true, false) => by_now,
        (true, true) => by_now.min(running.saturating_add(began.wall.0.saturating_sub(recorded_ms))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: u64 = 3_600_000;
    /// Some day of 2026.
    const TODAY: u64 = 1_790_000_000_000;

    fn moment(wall: u64, running: u64) -> Moment {
        Moment { wall: WallTime(wall), boot: BootTime(Duration::from_millis(7 + running)) }
    }

    #[test]
    fn a_clock_that_is_right_says_the_age() {
        let (began, now) = (moment(TODAY, 0), moment(TODAY + 2 * HOUR, 2 * HOUR));
        assert_eq!(age(TODAY + HOUR, began, now), HOUR);
        assert_eq!(age(TODAY - 70 * HOUR, began, now), 72 * HOUR, "of a process before");
        assert_eq!(age(TODAY + 3 * HOUR, began, now), 0, "none is younger than now");
    }

    #[test]
    fn a_clock_that_is_set_makes_nothing_old() {
        // It was never set while the agent began; the records are of then.
        let now = moment(TODAY, 2 * HOUR);
        assert_eq!(age(60_000, moment(0, 0), now), 2 * HOUR);
        assert_eq!(age(TODAY - HOUR, moment(0, 0), now), HOUR, "made since it was set");
        assert_eq!(age(TODAY - 70 * HOUR, moment(0, 0), now), 70 * HOUR, "made before it was lost");
        assert_eq!(age(60_000, moment(0, 0), moment(60_000 + HOUR, HOUR + 60_000)), HOUR, "not set yet");
        // It was a year behind, or went back a year.
        let year = 365 * 24 * HOUR;
        let behind = moment(TODAY - year, 0);
        assert_eq!(age(TODAY - year + HOUR, behind, now), 2 * HOUR);
        assert_eq!(
            age(TODAY - year - HOUR, behind, now),
            3 * HOUR,
            "of a process before, by the clock of then"
        );
        assert_eq!(age(TODAY + year, moment(TODAY + year, 0), now), 0);
    }
}
