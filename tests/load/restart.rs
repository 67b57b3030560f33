//! Two thousand agents in two processes, and a hub that is restarted under them.

use std::collections::BTreeMap;
use std::time::Duration;

use outpost::limit;

use crate::child::Child;
use crate::fleet::{Order, Said};
use crate::hub::{Hub, Site, wait_for};

const PROCESSES: usize = 2;
const AGENTS: usize = 2000;
/// Of the hub, at most: what it takes without agents, and so much for each (a session with its buffers, unoptimized).
const MEMORY_KIB_MAX: u64 = 96 * 1024 + AGENTS as u64 * 96;
/// So often the hub is restarted at most: a machine may be late, but not each time.
const ROUNDS: usize = 3;

/// What was said since the last look, by agent.
#[derive(Default)]
struct Seen {
    /// When each registered first, in ms.
    registered: BTreeMap<(usize, usize), u64>,
    /// When each was told that the hub goes, and for how long to stay away.
    told: BTreeMap<(usize, usize), (u64, u64)>,
}

impl Seen {
    fn look(&mut self, fleet: &[Child]) {
        for (process, child) in fleet.iter().enumerate() {
            for said in child.said().filter_map(|line| Said::parse(&line)) {
                match said {
                    Said::Registered { agent, at_ms } => {
                        self.registered.entry((process, agent)).or_insert(at_ms);
                    }
                    Said::GoAway { agent, at_ms, retry_after_ms } => {
                        self.told.insert((process, agent), (at_ms, retry_after_ms));
                    }
                }
            }
        }
    }
}

fn wait_for_all(seen: &mut Seen, fleet: &[Child]) {
    wait_for("all agents to be registered", || {
        seen.look(fleet);
        (seen.registered.len() == AGENTS).then_some(())
    });
}

/// Handshakes: the most at once, which must be within the limit and not none.
fn handshakes(hub: &Hub) -> (u64, u64) {
    let figures = hub.status()["admission"].clone();
    let (most, limit) =
        (figures["handshakes_most"].as_u64().unwrap(), figures["handshakes_max"].as_u64().unwrap());
    assert!((1..=limit).contains(&most), "{figures}");
    (most, limit)
}

/// Restarts the hub under all of them; how long it took until the last was back, and what was announced.
fn restart(site: &mut Site, hub: Hub, fleet: &[Child]) -> (Hub, Duration, Duration) {
    let mut seen = Seen::default();
    hub.terminate();
    let hub = site.start();
    wait_for_all(&mut seen, fleet);
    let announced = site.announced();
    assert_eq!(seen.told.len(), AGENTS, "each agent was told");
    let gone = seen.told.values().map(|(at, _)| *at).min().unwrap();
    let last = seen.registered.values().max().unwrap() - gone;
    let longest = seen.told.values().map(|(_, wait)| *wait).max().unwrap();
    let (most, most_allowed) = handshakes(&hub);
    let memory = hub.memory_most_kib();
    let mut by_second: BTreeMap<u64, usize> = BTreeMap::new();
    for at in seen.registered.values() {
        *by_second.entry((at - gone) / 1000).or_default() += 1;
    }
    let busiest = by_second.values().max().unwrap();
    println!(
        "after the restart: the last of {AGENTS} was back {last} ms after the first word, announced were {} ms (the \
         longest wait asked for: {longest} ms); handshakes in flight: {most} at most, the limit is {most_allowed}; busiest \
         second: {busiest} agents; memory: {memory} KiB at most",
        announced.as_millis()
    );
    assert!(
        u64::try_from(announced.as_millis()).unwrap()
            >= longest + u64::try_from(limit::RECONNECT_MIN.as_millis()).unwrap()
    );
    assert!(memory <= MEMORY_KIB_MAX, "{memory} KiB of {MEMORY_KIB_MAX}");
    assert_eq!(hub.status()["sessions"], AGENTS);
    (hub, Duration::from_millis(last), announced)
}

#[test]
#[ignore = "two thousand agents: scripts/test runs it where file descriptors allow it"]
fn two_thousand_agents_are_back_after_a_restart_within_what_the_hub_announced() {
    let mut site = Site::new();
    let keys = site.add_agents(AGENTS);
    let mut hub = site.start();
    let fleet: Vec<_> = keys
        .chunks(AGENTS / PROCESSES)
        .enumerate()
        .map(|(process, keys)| {
            let file = site.path(&format!("keys-{process}"));
            let lines: Vec<_> = keys.iter().map(|key| key.to_line().expose().clone()).collect();
            std::fs::write(&file, lines.join("\n")).unwrap();
            let order = Order { hub: hub.address, keys: file, apart_ms: 5 };
            Child::start("fleet::process", &order)
        })
        .collect();
    let mut seen = Seen::default();
    wait_for_all(&mut seen, &fleet);
    let (most_before, _) = handshakes(&hub);
    let began = seen.registered.values().min().unwrap();
    let took = seen.registered.values().max().unwrap() - began;
    println!("{AGENTS} agents came within {took} ms; handshakes in flight: {most_before} at most");

    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let (again, last, announced) = restart(&mut site, hub, &fleet);
        hub = again;
        times.push((last, announced));
        if last <= announced {
            return;
        }
    }
    panic!("back after what was announced, each time: {times:?}");
}
