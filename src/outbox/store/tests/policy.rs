//! Full lanes, short disks, old records, producers that wait, and records that are not durable at once.

use std::time::Duration;

use fastrand::Rng;

use super::*;
use crate::outbox::Durability;
use crate::outbox::store::inline::Inline;
use crate::sim::disk::Disk;
use crate::time::BootTime;

const DIR: &str = "/data/outbox";

fn lanes(change: impl FnOnce(&mut LanePolicy)) -> Options {
    let mut options = Options::default();
    change(options.lanes.of_mut(Lane::Logs));
    options
}

/// Allocated bytes of a lane's folders.
fn on_disk(dir: &Path, lane: Lane) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let names = folders(dir).into_iter().filter(|name| name.starts_with(lane.name()));
    // One may go while it is looked at.
    let bytes = names.filter_map(|name| std::fs::metadata(dir.join(name).join("db")).ok());
    bytes.map(|data| data.blocks() * 512).sum()
}

/// What a session would get: records and gaps from `from` on, each acked as it comes.
async fn deliver(outbox: &Outbox, stream: StreamId, from: &mut u64) -> (u64, u64) {
    let (mut arrived, mut lost) = (0, 0);
    while let Some(reading) = outbox.read(stream, *from, limit::BATCH_BYTES).await.unwrap() {
        match reading {
            Reading::Records(batch) => {
                arrived += u64::from(batch.count);
                *from += u64::from(batch.count);
            }
            Reading::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::Evicted);
                lost += gap.to - *from + 1;
                *from = gap.to + 1;
            }
        }
    }
    (arrived, lost)
}

#[tokio::test]
async fn a_full_lane_keeps_the_newest_and_tells_what_went() {
    let dir = tempfile::tempdir().unwrap();
    let quota = 4 << 20;
    let outbox = Outbox::open(dir.path(), lanes(|logs| logs.max_bytes = quota)).unwrap();
    let (mut appended, mut stream) = (0, None);
    // 50 MB of records into 4 MiB.
    for _ in 0..220 {
        let last = outbox.append(Lane::Logs, numbered(appended..appended + 1000)).await.unwrap().last;
        (appended, stream) = (appended + 1000, Some(last.stream));
        let taken = on_disk(dir.path(), Lane::Logs);
        assert!(taken <= quota + (64 << 10), "{taken} bytes on disk");
    }
    let stream = stream.unwrap();
    let gaps = outbox.gaps().await.unwrap();
    let [gap] = gaps.as_slice() else { panic!("one gap, however often: {gaps:?}") };
    assert_eq!((gap.from, gap.records, gap.reason), (1, gap.to, GapReason::Evicted));
    assert!(gap.bytes > 200 * gap.records, "{gap:?}");
    let stat = outbox.stat().await.unwrap();
    assert_eq!((stat.gaps, stat.lost), (1, gap.records));
    assert_eq!(stat.lane(Lane::Logs).records + gap.records, appended);
    assert_eq!(stat.lane(Lane::Logs).quota_bytes, quota);
    assert!(stat.lane(Lane::Logs).bytes > quota / 2, "more than half of the quota is of use: {stat:?}");
    outbox.close().await.unwrap();
    // The same after a restart, and the newest records are what is left.
    let outbox = Outbox::open(dir.path(), lanes(|logs| logs.max_bytes = quota)).unwrap();
    assert_eq!(outbox.gaps().await.unwrap(), gaps);
    let records = drain(&outbox, stream, gap.to + 1).await;
    assert_eq!(records.len() as u64 + gap.records, appended);
    let first = numbered(gap.to..gap.to + 1);
    assert_eq!(records[0].payload, first[0].payload);
    outbox.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eviction_beside_a_reader_and_its_acks_loses_nothing_untold() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), lanes(|logs| logs.max_bytes = 2 << 20)).unwrap();
    let stream = current(&outbox, Lane::Logs).stream;
    let writer = outbox.clone();
    let total = 40 * 1000;
    let writing = tokio::spawn(async move {
        for first in (0..total).step_by(1000) {
            writer.append(Lane::Logs, numbered(first..first + 1000)).await.unwrap();
        }
    });
    let (mut from, mut arrived, mut lost) = (1, 0, 0);
    while from <= total {
        let (came, went) = deliver(&outbox, stream, &mut from).await;
        (arrived, lost) = (arrived + came, lost + went);
        // As a hub that has batches in flight: an ack comes late, and some of it was evicted meanwhile.
        if from > 3000 {
            ack(&outbox, stream, from - 1500).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    assert_eq!(arrived + lost, total);
    ack(&outbox, stream, total).await.unwrap();
    assert_eq!(outbox.gaps().await.unwrap(), []);
    assert_eq!(outbox.stat().await.unwrap().lane(Lane::Logs).records, 0);
    outbox.close().await.unwrap();
    assert_eq!(folders(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_single_generation_goes_when_nothing_else_can() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), lanes(|logs| logs.max_bytes = 2 << 20)).unwrap();
    let large = || vec![record(&"x".repeat(limit::RECORD_BYTES_MAX))];
    let stream = outbox.append(Lane::Logs, large()).await.unwrap().first.stream;
    let second = outbox.append(Lane::Logs, large()).await.unwrap();
    assert_eq!(folders(dir.path()).len(), 1);
    let gaps = outbox.gaps().await.unwrap();
    assert_eq!((gaps[0].from, gaps[0].to), (1, second.first.seq - 1));
    assert_eq!(drain(&outbox, stream, second.first.seq).await.len() as u64, gaps[0].to);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn nothing_goes_for_what_finds_no_room_even_then() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path(), lanes(|logs| logs.max_bytes = 2 << 20)).unwrap();
    outbox.append(Lane::Logs, numbered(0..1000)).await.unwrap();
    let large = || record(&"x".repeat(1_000_000));
    let error = outbox.append(Lane::Logs, vec![large(), large()]).await.unwrap_err();
    assert!(matches!(error, AppendError::LaneFull { .. }), "{error}");
    assert_eq!(outbox.gaps().await.unwrap(), []);
    assert_eq!(outbox.stat().await.unwrap().lane(Lane::Logs).records, 1000);
    outbox.append(Lane::Logs, vec![large()]).await.unwrap();
    outbox.close().await.unwrap();

    // An outbox that may take nothing at all keeps what it has.
    let outbox = Outbox::open(dir.path(), Options { max_bytes: Some(1), ..lanes(|_| {}) }).unwrap();
    let held = outbox.stat().await.unwrap().lane(Lane::Logs).records;
    assert!(held > 0);
    let error = outbox.append(Lane::Logs, numbered(0..1)).await.unwrap_err();
    assert!(matches!(error, AppendError::OutboxFull { .. }), "{error}");
    assert_eq!(outbox.stat().await.unwrap().lane(Lane::Logs).records, held);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn the_whole_outbox_has_a_quota_and_events_never_go_for_logs() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = lanes(|_| {});
    options.lanes.of_mut(Lane::Control).max_bytes = 8 << 20;
    // Leaves 11 MiB for events and logs.
    options.max_bytes = Some(20 << 20);
    let outbox = Outbox::open(dir.path(), options).unwrap();
    let fill = async |lane| {
        for first in (0..60_000).step_by(1000) {
            outbox.append(lane, numbered(first..first + 1000)).await?;
        }
        Ok::<(), AppendError>(())
    };
    fill(Lane::Logs).await.unwrap();
    let bulk = |dir: &Path| on_disk(dir, Lane::Events) + on_disk(dir, Lane::Logs);
    assert!(bulk(dir.path()) <= 11 << 20, "{}", bulk(dir.path()));
    fill(Lane::Events).await.unwrap();
    assert_eq!(on_disk(dir.path(), Lane::Logs), 0, "logs went first");
    let stat = outbox.stat().await.unwrap();
    assert!(stat.lane(Lane::Events).records < 60_000, "then the oldest events");
    let held = stat.lane(Lane::Events).records;
    let error = fill(Lane::Logs).await.unwrap_err();
    assert!(matches!(error, AppendError::OutboxFull { .. }), "{error}");
    assert_eq!(outbox.stat().await.unwrap().lane(Lane::Events).records, held);
    outbox.append(Lane::Control, numbered(0..1000)).await.unwrap();
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_producer_waits_in_a_lane_that_blocks_until_an_ack_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = lanes(|logs| (logs.max_bytes, logs.on_full) = (2 << 20, OnFull::Block));
    let outbox = Outbox::open(dir.path(), options).unwrap();
    let mut appends = Box::pin(async {
        for first in (0..30_000).step_by(1000) {
            outbox.append(Lane::Logs, numbered(first..first + 1000)).await.unwrap();
        }
    });
    let (mut seen, mut still, mut waits) = (0, 0, 0);
    while futures_util::poll!(&mut appends).is_pending() {
        // Whoever waits holds up neither the other lanes nor requests. A round that takes these takes logs first: where
        // none came for some rounds, the producer waits.
        outbox.append(Lane::Events, numbered(0..1)).await.unwrap();
        let state = current(&outbox, Lane::Logs);
        (seen, still) = if state.next == seen { (seen, still + 1) } else { (state.next, 0) };
        if still == 3 {
            (waits, still) = (waits + 1, 0);
            ack(&outbox, state.stream, state.next - 1).await.unwrap();
        }
    }
    drop(appends);
    assert!(waits > 0, "it never was full");
    assert_eq!(current(&outbox, Lane::Logs).next, 30_001);
    assert_eq!(outbox.gaps().await.unwrap(), [], "nothing went");
    outbox.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_waits_in_vain_hears_so_after_five_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let options = lanes(|logs| (logs.max_bytes, logs.on_full) = (2 << 20, OnFull::Block));
    let outbox = Outbox::open(dir.path(), options).unwrap();
    let began = tokio::time::Instant::now();
    let error = loop {
        if let Err(error) = outbox.append(Lane::Logs, numbered(0..1000)).await {
            break error;
        }
    };
    assert!(matches!(error, AppendError::LaneFull { lane: Lane::Logs, .. }), "{error}");
    assert_eq!(began.elapsed(), limit::BLOCK_TIMEOUT);
    let kept = current(&outbox, Lane::Logs).next - 1;
    assert_eq!(drain(&outbox, current(&outbox, Lane::Logs).stream, 1).await.len() as u64, kept);
    outbox.close().await.unwrap();
}

fn disk(capacity: u64) -> Disk {
    Disk::new(Rng::with_seed(7), capacity)
}

fn open_on(disk: &Disk, options: &Options) -> (Outbox, Inline) {
    Outbox::open_inline(Arc::new(disk.clone()), Path::new(DIR), options).unwrap()
}

fn small(max_bytes: u64) -> Options {
    let mut options = lanes(|logs| logs.max_bytes = max_bytes);
    options.lanes.of_mut(Lane::Events).max_bytes = max_bytes;
    options
}

fn put(outbox: &Outbox, store: &mut Inline, lane: Lane, count: u64) -> Result<Appended, AppendError> {
    store.wait(outbox.append(lane, numbered(0..count)))
}

fn gaps(outbox: &Outbox, store: &mut Inline) -> Vec<Gap> {
    store.wait(outbox.gaps()).unwrap()
}

#[test]
fn on_a_disk_that_others_fill_logs_make_room_for_events_and_results() {
    let disk = disk(64 << 20);
    let options = Options { min_free: Some(4 << 20), ..small(256 << 10) };
    let (outbox, mut store) = open_on(&disk, &options);
    for lane in [Lane::Events, Lane::Logs] {
        for _ in 0..10 {
            put(&outbox, &mut store, lane, 50).unwrap();
        }
    }
    assert_eq!(gaps(&outbox, &mut store), []);
    let held = |store: &Inline, lane| store.ledger().depth(lane).0;
    let used = (64 << 20) - disk.free_bytes(Path::new(DIR)).unwrap();
    // Others leave 3 MiB, less than what is to stay free.
    disk.set_others((64 << 20) - used - (3 << 20));
    disk.set_now(disk.now().after(limit::FREE_LOOK_INTERVAL));
    let free = disk.free_bytes(Path::new(DIR)).unwrap();
    for _ in 0..20 {
        put(&outbox, &mut store, Lane::Events, 50).unwrap();
        // One generation of the two lanes each may differ in size.
        let now = disk.free_bytes(Path::new(DIR)).unwrap();
        assert!(now + (64 << 10) >= free, "it takes no more than it gives back: {now} of {free}");
    }
    assert!(held(&store, Lane::Logs) < 500, "logs gave way first");
    let lost: Vec<Gap> = gaps(&outbox, &mut store);
    assert!(lost.iter().all(|gap| gap.reason == GapReason::Evicted), "{lost:?}");
    // With next to nothing left a result still fits.
    disk.set_others(disk.capacity());
    disk.set_now(disk.now().after(limit::FREE_LOOK_INTERVAL));
    put(&outbox, &mut store, Lane::Control, 3).unwrap();
    store.stop().unwrap();
}

#[test]
fn a_lane_that_refuses_leaves_the_headroom_and_takes_more_when_it_is_back() {
    let disk = disk(16 << 20);
    let mut options = Options { min_free: Some(8 << 20), ..small(256 << 10) };
    options.lanes.of_mut(Lane::Logs).on_full = OnFull::Refuse;
    let (outbox, mut store) = open_on(&disk, &options);
    put(&outbox, &mut store, Lane::Logs, 50).unwrap();
    disk.set_others(9 << 20);
    disk.set_now(disk.now().after(limit::FREE_LOOK_INTERVAL));
    let error = loop {
        if let Err(error) = put(&outbox, &mut store, Lane::Logs, 50) {
            break error;
        }
    };
    assert!(matches!(&error, AppendError::DiskFull { detail } if detail.contains("stay free")), "{error}");
    assert_eq!(gaps(&outbox, &mut store), []);
    disk.set_others(0);
    disk.set_now(disk.now().after(limit::FREE_LOOK_INTERVAL));
    put(&outbox, &mut store, Lane::Logs, 50).unwrap();
    store.stop().unwrap();
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn dated(at: u64) -> Vec<NewRecord> {
    let dated = |record| NewRecord { recorded_at: WallTime(at), ..record };
    numbered(0..50).into_iter().map(dated).collect()
}

#[test]
fn records_expire_by_hub_time_and_only_once_it_is_known() {
    let disk = disk(64 << 20);
    let mut options = small(256 << 10);
    options.lanes.of_mut(Lane::Logs).ttl = Some(7 * DAY);
    // This machine's clock is a year behind; the hub's says 2026-01-01 at the start.
    let (hub, year) = (1_767_225_600_000, 365 * 24 * 3_600_000);
    let offset = ClockOffset(i64::try_from(year).unwrap());
    let at = |day: u32| {
        disk.set_now(BootTime(DAY * day));
        let since = u64::from(day) * 24 * 3_600_000;
        (WallTime(hub - year + since), HubTime(hub + since))
    };
    let (outbox, mut store) = open_on(&disk, &options);
    let stream = outbox.durable().borrow()[Lane::Logs.index()].stream;
    for day in 0..20 {
        let records = dated(at(day).0.0);
        for lane in [Lane::Events, Lane::Logs] {
            store.wait(outbox.append(lane, records.clone())).unwrap();
        }
        store.turn();
    }
    assert_eq!(gaps(&outbox, &mut store), [], "no hub, no age");
    store.stop().unwrap();

    // Another process of this boot: it learns the time, and a week of records is left.
    let (outbox, mut store) = open_on(&disk, &options);
    store.wait(outbox.learn_time(at(20).1, offset)).unwrap();
    store.turn();
    let lost = gaps(&outbox, &mut store);
    let [gap] = lost.as_slice() else { panic!("one gap: {lost:?}") };
    assert_eq!((gap.stream, gap.from, gap.reason), (stream, 1, GapReason::Expired));
    // Days 0 to 13; a generation that holds a younger day, too, stays whole.
    assert!((600..=700).contains(&gap.to), "{gap:?}");
    assert_eq!(store.ledger().depth(Lane::Events).0, 1000, "events have no TTL");
    // It goes on by itself, and the newest generation goes, too.
    at(40);
    store.turn();
    assert_eq!(gaps(&outbox, &mut store)[0].to, 1000);
    assert_eq!(store.ledger().depth(Lane::Logs), (0, 0));
    store.stop().unwrap();
}

#[test]
fn a_wall_clock_that_jumps_expires_nothing() {
    let disk = disk(64 << 20);
    let mut options = small(256 << 10);
    options.lanes.of_mut(Lane::Logs).ttl = Some(7 * DAY);
    let (outbox, mut store) = open_on(&disk, &options);
    let hub = HubTime(1_767_225_600_000);
    store.wait(outbox.learn_time(hub, ClockOffset(0))).unwrap();
    for recorded in [1_000, hub.0 - 365 * 24 * 3_600_000, hub.0, 5 * hub.0] {
        store.wait(outbox.append(Lane::Logs, dated(recorded))).unwrap();
        disk.set_now(disk.now().after(DAY));
        store.turn();
    }
    assert_eq!(gaps(&outbox, &mut store), []);
    store.stop().unwrap();
}

fn buffered() -> Options {
    lanes(|logs| logs.durability = Durability::Buffered)
}

#[test]
fn buffered_records_are_answered_before_they_are_durable_and_read_only_after() {
    let disk = disk(64 << 20);
    let (outbox, mut store) = open_on(&disk, &buffered());
    let before = disk.steps();
    let appended = put(&outbox, &mut store, Lane::Logs, 10).unwrap();
    assert_eq!((appended.first.seq, appended.last.seq), (1, 10));
    assert_eq!(put(&outbox, &mut store, Lane::Logs, 5).unwrap().first.seq, 11, "numbers go on");
    assert_eq!(disk.steps(), before, "nothing was written");
    let stream = appended.first.stream;
    assert_eq!(store.wait(outbox.read(stream, 1, 1000)).unwrap(), None);
    assert_eq!(outbox.durable().borrow()[Lane::Logs.index()].next, 1);
    disk.set_now(disk.now().after(limit::BUFFER_DELAY));
    store.turn();
    assert_eq!(outbox.durable().borrow()[Lane::Logs.index()].next, 16);
    assert!(store.wait(outbox.read(stream, 15, 1000)).unwrap().is_some());
    // So much at once does not wait.
    let many = limit::BUFFER_BYTES as u64 / 200;
    put(&outbox, &mut store, Lane::Logs, many).unwrap();
    assert_eq!(outbox.durable().borrow()[Lane::Logs.index()].next, 16 + many);
    store.stop().unwrap();
}

#[test]
fn a_result_takes_the_buffered_output_along_and_so_does_a_stop() {
    let disk = disk(64 << 20);
    let (outbox, mut store) = open_on(&disk, &buffered());
    let stream = put(&outbox, &mut store, Lane::Logs, 10).unwrap().first.stream;
    put(&outbox, &mut store, Lane::Control, 1).unwrap();
    assert_eq!(outbox.durable().borrow()[Lane::Logs.index()].next, 11);
    put(&outbox, &mut store, Lane::Logs, 10).unwrap();
    store.stop().unwrap();
    let (outbox, mut store) = open_on(&disk, &buffered());
    put(&outbox, &mut store, Lane::Logs, 10).unwrap();
    let lost = outbox.durable().borrow()[Lane::Logs.index()].stream;
    disk.cut_power();
    drop(store);
    let (outbox, mut store) = open_on(&disk, &buffered());
    let listed = store.wait(outbox.streams()).unwrap();
    assert!(listed.contains(&StreamState { stream, first_unacked: 1, next: 21 }), "{listed:?}");
    assert!(listed.iter().all(|state| state.stream != lost), "as if it had never been: {listed:?}");
    assert_eq!(gaps(&outbox, &mut store), []);
    store.stop().unwrap();
}

#[test]
fn a_lane_whose_buffered_records_find_no_room_begins_no_epoch_under_them() {
    let dir = Path::new("/data/outbox");
    let disk = Disk::new(Rng::with_seed(7), 16 << 20);

    let (outbox, mut store) = Outbox::open_inline(Arc::new(disk.clone()), dir, &buffered()).unwrap();
    let appended = store.wait(outbox.append(Lane::Logs, numbered(0..10))).unwrap();
    let stream = appended.first.stream;
    let report = LossReport { stream, from: 1, to: 5, reason: LossReason::RolledBack };
    let roll = |store: &mut Inline| store.wait(outbox.roll_epoch(stream, report, WallTime(1)));
    disk.set_others(disk.capacity());
    let error = roll(&mut store).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert_eq!(store.ledger().current(Lane::Logs), stream, "they were numbered in this epoch");
    disk.set_others(0);
    roll(&mut store).unwrap();
    assert_ne!(store.ledger().current(Lane::Logs), stream);
    assert_eq!(store.ledger().depth(Lane::Logs).0, 10);
}
