//! `mark`: how far each lane is durable, in a plain file beside the databases, so that a lost tail is noticed.
//!
//! ```text
//!  lane l, slot s at (2 l + s) * 32:  | epoch u64 | durable upto u64 | sealed u64 | crc u32 | 0 u32 |
//!  core, slot s at 192 + 32 s:        | commit number u64 | dirty u64 | crc u32 | 0 u32 | 0 u64 |
//! ```
//! Numbers are big-endian; a CRC covers its slot's fields. The two slots of each are written in turn, so a torn write
//! leaves the other one. Written in place after each commit, synced at rotation, once a second while it changes, and at
//! a clean stop. `sealed` is 1 after a commit that failed: what lies above `upto` was refused, whatever of it reached
//! the disk, and the next start drops it. `dirty` is 1 from a commit of the core that failed until it is undone: control
//! and job rows and ends of epochs of higher commit numbers were refused. A lane's first commit after a seal, and the undoing, sync the mark
//! before anybody hears of them: a start that finds a seal finds nothing above it that was accepted.

use std::io;
use std::path::Path;

use crate::id::{Epoch, Lane};
use crate::outbox::ledger::PerLane;

use super::host::{Cells, Host};

const SLOT_BYTES: u64 = 32;
const CORE_AT: u64 = 6 * SLOT_BYTES;
const LENGTH: u64 = CORE_AT + 2 * SLOT_BYTES;

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

/// What the core's slots say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CoreMark {
    /// Number of the last commit.
    pub(super) commit: u64,
    pub(super) state: CoreState,
}

/// Whether rows of commits above the number count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CoreState {
    /// They do: the process may have ended before it wrote their numbers.
    Clean,
    /// They were refused.
    Dirty,
}

/// The open mark file.
#[derive(Debug)]
pub(super) struct Mark {
    cells: Box<dyn Cells>,
    slots: PerLane<u64>,
    core_slot: u64,
    found: PerLane<Option<Durable>>,
    found_core: Option<CoreMark>,
    last: PerLane<Option<End>>,
    last_core: Option<CoreState>,
    changed: bool,
}

impl Mark {
    pub(super) fn open(host: &dyn Host, dir: &Path) -> io::Result<Self> {
        let cells = host.open_cells(&dir.join("mark"))?;
        let newest = PerLane::from_fn(|lane| {
            let slots = (0..2).filter_map(|slot| Some((read_slot(&*cells, lane, slot)?, slot)));
            slots.max_by_key(|(durable, _)| (durable.epoch, durable.upto, durable.end))
        });
        let found = PerLane::from_fn(|lane| newest.of(lane).map(|(durable, _)| durable));
        let core = (0..2).filter_map(|slot| Some((read_core(&*cells, slot)?, slot)));
        let newest_core = core.max_by_key(|(core, _)| (core.commit, core.state));
        let found_core = newest_core.map(|(core, _)| core);
        let mut mark = Self {
            cells,
            // The next word goes to the other one: torn, it leaves the last.
            slots: PerLane::from_fn(|lane| newest.of(lane).map_or(0, |(_, slot)| slot)),
            core_slot: newest_core.map_or(0, |(_, slot)| slot),
            found,
            found_core,
            last: PerLane::default(),
            last_core: found_core.map(|core| core.state),
            changed: false,
        };
        mark.allocate();
        Ok(mark)
    }

    /// All of its bytes exist before the disk is full: a seal needs no space then.
    fn allocate(&mut self) {
        let mut last = [0];
        if self.cells.read_exact_at(LENGTH - 1, &mut last).is_err()
            && let Err(error) = self.cells.write_at(LENGTH - 1, &last)
        {
            tracing::warn!(%error, "the outbox's mark is not whole: a full disk may find no place to write it");
        }
    }

    /// What the last process had reported durable.
    pub(super) const fn found(&self, lane: Lane) -> Option<Durable> {
        *self.found.of(lane)
    }

    /// What the last process had reported of the core.
    pub(super) const fn found_core(&self) -> Option<CoreMark> {
        self.found_core
    }

    /// Whether something was written and not synced.
    pub(super) const fn changed(&self) -> bool {
        self.changed
    }

    /// Asks for a sync although nothing was written.
    pub(super) const fn touch(&mut self) {
        self.changed = true;
    }

    /// Says how far a lane is durable.
    pub(super) fn write_lane(&mut self, lane: Lane, epoch: Epoch, upto: u64) -> io::Result<()> {
        let durable = Durable { epoch, upto, end: End::Open };
        self.write_durable(lane, durable)?;
        if self.last.of_mut(lane).replace(End::Open) == Some(End::Sealed) {
            // A start must not find the seal below what is accepted from now on, in neither slot: the other one may be torn.
            self.write_durable(lane, durable)?;
            self.sync()?;
        }
        Ok(())
    }

    /// Says that whatever lies above `upto` was refused; into both slots, for the last word may have said more. Counts
    /// after [`Self::sync`].
    pub(super) fn seal_lane(&mut self, lane: Lane, epoch: Epoch, upto: u64) -> io::Result<()> {
        *self.last.of_mut(lane) = Some(End::Sealed);
        for _slot in 0..2 {
            self.write_durable(lane, Durable { epoch, upto, end: End::Sealed })?;
        }
        Ok(())
    }

    fn write_durable(&mut self, lane: Lane, durable: Durable) -> io::Result<()> {
        let slot = self.slots.of_mut(lane);
        *slot ^= 1;
        let at = slot_at(lane, *slot);
        let mut bytes = fields(durable.epoch.as_u64(), durable.upto);
        let sealed = u64::from(durable.end == End::Sealed);
        bytes.extend_from_slice(&sealed.to_be_bytes());
        self.write(bytes, at)
    }

    /// Says which commit of the core was the last. Where it was dirty both slots say so: one of them may be torn later.
    pub(super) fn write_core(&mut self, commit: u64) -> io::Result<()> {
        let clean = CoreMark { commit, state: CoreState::Clean };
        if self.last_core.replace(CoreState::Clean) == Some(CoreState::Dirty) {
            self.write_core_mark(clean)?;
        }
        self.write_core_mark(clean)
    }

    /// Says that rows of commits above this number were refused; into both slots. Counts after [`Self::sync`].
    pub(super) fn seal_core(&mut self, commit: u64) -> io::Result<()> {
        self.last_core = Some(CoreState::Dirty);
        for _slot in 0..2 {
            self.write_core_mark(CoreMark { commit, state: CoreState::Dirty })?;
        }
        Ok(())
    }

    fn write_core_mark(&mut self, core: CoreMark) -> io::Result<()> {
        self.core_slot ^= 1;
        let dirty = u64::from(core.state == CoreState::Dirty);
        self.write(fields(core.commit, dirty), core_at(self.core_slot))
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

fn core_at(slot: u64) -> u64 {
    CORE_AT + slot * SLOT_BYTES
}

fn read_core(cells: &dyn Cells, slot: u64) -> Option<CoreMark> {
    let mut bytes = [0; 20];
    cells.read_exact_at(core_at(slot), &mut bytes).ok()?;
    let (fields, crc) = bytes.split_last_chunk::<4>()?;
    let (commit, dirty) = fields.split_first_chunk()?;
    (crc32c::crc32c(fields).to_be_bytes() == *crc).then(|| CoreMark {
        commit: u64::from_be_bytes(*commit),
        state: if dirty.iter().all(|byte| *byte == 0) { CoreState::Clean } else { CoreState::Dirty },
    })
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
    fn the_first_word_after_an_opening_leaves_the_last_one_whichever_slot_that_is_in() {
        for words in 1..=2 {
            let dir = tempfile::tempdir().unwrap();
            let mut mark = Mark::open(&System, dir.path()).unwrap();
            for upto in 1..=words {
                mark.write_lane(Lane::Logs, Epoch::from_u64(3), upto).unwrap();
                mark.write_core(upto).unwrap();
            }
            let mut again = Mark::open(&System, dir.path()).unwrap();
            again.write_lane(Lane::Logs, Epoch::from_u64(4), 0).unwrap();
            again.write_core(9).unwrap();
            let (torn, torn_core) =
                (slot_at(Lane::Logs, *again.slots.of(Lane::Logs)), core_at(again.core_slot));
            again.cells.write_at(torn, &[9]).unwrap();
            again.cells.write_at(torn_core, &[9]).unwrap();
            let found = Mark::open(&System, dir.path()).unwrap();
            assert_eq!(found.found(Lane::Logs).map(|durable| durable.upto), Some(words), "{words} words");
            assert_eq!(found.found_core().map(|core| core.commit), Some(words), "{words} words");
        }
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(&System, dir.path()).unwrap();
        let durable = |upto| Durable { epoch: Epoch::from_u64(3), upto, end: End::Open };
        mark.write_lane(Lane::Logs, durable(1).epoch, 1).unwrap();
        mark.write_lane(Lane::Logs, durable(2).epoch, 2).unwrap();
        mark.sync().unwrap();
        let torn = slot_at(Lane::Logs, *mark.slots.of(Lane::Logs));
        mark.cells.write_at(torn, &[9]).unwrap();
        let again = Mark::open(&System, dir.path()).unwrap();
        assert_eq!(again.found(Lane::Logs), Some(durable(1)));
        assert_eq!(again.found(Lane::Events), None);
    }

    #[test]
    fn a_seal_that_is_over_is_in_neither_slot() {
        let dir = tempfile::tempdir().unwrap();
        let epoch = Epoch::from_u64(3);
        let mut mark = Mark::open(&System, dir.path()).unwrap();
        mark.seal_lane(Lane::Logs, epoch, 2).unwrap();
        mark.seal_core(7).unwrap();
        mark.write_lane(Lane::Logs, epoch, 3).unwrap();
        mark.write_core(8).unwrap();
        // Whichever slot is written next: torn, it must not leave a seal below what was accepted.
        for at in [slot_at(Lane::Logs, 0), slot_at(Lane::Logs, 1), core_at(0), core_at(1)] {
            let mut sound = [0; 32];
            mark.cells.read_exact_at(at, &mut sound).unwrap();
            mark.cells.write_at(at, &[9; 8]).unwrap();
            let found = Mark::open(&System, dir.path()).unwrap();
            assert_eq!(found.found(Lane::Logs).unwrap().end, End::Open);
            assert_eq!(found.found_core().unwrap().state, CoreState::Clean);
            mark.cells.write_at(at, &sound).unwrap();
        }
    }

    #[test]
    fn a_seal_counts_whatever_was_said_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(&System, dir.path()).unwrap();
        let epoch = Epoch::from_u64(3);
        let found = |lane| Mark::open(&System, dir.path()).unwrap().found(lane).unwrap();
        mark.write_lane(Lane::Logs, epoch, 2).unwrap();
        assert_eq!(found(Lane::Logs).end, End::Open);
        mark.write_lane(Lane::Logs, epoch, 9).unwrap();
        mark.seal_lane(Lane::Logs, epoch, 2).unwrap();
        assert_eq!(found(Lane::Logs), Durable { epoch, upto: 2, end: End::Sealed });
        mark.write_lane(Lane::Logs, epoch, 3).unwrap();
        assert_eq!(found(Lane::Logs), Durable { epoch, upto: 3, end: End::Open });
        assert!(!mark.changed(), "what is accepted after a seal is known to a start");
    }

    #[test]
    fn a_dirty_core_counts_until_a_later_commit() {
        let dir = tempfile::tempdir().unwrap();
        let mut mark = Mark::open(&System, dir.path()).unwrap();
        let found = || Mark::open(&System, dir.path()).unwrap().found_core();
        assert_eq!(found(), None);
        mark.write_core(7).unwrap();
        mark.write_core(8).unwrap();
        mark.seal_core(7).unwrap();
        assert_eq!(found(), Some(CoreMark { commit: 7, state: CoreState::Dirty }));
        mark.write_core(9).unwrap();
        assert_eq!(found(), Some(CoreMark { commit: 9, state: CoreState::Clean }));
    }
}
