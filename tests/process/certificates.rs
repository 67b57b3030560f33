//! `hub cert`: certificates as whoever runs a hub gets them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::world::World;

fn init(world: &World, flags: &str) -> Value {
    serde_json::from_slice(&world.run(&format!("hub cert init --json --data hub {flags}"))).unwrap()
}

#[test]
fn two_commands_are_said_and_described() {
    let world = World::new();
    let said = String::from_utf8(world.run("hub cert init --data hub --host hub.example")).unwrap();
    for expected in [
        "a new authority is in hub/tls/ca.pem",
        "hub.example, localhost, 127.0.0.1, ::1",
        "  outpost hub run --data hub --tls-cert hub/tls/hub.pem --tls-key hub/tls/hub.key",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let again = init(&world, "--days 30");
    assert_eq!((&again["authority"], &again["cert"]), (&"kept".into(), &"hub/tls/hub.pem".into()));
    assert_eq!(again["hosts"], serde_json::json!(["hub.example", "localhost", "127.0.0.1", "::1"]));
    assert!(said.contains(again["ca_sha256"].as_str().unwrap()), "{said}");
    let days = |key: &str| again[key].as_i64().unwrap() / 86_400_000;
    assert!((3600..3660).contains(&(days("ca_expires_at_ms") - days("expires_at_ms") + 30)), "{again}");
    let issued = world.run("hub cert issue edge-1 --json --data hub --out certs");
    let issued: Value = serde_json::from_slice(&issued).unwrap();
    assert_eq!((&issued["cert"], &issued["key"]), (&"certs/edge-1.pem".into(), &"certs/edge-1.key".into()));
    assert_eq!((&issued["name"], &issued["ca_sha256"]), (&"edge-1".into(), &again["ca_sha256"]));
    let said = String::from_utf8(world.run("hub cert issue edge-2 --data hub")).unwrap();
    assert!(said.contains("--client-cert hub/tls/agents/edge-2.pem"), "{said}");
}

#[test]
fn what_cannot_be_made_is_told_with_a_code_and_nothing_is_touched() {
    let world = World::new();
    let fails = |words: &str, exit: i32, reason: &str| {
        let (found, said) = world.fail(words);
        assert!(found == exit && said.contains(reason), "{words}: {found} {said}");
    };
    fails("hub cert issue edge-1 --data hub", 73, "hub cert init");
    for host in ["https://hub.example", "*.example", "hub:8440"] {
        fails(&format!("hub cert init --data hub --host {host}"), 64, "host name");
    }
    fails("hub cert init --data hub --days 0", 64, "--days");
    fails("hub cert init --data hub --days 4000", 64, "--days");
    fails("hub cert issue Edge_1 --data hub", 64, "agent name");
    std::fs::write(world.path("file"), "").unwrap();
    fails("hub cert init --data file", 74, "file/tls");
    assert!(!world.path("hub").exists());
    init(&world, "");
    world.run("hub cert issue edge-1 --data hub");
    fails("hub cert issue edge-1 --data hub", 74, "not overwritten");
    std::fs::write(world.path("hub/tls/ca.key"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    let chain = std::fs::read(world.path("hub/tls/hub.pem")).unwrap();
    fails("hub cert init --data hub", 73, "ca.key");
    fails("hub cert issue edge-2 --data hub", 73, "ca.key");
    assert_eq!(std::fs::read(world.path("hub/tls/hub.pem")).unwrap(), chain);
    assert!(!world.path("hub/tls/agents/edge-2.key").exists());
}

#[test]
fn a_hub_starts_in_a_folder_that_has_its_certificates_already() {
    let mut world = World::new();
    init(&world, "");
    let _hub = world.start_hub();
    assert!(world.path("hub/hub.key").exists(), "the hub's own key, which seals its database");
}

/// Root reads what it likes: without the right to, it is as everybody else.
fn bound_by_modes(world: &World, words: &str) -> Command {
    let command = world.command(words);
    if std::fs::read(world.path("closed.key")).is_err() {
        return command;
    }
    let mut bound = Command::new("setpriv");
    bound.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program());
    bound.args(command.get_args()).current_dir(world.path(""));
    bound
}

#[test]
fn files_of_tls_that_cannot_be_used_end_a_hub_s_start_and_are_told_by_config_check_before() {
    let world = World::new();
    for data in ["made", "other"] {
        world.run(&format!("hub cert init --data {data}"));
    }
    let write = |name: &str, text: &str| std::fs::write(world.path(name), text).unwrap();
    write("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    write(
        "old.key",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    write("empty.pem", "");
    std::fs::copy(world.path("made/tls/hub.key"), world.path("closed.key")).unwrap();
    std::fs::set_permissions(world.path("closed.key"), std::fs::Permissions::from_mode(0o000)).unwrap();
    for (cert, key, says) in [
        ("made/tls/hub.pem", "other/tls/hub.key", "hub.key is not the one of the first certificate in"),
        ("made/tls/hub.pem", "locked.key", "locked.key is protected by a passphrase"),
        ("made/tls/hub.pem", "old.key", "old.key is protected by a passphrase"),
        ("made/tls/hub.pem", "closed.key", "closed.key: Permission denied"),
        ("empty.pem", "made/tls/hub.key", "empty.pem has no usable certificate"),
        ("made/tls/hub.pem", "gone.key", "gone.key: No such file"),
    ] {
        write("hub.toml", &format!("[tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n"));
        let run = format!("hub run --data hub --listen 127.0.0.1:0 --tls-cert {cert} --tls-key {key}");
        for words in [run.as_str(), "config check hub.toml", "hub run --data hub --config hub.toml"] {
            let output = bound_by_modes(&world, words).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(78) && said.contains(says), "{words}: {output:?}");
        }
    }
    assert!(!world.path("hub/hub.db").exists());
}
