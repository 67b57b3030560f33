//! How much of a message came that is not whole yet, and since when.

use std::time::Duration;

use crate::limit;
use crate::time::BootTime;

#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// Bytes of the connection.
    received: u64,
    /// So many of them came before the last whole message was seen.
    whole: u64,
    /// When the first one came that was seen of those beyond.
    since: Option<BootTime>,
}

impl Arriving {
    /// So many bytes came in all, the last of them at that moment; whether more of something large is among them.
    pub(super) fn received(&mut self, at: BootTime, bytes: u64) -> bool {
        let more = bytes > self.received;
        self.received = self.received.max(bytes);
        if more {
            self.since.get_or_insert(at);
        }
        more && self.received.saturating_sub(self.whole) >= limit::LINE_BYTES_MIN as u64
    }

    /// A message is whole: how long it took from its first byte.
    pub(super) fn message(&mut self, now: BootTime) -> Duration {
        self.whole = self.received;
        self.since.take().map_or(Duration::ZERO, |since| now.since(since))
    }
}
