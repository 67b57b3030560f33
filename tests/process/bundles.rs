//! A site that never gets a link: records leave as a file, acks come back as one.

use serde_json::Value;

use crate::world::{World, assert_same, numbered_lines, wait_for};

impl World {
    /// Appends lines to the outbox of a stopped agent.
    fn emit_stopped(&self, data: &str, lane: &str, input: &[u8]) {
        std::fs::write(self.path("input"), input).unwrap();
        let stdin = std::fs::File::open(self.path("input")).unwrap();
        let mut command = self.command(&format!("emit --lane {lane} --data {data}"));
        assert!(command.stdin(stdin).stdout(std::process::Stdio::null()).status().unwrap().success());
    }

    /// Runs a command that must succeed; the object it prints.
    fn object(&self, words: &str) -> Value {
        serde_json::from_slice(&self.run(&format!("{words} --json"))).unwrap()
    }

    fn unacked(&self, place: &str) -> u64 {
        let stat = self.object(&format!("outbox stat {place}"));
        stat["lanes"].as_object().unwrap().values().map(|lane| lane["records"].as_u64().unwrap()).sum()
    }

    /// An agent that is known to the hub, with its key where a stopped one looks for it.
    fn add_site(&self, name: &str) {
        std::fs::create_dir(self.path(name)).unwrap();
        self.add_agent(name);
        std::fs::copy(self.path(&format!("{name}.key")), self.path(&format!("{name}/agent.key"))).unwrap();
    }
}

#[test]
fn a_stopped_agent_and_a_stopped_hub_exchange_files() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_site("site");
    hub.terminate();
    let lines = numbered_lines(1000);
    world.emit_stopped("site", "logs", &lines);
    world.emit_stopped("site", "events", b"an event\n");
    let exported = world.object("outbox export bundle --data site");
    assert_eq!((&exported["records"], &exported["gaps"]), (&1001.into(), &0.into()), "{exported}");
    assert_eq!(world.unacked("--data site"), 1001, "records stay until they are acked");
    let (code, said) = world.fail("outbox export bundle --data site");
    assert!(code == 74 && said.contains("not overwritten"), "{code} {said}");
    let imported = world.object("hub import bundle --data hub --ack-out acks");
    assert_eq!((&imported["records"], &imported["agent"]), (&1001.into(), &"site".into()), "{imported}");
    let again = world.run("hub import bundle --data hub --ack-out acks-again");
    assert!(String::from_utf8_lossy(&again).contains("nothing new"));
    assert_eq!(std::fs::read(world.path("acks")).unwrap(), std::fs::read(world.path("acks-again")).unwrap());
    let acked = world.object("outbox ack acks --data site");
    assert_eq!(acked["records"], 1001, "{acked}");
    assert_eq!(world.unacked("--data site"), 0);
    let late = world.run("outbox ack acks --data site");
    assert!(String::from_utf8_lossy(&late).contains("nothing new"), "an old file has no effect");
    let empty = world.object("outbox export other --data site");
    assert!(empty["bundle"].is_null() && !world.path("other").exists(), "{empty}");
    let _hub = world.start_hub();
    assert_same(&world.listed("site", "logs"), &lines);
    let (code, said) = world.fail("hub import bundle --data hub --ack-out acks");
    assert!(code == 73 && said.contains("in use"), "{code} {said}");
}

#[test]
fn a_running_agent_exports_encrypted_to_a_running_hub_and_the_link_goes_on_behind() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("site");
    let mut agent = world.start_agent_with("site", "site", "--no-link");
    let lines = numbered_lines(300);
    world.emit("site", "logs", &lines);
    let identity = outpost::age::Identity::new([7; 32]);
    std::fs::write(world.path("identity"), format!("# key\n{}\n", identity.to_text().expose())).unwrap();
    let other = outpost::age::Identity::new([8; 32]);
    std::fs::write(world.path("other"), format!("{}\n", other.to_text().expose())).unwrap();
    let recipient = identity.recipient();
    world.run(&format!("outbox export bundle --encrypt-to {recipient} --socket site.sock"));
    let file = std::fs::read(world.path("bundle")).unwrap();
    assert!(file.starts_with(b"age-encryption.org/v1\n") && !file.windows(6).any(|bytes| bytes == b"line 2"));
    let import = format!("hub import bundle --ack-out acks {}", world.remote());
    let (code, said) = world.fail(&import);
    assert!(code == 1 && said.contains("--identity"), "{code} {said}");
    let (code, said) = world.fail(&format!("{import} --identity other"));
    assert!(code == 77 && said.contains("somebody else"), "{code} {said}");
    assert!(!world.path("acks").exists());
    let imported = world.object(&format!("{import} --identity identity"));
    assert_eq!(imported["records"], 300, "{imported}");
    assert_same(&world.listed("site", "logs"), &lines);
    // More comes before the acks do: only what was in the bundle is acked.
    world.emit("site", "logs", b"one more\n");
    world.run("outbox ack acks --socket site.sock");
    assert_eq!(world.waiting("site"), Some(1));
    // The second bundle goes on where the first ended; then the same agent gets a link after all.
    world.run("outbox export second --socket site.sock");
    world.run(&format!("hub import second --ack-out acks {}", world.remote()));
    world.emit("site", "logs", b"and another\n");
    agent.terminate();
    let _agent = world.start_agent("site");
    world.wait_drained("site");
    let all = [lines.as_slice(), b"one more\nand another\n"].concat();
    assert_same(&world.listed("site", "logs"), &all);
}

#[test]
fn bundles_out_of_order_and_acks_of_others_are_refused_with_what_to_do() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_site("site");
    world.add_site("other");
    let agent = world.start_agent_with("site", "site", "--no-link");
    world.emit("site", "logs", b"first\n");
    world.run("outbox export first --socket site.sock");
    let import = |name: &str| format!("hub import {name} --ack-out acks-{name} {}", world.remote());
    // Acked behind the hub's back, as with a bundle that went to a hub that was then restored.
    let mut copy = std::process::Command::new("cp");
    copy.arg("-r").arg(world.path("hub")).arg(world.path("hub-before"));
    assert!(copy.status().unwrap().success());
    world.run(&import("first"));
    world.run("outbox ack acks-first --socket site.sock");
    world.emit("site", "logs", b"second\n");
    world.run("outbox export second --socket site.sock");
    let (code, said) = world.fail("hub import second --ack-out acks-second --data hub-before");
    assert!(code == 1 && said.contains("earlier bundle missing"), "{code} {said}");
    world.run("hub import first --ack-out acks-first --data hub-before");
    world.run("hub import second --ack-out acks-second --data hub-before");
    world.run(&import("second"));
    // Another agent's acks, damaged ones, and something else altogether.
    world.emit_stopped("other", "logs", b"of another\n");
    let (code, said) = world.fail("outbox ack acks-second --data other");
    assert!(code == 77 && said.contains("is for agent"), "{code} {said}");
    let mut acks = std::fs::read(world.path("acks-second")).unwrap();
    let middle = acks.len() / 2 + 20;
    acks[middle] ^= 1;
    std::fs::write(world.path("damaged"), &acks).unwrap();
    for (file, expected) in [("damaged", "ack file"), ("site.key", "not an ack file")] {
        let (code, said) = world.fail(&format!("outbox ack {file} --socket site.sock"));
        assert!(code == 77 && said.contains(expected), "{code} {said}");
    }
    assert_eq!(world.waiting("site"), Some(1), "nothing was acked");
    let (code, said) = world.fail(&format!("hub import second --ack-out site.key {}", world.remote()));
    assert!(code == 74 && said.contains("not overwritten"), "{code} {said}");
    drop(agent);
}

#[test]
fn without_a_key_there_is_no_bundle_and_no_half_file() {
    let world = World::new();
    world.emit_stopped("site", "logs", b"a line\n");
    let (code, said) = world.fail("outbox export bundle --data site");
    assert!(code == 78 && said.contains("needs the agent's key"), "{code} {said}");
    assert!(!world.path("bundle").exists());
    let left = std::fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().ends_with(".new")));
}

#[test]
fn a_record_is_shown_with_its_parts_joined() {
    let world = World::new();
    let long = vec![b'x'; 40_000];
    world.emit_stopped("site", "logs", &[b"short\n".as_slice(), &long, b"\n\xff\xfe\n"].concat());
    let first = world.object("outbox ls --data site")["epoch"].as_str().unwrap().to_owned();
    let shown = |seq: u64| world.object(&format!("outbox show logs/{first}/{seq} --data site"));
    assert_eq!(shown(1)["text"], "short");
    for seq in 2..=5 {
        let record = shown(seq);
        assert_eq!(record["text"].as_str().unwrap().len(), 40_000, "by any of its parts");
        assert_eq!((&record["parts"], &record["seq"]), (&4.into(), &2.into()), "{}", record["seq"]);
    }
    assert_eq!(shown(6)["base64"], "//4=");
    let (code, said) = world.fail(&format!("outbox show logs/{first}/7 --data site"));
    assert!(code == 1 && said.contains("not in the outbox"), "{code} {said}");
    let _agent = world.start_agent_with("site", "site", "--no-link");
    wait_for("the agent", || world.status("site"));
    let said = world.run(&format!("outbox show logs/{first}/1 --socket site.sock"));
    assert_eq!(said, b"short\n");
}

#[test]
fn verify_finds_damage_beside_a_running_agent_and_in_a_stopped_folder() {
    let world = World::new();
    let mut agent = world.start_agent_with("site", "site", "--no-link");
    world.emit("site", "logs", &numbered_lines(20_000));
    let sound = world.object("outbox verify --socket site.sock");
    assert!(sound["records"].as_u64().unwrap() >= 20_000 && sound["problems"] == 0, "{sound}");
    agent.kill();
    let outbox = world.path("site/outbox");
    let names = std::fs::read_dir(&outbox).unwrap().map(|entry| entry.unwrap().file_name());
    let logs = names.map(|name| name.into_string().unwrap()).find(|name| name.starts_with("logs-")).unwrap();
    let database = outbox.join(&logs).join("db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 4;
    bytes[middle..middle + 8192].fill(0);
    std::fs::write(&database, bytes).unwrap();
    let (code, said) = world.fail("outbox verify --data site");
    assert!(code == 1 && said.contains("1 places are damaged"), "{code} {said}");
    assert!(outbox.join(&logs).exists(), "nothing is set aside for it");
    let _agent = world.start_agent_with("site", "site", "--no-link");
    let output = world.command("outbox verify --json --socket site.sock").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let first = String::from_utf8(output.stdout).unwrap().lines().next().unwrap().to_owned();
    let problem: Value = serde_json::from_str(&first).unwrap();
    assert!(problem["lane"] == "logs" && problem["from"].as_u64() > Some(1), "{problem}");
}

#[test]
fn an_encrypted_outbox_exports_and_a_wrong_key_is_told_before_anything_happens() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_site("site");
    std::fs::write(world.path("agent.toml"), "[outbox]\nkey_file = \"outbox.key\"\n").unwrap();
    std::fs::write(world.path("other.toml"), "[outbox]\nkey_file = \"other.key\"\n").unwrap();
    std::fs::write(world.path("input"), b"a secret line\n").unwrap();
    let stdin = std::fs::File::open(world.path("input")).unwrap();
    assert!(world.command("emit --data site --config agent.toml").stdin(stdin).status().unwrap().success());
    let (code, said) = world.fail("outbox stat --data site");
    assert!(code == 78 && said.contains("key_file"), "{code} {said}");
    world.run("emit --data other --config other.toml");
    let (code, said) = world.fail("outbox stat --data site --config other.toml");
    assert!(code == 78 && said.contains("other.key"), "{code} {said}");
    world.run("outbox export bundle --data site --config agent.toml");
    world.run(&format!("hub import bundle --ack-out acks {}", world.remote()));
    assert_same(&world.listed("site", "logs"), b"a secret line\n");
    world.run("outbox ack acks --data site --config agent.toml");
    assert_eq!(world.unacked("--data site --config agent.toml"), 0);
}
