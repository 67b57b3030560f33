//! New keys for agents that run: agreed on in their sessions, carried there as files, and forgotten by restored hubs.

use std::fs;

use serde_json::Value;

use crate::world::{World, numbered_lines, wait_for};

impl World {
    fn key(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Key ids the hub knows of an agent.
    fn keys(&self, name: &str) -> Vec<String> {
        let shown = self.show_agent(name);
        let id = |key: &Value| key["key_id"].as_str().unwrap().to_owned();
        shown["keys"].as_array().unwrap().iter().map(id).collect()
    }

    /// Waits until the agent has another key than `old`, and the hub no other.
    fn wait_rotated(&self, name: &str, old: &str) -> String {
        wait_for("the key to be rotated", || {
            let new = self.key(&format!("{name}.key"));
            let id = new.split('.').nth(3)?.to_owned();
            (new != old && self.keys(name) == [id]).then_some(new)
        })
    }

    fn copy_hub(&self, to: &str) {
        fs::create_dir(self.path(to)).unwrap();
        for entry in fs::read_dir(self.path("hub")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), self.path(to).join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_running_agent_gets_a_new_key_and_goes_on() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let first = world.key("edge-1.key");
    let _agent = world.start_agent_with("edge-1", "edge-1", &world.soon());
    world.wait_state("edge-1", "connected");
    let lines = numbered_lines(20);
    world.emit("edge-1", "events", &lines);
    let mut before = first.clone();
    // Through the API, and by another process in the hub's folder.
    for place in [world.remote(), "--data hub".to_owned()] {
        world.run(&format!("hub agent rotate edge-1 --overlap 1d {place}"));
        let after = world.wait_rotated("edge-1", &before);
        assert_eq!(world.key("edge-1.key.previous"), before);
        world.wait_state("edge-1", "connected");
        world.emit("edge-1", "events", &lines);
        world.wait_drained("edge-1");
        before = after;
    }
    let shown = world.show_agent("edge-1");
    assert_eq!(shown["rotation_asked_at_ms"], Value::Null, "{shown}");
    assert_eq!(world.listed("edge-1", "events"), lines.repeat(3));
    let rotated = ["rotation_asked", "key_issued", "key_deleted", "key_rotated"];
    let expected = [["agent_added", "key_issued"].as_slice(), &rotated, &rotated].concat();
    assert_eq!(world.audit("edge-1"), expected);
    // The first key opens nothing any more.
    fs::write(world.path("thief.key"), first).unwrap();
    let _thief = world.start_agent_with("thief", "thief", &world.soon());
    let refused = wait_for("the thief to be refused", || {
        world.status("thief").filter(|status| status["last_error"]["code"] == "key_unknown")
    });
    assert_eq!(refused["counters"]["registrations"], 0);
}

/// The hub hears of what its API did once more, from the audit.
#[test]
fn a_rotation_that_is_done_is_not_begun_again() {
    let mut world = World::new();
    let _hub = world.start_hub();
    for name in ["edge-1", "edge-2"] {
        world.add_agent(name);
    }
    let first = world.key("edge-1.key");
    let _agent = world.start_agent_with("edge-1", "edge-1", &world.soon());
    let _other = world.start_agent_with("edge-2", "edge-2", &world.soon());
    for name in ["edge-1", "edge-2"] {
        world.wait_state(name, "connected");
    }
    world.run(&format!("hub agent rotate edge-1 {}", world.remote()));
    let rotated = world.wait_rotated("edge-1", &first);
    // Who hears of this has read everything before it.
    world.run("hub agent revoke edge-2 --data hub");
    world.wait_state("edge-2", "revoked");
    world.emit("edge-1", "events", &numbered_lines(5));
    world.wait_drained("edge-1");
    assert_eq!(world.key("edge-1.key"), rotated);
    assert_eq!(world.key("edge-1.key.previous"), first);
}

#[test]
fn an_agent_that_was_away_is_asked_when_it_comes() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    world.start_agent("edge-1").terminate();
    world.run(&format!("hub agent rotate edge-1 {}", world.remote()));
    let first = world.key("edge-1.key");
    assert_ne!(world.show_agent("edge-1")["rotation_asked_at_ms"], Value::Null);
    let _agent = world.start_agent_with("edge-1", "edge-1", &world.soon());
    world.wait_rotated("edge-1", &first);
}

#[test]
fn a_key_that_is_carried_there_as_a_file_takes_the_old_ones_place() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let agent = world.start_agent_with("edge-1", "edge-1", &world.soon());
    world.wait_state("edge-1", "connected");
    drop(agent);
    world.run(&format!("hub agent rotate edge-1 --key-out next.key {}", world.remote()));
    let (exit, said) = world.fail(&format!("hub agent rotate edge-1 --key-out next.key {}", world.remote()));
    assert!(exit == 74 && said.contains("not overwritten"), "{exit} {said}");
    let first = world.key("edge-1.key");
    assert_eq!(world.keys("edge-1").len(), 2);
    fs::rename(world.path("next.key"), world.path("edge-1.key")).unwrap();
    let _agent = world.start_agent_with("edge-1", "edge-1", &world.soon());
    world.wait_rotated("edge-1", &first);
}

#[test]
fn a_hub_restored_from_before_a_rotation_is_reached_with_the_previous_key() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let first = world.key("edge-1.key");
    let _agent = world.start_agent_with("edge-1", "edge-1", &world.soon());
    world.emit("edge-1", "events", &numbered_lines(5));
    world.wait_drained("edge-1");
    hub.terminate();
    world.copy_hub("backup");
    let mut hub = world.start_hub();
    world.run(&format!("hub agent rotate edge-1 {}", world.remote()));
    let second = world.wait_rotated("edge-1", &first);
    world.wait_state("edge-1", "connected");
    hub.terminate();
    fs::remove_dir_all(world.path("hub")).unwrap();
    fs::rename(world.path("backup"), world.path("hub")).unwrap();
    let _hub = world.start_hub();
    world.emit("edge-1", "logs", &numbered_lines(7));
    world.wait_drained("edge-1");
    assert_eq!(world.listed("edge-1", "logs"), numbered_lines(7));
    assert_eq!(world.keys("edge-1"), ["k1"], "the hub knows nothing of the other");
    assert_eq!(
        world.key("edge-1.key"),
        second,
        "nothing is stored for what a hub said before the keys agreed"
    );
    // The operator rotates again, as the runbook has it.
    world.run(&format!("hub agent rotate edge-1 {}", world.remote()));
    let third = world.wait_rotated("edge-1", &second);
    assert_eq!(world.key("edge-1.key.previous"), first, "the key that this hub is known to take");
    assert_ne!(third, second);
}
