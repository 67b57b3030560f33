//! Bytes on disk: of a backlog by how it was appended, and of an outbox that is used for long.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use outpost::id::Lane;
use outpost::limit;
use outpost::outbox::{Options, Outbox, Reading};
use outpost::wire::message::StreamMark;

use crate::report::{Report, Target};
use crate::turns::{self, PAYLOAD_BYTES, fill, folder, record};

/// Records that pass through in `churn`, and how many wait at most.
const CHURNED: u64 = 5_000_000;
const DEPTH: u64 = 900;
const CALL: u64 = 300;

/// Bytes the file system has given to everything below `path` whose top name begins with `prefix`.
pub(crate) fn allocated(path: &Path, prefix: &str) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let chosen = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let bytes = chosen.map(|entry| {
        let metadata = entry.metadata().unwrap();
        let own = metadata.blocks() * 512;
        own + if metadata.is_dir() { allocated(&entry.path(), "") } else { 0 }
    });
    bytes.sum()
}

/// What is fallocated ahead goes back when the outbox is closed, so that is when it is measured.
pub(crate) async fn disk(report: &mut Report) {
    for (name, total, call, target) in [("full_blocks", 100_000, 500, 1.05), ("one_a_commit", 4_000, 1, 2.0)]
    {
        let folder = folder();
        let outbox = Outbox::open(folder.path(), Options::default()).unwrap();
        for _ in 0..total / call {
            outbox.append(Lane::Logs, (0..call).map(|_| record()).collect()).await.unwrap();
        }
        outbox.close().await.unwrap();
        let bytes = allocated(folder.path(), "logs-");
        let ratio = bytes as f64 / (total as usize * PAYLOAD_BYTES) as f64;
        report.figure(&format!("disk/{name}"), ratio, "x payload", Target::AtMost(target));
    }
}

/// Records come and go at a small depth; the most the folder ever took, ballast left out.
pub(crate) async fn churn(report: &mut Report) {
    let folder = folder();
    let outbox = Outbox::open(folder.path(), Options::default()).unwrap();
    let stream = fill(&outbox, 500).await;
    let (mut appended, mut acked, mut most) = (500, 0, 0);
    while appended < CHURNED {
        outbox.append(Lane::Logs, (0..CALL).map(|_| record()).collect()).await.unwrap();
        appended += CALL;
        while appended - acked > DEPTH - CALL {
            let reading = outbox.read(stream, acked + 1, limit::BATCH_BYTES).await.unwrap();
            let Some(Reading::Records(batch)) = reading else { panic!("{reading:?}") };
            acked += u64::from(batch.count);
            outbox.ack(vec![StreamMark { stream, acked, acked_crc: 0 }]).await.unwrap();
        }
        if appended % 30_000 < CALL {
            most = most.max(allocated(folder.path(), "") - limit::BALLAST_BYTES);
        }
    }
    let core = allocated(folder.path(), "core");
    let bound = core + 2 * (limit::GENERATION_BYTES + limit::BLOCK_BYTES_MAX as u64 * 32);
    report.figure(
        "churn/most_of_core_and_two_generations",
        most as f64 / bound as f64,
        "x",
        Target::AtMost(1.0),
    );
    report.figure("churn/most", most as f64 / 1e6, "MB", Target::AtMost(f64::INFINITY));
    assert_eq!(turns::read_and_ack(&outbox, stream, acked + 1).await, appended - acked);
    outbox.close().await.unwrap();
}
