//! What a page of records holds.

use super::*;

#[tokio::test]
async fn long_records_are_joined_across_batches_and_pages_follow_each_other() {
    let mut world = World::new().await;
    let mut first = BytesMut::new();
    batch::push(record("one", None), &mut first);
    batch::push(record("lo", Some(Part { index: 1, of: 2 })), &mut first);
    let mut second = BytesMut::new();
    batch::push(record("ng", Some(Part { index: 2, of: 2 })), &mut second);
    batch::push(record("cut", Some(Part { index: 1, of: 3 })), &mut second);
    batch::push(record("last", None), &mut second);
    for (previous, acked, bytes) in [(0, 2, first), (2, 5, second)] {
        let mark = StreamMark { stream: LOGS, acked, acked_crc: 1 };
        let content = Content::Batch {
            batch: bytes.freeze(),
            clock_offset: None,
            losses: Vec::new(),
            jobs: Vec::new(),
            app_lines: 0,
        };
        world.store(world.piece(previous, mark, content)).await.unwrap();
    }
    assert_eq!(world.texts().await, ["one", "long", "cut?", "last"]);
    let mut seen = Vec::new();
    let mut from: Option<RecordId> = None;
    loop {
        let page =
            world.store.records(world.agent, Cursor { lane: Some(Lane::Logs), from }, 1).await.unwrap();
        assert_eq!(page.items.len(), 1, "a page holds no more than was asked for");
        seen.extend(page.items.iter().map(text));
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["one", "long", "cut?", "last"]);
}

#[tokio::test]
async fn parts_without_end_are_not_joined_beyond_what_a_record_may_have() {
    let mut world = World::new().await;
    let payload = "x".repeat(limit::RECORD_BYTES_MAX / 2);
    for index in 1..=5 {
        let mut batch = BytesMut::new();
        batch::push(record(&payload, Some(Part { index, of: u32::MAX })), &mut batch);
        let mark = StreamMark { stream: LOGS, acked: index.into(), acked_crc: 1 };
        let content = Content::Batch {
            batch: batch.freeze(),
            clock_offset: None,
            losses: Vec::new(),
            jobs: Vec::new(),
            app_lines: 0,
        };
        world.store(world.piece(u64::from(index) - 1, mark, content)).await.unwrap();
    }
    let lengths: Vec<usize> = world.texts().await.iter().map(String::len).collect();
    assert_eq!(lengths, [2 * payload.len() + 1, payload.len() + 1, payload.len() + 1, payload.len() + 1]);
}

#[tokio::test]
async fn a_page_from_beyond_every_number_is_empty() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a"])).await.unwrap();
    let cursor = Cursor { lane: None, from: Some(RecordId { stream: LOGS, seq: u64::MAX }) };
    assert!(world.store.records(world.agent, cursor, 10).await.unwrap().items.is_empty());
}
