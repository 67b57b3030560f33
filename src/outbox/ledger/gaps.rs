//! Numbers that exist and will not come, of all streams. Pure.
//!
//! Above a stream's cursor gaps never overlap, and neighbours of one reason are one gap: their number is bounded by what
//! lies between them, however much is lost.

use std::collections::BTreeMap;

use crate::id::StreamId;
use crate::wire::message::{Gap, StreamMark};

/// Gaps by stream and first number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Gaps {
    held: BTreeMap<(StreamId, u64), Gap>,
}

/// How the rows of gaps change, all at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GapChange {
    /// Gaps as they were: their rows go.
    pub gone: Vec<Gap>,
    /// Gaps as they are from now on.
    pub put: Vec<Gap>,
}

impl GapChange {
    /// Whether nothing changes.
    pub const fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.put.is_empty()
    }
}

impl Gaps {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Gap> {
        self.held.values()
    }

    pub(super) fn of(&self, id: StreamId) -> impl DoubleEndedIterator<Item = &Gap> {
        self.held.range((id, 0)..=(id, u64::MAX)).map(|(_, gap)| gap)
    }

    pub(super) fn insert(&mut self, gap: Gap) {
        self.held.insert((gap.stream, gap.from), gap);
    }

    /// The gap a number lies in.
    pub(super) fn at(&self, id: StreamId, seq: u64) -> Option<&Gap> {
        let (_, gap) = self.held.range((id, 0)..=(id, seq)).next_back()?;
        (gap.to >= seq).then_some(gap)
    }

    /// The first gap that begins at a number or after it.
    pub(super) fn after(&self, id: StreamId, seq: u64) -> Option<&Gap> {
        self.held.range((id, seq)..=(id, u64::MAX)).next().map(|(_, gap)| gap)
    }

    /// What a new gap changes: only what no gap covers yet counts, and neighbours of its reason become one with it.
    pub(super) fn plan(&self, new: &Gap) -> GapChange {
        let near = |gap: &&Gap| gap.to.saturating_add(1) >= new.from && gap.from <= new.to.saturating_add(1);
        let held: Vec<Gap> = self.of(new.stream).filter(near).copied().collect();
        let mut all = held.clone();
        let mut from = new.from;
        for gap in &held {
            if let Some(last) = gap.from.checked_sub(1).filter(|last| *last >= from) {
                all.push(new.part(from, last.min(new.to)));
            }
            from = from.max(gap.to.saturating_add(1));
        }
        if from <= new.to {
            all.push(new.part(from, new.to));
        }
        all.sort_unstable_by_key(|gap| gap.from);
        let merged = merge(all);
        let mut change = GapChange::default();
        change.gone.extend(held.iter().filter(|gap| !merged.contains(gap)));
        change.put.extend(merged.iter().filter(|gap| !held.contains(gap)));
        change
    }

    pub(super) fn apply(&mut self, change: &GapChange) {
        for gap in &change.gone {
            self.held.remove(&(gap.stream, gap.from));
        }
        change.put.iter().for_each(|gap| self.insert(*gap));
    }

    /// Takes out what a mark covers; a gap that is covered in part keeps the rest.
    pub(super) fn take(&mut self, mark: StreamMark) -> GapChange {
        let (id, acked) = (mark.stream, mark.acked);
        let mut change = GapChange::default();
        change.gone.extend(self.held.range((id, 0)..=(id, acked)).map(|(_, gap)| *gap));
        let left = change.gone.iter().filter(|gap| gap.to > acked);
        change.put = left.map(|gap| gap.part(acked.saturating_add(1), gap.to)).collect();
        self.apply(&change);
        change
    }

    /// Numbers from `from` on, below `next`, that lie in no gap: first and last of each range.
    pub(super) fn around(&self, id: StreamId, first: u64, next: u64) -> Vec<(u64, u64)> {
        let (mut ranges, mut from) = (Vec::new(), first);
        for gap in self.of(id).filter(|gap| gap.to >= first) {
            if let Some(last) = gap.from.min(next).checked_sub(1).filter(|last| *last >= from) {
                ranges.push((from, last));
            }
            from = from.max(gap.to.saturating_add(1));
        }
        if from < next {
            ranges.push((from, next.saturating_sub(1)));
        }
        ranges
    }
}

fn merge(gaps: Vec<Gap>) -> Vec<Gap> {
    let mut merged: Vec<Gap> = Vec::with_capacity(gaps.len());
    for gap in gaps {
        match merged.last_mut() {
            Some(last) if last.reason == gap.reason && last.to.saturating_add(1) == gap.from => {
                last.to = gap.to;
                last.records = last.records.saturating_add(gap.records);
                last.bytes = last.bytes.saturating_add(gap.bytes);
            }
            _ => merged.push(gap),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
