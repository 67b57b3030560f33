//! Jobs that cannot be run end with a status and a reason that names the field, and leave nothing behind.

use serde_json::{Value, json};

use crate::world::World;

#[test]
fn what_cannot_be_run_ends_with_a_reason_that_names_the_field() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let _agent = world.start_agent("edge-1");
    let file = world.path("no-program");
    std::fs::write(&file, "text").unwrap();
    let cases = [
        ("failed", "no-such-command", json!({"command": ["no-such-command"]})),
        ("failed", "permission", json!({"command": [file]})),
        ("failed", "cwd", json!({"command": ["true"], "cwd": world.path("missing")})),
        ("rejected", "payload.cwd", json!({"command": ["true"], "cwd": "relative"})),
        ("rejected", "payload.user", json!({"command": ["true"], "user": "nobody-knows-them"})),
        ("rejected", "payload.env.LD_PRELOAD", json!({"command": ["true"], "env": {"LD_PRELOAD": "x.so"}})),
        ("rejected", "payload.env.OUTPOST_HUB", json!({"command": ["true"], "env": {"OUTPOST_HUB": "x"}})),
        ("rejected", "payload", json!({"command": "true"})),
        ("rejected", "payload", json!({"comand": ["true"]})),
        ("rejected", "payload.command", json!({})),
        ("rejected", "payload.nice", json!({"command": ["true"], "nice": 20})),
        ("rejected", "payload.output_max", json!({"command": ["true"], "output_max": "0"})),
    ];
    for (status, says, payload) in &cases {
        let ended = submit(&world, &json!({"kind": "exec", "payload": payload}));
        assert_eq!(ended["status"], *status, "{ended}");
        assert!(ended["reason"].as_str().unwrap().contains(says), "{says}: {ended}");
        assert_eq!(
            (&ended["logs_complete"], &ended["log_lines"]),
            (&true.into(), &logged(status)),
            "{ended}"
        );
    }
    let unknown = submit(&world, &json!({"kind": "cook"}));
    assert!(unknown["reason"].as_str().unwrap().contains("`cook`"), "{unknown}");
    let late = submit(
        &world,
        &json!({"kind": "exec", "timeout": "100ms", "payload": {"command": ["sleep", "1000"]}}),
    );
    assert_eq!(late["status"], "timed_out", "{late}");
    let status = world.status("edge-1").unwrap();
    assert_eq!(status["jobs"], json!({}), "nothing is left: {status}");
}

/// What a result says of its log: that of a job which was never begun knows of none.
fn logged(status: &str) -> Value {
    if status == "rejected" { Value::Null } else { 0.into() }
}

/// Submits a spec and waits for its end, which is not as wished.
fn submit(world: &World, spec: &Value) -> Value {
    std::fs::write(world.path("spec.json"), spec.to_string()).unwrap();
    let words = format!("job submit --json --wait --agent edge-1 --spec spec.json {}", world.remote());
    let output = world.command(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{spec}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
