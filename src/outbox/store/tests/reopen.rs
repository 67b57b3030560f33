//! What a later opening finds.

use super::*;
use crate::outbox::name::GenerationName;
use crate::outbox::store::core;
use crate::outbox::store::host::Host;
use crate::sim::disk::Disk;

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
async fn a_large_backlog_opens_without_reading_it() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let mut first = None;
    for _ in 0..50 {
        first = Some(outbox.append(Lane::Logs, numbered(0..4000)).await.unwrap().first);
    }
    let stream = first.unwrap().stream;
    outbox.close().await.unwrap();
    let host: Arc<dyn Host> = Arc::new(System);
    let before = bytes_read();
    drop(store(&host, dir.path()));
    let read = bytes_read() - before;
    println!("200,000 records open with {read} bytes read");
    assert!(read > 0 && read < 200_000 * 20, "{read} bytes were read: records have more than 200 each");
    let outbox = open(dir.path());
    let state = outbox.streams().await.unwrap().into_iter().find(|state| state.stream == stream).unwrap();
    assert_eq!((state.first_unacked, state.next), (1, 200_001));
    let began = crate::obs::clock::boot_now();
    let (mut from, mut records) = (1, 0u64);
    while let Some(batch) = batch_at(&outbox, stream, from).await {
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
async fn the_cursors_crc_is_that_of_its_record_in_every_later_opening() {
    let dir = tempfile::tempdir().unwrap();
    let crash = tempfile::tempdir().unwrap();
    let crc = |seq: u64| batch::record_crc(seq, &numbered(seq - 1..seq)[0].payload);
    let outbox = open(dir.path());
    let mut streams = Vec::new();
    for lane in Lane::ALL {
        let stream = outbox.append(lane, numbered(0..100)).await.unwrap().first.stream;
        let mark = StreamMark { stream, acked: 60, acked_crc: crc(60) };
        outbox.ack(vec![mark]).await.unwrap();
        assert_eq!(outbox.cursor(stream).await, Ok(mark));
        streams.push(stream);
    }
    // Cursors are lazy: a start after a crash may find an older one, and reads the CRC from the record.
    copy(dir.path(), crash.path());
    outbox.close().await.unwrap();

    let crashed = open(crash.path());
    let outbox = open(dir.path());
    for stream in streams {
        let at = |seq| RecordId { stream, seq };
        assert_eq!(crashed.crc(at(60)).await, Ok(Some(crc(60))), "{stream}");
        let mark = StreamMark { stream, acked: 60, acked_crc: crc(60) };
        assert_eq!(outbox.cursor(stream).await, Ok(mark));
        assert_eq!(outbox.crc(at(60)).await, Ok(Some(crc(60))), "{stream}");
        assert_eq!(outbox.crc(at(61)).await, Ok(Some(crc(61))), "{stream}");
        // A mark that says no CRC does not hide the record's.
        ack(&outbox, stream, 70).await.unwrap();
        assert_eq!(outbox.crc(at(70)).await, Ok(Some(crc(70))), "{stream}");
        assert_eq!(outbox.crc(at(101)).await, Ok(None), "{stream}");
    }
    crashed.close().await.unwrap();
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn the_cursors_crc_outlives_the_generation_of_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let options = logs_quota(4 << 20);
    let outbox = Outbox::open(dir.path(), options).unwrap();
    let mut stream = None;
    while folders(dir.path()).len() < 2 {
        stream = Some(outbox.append(Lane::Logs, numbered(0..100)).await.unwrap().first.stream);
    }
    let stream = stream.unwrap();
    let firsts = folders(dir.path()).into_iter().map(|name| name.parse::<GenerationName>().unwrap().first);
    let last = firsts.max().unwrap() - 1;
    let crc = batch::record_crc(last, &numbered(99..100)[0].payload);
    assert_eq!(outbox.crc(RecordId { stream, seq: last }).await, Ok(Some(crc)));
    outbox.ack(vec![StreamMark { stream, acked: last, acked_crc: crc }]).await.unwrap();
    assert_eq!(folders(dir.path()).len(), 1, "the cursor's record is gone");
    outbox.close().await.unwrap();

    let outbox = open(dir.path());
    assert_eq!(outbox.cursor(stream).await, Ok(StreamMark { stream, acked: last, acked_crc: crc }));
    assert_eq!(outbox.crc(RecordId { stream, seq: last }).await, Ok(Some(crc)));
    outbox.close().await.unwrap();
}

/// The disk was full when the epoch's end was to be written, and nobody put that back before the process ended.
#[test]
fn an_epoch_whose_end_was_refused_keeps_what_it_took_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let host: Arc<dyn Host> = Arc::new(System);
    let open =
        || Store::open(Arc::clone(&host), dir.path().to_owned(), &Options::default(), Arc::new(Watch::new()));
    let mut store = open().unwrap();
    let stream = store.ledger.current(Lane::Logs);
    let append = |store: &mut Store, from| {
        store
            .append_encoded(Lane::Logs, &admit::encode(Lane::Logs, numbered(from..from + 10)).unwrap())
            .unwrap();
    };
    append(&mut store, 0);
    let core = store.core.as_mut().unwrap();
    core.put(&core::next_key(stream), &core::closing_value(11));
    core.commit(core::Need::Ordinary).unwrap();
    store.seal(&[Lane::Control]).unwrap();
    append(&mut store, 10);
    drop(store);

    let mut store = open().unwrap();
    assert_eq!(store.ledger.stream(stream).unwrap().next, 21);
    let Some(Reading::Records(batch)) = store.read(stream, 1, limit::BATCH_BYTES).unwrap() else { panic!() };
    assert_eq!(batch.count, 20);
    store.stop().unwrap();
}

/// What was refused stays refused, however many starts fail at whatever they sync.
#[test]
fn a_start_that_fails_takes_no_end_of_an_older_epoch_along() {
    let mut failed = 0;
    for (seed, sync) in (0..20).flat_map(|seed| (0..6).map(move |sync| (seed, sync))) {
        let disk = Disk::new(fastrand::Rng::with_seed(seed), 64 << 20);
        let dir = Path::new("/data/outbox");
        let open = || Outbox::open_inline(Arc::new(disk.clone()), dir, &Options::default());
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (outbox, mut store) = open().unwrap();
            streams.push(store.ledger().current(Lane::Logs));
            let mut append = |from| store.wait(outbox.append(Lane::Logs, numbered(from..from + 2)));
            assert_eq!(append(0).unwrap().last.seq, 2);
            disk.fail_sync(Some(0));
            append(2).unwrap_err();
            drop((outbox, store));
            disk.kill();
        }
        disk.fail_sync(Some(sync));
        failed += u32::from(open().is_err());
        disk.kill();
        disk.fail_sync(None);
        let (_outbox, store) = open().unwrap();
        for stream in streams {
            let next = store.ledger().stream(stream).unwrap().next;
            assert_eq!(next, 3, "seed {seed}, sync {sync}: {stream}");
        }
    }
    assert!(failed > 0, "no start failed");
}

/// A sync of the first start fails, or the process is killed there: the second one finds a core whose name is not durable.
#[test]
fn what_a_start_accepts_after_one_that_failed_outlives_the_power() {
    let mut failed = 0;
    for (seed, sync) in (0..20).flat_map(|seed| (0..6).map(move |sync| (seed, sync))) {
        let disk = Disk::new(fastrand::Rng::with_seed(seed), 64 << 20);
        let dir = Path::new("/data/outbox");
        let open = || Outbox::open_inline(Arc::new(disk.clone()), dir, &Options::default());
        disk.fail_sync(Some(sync));
        failed += u32::from(open().is_err());
        disk.fail_sync(None);
        disk.kill();
        let (outbox, mut store) = open().unwrap();
        let last = store.wait(outbox.append(Lane::Control, numbered(0..3))).unwrap().last;
        drop((outbox, store));
        disk.cut_power();
        let (_outbox, store) = open().unwrap();
        let held = store.ledger().stream(last.stream).map(|stream| stream.next);
        assert_eq!(held, Some(4), "seed {seed}, sync {sync}");
    }
    assert!(failed > 0, "no start failed");
}
