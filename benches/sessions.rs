//! Sessions that have nothing to say, over TLS and without it: what each takes of the hub's memory, and its way in of the
//! hub's processor. A hub as a process of its own, a thousand agents; `OUTPOST_BENCH_SESSIONS` says another number.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../tests/load/agent.rs"]
#[allow(dead_code, reason = "tests/load uses the rest of it")]
mod agent;
#[path = "../tests/tls/authority.rs"]
#[allow(dead_code, reason = "tests/tls uses the rest of it")]
mod authority;
#[path = "../tests/load/crowd.rs"]
mod crowd;
#[path = "../tests/load/hub.rs"]
#[allow(dead_code, reason = "tests/load uses the rest of it")]
mod hub;
#[path = "../tests/tls/peer.rs"]
#[allow(dead_code, reason = "tests/tls uses the rest of it")]
mod peer;
mod report;

use crowd::Cost;
use hub::Site;
use report::{Report, Target};

const SESSIONS: usize = 1000;

fn main() {
    let count = std::env::var("OUTPOST_BENCH_SESSIONS").map_or(SESSIONS, |text| text.parse().unwrap());
    let (plain, tls) = (crowd::measure(Site::new(), count), crowd::measure(Site::secured(), count));
    let processor = |cost: &Cost| cost.processor.as_secs_f64() * 1e6;
    let mut report = Report::new("sessions");
    report.figure("idle_memory/plain", plain.memory_kib, "KiB", Target::AtMost(12.0));
    report.figure("idle_memory/tls", tls.memory_kib, "KiB", Target::AtMost(32.0));
    report.figure("way_in/plain", processor(&plain), "us of the hub", Target::AtMost(600.0));
    report.figure("way_in/tls", processor(&tls), "us of the hub", Target::AtMost(600.0));
    report.write("sessions");
}
