//! Commands that are printed for people to run, run as they are printed.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::{Process, World, wait_for};

impl World {
    /// A line as a shell runs it that finds the program under test.
    fn shell(&self, line: &str) -> Command {
        let folder = Path::new(env!("CARGO_BIN_EXE_outpost")).parent().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).env_clear().env("PATH", folder).current_dir(self.path(""));
        command
    }

    /// Runs a line that must succeed; its output.
    fn run_line(&self, line: &str, environment: &[(&str, &str)]) -> String {
        let output = self.shell(line).envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{line}` ended with {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a hub with this line; what it printed.
    fn start_printing(&mut self, line: &str) -> (Process, String) {
        let line = format!("exec {line} --ready-file hub.ready > hub.out");
        let hub = self.spawn(self.shell(&line), "hub.log");
        self.hub_is_ready();
        (hub, std::fs::read_to_string(self.path("hub.out")).unwrap())
    }
}

/// The commands in a text.
fn commands(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("  ")).collect()
}

/// Runs what a first start printed; records come through.
fn follow(world: &World, printed: &str) {
    let mut commands = commands(printed);
    let list = commands.pop().unwrap();
    let run = commands.pop().unwrap();
    assert!(run.starts_with("outpost agent run ") && list.starts_with("outpost records list "), "{printed}");
    assert!(commands.iter().any(|line| line.starts_with("outpost hub agent add ")), "{printed}");
    for line in commands {
        world.run_line(line, &[]);
    }
    let _agent = world.spawn(world.shell(&format!("exec {run}")), "agent.log");
    // Not before it runs: `emit` would take the folder for itself.
    wait_for("the agent to answer", || {
        let asked = world.command("agent status --socket outpost-agent/agent.sock").output().unwrap();
        asked.status.success().then_some(())
    });
    world.run_line("echo hello | outpost emit", &[]);
    wait_for("the record to be listed", || (world.run_line(list, &[]) == "hello\n").then_some(()));
}

#[test]
fn the_commands_of_a_first_start_without_tls_work() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
        let mut world = World::new();
        let (_hub, printed) = world.start_printing(&format!("outpost hub run --listen {listen}"));
        follow(&world, &printed);
    }
}

#[test]
fn the_commands_of_a_first_start_over_tls_work() {
    for (data, listen) in [("", "127.0.0.1:0"), (" --data hub", "0.0.0.0:0"), (" --data 'my hub'", "[::]:0")]
    {
        let mut world = World::new();
        let made = world.run_line(&format!("outpost hub cert init{data}"), &[]);
        let run = commands(&made).pop().unwrap();
        let (_hub, printed) = world.start_printing(&format!("{run} --listen {listen}"));
        assert!(printed.contains("tls/ca.pem"), "{printed}");
        follow(&world, &printed);
    }
}

#[test]
fn the_commands_of_a_first_start_work_where_certificates_are_asked_for() {
    for agents in ["", " --agent-listen 127.0.0.1:0"] {
        let mut world = World::new();
        let made = world.run_line("outpost hub cert init --data hub", &[]);
        std::fs::write(world.path("hub.toml"), "[tls]\nclient_ca = \"hub/tls/ca.pem\"\n").unwrap();
        let run = commands(&made).pop().unwrap();
        let line = format!("{run} --config hub.toml --listen 127.0.0.1:0{agents}");
        let (_hub, printed) = world.start_printing(&line);
        follow(&world, &printed);
    }
}

/// A hub that asks for certificates, and invites for three machines.
fn asking() -> (World, Process) {
    let mut world = World::new();
    world.run("hub cert init --data hub");
    world.run("hub cert issue edge --data hub --out certs");
    std::fs::write(world.path("hub.toml"), "[tls]\nclient_ca = \"hub/tls/ca.pem\"\n").unwrap();
    let flags = "--config hub.toml --tls-cert hub/tls/hub.pem --tls-key hub/tls/hub.key";
    let hub = world.start_hub_with(flags);
    for number in 1..=3 {
        let invite = world.run(&format!("hub agent invite edge-{number} --data hub"));
        std::fs::write(world.path(&format!("edge-{number}.token")), invite).unwrap();
    }
    (world, hub)
}

/// Enrols by this line, starts what it prints, and waits until the hub has the agent.
fn enrols(world: &World, name: &str, line: &str, environment: &[(&str, &str)]) -> String {
    let printed =
        world.run_line(&format!("outpost agent enroll --token-file {name}.token {line}"), environment);
    let run = commands(&printed).pop().unwrap();
    let mut command = world.shell(&format!("exec {run}"));
    command.envs(environment.iter().copied());
    let _agent = world.spawn(command, &format!("{name}.log"));
    let list = format!(
        "outpost hub agent list --json --hub https://{} --token-file hub/admin.token --ca hub/tls/ca.pem \
         --client-cert certs/edge.pem --client-key certs/edge.key",
        world.hub_address()
    );
    wait_for("the agent to connect", || {
        let listed = world.run_line(&list, &[]);
        let mut agents = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        agents.any(|agent| agent["name"] == name && agent["connected"] == true).then_some(())
    });
    printed
}

#[test]
fn an_enrolment_takes_what_an_agent_takes_and_prints_how_to_start_it() {
    let (world, _hub) = asking();
    let url = format!("https://{}", world.hub_address());
    let flags = format!(
        "--hub {url} --data 'edge 1' --ca hub/tls/ca.pem --client-cert certs/edge.pem --client-key certs/edge.key"
    );
    let printed = enrols(&world, "edge-1", &flags, &[]);
    assert!(!printed.contains("variables"), "{printed}");
    assert!(world.path("edge 1/agent.key").exists());
    let environment = [
        ("OUTPOST_HUB_URLS", url.as_str()),
        ("OUTPOST_HUB_CA_FILE", "hub/tls/ca.pem"),
        ("OUTPOST_HUB_CLIENT_CERT", "certs/edge.pem"),
        ("OUTPOST_HUB_CLIENT_KEY", "certs/edge.key"),
        ("OUTPOST_DATA", "edge-2"),
    ];
    let printed = enrols(&world, "edge-2", "", &environment);
    assert!(environment.iter().all(|(name, _)| printed.contains(name)), "{printed}");
    assert!(world.path("edge-2/agent.key").exists());
    let file = format!(
        "data = \"edge-3\"\n[hub]\nurls = [\"https://127.0.0.1:1\", \"{url}\"]\nca_file = \"hub/tls/ca.pem\"\n\
         client_cert = \"certs/edge.pem\"\nclient_key = \"certs/edge.key\"\nkey_file = \"keys.3\"\nidentity_file = \"id.3\"\n\
         [reconnect]\nmin = \"20ms\"\nfast = \"20ms\"\n"
    );
    std::fs::write(world.path("agent.toml"), file).unwrap();
    let printed = enrols(&world, "edge-3", "--config agent.toml", &[]);
    assert!(printed.contains("agent run --config agent.toml"), "{printed}");
    assert!(world.path("keys.3").exists() && world.path("id.3").exists());
    assert!(!world.path("edge-3/agent.key").exists());
}

#[test]
fn an_enrolment_goes_by_flag_then_variable_then_file() {
    let (world, _hub) = asking();
    let url = format!("https://{}", world.hub_address());
    std::fs::write(world.path("agent.toml"), "data = \"of-file\"\n[hub]\nca_file = \"none.pem\"\n").unwrap();
    let line = format!(
        "outpost agent enroll --token-file edge-1.token --hub {url} --config agent.toml --client-key certs/edge.key"
    );
    let refused = |line: &str, environment: &[(&str, &str)], says: &str| {
        let output = world.shell(line).envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(78) && said.contains(says), "{said}");
    };
    refused(&line, &[("OUTPOST_HUB_CLIENT_CERT", "certs/edge.pem")], "none.pem");
    let variables = [("OUTPOST_HUB_CLIENT_CERT", "certs/edge.pem"), ("OUTPOST_HUB_CA_FILE", "also-none.pem")];
    refused(&line, &variables, "also-none.pem");
    refused(&line, &[], "hub.client_cert");
    refused("outpost agent enroll --token-file edge-1.token", &[], "no hub address");
    world.run_line(&format!("{line} --ca hub/tls/ca.pem"), &variables);
    assert!(world.path("of-file/agent.key").exists());
}
