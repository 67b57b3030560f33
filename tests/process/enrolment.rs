//! Machines that enrol with an invite: once, whatever is lost or tried besides.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::world::{World, numbered_lines};

impl World {
    /// Invites an agent through the API; its token is in NAME.token then.
    pub(crate) fn invite(&self, name: &str, flags: &str) -> String {
        let output = self.run(&format!("hub agent invite {name} {flags} {}", self.remote()));
        let token = String::from_utf8(output).unwrap();
        std::fs::write(self.path(&format!("{name}.token")), &token).unwrap();
        token
    }

    /// Enrols the folder `data` with NAME.token.
    pub(crate) fn enroll(&self, name: &str, data: &str) -> Value {
        let output = self.run(&self.enroll_words(&self.hub_url(), name, data));
        serde_json::from_slice(&output).unwrap()
    }

    fn enroll_words(&self, url: &str, name: &str, data: &str) -> String {
        format!("agent enroll --json --hub {url} --token-file {name}.token --data {data}")
    }

    /// What is done with an agent's keys, in order.
    pub(crate) fn audit(&self, name: &str) -> Vec<String> {
        let output = self.run(&format!("hub agent audit {name} --json {}", self.remote()));
        let lines = String::from_utf8(output).unwrap();
        let entry = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        lines.lines().map(|line| entry(line)["action"].as_str().unwrap().to_owned()).collect()
    }

    fn counter(&self, name: &str) -> Value {
        self.hub_status()["counters"][name].clone()
    }
}

#[test]
fn an_invited_machine_makes_its_own_identity_and_delivers() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.invite("edge-1", "--expires 1h");
    let enrolled = world.enroll("edge-1", "edge-1");
    assert_eq!((&enrolled["name"], enrolled["id"].as_str().map(str::len)), (&"edge-1".into(), Some(32)));
    for (file, mode) in [("edge-1", 0o700), ("edge-1/agent.key", 0o600), ("edge-1/agent.identity", 0o600)] {
        let found = std::fs::metadata(world.path(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }
    let _agent = world.run_agent("edge-1", "");
    world.emit("edge-1", "events", &numbered_lines(10));
    world.wait_drained("edge-1");
    assert_eq!(world.listed("edge-1", "events"), numbered_lines(10));
    let shown = world.show_agent("edge-1");
    assert_eq!((&shown["id"], &shown["public_key"]), (&enrolled["id"], &true.into()));
    let expected = ["agent_invited", "invite_claimed", "key_issued", "agent_enrolled"];
    assert_eq!(world.audit("edge-1"), expected);
}

#[test]
fn an_answer_that_is_lost_does_not_lock_the_machine_out() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.invite("edge-1", "");
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let through = format!("http://{}", proxy.local_addr().unwrap());
    let hub: String = world.hub_url().trim_start_matches("http://").to_owned();
    let cut = std::thread::spawn(move || cut_off_the_answer(&proxy, &hub));
    let (exit, said) = world.fail(&world.enroll_words(&through, "edge-1", "edge-1"));
    assert_eq!(exit, 69, "{said}");
    assert!(cut.join().unwrap() > 0, "the hub had answered");
    assert!(!world.path("edge-1/agent.key").exists());
    let identity = std::fs::read(world.path("edge-1/agent.identity")).unwrap();
    world.enroll("edge-1", "edge-1");
    assert_eq!(std::fs::read(world.path("edge-1/agent.identity")).unwrap(), identity);
    assert_eq!(world.audit("edge-1"), ["agent_invited", "invite_claimed", "key_issued"]);
    let _agent = world.run_agent("edge-1", "");
    world.emit("edge-1", "events", &numbered_lines(3));
    world.wait_drained("edge-1");
}

/// Passes one request on, and keeps the answer; how long that was.
fn cut_off_the_answer(proxy: &TcpListener, hub: &str) -> usize {
    let (mut client, _) = proxy.accept().unwrap();
    let mut server = TcpStream::connect(hub).unwrap();
    let mut asked = Vec::new();
    let mut piece = [0; 4096];
    while !asked.ends_with(b"}") {
        let count = client.read(&mut piece).unwrap();
        assert!(count > 0, "the request broke off");
        asked.extend_from_slice(&piece[..count]);
        server.write_all(&piece[..count]).unwrap();
    }
    server.read(&mut piece).unwrap()
}

#[test]
fn an_invite_that_was_used_is_over_is_cut_or_of_another_hub_lets_nobody_in() {
    let (mut world, mut other) = (World::new(), World::new());
    let (_hub, _other_hub) = (world.start_hub(), other.start_hub());
    let token = world.invite("edge-1", "");
    world.enroll("edge-1", "first");
    let refused = |data: &str, exit: i32, reason: &str| {
        let (found, said) = world.fail(&world.enroll_words(&world.hub_url(), "edge-1", data));
        assert!(said.contains(reason), "{said}");
        assert_eq!(found, exit, "{said}");
        assert!(!said.contains(token.trim().rsplit('.').next().unwrap()), "{said}");
        assert!(!world.path(data).join("agent.key").exists());
    };
    refused("second", 77, "was used already");
    let write = |text: &str| std::fs::write(world.path("edge-1.token"), text).unwrap();
    write(&token[..token.len() - 5]);
    refused("second", 1, "cut off");
    write("opt1.");
    refused("second", 1, "malformed");
    write("");
    refused("second", 1, "not an invite");
    write(&other.invite("edge-1", ""));
    refused("second", 77, "the invite is for hub");
    let mut unknown = token.trim().to_owned();
    let last = if unknown.ends_with('A') { "E" } else { "A" };
    unknown.replace_range(unknown.len() - 1.., last);
    write(&unknown);
    refused("second", 77, "does not know the invite");
    world.invite("edge-1", "--expires 1ms");
    refused("second", 77, "time is over");
    // Nothing that was refused changed anything: the first one still comes in.
    let _agent = world.run_agent("first", "");
    world.emit("first", "events", &numbered_lines(3));
    world.wait_drained("first");
    let failed = world.counter("enroll_failed");
    let expected =
        serde_json::json!({"invite_used": 1, "wrong_hub": 1, "invite_unknown": 1, "invite_expired": 1});
    assert_eq!(failed, expected);
    assert_eq!(world.counter("enrolled"), 1);
}

#[test]
fn plain_text_goes_no_further_than_it_may_and_a_folder_keeps_its_key() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.invite("edge-1", "");
    for (url, reason) in [("http://hub.example", "allow_insecure"), ("ftp://127.0.0.1", "ftp")] {
        let (exit, said) = world.fail(&world.enroll_words(url, "edge-1", "edge-1"));
        assert!(exit == 78 && said.contains(reason), "{exit} {said}");
    }
    assert!(!world.path("edge-1").exists(), "nothing is made for an address that cannot be used");
    world.enroll("edge-1", "edge-1");
    let key = std::fs::read(world.path("edge-1/agent.key")).unwrap();
    world.invite("edge-2", "");
    let (exit, said) = world.fail(&world.enroll_words(&world.hub_url(), "edge-2", "edge-1"));
    assert!(exit == 73 && said.contains("another folder"), "{exit} {said}");
    assert_eq!(std::fs::read(world.path("edge-1/agent.key")).unwrap(), key);
}
