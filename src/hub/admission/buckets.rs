//! What each did lately: a bucket that a failure of an address, or a request of a caller, takes from and that fills again
//! with time.
//!
//! The number of buckets is bounded; where there are more, those that are fullest are forgotten.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::limit;
use crate::time::BootTime;

pub(super) struct Buckets<K> {
    /// What one takes.
    each: Duration,
    /// What a full one holds.
    window: Duration,
    /// When each bucket is full again; one that is not here is full.
    full_at: HashMap<K, BootTime>,
    by_time: BTreeSet<(BootTime, K)>,
}

impl<K: Copy + Ord + Hash> Buckets<K> {
    /// `allowed`: at once, and then in each `window`.
    pub(super) fn new(allowed: NonZeroU32, window: Duration) -> Self {
        Self { each: window / allowed.get(), window, full_at: HashMap::new(), by_time: BTreeSet::new() }
    }

    /// How long until one more may be taken; `None` where it may now.
    pub(super) fn barred_for(&self, key: K, now: BootTime) -> Option<Duration> {
        let full_in = self.full_at.get(&key)?.since(now);
        let beyond = full_in.saturating_add(self.each).saturating_sub(self.window);
        (!beyond.is_zero()).then_some(beyond)
    }

    /// Takes one.
    pub(super) fn note(&mut self, key: K, now: BootTime) {
        let known = self.full_at.get(&key).copied();
        let full_at = known.unwrap_or(now).max(now).after(self.each);
        // What is taken out of an empty one does not keep it empty for longer.
        let full_at = full_at.min(now.after(self.window));
        self.full_at.insert(key, full_at);
        if let Some(known) = known {
            self.by_time.remove(&(known, key));
        }
        self.by_time.insert((full_at, key));
        self.forget(now);
    }

    /// The buckets that are full, and beyond the bound those that are nearest to it.
    fn forget(&mut self, now: BootTime) {
        while let Some((full_at, key)) = self.by_time.first().copied()
            && (full_at <= now || self.by_time.len() > limit::ADDRESSES_MAX)
        {
            self.by_time.pop_first();
            self.full_at.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::admission::origin::Origin;

    fn at(millis: u64) -> BootTime {
        BootTime(Duration::from_millis(millis))
    }

    fn origin(last: u8) -> Origin {
        Origin::of([192, 0, 2, last].into())
    }

    fn failures(allowed: u32) -> Buckets<Origin> {
        Buckets::new(NonZeroU32::new(allowed).unwrap(), limit::FAILURES_WINDOW)
    }

    #[test]
    fn an_address_may_fail_as_often_as_allowed_and_then_waits_for_one_more() {
        let mut failures = failures(4);
        for count in 0..4 {
            assert_eq!(failures.barred_for(origin(1), at(0)), None, "{count}");
            failures.note(origin(1), at(0));
        }
        assert_eq!(failures.barred_for(origin(1), at(0)), Some(Duration::from_secs(15)));
        assert_eq!(failures.barred_for(origin(2), at(0)), None, "another address");
        assert_eq!(failures.barred_for(origin(1), at(14_999)), Some(Duration::from_millis(1)));
        assert_eq!(failures.barred_for(origin(1), at(15_000)), None);
        failures.note(origin(1), at(15_000));
        assert!(failures.barred_for(origin(1), at(15_000)).is_some());
        assert_eq!(failures.barred_for(origin(1), at(75_000)), None);
    }

    #[test]
    fn what_fails_while_it_is_barred_is_not_barred_for_longer() {
        let mut failures = failures(4);
        for _ in 0..1000 {
            failures.note(origin(1), at(0));
        }
        assert_eq!(failures.barred_for(origin(1), at(0)), Some(Duration::from_secs(15)));
    }

    #[test]
    fn the_number_of_addresses_is_bounded_and_the_worst_are_kept() {
        let mut failures = failures(2);
        failures.note(origin(1), at(0));
        failures.note(origin(1), at(0));
        for last in 2..200 {
            failures.note(origin(last), at(1));
        }
        assert_eq!(failures.full_at.len(), limit::ADDRESSES_MAX);
        assert_eq!(failures.by_time.len(), limit::ADDRESSES_MAX);
        assert!(failures.barred_for(origin(1), at(1)).is_some());
        failures.note(origin(200), at(120_000));
        assert_eq!(failures.full_at.len(), 1, "full buckets are forgotten");
    }
}
