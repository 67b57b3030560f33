//! What the outbox holds: streams, their spans and how far each is acked. No disk, no clock, no randomness.
//!
//! A span is what is removed at once: a generation of events or logs, a stored block of control. It ends where the next
//! span of its stream begins, the last one at the stream's `next`. A stream leaves the ledger when its epoch is closed,
//! everything is acked, its spans are gone and no gap of it waits.

mod gaps;
mod losses;
mod per_lane;
mod stream;

use std::collections::BTreeMap;

use crate::id::{Epoch, Lane, StreamId};
use crate::wire::message::{Gap, StreamMark, StreamState};

use gaps::Gaps;
use losses::Losses;

pub use gaps::GapChange;
pub use per_lane::PerLane;
pub use stream::{Span, Stream};

/// All streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    current: PerLane<Epoch>,
    streams: BTreeMap<StreamId, Stream>,
    gaps: Gaps,
    losses: Losses,
}

impl Ledger {
    /// A ledger whose lanes have these current epochs and nothing else.
    pub fn new(current: PerLane<Epoch>) -> Self {
        let mut ledger =
            Self { current, streams: BTreeMap::new(), gaps: Gaps::default(), losses: Losses::default() };
        for lane in Lane::ALL {
            ledger.streams.insert(ledger.current(lane), Stream::default());
        }
        ledger
    }

    /// The lane's current stream.
    pub const fn current(&self, lane: Lane) -> StreamId {
        StreamId { lane, epoch: *self.current.of(lane) }
    }

    /// The current stream's content.
    pub fn current_stream(&self, lane: Lane) -> Stream {
        self.streams.get(&self.current(lane)).cloned().unwrap_or_default()
    }

    /// Number the lane's next record gets.
    pub fn next(&self, lane: Lane) -> u64 {
        self.streams.get(&self.current(lane)).map_or(1, |stream| stream.next)
    }

    /// Begins a lane's next epoch; the old one is kept while it holds something.
    pub fn begin_epoch(&mut self, lane: Lane, epoch: Epoch) {
        let old = self.current(lane);
        *self.current.of_mut(lane) = epoch;
        self.streams.insert(self.current(lane), Stream::default());
        self.forget_if_done(old);
    }

    /// Takes an older epoch in, as found on disk.
    pub fn insert(&mut self, id: StreamId, stream: Stream) {
        self.streams.insert(id, stream);
    }

    /// One stream.
    pub fn stream(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// One stream, to be changed.
    pub fn stream_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(&id)
    }

    /// Every stream, oldest first within a lane.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams.iter().map(|(id, stream)| (*id, stream))
    }

    /// What a Register lists: every stream with something unacked or a gap, and each lane's current one.
    pub fn states(&self) -> Vec<StreamState> {
        let listed = self.streams.iter().filter(|(id, stream)| {
            stream.unacked() > 0 || self.current(id.lane) == **id || self.has_gaps(**id)
        });
        listed.map(|(id, stream)| state(*id, stream)).collect()
    }

    /// The current streams' states, in the order of [`Lane::ALL`].
    pub fn current_states(&self) -> [StreamState; 3] {
        Lane::ALL.map(|lane| {
            let id = self.current(lane);
            self.streams
                .get(&id)
                .map_or(StreamState { stream: id, first_unacked: 1, next: 1 }, |stream| state(id, stream))
        })
    }

    /// The cursor of a stream; of one that is not held any more, or never was, nothing is known.
    pub fn mark(&self, id: StreamId) -> StreamMark {
        let none = StreamMark::none(id.lane, id.epoch);
        self.streams.get(&id).map_or(none, |stream| StreamMark {
            stream: id,
            acked: stream.acked,
            acked_crc: stream.acked_crc,
        })
    }

    /// Unacked records and bytes of a lane, without what will not come.
    pub fn depth(&self, lane: Lane) -> (u64, u64) {
        let streams = self.streams.iter().filter(|(id, _)| id.lane == lane);
        streams.fold((0, 0), |(records, bytes), (id, stream)| {
            let held = self.held(*id).into_iter().map(|(first, last)| last.saturating_sub(first) + 1);
            (held.fold(records, u64::saturating_add), bytes.saturating_add(stream.unacked_bytes()))
        })
    }

    /// The unacked numbers of a stream that will come: first and last of each range.
    pub fn held(&self, id: StreamId) -> Vec<(u64, u64)> {
        self.streams
            .get(&id)
            .map_or_else(Vec::new, |stream| self.gaps.around(id, stream.acked.saturating_add(1), stream.next))
    }

    /// Bytes a lane takes on disk.
    pub fn disk_bytes(&self, lane: Lane) -> u64 {
        let streams = self.streams.iter().filter(|(id, _)| id.lane == lane);
        streams.flat_map(|(_, stream)| stream.spans.values()).map(|span| span.disk_bytes).sum()
    }

    /// A lane's oldest span: its stream and first number.
    pub fn oldest(&self, lane: Lane) -> Option<(StreamId, u64, Span)> {
        let streams = self.streams.iter().filter(|(id, _)| id.lane == lane);
        let mut spans =
            streams.flat_map(|(id, stream)| stream.spans.iter().map(|(first, span)| (*id, *first, *span)));
        spans.next()
    }

    /// Gaps that wait for their ack.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter()
    }

    /// Takes a gap in as it is; one from the same number is replaced.
    pub fn insert_gap(&mut self, gap: Gap) {
        self.gaps.insert(gap);
    }

    /// What declaring a gap changes, once its rows are durable: only unacked numbers that exist and that no gap covers
    /// yet count.
    pub fn plan_gap(&self, gap: &Gap) -> GapChange {
        let Some(stream) = self.streams.get(&gap.stream) else { return GapChange::default() };
        let first = gap.from.max(stream.acked.saturating_add(1));
        let last = gap.to.min(stream.next.saturating_sub(1));
        if first > last {
            return GapChange::default();
        }
        self.gaps.plan(&gap.part(first, last))
    }

    /// Takes note of a change that is durable.
    pub fn apply_gaps(&mut self, change: &GapChange) {
        self.gaps.apply(change);
    }

    /// Counts a loss that is new.
    pub fn count_loss(&mut self, gap: &Gap) {
        self.losses.add(gap);
    }

    /// Counts what a change declares lost that was not before.
    pub fn count_losses(&mut self, change: &GapChange) {
        self.losses.add_change(change);
    }

    /// Records that were counted as lost, by lane and reason.
    pub fn losses(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        self.losses.by_name()
    }

    /// Takes the gaps out that a mark of the hub covers, and cuts the one it stands in.
    pub fn take_gaps(&mut self, mark: StreamMark) -> GapChange {
        self.gaps.take(mark)
    }

    /// The gap a number lies in.
    pub fn gap_at(&self, id: StreamId, seq: u64) -> Option<&Gap> {
        self.gaps.at(id, seq)
    }

    /// Whether every number from `from` on and below `end` lies in a gap.
    pub fn is_lost(&self, id: StreamId, from: u64, end: u64) -> bool {
        self.gaps.around(id, from, end).is_empty()
    }

    /// The number where the next gap begins after `seq`, or the stream's `next`.
    pub fn end_of_run(&self, id: StreamId, seq: u64) -> u64 {
        let next = self.streams.get(&id).map_or(seq, |stream| stream.next);
        self.gaps.after(id, seq).map_or(next, |gap| gap.from.min(next))
    }

    /// Whether a gap of the stream waits for its ack.
    pub fn has_gaps(&self, id: StreamId) -> bool {
        self.gaps.of(id).next().is_some()
    }

    /// Drops a stream that is closed and done; says whether it did.
    pub fn forget_if_done(&mut self, id: StreamId) -> bool {
        let done = self.current(id.lane) != id
            && !self.has_gaps(id)
            && self.streams.get(&id).is_some_and(|stream| stream.unacked() == 0 && stream.spans.is_empty());
        if done {
            self.streams.remove(&id);
        }
        done
    }
}

fn state(id: StreamId, stream: &Stream) -> StreamState {
    StreamState { stream: id, first_unacked: stream.acked.saturating_add(1), next: stream.next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::GapReason;

    fn ledger() -> Ledger {
        Ledger::new(PerLane::from_fn(|_| Epoch::from_u64(5)))
    }

    fn stream(next: u64, firsts: &[u64]) -> Stream {
        let span = Span { bytes: 100, disk_bytes: 200 };
        Stream { next, spans: firsts.iter().map(|first| (*first, span)).collect(), ..Stream::default() }
    }

    #[test]
    fn a_span_ends_where_the_next_begins() {
        let mut stream = stream(31, &[1, 11, 21]);
        assert_eq!(stream.span_of(11), Some((11, 21)));
        assert_eq!(stream.span_of(30), Some((21, 31)));
        assert_eq!(stream.span_of(31), None);
        stream.acked = 19;
        assert_eq!(stream.covered(), [1]);
        assert_eq!(stream.unacked_bytes(), 110);
        stream.acked = 30;
        assert_eq!(stream.covered(), [1, 11, 21]);
        assert_eq!(stream.unacked_bytes(), 0);
    }

    #[test]
    fn old_streams_are_listed_first_and_current_ones_always() {
        let mut ledger = ledger();
        let old = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(4) };
        ledger.insert(old, stream(3, &[1]));
        let states = ledger.states();
        assert_eq!(states.len(), 4);
        assert_eq!((states[2].stream, states[2].next), (old, 3));
        assert_eq!(ledger.depth(Lane::Logs), (2, 100));
    }

    #[test]
    fn a_closed_stream_is_forgotten_when_nothing_of_it_waits() {
        let mut ledger = ledger();
        let id = StreamId { lane: Lane::Events, epoch: Epoch::from_u64(4) };
        ledger.insert(id, Stream { acked: 2, ..stream(3, &[]) });
        let gap = Gap { stream: id, from: 1, to: 2, reason: GapReason::HubLost, records: 2, bytes: 0 };
        ledger.insert_gap(gap);
        assert!(!ledger.forget_if_done(id));
        assert!(ledger.states().iter().any(|state| state.stream == id));
        let mark = |acked| StreamMark { stream: id, acked, acked_crc: 0 };
        assert_eq!(ledger.take_gaps(mark(1)).put, [Gap { from: 2, records: 1, ..gap }]);
        assert!(!ledger.forget_if_done(id));
        assert!(ledger.take_gaps(mark(2)).put.is_empty());
        assert!(ledger.forget_if_done(id));
        assert!(!ledger.forget_if_done(ledger.current(Lane::Events)));
    }

    #[test]
    fn only_unacked_numbers_that_exist_are_lost_and_they_are_no_depth() {
        let mut ledger = ledger();
        let id = StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(4) };
        ledger.insert(id, Stream { acked: 5, ..stream(31, &[1, 11, 21]) });
        let gap = |from, to| {
            let (reason, records) = (GapReason::Evicted, to - from + 1);
            Gap { stream: id, from, to, reason, records, bytes: 10 * records }
        };
        assert!(ledger.plan_gap(&gap(1, 5)).is_empty(), "below the cursor");
        assert!(ledger.plan_gap(&gap(31, 40)).is_empty(), "numbers that do not exist");
        let change = ledger.plan_gap(&gap(1, 10));
        assert_eq!(change.put, [gap(6, 10)]);
        assert_eq!(ledger.gap_at(id, 6), None, "not before it is durable");
        ledger.apply_gaps(&change);
        assert_eq!(ledger.gap_at(id, 6), Some(&gap(6, 10)));
        assert_eq!((ledger.end_of_run(id, 1), ledger.end_of_run(id, 11)), (6, 31));
        assert_eq!((ledger.depth(Lane::Logs).0, ledger.held(id)), (20, vec![(11, 30)]));
        let rest = ledger.plan_gap(&gap(11, 40));
        ledger.apply_gaps(&rest);
        assert_eq!((ledger.held(id), ledger.gaps().count()), (vec![], 1));
        assert!(ledger.states().iter().any(|state| state.stream == id), "its end has to be told");
    }
}
