//! Appending, reading and acking in one opening.

use super::*;

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
async fn a_lane_at_its_quota_refuses_and_takes_more_after_an_ack() {
    let dir = tempfile::tempdir().unwrap();
    let options = logs_quota(2 << 20);
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
async fn a_batch_of_tiny_records_ends_at_the_most_records_one_may_hold() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let tiny = |number: u32| NewRecord {
        recorded_at: WallTime(0),
        source: String::new(),
        kind: RecordKind::Opaque,
        payload: Bytes::from(vec![b'x'; number as usize % 2]),
        app: None,
    };
    let most = limit::BATCH_RECORDS_MAX;
    outbox.append(Lane::Logs, (0..2 * most + 1).map(tiny).collect()).await.unwrap();
    let stream = current(&outbox, Lane::Logs).stream;
    let counts = [1, 1 + most, 1 + 2 * most].map(u64::from).map(async |from| {
        let batch = batch_at(&outbox, stream, from).await.unwrap();
        assert!(batch.batch.len() < limit::BATCH_BYTES, "its bytes would let it hold more");
        batch.count
    });
    assert_eq!(futures_util::future::join_all(counts).await, [most, most, 1]);
    let drained = drain(&outbox, stream, 1).await;
    let payloads = drained.iter().map(|record| record.payload.len());
    assert!(payloads.eq((0..2 * most as usize + 1).map(|number| number % 2)), "each once, in order");
}
