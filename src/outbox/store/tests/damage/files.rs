//! The plain files, whole generations that are gone, and damage while the outbox is open.

use super::*;
use crate::outbox::RangeState;

#[tokio::test]
async fn the_plain_files_may_say_anything() {
    let base = tempfile::tempdir().unwrap();
    let streams = super::filled(base.path()).await;
    for name in ["LOCK", "BALLAST", "FORMAT", "mark"] {
        let length = length_of(&base.path().join(name));
        for place in 0..4 {
            for damage in Damage::ALL {
                let dir = tempfile::tempdir().unwrap();
                copy(base.path(), dir.path());
                damage.apply(&dir.path().join(name), length * place / 4);
                let drained = open_twice(dir.path(), &streams).await;
                assert!(drained.lost.is_empty(), "{name} {damage:?} {place}: {:?}", drained.lost);
                assert_eq!(drained.reports, [], "{name} {damage:?} {place}");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        copy(base.path(), dir.path());
        fs::remove_file(dir.path().join(name)).unwrap();
        let drained = open_twice(dir.path(), &streams).await;
        assert!(drained.lost.is_empty() && drained.reports.is_empty(), "{name} is gone");
    }
}

#[tokio::test]
async fn a_generation_that_vanished_is_a_gap_between_its_neighbours() {
    let base = tempfile::tempdir().unwrap();
    let streams = super::filled(base.path()).await;
    let files = generation_files(base.path());
    let logs: Vec<GenerationName> =
        files.iter().map(|(_, name)| *name).filter(|name| name.stream.lane == Lane::Logs).collect();
    for (index, name) in logs.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        copy(base.path(), dir.path());
        fs::remove_dir_all(dir.path().join(name.to_string())).unwrap();
        let drained = open_twice(dir.path(), &streams).await;
        let end = logs.get(index + 1).map_or(RECORDS + 1, |after| after.first);
        let lost = &drained.lost[&name.stream];
        assert!(*lost == (name.first..end).collect(), "{name}: {} of {}", lost.len(), end - name.first);
        assert_eq!(drained.lost.len(), 1);
    }
}

#[tokio::test]
async fn what_is_set_aside_is_shown_served_and_removed_when_it_is_acked() {
    let dir = tempfile::tempdir().unwrap();
    let streams = super::filled(dir.path()).await;
    let (file, name) = generation_files(dir.path()).remove(1);
    let place = copies(&dir.path().join(&file), name.stream).remove(&name.first).unwrap();
    for copy in place.1 {
        Damage::Flip.apply(&dir.path().join(&file), copy.start + 60);
    }
    let outbox = open(dir.path());
    let drained = drain_all(&outbox, &streams).await;
    assert!(drained.lost[&name.stream] == (name.first..place.0).collect());
    assert!(dir.path().join(format!("quarantine-{name}")).exists());
    assert!(!dir.path().join(name.to_string()).exists());
    let ranges = outbox.ranges().await.unwrap();
    let aside: Vec<_> = ranges.iter().filter(|range| range.state == RangeState::Quarantine).collect();
    assert_eq!(aside.len(), 1, "{ranges:?}");
    assert_eq!(aside[0].first, place.0, "what is lost is no range");
    ack(&outbox, name.stream, aside[0].last).await.unwrap();
    assert!(!dir.path().join(format!("quarantine-{name}")).exists());
    assert!(outbox.gaps().await.unwrap().is_empty());
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn damage_under_an_open_outbox_is_found_at_the_next_reading() {
    let dir = tempfile::tempdir().unwrap();
    let streams = super::filled(dir.path()).await;
    let outbox = open(dir.path());
    let (file, name) = generation_files(dir.path()).remove(0);
    let whole = drain_all(&outbox, &streams).await;
    assert!(whole.lost.is_empty());
    // The reader stands in another generation now; this one is scanned anew.
    Damage::Zero.apply(&dir.path().join(file), 20_000);
    let drained = drain_all(&outbox, &streams).await;
    let lost = &drained.lost[&name.stream];
    assert!(!lost.is_empty() && lost.len() < 200, "{}", lost.len());
    assert_eq!(drained.reports.len(), 1);
    assert!(!outbox.stat().await.unwrap().degraded);
    outbox.close().await.unwrap();
}
