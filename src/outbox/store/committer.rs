//! One round: what waits is written, made durable and answered, logs first and control last, so that a result is never
//! durable before its output. A lane's waiters are answered at once: a later lane that hangs makes no refusal of theirs.

use tokio::sync::oneshot;

use crate::id::{Lane, RecordId, StreamId};
use crate::limit;
use crate::obs::random;
use crate::outbox::block::{HEADER_BYTES, Header, Packer, Sealing};
use crate::outbox::job::ReservationChange;
use crate::outbox::ledger::{PerLane, Span};
use crate::outbox::name::GenerationName;
use crate::outbox::{AppendError, Appended};

use super::core;
use super::generation::Generation;
use super::host::Fault;
use super::inbox::Append;
use super::job;
use super::thread::Store;

type Answer = Result<Appended, AppendError>;
type Reply = oneshot::Sender<Answer>;

impl Store {
    /// Writes what was taken from the queues.
    pub(super) fn round(&mut self, mut appends: PerLane<Vec<Append>>) {
        for lane in [Lane::Logs, Lane::Events, Lane::Control] {
            let appends = std::mem::take(appends.of_mut(lane));
            if appends.is_empty() {
                continue;
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

    /// Keeps the appends that the lane has room for; answers the others. In control, what is reserved for accepted jobs is
    /// no room for anything but those jobs.
    fn admit(&self, lane: Lane, appends: Vec<Append>, answers: &mut Vec<(Reply, Answer)>) -> Vec<Append> {
        let mut used = self.ledger.disk_bytes(lane);
        let mut reserved = if lane == Lane::Control { self.reservations.bytes() } else { 0 };
        let quota = *self.quota.of(lane);
        let mut admitted = Vec::with_capacity(appends.len());
        for append in appends {
            let bytes = append.encoded.bytes.len() as u64 + append.job.as_ref().map_or(0, job::bytes);
            let (takes, own) = append.job.as_ref().map_or((0, false), |change| {
                let takes = change.reservation == ReservationChange::Take;
                (if takes { limit::JOB_RESERVATION_BYTES } else { 0 }, self.reservations.contains(change.job))
            });
            let kept_free = if own { 0 } else { reserved.saturating_add(takes) };
            let refused = if let Some(reason) = self.poisoned.clone() {
                AppendError::Degraded { reason }
            } else if used.saturating_add(bytes).saturating_add(kept_free) > quota {
                AppendError::LaneFull { lane, used: used.saturating_add(reserved), quota }
            } else {
                used = used.saturating_add(bytes);
                reserved = reserved.saturating_add(takes);
                admitted.push(append);
                continue;
            };
            answers.push((append.reply, Err(refused)));
        }
        admitted
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
                let length = writer.length()?;
                self.mark.write_lane(stream.lane, stream.epoch, next - 1)?;
                self.watch.progress(self.host.now())?;
                length
            }
            None => {
                self.commit_core(Some(next - 1))?;
                0
            }
        };
        let Some(held) = self.ledger.stream_mut(stream) else { return Ok(next) };
        for (first, bytes) in spans {
            let span = held.spans.entry(first).or_insert_with(Span::default);
            span.bytes = span.bytes.saturating_add(bytes);
            span.disk_bytes = if length == 0 { bytes } else { length };
        }
        Ok(next)
    }

    /// Writes one block; gives the span it belongs to and its bytes.
    fn write_block(&mut self, header: &Header, value: &[u8]) -> Result<(u64, u64), Fault> {
        if let Some(writer) = self.writers.of_mut(header.stream.lane) {
            writer.insert(header, value)?;
            return Ok((writer.name.first, value.len().saturating_sub(HEADER_BYTES) as u64));
        }
        if let Some(core) = &mut self.core {
            core.put(&core::control_key(header.stream, header.first), value);
        }
        Ok((header.first, value.len() as u64))
    }

    /// Sees to it that the lane has a generation with room for `bytes`.
    fn ready_writer(&mut self, stream: StreamId, first: u64, bytes: u64) -> Result<(), AppendError> {
        let lane = stream.lane;
        let size = (*self.quota.of(lane) / 8).clamp(self.host.segment_bytes(), limit::GENERATION_BYTES);
        let rotate = self.writers.of(lane).as_ref().map(|writer| {
            let length = writer.length().unwrap_or(u64::MAX);
            writer.name.stream != stream || (length.saturating_add(bytes) > size && writer.name.first < first)
        });
        match rotate {
            Some(false) => return Ok(()),
            Some(true) => {
                self.retire_writer(lane).map_err(|fault| self.refuse(Lane::Control, fault))?;
            }
            None => {}
        }
        let name = GenerationName { stream, first };
        let bytes = size.max(bytes);
        self.has_room(Generation::reservation(bytes))?;
        match Generation::create(&*self.host, &self.dir, name, bytes) {
            Ok(writer) => *self.writers.of_mut(lane) = Some(writer),
            Err(fault) => return Err(self.not_ready(fault)),
        }
        Ok(())
    }

    /// A failure before anything of the append was written: there is nothing to seal off.
    fn not_ready(&mut self, fault: Fault) -> AppendError {
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
