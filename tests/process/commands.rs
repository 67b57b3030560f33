//! Commands as a person gives them: what they do, and what they say where they cannot.

use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, assert_same, wait_for};

fn assert_fails(world: &World, words: &str, exit: i32, says: &[&str]) {
    let (found, said) = world.fail(words);
    assert_eq!(found, exit, "`outpost {words}` said: {said}");
    for part in says {
        assert!(said.contains(part), "`outpost {words}` does not say `{part}` but: {said}");
    }
}

#[test]
fn agents_are_added_beside_a_running_hub_and_through_its_api() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    world.run(&format!("hub agent add edge-2 --key-out edge-2.key {}", world.remote()));
    for name in ["edge-1", "edge-2"] {
        let mode = std::fs::metadata(world.path(&format!("{name}.key"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let _agent = world.start_agent(name);
        world.emit(name, "events", b"hello\n");
        world.wait_drained(name);
        assert_same(&world.listed(name, "events"), b"hello\n");
    }
    let listed = world.run(&format!("hub agent list --json {}", world.remote()));
    assert_eq!(listed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 2);

    let before = std::fs::read(world.path("edge-2.key")).unwrap();
    assert_fails(&world, "hub agent add edge-3 --data hub --key-out edge-2.key", 74, &["edge-2.key"]);
    assert_eq!(std::fs::read(world.path("edge-2.key")).unwrap(), before);
    assert_fails(&world, "hub agent add edge-2 --data hub --key-out other.key", 1, &["edge-2"]);
    assert!(!world.path("other.key").exists());
    assert_fails(&world, "hub agent add Edge --data hub", 64, &["agent name"]);
}

#[test]
fn a_removed_agent_keeps_its_records_and_says_why_it_is_not_connected() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let _agent = world.start_agent("edge-1");
    wait_for("the link", || world.status("edge-1").filter(|status| status["state"] == "connected"));
    world.run(&format!("hub agent remove edge-1 {}", world.remote()));
    wait_for("the refusal", || {
        world.status("edge-1").filter(|status| status["last_error"]["code"] == "unknown_agent")
    });
    world.emit("edge-1", "logs", b"kept\n");
    assert_eq!(world.waiting("edge-1"), Some(1));
}

#[test]
fn an_agent_with_a_bound_key_needs_its_identity() {
    let mut world = World::new();
    let _hub = world.start_hub();
    let made = String::from_utf8(world.run("agent keygen --out identity")).unwrap();
    assert_eq!(made.lines().count(), 2, "{made}");
    assert_fails(&world, "agent keygen --out identity", 74, &["identity"]);
    world.run("hub agent add edge-1 --data hub --key-out edge-1.key --public-key identity.pub");
    let mut without = world.start_agent("edge-1");
    wait_for("the refusal", || {
        world.status("edge-1").filter(|status| status["last_error"]["code"] == "bad_signature")
    });
    without.kill();
    let _agent = world.start_agent_with("edge-1", "edge-1", "--identity-file identity");
    world.emit("edge-1", "logs", b"signed\n");
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), b"signed\n");
    std::fs::write(world.path("bad.pub"), "opp1.AAAA").unwrap();
    assert_fails(&world, "hub agent add edge-2 --data hub --public-key bad.pub", 1, &["keygen"]);
}

#[test]
fn a_folder_in_use_names_its_holder_and_another_agents_folder_is_refused() {
    let mut world = World::new();
    let hub = world.start_hub();
    world.add_agent("edge-1");
    world.add_agent("edge-2");
    let mut agent = world.start_agent("edge-1");
    wait_for("the link", || world.status("edge-1").filter(|status| status["state"] == "connected"));
    let run = "agent run --data edge-1 --hub http://127.0.0.1:9 --socket other.sock --key-file";
    assert_fails(&world, &format!("{run} edge-1.key"), 73, &[&agent.id().to_string()]);
    assert_fails(&world, "hub run --data hub --listen 127.0.0.1:0", 73, &[&hub.id().to_string()]);
    agent.kill();
    let says = ["edge-1/outbox", "belongs to agent", "another data folder or the other key"];
    assert_fails(&world, &format!("{run} edge-2.key"), 73, &says);
}

#[test]
fn a_folder_of_a_newer_format_says_so_to_every_command() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    world.start_agent("edge-1").terminate();
    hub.terminate();
    let file = world.path("edge-1/outbox/FORMAT");
    let mut format = std::fs::read(&file).unwrap();
    // Eight bytes of magic, then the version, big-endian; the last four are the checksum of what is before them.
    format[11] = 9;
    format.truncate(format.len() - 4);
    let checksum = crc32c::crc32c(&format).to_be_bytes();
    format.extend_from_slice(&checksum);
    std::fs::write(&file, format).unwrap();
    let says = ["edge-1/outbox", "format 9", "knows up to 2", "install the newer program"];
    let run = "agent run --data edge-1 --hub http://127.0.0.1:9 --key-file edge-1.key";
    for words in [run, "emit --data edge-1", "outbox stat --data edge-1", "agent status --data edge-1"] {
        assert_fails(&world, words, 73, &says);
    }
}

#[test]
fn both_processes_stop_when_asked_and_say_so_with_their_exit_code() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent("edge-1");
    world.emit("edge-1", "logs", b"x\n");
    assert_eq!(agent.terminate(), Some(0));
    assert_eq!(hub.terminate(), Some(0));
}

#[test]
fn lines_are_taken_into_the_folder_where_no_agent_runs() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent_with("edge-1", "edge-1", "--no-link");
    agent.terminate();
    drop(agent);
    let mut child = world
        .command("emit --json --data edge-1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"offline\nno line end").unwrap();
    let receipt: serde_json::Value =
        serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(receipt["accepted"], 2, "{receipt}");
    let stat: serde_json::Value =
        serde_json::from_slice(&world.run("outbox stat --json --data edge-1")).unwrap();
    assert_eq!(stat["lanes"]["logs"]["records"], 2, "{stat}");
    let ranges = String::from_utf8(world.run("outbox ls --json --data edge-1")).unwrap();
    let range: serde_json::Value = serde_json::from_str(ranges.lines().next().unwrap()).unwrap();
    assert_eq!((&range["lane"], &range["count"]), (&"logs".into(), &2.into()), "{ranges}");

    let _agent = world.start_agent("edge-1");
    world.wait_drained("edge-1");
    assert_same(&world.listed("edge-1", "logs"), b"offline\nno line end\n");
}

#[test]
fn wrong_settings_and_missing_peers_end_with_their_exit_code() {
    let world = World::new();
    std::fs::write(world.path("agent.toml"), "[hub]\nurl = \"http://127.0.0.1\"\n").unwrap();
    std::fs::write(world.path("hub.toml"), "listen = \"nowhere\"\n").unwrap();
    std::fs::write(world.path("token"), "x\n").unwrap();
    let long = "x".repeat(120);
    assert_fails(&world, "agent run --config agent.toml", 78, &["agent.toml", "url"]);
    assert_fails(&world, "agent run --config missing.toml", 78, &["missing.toml", "check the path"]);
    std::fs::write(world.path("broken.toml"), "data = [\n").unwrap();
    std::fs::write(world.path("binary.toml"), b"\xff\xfe").unwrap();
    for words in ["agent run --config", "hub run --config", "config check"] {
        let correct = ["broken.toml", "unclosed array", "correct it"];
        assert_fails(&world, &format!("{words} broken.toml"), 78, &correct);
        assert_fails(
            &world,
            &format!("{words} binary.toml"),
            78,
            &["binary.toml", "UTF-8", "check the path"],
        );
        assert_fails(&world, &format!("{words} ."), 78, &["directory", "check the path"]);
    }
    assert_fails(&world, "agent run --hub ftp://example.com", 78, &["ftp"]);
    assert_fails(&world, "agent run --hub http://192.0.2.1:8440", 78, &["allow_insecure"]);
    assert_fails(&world, "config check agent.toml", 78, &["agent.toml", "url"]);
    assert_fails(&world, "config check hub.toml", 78, &["hub.toml", "listen"]);
    assert_fails(&world, "hub run --config hub.toml", 78, &["listen"]);
    let words = format!("agent run --hub http://127.0.0.1:9 --data data --socket {long}/agent.sock");
    assert_fails(&world, &words, 78, &["--socket", "107"]);
    let words = format!("agent run --hub http://127.0.0.1:9 --data {long}");
    assert_fails(&world, &words, 78, &["agent.sock", "--socket", "107"]);
    assert_fails(&world, &format!("emit --socket {long}"), 78, &["--socket", "107"]);
    assert_fails(&world, &format!("agent status --socket {long}"), 78, &["--socket", "107"]);
    assert_fails(&world, "agent run --nonsense", 64, &["--nonsense"]);
    assert_fails(&world, "emit --socket nobody.sock", 69, &["nobody.sock"]);
    assert_fails(&world, "hub agent list --data nothing", 73, &["hub run"]);
    assert_fails(
        &world,
        "records list --agent a --hub http://127.0.0.1:9 --token-file token",
        69,
        &["127.0.0.1:9"],
    );
}

#[test]
fn the_version_names_the_commit() {
    let world = World::new();
    let said = String::from_utf8(world.run("--version")).unwrap();
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words[..2], ["outpost", env!("CARGO_PKG_VERSION")]);
    assert!(words[2].starts_with('(') && words[2].len() >= 9, "{said}");
}

#[test]
fn a_flag_wins_over_the_environment() {
    let mut world = World::new();
    let _hub = world.start_hub();
    let list = |words: &str, variables: &[(&str, &str)]| {
        let output = world.command(words).envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let nowhere = [("OUTPOST_HUB", "http://127.0.0.1:9"), ("OUTPOST_TOKEN_FILE", "hub/admin.token")];
    assert_eq!(list("hub agent list --data hub", &nowhere), (Some(0), String::new()));
    assert_eq!(list(&format!("hub agent list {}", world.remote()), &nowhere), (Some(0), String::new()));
    let (exit, said) = list("hub agent list", &nowhere);
    assert!(exit == Some(69) && said.contains("127.0.0.1:9"), "{said}");
    assert_fails(&world, &format!("hub agent list --data hub {}", world.remote()), 64, &["--data"]);
}

#[test]
fn a_database_that_is_none_is_named() {
    let world = World::new();
    std::fs::create_dir(world.path("hub")).unwrap();
    std::fs::write(
        world.path("hub/hub.db"),
        "not a database, but long enough to be read as one\n".repeat(99),
    )
    .unwrap();
    assert_fails(&world, "hub run --data hub --listen 127.0.0.1:0", 74, &["hub/hub.db", "backup", "--data"]);
}

#[test]
fn the_first_start_that_works_says_what_to_do_next() {
    let mut world = World::new();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    assert_fails(&world, &format!("hub run --data hub --listen {taken}"), 74, &["--listen"]);
    assert!(!world.path("hub/admin.token").exists(), "kept for the start that can say where it is");
    drop(held);
    let _hub = world.start_hub();
    assert!(world.path("hub/admin.token").exists());
}
