//! An outbox worth damaging: two epochs, several generations of events and logs, control records, a journal, a gap,
//! cursors; and which of its records lie where in its files.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use outpost::id::{AgentId, JobId, Lane, RecordId, StreamId};
use outpost::obs::clock::boot_now;
use outpost::outbox::OnFull;
use outpost::outbox::job::{JobChange, ReservationChange, SpecChange};
use outpost::outbox::{Options, Outbox, block};
use outpost::wire::message::{Gap, GapReason, StreamMark};

use crate::account::Account;
use crate::child::{self, Child};
use crate::lanes::options;
use crate::payload::record;
use crate::report::{Event, place, say};

/// Whose it is.
pub(crate) const AGENT: [u8; 16] = [7; 16];
/// Generations of half a megabyte.
const BYTES: [(Lane, u64); 2] = [(Lane::Events, 4 << 20), (Lane::Logs, 4 << 20)];
/// Appends of each epoch.
const APPENDS: [u64; 2] = [170, 60];
const JOBS: u8 = 3;
const MAKE_TIMEOUT: Duration = Duration::from_secs(300);
const MADE: &str = "made";

/// The folder and what is in it.
pub(crate) struct Backlog {
    pub(crate) dir: PathBuf,
    pub(crate) account: Account,
}

fn owned() -> Options {
    Options { agent: Some(AgentId::from_bytes(AGENT)), ..options(&BYTES, OnFull::Refuse) }
}

/// Does nothing where `Backlog::make` did not start it.
#[tokio::test]
async fn makes_a_backlog() {
    let Some(dir) = child::order::<PathBuf>() else { return };
    let mut number = 1;
    for appends in APPENDS {
        let outbox = Outbox::open(&dir, owned()).unwrap();
        for _ in 0..appends {
            for (lane, count) in [(Lane::Logs, 10), (Lane::Events, 6), (Lane::Control, 1)] {
                let numbers = number..number + count;
                number = numbers.end;
                let appended = outbox.append(lane, numbers.clone().map(record).collect()).await.unwrap();
                say(Event::Appended { first: appended.first, numbers });
            }
        }
        outbox.close().await.unwrap();
    }
    let outbox = Outbox::open(&dir, owned()).unwrap();
    finish(&outbox).await;
    outbox.close().await.unwrap();
    say(Event::Step { name: MADE.to_owned() });
}

impl Backlog {
    /// Makes it, with a clean stop; in a process of its own, because one that starts others hands them its locks for a
    /// moment.
    pub(crate) fn make(dir: &Path) -> Self {
        let mut account = Account::default();
        let mut child = Child::start("backlog::makes_a_backlog", &dir);
        let deadline = boot_now().after(MAKE_TIMEOUT);
        let mut last = None;
        while let Some(report) = child.next(deadline) {
            last = Some(report.event.clone());
            account.take(report);
        }
        assert_eq!(last, Some(Event::Step { name: MADE.to_owned() }));
        Self { dir: dir.to_owned(), account }
    }

    /// A copy of the folder.
    pub(crate) fn copy(&self, to: &Path) {
        copy(&self.dir, to);
    }

    /// Every file of it, by its path in the folder.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(&self.dir).unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }
}

/// Cursors, a gap and jobs.
async fn finish(outbox: &Outbox) {
    let states = outbox.streams().await.unwrap();
    for lane in Lane::ALL {
        let stream = states.iter().find(|state| state.stream.lane == lane).unwrap().stream;
        say(Event::Acking { upto: place(stream, 40) });
        outbox.ack(vec![StreamMark { stream, acked: 40, acked_crc: 0 }]).await.unwrap();
        let gap = Gap { stream, from: 3, to: 9, reason: GapReason::HubLost, records: 7, bytes: 0 };
        outbox.add_gap(gap).await.unwrap();
    }
    for job in 1..=JOBS {
        let change = JobChange {
            job: JobId::from_bytes([job; 16]),
            row: Bytes::from(vec![job; 300]),
            spec: SpecChange::Put(Bytes::from(vec![job; 30_000])),
            reservation: ReservationChange::Take,
            forget: None,
            records: Vec::new(),
        };
        outbox.change_job(change).await.unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}

/// A row of the core: `OPRW`, lengths of key and value, commit, checksum, then key and value.
const ROW_MAGIC: &[u8] = b"OPRW";
const ROW_CRC_AT: usize = 16;
const ROW_HEADER_BYTES: usize = 20;
const END_KEY: &[u8] = b"n/";

/// Key and value of the whole row that lies first here, and how long it is.
fn row(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let number = |at| Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    let (key, value) = (number(4)?, number(6)?);
    let row = bytes.get(..ROW_HEADER_BYTES + key + value)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&row[..ROW_CRC_AT]), &row[ROW_HEADER_BYTES..]);
    let (key, value) = row[ROW_HEADER_BYTES..].split_at(key);
    (row[ROW_CRC_AT..ROW_HEADER_BYTES] == crc.to_be_bytes()).then_some((key, value, row.len()))
}

/// Where the core's file says how an epoch ended.
pub(crate) fn ends_of_epochs(core: &[u8]) -> Vec<Range<usize>> {
    let starts = (0..core.len()).filter(|at| core[*at..].starts_with(ROW_MAGIC));
    let rows = starts.filter_map(|at| row(&core[at..]).map(|(key, _, length)| (key, at..at + length)));
    rows.filter(|(key, _)| key.starts_with(END_KEY)).map(|(_, range)| range).collect()
}

/// Where the blocks of a database's file lie; a block may lie there more than once.
pub(crate) struct Blocks(BTreeMap<(StreamId, u64, u64), Vec<Range<usize>>>);

impl Blocks {
    /// Those of a file that has none.
    pub(crate) const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Those of a generation's file, where they lie as they are.
    pub(crate) fn of_generation(file: &[u8]) -> Self {
        Self::found(file, &block::MAGIC, |bytes| {
            let (header, body) = block::decode_first(bytes).ok()?;
            Some((header, block::HEADER_BYTES + body.len()))
        })
    }

    /// Those of the core's file: each lies in a row, and is only found again where its row is whole (docs/outbox.md).
    pub(crate) fn of_core(file: &[u8]) -> Self {
        Self::found(file, ROW_MAGIC, |bytes| {
            let (_, value, length) = row(bytes)?;
            let (header, _) = block::decode_first(value).ok()?;
            Some((header, length))
        })
    }

    /// What begins with `magic` and is a block together with what stands around it, which is so long.
    fn found(file: &[u8], magic: &[u8], read: impl Fn(&[u8]) -> Option<(block::Header, usize)>) -> Self {
        let mut blocks: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for start in (0..file.len()).filter(|at| file[*at..].starts_with(magic)) {
            if let Some((header, length)) = read(&file[start..]) {
                let copies = blocks.entry((header.stream, header.first, header.end()));
                copies.or_default().push(start..start + length);
            }
        }
        assert!(!blocks.is_empty(), "a database of {} bytes without a block", file.len());
        Self(blocks)
    }

    /// Where what a stream holds from this record on lies.
    pub(crate) fn since(&self, begin: RecordId) -> Vec<Range<usize>> {
        let later = self.0.iter().filter(|((stream, _, end), _)| *stream == begin.stream && *end > begin.seq);
        later.flat_map(|(_, copies)| copies.clone()).collect()
    }

    /// The records of which no copy is left whole.
    pub(crate) fn hit(&self, is_hit: impl Fn(&Range<usize>) -> bool) -> BTreeSet<RecordId> {
        let hit = self.0.iter().filter(|(_, copies)| copies.iter().all(&is_hit));
        hit.flat_map(|((stream, first, end), _)| (*first..*end).map(|seq| place(*stream, seq))).collect()
    }
}
