//! What was received of each stream and what of it is committed.
//!
//! Contiguity is judged here against what was *received*; the store's compare-and-set has the last word.

use std::collections::{BTreeMap, VecDeque};

use crate::id::{Lane, StreamId};
use crate::limit;
use crate::session::event::HubEvent;
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::{Codec, Gap, Limits, Records, StreamMark};
use crate::wire::zstd;

#[derive(Debug)]
pub(super) struct Intake {
    streams: BTreeMap<StreamId, Received>,
    control: Window,
    bulk: Window,
    compression: Compression,
    /// Of one message, and so of a batch before it was compressed.
    bytes_max: usize,
    /// Bytes that compressed batches became more by.
    expanded: usize,
}

/// Whether compressed batches are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Off,
    On,
}

#[derive(Debug)]
struct Received {
    received: u64,
    committed: u64,
    in_flight: VecDeque<(u64, usize)>,
}

#[derive(Debug)]
struct Window {
    size: usize,
    used: usize,
}

impl Intake {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            streams: BTreeMap::new(),
            control: Window { size: limits.control_window_bytes as usize, used: 0 },
            bulk: Window { size: limits.window_bytes as usize, used: 0 },
            compression: if limits.zstd { Compression::On } else { Compression::Off },
            bytes_max: limits.message_bytes as usize,
            expanded: 0,
        }
    }

    pub(super) fn open(&mut self, marks: &[StreamMark]) {
        let received = |acked| Received { received: acked, committed: acked, in_flight: VecDeque::new() };
        self.streams = marks.iter().map(|mark| (mark.stream, received(mark.acked))).collect();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.control.used.saturating_add(self.bulk.used)
    }

    pub(super) fn take_expanded(&mut self) -> usize {
        std::mem::take(&mut self.expanded)
    }

    /// The records to store, as they were before they were compressed; `None` where all are below the mark.
    pub(super) fn records(&mut self, mut records: Records) -> Result<Option<HubEvent>, WireError> {
        if records.codec == Codec::Zstd && self.compression == Compression::Off {
            return Err(WireError::new(ErrorCode::Invalid, "a compressed batch, which was not offered"));
        }
        let (first, last) = (records.first, records.last());
        let raw_len = records.raw_len as usize;
        let Some(received) = self.take(records.stream, first, last, raw_len)? else {
            return Ok(None);
        };
        if records.codec == Codec::Zstd {
            let batch = zstd::decompress(&records.batch, raw_len, self.bytes_max)?;
            self.expanded = self.expanded.saturating_add(batch.len().saturating_sub(records.batch.len()));
            (records.codec, records.batch) = (Codec::None, batch);
        }
        let skip = received.saturating_add(1).saturating_sub(first);
        let skip = u32::try_from(skip).unwrap_or(u32::MAX);
        Ok(Some(HubEvent::Records { records, skip }))
    }

    /// The part of the Gap above the mark; `None` where it is known whole, as one sent again is.
    pub(super) fn gap(&mut self, gap: Gap) -> Result<Option<HubEvent>, WireError> {
        let Some(received) = self.take(gap.stream, gap.from, gap.to, limit::GAP_WINDOW_BYTES)? else {
            return Ok(None);
        };
        let from = gap.from.max(received.saturating_add(1));
        let numbers = gap.to.saturating_sub(from).saturating_add(1);
        let new = gap.part(from, gap.to);
        Ok(Some(HubEvent::Gap(Gap { records: gap.records.min(numbers), ..new })))
    }

    /// Takes `first ..= last` in and returns what was received before; `None` where nothing of it is new.
    fn take(&mut self, id: StreamId, first: u64, last: u64, bytes: usize) -> Result<Option<u64>, WireError> {
        let stream = self.streams.get_mut(&id).ok_or_else(|| {
            WireError::new(ErrorCode::Unexpected, format!("{id} was not listed in the Register"))
        })?;
        let before = stream.received;
        if first > before.saturating_add(1) {
            let detail = format!("{id} goes on at {first}, {} is due", before.saturating_add(1));
            return Err(WireError::new(ErrorCode::SequenceHole, detail));
        }
        if last <= before {
            return Ok(None);
        }
        let window = match id.lane {
            Lane::Control => &mut self.control,
            Lane::Events | Lane::Logs => &mut self.bulk,
        };
        if window.used > window.size {
            let detail = format!("{} bytes are unacked, the window is {}", window.used, window.size);
            return Err(WireError::new(ErrorCode::Invalid, detail));
        }
        window.used = window.used.saturating_add(bytes);
        stream.received = last;
        stream.in_flight.push_back((last, bytes));
        Ok(Some(before))
    }

    /// How many records the mark adds to what was committed.
    pub(super) fn committed(&mut self, mark: &StreamMark) -> Result<u64, WireError> {
        let internal = |detail: String| Err(WireError::new(ErrorCode::Internal, detail));
        let Some(stream) = self.streams.get_mut(&mark.stream) else {
            return internal(format!("{} was committed and is not listed", mark.stream));
        };
        if mark.acked > stream.received {
            let detail = format!(
                "{} was committed up to {}, received up to {}",
                mark.stream, mark.acked, stream.received
            );
            return internal(detail);
        }
        let records = mark.acked.saturating_sub(stream.committed);
        stream.committed = stream.committed.max(mark.acked);
        let window = match mark.stream.lane {
            Lane::Control => &mut self.control,
            Lane::Events | Lane::Logs => &mut self.bulk,
        };
        while let Some((last, bytes)) = stream.in_flight.front().copied() {
            if last > mark.acked {
                break;
            }
            window.used = window.used.saturating_sub(bytes);
            stream.in_flight.pop_front();
        }
        Ok(records)
    }
}
