//! Rates beside the limit's: one turn of the log, one of the outbox, five times; medians.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use outpost::id::{JobId, Lane, StreamId};
use outpost::limit;
use outpost::outbox::job::{JobChange, ReservationChange, SpecChange};
use outpost::outbox::policy::Durability;
use outpost::outbox::{NewRecord, Options, Outbox, Reading};
use outpost::time::WallTime;
use outpost::wire::message::{RecordKind, StreamMark};
use tempfile::TempDir;

use crate::report::{Report, Target};
use crate::segments::{self, Segments, Sync};

/// Payload bytes of a record.
pub(crate) const PAYLOAD_BYTES: usize = 512;
/// Turns a median is taken of.
const TURNS: usize = 5;
/// Records of one call where a program hands over many.
const CALL_RECORDS: u64 = 64;

pub(crate) fn record() -> NewRecord {
    NewRecord {
        recorded_at: WallTime(1_000),
        source: "bench".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::from(vec![b'x'; PAYLOAD_BYTES]),
        app: None,
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn options() -> Options {
    Options::default()
}

/// Something that takes one call's records; `Outbox` or `Segments`.
trait Takes: Send + std::marker::Sync + 'static {
    fn take(&self, records: u64) -> impl Future<Output = ()> + Send;
}

impl Takes for Segments {
    async fn take(&self, records: u64) {
        self.append(vec![vec![b'x'; PAYLOAD_BYTES]; records as usize]).await;
    }
}

impl Takes for Outbox {
    async fn take(&self, records: u64) {
        self.append(Lane::Logs, (0..records).map(|_| record()).collect()).await.unwrap();
    }
}

/// `total` records by `producers` tasks, each of which waits for its call before the next; records per second.
async fn rate(log: Arc<impl Takes>, producers: u64, call: u64, total: u64) -> f64 {
    let left = Arc::new(AtomicU64::new(total / call));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..producers)
        .map(|_| {
            let (log, left) = (Arc::clone(&log), Arc::clone(&left));
            tokio::spawn(async move {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    log.take(call).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    per_second(total, begin.elapsed())
}

pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

async fn outbox_rate(options: Options, producers: u64, call: u64, total: u64) -> f64 {
    let folder = folder();
    let outbox = Arc::new(Outbox::open(folder.path(), options).unwrap());
    let rate = rate(Arc::clone(&outbox), producers, call, total).await;
    Arc::into_inner(outbox).unwrap().close().await.unwrap();
    rate
}

async fn segments_rate(sync: Sync, producers: u64, call: u64, total: u64) -> f64 {
    let folder = folder();
    rate(Arc::new(Segments::open(folder.path(), sync)), producers, call, total).await
}

pub(crate) async fn durable(report: &mut Report) {
    for (producers, total, target) in [(1, 1_500, 0.9), (16, 12_000, 0.9), (256, 80_000, 0.75)] {
        let mut pairs = Vec::new();
        for _ in 0..TURNS {
            let limit = segments_rate(Sync::Each, producers, 1, total).await;
            pairs.push((outbox_rate(options(), producers, 1, total).await, limit));
        }
        let name = format!("durable_append/{producers}_producers");
        report.rates(&name, "records/s", &pairs, Target::AtLeast(target));
    }
}

pub(crate) async fn buffered(report: &mut Report) {
    let total = 400_000;
    let mut pairs = Vec::new();
    for _ in 0..TURNS {
        let limit = segments_rate(Sync::Never, 16, CALL_RECORDS, total).await;
        pairs.push((outbox_rate(unsynced(), 16, CALL_RECORDS, total).await, limit));
    }
    report.rates("buffered_append/64_a_call", "records/s", &pairs, Target::AtLeast(0.75));
}

/// Logs that are answered before they are on the medium.
fn unsynced() -> Options {
    let mut options = options();
    options.lanes.of_mut(Lane::Logs).durability = Durability::Buffered;
    options
}

/// Fills an outbox or log through large calls.
pub(crate) async fn fill(outbox: &Outbox, total: u64) -> StreamId {
    for _ in 0..total / 500 {
        outbox.take(500).await;
    }
    outbox.durable().borrow()[Lane::Logs.index()].stream
}

pub(crate) async fn drain(report: &mut Report) {
    let total = 200_000;
    let mut pairs = Vec::new();
    for _ in 0..TURNS {
        let limit_folder = folder();
        rate(Arc::new(Segments::open(limit_folder.path(), Sync::Never)), 1, 500, total).await;
        let begin = Instant::now();
        assert_eq!(segments::drain(limit_folder.path()), total);
        let limit = per_second(total, begin.elapsed());

        let folder = folder();
        let outbox = Outbox::open(folder.path(), options()).unwrap();
        let stream = fill(&outbox, total).await;
        let begin = Instant::now();
        assert_eq!(read_and_ack(&outbox, stream, 1).await, total);
        pairs.push((per_second(total, begin.elapsed()), limit));
        outbox.close().await.unwrap();
        assert_eq!(generations(folder.path()), 0, "a drained outbox keeps no generation");
    }
    report.rates("drain", "records/s", &pairs, Target::AtLeast(0.4));
}

/// Reads and acks from `from` on until nothing is left; how many.
pub(crate) async fn read_and_ack(outbox: &Outbox, stream: StreamId, from: u64) -> u64 {
    let mut next = from;
    while let Some(reading) = outbox.read(stream, next, limit::BATCH_BYTES).await.unwrap() {
        let Reading::Records(batch) = reading else { panic!("a gap in a sound outbox") };
        next += u64::from(batch.count);
        outbox.ack(vec![StreamMark { stream, acked: next - 1, acked_crc: 0 }]).await.unwrap();
    }
    next - from
}

/// Folders of events and logs.
pub(crate) fn generations(dir: &Path) -> usize {
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("logs-") || name.starts_with("events-")).count()
}

/// A change of a job with one control record, one a commit, beside a write and fdatasync of as many bytes.
pub(crate) async fn core(report: &mut Report) {
    let total = 1_500;
    let mut pairs = Vec::new();
    for _ in 0..TURNS {
        let limit_folder = folder();
        let begin = Instant::now();
        let mut file = segments::allocated(&limit_folder.path().join("file"));
        for _ in 0..total {
            std::io::Write::write_all(&mut file, &[7; PAYLOAD_BYTES]).unwrap();
            file.sync_data().unwrap();
        }
        let limit = per_second(total, begin.elapsed());

        let folder = folder();
        let outbox = Outbox::open(folder.path(), options()).unwrap();
        let begin = Instant::now();
        for number in 0..total {
            outbox.change_job(job_change(number)).await.unwrap();
        }
        pairs.push((per_second(total, begin.elapsed()), limit));
        outbox.close().await.unwrap();
    }
    report.rates("core_commit", "commits/s", &pairs, Target::AtLeast(0.8));
}

fn job_change(number: u64) -> JobChange {
    let mut id = [0; 16];
    // A job changes a few times while it runs.
    id[8..].copy_from_slice(&(number / 4).to_be_bytes());
    JobChange {
        job: JobId::try_from(id.as_slice()).unwrap(),
        row: Bytes::from(vec![7; 128]),
        spec: SpecChange::Keep,
        reservation: ReservationChange::Keep,
        forget: None,
        records: vec![record()],
    }
}
