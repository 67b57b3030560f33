//! Which records go up next: streams in order, lanes by urgency, bytes by window.
//!
//! Invariants: at most one read is outstanding and at most one batch waits; control has a window of its own, events and
//! logs share the other; a lane that waits gets its turn after at most `limit::LANE_TURNS` of the more urgent ones. Within
//! a lane the oldest stream comes first, but every `limit::OLD_STREAM_TURNS` + 1 reads one is for the current stream:
//! new records flow beside a backlog. Marks are per stream, so the order between streams is nobody's promise.
//!
//! On a slow line less is in flight than the windows allow, in smaller batches (`session/rate.rs`), and batches are
//! compressed where the hub takes that: not on a fast one, where it would cost more than it brings.

use std::collections::BTreeMap;

use crate::id::{Lane, StreamId};
use crate::limit;
use crate::outbox::Batch;
use crate::session::event::ReadRequest;
use crate::session::rate::{Rate, Share};
use crate::time::{BootTime, ClockOffset};
use crate::wire::error::{ErrorCode, WireError};
use crate::wire::message::{Codec, Gap, Limits, Message, Records, StreamMark};
use crate::wire::{batch, zstd};

use super::stream::{Bytes, Hold, Stream};

#[derive(Debug, Default)]
pub(super) struct Uplink {
    streams: BTreeMap<StreamId, Stream>,
    control: Window,
    bulk: Window,
    batch_max: usize,
    turns: [u32; 3],
    /// Reads of older streams since the current one had its turn, by lane.
    old_turns: [u32; 3],
    outstanding: Option<ReadRequest>,
    waiting: Option<(StreamId, Batch)>,
    offset: Option<ClockOffset>,
    pub(super) rate: Rate,
    compression: Compression,
}

/// Whether batches become smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Compression {
    /// The hub does not take it.
    #[default]
    Off,
    /// It does; `gain` times as many bytes as were sent went into the last batch.
    On {
        /// At least 1.
        gain: usize,
    },
}

/// The greatest gain that is reckoned with: the next batch may be another text.
const GAIN_MAX: usize = 8;

/// Bytes that may be unacked.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    size: usize,
    used: usize,
}

impl Window {
    /// Bytes of the next batch: none where not even one record is sure to fit. An empty window takes any one record.
    fn room(self) -> Option<usize> {
        let left = self.size.saturating_sub(self.used);
        (self.used == 0 || left >= limit::BLOCK_BYTES_MAX).then_some(left)
    }
}

impl Uplink {
    /// Opens the flow with the negotiated limits.
    pub(super) fn open(&mut self, limits: &Limits, offset: ClockOffset, streams: Vec<Stream>) {
        self.control.size = limits.control_window_bytes as usize;
        self.bulk.size = limits.window_bytes as usize;
        self.batch_max = (limits.message_bytes as usize).saturating_sub(limit::ENVELOPE_BYTES_MAX);
        self.offset = Some(offset);
        self.compression = if limits.zstd { Compression::On { gain: 1 } } else { Compression::Off };
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
        let turn = self.choose(candidates.map(|candidate| candidate.is_some()))?;
        let request = candidates.into_iter().nth(turn).flatten();
        if let Some(request) = request {
            self.count_turn(request.stream);
        }
        self.outstanding = request;
        request
    }

    /// The lane's next read, where its window has room.
    fn candidate(&self, lane: Lane) -> Option<ReadRequest> {
        let room = self.window(lane).room()?;
        let line = self.rate.room(share(lane))?.min(self.rate.batch_bytes());
        let gain = match self.compression {
            Compression::Off => 1,
            Compression::On { gain } => gain,
        };
        let line = line.saturating_mul(gain);
        let bytes_max = room.min(line).min(limit::BATCH_BYTES).min(self.batch_max).max(1);
        let oldest = self.lane(lane).find(|stream| stream.is_readable())?;
        let old_turns = self.old_turns.get(lane.index()).copied().unwrap_or_default();
        let stream = match self.waiting_current(lane) {
            Some(current) if old_turns >= limit::OLD_STREAM_TURNS => current,
            Some(_) | None => oldest,
        };
        Some(ReadRequest { stream: stream.id, from: stream.position, bytes_max })
    }

    /// The lane's current stream, where it has something to read.
    fn waiting_current(&self, lane: Lane) -> Option<&Stream> {
        self.lane(lane).next_back().filter(|stream| stream.is_readable())
    }

    fn count_turn(&mut self, read: StreamId) {
        let waits = self.waiting_current(read.lane).is_some_and(|current| current.id != read);
        if let Some(turns) = self.old_turns.get_mut(read.lane.index()) {
            *turns = if waits { turns.saturating_add(1) } else { 0 };
        }
    }

    /// The most urgent lane that wants and has turns left; when all that want have used theirs up, those begin anew. One that
    /// does not want now keeps what it has used: else a busy control lane would give events their turns back for ever, each
    /// time their window is full, and logs would never have theirs.
    fn choose(&mut self, wants: [bool; 3]) -> Option<usize> {
        if !wants.contains(&true) {
            return None;
        }
        for _ in 0..2 {
            for (index, (turns, wants)) in self.turns.iter_mut().zip(wants).enumerate() {
                if wants && *turns > 0 {
                    *turns -= 1;
                    return Some(index);
                }
            }
            for ((turns, all), wants) in self.turns.iter_mut().zip(limit::LANE_TURNS).zip(wants) {
                if wants {
                    *turns = all;
                }
            }
        }
        None
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
        let batch = fit(batch, self.batch_max)?;
        stream.position = batch.first.saturating_add(batch.count.into());
        stream.next = stream.next.max(stream.position);
        let bytes = batch.batch.len();
        let window = self.window_mut(request.stream.lane);
        window.used = window.used.saturating_add(bytes);
        self.waiting = Some((request.stream, batch));
        Ok(())
    }

    /// The next message to sign and send.
    pub(super) fn pop(&mut self, now: BootTime) -> Option<Message> {
        if let Some((id, batch)) = self.waiting.take() {
            return self.records(now, id, batch).map(Message::Records);
        }
        Lane::ALL.into_iter().find_map(|lane| {
            self.window(lane).room()?;
            let gap = self.lane_mut(lane).find_map(Stream::take_gap)?;
            let window = self.window_mut(lane);
            window.used = window.used.saturating_add(limit::GAP_WINDOW_BYTES);
            self.rate.sent(now, share(lane), limit::GAP_WINDOW_BYTES);
            Some(Message::Gap(gap))
        })
    }

    fn records(&mut self, now: BootTime, id: StreamId, batch: Batch) -> Option<Records> {
        let raw = batch.batch.len();
        let (codec, bytes) = match self.compressed(&batch.batch) {
            Some(smaller) => (Codec::Zstd, smaller),
            None => (Codec::None, batch.batch),
        };
        let size = Bytes { raw, sent: bytes.len() };
        let stream = self.streams.get_mut(&id)?;
        stream.sent(batch.first.saturating_add(batch.count.into()).saturating_sub(1), size);
        self.rate.sent(now, share(id.lane), size.sent);
        if self.window(id.lane).room().is_none() {
            self.rate.held_back();
        }
        Some(Records {
            stream: id,
            first: batch.first,
            count: batch.count,
            codec,
            raw_len: u32::try_from(raw).unwrap_or(u32::MAX),
            batch: bytes,
            clock_offset: self.offset,
        })
    }

    /// The batch as it goes over a slow line, where that is worth it.
    fn compressed(&mut self, batch: &bytes::Bytes) -> Option<bytes::Bytes> {
        let Compression::On { gain } = &mut self.compression else { return None };
        let is_slow = self.rate.per_second().is_some_and(|rate| rate < limit::ZSTD_RATE_MAX);
        if !is_slow || batch.len() < limit::ZSTD_BYTES_MIN {
            return None;
        }
        let smaller = zstd::compress(batch);
        *gain = smaller.as_ref().map_or(1, |smaller| (batch.len() / smaller.len().max(1)).clamp(1, GAIN_MAX));
        smaller
    }

    /// Whether the ack moved the stream on.
    pub(super) fn ack(&mut self, now: BootTime, mark: &StreamMark) -> Result<bool, WireError> {
        let stream = self.streams.get_mut(&mark.stream).ok_or_else(|| {
            WireError::new(ErrorCode::AckOutOfRange, format!("ack of {}, which is not listed", mark.stream))
        })?;
        let before = stream.acked;
        let freed = stream.ack(mark)?;
        let moved = stream.acked > before;
        let window = self.window_mut(mark.stream.lane);
        window.used = window.used.saturating_sub(freed.raw);
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

/// The batch, cut between records to what one message can carry and one batch may hold.
fn fit(batch: Batch, bytes_max: usize) -> Result<Batch, WireError> {
    if batch.batch.len() <= bytes_max && batch.count <= limit::BATCH_RECORDS_MAX {
        return Ok(batch);
    }
    let mut fitting = (0u32, 0usize);
    for count in 1..=batch.count.min(limit::BATCH_RECORDS_MAX) {
        match batch::offset_of(&batch.batch, count as usize) {
            Some(end) if end <= bytes_max => fitting = (count, end),
            Some(_) | None => break,
        }
    }
    let (count, end) = fitting;
    if count == 0 {
        let detail = format!("record {} does not fit into a message of {bytes_max} bytes", batch.first);
        return Err(WireError::new(ErrorCode::TooLarge, detail));
    }
    Ok(Batch { count, batch: batch.batch.slice(..end), ..batch })
}
