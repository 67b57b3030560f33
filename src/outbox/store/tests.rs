//! The store against real folders.

use std::path::Path;

use super::*;
use crate::id::Epoch;
use crate::outbox::{RangeState, StoreError};
use crate::wire::batch;
use crate::wire::message::{GapReason, LossReason, Record, RecordKind};

fn record(text: &str) -> NewRecord {
    NewRecord {
        recorded_at: WallTime(1_000),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn numbered(range: std::ops::Range<u64>) -> Vec<NewRecord> {
    range.map(|number| record(&format!("record {number:08} {}", "x".repeat(200)))).collect()
}

fn open(dir: &Path) -> Outbox {
    Outbox::open(dir, Options::default()).unwrap()
}

fn current(outbox: &Outbox, lane: Lane) -> StreamState {
    outbox.durable().borrow()[lane.index()]
}

async fn drain(outbox: &Outbox, stream: StreamId, mut from: u64) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(batch) = outbox.read(stream, from, limit::BATCH_BYTES).await.unwrap() {
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

#[tokio::test]
async fn what_is_appended_is_read_and_acked_in_every_lane() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    for lane in Lane::ALL {
        let appended = outbox.append(lane, numbered(0..100)).await.unwrap();
        assert_eq!((appended.first.seq, appended.last.seq, appended.count), (1, 100, 100));
        let stream = appended.first.stream;
        let records = drain(&outbox, stream, 1).await;
        assert_eq!(records.len(), 100);
        assert_eq!(records[41].payload, numbered(41..42)[0].payload);
        let crc = outbox.crc(RecordId { stream, seq: 42 }).await.unwrap();
        assert_eq!(crc, Some(batch::record_crc(42, &records[41].payload)));
        ack(&outbox, stream, 60).await.unwrap();
        assert_eq!(current(&outbox, lane).first_unacked, 61);
        assert_eq!(outbox.stat().await.unwrap().lane(lane).records, 40);
        let error = ack(&outbox, stream, 101).await.unwrap_err();
        assert!(matches!(error, StoreError::AckBeyond { acked: 101, next: 101, .. }), "{error}");
    }
    assert_eq!(outbox.ranges().await.unwrap()[0].state, RangeState::Unacked);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_reopened_outbox_lists_what_is_unacked_under_its_old_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = Vec::new();
    let outbox = open(dir.path());
    for lane in Lane::ALL {
        old.push(outbox.append(lane, numbered(0..10)).await.unwrap().first.stream);
        ack(&outbox, *old.last().unwrap(), 4).await.unwrap();
    }
    outbox.put("session", Bytes::from_static(b"abc")).await.unwrap();
    outbox.close().await.unwrap();
    let outbox = open(dir.path());
    assert_eq!(outbox.get("session").await.unwrap().unwrap(), "abc");
    let states = outbox.streams().await.unwrap();
    assert_eq!(states.len(), 6);
    for stream in old {
        let state = states.iter().find(|state| state.stream == stream).unwrap();
        assert_eq!((state.first_unacked, state.next), (5, 11));
        assert!(current(&outbox, stream.lane).stream.epoch > stream.epoch);
        assert_eq!(drain(&outbox, stream, 5).await.len(), 6);
        ack(&outbox, stream, 10).await.unwrap();
    }
    assert_eq!(outbox.streams().await.unwrap().len(), 3);
    assert_eq!(folders(dir.path()), Vec::<String>::new());
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_copy_of_an_open_folder_holds_all_that_was_reported_durable() {
    let dir = tempfile::tempdir().unwrap();
    let clone = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let mut streams = Vec::new();
    for lane in Lane::ALL {
        streams.push(outbox.append(lane, numbered(0..500)).await.unwrap().first.stream);
    }
    copy(dir.path(), clone.path());
    let cloned = open(clone.path());
    for stream in streams {
        let records = drain(&cloned, stream, 1).await;
        assert_eq!(records.len(), 500, "{stream}");
        let (one, two) = (current(&outbox, stream.lane), current(&cloned, stream.lane));
        assert_ne!(one.stream, two.stream);
    }
    cloned.close().await.unwrap();
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn generations_rotate_and_give_their_disk_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { quota: [1 << 26, 1 << 26, 4 << 20], ..Options::default() };
    let outbox = Outbox::open(dir.path(), options).unwrap();
    let mut last = None;
    for _ in 0..12 {
        last = Some(outbox.append(Lane::Logs, numbered(0..1000)).await.unwrap().last);
    }
    let last = last.unwrap();
    assert!(folders(dir.path()).len() > 3, "{:?}", folders(dir.path()));
    assert_eq!(drain(&outbox, last.stream, 1).await.len(), 12_000);
    ack(&outbox, last.stream, last.seq).await.unwrap();
    assert_eq!(folders(dir.path()).len(), 1);
    outbox.close().await.unwrap();
    assert_eq!(folders(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_lane_at_its_quota_refuses_and_takes_more_after_an_ack() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { quota: [1 << 26, 1 << 26, 2 << 20], ..Options::default() };
    let outbox = Outbox::open(dir.path(), options).unwrap();
    let error = loop {
        if let Err(error) = outbox.append(Lane::Logs, numbered(0..1000)).await {
            break error;
        }
    };
    assert!(matches!(error, AppendError::LaneFull { lane: Lane::Logs, .. }), "{error}");
    outbox.append(Lane::Events, numbered(0..10)).await.unwrap();
    let state = current(&outbox, Lane::Logs);
    ack(&outbox, state.stream, state.next - 1).await.unwrap();
    outbox.append(Lane::Logs, numbered(0..1000)).await.unwrap();
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_long_record_is_cut_and_joined() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let long = "ab".repeat(100_000);
    let appended = outbox.append(Lane::Logs, vec![record(&long), record("next")]).await.unwrap();
    assert_eq!(appended.count, 2);
    let records = drain(&outbox, appended.first.stream, 1).await;
    let parts: Vec<_> = records.iter().filter(|record| record.part.is_some()).collect();
    assert_eq!(parts.len() + 1, records.len());
    let joined: Vec<u8> = parts.iter().flat_map(|part| part.payload.to_vec()).collect();
    assert_eq!(joined, long.as_bytes());
    outbox.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_producers_get_distinct_contiguous_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for _ in 0..8 {
                    let appended = outbox.append(Lane::Logs, numbered(0..3)).await.unwrap();
                    assert_eq!(appended.last.seq, appended.first.seq + 2);
                    taken.extend(appended.first.seq..=appended.last.seq);
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    taken.sort_unstable();
    assert!(taken.into_iter().eq(1..=64 * 24));
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_folder_in_use_names_the_holder_and_a_foreign_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let error = Outbox::open(dir.path(), Options::default()).unwrap_err();
    assert!(
        matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    outbox.bind_agent(AgentId::from_bytes([1; 16])).await.unwrap();
    assert!(outbox.bind_agent(AgentId::from_bytes([2; 16])).await.is_err());
    outbox.close().await.unwrap();
    let options = Options { agent: Some(AgentId::from_bytes([2; 16])), ..Options::default() };
    assert!(matches!(Outbox::open(dir.path(), options), Err(OpenError::Foreign { .. })));
}

#[tokio::test]
async fn a_rolled_back_stream_goes_on_under_a_new_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    for lane in Lane::ALL {
        let old = outbox.append(lane, numbered(0..50)).await.unwrap().first.stream;
        ack(&outbox, old, 20).await.unwrap();
        let report = LossReport { stream: old, from: 51, to: 60, reason: LossReason::RolledBack };
        outbox.roll_epoch(old, report, WallTime(9)).await.unwrap();
        let state = current(&outbox, lane);
        assert!(state.stream.epoch > old.epoch);
        let records = drain(&outbox, state.stream, 1).await;
        let moved = records.iter().filter(|record| record.kind == RecordKind::Opaque);
        assert_eq!(moved.count(), 30);
        assert!(outbox.streams().await.unwrap().iter().all(|state| state.stream != old));
    }
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn gaps_stay_until_a_mark_covers_them() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let stream = outbox.append(Lane::Events, numbered(0..10)).await.unwrap().first.stream;
    ack(&outbox, stream, 10).await.unwrap();
    let gap = Gap { stream, from: 3, to: 10, reason: GapReason::HubLost, records: 8, bytes: 0 };
    outbox.add_gap(gap).await.unwrap();
    outbox.close().await.unwrap();
    let outbox = open(dir.path());
    assert_eq!(outbox.gaps().await.unwrap(), [gap]);
    assert!(outbox.streams().await.unwrap().iter().any(|state| state.stream == stream && state.next == 11));
    ack(&outbox, stream, 9).await.unwrap();
    assert_eq!(outbox.gaps().await.unwrap().len(), 1);
    ack(&outbox, stream, 10).await.unwrap();
    assert!(outbox.gaps().await.unwrap().is_empty());
    assert!(outbox.streams().await.unwrap().iter().all(|state| state.stream != stream));
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn an_unreadable_old_generation_is_named_and_the_rest_works() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let stream = outbox.append(Lane::Logs, numbered(0..100)).await.unwrap().first.stream;
    outbox.close().await.unwrap();
    let name = folders(dir.path()).remove(0);
    let outbox = open(dir.path());
    std::fs::write(dir.path().join(&name).join("db"), vec![0xA5; 600_000]).unwrap();
    let error = outbox.read(stream, 1, 1000).await.unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
    assert_eq!(outbox.append(Lane::Logs, numbered(0..1)).await.unwrap().first.seq, 1);
    assert_ne!(current(&outbox, Lane::Logs).stream.epoch, Epoch::from_u64(0));
    outbox.close().await.unwrap();
}

/// The process that `a_killed_process_loses_nothing` kills; does nothing otherwise.
#[tokio::test]
async fn appends_until_it_is_killed() {
    let Ok(dir) = std::env::var("OUTPOST_TEST_KILLED_DIR") else { return };
    let outbox = open(Path::new(&dir));
    let mut number = 0;
    loop {
        let mut lasts = Vec::new();
        for lane in Lane::ALL {
            let last = outbox.append(lane, numbered(number..number + 20)).await.unwrap().last;
            lasts.push(last.to_string());
        }
        number += 20;
        println!("\ndurable {}", lasts.join(" "));
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing() {
    use std::io::BufRead;
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = Vec::new();
    for lines in [1, 40, 7] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "outbox::store::tests::appends_until_it_is_killed", "--nocapture"])
            .env("OUTPOST_TEST_KILLED_DIR", dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let durable = output.lines().map_while(Result::ok).filter(|line| line.starts_with("durable "));
        let last = durable.take(lines).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let outbox = open(dir.path());
        for text in last.split(' ').skip(1) {
            let last: RecordId = text.parse().unwrap();
            let records = drain(&outbox, last.stream, 1).await;
            assert!(records.len() as u64 >= last.seq, "{last}: {}", records.len());
            assert!(records.iter().zip(numbered(0..last.seq)).all(|(got, put)| got.payload == put.payload));
            assert!(!epochs.contains(&last.stream), "{last}");
            epochs.push(last.stream);
        }
        let listed: Vec<_> = outbox.streams().await.unwrap().into_iter().map(|state| state.stream).collect();
        assert!(epochs.iter().all(|stream| listed.contains(stream)));
        outbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_large_backlog_opens_without_reading_it() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let mut first = None;
    for _ in 0..50 {
        first = Some(outbox.append(Lane::Logs, numbered(0..4000)).await.unwrap().first);
    }
    let stream = first.unwrap().stream;
    outbox.close().await.unwrap();
    let began = crate::obs::clock::boot_now();
    let outbox = open(dir.path());
    let took = crate::obs::clock::boot_now().since(began);
    println!("200,000 records open in {took:?}");
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
    let state = outbox.streams().await.unwrap().into_iter().find(|state| state.stream == stream).unwrap();
    assert_eq!((state.first_unacked, state.next), (1, 200_001));
    let began = crate::obs::clock::boot_now();
    let (mut from, mut records) = (1, 0u64);
    while let Some(batch) = outbox.read(stream, from, limit::BATCH_BYTES).await.unwrap() {
        assert_eq!(batch.first, from);
        from += u64::from(batch.count);
        records += u64::from(batch.count);
        ack(&outbox, stream, from - 1).await.unwrap();
    }
    println!("drained in {:?}", crate::obs::clock::boot_now().since(began));
    assert_eq!(records, 200_000);
    assert_eq!(folders(dir.path()), Vec::<String>::new());
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_of_tiny_records_ends_at_the_most_records_one_may_hold() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let tiny = |number: u32| NewRecord {
        recorded_at: WallTime(0),
        source: String::new(),
        kind: RecordKind::Opaque,
        payload: Bytes::from(vec![b'x'; number as usize % 2]),
    };
    let most = limit::BATCH_RECORDS_MAX;
    outbox.append(Lane::Logs, (0..2 * most + 1).map(tiny).collect()).await.unwrap();
    let stream = current(&outbox, Lane::Logs).stream;
    let counts = [1, 1 + most, 1 + 2 * most].map(u64::from).map(async |from| {
        let batch = outbox.read(stream, from, limit::BATCH_BYTES).await.unwrap().unwrap();
        assert!(batch.batch.len() < limit::BATCH_BYTES, "its bytes would let it hold more");
        batch.count
    });
    assert_eq!(futures_util::future::join_all(counts).await, [most, most, 1]);
    let drained = drain(&outbox, stream, 1).await;
    let payloads = drained.iter().map(|record| record.payload.len());
    assert!(payloads.eq((0..2 * most as usize + 1).map(|number| number % 2)), "each once, in order");
}
