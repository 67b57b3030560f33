//! The only reader of clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::time::{BootTime, WallTime, millis};

/// Time since boot, suspend included (CLOCK_BOOTTIME): what the session reckons with.
pub fn boot_now() -> BootTime {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    BootTime(Duration::new(seconds, nanos))
}

/// This machine's own date, right or wrong; zero before 1970.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
pub fn wall_now() -> WallTime {
    WallTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
}
