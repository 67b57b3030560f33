//! Damage of the core beyond the first: holes in the control lane, a second time, and while the store is open.

use super::core::{filled, rows_are_sound};
use super::*;
use crate::id::JobId;
use crate::outbox::job::{Forget, REMEMBERED, ReservationChange, SpecChange, Trust};
use crate::outbox::store::core::control_key;
use crate::outbox::store::host::Host;
use crate::sim::disk::{Disk, Sickness};

/// What reading a stream from its beginning gives: numbers that came, and numbers that were declared lost.
fn read_all(store: &mut Store, stream: StreamId) -> (Vec<u64>, Vec<u64>) {
    let (mut came, mut lost) = (Vec::new(), Vec::new());
    let mut from = 1;
    while let Some(reading) = store.read(stream, from, limit::BATCH_BYTES).unwrap() {
        let next = match &reading {
            Reading::Records(batch) => from + u64::from(batch.count),
            Reading::Gap(gap) => gap.to + 1,
        };
        if matches!(reading, Reading::Gap(_)) { &mut lost } else { &mut came }.extend(from..next);
        from = next;
    }
    (came, lost)
}

#[test]
fn control_records_behind_a_lost_block_arrive_whatever_lies_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let host: Arc<dyn Host> = Arc::new(System);
    let mut streams = Vec::new();
    // The first block of all, one with an older epoch before it, and one in the middle.
    for (epoch, hole) in [1, 1, 4].into_iter().enumerate() {
        let mut store = store(&host, dir.path());
        let stream = store.ledger.current(Lane::Control);
        for number in 0..6 {
            let encoded = admit::encode(Lane::Control, numbered(number..number + 1)).unwrap();
            store.append_encoded(Lane::Control, &encoded).unwrap();
        }
        store.core.as_mut().unwrap().remove(&control_key(stream, hole));
        store.commit_core(None).unwrap();
        streams.push((stream, hole));
        for (stream, hole) in &streams {
            let (came, lost) = read_all(&mut store, *stream);
            assert_eq!(lost, [*hole], "{epoch}: {stream}");
            assert_eq!(came.len(), 5, "{epoch}: {stream}");
        }
        store.stop().unwrap();
    }
}

/// Spoils every copy of a row.
fn spoil(file: &Path, key: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(key)).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_core_that_was_damaged_twice_is_whole_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let db = dir.path().join("core/db");
    let is_told = |report: &LossReport| report.reason == LossReason::CoreLost;
    for round in 1..=2 {
        spoil(&db, format!("k/name {round}").as_bytes());
        let outbox = open(dir.path());
        let reports = drain_all(&outbox, &[]).await.reports;
        assert!(reports.iter().any(is_told), "{round}");
        let streams = outbox.streams().await.unwrap();
        for state in streams {
            ack(&outbox, state.stream, state.next - 1).await.unwrap();
        }
        for number in 0..20 {
            outbox.put(&format!("name {number}"), vec![number; 300].into()).await.unwrap();
        }
        outbox.close().await.unwrap();
    }
    let outbox = open(dir.path());
    let reports = drain_all(&outbox, &[]).await.reports;
    assert!(reports.is_empty(), "nothing is damaged any more: {reports:?}");
    rows_are_sound(&outbox).await;
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn jobs_that_may_be_missing_stay_doubted_until_that_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    spoil(&dir.path().join("core/db"), b"k/name 1");
    let change = |number: u8, forget| JobChange {
        job: JobId::from_bytes([number; 16]),
        row: Bytes::from_static(b"finished"),
        spec: SpecChange::Keep,
        reservation: ReservationChange::Keep,
        forget,
        records: Vec::new(),
    };
    let forget =
        Forget { jobs: vec![JobId::from_bytes([3; 16])], remembered: Bytes::from_static(b"until 3") };
    let outbox = open(dir.path());
    outbox.change_job(change(50, Some(forget.clone()))).await.unwrap();
    outbox.close().await.unwrap();
    let outbox = open(dir.path());
    let rows = outbox.jobs().await.unwrap();
    assert_eq!((rows.trust, rows.jobs.len(), rows.remembered), (Trust::Doubtful, 21, None));
    outbox.put(REMEMBERED, Bytes::from_static(b"until now")).await.unwrap();
    outbox.change_job(change(51, Some(forget))).await.unwrap();
    let rows = outbox.jobs().await.unwrap();
    assert_eq!((rows.trust, rows.jobs.len()), (Trust::Certain, 21));
    outbox.close().await.unwrap();
}

/// Where the machine cannot read a row of the core, or reads something else.
fn damaged_while_open(sickness: Sickness) {
    let dir = Path::new("/data/outbox");
    let disk = Disk::new(fastrand::Rng::with_seed(7), 64 << 20);
    let mut rng = fastrand::Rng::with_seed(3);
    let (mut lost_any, mut degraded) = (0, 0);
    for seed in 0..40 {
        let disk = disk.copy();
        let host: Arc<dyn Host> = Arc::new(disk.clone());
        let mut store = store(&host, dir);
        let stream = store.ledger.current(Lane::Control);
        for number in 0..20 {
            let encoded = admit::encode(Lane::Control, numbered(number..number + 1)).unwrap();
            store.append_encoded(Lane::Control, &encoded).unwrap();
        }
        store.ack(&[StreamMark { stream, acked: 3, acked_crc: 0 }]).unwrap();
        assert!(disk.damage_database(&mut rng, sickness, |path| path.ends_with("/core")).is_some());

        let (mut from, mut lost) = (4, 0);
        while from <= 20 {
            match store.read(stream, from, limit::BATCH_BYTES).unwrap().expect("more is there") {
                Reading::Records(batch) => {
                    let records = batch::decode(&batch.batch, batch.count).unwrap();
                    for (seq, record) in (from..).zip(records).take_while(|(seq, _)| *seq <= 20) {
                        assert_eq!(record.payload, numbered(seq - 1..seq)[0].payload, "{seed}");
                    }
                    from += u64::from(batch.count);
                }
                Reading::Gap(gap) => {
                    lost += gap.records;
                    from = gap.to + 1;
                }
            }
        }
        assert!(lost <= 1, "{seed}: one row was hit: {lost}");
        lost_any += lost;
        assert_eq!(store.poisoned, None, "{seed}");
        let encoded = admit::encode(Lane::Control, numbered(0..1)).unwrap();
        if let Err(error) = store.append_encoded(Lane::Control, &encoded) {
            // A commit met the row: nothing was written, and a restart helps.
            assert!(matches!(error, StoreError::Degraded { .. }), "{seed}: {error}");
            assert_eq!(sickness, Sickness::Unreadable);
            drop(store);
            disk.kill();
            self::store(&host, dir).append_encoded(Lane::Control, &encoded).unwrap();
            degraded += 1;
            continue;
        }
        let next = store.ledger.next(Lane::Control);
        store.put("name", b"value").unwrap();
        drop(store);
        disk.kill();
        let mut store = self::store(&host, dir);
        assert_eq!(store.get("name").unwrap().as_deref(), Some(b"value".as_slice()), "{seed}");
        assert_eq!(store.ledger.stream(stream).unwrap().next, next, "{seed}: what was numbered stays so");
    }
    assert!(lost_any > 5 && degraded < 10, "the damage was real: {lost_any} {degraded}");
}

#[test]
fn a_row_of_the_core_that_is_damaged_while_it_is_open_costs_that_row_only() {
    damaged_while_open(Sickness::None);
}

#[test]
fn a_row_of_the_core_that_cannot_be_read_while_it_is_open_costs_that_row_only() {
    damaged_while_open(Sickness::Unreadable);
}
