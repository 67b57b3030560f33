//! The log bus: the newest lines of each app.

use std::time::Duration;

/// The name of an app, whose lines a record may be.
pub const APP_BYTES_MAX: usize = 63;
/// One line of an app as its ring has it.
pub const APP_LINE_BYTES_MAX: usize = 8 * 1024;
/// Lines that an app's ring has; few in unit tests, so that they reach the edge.
pub const APP_LINES_MAX: usize = if cfg!(test) { 10 } else { 1000 };
/// How long a line stays in it.
pub const APP_LINES_FOR: Duration = Duration::from_secs(3600);
/// Apps that have a ring; a few hundred bytes each while it is empty.
pub const APPS_MAX: usize = if cfg!(test) { 4 } else { 1000 };
/// Bytes of all rings together: as much as eight apps with nothing but the longest lines.
pub const APP_BYTES_ALL_MAX: usize = if cfg!(test) { 64 * 1024 } else { 64 * 1024 * 1024 };
/// Bytes of stored batches that the rings are filled again from when a hub starts. Each time they have read as much without an
/// end, it is looked whether they are behind by more, and what is too far behind is passed over.
pub const APP_REACH_BYTES: i64 = if cfg!(test) { 4096 } else { 64 * 1024 * 1024 };
/// Batches that are read back at once.
pub const APP_BATCHES_PAGE: u32 = 64;
/// The rings look for what is new no more often than this.
pub const APP_FEED_PAUSE: Duration = Duration::from_millis(20);
/// And try again after this where the database failed; and how often they look for what is too old. Short in unit tests, which
/// wait for it.
pub const APP_SWEEP_INTERVAL: Duration =
    if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(10) };
/// Rows that one transaction of that deletes at most, so that it keeps no other waiting.
pub const APP_SWEEP_BATCH: u32 = if cfg!(test) { 2 } else { 1000 };
/// Transactions of that in a row: more batches than come meanwhile.
pub const APP_SWEEPS_MAX: u32 = 100;
/// Lines of one answer.
pub const APP_LINES_PAGE_MAX: u32 = 10_000;
/// Apps that one request names; a URL carries no more without trouble.
pub const APPS_ASKED_MAX: usize = 64;
