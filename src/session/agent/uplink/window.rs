//! How many bytes may be unacked.

use crate::limit;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    pub(super) size: usize,
    used: usize,
}

impl Window {
    /// Bytes of the next batch: none where not even one record is sure to fit. An empty window takes any one record.
    pub(super) fn room(self) -> Option<usize> {
        let left = self.size.saturating_sub(self.used);
        (self.used == 0 || left >= limit::BLOCK_BYTES_MAX).then_some(left)
    }

    pub(super) const fn take(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
    }

    pub(super) const fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}
