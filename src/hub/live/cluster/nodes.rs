//! Which other nodes are there: those that were heard lately. Pure.

use std::collections::HashMap;

use crate::limit;
use crate::time::BootTime;

/// When each was heard last.
#[derive(Debug, Default)]
pub(super) struct Nodes(HashMap<String, BootTime>);

impl Nodes {
    pub(super) fn heard(&mut self, node: &str, now: BootTime) {
        if self.0.len() >= limit::LIVE_NODES_MAX {
            self.forget(now);
        }
        if self.0.len() < limit::LIVE_NODES_MAX || self.0.contains_key(node) {
            self.0.insert(node.to_owned(), now);
        }
    }

    pub(super) fn left(&mut self, node: &str) {
        self.0.remove(node);
    }

    /// How many were heard lately.
    pub(super) fn count(&mut self, now: BootTime) -> usize {
        self.forget(now);
        self.0.len()
    }

    fn forget(&mut self, now: BootTime) {
        self.0.retain(|_, heard| now.since(*heard) < limit::LIVE_BEAT_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_counts_while_it_is_heard() {
        let mut nodes = Nodes::default();
        let at = |ms| BootTime(Duration::from_millis(ms));
        let silence = u64::try_from(limit::LIVE_BEAT_TIMEOUT.as_millis()).unwrap();
        nodes.heard("a", at(0));
        nodes.heard("b", at(1000));
        nodes.heard("b", at(1000));
        assert_eq!(nodes.count(at(silence - 1)), 2);
        assert_eq!(nodes.count(at(silence)), 1);
        nodes.left("b");
        assert_eq!(nodes.count(at(silence)), 0);
        for number in 0..2 * limit::LIVE_NODES_MAX {
            nodes.heard(&number.to_string(), at(0));
        }
        assert_eq!(nodes.count(at(0)), limit::LIVE_NODES_MAX);
    }
}
