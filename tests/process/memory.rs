//! What an agent takes of a small machine's memory.

use crate::world::{Process, World};

/// More than an idle agent takes. Where closed databases' memory does not go back to the system it is 17 MB and above.
const MORE_BYTES_MAX: u64 = 12 * 1024 * 1024;
const LINES: u64 = 200_000;

/// Bytes of the process's own memory: not of its program, whose size depends on how it was built.
fn anonymous(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// What the listener for metrics may add.
const METRICS_BYTES_MAX: u64 = 512 * 1024;
const SCRAPES: usize = 50;

/// What an agent takes that dials nobody: the least of three, since the allocator has its moods. Where it answers for
/// metrics it is asked before.
fn least(world: &World, name: &str, flags: &str) -> u64 {
    let take = |run: usize| {
        let data = format!("{name}-{run}");
        let agent = world.run_agent(&data, &format!("--no-link {flags}"));
        if let Some(address) = world.metrics_address(&data) {
            for _ in 0..SCRAPES {
                let page = ureq::get(format!("http://{address}/metrics")).call().unwrap();
                assert_eq!(page.status(), 200);
            }
        }
        anonymous(&agent)
    };
    (0..3).map(take).min().unwrap()
}

#[test]
fn metrics_add_half_a_megabyte_at_most() {
    let world = World::new();
    std::fs::write(world.path("agent.toml"), "[metrics]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let (without, with) = (least(&world, "silent", ""), least(&world, "asked", "--config agent.toml"));
    println!("anonymous memory: {without} bytes, {with} with metrics after {SCRAPES} scrapes");
    assert!(with < without + METRICS_BYTES_MAX, "{without} bytes without metrics, {with} with them");
}

#[test]
fn an_agent_stays_small_with_a_backlog_and_after_it() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    hub.kill();
    let agent = world.start_agent("edge-1");
    let idle = anonymous(&agent);
    let lines: Vec<u8> =
        (0..LINES).flat_map(|number| format!("{number:06} {}\n", "x".repeat(249)).into_bytes()).collect();
    world.emit("edge-1", "logs", &lines);
    assert_eq!(world.waiting("edge-1"), Some(LINES));
    let queued = anonymous(&agent);
    let _hub = world.start_hub();
    world.wait_drained("edge-1");
    let drained = anonymous(&agent);
    println!("anonymous memory: idle {idle}, queued {queued}, drained {drained}");
    assert!(queued < idle + MORE_BYTES_MAX, "{idle} bytes idle, {queued} with {LINES} records queued");
    assert!(
        drained < idle + MORE_BYTES_MAX,
        "{idle} bytes idle, {drained} after {LINES} records were drained"
    );
}
