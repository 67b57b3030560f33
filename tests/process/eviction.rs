//! A lane that is too small for what it is given: the newest records arrive, and the hub shows what went.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::{Process, World, wait_for};

const QUOTA: u64 = 4 << 20;
const LINE_BYTES: usize = 500;

/// Lines that say their number, `LINE_BYTES` each.
fn lines(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.flat_map(|number| format!("{number:0width$}\n", width = LINE_BYTES - 1).into_bytes()).collect()
}

/// An agent whose logs may take 4 MiB.
fn start_small(world: &World) -> Process {
    std::fs::write(world.path("agent.toml"), "[outbox.logs]\nmax_bytes = \"4MiB\"\n").unwrap();
    world.start_agent_with("edge-1", "edge-1", "--config agent.toml")
}

/// What the hub has of the logs: the numbers of the records that came and its gaps.
fn at_hub(world: &World) -> (Vec<usize>, Vec<Value>) {
    let (mut numbers, mut gaps) = (Vec::new(), Vec::new());
    for object in world.listed_objects("edge-1") {
        match object.get("gap") {
            Some(gap) => gaps.push(gap.clone()),
            None => numbers.push(object["text"].as_str().unwrap().parse().unwrap()),
        }
    }
    (numbers, gaps)
}

fn lost(gaps: &[Value]) -> u64 {
    gaps.iter().map(|gap| gap["records"].as_u64().unwrap()).sum()
}

/// Records in order, each gap where the numbers are missing, and all of `total` accounted for.
fn assert_accounted(numbers: &[usize], gaps: &[Value], total: usize) {
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in order and once");
    assert_eq!(numbers.last(), Some(&(total - 1)), "the newest came");
    assert_eq!(numbers.len() as u64 + lost(gaps), total as u64, "{gaps:?}");
    for gap in gaps {
        assert_eq!(gap["reason"], "evicted");
        let (from, to) = (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap());
        assert_eq!(gap["records"], to - from + 1);
        assert!(gap["bytes"].as_u64().unwrap() >= (to - from) * LINE_BYTES as u64 / 2, "{gap}");
        // The n-th record of the stream says n - 1.
        let lost = usize::try_from(from - 1).unwrap()..usize::try_from(to).unwrap();
        assert!(!numbers.iter().any(|number| lost.contains(number)), "{gap}");
    }
}

#[test]
fn fifty_megabytes_into_four_while_the_hub_is_away() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    hub.kill();
    let _agent = start_small(&world);
    let total = 100_000;
    let receipt = world.emit("edge-1", "logs", &lines(0..total));
    assert_eq!(receipt["accepted"], total, "nothing is refused");
    let outbox = world.status("edge-1").unwrap()["outbox"].clone();
    let held = outbox["lanes"]["logs"]["records"].as_u64().unwrap();
    assert_eq!((outbox["gaps"].as_u64(), outbox["lost"].as_u64()), (Some(1), Some(total as u64 - held)));
    assert!(outbox["lanes"]["logs"]["disk_bytes"].as_u64().unwrap() <= QUOTA, "{outbox}");
    let stat = world.run("outbox stat --socket edge-1.sock");
    let stat = String::from_utf8(stat).unwrap();
    assert!(stat.contains(&format!("1 gaps ({} records lost)", total as u64 - held)), "{stat}");

    let _hub = world.start_hub();
    world.wait_drained("edge-1");
    wait_for("the gap's ack", || world.status("edge-1").filter(|status| status["outbox"]["gaps"] == 0));
    let (numbers, gaps) = at_hub(&world);
    assert_eq!(numbers.len() as u64, held, "what was held arrived");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_accounted(&numbers, &gaps, total);
    let shown = world.show_agent("edge-1").to_string();
    assert!(shown.contains("evicted"), "{shown}");
}

#[test]
fn what_is_evicted_in_the_middle_of_a_session_is_told_in_it() {
    let mut world = World::new();
    let hub = world.start_hub();
    world.add_agent("edge-1");
    let _agent = start_small(&world);
    world.emit("edge-1", "logs", &lines(0..1000));
    world.wait_drained("edge-1");
    // The hub stands still: what is in flight gets no ack, and is evicted with the rest.
    let pid = Pid::from_raw(hub.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let total = 41_000;
    let emitted = world.emit("edge-1", "logs", &lines(1000..total));
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(emitted["accepted"], total - 1000);
    world.wait_drained("edge-1");
    wait_for("the gap's ack", || world.status("edge-1").filter(|status| status["outbox"]["gaps"] == 0));
    let (numbers, gaps) = at_hub(&world);
    assert!(!gaps.is_empty(), "20 MB do not fit into 4 MiB");
    assert_accounted(&numbers, &gaps, total);
}
