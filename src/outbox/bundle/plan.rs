//! What a bundle will hold: fixed before its first byte, since the header says how many chunks follow.
//!
//! A range begins where nothing is acked yet, or with a gap that waits just below that. Chunks follow from the numbers
//! alone, so records that turn into a gap while the bundle is written change nothing.

use crate::id::StreamId;
use crate::limit;
use crate::wire::message::{Gap, StreamState};

use super::Range;

/// A stream as the outbox holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What is unacked.
    pub state: StreamState,
    /// The record CRC of the number the cursor stands on, 0 where not known.
    pub acked_crc: u32,
}

/// The plan of one bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    ranges: Vec<Range>,
    segments: Vec<Segment>,
    chunks: u32,
}

/// The numbers of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The stream.
    pub stream: StreamId,
    /// First number.
    pub first: u64,
    /// Last number.
    pub last: u64,
}

/// Numbers that are either records or one gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    span: Span,
    step: u64,
}

/// Too much for one bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// More streams than a header may list.
    #[error("{0} streams wait, a bundle holds {max}: start the agent once with its hub, or ack an earlier bundle", max = limit::STREAMS_MAX)]
    Streams(usize),
    /// More chunks than can be counted.
    #[error("{0} chunks are more than one bundle holds")]
    Chunks(u64),
}

impl Plan {
    /// Plans what `held` and `gaps` say. `held` is in order of lane and epoch.
    ///
    /// # Errors
    /// It is too much for one bundle.
    pub fn new(held: &[Held], gaps: &[Gap]) -> Result<Self, PlanError> {
        let mut plan = Self { ranges: Vec::new(), segments: Vec::new(), chunks: 0 };
        for held in held {
            let stream = held.state.stream;
            let gaps: Vec<&Gap> = gaps.iter().filter(|gap| gap.stream == stream).collect();
            let first = first_number(held.state.first_unacked, &gaps);
            let next = held.state.next;
            if first >= next {
                continue;
            }
            let crc_before = if first == held.state.first_unacked { held.acked_crc } else { 0 };
            plan.ranges.push(Range { stream, first, last: next.saturating_sub(1), crc_before });
            plan.segment(stream, first, next, &gaps);
        }
        if plan.ranges.len() > limit::STREAMS_MAX {
            return Err(PlanError::Streams(plan.ranges.len()));
        }
        let chunks = plan.segments.iter().map(Segment::chunks).fold(0u64, u64::saturating_add);
        // The end's index must be a number too.
        plan.chunks =
            u32::try_from(chunks).ok().filter(|count| *count < u32::MAX).ok_or(PlanError::Chunks(chunks))?;
        Ok(plan)
    }

    /// Cuts a range at the gaps in it.
    fn segment(&mut self, stream: StreamId, first: u64, next: u64, gaps: &[&Gap]) {
        let mut position = first;
        while position < next {
            let covering =
                gaps.iter().filter(|gap| gap.from <= position && position <= gap.to).map(|gap| gap.to).max();
            let (last, step) = match covering {
                Some(to) => (to.min(next - 1), u64::MAX),
                None => {
                    let begins = gaps.iter().map(|gap| gap.from).filter(|from| *from > position).min();
                    (begins.map_or(next, |from| from.min(next)) - 1, limit::BUNDLE_CHUNK_RECORDS)
                }
            };
            self.segments.push(Segment { span: Span { stream, first: position, last }, step });
            position = last.saturating_add(1);
        }
    }

    /// What the header lists.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// How many chunks there will be; 0 where nothing waits.
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Numbers in it.
    pub fn numbers(&self) -> u64 {
        self.ranges
            .iter()
            .map(|range| range.last.saturating_sub(range.first).saturating_add(1))
            .fold(0, u64::saturating_add)
    }

    /// The numbers of each chunk, in order.
    pub fn into_spans(self) -> impl Iterator<Item = Span> + Send {
        self.segments.into_iter().flat_map(Segment::spans)
    }
}

/// The first number that is not acked, or that of the gaps which end just before it.
fn first_number(first_unacked: u64, gaps: &[&Gap]) -> u64 {
    let mut first = first_unacked;
    loop {
        let before = gaps.iter().filter(|gap| gap.from < first && gap.to >= first.saturating_sub(1));
        match before.map(|gap| gap.from).min() {
            Some(from) => first = from,
            None => return first,
        }
    }
}

impl Segment {
    const fn numbers(&self) -> u64 {
        self.span.last.saturating_sub(self.span.first).saturating_add(1)
    }

    const fn chunks(&self) -> u64 {
        self.numbers().div_ceil(self.step)
    }

    fn spans(self) -> impl Iterator<Item = Span> + Send {
        let Self { span, step } = self;
        std::iter::successors(Some(span.first), move |first| {
            first.checked_add(step).filter(|next| *next <= span.last)
        })
        .map(move |first| Span {
            first,
            last: first.saturating_add(step - 1).min(span.last),
            ..span
        })
    }
}

/// The part `from ..= to` of a gap, with its share of what was lost.
pub fn cut_gap(gap: &Gap, from: u64, to: u64) -> Gap {
    let numbers = gap.to.saturating_sub(gap.from).saturating_add(1);
    let cut = to.saturating_sub(from).saturating_add(1);
    let share = |lost: u64| {
        let share = u128::from(lost) * u128::from(cut) / u128::from(numbers.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    Gap { from, to, records: share(gap.records).min(cut), bytes: share(gap.bytes), ..*gap }
}
