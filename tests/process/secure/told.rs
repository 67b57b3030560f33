//! What people are told where TLS is not as they thought.

use crate::world::{World, wait_for};

use super::{OPERATOR, enroll};

impl World {
    /// The last error of the agent in the folder `edge-1`, once it says this.
    fn told(&self, says: &str) -> serde_json::Value {
        wait_for(says, || {
            let error = self.status("edge-1")?["last_error"].clone();
            error["text"].as_str()?.contains(says).then_some(error)
        })
    }

    /// The invite in `edge-1.token` without the digest of the authority.
    fn unpin(&self) {
        let token = std::fs::read_to_string(self.path("edge-1.token")).unwrap();
        let unpinned: Vec<&str> = token.trim().split('.').take(3).collect();
        std::fs::write(self.path("edge-1.token"), unpinned.join(".")).unwrap();
    }
}

#[test]
fn plain_text_on_a_tls_port_is_told_to_agent_enrolment_and_commands_in_the_same_words() {
    const WORDS: &str = "is a TLS port; begin the hub's URL with https://";
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    world.secure_invite();
    world.unpin();
    let (url, says) = (world.hub_url(), format!("{} {WORDS}", world.hub_address()));
    for words in [
        enroll(&url, ""),
        format!("hub agent list --hub {url} --token-file hub/admin.token"),
        format!("records list --agent edge-1 --hub {url} --token-file hub/admin.token"),
    ] {
        let (exit, said) = world.fail(&words);
        assert!(exit == 78 && said.contains(&says), "{words}: {exit} {said}");
    }
    assert!(!world.path("edge-1/agent.key").exists());
    world.run(&enroll(&world.https(), "--ca hub/tls/ca.pem"));
    for scheme in ["http", "ws"] {
        let _agent = world.run_agent_at(&format!("{scheme}://{}", world.hub_address()), "edge-1", "");
        let error = world.told(&says);
        assert_eq!((&error["code"], &error["verified"]), (&"tls".into(), &false.into()), "{error}");
    }
    world.run(&format!("hub agent list --hub {} {OPERATOR}", world.https()));
}

#[test]
fn what_is_printed_for_a_new_agent_names_the_hub_and_its_authority() {
    let mut world = World::new();
    let _hub = world.start_secure_hub();
    let said = |words: &str| String::from_utf8(world.run(words)).unwrap();
    let remote = said(&format!("hub agent add edge-2 {}", world.secure()));
    let run =
        format!("  outpost agent run --hub {} --ca hub/tls/ca.pem --key-file ./edge-2.key", world.https());
    assert!(remote.lines().any(|line| line == run), "{remote}");
    // In the hub's folder nobody knows where it listens.
    let folder = said("hub agent add edge-3 --data hub");
    let run = "  outpost agent run --hub URL --ca hub/tls/ca.pem --key-file ./edge-3.key";
    assert!(folder.lines().any(|line| line == run), "{folder}");
}

/// Runs a command that must fail with 78, with these variables; what it said.
fn misset(world: &World, words: &str, environment: &[(&str, &str)]) -> String {
    let output = world.command(words).envs(environment.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{words} {environment:?}: {said}");
    said
}

#[test]
fn settings_of_tls_are_refused_where_no_hub_has_tls() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.invite("edge-1", "");
    world.run("hub cert init --data other");
    world.run("hub cert issue edge-1 --data other --out certs");
    let url = world.hub_url();
    let (ca, cert, key) = ("other/tls/ca.pem", "certs/edge-1.pem", "certs/edge-1.key");
    let remote = format!("--hub {url} --token-file hub/admin.token");
    for flags in [format!("--ca {ca}"), format!("--client-cert {cert} --client-key {key}")] {
        for words in [
            enroll(&url, &flags),
            format!("agent run --hub {url} --data edge-1 {flags}"),
            format!("agent run --hub {url} --hub ws://localhost:1 --data edge-1 {flags}"),
            format!("hub agent list {remote} {flags}"),
            format!("records list --agent edge-1 {remote} {flags}"),
            // The default is plain as well, and the folder would be looked at instead.
            format!("hub agent list {flags}"),
        ] {
            let said = misset(&world, &words, &[]);
            assert!(said.contains("for a hub with TLS") && said.contains("leave"), "{words}: {said}");
        }
    }
    for variables in [
        &[("OUTPOST_HUB_CA_FILE", ca)][..],
        &[("OUTPOST_HUB_CLIENT_CERT", cert), ("OUTPOST_HUB_CLIENT_KEY", key)],
    ] {
        for words in [enroll(&url, ""), format!("agent run --hub {url} --data edge-1")] {
            assert!(misset(&world, &words, variables).contains("for a hub with TLS"), "{words}");
        }
    }
    for variables in
        [&[("OUTPOST_CA", ca)][..], &[("OUTPOST_CLIENT_CERT", cert), ("OUTPOST_CLIENT_KEY", key)]]
    {
        for words in [format!("hub agent list {remote}"), "hub agent list".to_owned()] {
            assert!(misset(&world, &words, variables).contains("for a hub with TLS"), "{words}");
        }
    }
    std::fs::write(world.path("agent.toml"), format!("[hub]\nurls = [\"{url}\"]\nca_file = \"{ca}\"\n"))
        .unwrap();
    assert!(misset(&world, "config check agent.toml", &[]).contains("hub.ca_file"));
    assert!(!world.path("edge-1").exists(), "nothing was begun");
    // What is not asked for does no harm: a folder is no hub on the way.
    let output = world.command("hub agent list --data hub").env("OUTPOST_CA", ca).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_certificate_that_a_hub_does_not_take_is_told_of_to_agent_and_commands_and_another_one_opens() {
    let mut world = World::new();
    world.run("hub cert init --data hub");
    world.run("hub cert issue edge-1 --data hub --out certs");
    world.run("hub cert init --data other");
    world.run("hub cert issue edge-1 --data other --out wrong");
    std::fs::write(world.path("hub.toml"), "[tls]\nclient_ca = \"hub/tls/ca.pem\"\n").unwrap();
    let tls = "--config hub.toml --tls-cert hub/tls/hub.pem --tls-key hub/tls/hub.key";
    let _hub = world.start_hub_with(tls);
    world.add_agent("edge-1");
    let pair = |of: &str| format!("--client-cert {of}/edge-1.pem --client-key {of}/edge-1.key");
    let (right, wrong) = (pair("certs"), pair("wrong"));
    let list = |flags: &str| format!("hub agent list {} {flags}", world.secure());
    for (flags, says) in [
        (wrong.as_str(), "refuses this side's client certificate (unknown ca)"),
        ("", "asks for a client certificate and this side has none"),
    ] {
        let (exit, said) = world.fail(&list(flags));
        assert!(exit == 77 && said.contains(says) && said.contains("127.0.0.1"), "{exit} {said}");
        let flags = format!("--key-file edge-1.key --ca hub/tls/ca.pem {flags}");
        let mut agent = world.run_agent_at(&world.https(), "edge-1", &flags);
        assert_eq!(world.told(says)["code"], "tls");
        agent.terminate();
    }
    for (flag, says) in
        [("--client-cert certs/edge-1.pem", "--client-key"), ("--client-key x", "--client-cert")]
    {
        let (exit, said) = world.fail(&list(flag));
        assert!(exit == 78 && said.contains(says), "{exit} {said}");
    }
    let mixed = "--client-cert certs/edge-1.pem --client-key wrong/edge-1.key";
    let (exit, said) = world.fail(&list(mixed));
    assert!(exit == 78 && said.contains("wrong/edge-1.key"), "{exit} {said}");
    world.run(&list(&right));
    let flags = format!("--key-file edge-1.key --ca hub/tls/ca.pem {right}");
    let _agent = world.run_agent_at(&world.https(), "edge-1", &flags);
    world.emit("edge-1", "events", b"one\n");
    world.wait_drained("edge-1");
    let listed = format!("records list --agent edge-1 --lane events {} {right}", world.secure());
    assert_eq!(world.run(&listed), b"one\n");
}
