//! One round: what waits is written, made durable and answered, logs first and control last, so that a result is never
//! durable before its output. A lane's waiters are answered at once: a later lane that hangs makes no refusal of theirs.

use tokio::sync::oneshot;

use crate::id::{Lane, RecordId, StreamId};
use crate::obs::random;
use crate::outbox::block::{HEADER_BYTES, Header, Packer, Sealing};
use crate::outbox::ledger::{PerLane, Span};
use crate::outbox::name::GenerationName;
use crate::outbox::policy::{LastRecord, Short, Written};
use crate::outbox::{AppendError, Appended, Durability};
use crate::time::WallTime;

use super::core;
use super::generation::Generation;
use super::host::Fault;
use super::inbox::Append;
use super::job;
use super::thread::Store;

pub(super) type Answer = Result<Appended, AppendError>;
pub(super) type Reply = oneshot::Sender<Answer>;

impl Store {
    /// Writes what was taken from the queues.
    pub(super) fn round(&mut self, mut appends: PerLane<Vec<Append>>) {
        for lane in [Lane::Logs, Lane::Events, Lane::Control] {
            let appends = std::mem::take(appends.of_mut(lane));
            if appends.is_empty() {
                continue;
            }
            if lane == Lane::Control {
                self.commit_buffered();
            }
            let mut answers: Vec<(Reply, Answer)> = Vec::new();
            self.write_lane(lane, appends, &mut answers);
            self.durable.send_replace(self.ledger.current_states());
            for (reply, answer) in answers {
                // A waiter that went away leaves its records durable: they will be delivered.
                let _ = reply.send(answer);
            }
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
        let jobs = self.put_jobs(stream, first, appends).map_err(|fault| self.refuse(lane, fault))?;
        self.commit_units(stream, first, units, bytes)?;
        self.settle_jobs(jobs);
        Ok(first)
    }

    /// Puts the rows of those appends that are changes of jobs into the commit of their records.
    fn put_jobs(&mut self, stream: StreamId, first: u64, appends: &[Append]) -> Result<job::Pending, Fault> {
        let mut pending = job::Pending::default();
        let mut next = first;
        for append in appends {
            let count = append.encoded.units.len() as u64;
            next = next.saturating_add(count);
            let last = (count > 0).then_some(RecordId { stream, seq: next - 1 });
            if let Some(change) = &append.job {
                self.put_job(change, last, &mut pending)?;
            }
        }
        Ok(pending)
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
        let next = self.write_units(stream, first, units).map_err(|fault| self.refuse(stream.lane, fault))?;
        if let Some(stream) = self.ledger.stream_mut(stream) {
            stream.next = next;
        }
        *self.drained_since.of_mut(stream.lane) = None;
        Ok(())
    }

    fn write_units<'a>(
        &mut self,
        stream: StreamId,
        first: u64,
        units: impl Iterator<Item = (&'a [u8], u64)>,
    ) -> Result<u64, Fault> {
        let cipher = self.cipher.clone();
        let sealing = cipher.as_deref().map(|cipher| Sealing { cipher, nonce: random::bytes });
        let mut packer = Packer::new(stream, first, sealing);
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
                let length = writer.disk_bytes()?;
                self.mark.write_lane(stream.lane, stream.epoch, next - 1)?;
                self.watch.progress(self.host.now())?;
                length
            }
            None => {
                self.commit_core(Some(next - 1))?;
                0
            }
        };
        let now = self.host.now();
        let Some(held) = self.ledger.stream_mut(stream) else { return Ok(next) };
        for (first, bytes, recorded_at) in spans {
            if stream.lane != Lane::Control {
                let last = LastRecord { recorded_at, written: Written::Here(now) };
                self.last_records.insert(GenerationName { stream, first }, last);
            }
            let span = held.spans.entry(first).or_insert_with(Span::default);
            span.bytes = span.bytes.saturating_add(bytes);
            span.disk_bytes = if length == 0 { bytes } else { length };
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
        match self.writer_room(lane).map(|writer| writer.takes(bytes, size)) {
            Some(true) => return Ok(()),
            Some(false) => {
                self.retire_writer(lane).map_err(|fault| self.refuse(Lane::Control, fault))?;
            }
            None => {}
        }
        let name = GenerationName { stream, first };
        let (bytes, mut freed) = (size.max(bytes), 0u64);
        let needed = Generation::reservation(&*self.host, bytes);
        loop {
            let error = match self.make_writer(name, bytes) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // Less may be free than the disk says. Old records make room, but not for what others take meanwhile.
            let is_full = matches!(error, AppendError::DiskFull { .. });
            if !is_full || freed >= needed.saturating_mul(2) {
                return Err(error);
            }
            match self.give_way(Short::Disk { free: 0, min_free: 0 }, lane) {
                Some(given_back) => freed = freed.saturating_add(given_back),
                None => return Err(error),
            }
        }
    }

    fn make_writer(&mut self, name: GenerationName, bytes: u64) -> Result<(), AppendError> {
        self.free = None;
        self.has_room(Generation::reservation(&*self.host, bytes))?;
        match Generation::create(&*self.host, &self.dir, name, bytes) {
            Ok(writer) => *self.writers.of_mut(name.stream.lane) = Some(writer),
            Err(fault) => return Err(self.not_ready(fault)),
        }
        Ok(())
    }

    /// A failure before anything of the append was written: there is nothing to seal off.
    pub(super) fn not_ready(&mut self, fault: Fault) -> AppendError {
        match fault {
            Fault::Full(detail) => {
                self.short_since.get_or_insert(self.host.now());
                AppendError::DiskFull { detail }
            }
            Fault::Broken(reason) => {
                self.poison(&reason);
                AppendError::Degraded { reason }
            }
        }
    }

    /// While the disk is short of space, whether a generation fits is looked up before it is tried.
    fn has_room(&self, bytes: u64) -> Result<(), AppendError> {
        if self.short_since.is_none() {
            return Ok(());
        }
        match self.host.free_bytes(&self.dir) {
            Ok(free) if free < bytes => {
                let detail = format!("{free} bytes are free, the next generation takes {bytes}");
                Err(AppendError::DiskFull { detail })
            }
            _ => Ok(()),
        }
    }

    /// Closes a lane's writer: its last commit is synced, the mark follows.
    pub(super) fn retire_writer(&mut self, lane: Lane) -> Result<(), Fault> {
        if self.writers.of(lane).is_none() {
            return Ok(());
        }
        self.commit_core(None)?;
        self.mark.sync()?;
        let Some(writer) = self.writers.of_mut(lane).take() else { return Ok(()) };
        let name = writer.name;
        let length = writer.length();
        writer.close()?;
        let length = length?;
        *self.drained_since.of_mut(lane) = None;
        if let Some(span) =
            self.ledger.stream_mut(name.stream).and_then(|held| held.spans.get_mut(&name.first))
        {
            span.disk_bytes = length;
        }
        Ok(())
    }
}
