//! A hub and an agent as two processes on loopback, 200,000 records of 256 bytes: accepted while the hub is away, then
//! drained, then again while both are killed. The rows of README.md's table "end to end".

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a bench reads clocks and counts little"
)]

#[path = "drain/accept.rs"]
mod accept;
#[path = "drain/arrival.rs"]
mod arrival;
#[path = "../tests/tls/authority.rs"]
#[allow(dead_code, reason = "the tests' authority, of which this uses a part")]
mod authority;
#[path = "drain/kills.rs"]
mod kills;
#[path = "drain/meter.rs"]
mod meter;
mod report;
#[path = "drain/tls.rs"]
mod tls;
#[path = "../tests/process/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests' world, of which this uses a part")]
mod world;

use std::time::Instant;

use report::{Report, Target};
use world::World;

/// Records of one run, and the payload bytes of each.
const RECORDS: u64 = 200_000;
const PAYLOAD_BYTES: usize = 256;
/// Runs a median is taken of.
const RUNS: usize = 5;

fn main() {
    let mut report = Report::new("drain");
    tls::measure(&mut report);
    let runs: Vec<Run> = (0..RUNS).map(|_| run()).collect();
    let mut figure = |name: &str, unit: &str, target, of: fn(&Run) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        report.figure(name, figures[RUNS / 2], unit, target);
    };
    figure("accepted/500_in_flight", "records/s", Target::AtLeast(60_000.0), |run| run.accepted);
    figure("accepted/agent_cpu", "us/record", Target::AtMost(8.7), |run| run.cpu);
    figure("disk/queued", "x payload", Target::AtMost(1.10), |run| run.disk_queued);
    figure("disk/drained", "MB", Target::AtMost(5.0), |run| run.disk_drained);
    figure("memory/idle", "MB", Target::AtMost(12.0), |run| run.memory[0]);
    figure("memory/queued", "MB", Target::AtMost(20.0), |run| run.memory[1]);
    figure("memory/draining_peak", "MB", Target::AtMost(30.0), |run| run.memory[2]);
    figure("recovery_after_kill", "ms", Target::AtMost(50.0), |run| run.recovery);
    figure("first_arrival", "s", Target::AtMost(0.5), |run| run.first);
    figure("transfer", "records/s", Target::AtLeast(120_000.0), |run| run.transfer);
    figure("whole_drain", "s", Target::AtMost(2.5), |run| run.whole);
    accept::one_in_flight(&mut report);
    kills::measure(&mut report);
    report.write("drain");
}

/// The figures of one run.
struct Run {
    accepted: f64,
    cpu: f64,
    disk_queued: f64,
    disk_drained: f64,
    memory: [f64; 3],
    recovery: f64,
    first: f64,
    transfer: f64,
    whole: f64,
}

/// A world whose agent knows a hub that is away.
fn away() -> (World, world::Process) {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    hub.kill();
    let agent = world.start_agent("edge-1");
    (world, agent)
}

fn run() -> Run {
    let (mut world, mut agent) = away();
    let outbox = world.path("edge-1/outbox");
    let idle = meter::resident(&agent);
    let before = meter::cpu(&agent);
    let accepted = accept::in_flight(&world.path("edge-1.sock"), 500, RECORDS);
    let cpu = (meter::cpu(&agent) - before) * 1e6 / RECORDS as f64;
    let queued = meter::resident(&agent);
    let disk_queued = meter::used(&outbox, "logs-") as f64 / (RECORDS as usize * PAYLOAD_BYTES) as f64;

    agent.kill();
    // From the start of the process until it says that it is ready, to which the world looks every 5 ms.
    let begin = Instant::now();
    agent = world.start_agent("edge-1");
    let recovery = begin.elapsed().as_secs_f64() * 1e3;
    meter::forget_peak(&agent);
    let (first, rest, whole, _hub) = arrival::drain(&mut world);
    let peak = meter::peak(&agent);
    world.wait_drained("edge-1");
    let disk_drained = meter::settled(&outbox) / 1e6;
    Run {
        accepted,
        cpu,
        disk_queued,
        disk_drained,
        memory: [idle, queued, peak],
        recovery,
        first,
        transfer: rest,
        whole,
    }
}
