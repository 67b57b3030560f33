//! Coalesces acks: one goes out after `limit::ACK_RECORDS` records or `limit::ACK_DELAY`, whichever comes first.

use std::collections::BTreeMap;

use crate::id::StreamId;
use crate::limit;
use crate::time::BootTime;
use crate::wire::message::StreamMark;

#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The newest mark of each stream that has one to tell; no more streams than were listed.
    pending: BTreeMap<StreamId, StreamMark>,
    records: u64,
    /// When the first of them was committed.
    since: Option<BootTime>,
    due: bool,
}

impl Acks {
    pub(super) fn committed(&mut self, now: BootTime, mark: StreamMark, records: u64) {
        self.pending.insert(mark.stream, mark);
        self.records = self.records.saturating_add(records);
        self.since.get_or_insert(now);
        self.due |= self.records >= limit::ACK_RECORDS;
    }

    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.since.filter(|_| !self.due).map(|since| since.after(limit::ACK_DELAY))
    }

    pub(super) fn handle_timeout(&mut self, now: BootTime) {
        self.due |= self.deadline().is_some_and(|deadline| now >= deadline);
    }

    /// The next mark to tell, the most urgent lane's first.
    pub(super) fn pop(&mut self, now: BootTime) -> Option<StreamMark> {
        self.handle_timeout(now);
        if !self.due {
            return None;
        }
        let next = self.pending.pop_first().map(|(_, mark)| mark);
        if self.pending.is_empty() {
            *self = Self::default();
        }
        next
    }
}
