//! `mark`: how far each lane is durable, in a plain file beside the databases, so that a lost tail is noticed.
//!
//! ```text
//!  lane l, slot s at (2 l + s) * 32:  | epoch u64 | durable upto u64 | sealed u64 | crc u32 | 0 u32 |
//!  core at 192:                       | commit number u64 | dirty u64 | crc u32 |
//! ```
//! Numbers are big-endian; a CRC covers its slot's fields. The two slots of a lane are written in turn, so a torn write
//! leaves the other one. Written in place after each commit, synced at rotation, once a second while it changes, and at
//! a clean stop. `sealed` is 1 after a commit that failed: what lies above `upto` was refused, whatever of it reached
//! the disk, and the next start drops it.

use std::io;
use std::path::Path;

use crate::id::{Epoch, Lane};
use crate::outbox::ledger::PerLane;

use super::host::{Cells, Host};

const SLOT_BYTES: u64 = 32;
const CORE_AT: u64 = 6 * SLOT_BYTES;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Durable {
    pub(super) epoch: Epoch,
    pub(super) upto: u64,
    pub(super) end: End,
}

/// What lies above the durable number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// Perhaps records that a killed process had not answered for.
    Open,
    /// Refused records: they do not count.
    Sealed,
}

/// The open mark file.
#[derive(Debug)]
pub(super) struct Mark {
    cells: Box<dyn Cells>,
    slots: PerLane<u64>,
    found: PerLane<Option<Durable>>,
    changed: bool,
}

impl Mark {
    pub(super) fn open(host: &dyn Host, dir: &Path) -> io::Result<Self> {
        let cells = host.open_cells(&dir.join("mark"))?;
        let found = PerLane::from_fn(|lane| {
            let slots = [read_slot(&*cells, lane, 0), read_slot(&*cells, lane, 1)];
            slots.into_iter().flatten().max_by_key(|durable| (durable.epoch, durable.upto, durable.end))
        });
        Ok(Self { cells, slots: PerLane::default(), found, changed: false })
    }

    /// What the last process had reported durable.
    pub(super) const fn found(&self, lane: Lane) -> Option<Durable> {
        *self.found.of(lane)
    }

    /// Whether something was written and not synced.
    pub(super) const fn changed(&self) -> bool {
        self.changed
    }

    /// Asks for a sync although nothing was written.
    pub(super) const fn touch(&mut self) {
        self.changed = true;
    }

    pub(super) fn write_lane(&mut self, lane: Lane, durable: Durable) -> io::Result<()> {
        let slot = self.slots.of_mut(lane);
        *slot ^= 1;
        let at = slot_at(lane, *slot);
        let mut bytes = fields(durable.epoch.as_u64(), durable.upto);
        let sealed = u64::from(durable.end == End::Sealed);
        bytes.extend_from_slice(&sealed.to_be_bytes());
        self.write(bytes, at)
    }

    pub(super) fn write_core(&mut self, commit: u64) -> io::Result<()> {
        self.write(fields(commit, 0), CORE_AT)
    }

    fn write(&mut self, mut bytes: Vec<u8>, at: u64) -> io::Result<()> {
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        self.changed = true;
        self.cells.write_at(at, &bytes)
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.cells.sync()?;
        self.changed = false;
        Ok(())
    }
}

fn fields(first: u64, second: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28);
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&second.to_be_bytes());
    bytes
}

fn slot_at(lane: Lane, slot: u64) -> u64 {
    (2 * lane.index() as u64 + slot) * SLOT_BYTES
}

fn read_slot(cells: &dyn Cells, lane: Lane, slot: u64) -> Option<Durable> {
    let mut bytes = [0; 28];
    cells.read_exact_at(slot_at(lane, slot), &mut bytes).ok()?;
    let (fields, crc) = bytes.split_last_chunk::<4>()?;
    let (epoch, rest) = fields.split_first_chunk()?;
    let (upto, sealed) = rest.split_first_chunk()?;
    (crc32c::crc32c(fields).to_be_bytes() == *crc).then(|| Durable {
        epoch: Epoch::from_u64(u64::from_be_bytes(*epoch)),
        upto: u64::from_be_bytes(*upto),
        end: if sealed.iter().all(|byte| *byte == 0) { End::Open } else { End::Sealed },
    })
}

#[cfg(test)]
mod tests {
    use super::super::host::System;
    use super::*;

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(&System, dir.path()).unwrap();
        let durable = |upto| Durable { epoch: Epoch::from_u64(3), upto, end: End::Open };
        mark.write_lane(Lane::Logs, durable(1)).unwrap();
        mark.write_lane(Lane::Logs, durable(2)).unwrap();
        mark.sync().unwrap();
        let torn = slot_at(Lane::Logs, *mark.slots.of(Lane::Logs));
        mark.cells.write_at(torn, &[9]).unwrap();
        let again = Mark::open(&System, dir.path()).unwrap();
        assert_eq!(again.found(Lane::Logs), Some(durable(1)));
        assert_eq!(again.found(Lane::Events), None);
    }

    #[test]
    fn a_seal_counts_although_the_number_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(&System, dir.path()).unwrap();
        for end in [End::Open, End::Sealed] {
            mark.write_lane(Lane::Logs, Durable { epoch: Epoch::from_u64(3), upto: 2, end }).unwrap();
            assert_eq!(Mark::open(&System, dir.path()).unwrap().found(Lane::Logs).unwrap().end, end);
        }
    }
}
