//! Reading durable records as they travel, through the writer of the newest generation or raw, see `carve`. What no sound
//! block holds is declared lost when reading reaches it, never skipped.

use std::sync::Arc;

use bytes::BytesMut;

use crate::id::{Lane, RecordId, StreamId};
use crate::limit;
use crate::outbox::block::{self, Header};
use crate::outbox::cipher::Cipher;
use crate::outbox::name::GenerationName;
use crate::outbox::{Batch, Reading, StoreError};
use crate::wire::batch;

use super::carve::Visited;
use super::host::Scan;
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
        let mut gather = Gather { from, next, bytes_max, ..Gather::default() };
        let cipher = self.cipher.clone();
        let visited =
            self.visit(stream, from, |header, body| gather.open(header, body, cipher.as_deref()))?;
        let missing = match visited {
            Visited::Missing { to } => Some(to),
            Visited::Sound => gather.unopened.filter(|_| gather.count == 0),
        };
        if let Some(to) = missing {
            return self.declare_missing(stream, from, to.min(next - 1));
        }
        Ok((gather.count > 0).then(|| {
            Reading::Records(Batch {
                first: from,
                count: gather.count,
                batch: gather.batch.freeze(),
                payload_bytes: gather.payload_bytes,
            })
        }))
    }

    fn declare_missing(
        &mut self,
        stream: StreamId,
        from: u64,
        to: u64,
    ) -> Result<Option<Reading>, StoreError> {
        if self.ledger.mark(stream).acked >= from {
            // Nobody misses it: it was acked.
            return Ok(None);
        }
        self.check()?;
        let gap = self.lost(stream, from, to);
        self.durably(|store| store.declare(gap))?;
        tracing::error!(%stream, from, to, reason = gap.reason.name(), "records are lost on disk");
        Ok(self.ledger.gap_at(stream, from).copied().map(Reading::Gap))
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

    /// Visits blocks in order, beginning with the one that holds `from`.
    fn visit(
        &mut self,
        stream: StreamId,
        from: u64,
        mut visit: impl FnMut(&Header, &[u8]) -> Scan,
    ) -> Result<Visited, StoreError> {
        if stream.lane == Lane::Control {
            return self.visit_control(stream, from, visit);
        }
        let Some(held) = self.ledger.stream(stream) else { return Ok(Visited::Sound) };
        let Some((first, _)) = held.span_of(from) else {
            return Ok(Visited::Missing { to: held.end_of(from).saturating_sub(1) });
        };
        let name = GenerationName { stream, first };
        if let Some(writer) = self.writers.of_mut(stream.lane).as_mut().filter(|writer| writer.name == name) {
            match writer.visit(from, &mut visit) {
                Ok(()) => return Ok(Visited::Sound),
                Err(fault) => self.give_up_writer(name, &fault),
            }
        }
        let (host, path) = (Arc::clone(&self.host), self.dir.join(name.to_string()));
        let visited = self.carved(name)?.visit(&*host, from, visit);
        visited.map_err(|error| StoreError::Unreadable { path, detail: error.to_string() })
    }

    fn visit_control(
        &mut self,
        stream: StreamId,
        from: u64,
        mut visit: impl FnMut(&Header, &[u8]) -> Scan,
    ) -> Result<Visited, StoreError> {
        let held = self.ledger.stream(stream);
        let (first, end) = held.map_or((from, from), |held| (held.begin_of(from), held.next));
        let (mut next, mut found) = (from, end);
        self.read_core(|core| {
            let visited = core.visit_control(stream, first, from, |header, body| {
                if header.first > next {
                    found = header.first;
                    return Scan::Stop;
                }
                next = header.end();
                visit(header, body)
            });
            // What came before a row that cannot be read is sound; reading meets that row the next time.
            if next > from { Ok(()) } else { visited }
        })?;
        let sound = next > from;
        Ok(if sound { Visited::Sound } else { Visited::Missing { to: found.saturating_sub(1) } })
    }
}

#[derive(Default)]
struct Gather {
    from: u64,
    next: u64,
    bytes_max: usize,
    batch: BytesMut,
    count: u32,
    payload_bytes: u64,
    /// The last number of a sealed block that does not open: as lost as one whose checksum is wrong.
    unopened: Option<u64>,
}

impl Gather {
    fn open(&mut self, header: &Header, body: &[u8], cipher: Option<&Cipher>) -> Scan {
        match block::open(header, body, cipher) {
            Ok(body) => self.take(header, &body),
            Err(_) => {
                self.unopened = Some(header.end().saturating_sub(1));
                Scan::Stop
            }
        }
    }

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
        // beyond a gap may not even be there, and beyond the end of a generation it was refused.
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
