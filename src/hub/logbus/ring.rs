//! The newest lines of one app, in the order of their numbers.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limit;

use super::line::Line;

#[derive(Debug, Default)]
pub(super) struct Ring {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    /// No line up to this number is here any more.
    lost_to: i64,
    /// The number of the newest line that ever was here.
    newest: i64,
}

impl Ring {
    /// Adds a line that is newer than all. How many fell out for it.
    pub(super) fn push(&mut self, line: Line) -> usize {
        self.newest = line.seq;
        self.bytes = self.bytes.saturating_add(line.weight());
        self.lines.push_back(Arc::new(line));
        let mut fallen = 0;
        while self.lines.len() > limit::APP_LINES_MAX && self.pop() {
            fallen += 1;
        }
        fallen
    }

    /// Drops the oldest line.
    pub(super) fn pop(&mut self) -> bool {
        let Some(line) = self.lines.pop_front() else { return false };
        self.bytes = self.bytes.saturating_sub(line.weight());
        self.lost_to = self.lost_to.max(line.seq);
        true
    }

    /// Drops the oldest lines while `is_gone` says so of them. How many.
    pub(super) fn pop_while(&mut self, is_gone: impl Fn(&Line) -> bool) -> usize {
        let mut fallen = 0;
        while self.lines.front().is_some_and(|line| is_gone(line)) && self.pop() {
            fallen += 1;
        }
        fallen
    }

    /// Lines up to this number will not come, whether they ever were here or not.
    pub(super) fn lose_to(&mut self, seq: i64) {
        self.lost_to = self.lost_to.max(seq);
    }

    /// No line up to this number is here any more.
    pub(super) fn lost_to(&self) -> i64 {
        self.lost_to
    }

    /// The number of the newest line that ever was here.
    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn first(&self) -> Option<&Arc<Line>> {
        self.lines.front()
    }

    pub(super) fn last(&self) -> Option<&Arc<Line>> {
        self.lines.back()
    }

    /// The lines above a number, the oldest first.
    pub(super) fn after(&self, seq: i64) -> impl DoubleEndedIterator<Item = &Arc<Line>> {
        self.lines.range(self.lines.partition_point(|line| line.seq <= seq)..)
    }
}
