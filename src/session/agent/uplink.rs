//! Which records go up next: streams in order, lanes by urgency, bytes by window.
//!
//! Invariants: at most one read is outstanding and at most one batch waits; control has a window of its own, events and
//! logs share the other; a lane that waits gets its turn after at most `limit::LANE_TURNS` of the more urgent ones. Within
//! a lane the oldest stream comes first, but every `limit::OLD_STREAM_TURNS` + 1 reads one is for the current stream:
//! new records flow beside a backlog. Marks are per stream, so the order between streams is nobody's promise.
//!
//! On a slow line less is in flight than the windows allow, in smaller batches (`session/rate.rs`), and batches are
//! compressed where the hub takes that: not on a fast one, where it would cost more than it brings.

mod parcel;
mod turns;
mod window;

use std::collections::BTreeMap;

use crate::id::{Lane, StreamId};
use crate::limit;
use crate::outbox::Batch;
use crate::session::event::ReadRequest;
use crate::session::rate::{Rate, Share};
use crate::time::{BootTime, ClockOffset};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::{Gap, Limits, Message, Records, StreamMark};

use super::stream::{Bytes, Hold, Stream};
use parcel::{Line, Packer, Parcel};
use turns::{Age, Turns};
use window::Window;

#[derive(Debug, Default)]
pub(super) struct Uplink {
    streams: BTreeMap<StreamId, Stream>,
    control: Window,
    bulk: Window,
    turns: Turns,
    outstanding: Option<ReadRequest>,
    waiting: Option<(StreamId, Parcel)>,
    offset: Option<ClockOffset>,
    pub(super) rate: Rate,
    packer: Packer,
}

impl Uplink {
    /// Opens the flow with the negotiated limits.
    pub(super) fn open(&mut self, limits: &Limits, offset: ClockOffset, streams: Vec<Stream>) {
        self.control.size = limits.control_window_bytes as usize;
        self.bulk.size = limits.window_bytes as usize;
        let batch_max = (limits.message_bytes as usize).saturating_sub(limit::ENVELOPE_BYTES_MAX);
        self.packer = Packer::new(batch_max, limits.zstd);
        self.offset = Some(offset);
        self.streams = streams.into_iter().map(|stream| (stream.id, stream)).collect();
    }

    pub(super) fn durable(&mut self, id: StreamId, next: u64) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.durable(next);
        }
    }

    pub(super) fn add_gap(&mut self, gap: Gap) {
        if let Some(stream) = self.streams.get_mut(&gap.stream) {
            stream.add_gap(gap);
        }
    }

    /// Whether something durable is not acked yet.
    pub(super) fn has_backlog(&self) -> bool {
        self.streams.values().any(Stream::has_backlog)
    }

    /// Whether the driver brings records, or is to.
    pub(super) fn awaits_records(&self) -> bool {
        self.outstanding.is_some() || Lane::ALL.into_iter().any(|lane| self.candidate(lane).is_some())
    }

    pub(super) fn poll_read(&mut self) -> Option<ReadRequest> {
        if self.outstanding.is_some() || self.waiting.is_some() {
            return None;
        }
        let candidates = Lane::ALL.map(|lane| self.candidate(lane));
        let turn = self.turns.choose(candidates.map(|candidate| candidate.is_some()))?;
        let request = candidates.into_iter().nth(turn).flatten();
        if let Some(request) = request {
            self.count_turn(request.stream);
        }
        self.outstanding = request;
        request
    }

    /// The lane's next read, where its window and the line have room.
    fn candidate(&self, lane: Lane) -> Option<ReadRequest> {
        let room = self.window(lane).room()?;
        let bytes_max = self.packer.read_for(self.line(lane)?).min(room).max(1);
        let oldest = self.lane(lane).find(|stream| stream.is_readable())?;
        let stream = match (self.waiting_current(lane), self.turns.next_in(lane)) {
            (Some(current), Age::Current) => current,
            (Some(_), Age::Old) | (None, _) => oldest,
        };
        Some(ReadRequest { stream: stream.id, from: stream.position, bytes_max })
    }

    /// What the lane's next batch may take on the line; `None` where it takes none now.
    fn line(&self, lane: Lane) -> Option<usize> {
        Some(self.rate.room(share(lane))?.min(self.rate.batch_bytes()))
    }

    /// The lane's current stream, where it has something to read.
    fn waiting_current(&self, lane: Lane) -> Option<&Stream> {
        self.lane(lane).next_back().filter(|stream| stream.is_readable())
    }

    fn count_turn(&mut self, read: StreamId) {
        let beside = self.waiting_current(read.lane).filter(|current| current.id != read);
        self.turns.count(read.lane, beside.map(|_| Age::Current));
    }

    pub(super) fn handle_batch(
        &mut self,
        request: ReadRequest,
        batch: Option<Batch>,
    ) -> Result<(), WireError> {
        if self.outstanding != Some(request) {
            return Ok(());
        }
        self.outstanding = None;
        let Some(stream) = self.streams.get_mut(&request.stream) else { return Ok(()) };
        if stream.position != request.from {
            return Ok(());
        }
        let Some(batch) = batch.filter(|batch| batch.first == request.from && batch.count > 0) else {
            stream.hold = Hold::Empty;
            return Ok(());
        };
        // What came in between may have taken what it was read for.
        let bytes = self.line(request.stream.lane).unwrap_or(limit::LINE_BATCH_BYTES_MIN);
        let line = Line { per_second: self.rate.per_second(), bytes };
        let parcel = self.packer.pack(batch, line)?;
        let Some(stream) = self.streams.get_mut(&request.stream) else { return Ok(()) };
        stream.position = parcel.end();
        stream.next = stream.next.max(stream.position);
        self.window_mut(request.stream.lane).take(parcel.raw);
        self.waiting = Some((request.stream, parcel));
        Ok(())
    }

    /// The next message to sign and send.
    pub(super) fn pop(&mut self, now: BootTime) -> Option<Message> {
        if let Some((id, parcel)) = self.waiting.take() {
            return self.records(now, id, parcel).map(Message::Records);
        }
        Lane::ALL.into_iter().find_map(|lane| {
            self.window(lane).room()?;
            let gap = self.lane_mut(lane).find_map(Stream::take_gap)?;
            self.window_mut(lane).take(limit::GAP_WINDOW_BYTES);
            self.rate.sent(now, share(lane), limit::GAP_WINDOW_BYTES);
            Some(Message::Gap(gap))
        })
    }

    fn records(&mut self, now: BootTime, id: StreamId, parcel: Parcel) -> Option<Records> {
        let size = Bytes { raw: parcel.raw, sent: parcel.bytes.len() };
        let stream = self.streams.get_mut(&id)?;
        stream.sent(parcel.end().saturating_sub(1), size);
        self.rate.sent(now, share(id.lane), size.sent);
        if self.window(id.lane).room().is_none() {
            self.rate.held_back();
        }
        let Parcel { first, count, codec, raw, bytes: batch } = parcel;
        let raw_len = u32::try_from(raw).unwrap_or(u32::MAX);
        Some(Records { stream: id, first, count, codec, raw_len, batch, clock_offset: self.offset })
    }

    /// Whether the ack moved the stream on.
    pub(super) fn ack(&mut self, now: BootTime, mark: &StreamMark) -> Result<bool, WireError> {
        let stream = self.streams.get_mut(&mark.stream).ok_or_else(|| {
            WireError::new(ErrorCode::AckOutOfRange, format!("ack of {}, which is not listed", mark.stream))
        })?;
        let before = stream.acked;
        let freed = stream.ack(mark)?;
        let moved = stream.acked > before;
        self.window_mut(mark.stream.lane).give_back(freed.raw);
        if moved {
            self.rate.acked(now, share(mark.stream.lane), freed.sent);
        }
        Ok(moved)
    }

    fn lane(&self, lane: Lane) -> impl DoubleEndedIterator<Item = &Stream> {
        self.streams.range(first(lane)..=last(lane)).map(|(_, stream)| stream)
    }

    fn lane_mut(&mut self, lane: Lane) -> impl Iterator<Item = &mut Stream> {
        self.streams.range_mut(first(lane)..=last(lane)).map(|(_, stream)| stream)
    }

    fn window(&self, lane: Lane) -> Window {
        match lane {
            Lane::Control => self.control,
            Lane::Events | Lane::Logs => self.bulk,
        }
    }

    fn window_mut(&mut self, lane: Lane) -> &mut Window {
        match lane {
            Lane::Control => &mut self.control,
            Lane::Events | Lane::Logs => &mut self.bulk,
        }
    }
}

const fn share(lane: Lane) -> Share {
    match lane {
        Lane::Control => Share::Control,
        Lane::Events | Lane::Logs => Share::Bulk,
    }
}

/// Epochs count up, so the map's order within a lane is the order of age.
const fn first(lane: Lane) -> StreamId {
    StreamId { lane, epoch: crate::id::Epoch::from_u64(0) }
}

const fn last(lane: Lane) -> StreamId {
    StreamId { lane, epoch: crate::id::Epoch::from_u64(u64::MAX) }
}
