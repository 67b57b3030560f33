//! Records that were declared lost since the outbox was opened. Pure; only shown.

use std::collections::BTreeMap;

use crate::id::Lane;
use crate::wire::message::Gap;

use super::GapChange;

/// Counts by lane and reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Losses(BTreeMap<(Lane, &'static str), u64>);

impl Losses {
    /// A gap that was not there before.
    pub(super) fn add(&mut self, gap: &Gap) {
        self.change(gap, |count| count.saturating_add(gap.records));
    }

    /// Gaps that grew: what they were stands on one side, what they are on the other.
    pub(super) fn add_change(&mut self, change: &GapChange) {
        change.put.iter().for_each(|gap| self.add(gap));
        change.gone.iter().for_each(|gap| self.change(gap, |count| count.saturating_sub(gap.records)));
    }

    fn change(&mut self, gap: &Gap, change: impl FnOnce(u64) -> u64) {
        let count = self.0.entry((gap.stream.lane, gap.reason.name())).or_default();
        *count = change(*count);
    }

    /// By the names of lane and reason.
    pub(super) fn by_name(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let mut lanes: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((lane, reason), count) in &self.0 {
            lanes.entry(lane.name().to_owned()).or_default().insert((*reason).to_owned(), *count);
        }
        lanes
    }
}
