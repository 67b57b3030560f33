//! Secret files that others than their owner can read: what is told of them, by whom, and what is not used at all.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::world::{World, wait_for};

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The warnings of a log that name this file.
fn warned(world: &World, log: &str, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(world.path(log)).unwrap();
    let of_file = |line: &&str| line.contains("WARN") && line.contains(&format!(" {file} (its mode is"));
    text.lines().filter(of_file).map(str::to_owned).collect()
}

#[test]
fn an_agent_warns_of_keys_and_of_a_config_with_a_password_that_others_can_read_and_runs() {
    const FILES: [(&str, u32); 4] = [
        ("edge-1.key", 0o644),
        ("edge-1.identity", 0o640),
        ("certs/edge-1.key", 0o604),
        ("agent.toml", 0o640),
    ];
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    world.run("agent keygen --out edge-1.identity");
    world.run("hub cert init --data other");
    world.run("hub cert issue edge-1 --data other --out certs");
    std::fs::write(world.path("agent.toml"), "[hub]\nproxy = \"http://u:hunter2@127.0.0.1:9\"\n").unwrap();
    let flags = "--config agent.toml --proxy none --key-file edge-1.key --identity-file edge-1.identity \
                 --hub https://127.0.0.1:9 --client-cert certs/edge-1.pem --client-key certs/edge-1.key";
    let run = |log: &str| {
        let mut agent = world.run_agent_at(&world.hub_url(), "edge-1", flags);
        world.emit("edge-1", "events", b"taken\n");
        agent.terminate();
        std::fs::rename(world.path("edge-1.log"), world.path(log)).unwrap();
        let text = std::fs::read_to_string(world.path(log)).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
    };
    for (file, mode) in FILES {
        set_mode(&world.path(file), mode);
    }
    run("open.log");
    for (file, mode) in FILES {
        let warned = warned(&world, "open.log", file);
        assert_eq!(warned.len(), 1, "{file}: {warned:?}");
        assert!(warned[0].contains(&format!("{mode:03o}")) && warned[0].contains("chmod 600"), "{warned:?}");
    }
    let output = world.command("config check agent.toml").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("agent.toml (its mode is 640)"), "{said}");
    for (file, _) in FILES {
        set_mode(&world.path(file), 0o600);
    }
    run("closed.log");
    for (file, _) in FILES {
        assert_eq!(warned(&world, "closed.log", file), Vec::<String>::new());
    }
    // Without a password in it a config may be read by all.
    std::fs::write(world.path("agent.toml"), "[hub]\nproxy = \"http://127.0.0.1:9\"\n").unwrap();
    set_mode(&world.path("agent.toml"), 0o644);
    run("harmless.log");
    assert_eq!(warned(&world, "harmless.log", "agent.toml"), Vec::<String>::new());
}

#[test]
fn a_hub_warns_of_its_key_of_tls_and_a_renewal_does_not_use_it() {
    let mut world = World::new();
    world.run("hub cert init --data hub");
    let key = world.path("hub/tls/hub.key");
    set_mode(&key, 0o640);
    let _hub = world.start_hub_with("--tls-cert hub/tls/hub.pem --tls-key hub/tls/hub.key");
    wait_for("the warning", || {
        let warned = warned(&world, "hub.log", "hub/tls/hub.key");
        (warned.len() == 1 && warned[0].contains("640")).then_some(())
    });
    let chain = std::fs::read(world.path("hub/tls/hub.pem")).unwrap();
    let (exit, said) = world.fail("hub cert init --data hub");
    assert!(
        exit == 73 && said.contains("hub.key (its mode is 640)") && said.contains("chmod 600"),
        "{exit} {said}"
    );
    assert_eq!(std::fs::read(world.path("hub/tls/hub.pem")).unwrap(), chain);
    set_mode(&key, 0o600);
    world.run("hub cert init --data hub");
}

#[test]
fn a_renewal_goes_on_where_one_was_killed_between_key_and_certificate() {
    let world = World::new();
    world.run("hub cert init --data hub --host hub.example");
    let key = std::fs::read(world.path("hub/tls/hub.key")).unwrap();
    std::fs::remove_file(world.path("hub/tls/hub.pem")).unwrap();
    let said = String::from_utf8(world.run("hub cert init --data hub --host hub.example")).unwrap();
    assert!(said.contains("is kept") && said.contains("hub.example"), "{said}");
    assert_eq!(std::fs::read(world.path("hub/tls/hub.key")).unwrap(), key);
}
