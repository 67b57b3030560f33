//! The outbox beside an append-only log in plain files (`outbox/segments.rs`): what appending, draining, opening and a
//! large backlog cost. Both are measured by turns in the same run, each time in a fresh folder.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a bench reads clocks and counts little"
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
    // `cargo bench --bench outbox -- drain` runs the sections that are named.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |section: &str| named.is_empty() || named.iter().any(|name| name == section);
    runtime.block_on(async {
        if wanted("append") {
            turns::durable(&mut report).await;
            turns::buffered(&mut report).await;
        }
        if wanted("drain") {
            turns::drain(&mut report).await;
        }
        if wanted("core") {
            turns::core(&mut report).await;
        }
        if wanted("disk") {
            cost::disk(&mut report).await;
        }
        if wanted("backlog") {
            backlog::measure(&mut report).await;
        }
        if wanted("churn") {
            cost::churn(&mut report).await;
        }
    });
    report.write("outbox");
}
