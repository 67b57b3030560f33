//! Whole generations that go: acked, evicted or expired.

use std::sync::Arc;

use crate::id::Lane;
use crate::limit;
use crate::outbox::name::GenerationName;
use crate::outbox::policy::{self, HubClock, LastRecord, Written};
use crate::time::{BootTime, ClockOffset, HubTime, WallTime};
use crate::wire::message::{Gap, GapReason};

use super::generation::{self, Generation};
use super::host::Fault;
use super::thread::Store;

impl Store {
    /// Closes and removes a generation nobody needs any more: its ack or its gap is durable.
    pub(super) fn remove_generation(&mut self, name: GenerationName) -> Result<(), Fault> {
        let lane = name.stream.lane;
        if self.writers.of(lane).as_ref().is_some_and(|writer| writer.name == name) {
            *self.drained_since.of_mut(lane) = None;
            self.writers.of_mut(lane).take().map_or(Ok(()), Generation::close)?;
        }
        self.reader.take_if(|reader| reader.name == name);
        generation::remove(&*self.host, &self.dir, name)?;
        self.quarantined.remove(&name);
        self.told.remove(&name);
        self.last_records.remove(&name);
        if let Some(held) = self.ledger.stream_mut(name.stream) {
            held.spans.remove(&name.first);
        }
        self.free = None;
        self.room_made();
        Ok(())
    }

    /// Lets blocked producers look again.
    pub(super) fn room_made(&self) {
        self.room.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// Removes a lane's oldest generation, declared lost before; gives the bytes of disk that gives back.
    pub(super) fn remove_oldest(&mut self, lane: Lane, reason: GapReason) -> Result<u64, Fault> {
        let Some((stream, first, span)) = self.ledger.oldest(lane) else { return Ok(0) };
        let Some(held) = self.ledger.stream(stream) else { return Ok(0) };
        let (end, from) = (held.end_of(first), first.max(held.acked.saturating_add(1)));
        if from < end {
            let whole =
                Gap { stream, from: first, to: end - 1, reason, records: end - first, bytes: span.bytes };
            let gap = whole.part(from, end - 1);
            self.declare(gap)?;
            tracing::warn!(%stream, from, to = gap.to, reason = reason.name(), "the oldest records of a lane go");
        }
        self.remove_generation(GenerationName { stream, first })?;
        Ok(span.disk_bytes)
    }

    /// Takes note of the hub's time; from now on records may expire. See [`HubClock::offset`].
    pub(super) fn learn_time(&mut self, time: HubTime, offset: ClockOffset) {
        self.clock = Some(HubClock { time, at: self.host.now(), offset });
        self.expiry_looked = None;
    }

    /// Whether a lane holds what may expire.
    pub(super) fn may_expire(&self) -> bool {
        let may = |lane: Lane| self.rules.lanes.of(lane).ttl.is_some() && self.ledger.oldest(lane).is_some();
        self.clock.is_some() && [Lane::Events, Lane::Logs].into_iter().any(may)
    }

    /// Removes what is older than its lane's TTL.
    pub(super) fn expire(&mut self, now: BootTime) {
        let Some(clock) = self.clock else { return };
        if self.poisoned.is_some()
            || self.expiry_looked.is_some_and(|looked| now.since(looked) < limit::EXPIRY_LOOK)
        {
            return;
        }
        self.expiry_looked = Some(now);
        for lane in [Lane::Events, Lane::Logs] {
            let Some(ttl) = self.rules.lanes.of(lane).ttl else { continue };
            while self.last_of_oldest(lane).is_some_and(|last| policy::is_expired(ttl, &clock, now, &last)) {
                if let Err(fault) = self.remove_oldest(lane, GapReason::Expired) {
                    let _tried_again_later = self.fail(fault);
                    return;
                }
            }
        }
    }

    /// The newest record of a lane's oldest generation; `None` where it cannot be read.
    fn last_of_oldest(&mut self, lane: Lane) -> Option<LastRecord> {
        let (stream, first, _) = self.ledger.oldest(lane)?;
        let name = GenerationName { stream, first };
        if let Some(last) = self.last_records.get(&name) {
            return Some(*last);
        }
        let host = Arc::clone(&self.host);
        let (header, _) = self.carved(name).ok()?.last_block(&*host).ok()??;
        let recorded_at = WallTime(header.last_ms);
        let last = LastRecord { recorded_at, written: Written::Before(self.opened) };
        self.last_records.insert(name, last);
        Some(last)
    }
}
