//! Reading durable records as they travel, through the writer of the newest generation or one reader for all others.

use std::path::PathBuf;

use bytes::BytesMut;

use crate::id::{Lane, RecordId, StreamId};
use crate::limit;
use crate::outbox::block::Header;
use crate::outbox::name::GenerationName;
use crate::outbox::{Batch, StoreError};
use crate::wire::batch;

use super::generation::Generation;
use super::host::{Fault, Scan};
use super::thread::Store;

impl Store {
    /// Records from exactly `from`, as many whole ones as fit into `bytes_max` and one batch, at least one.
    pub(super) fn read(
        &mut self,
        stream: StreamId,
        from: u64,
        bytes_max: usize,
    ) -> Result<Option<Batch>, StoreError> {
        // One that is not held any more was acked whole: there is nothing to read.
        let Some(held) = self.ledger.stream(stream) else { return Ok(None) };
        // What a generation holds beyond its end was refused.
        let end = match stream.lane {
            Lane::Control => Some(held.next),
            Lane::Events | Lane::Logs => held.span_of(from).map(|(_, end)| end),
        };
        let Some(next) = end.filter(|end| (1..*end).contains(&from)) else { return Ok(None) };
        let mut gather = Gather { from, next, bytes_max, batch: BytesMut::new(), count: 0, payload_bytes: 0 };
        self.visit(stream, from, |header, body| gather.take(header, body))?;
        Ok((gather.count > 0).then(|| Batch {
            first: from,
            count: gather.count,
            batch: gather.batch.freeze(),
            payload_bytes: gather.payload_bytes,
        }))
    }

    /// The CRC of a record that is held, or of the one the cursor stands on.
    pub(super) fn crc(&mut self, record: RecordId) -> Result<Option<u32>, StoreError> {
        let mark = self.ledger.mark(record.stream);
        if mark.acked == record.seq && mark.acked_crc != 0 {
            return Ok(Some(mark.acked_crc));
        }
        let Some(stream) = self.ledger.stream(record.stream) else { return Ok(None) };
        if record.seq == 0 || stream.span_of(record.seq).is_none() {
            return Ok(None);
        }
        let batch = self.read(record.stream, record.seq, 1)?;
        let first = batch.as_ref().and_then(|batch| batch::split_first(&batch.batch));
        Ok(first.map(|(lying, _)| batch::record_crc(record.seq, lying.payload)))
    }

    /// When the block that holds a record was begun.
    pub(super) fn first_ms(&mut self, stream: StreamId, seq: u64) -> Option<u64> {
        let mut first_ms = None;
        let visited = self.visit(stream, seq, |header, _| {
            first_ms = Some(header.first_ms);
            Scan::Stop
        });
        visited.ok().and(first_ms)
    }

    fn visit(
        &mut self,
        stream: StreamId,
        from: u64,
        visit: impl FnMut(&Header, &[u8]) -> Scan,
    ) -> Result<(), StoreError> {
        if stream.lane == Lane::Control {
            let core = self.core.as_mut().ok_or(StoreError::Closed)?;
            let path = self.dir.join("core");
            let visited = core.visit_control(stream, from, visit);
            return visited.map_err(|fault| self.unreadable(path, fault));
        }
        let span = self.ledger.stream(stream).and_then(|held| held.span_of(from));
        let Some((first, _)) = span else { return Ok(()) };
        let name = GenerationName { stream, first };
        let path = self.dir.join(name.to_string());
        let visited = self.generation(name).and_then(|generation| generation.visit(from, visit));
        visited.map_err(|fault| self.unreadable(path, fault))
    }

    fn unreadable(&mut self, path: PathBuf, fault: Fault) -> StoreError {
        if matches!(fault, Fault::Full(_)) {
            self.give_up_ballast();
        }
        fault.unreadable(path)
    }

    fn generation(&mut self, name: GenerationName) -> Result<&mut Generation, Fault> {
        let lane = name.stream.lane;
        if self.writers.of(lane).as_ref().is_some_and(|writer| writer.name == name) {
            return self
                .writers
                .of_mut(lane)
                .as_mut()
                .ok_or_else(|| Fault::Broken(format!("{name} is gone")));
        }
        if self.reader.as_ref().is_none_or(|reader| reader.name != name) {
            self.close_reader();
            let opened = match Generation::open(&*self.host, &self.dir, name) {
                Err(Fault::Full(_)) => {
                    self.give_up_ballast();
                    Generation::open(&*self.host, &self.dir, name)
                }
                opened => opened,
            };
            self.reader = Some(opened?);
        }
        self.reader.as_mut().ok_or_else(|| Fault::Broken(format!("{name} is gone")))
    }

    /// Nothing was written through it, so what it says while it closes concerns nobody.
    pub(super) fn close_reader(&mut self) {
        if let Some(reader) = self.reader.take()
            && let Err(fault) = reader.close()
        {
            tracing::debug!(%fault, "a generation that was read closed badly");
        }
    }
}

struct Gather {
    from: u64,
    next: u64,
    bytes_max: usize,
    batch: BytesMut,
    count: u32,
    payload_bytes: u64,
}

impl Gather {
    fn is_full_for(&self, encoded: &[u8]) -> bool {
        let too_long = self.count > 0 && self.batch.len() + encoded.len() > self.bytes_max;
        too_long || self.count >= limit::BATCH_RECORDS_MAX
    }

    fn take(&mut self, header: &Header, body: &[u8]) -> Scan {
        let mut seq = header.first;
        let mut rest = body;
        let wanted = self.from.saturating_add(u64::from(self.count));
        while let Some((lying, after)) = batch::split_first(rest) {
            rest = after;
            if seq >= wanted {
                if self.is_full_for(lying.encoded) || seq >= self.next {
                    return Scan::Stop;
                }
                self.batch.extend_from_slice(lying.encoded);
                self.payload_bytes += lying.payload.len() as u64;
                self.count += 1;
            }
            seq += 1;
        }
        // A block that ends before its count says, or just where the batch is full: the next read tells which.
        if seq != header.end()
            || seq >= self.next
            || self.is_full_for(&[])
            || self.batch.len() >= self.bytes_max
        {
            Scan::Stop
        } else {
            Scan::Next
        }
    }
}
