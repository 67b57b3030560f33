//! The store against real folders.

mod damage;
mod encryption;
mod failure;
#[cfg(feature = "hub")]
mod faults;
mod gaps;
mod generation;
mod jobs;
mod lanes;
mod policy;
mod reopen;
mod reserve;
mod unfinished;
mod verify;

use std::path::Path;

use super::*;
use crate::id::{RecordId, StreamId};
use crate::limit;
use crate::outbox::Reading;
use crate::outbox::{Batch, RangeState, StoreError};
use crate::time::{ClockOffset, HubTime, WallTime};
use crate::wire::batch;
use crate::wire::message::{Gap, LossReport, StreamMark};
use crate::wire::message::{GapReason, LossReason, Record, RecordKind};

fn record(text: &str) -> NewRecord {
    NewRecord {
        recorded_at: WallTime(1_000),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        app: None,
    }
}

fn numbered(range: std::ops::Range<u64>) -> Vec<NewRecord> {
    range.map(|number| record(&format!("record {number:08} {}", "x".repeat(200)))).collect()
}

fn open(dir: &Path) -> Outbox {
    Outbox::open(dir, Options::default()).unwrap()
}

/// Logs that refuse what is above `max_bytes`.
fn logs_quota(max_bytes: u64) -> Options {
    let mut options = Options::default();
    let refusing = LanePolicy { max_bytes, on_full: OnFull::Refuse, ..LanePolicy::of(Lane::Logs) };
    *options.lanes.of_mut(Lane::Logs) = refusing;
    options
}

/// The store itself, on this thread.
fn store(host: &Arc<dyn Host>, dir: &Path) -> Store {
    Store::open(Arc::clone(host), dir.to_owned(), &Options::default(), Arc::new(Watch::new())).unwrap()
}

/// What this thread read from files so far.
fn bytes_read() -> u64 {
    let counted = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    counted.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

fn current(outbox: &Outbox, lane: Lane) -> StreamState {
    outbox.durable().borrow()[lane.index()]
}

/// Records from `from` on, where they are.
async fn batch_at(outbox: &Outbox, stream: StreamId, from: u64) -> Option<Batch> {
    match outbox.read(stream, from, limit::BATCH_BYTES).await.unwrap() {
        Some(Reading::Records(batch)) => Some(batch),
        Some(Reading::Gap(gap)) => panic!("a gap: {gap:?}"),
        None => None,
    }
}

async fn drain(outbox: &Outbox, stream: StreamId, mut from: u64) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(batch) = batch_at(outbox, stream, from).await {
        assert_eq!(batch.first, from);
        from += u64::from(batch.count);
        records.extend(batch::decode(&batch.batch, batch.count).unwrap());
    }
    records
}

async fn ack(outbox: &Outbox, stream: StreamId, acked: u64) -> Result<(), StoreError> {
    outbox.ack(vec![StreamMark { stream, acked, acked_crc: 0 }]).await
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn folders(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("events-") || name.starts_with("logs-")).collect()
}
