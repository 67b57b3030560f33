//! One epoch of a lane, and the spans of it that are held.

use std::collections::BTreeMap;

/// One epoch of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The number its next record gets.
    pub next: u64,
    /// Greatest acked number and its CRC (0 where not known).
    pub acked: u64,
    /// See `acked`.
    pub acked_crc: u32,
    /// What is held, by first number.
    pub spans: BTreeMap<u64, Span>,
}

/// What is removed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Encoded bytes of its records, or an estimate.
    pub bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
}

impl Default for Stream {
    fn default() -> Self {
        Self { next: 1, acked: 0, acked_crc: 0, spans: BTreeMap::new() }
    }
}

impl Stream {
    /// Records not acked.
    pub const fn unacked(&self) -> u64 {
        self.next.saturating_sub(1).saturating_sub(self.acked)
    }

    /// The span that holds `seq`: its first number and the number after its last.
    pub fn span_of(&self, seq: u64) -> Option<(u64, u64)> {
        let (first, _) = self.spans.range(..=seq).next_back()?;
        (seq < self.next).then(|| (*first, self.end_of(*first)))
    }

    /// Where the span begins that holds `seq`; `seq` itself where none does.
    pub fn begin_of(&self, seq: u64) -> u64 {
        self.spans.range(..=seq).next_back().map_or(seq, |(first, _)| *first)
    }

    /// The number after the last of the span that begins with `first`.
    pub fn end_of(&self, first: u64) -> u64 {
        let after = self.spans.range(first.saturating_add(1)..).next();
        after.map_or(self.next, |(next, _)| *next)
    }

    /// First numbers of the spans that are acked whole.
    pub fn covered(&self) -> Vec<u64> {
        let ends = self.spans.keys().skip(1).copied().chain([self.next]);
        let covered = self.spans.keys().zip(ends).take_while(|(_, end)| *end <= self.acked.saturating_add(1));
        covered.map(|(first, _)| *first).collect()
    }

    /// Encoded bytes not acked; in proportion where a span is acked in part.
    pub fn unacked_bytes(&self) -> u64 {
        let first_unacked = self.acked.saturating_add(1);
        let mut bytes = 0u64;
        for (first, span) in self.spans.iter().rev() {
            let end = self.end_of(*first);
            if end <= first_unacked {
                break;
            }
            let held = end.saturating_sub(*first).max(1);
            let left = end.saturating_sub((*first).max(first_unacked));
            let share = u128::from(span.bytes) * u128::from(left) / u128::from(held);
            bytes = bytes.saturating_add(u64::try_from(share).unwrap_or(u64::MAX));
        }
        bytes
    }
}
