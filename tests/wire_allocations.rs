//! Counts allocations: signing and opening a batch of records takes none once the buffer has its size.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::alloc::System;

use bytes::{Bytes, BytesMut};
use outpost::id::{Epoch, Lane, MessageId, StreamId};
use outpost::limit;
use outpost::secret::Secret;
use outpost::time::{ClockOffset, HubTime};
use outpost::wire::envelope::{Header, open, seal};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{Codec, Message, Records, StreamMark};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn header(seq: u64) -> Header {
    Header { seq, sent_at: HubTime(2), id: MessageId { hi: 3, lo: seq }, correlation: MessageId::NONE }
}

fn stream() -> StreamId {
    StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1) }
}

fn records(batch: &Bytes) -> Message {
    Message::Records(Records {
        stream: stream(),
        first: 1,
        count: 1,
        codec: Codec::None,
        raw_len: u32::try_from(batch.len()).unwrap(),
        batch: batch.clone(),
        clock_offset: Some(ClockOffset(-5)),
    })
}

/// Allocations that a hundred runs of `work` take. The harness's own thread may allocate meanwhile and is counted too; what
/// `work` needs comes back in every round, so the least of a few is its own.
fn allocations(mut work: impl FnMut()) -> usize {
    let round = |_| {
        let region = Region::new(ALLOCATOR);
        (0..100).for_each(|_| work());
        let change = region.change();
        change.allocations + change.reallocations
    };
    (0..5).map(round).min().unwrap()
}

// One test only: the counter sees every thread of the process.
#[test]
fn hot_messages_are_signed_and_opened_without_allocating() {
    let key = MacKey::new(&Secret::new([7; 32]));
    let ack = Message::Ack(StreamMark { stream: stream(), acked: 9, acked_crc: 7 });
    let mut buffer = BytesMut::with_capacity(limit::BATCH_BYTES * 4);
    for size in [64, 512, 4096, 65_536] {
        // A shared buffer, as a socket or the outbox hands it over.
        let batch = BytesMut::from(vec![0xA5; size].as_slice()).split().freeze();
        for message in [records(&batch), ack.clone()] {
            let mut seq = 0;
            let signing = allocations(|| {
                seq += 1;
                buffer.clear();
                seal(header(seq), message.clone(), &key, &mut buffer);
            });
            assert_eq!(signing, 0, "signing {} of {size} bytes", message.name());

            let frame = BytesMut::from(buffer.as_ref()).split().freeze();
            let opening = allocations(|| {
                let opened = open(&frame, &key, limit::MESSAGE_BYTES_MAX).unwrap();
                assert!(opened.into_message().unwrap() == message);
            });
            assert_eq!(opening, 0, "opening {} of {size} bytes", message.name());
        }
    }
    let counted = allocations(|| drop(std::hint::black_box(vec![0u8; 10])));
    assert!(counted >= 100, "the counter counts");
}
