//! Everything read again: sound folders are sound, damage is found and left as it is.

use std::fs;

use super::damage::Damage;
use super::*;
use crate::outbox::{Problem, Verified};

async fn verify(outbox: &Outbox) -> Verified {
    let mut all = Verified::default();
    for part in outbox.verifiable().await.unwrap() {
        let found = outbox.verify(part).await.unwrap();
        all.blocks += found.blocks;
        all.records += found.records;
        all.problems.extend(found.problems);
    }
    all
}

async fn filled(dir: &Path, options: Options) -> (Outbox, StreamId) {
    let outbox = Outbox::open(dir, options).unwrap();
    for _ in 0..4 {
        outbox.append(Lane::Logs, numbered(0..2000)).await.unwrap();
    }
    outbox.append(Lane::Control, numbered(0..5)).await.unwrap();
    let logs = outbox.append(Lane::Events, numbered(0..7)).await.map(|_| current(&outbox, Lane::Logs).stream);
    (outbox, logs.unwrap())
}

fn small() -> Options {
    logs_quota(4 << 20)
}

#[tokio::test]
async fn a_sound_folder_is_sound_also_while_it_is_written_and_partly_acked() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, logs) = filled(dir.path(), small()).await;
    let found = verify(&outbox).await;
    assert_eq!((found.records, found.problems), (8012, Vec::new()));
    ack(&outbox, logs, 3000).await.unwrap();
    let found = verify(&outbox).await;
    assert!(found.records < 5200 && found.problems.is_empty(), "{} {:?}", found.records, found.problems);
    outbox.close().await.unwrap();
    let outbox = Outbox::open(dir.path(), small()).unwrap();
    assert_eq!(verify(&outbox).await.problems, []);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn damage_is_named_and_nothing_is_changed_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, logs) = filled(dir.path(), small()).await;
    let generation = folders(dir.path()).into_iter().filter(|name| name.starts_with("logs-")).min().unwrap();
    let file = dir.path().join(&generation).join("db");
    Damage::Zero.apply(&file, usize::try_from(fs::metadata(&file).unwrap().len()).unwrap() / 2);
    let damaged = fs::read(&file).unwrap();
    let found = verify(&outbox).await;
    let [Problem { lane, epoch, from, to, .. }] = found.problems.as_slice() else { panic!("{found:?}") };
    assert_eq!((lane.as_str(), epoch.as_str()), ("logs", logs.epoch.to_string().as_str()));
    assert!(*from > 1 && to >= from && *to < 8000, "{from} {to}");
    assert_eq!(found.records + (to - from + 1), 8012);
    assert_eq!(verify(&outbox).await, found, "looking twice finds the same");
    assert!(fs::read(&file).unwrap() == damaged && dir.path().join(&generation).exists());
    assert_eq!(outbox.gaps().await.unwrap(), [], "nothing is declared for it");
    // Once reading has declared it, it is no news any more.
    let mut position = 1;
    while let Some(reading) = outbox.read(logs, position, limit::BATCH_BYTES).await.unwrap() {
        position = match reading {
            Reading::Records(batch) => position + u64::from(batch.count),
            Reading::Gap(gap) => gap.to + 1,
        };
    }
    assert_eq!(verify(&outbox).await.problems, []);
    outbox.close().await.unwrap();
}

#[tokio::test]
async fn a_generation_that_is_gone_is_a_problem_and_one_that_was_acked_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (outbox, logs) = filled(dir.path(), small()).await;
    let parts = outbox.verifiable().await.unwrap();
    ack(&outbox, logs, 7999).await.unwrap();
    for part in parts {
        assert_eq!(outbox.verify(part).await.unwrap().problems, [], "acked since it was listed");
    }
    let left = folders(dir.path()).into_iter().find(|name| name.starts_with("logs-")).unwrap();
    fs::remove_dir_all(dir.path().join(left)).unwrap();
    let found = verify(&outbox).await;
    assert!(
        matches!(found.problems.as_slice(), [Problem { from: 8000, to: 8000, .. }]),
        "{:?}",
        found.problems
    );
}
