//! What is large on a satellite's line, towards the agent above all: a job's spec, and messages to and from another agent.

use std::time::Duration;

use outpost::wire::relay::{Delivery, Receipt};

use crate::link::Shape;
use crate::program::{Program, Told};
use crate::random;
use crate::site::{HUB, Security, Site, now};
use crate::slow::SATELLITE;

/// A spec of 30 KB takes 105 s to get there.
const SPEC_BYTES: usize = 30_000;

fn a_large_job_passes(security: Security) {
    let mut site = Site::new([SATELLITE; 2], security);
    site.start_hub();
    let text = random::lines(site.seed(), 5_000, 100);
    site.fill(&text);
    // It waits when the agent comes.
    let job = site.submit(&format!("sh -c true {}", "x".repeat(SPEC_BYTES)));
    site.start_agent("");
    let begin = now();
    site.wait_drained(Duration::from_secs(200));
    site.wait("the job's result", Duration::from_secs(200), || {
        (site.job(&job)["status"] == "succeeded").then_some(())
    });
    let down = site.link.carried_down();
    println!(
        "a spec of {SPEC_BYTES} bytes over 2,400 bit/s, {security:?}: {:?}, {down} bytes",
        begin.elapsed()
    );
    assert_eq!(site.said("edge.log", "no link to the hub"), 0, "one session carried it all");
    assert!(down < 2 * SPEC_BYTES as u64, "{down} bytes went down: it was sent once");
    site.assert_arrived(&text);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_large_job_passes_2400_bits_a_second_once_beside_a_backlog() {
    a_large_job_passes(Security::Plain);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn a_large_job_passes_2400_bits_a_second_once_beside_a_backlog_with_tls() {
    a_large_job_passes(Security::Tls);
}

#[test]
#[ignore = "needs network namespaces and minutes: scripts/test"]
fn messages_of_64_kib_pass_4800_bits_a_second_both_ways_beside_records() {
    // Full in both directions, each one's acks wait in the other's queue for ten seconds: TCP itself is what is slow then.
    let shape = Shape { bytes_per_second: Some(600), queue_bytes: 6000, ..SATELLITE };
    let mut site = Site::new([shape; 2], Security::Plain);
    let rules =
        "[relay]\nallow = [{ from = \"edge\", to = \"control\" }, { from = \"control\", to = \"edge\" }]\n";
    std::fs::write(site.path("hub.toml"), rules).unwrap();
    site.hub_flags = "--config hub.toml".to_owned();
    site.start_hub();
    site.add_agent("control");
    let port = site.hub_port();
    let near = Program::start(site.hub_side(), &format!("http://127.0.0.1:{port}"), site.folder(), "control");
    let far = Program::start(site.agent_side(), &format!("http://{HUB}:{port}"), site.folder(), "edge");
    far.wait_connected(Duration::from_secs(60));
    let begin = now();
    let (large, small) = (vec![7; 64 * 1024], vec![8; 1024]);
    // In whatever order a program's tasks come to it.
    for payload in [&large, &small] {
        near.send("edge", payload, Delivery::Queued);
        far.send("control", payload, Delivery::Queued);
    }
    let mut records = 0;
    let mut beside = || {
        if records < begin.elapsed().as_secs() / 10 {
            records += 1;
            far.append("beside");
        }
    };
    for program in [&near, &far] {
        let mut message = || {
            site.wait("a message", Duration::from_secs(300), || {
                beside();
                program.came()
            })
        };
        let mut came = [message(), message()];
        came.sort_by_key(Vec::len);
        assert!(came == [small.clone(), large.clone()], "{:?} bytes came", came.map(|payload| payload.len()));
    }
    let took = begin.elapsed();
    assert_eq!(site.said("hub.log", "an agent registered"), 2, "one session each{}", site.log_ends());
    // Each sender was told what became of it, however long its message took.
    for program in [&near, &far] {
        for _ in 0..2 {
            let told = site.wait("an answer", Duration::from_secs(60), || program.told());
            let (Told { bytes, outcome, after }, log) = (told, site.log_ends());
            assert_eq!(outcome, Ok(Receipt::Queued), "{bytes} bytes, told after {after:?} of {took:?}{log}");
            println!("{bytes} bytes: told {outcome:?} after {after:?}");
        }
    }
    site.wait("the records", Duration::from_secs(60), || far.is_drained().then_some(()));
    println!("64 KiB and 1 KiB both ways over 4,800 bit/s, {records} records beside: {took:?}");
    far.stop();
    near.stop();
}
