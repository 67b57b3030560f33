//! Generations on disk: rotated and removed.

use std::time::Duration;

use super::*;
use crate::outbox::name::GenerationName;

#[tokio::test]
async fn generations_rotate_and_give_their_disk_back() {
    let dir = tempfile::tempdir().unwrap();
    let options = logs_quota(4 << 20);
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

#[test]
fn a_drained_newest_generation_goes_when_it_has_been_idle_long_enough() {
    let dir = tempfile::tempdir().unwrap();
    let mut store =
        Store::open(Arc::new(System), dir.path().to_owned(), &Options::default(), Arc::new(Watch::new()))
            .unwrap();
    for lane in [Lane::Events, Lane::Logs] {
        let stream = store.ledger.current(lane);
        write(&mut store, lane, numbered(0..10));
        store.ack(&[StreamMark { stream, acked: 9, acked_crc: 0 }]).unwrap();
        assert_eq!(*store.drained_since.of(lane), None, "one record is left");
        store.ack(&[StreamMark { stream, acked: 10, acked_crc: 0 }]).unwrap();
        let since = store.drained_since.of(lane).unwrap();
        let early = since.after(limit::GENERATION_IDLE - Duration::from_millis(1));
        store.tend(early);
        assert_eq!(folders(dir.path()).len(), 1);

        // New records begin the wait anew.
        write(&mut store, lane, numbered(0..1));
        store.tend(since.after(limit::GENERATION_IDLE));
        assert_eq!(folders(dir.path()).len(), 1);
        store.ack(&[StreamMark { stream, acked: 11, acked_crc: 0 }]).unwrap();
        let since = store.drained_since.of(lane).unwrap();
        store.tend(since.after(limit::GENERATION_IDLE));
        assert_eq!(folders(dir.path()), Vec::<String>::new());
        assert_eq!(store.ledger.disk_bytes(lane), 0);

        // Numbers go on in a new one.
        write(&mut store, lane, numbered(0..1));
        assert_eq!(folders(dir.path()), [GenerationName { stream, first: 12 }.to_string()]);
        let read = store.read(stream, 12, limit::BATCH_BYTES).unwrap();
        assert!(matches!(read, Some(Reading::Records(Batch { first: 12, count: 1, .. }))), "{read:?}");
        store.ack(&[StreamMark { stream, acked: 12, acked_crc: 0 }]).unwrap();
        let since = store.drained_since.of(lane).unwrap();
        store.tend(since.after(limit::GENERATION_IDLE));
    }
}

/// Appends without the inbox and its thread.
fn write(store: &mut Store, lane: Lane, records: Vec<NewRecord>) {
    let encoded = admit::encode(lane, records).unwrap();
    let (stream, first) = (store.ledger.current(lane), store.ledger.next(lane));
    store.commit_units(stream, first, encoded.iter(), encoded.bytes.len() as u64).unwrap();
}
