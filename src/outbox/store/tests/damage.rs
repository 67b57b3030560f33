//! Damaged files: the folder opens, what is sound in it arrives, what is not is declared, and the next start says the same.

mod again;
mod core;
mod files;
mod renewal;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::outbox::block;
use crate::outbox::name::GenerationName;
use crate::wire::message::GapReason;

/// A way to spoil a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Flip,
    Zero,
    Cut,
}

impl Damage {
    pub(super) const ALL: [Self; 3] = [Self::Flip, Self::Zero, Self::Cut];

    /// Spoils a file from `at` on; gives the bytes concerned.
    pub(super) fn apply(self, file: &Path, at: usize) -> std::ops::Range<usize> {
        let mut bytes = fs::read(file).unwrap();
        let end = match self {
            Self::Flip => at + 1,
            Self::Zero => (at + 4096).min(bytes.len()),
            Self::Cut => bytes.len(),
        };
        match self {
            Self::Flip => bytes[at] ^= 0x10,
            Self::Zero => bytes[at..end].fill(0),
            Self::Cut => bytes.truncate(at),
        }
        fs::write(file, bytes).unwrap();
        at..end
    }
}

/// What reading a folder's unacked records gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Drained {
    /// Numbers of each stream that came.
    pub(super) came: BTreeMap<StreamId, BTreeSet<u64>>,
    /// Numbers of each stream that were declared lost.
    pub(super) lost: BTreeMap<StreamId, BTreeSet<u64>>,
    pub(super) reports: Vec<LossReport>,
}

impl Drained {
    /// Without what the openings themselves appended.
    fn of(&self, streams: &[StreamId]) -> Self {
        let mut drained = self.clone();
        drained.came.retain(|stream, _| streams.contains(stream));
        drained
    }
}

/// Drains everything, control last, where losses are reported meanwhile: nothing is skipped, and every record is the one
/// that was written under its number.
pub(super) async fn drain_all(outbox: &Outbox, written: &[StreamId]) -> Drained {
    let mut drained = Drained::default();
    for lane in [Lane::Logs, Lane::Events, Lane::Control] {
        for state in outbox.streams().await.unwrap() {
            if state.stream.lane == lane {
                drain_one(outbox, state, written, &mut drained).await;
            }
        }
    }
    drained
}

async fn drain_one(outbox: &Outbox, state: StreamState, written: &[StreamId], drained: &mut Drained) {
    let (stream, mut from) = (state.stream, state.first_unacked);
    while let Some(reading) = outbox.read(stream, from, limit::BATCH_BYTES).await.unwrap() {
        let first = from;
        match reading {
            Reading::Records(batch) => {
                assert_eq!(batch.first, from, "{stream}");
                for record in batch::decode(&batch.batch, batch.count).unwrap() {
                    if record.kind == RecordKind::LossReport {
                        drained.reports.push(batch::decode_loss(&record.payload).unwrap());
                    } else if written.contains(&stream) {
                        assert_eq!(record.payload, numbered(from - 1..from)[0].payload, "{stream} {from}");
                    }
                    from += 1;
                }
                drained.came.entry(stream).or_default().extend(first..from);
            }
            Reading::Gap(gap) => {
                assert!((gap.from..=gap.to).contains(&from), "{gap:?} {from}");
                assert_eq!(gap.records, gap.to - gap.from + 1, "{gap:?}");
                assert!(matches!(gap.reason, GapReason::Corrupt | GapReason::CutTail), "{gap:?}");
                from = gap.to + 1;
                drained.lost.entry(stream).or_default().extend(first..from);
            }
        }
    }
    assert_eq!(from, state.next, "{stream}: up to its end");
}

/// Opens a damaged folder, drains it, appends, and does so again: both say the same.
pub(super) async fn open_twice(dir: &Path, written: &[StreamId]) -> Drained {
    let outbox = open(dir);
    let drained = drain_all(&outbox, written).await;
    let gaps = outbox.gaps().await.unwrap();
    for lane in Lane::ALL {
        let appended = outbox.append(lane, numbered(0..1)).await.unwrap();
        assert!(!written.contains(&appended.first.stream), "numbers are never used again");
    }
    outbox.close().await.unwrap();
    let outbox = open(dir);
    let again = drain_all(&outbox, written).await;
    assert!(again.of(written) == drained.of(written), "the second start says the same: {:?}", again.reports);
    assert_eq!(outbox.gaps().await.unwrap(), gaps);
    outbox.close().await.unwrap();
    drained
}

/// Where copies of a stream's blocks lie in a data file, by the first number.
fn copies(file: &Path, stream: StreamId) -> BTreeMap<u64, (u64, Vec<std::ops::Range<usize>>)> {
    let bytes = fs::read(file).unwrap();
    let mut copies: BTreeMap<u64, (u64, Vec<std::ops::Range<usize>>)> = BTreeMap::new();
    for at in 0..bytes.len().saturating_sub(block::HEADER_BYTES) {
        let Ok((header, body)) = block::decode_first(&bytes[at..]) else { continue };
        assert_eq!(header.stream, stream);
        let place = at..at + block::HEADER_BYTES + body.len();
        copies.entry(header.first).or_insert((header.end(), Vec::new())).1.push(place);
    }
    copies
}

/// What [`filled`] writes into each lane.
const RECORDS: u64 = 20 * (1 + 7 + 300);

/// A folder with several generations in events and logs; its streams.
async fn filled(dir: &Path) -> Vec<StreamId> {
    let mut options = logs_quota(4 << 20);
    options.lanes.of_mut(Lane::Events).max_bytes = 4 << 20;
    let outbox = Outbox::open(dir, options).unwrap();
    let mut streams = Vec::new();
    for lane in [Lane::Events, Lane::Logs] {
        let mut number = 0;
        for count in (0..60).map(|round| [1, 7, 300][round % 3]) {
            let last = outbox.append(lane, numbered(number..number + count)).await.unwrap().last;
            number += count;
            assert_eq!(last.seq, number);
        }
        assert_eq!(number, RECORDS);
        streams.push(current(&outbox, lane).stream);
    }
    outbox.close().await.unwrap();
    streams
}

fn length_of(file: &Path) -> usize {
    usize::try_from(fs::metadata(file).unwrap().len()).unwrap()
}

fn generation_files(dir: &Path) -> Vec<(PathBuf, GenerationName)> {
    let mut names: Vec<GenerationName> = folders(dir).iter().map(|name| name.parse().unwrap()).collect();
    names.sort();
    names.into_iter().map(|name| (PathBuf::from(name.to_string()).join("db"), name)).collect()
}

#[tokio::test]
async fn a_damaged_generation_loses_the_blocks_that_are_hit_and_nothing_else() {
    let base = tempfile::tempdir().unwrap();
    let streams = filled(base.path()).await;
    let files = generation_files(base.path());
    assert!(files.len() > 4, "{files:?}");
    let seed = crate::seed::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut lost_at_all = 0;
    for damage in Damage::ALL.into_iter().cycle().take(36) {
        let (file, name) = rng.choice(&files).unwrap();
        let dir = tempfile::tempdir().unwrap();
        copy(base.path(), dir.path());
        let path = dir.path().join(file);
        let before = copies(&path, name.stream);
        let at = rng.usize(0..length_of(&path));
        let hit = damage.apply(&path, at);
        let is_hit = |place: &std::ops::Range<usize>| place.start < hit.end && hit.start < place.end;
        let gone = before.iter().filter(|(_, (_, places))| places.iter().all(is_hit));
        let expected: BTreeSet<u64> = gone.flat_map(|(first, (end, _))| *first..*end).collect();

        let drained = open_twice(dir.path(), &streams).await;
        let lost = drained.lost.get(&name.stream).cloned().unwrap_or_default();
        assert!(
            lost == expected,
            "seed {seed}: {damage:?} at {at} of {name}: {} of {}",
            lost.len(),
            expected.len()
        );
        assert_eq!(drained.lost.len(), usize::from(!lost.is_empty()), "seed {seed}");
        lost_at_all += lost.len();
        let ends = drained.came.get(&name.stream).and_then(|came| came.last()) < lost.last();
        // Of the very end only the mark knows; the gap says all there is to say.
        assert_eq!(
            drained.reports.len(),
            usize::from(!lost.is_empty() && !ends),
            "seed {seed}: {:?}",
            drained.reports
        );
        for report in &drained.reports {
            assert_eq!((report.stream, report.from), (name.stream, name.first));
            assert!(lost.iter().all(|seq| (report.from..=report.to).contains(seq)), "seed {seed}");
        }
    }
    assert!(lost_at_all > 0, "seed {seed}: the damage was real");
}
