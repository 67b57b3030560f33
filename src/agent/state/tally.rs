//! How often something happened, by why.

use std::collections::BTreeMap;

use crate::limit;

/// What does not find room any more is counted under this name.
const OTHER: &str = "other";

/// Counts by name. Names are our own tables'; whoever makes one up some day does not make this grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// One more.
    pub fn add(&mut self, name: &str) {
        let full = self.0.len() >= limit::METRICS_REASONS_MAX && !self.0.contains_key(name);
        let count = self.0.entry(if full { OTHER } else { name }.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let mut tally = Tally::default();
        for number in 0..limit::METRICS_REASONS_MAX + 3 {
            tally.add(&number.to_string());
        }
        tally.add("0");
        let counts: BTreeMap<_, _> = tally.iter().collect();
        assert_eq!(counts.len(), limit::METRICS_REASONS_MAX + 1);
        assert_eq!((counts["0"], counts[OTHER]), (2, 3));
    }
}
