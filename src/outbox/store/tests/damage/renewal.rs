//! A core that is written anew, and a machine that stops on the way.

use super::*;
use crate::outbox::store::host::Host;
use crate::sim::disk::Disk;

/// Every small value is there as it was put.
fn assert_values(store: &mut Store, what: &str) {
    for number in 0..30u8 {
        let value = store.get(&format!("name {number}")).unwrap();
        assert_eq!(value.as_deref(), Some([number; 100].as_slice()), "{what}: {number}");
    }
}

#[test]
fn a_machine_that_stops_anywhere_while_the_core_is_written_anew_loses_nothing_of_it() {
    let dir = Path::new("/data/outbox");
    let disk = Disk::new(fastrand::Rng::with_seed(7), 64 << 20);
    let host: Arc<dyn Host> = Arc::new(disk.clone());
    let mut filled = store(&host, dir);
    for number in 0..30u8 {
        filled.put(&format!("name {number}"), &[9; 100]).unwrap();
        filled.put(&format!("name {number}"), &[number; 100]).unwrap();
    }
    drop(filled);
    let (mut finished, mut stopped) = (0, 0);
    for steps in 0..80 {
        let disk = disk.copy();
        let host: Arc<dyn Host> = Arc::new(disk.clone());
        let mut renewed = store(&host, dir);
        disk.stop_after(steps);
        let result = renewed.core.as_mut().unwrap().renew(&*host, dir);
        match result {
            Ok(()) => {
                finished += 1;
                disk.calm();
                assert_values(&mut renewed, "renewed");
                renewed.put("name 0", &[0; 100]).unwrap();
            }
            Err(_) => stopped += 1,
        }
        drop(renewed);
        disk.cut_power();
        let mut found = store(&host, dir);
        assert_values(&mut found, &format!("stopped after {steps} steps"));
        let names = host.list(dir).unwrap();
        assert!(names.iter().all(|name| !name.contains("core") || name == "core"), "{steps}: {names:?}");
        let states = found.ledger.states();
        assert!(states.iter().all(|state| state.next == 1), "{steps}: nothing was reported lost: {states:?}");
    }
    assert!(stopped > 8 && finished > 8, "{stopped} {finished}");
}

#[test]
fn a_core_that_was_not_finished_gives_way_to_the_one_before() {
    let dir = Path::new("/data/outbox");
    let disk = Disk::new(fastrand::Rng::with_seed(7), 64 << 20);
    let host: Arc<dyn Host> = Arc::new(disk.clone());
    let mut filled = store(&host, dir);
    for number in 0..30u8 {
        filled.put(&format!("name {number}"), &[number; 100]).unwrap();
    }
    drop(filled);
    // Another outbox's core stands for one that holds only some of the rows.
    let other = Path::new("/data/other");
    disk.kill();
    let mut half = store(&host, other);
    half.put("name 0", &[0; 100]).unwrap();
    drop(half);
    disk.kill();
    host.rename(&dir.join("core"), &dir.join("dead-core")).unwrap();
    host.rename(&other.join("core"), &dir.join("core.new")).unwrap();
    host.sync_folder(dir).unwrap();
    let mut found = store(&host, dir);
    assert_values(&mut found, "the one before");
    assert!(!host.exists(&dir.join("core.new")) && !host.exists(&dir.join("dead-core")));
}

#[test]
fn a_core_full_of_what_was_acked_gives_its_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let host: Arc<dyn Host> = Arc::new(System);
    let mut store = store(&host, dir.path());
    for number in 0..30u8 {
        store.put(&format!("name {number}"), &[number; 100]).unwrap();
    }
    let stream = store.ledger.current(Lane::Control);
    for _ in 0..18 {
        let encoded = admit::encode(Lane::Control, vec![record(&"x".repeat(1000 * 1000))]).unwrap();
        store.append_encoded(Lane::Control, &encoded).unwrap();
    }
    let acked = store.ledger.next(Lane::Control) - 1;
    store.tend(host.now());
    let length = |store: &Store| store.core.as_ref().unwrap().length().unwrap();
    assert!(length(&store) > limit::CORE_BYTES_LIVELY, "it holds what is not acked");
    store.ack(&[StreamMark { stream, acked, acked_crc: 0 }]).unwrap();
    store.put("name 0", &[0; 100]).unwrap();
    let began = host.now();
    store.tend(began);
    println!("written anew in {:?}", host.now().since(began));
    assert!(length(&store) < limit::CORE_BYTES_LIVELY / 4, "{}", length(&store));
    assert_values(&mut store, "renewed");
    assert_eq!(store.ledger.mark(stream).acked, acked);
    drop(store);
    let mut store = self::store(&host, dir.path());
    assert_values(&mut store, "opened again");
    assert_eq!(store.ledger.depth(Lane::Control).0, 0);
}

#[test]
fn a_full_control_lane_opens_with_each_byte_read_a_few_times() {
    let dir = tempfile::tempdir().unwrap();
    let host: Arc<dyn Host> = Arc::new(System);
    let mut filled = store(&host, dir.path());
    for _ in 0..60 {
        let encoded = admit::encode(Lane::Control, vec![record(&"x".repeat(1000 * 1000))]).unwrap();
        filled.append_encoded(Lane::Control, &encoded).unwrap();
    }
    drop(filled);
    let before = bytes_read();
    let opened = store(&host, dir.path());
    let (read, length) = (bytes_read() - before, opened.core.as_ref().unwrap().length().unwrap());
    println!("{length} bytes of core open with {read} bytes read");
    assert!(
        read > 0 && read < 4 * length,
        "{read} bytes were read to open {length}: not each again and again"
    );
}
