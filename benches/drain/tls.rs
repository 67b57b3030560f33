//! The same backlog drained over TLS and without it, by turns.

use std::time::Instant;

use outpost::agent::intake::client::{self, Request};
use serde_json::Value;

use crate::accept::in_flight;
use crate::authority::Authority;
use crate::report::{Report, Target};
use crate::world::{World, wait_for};
use crate::{PAYLOAD_BYTES, RECORDS};

/// Turns a median is taken of.
const TURNS: usize = 9;

pub(crate) fn measure(report: &mut Report) {
    let turns: Vec<(f64, f64)> = (0..TURNS)
        .map(|turn| {
            // The first of a turn may find another machine than the second.
            if turn % 2 == 0 {
                let plain = drain(Security::Plain);
                (drain(Security::Tls), plain)
            } else {
                (drain(Security::Tls), drain(Security::Plain))
            }
        })
        .collect();
    report.rates("tls/drain_beside_plain", "s", &turns, Target::AtMost(1.15));
}

#[derive(Clone, Copy)]
enum Security {
    Plain,
    Tls,
}

/// Seconds from the first acknowledged record to the last.
fn drain(security: Security) -> f64 {
    let mut world = World::new();
    let authority = Authority::new("a bench's authority");
    authority.server(1).write(&world.path(""), "tls");
    std::fs::write(world.path("ca.pem"), authority.pem()).unwrap();
    let (scheme, of_hub, of_agent) = match security {
        Security::Plain => ("http", "", "--key-file edge-1.key"),
        Security::Tls => {
            ("https", "--tls-cert tls.pem --tls-key tls.key", "--key-file edge-1.key --ca ca.pem")
        }
    };
    let mut hub = world.start_hub_with(of_hub);
    world.add_agent("edge-1");
    hub.kill();
    let _agent = world.run_agent_at(&format!("{scheme}://{}", world.hub_address()), "edge-1", of_agent);
    in_flight(&world.path("edge-1.sock"), 500, RECORDS);
    let _hub = world.start_hub_with(of_hub);
    // Over the agent's own socket, which is the same for both.
    let waiting = || {
        let stream = client::connect(&world.path("edge-1.sock")).unwrap();
        let status = client::ask(stream, &Request::Status {}, |_row| {}).unwrap();
        let status: Value = serde_json::from_slice(&status).unwrap();
        status["outbox"]["lanes"]["logs"]["records"].as_u64().unwrap()
    };
    let left = wait_for("the first record", || Some(waiting()).filter(|left| *left < RECORDS));
    let begin = Instant::now();
    wait_for("the last record", || (waiting() == 0).then_some(()));
    let seconds = begin.elapsed().as_secs_f64() * RECORDS as f64 / left.max(1) as f64;
    let megabytes = (RECORDS as usize * PAYLOAD_BYTES) as f64 / 1e6;
    eprintln!("drained {megabytes} MB in {seconds:.3} s");
    seconds
}
