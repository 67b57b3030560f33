//! Lines of several rings as one sequence.

use std::collections::BinaryHeap;
use std::sync::Arc;

use super::{Line, Range};

pub(super) fn weight(lines: &[Arc<Line>]) -> usize {
    lines.iter().map(|line| line.weight()).sum()
}

/// Takes from a merge until there are enough.
pub(super) fn take(merged: impl Iterator<Item = Arc<Line>>, range: &Range) -> Vec<Arc<Line>> {
    let (mut lines, mut bytes) = (Vec::new(), 0usize);
    for line in merged.take(range.count_max) {
        bytes = bytes.saturating_add(line.weight());
        lines.push(line);
        if bytes >= range.bytes_max {
            break;
        }
    }
    lines
}

/// The lines of several rings as one sequence, by their numbers; each ring's own are in that order.
pub(super) fn merge<'a, I, K>(
    rings: impl Iterator<Item = I>,
    key: fn(i64) -> K,
) -> impl Iterator<Item = Arc<Line>>
where
    I: Iterator<Item = &'a Arc<Line>>,
    K: Ord,
{
    let mut rest: Vec<_> = rings.map(Iterator::peekable).collect();
    let heads = rest.iter_mut().enumerate().filter_map(|(ring, lines)| Some((key(lines.peek()?.seq), ring)));
    let mut heads: BinaryHeap<_> = heads.collect();
    std::iter::from_fn(move || {
        let (_, ring) = heads.pop()?;
        let lines = rest.get_mut(ring)?;
        let line = lines.next()?;
        heads.extend(lines.peek().map(|next| (key(next.seq), ring)));
        Some(Arc::clone(line))
    })
}
