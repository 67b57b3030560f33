//! Counts what the broker's status takes: as much with thousands of topics as with a few. Any page may ask for it.

#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where its world does not hold")]

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use outpost::hub::config::LiveConfig;
use outpost::hub::live::Live;
use outpost::secret::Secret;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRET: &str = "a worker secret of 32 characters";
/// Topics that are there at first, and at last.
const FEW: usize = 10;
const MANY: usize = 4000;

/// Registers topics over one connection.
fn register(address: SocketAddr, topics: std::ops::Range<usize>) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let last = topics.end - 1;
    for number in topics {
        let body = format!(r#"{{"topic":"a topic with a name that is not short {number}"}}"#);
        let close = if number == last { "Connection: close\r\n" } else { "" };
        let length = body.len();
        let request = format!(
            "POST /internal/register HTTP/1.1\r\nHost: x\r\nX-Worker-Secret: {SECRET}\r\n{close}Content-Length: {length}\r\n\r\n{body}"
        );
        socket.write_all(request.as_bytes()).unwrap();
        // The answer is all head, or the end.
        let (mut answer, mut bytes) = (Vec::new(), [0; 1024]);
        while !answer.ends_with(b"\r\n\r\n") {
            let count = socket.read(&mut bytes).unwrap();
            assert!(count > 0, "{number}");
            answer.extend_from_slice(&bytes[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
}

/// Allocations that a status takes, and their bytes. Other threads are counted, too, and what the status takes comes back each
/// time: the least of many is its own.
fn taken(live: &Live) -> (usize, usize) {
    let round = |_| {
        let region = Region::new(ALLOCATOR);
        drop(std::hint::black_box(live.status()));
        let change = region.change();
        let bytes = change.bytes_allocated + usize::try_from(change.bytes_reallocated.max(0)).unwrap();
        (change.allocations + change.reallocations, bytes)
    };
    (0..100).map(round).min().unwrap()
}

// One test only: the counter sees every thread of the process.
#[test]
fn a_status_takes_no_more_where_there_are_many_topics() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut config = LiveConfig::new(Secret::new(SECRET.to_owned()));
    config.public.set_port(0);
    config.internal.set_port(0);
    let stop = CancellationToken::new();
    let live = runtime.block_on(Live::start(&config, None, &stop, &TaskTracker::new())).unwrap();
    register(live.internal_addr(), 0..FEW);
    let few = taken(&live);
    register(live.internal_addr(), FEW..MANY);
    assert_eq!(live.status()["registered_topics"], MANY);
    let many = taken(&live);
    assert_eq!(many.0, few.0, "allocations: {few:?} with {FEW} topics, {many:?} with {MANY}");
    // Longer numbers, no names.
    assert!(many.1 <= few.1 + 64, "bytes: {few:?} with {FEW} topics, {many:?} with {MANY}");
    assert!(few.0 > 0 && few.1 > 0, "the counter counts");
    stop.cancel();
}
