//! Five kills of the hub and five of the agent while a backlog drains, on ten seeds: what is lost, doubled or out of order.

use std::time::Instant;

use crate::accept::{in_flight, payload};
use crate::arrival::Arrivals;
use crate::report::{Report, Target};
use crate::world::wait_for;
use crate::{RECORDS, away};

const SEEDS: u64 = 10;
const KILLS: u64 = 5;

pub(crate) fn measure(report: &mut Report) {
    let (mut wrong, mut slowest) = (0, 0.0_f64);
    for seed in 0..SEEDS {
        let (mut world, mut agent) = away();
        in_flight(&world.path("edge-1.sock"), 500, RECORDS);
        let mut random = fastrand::Rng::with_seed(seed);
        // Where each kill comes, in records that have arrived; by turns at the hub and at the agent.
        let mut kills: Vec<u64> = (0..2 * KILLS).map(|_| random.u64(1..RECORDS)).collect();
        kills.sort_unstable();
        let begin = Instant::now();
        let mut hub = world.start_hub();
        for (number, at) in kills.into_iter().enumerate() {
            let arrivals = Arrivals::new(&world);
            wait_for("the backlog to shrink", || (arrivals.count() >= at).then_some(()));
            if number % 2 == 0 {
                hub.kill();
                hub = world.start_hub();
            } else {
                agent.kill();
                agent = world.start_agent("edge-1");
            }
        }
        let arrivals = Arrivals::new(&world);
        wait_for("the last record", || (arrivals.count() >= RECORDS).then_some(()));
        let time = begin.elapsed().as_secs_f64();
        slowest = slowest.max(time);
        let listed = world.listed("edge-1", "logs");
        let expected = (0..RECORDS).map(payload);
        let found: Vec<&[u8]> = listed.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
        let same =
            found.len() as u64 == RECORDS && found.iter().zip(expected).all(|(found, put)| **found == *put);
        eprintln!("kills, seed {seed}: {time:.2} s, {} records, in order: {same}", found.len());
        wrong += u32::from(!same);
    }
    report.figure("kills/seeds_not_exactly_once_in_order", f64::from(wrong), "of 10", Target::AtMost(0.0));
    report.figure("kills/slowest", slowest, "s", Target::AtMost(8.0));
}
