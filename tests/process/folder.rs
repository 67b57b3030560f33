//! Data folders that were cloned, wiped or restored: each delivers what it holds, and the hub says what it saw.

use std::path::Path;
use std::process::Command;

use crate::world::{World, assert_same};

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_wiped_folder_begins_a_new_epoch_and_delivers() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"before\n");
    world.wait_drained("edge-1");
    agent.kill();
    std::fs::remove_dir_all(world.path("edge-1")).unwrap();
    let _agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"after\n");
    world.wait_drained("edge-1");
    let texts: Vec<_> = world.listed_objects("edge-1").iter().map(|object| object["text"].clone()).collect();
    assert!(texts.contains(&"before".into()) && texts.contains(&"after".into()), "{texts:?}");
    // The hub saw two processes and a stream of logs for each.
    let shown = world.show_agent("edge-1");
    let streams = shown["streams"].as_array().unwrap();
    assert_eq!(streams.iter().filter(|stream| stream["lane"] == "logs" && stream["acked"] == 1).count(), 2);
    assert_eq!(shown["instances"].as_array().unwrap().len(), 2, "{shown}");
}

#[test]
fn a_folder_restored_from_an_older_copy_delivers_what_it_holds() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"one\n");
    world.wait_drained("edge-1");
    hub.kill();
    world.emit("edge-1", "logs", b"two\n");
    agent.kill();
    copy(&world.path("edge-1"), &world.path("older"));
    let _hub = world.start_hub();
    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"three\n");
    world.wait_drained("edge-1");
    agent.kill();

    let _agent = world.start_agent_on("edge-1", "older");
    world.emit("older", "logs", b"four\n");
    world.wait_drained("older");
    let listed = world.listed("edge-1", "logs");
    let mut lines: Vec<_> = listed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [b"four".as_slice(), b"one", b"three", b"two"]);
}

#[test]
fn two_clones_each_deliver_what_they_hold() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    hub.kill();
    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"common\n");
    agent.kill();
    copy(&world.path("edge-1"), &world.path("clone"));

    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"of the first\n");
    agent.kill();
    let mut clone = world.start_agent_on("edge-1", "clone");
    world.emit("clone", "logs", b"of the clone\n");
    clone.kill();

    let _hub = world.start_hub();
    for data in ["edge-1", "clone"] {
        let mut agent = world.start_agent_on("edge-1", data);
        world.wait_drained(data);
        agent.kill();
    }
    let listed = world.listed("edge-1", "logs");
    let mut lines: Vec<_> = listed.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    assert_same(&lines.concat(), b"common\nof the clone\nof the first\n");
}
