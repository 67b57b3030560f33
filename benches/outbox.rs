//! The outbox beside an append-only log in plain files (`outbox/segments.rs`): what appending, draining, opening and a
//! large backlog cost. Both are measured by turns in the same run, each time in a fresh folder.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a bench reads a clock and divides"
)]

#[path = "outbox/backlog.rs"]
mod backlog;
#[path = "outbox/cost.rs"]
mod cost;
mod report;
#[path = "outbox/segments.rs"]
mod segments;
#[path = "outbox/turns.rs"]
mod turns;

use report::Report;

fn main() {
    // The child processes of `backlog`.
    if backlog::is_child() {
        return;
    }
    let mut report = Report::new("outbox");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        turns::durable(&mut report).await;
        turns::buffered(&mut report).await;
        turns::drain(&mut report).await;
        turns::core(&mut report).await;
        cost::disk(&mut report).await;
        backlog::measure(&mut report).await;
        cost::churn(&mut report).await;
    });
    report.write("outbox");
}
