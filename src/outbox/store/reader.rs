//! Reading durable records as they travel, through the writer of the newest generation or one reader for all others.

use bytes::BytesMut;

use crate::id::{Lane, RecordId, StreamId};
use crate::limit;
use crate::outbox::block::Header;
use crate::outbox::name::GenerationName;
use crate::outbox::{Batch, Reading, StoreError};
use crate::wire::batch;

use super::generation::Generation;
use super::host::{Fault, Scan};
use super::thread::Store;

impl Store {
    /// Records from exactly `from`, as many whole ones as fit into `bytes_max` and one batch, at least one, and none from
    /// beyond a gap; or the gap that `from` lies in.
    pub(super) fn read(
        &mut self,
        stream: StreamId,
        from: u64,
        bytes_max: usize,
    ) -> Result<Option<Reading>, StoreError> {
        // One that is not held any more was acked whole: there is nothing to read.
        let Some(held) = self.ledger.stream(stream) else { return Ok(None) };
        if from == 0 || from >= held.next {
            return Ok(None);
        }
        if let Some(gap) = self.ledger.gap_at(stream, from) {
            return Ok(Some(Reading::Gap(*gap)));
        }
        let next = self.ledger.end_of_run(stream, from);
        let mut gather = Gather { from, next, bytes_max, batch: BytesMut::new(), count: 0, payload_bytes: 0 };
        self.visit(stream, from, |header, body| gather.take(header, body))?;
        Ok((gather.count > 0).then(|| {
            Reading::Records(Batch {
                first: from,
                count: gather.count,
                batch: gather.batch.freeze(),
                payload_bytes: gather.payload_bytes,
            })
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
        let Some(Reading::Records(batch)) = self.read(record.stream, record.seq, 1)? else { return Ok(None) };
        let first = batch::split_first(&batch.batch);
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
            return core.visit_control(stream, from, visit).map_err(|fault| unreadable(path, &fault));
        }
        let span = self.ledger.stream(stream).and_then(|held| held.span_of(from));
        let Some((first, _)) = span else { return Ok(()) };
        let name = GenerationName { stream, first };
        let path = self.dir.join(name.to_string());
        let generation = self.generation(name).map_err(|fault| unreadable(path.clone(), &fault))?;
        generation.visit(from, visit).map_err(|fault| unreadable(path, &fault))
    }

    fn generation(&mut self, name: GenerationName) -> Result<&mut Generation, Fault> {
        let is_writer = self.writers.of(name.stream.lane).as_ref().is_some_and(|writer| writer.name == name);
        if is_writer && let Some(writer) = self.writers.of_mut(name.stream.lane) {
            return Ok(writer);
        }
        let reader = match self.reader.take() {
            Some(reader) if reader.name == name => reader,
            other => {
                other.map_or(Ok(()), Generation::close)?;
                Generation::open(&*self.host, &self.dir, name)?
            }
        };
        Ok(self.reader.insert(reader))
    }
}

fn unreadable(path: std::path::PathBuf, fault: &Fault) -> StoreError {
    StoreError::Unreadable { path, detail: fault.to_string() }
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
        // A block that ends before its count says, or just where the batch is full: the next read tells which. What lies
        // beyond a gap may not even be there.
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
