//! The machine itself, and the store on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

use crate::id::Lane;
use crate::limit;
use crate::outbox::store::host::{Fault, Host, Tree};
use crate::outbox::store::inline::Inline;
use crate::outbox::{AppendError, NewRecord, Options, Outbox};
use crate::time::{BootTime, WallTime};
use crate::wire::message::{RecordKind, StreamMark};

use super::*;

const DIR: &str = "/data/outbox";

fn disk(seed: u64) -> Disk {
    Disk::new(Rng::with_seed(seed), 64 << 20)
}

fn open(disk: &Disk) -> (Outbox, Inline) {
    Outbox::open_inline(Arc::new(disk.clone()), Path::new(DIR), &Options::default()).unwrap()
}

fn record(text: &str) -> NewRecord {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    NewRecord {
        recorded_at: WallTime(1),
        source: "test".to_owned(),
        kind: RecordKind::Opaque,
        payload,
        app: None,
    }
}

fn unacked(store: &Inline, lane: Lane) -> u64 {
    store.ledger().depth(lane).0
}

#[test]
fn what_was_committed_outlives_the_power_and_of_the_rest_only_the_beginning() {
    for seed in 0..200 {
        let disk = disk(seed);
        let dir = Path::new("/data/base");
        disk.make_folder(dir).unwrap();
        let mut database = disk.open_database(dir).unwrap();
        for number in 0..10u8 {
            database.insert(Tree::Main, &[number], &[number]).unwrap();
            if number == 4 {
                database.commit().unwrap();
            }
        }
        disk.cut_power();
        assert!(database.insert(Tree::Main, &[99], &[]).is_err(), "an earlier process");
        drop(database);
        let mut database = disk.open_database(dir).unwrap();
        let mut found = Vec::new();
        let mut visit = |key: &[u8], _: &[u8]| {
            found.push(key[0]);
            crate::outbox::store::host::Scan::Next
        };
        database.scan(Tree::Main, &[], &mut visit).unwrap();
        assert!((5..=10).contains(&found.len()), "{found:?}");
        assert!(found.iter().zip(0..).all(|(key, number)| *key == number), "{found:?}");
    }
}

#[test]
fn a_name_is_durable_once_its_folder_is_synced() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..100 {
        let disk = disk(seed);
        let folder = Path::new("/data");
        disk.make_folder(folder).unwrap();
        disk.create_folder(&folder.join("new-a")).unwrap();
        disk.rename(&folder.join("new-a"), &folder.join("a")).unwrap();
        disk.sync_folder(folder).unwrap();
        disk.create_folder(&folder.join("b")).unwrap();
        disk.cut_power();
        assert!(disk.exists(&folder.join("a")));
        assert!(!disk.exists(&folder.join("new-a")));
        if disk.exists(&folder.join("b")) { kept += 1 } else { lost += 1 }
    }
    assert!(kept > 10 && lost > 10, "{kept} kept, {lost} lost");
}

#[test]
fn a_full_disk_refuses_the_commit_and_may_keep_what_it_refused() {
    let (mut ghosts, mut none) = (0, 0);
    for seed in 0..50 {
        let disk = disk(seed);
        let dir = Path::new("/data/base");
        disk.make_folder(dir).unwrap();
        let mut database = disk.open_database(dir).unwrap();
        disk.set_others(disk.capacity());
        database.insert(Tree::Main, b"refused", b"1").unwrap();
        assert!(matches!(database.commit(), Err(Fault::Full(_))));
        disk.set_others(0);
        assert!(matches!(database.commit(), Err(Fault::Full(_))), "until it is opened again");
        drop(database);
        let mut database = disk.open_database(dir).unwrap();
        if database.get(Tree::Main, b"refused").unwrap().is_some() { ghosts += 1 } else { none += 1 }
    }
    assert!(ghosts > 5 && none > 5, "{ghosts} ghosts, {none} without");
}

#[test]
fn raw_bytes_hold_what_was_overwritten() {
    let disk = disk(1);
    let dir = Path::new("/data/base");
    disk.make_folder(dir).unwrap();
    let mut database = disk.open_database(dir).unwrap();
    database.insert(Tree::Main, b"key", b"before").unwrap();
    database.insert(Tree::Main, b"key", b"after").unwrap();
    let mut raw = vec![0; 1000];
    let read = disk.read_at(&dir.join("db"), 0, &mut raw).unwrap();
    assert_eq!(read as u64, disk.length(&dir.join("db")).unwrap());
    for text in [b"before".as_slice(), b"after"] {
        assert!(raw.windows(text.len()).any(|window| window == text));
    }
}

#[test]
fn the_store_keeps_what_it_reported_over_a_power_cut_at_any_step() {
    for seed in 0..300u64 {
        let disk = disk(seed);
        disk.stop_after(seed);
        let opened = Outbox::open_inline(Arc::new(disk.clone()), Path::new(DIR), &Options::default());
        let mut reported = 0;
        if let Ok((outbox, mut store)) = opened {
            for number in 0..10 {
                let lane = Lane::ALL[number % 3];
                let records = vec![record(&format!("{number}")), record("x")];
                if store.wait(outbox.append(lane, records)).is_ok() && !disk.is_stopped() {
                    reported += 2;
                }
            }
        }
        disk.cut_power();
        let (_outbox, store) = open(&disk);
        let found: u64 = Lane::ALL.into_iter().map(|lane| unacked(&store, lane)).sum();
        assert!(found >= reported, "seed {seed}: {found} found, {reported} reported");
    }
}

#[test]
fn a_drained_outbox_leaves_no_generation() {
    let disk = disk(1);
    let (outbox, mut store) = open(&disk);
    let last = store.wait(outbox.append(Lane::Logs, vec![record("1")])).unwrap().last;
    let mark = StreamMark { stream: last.stream, acked: last.seq, acked_crc: 0 };
    store.wait(outbox.ack(vec![mark])).unwrap();
    assert!(disk.list(Path::new(DIR)).unwrap().iter().any(|name| name.starts_with("logs-")));
    disk.set_now(BootTime(limit::GENERATION_IDLE + Duration::from_secs(1)));
    store.turn();
    assert!(!disk.list(Path::new(DIR)).unwrap().iter().any(|name| name.starts_with("logs-")));
    store.stop().unwrap();
}

#[test]
fn a_failed_sync_is_an_error_of_the_append() {
    let disk = disk(1);
    let (outbox, mut store) = open(&disk);
    store.wait(outbox.append(Lane::Events, vec![record("1")])).unwrap();
    disk.fail_sync(Some(0));
    let error = store.wait(outbox.append(Lane::Events, vec![record("2")])).unwrap_err();
    assert!(matches!(error, AppendError::Degraded { .. }), "{error}");
    assert!(store.poisoned().is_some());
}
