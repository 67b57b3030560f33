//! Allocations per message, apart from the times: the counting allocator would slow those down.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod report;

use std::alloc::System;
use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use outpost::id::{Epoch, Lane, MessageId, StreamId};
use outpost::limit;
use outpost::secret::Secret;
use outpost::time::HubTime;
use outpost::wire::envelope::{Header, open, seal};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{Codec, Message, Records};
use report::{Report, Target};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGES: u32 = 1000;

/// Allocations one run of `work` takes.
fn per_message(mut work: impl FnMut()) -> f64 {
    let region = Region::new(ALLOCATOR);
    (0..MESSAGES).for_each(|_| work());
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / f64::from(MESSAGES)
}

fn shared(bytes: &[u8]) -> Bytes {
    BytesMut::from(bytes).split().freeze()
}

fn main() {
    let key = MacKey::new(&Secret::new([7; 32]));
    let header = Header { seq: 1, sent_at: HubTime(2), id: MessageId::NONE, correlation: MessageId::NONE };
    let message = Message::Records(Records {
        stream: StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(1) },
        first: 1,
        count: 1,
        codec: Codec::None,
        raw_len: 512,
        batch: shared(&[0xA5; 512]),
        clock_offset: None,
    });
    let mut buffer = BytesMut::with_capacity(1024);
    let mut report = Report::new("wire");
    let sign = per_message(|| {
        buffer.clear();
        seal(header, black_box(&message).clone(), &key, &mut buffer);
    });
    report.figure("sign_allocations/512", sign, "per message", Target::AtMost(0.0));
    let frame = shared(&buffer);
    let verify = per_message(|| {
        let opened = open(black_box(&frame), &key, limit::MESSAGE_BYTES_MAX).unwrap();
        black_box(opened.into_message().unwrap());
    });
    report.figure("verify_allocations/512", verify, "per message", Target::AtMost(0.0));
    report.write("wire_allocations");
}
