//! How long the hub's acks are waited for: `no_ack` from the last one, and what the line needs beyond that.
//!
//! An ack cannot pass a frame that comes in, nor tell of records behind a message that goes out. So the time counts anew from
//! the last byte of such a frame: but for `limit::LINE_BUSY_MAX` in all after an ack. A hub that sends for ever and acks
//! nothing is left all the same. Where no record was sent for what goes out, the hub owes no ack for that time.

use std::time::Duration;

use crate::limit;
use crate::time::BootTime;

#[derive(Debug, Default)]
pub(super) struct Unacked {
    /// From the last ack, or the first record after all was acked; `None` while nothing waits.
    since: Option<BootTime>,
    /// When the line was seen to be busy with something large.
    busy: BootTime,
}

impl Unacked {
    /// Something waits for an ack from now on, where nothing did.
    pub(super) fn waits(&mut self, now: BootTime) {
        self.since.get_or_insert(now);
    }

    /// What waits for an ack was held back up to now.
    pub(super) fn sends_again(&mut self, now: BootTime) {
        self.since = self.since.map(|_| now);
    }

    /// An ack came.
    pub(super) const fn acked(&mut self, now: BootTime) {
        self.since = Some(now);
    }

    /// Everything was acked.
    pub(super) const fn nothing_waits(&mut self) {
        self.since = None;
    }

    /// The line was busy with something large.
    pub(super) fn busy(&mut self, at: BootTime) {
        self.busy = self.busy.max(at);
    }

    /// When the line was last seen to be busy with something large; long ago where it never was.
    pub(super) const fn last_busy(&self) -> BootTime {
        self.busy
    }

    /// When an ack is too late that had to come within `no_ack`; `on_the_way`: what the line needs for what was sent.
    pub(super) fn deadline(&self, no_ack: Duration, on_the_way: Duration) -> Option<BootTime> {
        let since = self.since?;
        let busy = self.busy.min(since.after(limit::LINE_BUSY_MAX));
        Some(since.max(busy).after(no_ack).after(on_the_way))
    }

    /// For how long no ack has come.
    pub(super) fn waited(&self, now: BootTime) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.since(since))
    }
}
