//! Damaged files under an agent: it starts, delivers what is sound, and the hub shows what is lost and why.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::{World, assert_same, numbered_lines};

/// A folder with a backlog that no hub has heard of.
fn backlog(world: &mut World) -> Vec<u8> {
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    hub.kill();
    let mut agent = world.start_agent("edge-1");
    let lines = numbered_lines(5000);
    world.emit("edge-1", "logs", &lines);
    agent.kill();
    lines
}

fn data_file(folder: &Path) -> PathBuf {
    let mut names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("logs-")).unwrap().join("db")
}

fn one<'a>(view: &'a Value, list: &str) -> &'a Value {
    let list = view[list].as_array().unwrap();
    assert_eq!(list.len(), 1, "{view}");
    &list[0]
}

#[test]
fn a_damaged_block_is_a_gap_that_the_hub_shows_with_its_reason_and_the_rest_arrives() {
    let mut world = World::new();
    let lines = backlog(&mut world);
    let file = data_file(&world.path("edge-1/outbox"));
    let mut bytes = std::fs::read(&file).unwrap();
    // The third block's body, whichever copy of it comes first; every other copy too.
    let starts: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"OPBK")).collect();
    // Behind magic, version, lane, flags and length: epoch and first number.
    let key = |bytes: &[u8], at: usize| bytes[at + 12..at + 28].to_vec();
    let hit = key(&bytes, starts[2]);
    for at in starts.into_iter().filter(|at| key(&bytes, *at) == hit).collect::<Vec<_>>() {
        bytes[at + 100] ^= 1;
    }
    std::fs::write(&file, bytes).unwrap();

    let _hub = world.start_hub();
    let _agent = world.start_agent("edge-1");
    world.wait_drained("edge-1");
    let shown = world.show_agent("edge-1");
    let (gap, loss) = (one(&shown, "gaps"), one(&shown, "losses"));
    assert_eq!((gap["reason"].as_str(), loss["reason"].as_str()), (Some("corrupt"), Some("quarantined")));
    assert!(shown["alarms"].to_string().contains("quarantined"), "{shown}");
    let (from, to) = (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap());
    assert!(loss["from"].as_u64().unwrap() <= from && to <= loss["to"].as_u64().unwrap(), "{shown}");
    let listed = world.listed_objects("edge-1");
    let gaps: Vec<_> = listed.iter().filter(|object| object["gap"].is_object()).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((&gaps[0]["gap"]["from"], &gaps[0]["gap"]["reason"]), (&from.into(), &"corrupt".into()));
    let sound = lines.split_inclusive(|byte| *byte == b'\n').zip(1..);
    let sound: Vec<u8> =
        sound.filter(|(_, seq)| !(from..=to).contains(seq)).flat_map(|(line, _)| line.to_vec()).collect();
    assert_same(&world.listed("edge-1", "logs"), &sound);
}

#[test]
fn an_agent_whose_core_is_gone_starts_delivers_its_backlog_and_tells_the_hub() {
    let mut world = World::new();
    let lines = backlog(&mut world);
    std::fs::remove_dir_all(world.path("edge-1/outbox/core")).unwrap();
    std::fs::write(world.path("edge-1/outbox/FORMAT"), b"not a format").unwrap();
    let _hub = world.start_hub();
    let _agent = world.start_agent("edge-1");
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), &lines);
    let shown = world.show_agent("edge-1");
    assert_eq!(one(&shown, "losses")["reason"], "core_lost", "{shown}");
}
