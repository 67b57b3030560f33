//! Operator keys from end to end: signed where the key is, carried by a hub that need not be trusted, checked by the agent.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::{Value, json};

use crate::world::World;

/// Milliseconds since 1970, by the system's own tool.
fn now_ms() -> u64 {
    let date = std::process::Command::new("date").arg("+%s").output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().parse::<u64>().unwrap() * 1000
}

fn submit(world: &World, flags: &str) -> Output {
    let words = format!("job submit --json --wait --agent edge-1 {} {flags}", world.remote());
    world.command(&words).output().unwrap()
}

fn ended(output: &Output) -> (Option<i32>, Value) {
    let said = String::from_utf8_lossy(&output.stderr);
    let job = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code(), job)
}

/// A spec for edge-1, good for an hour.
fn spec(world: &World, number: u8, script: &str) -> Value {
    let agent = world.show_agent("edge-1");
    json!({"kind": "exec", "job_id": format!("01938c5e-7b1a-7fff-bfff-ffffffffff{number:02x}"),
        "hub_id": agent["hub_id"], "agents": [agent["id"]], "not_before_ms": now_ms() - 60_000,
        "expires_at_ms": now_ms() + 3_600_000, "payload": {"script": script}})
}

#[test]
fn a_signed_job_runs_and_an_unsigned_or_changed_one_is_rejected_with_the_reason() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    world.run("agent keygen --out operator");
    let public = std::fs::read_to_string(world.path("operator.pub")).unwrap();
    let settings = format!("[jobs]\noperator_keys = [\"{}\"]\n", public.trim());
    std::fs::write(world.path("agent.toml"), settings).unwrap();
    let agent = world.start_agent_with("edge-1", "edge-1", "--config agent.toml");

    let spec = spec(&world, 1, "echo signed").to_string();
    std::fs::write(world.path("spec.json"), spec.replace("fff01", "fff02")).unwrap();
    let (code, unsigned) = ended(&submit(&world, "--spec spec.json"));
    assert_eq!((code, &unsigned["status"]), (Some(1), &json!("rejected")), "{unsigned}");
    let reason = unsigned["reason"].as_str().unwrap();
    assert!(reason.contains("signature: it is not signed") && reason.contains("job sign"), "{reason}");

    std::fs::write(world.path("spec.json"), &spec).unwrap();
    let signed: Value =
        serde_json::from_slice(&world.run("job sign --json --key operator spec.json")).unwrap();
    assert_eq!(signed["sig_file"], "spec.json.sig", "{signed}");
    assert_eq!(signed["public_key"], public.trim(), "{signed}");
    std::fs::write(
        world.path("changed.json"),
        spec.replace("echo signed", "echo s1gned").replace("fff01", "fff03"),
    )
    .unwrap();
    let (code, changed) = ended(&submit(&world, "--spec changed.json --sig spec.json.sig"));
    assert_eq!((code, &changed["status"]), (Some(1), &json!("rejected")), "{changed}");
    assert!(
        changed["reason"].as_str().unwrap().contains("verifies under none of this agent's 1"),
        "{changed}"
    );

    // The hub keeps it beside the spec, also over its own end.
    drop(agent);
    let words = format!("job submit --agent edge-1 --spec spec.json --sig spec.json.sig {}", world.remote());
    world.run(&words);
    hub.kill();
    let _hub = world.start_hub();
    let _agent = world.start_agent_with("edge-1", "edge-1", "--config agent.toml");
    let id = "01938c5e-7b1a-7fff-bfff-ffffffffff01";
    let ended = world.wait_job(id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(world.job_lines(id), ["signed"]);
    let (code, again) = self::ended(&submit(&world, "--spec spec.json --sig spec.json.sig"));
    assert_eq!((code, &again["job_id"]), (Some(0), &json!(id)), "the same submission is the same job");
}

#[test]
fn what_cannot_be_signed_is_refused_and_says_why() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    world.run("agent keygen --out operator");
    let good = spec(&world, 1, "true");
    std::fs::write(world.path("spec.json"), good.to_string()).unwrap();
    let mut named = good.clone();
    named["agents"] = json!(["edge-1"]);
    let mut open = good.clone();
    open.as_object_mut().unwrap().remove("expires_at_ms");
    let mut over = good.clone();
    (over["not_before_ms"], over["expires_at_ms"]) = (json!(5), json!(6));
    for (name, spec, says) in [
        ("named.json", named, "`edge-1` is a name"),
        ("open.json", open, "expires_at_ms: must stand in a spec that is signed"),
        ("over.json", over, "has passed already"),
    ] {
        std::fs::write(world.path(name), spec.to_string()).unwrap();
        let (code, said) = world.fail(&format!("job sign --key operator {name}"));
        assert!(code == 1 && said.contains(says) && said.contains(name), "{code} {said}");
        assert!(!world.path(&format!("{name}.sig")).exists());
    }
    world.run("job sign --key operator spec.json");
    let (code, said) = world.fail("job sign --key operator spec.json");
    assert!(code == 74 && said.contains("not overwritten"), "{code} {said}");
    let (code, said) = world.fail("job sign --key operator.pub spec.json");
    assert!(code == 1 && said.contains("not an identity"), "{code} {said}");
    std::fs::set_permissions(world.path("operator"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = world.fail("job sign --key operator spec.json");
    assert!(code == 77 && said.contains("chmod 600"), "{code} {said}");
    let words = format!("job submit --agent edge-1 --spec spec.json --sig operator.pub {}", world.remote());
    let (code, said) = world.fail(&words);
    assert!(code == 1 && said.contains("operator.pub: not an operator's signature"), "{code} {said}");
}
