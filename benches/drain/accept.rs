//! A local program that hands records over and waits for them to be durable.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use outpost::agent::intake::client::{self, Request};
use outpost::agent::intake::frame::{self, Kind};
use rustix::fs::FallocateFlags;

use crate::report::{Report, Target};
use crate::{PAYLOAD_BYTES, away};

/// Allocated ahead for what is synced for comparison.
const ALLOCATED_BYTES: u64 = 4 * 1024 * 1024;

/// Record number `number`: its text, filled up.
pub(crate) fn payload(number: u64) -> Vec<u8> {
    format!("{number:07} {}", "x".repeat(PAYLOAD_BYTES - 8)).into_bytes()
}

/// Hands `total` records over, at most `window` of which wait to be durable; records a second.
pub(crate) fn in_flight(socket: &Path, window: u64, total: u64) -> f64 {
    let mut stream: UnixStream = client::connect(socket).unwrap();
    let request = serde_json::to_vec(&Request::Emit { lane: "logs".to_owned(), app: None }).unwrap();
    stream.write_all(&frame::encode(Kind::Request, &request)).unwrap();
    let begin = Instant::now();
    let (mut sent, mut durable) = (0, 0);
    while durable < total {
        let more = (window - (sent - durable)).min(total - sent);
        if more > 0 {
            let mut body = BytesMut::new();
            (sent..sent + more).for_each(|number| frame::push_record(&payload(number), &mut body));
            stream.write_all(&frame::encode(Kind::Records, &body)).unwrap();
            sent += more;
        }
        let answer = frame::read_blocking(&mut stream).unwrap().unwrap();
        assert_eq!(answer.kind, Kind::Durable, "{answer:?}");
        durable = u64::from_be_bytes(*answer.body.first_chunk().unwrap());
    }
    let rate = total as f64 / begin.elapsed().as_secs_f64();
    stream.write_all(&frame::encode(Kind::End, &[])).unwrap();
    assert_eq!(frame::read_blocking(&mut stream).unwrap().unwrap().kind, Kind::Done);
    rate
}

/// One record at a time, beside what the disk syncs in a second.
pub(crate) fn one_in_flight(report: &mut Report) {
    let (world, _agent) = away();
    let turns: Vec<(f64, f64)> = (0..5)
        .map(|turn| {
            let limit = syncs(&world.path(&format!("syncs-{turn}")));
            (in_flight(&world.path("edge-1.sock"), 1, 2_000), limit)
        })
        .collect();
    report.rates("accepted/1_in_flight", "records/s", &turns, Target::AtLeast(0.8));
}

/// Appends of as many bytes with an fdatasync each, a second.
fn syncs(path: &Path) -> f64 {
    let mut file = std::fs::File::create(path).unwrap();
    // As the outbox does: otherwise each sync waits for the file system's journal.
    rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, ALLOCATED_BYTES).unwrap();
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < Duration::from_millis(500) {
        file.write_all(&[7; PAYLOAD_BYTES]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}
