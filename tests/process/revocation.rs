//! Agents that are revoked: at once, and not for ever where they are welcome again.

use serde_json::Value;

use crate::world::{World, numbered_lines, wait_for};

/// Delays of an agent that nobody would wait for in a test.
const SOON: &str = "[reconnect]\nmin = \"50ms\"\nmax = \"200ms\"\nfast = \"20ms\"\n";

impl World {
    /// Waits until a running agent says that its link is so.
    pub(crate) fn wait_state(&self, data: &str, state: &str) -> Value {
        wait_for(&format!("{data} to be {state}"), || {
            self.status(data).filter(|status| status["state"] == state)
        })
    }

    /// The flag for a config that reconnects soon.
    pub(crate) fn soon(&self) -> String {
        std::fs::write(self.path("soon.toml"), SOON).unwrap();
        "--config soon.toml".to_owned()
    }
}

#[test]
fn an_agent_revoked_while_offline_keeps_its_outbox_and_delivers_once_it_is_enrolled_again() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.invite("edge-1", "");
    let enrolled = world.enroll("edge-1", "edge-1");
    let agent = world.run_agent("edge-1", &world.soon());
    let lines = numbered_lines(400);
    let half = lines.len() / 2 + lines[lines.len() / 2..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    world.emit("edge-1", "events", &lines[..half]);
    world.wait_drained("edge-1");
    hub.kill();
    world.emit("edge-1", "events", &lines[half..]);
    let waiting = world.waiting("edge-1");
    world.run("hub agent revoke edge-1 --data hub");
    let _hub = world.start_hub();
    let status = world.wait_state("edge-1", "revoked");
    assert_eq!(
        (&status["last_error"]["code"], &status["last_error"]["verified"]),
        (&"revoked".into(), &false.into())
    );
    assert_eq!(world.waiting("edge-1"), waiting);
    assert_eq!(world.listed("edge-1", "events"), &lines[..half]);
    assert_eq!(world.show_agent("edge-1")["state"], "revoked");
    let (exit, said) = world.fail(&format!("hub agent rotate edge-1 {}", world.remote()));
    assert!(exit == 1 && said.contains("hub agent invite edge-1"), "{exit} {said}");

    world.invite("edge-1", "");
    let again = world.enroll("edge-1", "edge-1");
    assert_eq!(again["id"], enrolled["id"]);
    world.wait_drained("edge-1");
    world.wait_state("edge-1", "connected");
    assert_eq!(world.listed("edge-1", "events"), lines);
    let shown = world.show_agent("edge-1");
    assert_eq!((&shown["id"], &shown["state"]), (&enrolled["id"], &"active".into()));
    assert_eq!(shown["keys"].as_array().unwrap().len(), 1, "{shown}");
    drop(agent);
}

#[test]
fn revocation_ends_the_live_session_whichever_process_does_it() {
    let mut world = World::new();
    let _hub = world.start_hub();
    for (name, place) in [("edge-1", world.remote()), ("edge-2", "--data hub".to_owned())] {
        world.add_agent(name);
        let agent = world.start_agent_with(name, name, &world.soon());
        world.wait_state(name, "connected");
        world.run(&format!("hub agent revoke {name} {place}"));
        let status = world.wait_state(name, "revoked");
        assert_eq!(status["last_error"]["code"], "revoked", "{status}");
        let shown = world.show_agent(name);
        assert_eq!((&shown["connected"], &shown["state"]), (&false.into(), &"revoked".into()));
        world.emit(name, "events", &numbered_lines(5));
        assert_eq!(world.waiting(name), Some(5));
        drop(agent);
    }
}
