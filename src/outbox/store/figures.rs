//! What `outbox stat` and `outbox ls` show.

use crate::id::{Lane, StreamId};
use crate::limit;
use crate::outbox::name::GenerationName;
use crate::outbox::{LaneStat, Range, RangeState, Stat};

use super::ballast::Ballast;
use super::thread::Store;

impl Store {
    pub(super) fn stat(&mut self) -> Stat {
        let mut stat = Stat {
            gaps: self.ledger.gaps().count() as u64,
            lost: self.ledger.gaps().map(|gap| gap.records).fold(0, u64::saturating_add),
            losses: self.ledger.losses(),
            degraded: self.poisoned.is_some(),
            disk_bytes: if self.ballast == Ballast::Held { limit::BALLAST_BYTES } else { 0 },
            ..Stat::default()
        };
        let core_bytes = self.core.as_ref().and_then(|core| core.length().ok()).unwrap_or_default();
        for lane in Lane::ALL {
            let (records, bytes) = self.ledger.depth(lane);
            let disk_bytes = if lane == Lane::Control { core_bytes } else { self.ledger.disk_bytes(lane) };
            stat.disk_bytes += disk_bytes;
            let oldest_ms = self.oldest_ms(lane);
            let quota_bytes = self.rules.lanes.of(lane).max_bytes;
            let lane_stat = LaneStat { records, bytes, disk_bytes, oldest_ms, quota_bytes };
            stat.lanes.insert(lane.name().to_owned(), lane_stat);
        }
        stat
    }

    fn oldest_ms(&mut self, lane: Lane) -> Option<u64> {
        let streams = self.ledger.streams().filter(|(id, _)| id.lane == lane);
        let mut held = streams.filter_map(|(id, _)| Some((id, self.ledger.held(id).first()?.0)));
        let (id, seq) = held.next()?;
        drop(held);
        self.first_ms(id, seq)
    }

    /// Unacked records that will come; a range ends where what is done with them changes.
    pub(super) fn ranges(&self) -> Vec<Range> {
        let mut ranges = Vec::new();
        for (id, stream) in self.ledger.streams() {
            let held = self.ledger.held(id);
            let count = |first: u64, last: u64| last.saturating_sub(first).saturating_add(1);
            let all: u64 = held.iter().map(|(first, last)| count(*first, *last)).sum();
            let share = |count: u64| {
                let share = u128::from(stream.unacked_bytes()) * u128::from(count) / u128::from(all.max(1));
                u64::try_from(share).unwrap_or(u64::MAX)
            };
            for (first, last) in held {
                let parts = self.parts(id, first, last).into_iter();
                ranges.extend(parts.map(|(first, last, state)| Range {
                    lane: id.lane.name().to_owned(),
                    epoch: id.epoch.to_string(),
                    first,
                    last,
                    count: count(first, last),
                    bytes: share(count(first, last)),
                    state,
                }));
            }
        }
        ranges
    }

    /// A range, cut where generations that were set aside begin and end.
    fn parts(&self, stream: StreamId, first: u64, last: u64) -> Vec<(u64, u64, RangeState)> {
        let mut parts: Vec<(u64, u64, RangeState)> = Vec::new();
        let mut next = first;
        while next <= last {
            let span = self.ledger.stream(stream).and_then(|held| held.span_of(next));
            let aside =
                span.is_some_and(|(first, _)| self.quarantined.contains(&GenerationName { stream, first }));
            let state = if aside { RangeState::Quarantine } else { RangeState::Unacked };
            let end = span.map_or(last, |(_, end)| end.saturating_sub(1)).clamp(next, last);
            match parts.last_mut().filter(|part| part.2 == state) {
                Some(part) => part.1 = end,
                None => parts.push((next, end, state)),
            }
            next = end.saturating_add(1);
        }
        parts
    }
}
