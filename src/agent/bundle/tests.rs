//! Export and acks on an outbox, without a hub.

use bytes::Bytes;

use super::*;
use crate::agent::identity::Identity;
use crate::agent::state::State;
use crate::id::{AgentId, BundleId, HubId, Lane};
use crate::outbox::bundle::{Acks, Event, Reader};
use crate::outbox::{NewRecord, Options, Outbox};
use crate::time::WallTime;
use crate::wire::batch;
use crate::wire::entry::Entry;
use crate::wire::key::{AgentKey, KeyFile};
use crate::wire::message::{Gap, GapReason, RecordKind, StreamMark};

fn identity() -> Identity {
    let key = KeyFile {
        hub_id: HubId::from_bytes([1; 16]),
        agent_id: AgentId::from_bytes([2; 16]),
        key_id: "k1".parse().unwrap(),
        key: AgentKey::new([3; 32]),
    };
    Identity { key, previous: None, signing: None }
}

fn record(number: u64) -> NewRecord {
    NewRecord {
        recorded_at: WallTime(1),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload: format!("record {number}").into(),
        app: None,
    }
}

fn crc(number: u64) -> u32 {
    batch::record_crc(number, format!("record {number}").as_bytes())
}

/// An outbox with records 1 to `count` in logs.
async fn filled(dir: &std::path::Path, count: u64) -> (Outbox, StreamId) {
    let outbox = Outbox::open(dir, Options::default()).unwrap();
    let appended = outbox.append(Lane::Logs, (1..=count).map(record).collect()).await.unwrap();
    (outbox, appended.first.stream)
}

fn acks(marks: Vec<StreamMark>) -> Vec<u8> {
    let KeyFile { hub_id, agent_id, key_id, key } = identity().key;
    Acks { hub_id, agent_id, bundle: BundleId::from_bytes([7; 16]), key_id, marks }.encode(&key.mac_root())
}

async fn begin(outbox: &Outbox) -> Export {
    let id = BundleId::from_bytes([7; 16]);
    Export::begin(outbox, &State::default(), identity(), id).await.unwrap().1.unwrap()
}

/// The whole bundle, as a hub reads it.
async fn exported(outbox: &Outbox) -> Vec<Entry> {
    let mut export = begin(outbox).await;
    let mut bytes = Vec::new();
    while let Some(piece) = export.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(export.exported().bytes, bytes.len() as u64);
    let (mut reader, mut rest, mut entries) = (Reader::default(), Bytes::from(bytes), Vec::new());
    loop {
        match reader.take(rest.split_to(reader.want())).unwrap() {
            Some(Event::Header(_)) => reader.unlock(&identity().key.key.mac_root(), None).unwrap(),
            Some(Event::Chunk(chunk)) => entries.extend(chunk),
            Some(Event::End) => break,
            None => {}
        }
    }
    assert!(rest.is_empty());
    entries
}

#[tokio::test]
async fn a_bundle_holds_every_unacked_record_and_every_gap_once() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, stream) = filled(dir.path(), 1000).await;
    outbox.ack(vec![StreamMark { stream, acked: 10, acked_crc: crc(10) }]).await.unwrap();
    // The hub was restored: it has to be told of what it lost.
    let lost = Gap { stream, from: 4, to: 10, reason: GapReason::HubLost, records: 7, bytes: 0 };
    outbox.add_gap(lost).await.unwrap();
    let entries = exported(&outbox).await;
    assert_eq!(entries.first(), Some(&Entry::Gap(lost)));
    let mut next = 11;
    for entry in entries.iter().skip(1) {
        let Entry::Records(records) = entry else { panic!("{entry:?}") };
        assert_eq!((records.stream, records.first), (stream, next));
        for record in batch::decode(&records.batch, records.count).unwrap() {
            assert_eq!(record.payload, format!("record {next}"));
            next += 1;
        }
    }
    assert_eq!(next, 1001);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn records_that_are_acked_under_an_export_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, stream) = filled(dir.path(), 100).await;
    outbox.close().await.unwrap();
    // In an older epoch now, so that a generation goes as soon as it is acked.
    let outbox = Outbox::open(dir.path(), Options::default()).unwrap();
    let mut export = begin(&outbox).await;
    export.next().await.unwrap();
    outbox.ack(vec![StreamMark { stream, acked: 100, acked_crc: crc(100) }]).await.unwrap();
    let error = export.next().await.unwrap_err();
    assert!(matches!(error, BundleFailure::Gone(id) if id.seq == 1), "{error}");
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn acks_are_taken_once_and_an_old_file_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, stream) = filled(dir.path(), 100).await;
    let mark = |acked| StreamMark { stream, acked, acked_crc: crc(acked) };
    assert_eq!(ack(&outbox, &identity(), &acks(vec![mark(60)])).await.unwrap().records, 60);
    assert_eq!(ack(&outbox, &identity(), &acks(vec![mark(60)])).await.unwrap().records, 0);
    assert_eq!(ack(&outbox, &identity(), &acks(vec![mark(30)])).await.unwrap().records, 0);
    assert_eq!(outbox.cursor(stream).await.unwrap(), mark(60));
    assert_eq!(ack(&outbox, &identity(), &acks(vec![mark(100)])).await.unwrap().records, 40);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn acks_that_cannot_be_are_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, stream) = filled(dir.path(), 100).await;
    let event = outbox.append(Lane::Events, vec![record(1)]).await.unwrap().first.stream;
    let sound = StreamMark { stream: event, acked: 1, acked_crc: crc(1) };
    let beyond = StreamMark { stream, acked: 101, acked_crc: 0 };
    let other = StreamMark { stream, acked: 50, acked_crc: crc(51) };
    for wrong in [beyond, other] {
        let error = ack(&outbox, &identity(), &acks(vec![sound, wrong])).await.unwrap_err();
        assert!(matches!(error, BundleFailure::RolledBack { last: 100, .. }), "{error}");
        assert_eq!(outbox.cursor(event).await.unwrap().acked, 0, "nothing of the file was taken");
    }
    let file = acks(vec![sound]);
    let mut forged = file.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    for bytes in [&forged, &file[..last]] {
        let error = ack(&outbox, &identity(), bytes).await.unwrap_err();
        assert!(matches!(error, BundleFailure::Acks(_)), "{error}");
    }
    assert_eq!(outbox.cursor(event).await.unwrap().acked, 0);
    outbox.close().await.unwrap();
}
