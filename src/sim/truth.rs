//! What was promised, and whether it is kept: the judge of every step.
//!
//! * A record that was reported durable is, until the hub has it, above the agent's cursor and below its `next`, or in a
//!   gap that the agent has declared. The hub has each number once, in order, with the payload it was reported with.
//! * A record that was refused never arrives. One whose agent stopped before it answered may arrive, once.
//! * No cursor passes what the hub has ever had durable.
//! * What a deed of the operator took is counted apart: records that only a restored or removed folder held, and records
//!   that a restored hub had acked. A stream that was rolled may bring its records a second time, under new numbers.

mod job;
mod relay;
mod serial;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::id::{RecordId, StreamId};
use crate::outbox::ledger::Ledger;
use crate::outbox::{Appended, NewRecord};
use crate::wire::job::{JobResult, JobState};
use crate::wire::message::{Gap, GapReason, Record, RecordKind, StreamMark};

pub(super) use job::JobTruth;
pub(super) use relay::{NOT_NOW, RelayTruth, handler_of};
pub(super) use serial::{Serial, State};

/// Which folder.
pub(super) type Folder = usize;

/// What must stand under a number.
#[derive(Debug, Clone)]
struct Unit {
    payload: Bytes,
    /// In the order of reports.
    order: u64,
    folder: Folder,
}

/// Everything that was promised.
#[derive(Debug, Default)]
pub(super) struct Truth {
    serials: Vec<Serial>,
    units: BTreeMap<RecordId, Unit>,
    /// Reported and not at the hub, by folder and stream.
    open: BTreeMap<(Folder, StreamId), BTreeSet<u64>>,
    order: u64,
    /// What the hub has of each stream.
    stored: BTreeMap<StreamId, u64>,
    /// The most it ever had.
    stored_max: BTreeMap<StreamId, u64>,
    last_serial: BTreeMap<StreamId, usize>,
    rolled: BTreeSet<StreamId>,
    /// Of rolled streams: what comes under other numbers, and when it was reported.
    moved: BTreeMap<(Folder, Bytes), u64>,
    /// How many of those went with a gap.
    moved_lost: u64,
    /// Numbers that a restored hub had acked.
    pub(super) hub_lost: BTreeSet<RecordId>,
    /// Raw bytes do not tell what was removed from the core: what was refused may be found there again.
    pub(super) core_damaged: bool,
    /// Bytes were changed on a disk.
    pub(super) damaged: bool,
    pub(super) jobs: JobTruth,
    pub(super) relays: RelayTruth,
    /// Connections over which nothing may pass: the hub's certificate is good at another time than it says.
    pub(super) barred: BTreeSet<u64>,
    /// How many records reached the hub, and how many went for a reason that was declared.
    pub(super) delivered: u64,
    pub(super) declared: u64,
    pub(super) forgiven: u64,
}

impl Truth {
    /// Records were reported durable.
    pub(super) fn reported(&mut self, folder: Folder, serials: &[usize], appended: &Appended) {
        let mut seq = appended.first.seq;
        for serial in serials {
            let first = RecordId { seq, ..appended.first };
            let known = &mut self.serials[*serial];
            assert_ne!(known.state, State::Refused);
            known.state = State::Reported;
            known.at = Some(first);
            for payload in known.parts() {
                self.durable(folder, RecordId { seq, ..appended.first }, payload);
                seq += 1;
            }
        }
        assert_eq!(seq, appended.last.seq + 1, "{appended:?} of {serials:?}");
    }

    /// One number was reported durable.
    pub(super) fn durable(&mut self, folder: Folder, id: RecordId, payload: Bytes) {
        self.order += 1;
        let unit = Unit { payload, order: self.order, folder };
        if let Some(before) = self.units.get(&id) {
            panic!("{id} was given twice, to {:?} before", before.payload);
        }
        self.units.insert(id, unit);
        self.open.entry((folder, id.stream)).or_default().insert(id.seq);
    }

    /// The end of one append that was not taken.
    pub(super) fn refused(&mut self, serials: &[usize]) {
        for serial in serials {
            self.serials[*serial].state = State::Refused;
        }
    }

    /// The hub stored records.
    pub(super) fn stored(&mut self, first: RecordId, records: &[Record]) {
        for (seq, record) in (first.seq..).zip(records) {
            self.advance(first.stream, seq, seq);
            self.judge(RecordId { seq, ..first }, record);
            self.delivered += 1;
        }
    }

    /// The hub stored a gap.
    pub(super) fn stored_gap(&mut self, gap: &Gap) {
        let had = self.stored_max.get(&gap.stream).copied().unwrap_or_default();
        self.advance(gap.stream, gap.from, gap.to);
        let damage = matches!(gap.reason, GapReason::Corrupt | GapReason::CutTail);
        for ((_, stream), open) in &mut self.open {
            if *stream != gap.stream {
                continue;
            }
            let covered: Vec<u64> = open.range(gap.from..=gap.to).copied().collect();
            // Of two agents with the same folder one may have deleted what the other still has.
            assert!(
                gap.reason != GapReason::HubLost || covered.iter().all(|seq| *seq <= had),
                "{gap:?} covers {covered:?}, of which the hub had {had}"
            );
            assert!(
                covered.is_empty() || !damage || self.damaged,
                "{gap:?} covers {covered:?} where no byte was changed"
            );
            self.declared += covered.len() as u64;
            if gap.reason != GapReason::HubLost {
                self.moved_lost += gap.records;
            }
            open.retain(|seq| !(gap.from..=gap.to).contains(seq));
        }
    }

    /// The hub's mark moves over these numbers.
    fn advance(&mut self, stream: StreamId, first: u64, last: u64) {
        let stored = self.stored.entry(stream).or_default();
        assert_eq!(*stored + 1, first, "the hub's {stream} goes on with {first}");
        *stored = last;
        let most = self.stored_max.entry(stream).or_default();
        *most = last.max(*most);
    }

    fn judge(&mut self, id: RecordId, record: &Record) {
        if let Some(unit) = self.units.get(&id) {
            assert_eq!(unit.payload, record.payload, "{id} is another record than was reported");
            if let Some(open) = self.open.get_mut(&(unit.folder, id.stream)) {
                open.remove(&id.seq);
            }
        }
        self.moved.retain(|(_, payload), _| *payload != record.payload);
        if record.kind != RecordKind::Opaque || record.part.is_some_and(|part| part.index > 1) {
            return;
        }
        let number = serial::of(&record.payload);
        let known = self.serials.get_mut(number).unwrap_or_else(|| panic!("{id}: nobody recorded {number}"));
        assert_eq!(known.parts().first(), Some(&record.payload), "{id}: the payload of record {number}");
        assert_eq!(known.lane, id.stream.lane, "{id}: the lane of record {number}");
        assert!(known.state != State::Refused || self.core_damaged, "{id}: record {number} was refused");
        known.arrived = true;
        let at = *known.at.get_or_insert(id);
        assert!(at == id || self.rolled.contains(&at.stream), "record {number} came as {at} and as {id}");
        let last = self.last_serial.insert(id.stream, number);
        assert!(last.is_none_or(|last| last < number), "{id}: record {number} came after {last:?}");
    }

    /// Whether what the agent knows it holds accounts for everything open.
    pub(super) fn check(&self, folder: Folder, ledger: &Ledger) {
        for ((of, id), open) in &self.open {
            let (Some(first), Some(last)) = (open.first(), open.last()) else { continue };
            if *of != folder {
                continue;
            }
            let Some(stream) = ledger.stream(*id) else {
                panic!("{id} is gone from folder {folder} with {open:?} not at the hub");
            };
            assert!(*last < stream.next, "{id}: {last} was reported, next is {}", stream.next);
            let mut passed = open.range(..=stream.acked);
            assert!(
                *first > stream.acked || passed.all(|seq| ledger.gap_at(*id, *seq).is_some()),
                "{id}: the cursor is {}, {first} is not at the hub",
                stream.acked
            );
        }
        for (id, stream) in ledger.streams() {
            let stored = self.stored_max.get(&id).copied().unwrap_or_default();
            assert!(
                stream.acked <= stored || self.rolled.contains(&id),
                "{id}: the cursor is {}, the hub never had more than {stored}",
                stream.acked
            );
        }
    }

    /// The end of these streams may be gone, with everything that would have told where they end.
    pub(super) fn forgive(&mut self, folder: Folder, ledger: &Ledger, is_excused: impl Fn(StreamId) -> bool) {
        for ((of, stream), open) in &mut self.open {
            if *of == folder && is_excused(*stream) {
                let next = ledger.stream(*stream).map_or(0, |stream| stream.next);
                self.forgiven += open.split_off(&next).len() as u64;
            }
        }
    }

    /// A stream's records may come again under new numbers; what the hub has not got comes under those only.
    pub(super) fn rolled(&mut self, folder: Folder, stream: StreamId) {
        self.rolled.insert(stream);
        for seq in self.open.remove(&(folder, stream)).unwrap_or_default() {
            if let Some(unit) = self.units.get(&RecordId { stream, seq }) {
                self.moved.insert((folder, unit.payload.clone()), unit.order);
            }
        }
    }

    /// How many reports there were.
    pub(super) const fn reports(&self) -> u64 {
        self.order
    }

    /// The folder is again as it was after so many reports; what came later and is not at the hub is gone with it.
    pub(super) fn folder_restored(&mut self, folder: Folder, reports: u64) {
        self.jobs.excuse();
        self.moved.retain(|(of, _), order| *of != folder || *order <= reports);
        let units = &self.units;
        for ((of, stream), open) in &mut self.open {
            if *of == folder {
                open.retain(|seq| {
                    let id = RecordId { stream: *stream, seq: *seq };
                    units.get(&id).is_some_and(|unit| unit.order <= reports)
                });
            }
        }
    }

    /// The hub is again as it was when it had these marks. `holds` says what agents still have.
    pub(super) fn hub_restored(
        &mut self,
        marks: &BTreeMap<StreamId, StreamMark>,
        holds: impl Fn(Folder, RecordId) -> bool,
    ) {
        self.jobs.excuse();
        for (stream, stored) in &mut self.stored {
            let kept = marks.get(stream).map_or(0, |mark| mark.acked);
            for seq in kept + 1..=*stored {
                let id = RecordId { stream: *stream, seq };
                match self.units.get(&id) {
                    Some(unit) if holds(unit.folder, id) => {
                        self.open.entry((unit.folder, *stream)).or_default().insert(seq);
                    }
                    _ => {
                        self.hub_lost.insert(id);
                    }
                }
            }
            if kept < *stored {
                self.last_serial.remove(stream);
            }
            *stored = kept;
        }
    }

    /// What a folder has to have: streams with the first and last number that is open.
    pub(super) fn open_of(&self, folder: Folder) -> Vec<(StreamId, u64, u64)> {
        let open = self.open.iter().filter(|((of, _), _)| *of == folder);
        open.filter_map(|((_, stream), open)| Some((*stream, *open.first()?, *open.last()?))).collect()
    }

    /// These records were read from a folder.
    pub(super) fn readable(&self, first: RecordId, records: &[Record]) {
        for (seq, record) in (first.seq..).zip(records) {
            let id = RecordId { seq, ..first };
            if let Some(unit) = self.units.get(&id) {
                assert_eq!(unit.payload, record.payload, "{id} reads as another record than was reported");
            } else if record.kind == RecordKind::Opaque && record.part.is_none_or(|part| part.index == 1) {
                let number = serial::of(&record.payload);
                let refused = self.serials[number].state == State::Refused;
                assert!(!refused || self.core_damaged, "{id} reads as a refused record");
            }
        }
    }

    /// Reported records that are not at the hub.
    pub(super) fn open_count(&self) -> usize {
        let moved = self.moved.len().saturating_sub(usize::try_from(self.moved_lost).unwrap_or_default());
        self.open.values().map(BTreeSet::len).sum::<usize>() + moved
    }

    /// The same in words.
    pub(super) fn open_text(&self) -> String {
        let open = self.open.iter().filter(|(_, open)| !open.is_empty());
        let open = open.map(|((folder, stream), open)| format!("folder {folder}, {stream}: {open:?}\n"));
        let moved =
            self.moved.keys().map(|(folder, payload)| format!("folder {folder}, moved: {payload:?}\n"));
        open.chain(moved).collect()
    }

    /// Records for an append, each known from now on.
    pub(super) fn draw(&mut self, serial: Serial) -> (usize, NewRecord) {
        let number = self.serials.len();
        let serial = Serial { number, ..serial };
        let record = serial.record();
        self.serials.push(serial);
        (number, record)
    }

    /// Under whatever number: its stream may have been rolled meanwhile.
    pub(super) fn is_at_hub(&self, serial: usize) -> bool {
        self.serials[serial].arrived
    }

    /// The hub got a job's result: what it says of the job's output must have been durable before.
    pub(super) fn job_result(&mut self, result: &JobResult) {
        let end = result.log.end.filter(|_| result.state != JobState::Interrupted);
        assert!(
            end.is_none_or(|end| self.units.contains_key(&end)),
            "the result of {} ends its log with {end:?}, which was never durable",
            result.job
        );
        self.jobs.result(result, !self.rolled.is_empty());
    }
}
