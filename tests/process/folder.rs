//! Data folders that were cloned, wiped or restored: each delivers what it holds, and the hub says what it saw.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::world::{World, assert_same, wait_for};

fn copy(from: &Path, to: &Path) {
    assert!(is_copied(from, to));
}

/// Whether all of it was there until it was copied.
fn is_copied(from: &Path, to: &Path) -> bool {
    Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success()
}

/// The lines of a text, sorted.
fn sorted(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines.concat()
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
    assert_same(&sorted(&world.listed("edge-1", "logs")), b"four\none\nthree\ntwo\n");
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
    assert_same(&sorted(&world.listed("edge-1", "logs")), b"common\nof the clone\nof the first\n");
}

#[test]
fn two_clones_that_take_turns_lose_nothing_and_the_hub_saw_each_process() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    hub.kill();
    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"common\n");
    agent.kill();
    copy(&world.path("edge-1"), &world.path("clone"));

    let mut expected = b"common\n".to_vec();
    for turn in 1..=3 {
        for data in ["edge-1", "clone"] {
            // What is emitted while the hub is away waits in this folder while the other one delivers.
            let mut agent = world.start_agent_on("edge-1", data);
            let away = format!("{data} turn {turn} away\n");
            world.emit(data, "logs", away.as_bytes());
            agent.kill();
            expected.extend(away.into_bytes());
        }
        let mut hub = world.start_hub();
        for data in ["clone", "edge-1"] {
            let mut agent = world.start_agent_on("edge-1", data);
            let here = format!("{data} turn {turn} here\n");
            world.emit(data, "logs", here.as_bytes());
            world.wait_drained(data);
            agent.kill();
            expected.extend(here.into_bytes());
        }
        hub.kill();
    }

    let _hub = world.start_hub();
    assert_same(&sorted(&world.listed("edge-1", "logs")), &sorted(&expected));
    let shown = world.show_agent("edge-1");
    assert_eq!(shown["instances"].as_array().unwrap().len(), 6, "two folders, three turns each: {shown}");
    let streams: BTreeSet<_> =
        shown["streams"].as_array().unwrap().iter().map(|stream| stream["epoch"].to_string()).collect();
    assert!(streams.len() >= 12, "every opening has epochs of its own: {shown}");
    assert_eq!(shown["alarms"].as_array().map(Vec::len), Some(0), "nothing was lost: {shown}");
}

#[test]
fn a_folder_rolled_back_behind_the_hub_is_noticed_and_delivers_what_it_holds() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"one\n");
    world.wait_drained("edge-1");
    // As an image of the disk would have it: taken while the agent runs.
    wait_for("a copy from which nothing went meanwhile", || {
        let _none = std::fs::remove_dir_all(world.path("image"));
        is_copied(&world.path("edge-1"), &world.path("image")).then_some(())
    });
    world.emit("edge-1", "logs", b"two\nthree\n");
    world.wait_drained("edge-1");
    agent.kill();

    let _agent = world.start_agent_on("edge-1", "image");
    world.emit("image", "logs", b"four\n");
    world.wait_drained("image");
    // The image may not know yet that `one` was acked: then it comes again, under the new epoch's number.
    let listed = world.listed("edge-1", "logs");
    let lines: BTreeSet<_> = listed.split_inclusive(|byte| *byte == b'\n').collect();
    assert_same(&lines.into_iter().collect::<Vec<_>>().concat(), b"four\none\nthree\ntwo\n");
    let alarms = world.show_agent("edge-1")["alarms"].to_string();
    assert!(alarms.contains("rolled_back"), "{alarms}");
}

#[test]
fn a_hub_restored_from_a_backup_shows_what_it_lost() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let _agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"one\n");
    world.wait_drained("edge-1");
    hub.terminate();
    copy(&world.path("hub"), &world.path("backup"));
    let mut hub = world.start_hub();
    world.emit("edge-1", "logs", b"two\nthree\n");
    world.wait_drained("edge-1");
    hub.terminate();

    std::fs::remove_dir_all(world.path("hub")).unwrap();
    std::fs::rename(world.path("backup"), world.path("hub")).unwrap();
    let _hub = world.start_hub();
    world.emit("edge-1", "logs", b"four\n");
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), b"one\nfour\n");
    let gaps: Vec<_> =
        world.listed_objects("edge-1").into_iter().filter(|object| object["gap"].is_object()).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["gap"]["reason"], "hub_lost");
    assert_eq!((&gaps[0]["gap"]["from"], &gaps[0]["gap"]["to"]), (&2.into(), &3.into()));
    let alarms = world.show_agent("edge-1")["alarms"].to_string();
    assert!(alarms.contains("hub_lost"), "{alarms}");
}
