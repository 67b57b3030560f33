//! One stream on its way up.
//!
//! ```text
//!  1 ... acked | in flight ... sent - 1 | read, waiting ... position - 1 | durable ... next - 1
//! ```

use std::collections::{BTreeMap, VecDeque};

use crate::id::StreamId;
use crate::limit;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::{Gap, StreamMark};

/// Why nothing is read at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing holds it.
    Free,
    /// The numbers at `position` will only be covered by a Gap the driver makes durable first.
    Gap,
    /// The outbox held nothing at `position`.
    Empty,
    /// Its disk went back in time: it ends here.
    RolledBack,
}

/// Bytes of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    /// Before compression: what windows count.
    pub(super) raw: usize,
    /// As sent: what the line carries.
    pub(super) sent: usize,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) acked: u64,
    pub(super) sent: u64,
    pub(super) position: u64,
    pub(super) next: u64,
    pub(super) hold: Hold,
    gaps: BTreeMap<u64, Gap>,
    in_flight: VecDeque<(u64, Bytes)>,
}

impl Stream {
    /// A stream of which the hub has everything up to `acked`.
    pub(super) fn new(id: StreamId, acked: u64, next: u64, hold: Hold) -> Self {
        let position = acked.saturating_add(1);
        let (gaps, in_flight) = (BTreeMap::new(), VecDeque::new());
        Self { id, acked, sent: position, position, next, hold, gaps, in_flight }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.hold == Hold::Free && self.position < self.next && self.gap_at_position().is_none()
    }

    /// Whether something durable is not acked yet.
    pub(super) fn has_backlog(&self) -> bool {
        self.hold != Hold::RolledBack && self.acked.saturating_add(1) < self.next
    }

    pub(super) fn durable(&mut self, next: u64) {
        if next > self.next {
            self.next = next;
            if self.hold == Hold::Empty {
                self.hold = Hold::Free;
            }
        }
    }

    pub(super) fn add_gap(&mut self, gap: Gap) {
        if gap.to < self.position || self.hold == Hold::RolledBack {
            return;
        }
        self.gaps.insert(gap.from, gap);
        if self.hold == Hold::Empty {
            self.hold = Hold::Free;
        }
    }

    /// The Gap the stream has come to, once everything before it is sent.
    pub(super) fn take_gap(&mut self) -> Option<Gap> {
        if self.sent != self.position {
            return None;
        }
        let gap = self.gap_at_position()?;
        self.position = gap.to.saturating_add(1);
        self.next = self.next.max(self.position);
        self.gaps.retain(|_, other| other.to > gap.to);
        self.hold = Hold::Free;
        let bytes = limit::GAP_WINDOW_BYTES;
        self.sent(gap.to, Bytes { raw: bytes, sent: bytes });
        Some(gap)
    }

    /// Takes note that everything up to `last` was sent, which counts `bytes` until it is acked.
    pub(super) fn sent(&mut self, last: u64, bytes: Bytes) {
        self.sent = last.saturating_add(1);
        self.in_flight.push_back((last, bytes));
    }

    /// Bytes that are no longer in flight.
    pub(super) fn ack(&mut self, mark: &StreamMark) -> Result<Bytes, WireError> {
        if mark.acked < self.acked || mark.acked >= self.sent {
            let last = self.sent.saturating_sub(1);
            let detail = format!("ack {} of {}, acked {}, last sent {last}", mark.acked, self.id, self.acked);
            return Err(WireError::new(ErrorCode::AckOutOfRange, detail));
        }
        self.acked = mark.acked;
        let mut freed = Bytes::default();
        while let Some((last, bytes)) = self.in_flight.front().copied() {
            if last > mark.acked {
                break;
            }
            freed.raw = freed.raw.saturating_add(bytes.raw);
            freed.sent = freed.sent.saturating_add(bytes.sent);
            self.in_flight.pop_front();
        }
        Ok(freed)
    }

    fn gap_at_position(&self) -> Option<Gap> {
        let (_, gap) = self.gaps.range(..=self.position).next_back()?;
        (gap.to >= self.position).then_some(*gap)
    }
}
