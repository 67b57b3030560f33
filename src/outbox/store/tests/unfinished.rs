//! What a crash leaves that was on its way to a commit: none of it counts.

use super::*;
use crate::outbox::admit::Encoded;
use crate::outbox::block::Packer;
use crate::outbox::name::GenerationName;
use crate::outbox::store::core::{self, Core};
use crate::outbox::store::generation::{self, Generation};
use crate::outbox::store::host::{Host as _, Tree};
use crate::outbox::store::mark::Mark;

/// A record of five parts, and how many units of it are written.
fn parts(lane: Lane) -> Encoded {
    let bytes = 4 * admit::part_bytes_max(lane) + 1;
    let encoded = admit::encode(lane, vec![record(&"x".repeat(bytes))]).unwrap();
    assert_eq!(encoded.units.len(), 5);
    encoded
}

/// Writes units as a committer does that ends before the mark moves and anybody is answered.
fn write(dir: &Path, stream: StreamId, first: u64, begin: Begin, encoded: &Encoded, units: usize) {
    let mut packer = Packer::new(stream, first, None);
    let mut blocks: Vec<_> =
        encoded.iter().take(units).filter_map(|(unit, at_ms)| packer.push(unit, at_ms)).collect();
    blocks.extend(packer.finish());
    if stream.lane == Lane::Control {
        let mut core = Core::open(&System, dir, 0, None).unwrap();
        for (header, value) in &blocks {
            core.put(&core::control_key(stream, header.first), value);
        }
        core.commit(core::Need::Ordinary).unwrap();
        return core.close().unwrap();
    }
    if begin == Begin::Newest {
        let newest = dir.join(GenerationName { stream, first: 1 }.to_string());
        let mut database = System.open_database(&newest).unwrap();
        for (header, value) in &blocks {
            let key = generation::key(stream, header.first);
            database.insert(Tree::Numbered(header.first), &key, value).unwrap();
        }
        database.commit().unwrap();
        return database.close().unwrap();
    }
    let name = GenerationName { stream, first };
    let mut generation = Generation::create(&System, dir, name, 1 << 20).unwrap();
    for (header, value) in &blocks {
        generation.insert(header, value).unwrap();
    }
    generation.commit().unwrap();
    generation.close().unwrap();
}

/// Where the units go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// Into the generation that holds what is durable.
    Newest,
    /// Into one that begins with them.
    Next,
}

/// Ten durable records, then `units` of a cut one, then a start. The stream's next number and what is read of it.
async fn start_after(lane: Lane, begin: Begin, units: usize) -> (u64, Vec<Record>) {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path());
    let stream = outbox.append(lane, numbered(0..10)).await.unwrap().first.stream;
    outbox.close().await.unwrap();
    write(dir.path(), stream, 11, begin, &parts(lane), units);
    let durable = Mark::open(&System, dir.path()).unwrap().found(lane).unwrap();
    assert_eq!((durable.epoch, durable.upto), (stream.epoch, 10), "they are above the watermark");

    let mut found = None;
    // The first start finds the end in the blocks, the second where the first has written it down.
    for _ in 0..2 {
        let outbox = open(dir.path());
        let state = outbox.streams().await.unwrap().into_iter().find(|state| state.stream == stream).unwrap();
        let records = drain(&outbox, stream, 1).await;
        assert_eq!(outbox.read(stream, state.next, 1).await, Ok(None));
        assert!(found.is_none_or(|(next, count)| (next, count) == (state.next, records.len())));
        found = Some((state.next, records.len()));
        outbox.close().await.unwrap();
    }
    let outbox = open(dir.path());
    let (next, _) = found.unwrap();
    let records = drain(&outbox, stream, 1).await;
    ack(&outbox, stream, next - 1).await.unwrap();
    outbox.close().await.unwrap();
    assert_eq!(folders(dir.path()), Vec::<String>::new(), "nothing stays behind");
    assert!(Core::open(&System, dir.path(), 0, None).unwrap().rows(None).unwrap().control.is_empty());
    (next, records)
}

#[tokio::test]
async fn parts_without_their_last_are_dropped_at_the_next_start() {
    for lane in Lane::ALL {
        for begin in [Begin::Newest, Begin::Next] {
            for units in [1, 4] {
                let (next, records) = start_after(lane, begin, units).await;
                assert_eq!((next, records.len()), (11, 10), "{lane} {begin:?} {units}");
                assert!(records.iter().all(|record| record.part.is_none()));
            }
        }
    }
}

#[tokio::test]
async fn parts_that_are_all_there_are_kept() {
    for lane in Lane::ALL {
        let (next, records) = start_after(lane, Begin::Newest, 5).await;
        assert_eq!((next, records.len()), (16, 15), "{lane}");
    }
}

#[tokio::test]
async fn a_generation_without_any_block_is_removed() {
    for lane in [Lane::Events, Lane::Logs] {
        let (next, records) = start_after(lane, Begin::Next, 0).await;
        assert_eq!((next, records.len()), (11, 10), "{lane}");
    }
}
