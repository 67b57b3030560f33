//! Which streams wait for acks, and since when: "a backlog waits and no ack came" ends a session.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::StreamId;
use crate::time::BootTime;
use crate::wire::message::{StreamMark, StreamState};

/// Bounded by the streams of one registration and one current epoch a lane.
#[derive(Debug)]
pub(super) struct Depth {
    unacked: BTreeMap<StreamId, Unacked>,
    registered: bool,
    waiting_since: Option<BootTime>,
}

#[derive(Debug, Clone, Copy)]
struct Unacked {
    first: u64,
    next: u64,
}

impl Depth {
    pub(super) fn new(streams: &[StreamState]) -> Self {
        let unacked = streams
            .iter()
            .map(|state| (state.stream, Unacked { first: state.first_unacked, next: state.next }))
            .collect();
        Self { unacked, registered: false, waiting_since: None }
    }

    fn waits(&self) -> bool {
        self.registered && self.unacked.values().any(|unacked| unacked.first < unacked.next)
    }

    pub(super) fn registered(&mut self, now: BootTime) {
        self.registered = true;
        self.progress(now);
    }

    pub(super) fn durable(&mut self, stream: StreamId, next: u64, now: BootTime) {
        let waited = self.waits();
        let unacked = self.unacked.entry(stream).or_insert(Unacked { first: 1, next });
        unacked.next = next;
        if !waited {
            self.progress(now);
        }
    }

    pub(super) fn acked(&mut self, mark: StreamMark, now: BootTime) {
        if let Some(unacked) = self.unacked.get_mut(&mark.stream) {
            unacked.first = unacked.first.max(mark.acked.saturating_add(1));
        }
        self.progress(now);
    }

    fn progress(&mut self, now: BootTime) {
        self.waiting_since = self.waits().then_some(now);
    }

    pub(super) fn no_ack_at(&self, timeout: Duration) -> Option<BootTime> {
        self.waiting_since.map(|since| since.after(timeout))
    }

    pub(super) fn no_ack(&self, now: BootTime, timeout: Duration) -> bool {
        self.no_ack_at(timeout).is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Epoch, Lane};

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(seconds))
    }

    fn stream() -> StreamId {
        StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(7) }
    }

    fn mark(acked: u64) -> StreamMark {
        StreamMark { stream: stream(), acked, acked_crc: 0 }
    }

    #[test]
    fn the_minute_begins_with_the_backlog_and_anew_with_each_ack() {
        let mut depth = Depth::new(&[StreamState { stream: stream(), first_unacked: 1, next: 3 }]);
        assert!(!depth.no_ack(at(1_000), TIMEOUT), "not before the registration");
        depth.registered(at(0));
        depth.durable(stream(), 4, at(30));
        assert!(!depth.no_ack(at(59), TIMEOUT));
        assert!(depth.no_ack(at(60), TIMEOUT), "a new record does not give more time");
        depth.acked(mark(1), at(50));
        assert!(!depth.no_ack(at(109), TIMEOUT));
        assert!(depth.no_ack(at(110), TIMEOUT));
        depth.acked(mark(3), at(100));
        assert!(!depth.no_ack(at(10_000), TIMEOUT), "nothing waits");
        depth.durable(stream(), 5, at(10_000));
        assert!(!depth.no_ack(at(10_059), TIMEOUT), "the wait begins with the record, not with the last ack");
        assert!(depth.no_ack(at(10_060), TIMEOUT));
    }
}
