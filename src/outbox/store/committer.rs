//! One round: what waits is written, made durable and answered, logs first and control last, so that a result is never
//! durable before its output. Waiters are answered after the whole round.

use tokio::sync::oneshot;

use crate::id::{Lane, RecordId, StreamId};
use crate::outbox::block::{HEADER_BYTES, Header, Packer};
use crate::outbox::ledger::{LastRecord, PerLane, Span, Written};
use crate::outbox::name::GenerationName;
use crate::outbox::policy::Short;
use crate::outbox::{AppendError, Appended, Durability};
use crate::time::WallTime;

use super::core;
use super::generation::Generation;
use super::host::Fault;
use super::inbox::Append;
use super::mark::{Durable, End};
use super::thread::Store;

pub(super) type Answer = Result<Appended, AppendError>;
pub(super) type Reply = oneshot::Sender<Answer>;

impl Store {
    /// Writes what was taken from the queues.
    pub(super) fn round(&mut self, mut appends: PerLane<Vec<Append>>) {
        let mut answers: Vec<(Reply, Answer)> = Vec::new();
        for lane in [Lane::Logs, Lane::Events, Lane::Control] {
            let appends = std::mem::take(appends.of_mut(lane));
            if !appends.is_empty() {
                if lane == Lane::Control {
                    self.commit_buffered();
                }
                self.write_lane(lane, appends, &mut answers);
            }
        }
        if answers.is_empty() {
            return;
        }
        self.durable.send_replace(self.ledger.current_states());
        for (reply, answer) in answers {
            // A waiter that went away leaves its records durable: they will be delivered.
            let _ = reply.send(answer);
        }
    }

    fn write_lane(&mut self, lane: Lane, appends: Vec<Append>, answers: &mut Vec<(Reply, Answer)>) {
        let appends = self.admit(lane, appends, answers);
        if appends.is_empty() {
            return;
        }
        if self.rules.lanes.of(lane).durability == Durability::Buffered {
            self.buffer(appends, answers);
            return;
        }
        match self.commit_lane(lane, &appends) {
            Ok(first) => {
                let stream = self.ledger.current(lane);
                let mut next = first;
                for append in appends {
                    let numbers = append.encoded.units.len() as u64;
                    let id = |seq| RecordId { stream, seq };
                    let appended = Appended {
                        first: id(next),
                        last: id(next + numbers - 1),
                        count: append.encoded.given,
                    };
                    next += numbers;
                    answers.push((append.reply, Ok(appended)));
                }
            }
            Err(error) => {
                answers.extend(appends.into_iter().map(|append| (append.reply, Err(error.clone()))))
            }
        }
    }

    /// Writes the appends as blocks and makes them durable; gives their first number.
    pub(super) fn commit_lane(&mut self, lane: Lane, appends: &[Append]) -> Result<u64, AppendError> {
        let units = appends.iter().flat_map(|append| append.encoded.iter());
        let bytes = appends.iter().map(|append| append.encoded.bytes.len() as u64).sum();
        let stream = self.ledger.current(lane);
        let first = self.ledger.next(lane);
        self.put_jobs(stream, first, appends)?;
        self.commit_units(stream, first, units, bytes)?;
        Ok(first)
    }

    /// Puts the rows of those appends that are changes of jobs into the commit of their records.
    fn put_jobs(&mut self, stream: StreamId, first: u64, appends: &[Append]) -> Result<(), AppendError> {
        let mut next = first;
        for append in appends {
            let count = append.encoded.units.len() as u64;
            next = next.saturating_add(count);
            let last = (count > 0).then_some(RecordId { stream, seq: next - 1 });
            let put = append.job.as_ref().map_or(Ok(()), |change| self.put_job(change, last));
            if let Err(fault) = put {
                self.note(Err(fault));
                return Err(AppendError::Degraded { reason: self.poisoned.clone().unwrap_or_default() });
            }
        }
        Ok(())
    }

    /// Writes encoded records as the next of a lane's current stream.
    pub(super) fn commit_units<'a>(
        &mut self,
        stream: StreamId,
        first: u64,
        units: impl Iterator<Item = (&'a [u8], u64)>,
        bytes: u64,
    ) -> Result<(), AppendError> {
        if stream.lane != Lane::Control {
            self.ready_writer(stream, first, bytes)?;
        }
        let written = self.write_units(stream, first, units).and_then(|next| {
            let durable = Durable { epoch: stream.epoch, upto: next - 1, end: End::Open };
            self.mark.write_lane(stream.lane, durable)?;
            Ok(next)
        });
        match written {
            Ok(next) => {
                if let Some(stream) = self.ledger.stream_mut(stream) {
                    stream.next = next;
                }
                *self.drained_since.of_mut(stream.lane) = None;
                Ok(())
            }
            Err(fault) => {
                self.note(Err(fault));
                Err(AppendError::Degraded { reason: self.poisoned.clone().unwrap_or_default() })
            }
        }
    }

    fn write_units<'a>(
        &mut self,
        stream: StreamId,
        first: u64,
        units: impl Iterator<Item = (&'a [u8], u64)>,
    ) -> Result<u64, Fault> {
        let mut packer = Packer::new(stream, first);
        let (mut next, mut spans) = (first, Vec::new());
        for (record, recorded_at_ms) in units {
            if let Some((header, value)) = packer.push(record, recorded_at_ms) {
                spans.push(self.write_block(&header, &value)?);
            }
            next += 1;
        }
        if let Some((header, value)) = packer.finish() {
            spans.push(self.write_block(&header, &value)?);
        }
        let length = match self.writers.of_mut(stream.lane) {
            Some(writer) => {
                writer.commit()?;
                writer.disk_bytes()?
            }
            None => {
                self.commit_core()?;
                0
            }
        };
        let now = self.host.now();
        let Some(held) = self.ledger.stream_mut(stream) else { return Ok(next) };
        for (first, bytes, recorded_at) in spans {
            let span = held.spans.entry(first).or_insert_with(Span::default);
            span.bytes = span.bytes.saturating_add(bytes);
            span.disk_bytes = if length == 0 { bytes } else { length };
            span.last = Some(LastRecord { recorded_at, written: Written::Here(now) });
        }
        Ok(next)
    }

    /// Writes one block; gives the span it belongs to, its bytes and the time of its last record.
    fn write_block(&mut self, header: &Header, value: &[u8]) -> Result<(u64, u64, WallTime), Fault> {
        let last = WallTime(header.last_ms);
        if let Some(writer) = self.writers.of_mut(header.stream.lane) {
            writer.insert(header, value)?;
            return Ok((writer.name.first, value.len().saturating_sub(HEADER_BYTES) as u64, last));
        }
        if let Some(core) = &mut self.core {
            core.put(&core::control_key(header.stream, header.first), value);
        }
        Ok((header.first, value.len() as u64, last))
    }

    /// Sees to it that the lane has a generation with room for `bytes`.
    fn ready_writer(&mut self, stream: StreamId, first: u64, bytes: u64) -> Result<(), AppendError> {
        let lane = stream.lane;
        let size = self.generation_bytes(lane);
        let takes = self.writer_room(lane).map(|writer| writer.takes(bytes, size));
        match takes {
            Some(true) => return Ok(()),
            Some(false) => {
                let result = self.retire_writer(lane);
                self.note(result);
            }
            None => {}
        }
        if let Some(reason) = self.poisoned.clone() {
            return Err(AppendError::Degraded { reason });
        }
        let name = GenerationName { stream, first };
        let created = loop {
            match Generation::create(&*self.host, &self.dir, name, size.max(bytes)) {
                // What is free may be less than the disk says: old records make room as far as they may.
                Err(Fault::Full(detail)) => {
                    let short = Short::Disk { free: 0, min_free: 0 };
                    if self.give_way(short, lane).is_none() {
                        return Err(AppendError::DiskFull { detail });
                    }
                }
                other => break other,
            }
        };
        self.free = None;
        match created {
            Ok(writer) => *self.writers.of_mut(lane) = Some(writer),
            Err(fault) => {
                self.note(Err(fault));
                return Err(AppendError::Degraded { reason: self.poisoned.clone().unwrap_or_default() });
            }
        }
        Ok(())
    }

    /// Closes a lane's writer: its last commit is synced, the mark follows.
    pub(super) fn retire_writer(&mut self, lane: Lane) -> Result<(), Fault> {
        let Some(writer) = self.writers.of_mut(lane).take() else { return Ok(()) };
        let name = writer.name;
        self.commit_core()?;
        self.mark.sync()?;
        let length = writer.length()?;
        writer.close()?;
        *self.drained_since.of_mut(lane) = None;
        if let Some(span) =
            self.ledger.stream_mut(name.stream).and_then(|held| held.spans.get_mut(&name.first))
        {
            span.disk_bytes = length;
        }
        Ok(())
    }
}
