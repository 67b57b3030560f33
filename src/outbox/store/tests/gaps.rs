//! Declared losses: told instead of records, kept over a restart, gone with their ack.

use super::*;
use crate::outbox::name::GenerationName;

fn gap(stream: StreamId, from: u64, to: u64) -> Gap {
    Gap { stream, from, to, reason: GapReason::Evicted, records: to - from + 1, bytes: 8 * (to - from + 1) }
}

async fn declare(outbox: &Outbox, gap: Gap) {
    outbox.call(move |store| store.declare(gap)).await.unwrap().unwrap();
}

/// Numbers of what is read from `from` on, and the gaps met on the way.
async fn walk(outbox: &Outbox, stream: StreamId, mut from: u64) -> (Vec<u64>, Vec<Gap>) {
    let (mut numbers, mut gaps) = (Vec::new(), Vec::new());
    while let Some(reading) = outbox.read(stream, from, limit::BATCH_BYTES).await.unwrap() {
        match reading {
            Reading::Records(batch) => {
                assert_eq!(batch.first, from);
                from += u64::from(batch.count);
                numbers.extend(batch.first..from);
            }
            Reading::Gap(gap) => {
                assert!((gap.from..=gap.to).contains(&from), "{gap:?} at {from}");
                from = gap.to + 1;
                gaps.push(gap);
            }
        }
    }
    (numbers, gaps)
}

#[tokio::test]
async fn a_reader_meets_the_gap_where_the_records_were() {
    let dir = tempfile::tempdir().unwrap();
    let mut streams = Vec::new();
    let outbox = open(dir.path());
    for lane in Lane::ALL {
        let stream = outbox.append(lane, numbered(0..100)).await.unwrap().first.stream;
        ack(&outbox, stream, 10).await.unwrap();
        declare(&outbox, gap(stream, 1, 20)).await;
        declare(&outbox, gap(stream, 41, 50)).await;
        declare(&outbox, gap(stream, 91, 120)).await;
        streams.push(stream);
    }
    let losses = outbox.stat().await.unwrap().losses;
    let evicted = |lane: Lane| losses[lane.name()]["evicted"];
    assert_eq!(Lane::ALL.map(evicted), [30; 3], "unacked numbers that exist, each once");
    outbox.close().await.unwrap();
    for _ in 0..2 {
        let outbox = open(dir.path());
        for stream in &streams {
            let (numbers, gaps) = walk(&outbox, *stream, 11).await;
            assert!(numbers.into_iter().eq((21..=40).chain(51..=90)), "{stream}");
            assert_eq!(gaps, [gap(*stream, 11, 20), gap(*stream, 41, 50), gap(*stream, 91, 100)]);
            assert_eq!(outbox.crc(RecordId { stream: *stream, seq: 45 }).await.unwrap(), None);
        }
        let stat = outbox.stat().await.unwrap();
        assert_eq!((stat.gaps, stat.lane(Lane::Logs).records), (9, 60));
        assert!(stat.losses.is_empty(), "they were lost before this opening: {stat:?}");
        let ranges = outbox.ranges().await.unwrap();
        let ranges: Vec<_> = ranges.iter().map(|range| (range.first, range.last, range.count)).collect();
        assert_eq!(ranges, [(21, 40, 20), (51, 90, 40)].repeat(3));
        outbox.close().await.unwrap();
    }
    let outbox = open(dir.path());
    for stream in streams {
        ack(&outbox, stream, 45).await.unwrap();
        let left: Vec<Gap> = outbox.gaps().await.unwrap();
        let left: Vec<Gap> = left.into_iter().filter(|gap| gap.stream == stream).collect();
        assert_eq!(left, [gap(stream, 46, 50), gap(stream, 91, 100)], "the ack cut the one it stands in");
        ack(&outbox, stream, 100).await.unwrap();
    }
    assert_eq!(outbox.gaps().await.unwrap(), []);
    let listed = outbox.streams().await.unwrap();
    assert!(listed.iter().all(|state| state.next == 1), "no old stream is left: {listed:?}");
    outbox.close().await.unwrap();
    let outbox = open(dir.path());
    assert_eq!(outbox.gaps().await.unwrap(), [], "their rows went with the ack");
    outbox.close().await.unwrap();
}

/// A kill between the gap's commit and the removal of what it covers, and one after it; of the newest generation.
#[tokio::test]
async fn what_a_gap_covers_whole_is_removed_at_the_next_start_and_its_numbers_stay_used() {
    for removed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let outbox = open(dir.path());
        let stream = outbox.append(Lane::Logs, numbered(0..100)).await.unwrap().first.stream;
        declare(&outbox, gap(stream, 1, 100)).await;
        if removed {
            let name = GenerationName { stream, first: 1 };
            outbox.call(move |store| store.remove_generation(name)).await.unwrap().unwrap();
        }
        let killed = tempfile::tempdir().unwrap();
        copy(dir.path(), killed.path());
        outbox.close().await.unwrap();
        assert_eq!(folders(killed.path()).is_empty(), removed);
        for _ in 0..2 {
            let outbox = open(killed.path());
            assert_eq!(folders(killed.path()), Vec::<String>::new());
            let (numbers, gaps) = walk(&outbox, stream, 1).await;
            assert_eq!((numbers, gaps), (vec![], vec![gap(stream, 1, 100)]));
            let listed = outbox.streams().await.unwrap();
            assert!(listed.contains(&StreamState { stream, first_unacked: 1, next: 101 }), "{listed:?}");
            outbox.close().await.unwrap();
        }
        let outbox = open(killed.path());
        ack(&outbox, stream, 100).await.unwrap();
        assert!(outbox.streams().await.unwrap().iter().all(|state| state.stream != stream));
        outbox.close().await.unwrap();
    }
}

#[tokio::test]
async fn what_a_rolled_back_stream_had_lost_is_told_under_the_new_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let mut rolled = Vec::new();
    for lane in Lane::ALL {
        let old = outbox.append(lane, numbered(0..50)).await.unwrap().first.stream;
        declare(&outbox, gap(old, 1, 20)).await;
        declare(&outbox, gap(old, 31, 35)).await;
        let report = LossReport { stream: old, from: 51, to: 60, reason: LossReason::RolledBack };
        outbox.roll_epoch(old, report, WallTime(9)).await.unwrap();
        let stream = current(&outbox, lane).stream;
        // In control the report comes first.
        let first = if lane == Lane::Control { 2 } else { 1 };
        rolled.push((stream, first));
        let (numbers, gaps) = walk(&outbox, stream, first).await;
        assert_eq!(gaps, [gap(stream, first, first + 19), gap(stream, first + 30, first + 34)], "{lane}");
        assert!(numbers.into_iter().eq((first + 20..first + 30).chain(first + 35..first + 50)), "{lane}");
        outbox.append(lane, numbered(0..5)).await.unwrap();
    }
    outbox.close().await.unwrap();
    let outbox = open(dir.path());
    for (stream, first) in rolled {
        let (numbers, gaps) = walk(&outbox, stream, first).await;
        assert!(numbers.len() >= 30 && gaps.len() == 2, "{stream}: {} {gaps:?}", numbers.len());
    }
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn an_ack_beyond_the_end_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let stream = outbox.append(Lane::Logs, numbered(0..10)).await.unwrap().first.stream;
    ack(&outbox, stream, 5).await.unwrap();
    let gap = Gap { stream, from: 3, to: 5, reason: GapReason::HubLost, records: 3, bytes: 0 };
    outbox.add_gap(gap).await.unwrap();
    let error = ack(&outbox, stream, 11).await.unwrap_err();
    assert!(matches!(error, StoreError::AckBeyond { acked: 11, next: 11, .. }), "{error}");
    assert_eq!(outbox.gaps().await.unwrap(), [gap]);
    assert_eq!(outbox.cursor(stream).await.unwrap().acked, 5);
    outbox.close().await.unwrap();
}
