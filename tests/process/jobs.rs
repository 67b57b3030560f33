//! The commands of jobs against a real hub; what an agent does with them is shown where an agent is.

use serde_json::Value;

use crate::world::{World, wait_for};

fn object(output: &[u8]) -> Value {
    serde_json::from_slice(output).unwrap()
}

fn objects(output: Vec<u8>) -> Vec<Value> {
    String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_hub_that_is_killed_keeps_what_it_has_taken() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let remote = world.remote();
    let mut ids = Vec::new();
    for number in 0..10 {
        let submitted = object(&world.run(&format!(
            "job submit --json --agent edge-1 --timeout 10m --on-crash rerun --env A={number} --cwd /tmp {remote} -- echo {number}"
        )));
        ids.push(submitted["job_id"].clone());
    }
    // Another agent is there when the hub is killed, and not any more when it comes back.
    world.add_agent("edge-2");
    let mut agent = world.start_agent("edge-2");
    wait_for("the link", || world.status("edge-2").filter(|status| status["state"] == "connected"));
    let other = object(&world.run(&format!("job submit --json --agent edge-2 {remote} -- sleep 20")));
    let show = format!("job show --json {} {remote}", other["job_id"].as_str().unwrap());
    assert_eq!(object(&world.run(&show))["agent_offline_since_ms"], Value::Null);
    hub.kill();
    agent.kill();
    let _hub = world.start_hub();
    assert!(object(&world.run(&show))["agent_offline_since_ms"].is_u64());
    let listed =
        objects(world.run(&format!("job list --json --agent edge-1 --status queued {}", world.remote())));
    let mut found: Vec<_> = listed.iter().map(|job| job["job_id"].clone()).collect();
    found.reverse();
    assert_eq!(found, ids);
    let shown =
        object(&world.run(&format!("job show --json {} {}", ids[3].as_str().unwrap(), world.remote())));
    let spec = serde_json::json!({"kind": "exec", "timeout": "600000ms", "on_crash": "rerun",
        "payload": {"command": ["echo", "3"], "env": {"A": "3"}, "cwd": "/tmp"}});
    assert_eq!(shown["spec"], spec, "{shown}");
}

#[test]
fn job_commands_say_what_is_wrong_and_do_nothing() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let remote = world.remote();
    let long = format!(r#"{{"kind": "exec", "payload": {{"command": ["{}"]}}}}"#, "x".repeat(10 << 20));
    std::fs::write(world.path("long.json"), long).unwrap();
    std::fs::write(world.path("wrong.json"), r#"{"kind": "exec", "time_out": "1s"}"#).unwrap();
    let unknown = "01938c5e-7b1a-7c3e-9a44-0242ac120002";
    for (words, exit, says) in [
        (format!("job submit --agent edge-1 {remote} --spec long.json"), 1, "the limit is 262144"),
        (format!("job submit --agent edge-1 {remote} --spec wrong.json"), 1, "unknown field `time_out`"),
        (format!("job submit --agent edge-1 {remote} --spec none.json"), 74, "none.json"),
        (format!("job submit --agent edge-1 {remote} --spec wrong.json -- true"), 64, "--spec"),
        (format!("job submit --agent edge-1 {remote}"), 64, "nothing to run"),
        (
            format!("job submit --agent edge-1 {remote} --timeout soon -- true"),
            64,
            "`soon` is not a duration",
        ),
        (format!("job submit --agent edge-1 {remote} --timeout 9999d -- true"), 1, "timeout: is longer"),
        (format!("job submit --agent edge-1 {remote} --expires-in 31d -- true"), 1, "more than 30 days"),
        (format!("job submit --agent edge-1 {remote} --env A -- true"), 64, "NAME=VALUE"),
        (format!("job submit --agent edge-9 {remote} -- true"), 1, "there is no agent `edge-9`"),
        (format!("job submit --agent edge-1 {remote} --kind NO -- true"), 1, "kind: must be"),
        (format!("job show {unknown} {remote}"), 1, "there is no job"),
        (format!("job cancel {unknown} {remote}"), 1, "there is no job"),
        (format!("job logs {unknown} {remote}"), 1, "there is no job"),
        (format!("job show 7 {remote}"), 64, "is not a job id"),
        (format!("job list --status done {remote}"), 1, "status: `done`"),
        ("job list --token-file hub/admin.token --hub http://127.0.0.1:9".to_owned(), 69, "no hub answers"),
    ] {
        let (found, said) = world.fail(&words);
        assert_eq!(found, exit, "`{words}`: {said}");
        assert!(said.contains(says), "`{words}`: {said}");
    }
    assert_eq!(world.run(&format!("job list {remote}")), b"");
}

#[test]
fn the_environment_names_the_hub_for_jobs_too() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let remote = world.remote();
    let words: Vec<_> = remote.split(' ').collect();
    let run = |command: &str| {
        let output = world
            .command(command)
            .envs([("OUTPOST_HUB", words[1]), ("OUTPOST_TOKEN_FILE", words[3])])
            .output()
            .unwrap();
        assert!(output.status.success(), "`{command}`: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let id = object(&run("job submit --json --agent edge-1 -- true"))["job_id"].as_str().unwrap().to_owned();
    assert_eq!(object(&run("job list --json"))["job_id"], id.as_str());
    for command in ["show", "logs --no-wait", "cancel"] {
        run(&format!("job {command} {id}"));
    }
}

#[test]
fn a_queued_job_is_cancelled_and_told() {
    let mut world = World::new();
    let _hub = world.start_hub();
    world.add_agent("edge-1");
    let remote = world.remote();
    let submit = format!("job submit --json --agent edge-1 --idempotency-key k1 {remote} -- true");
    let first = object(&world.run(&submit));
    let id = first["job_id"].as_str().unwrap();
    assert_eq!(object(&world.run(&submit))["job_id"], id);
    let (exit, said) = world.fail(&submit.replace("-- true", "-- false"));
    assert_eq!(exit, 1);
    assert!(said.contains("Idempotency-Key `k1`") && said.contains(id), "{said}");
    assert_eq!(world.run(&format!("job logs --no-wait {id} {remote}")), b"");
    let ended = object(&world.run(&format!("job cancel --wait --json {id} {remote}")));
    let mut fields: Vec<_> = ended.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    let expected = [
        "agent",
        "exit_code",
        "finished_at",
        "job_id",
        "kind",
        "log_lines",
        "logs_complete",
        "reason",
        "signal",
        "started_at",
        "status",
    ];
    assert_eq!(fields, expected);
    assert_eq!((&ended["status"], &ended["logs_complete"]), (&Value::from("cancelled"), &Value::from(true)));
    assert!(ended["finished_at"].as_str().unwrap().ends_with('Z'), "{ended}");
    let (exit, said) = world.fail(&format!("job cancel {id} {remote}"));
    assert_eq!(exit, 1);
    assert!(said.contains("is cancelled already"), "{said}");
    // Submitting it again and waiting for it: over, and not as wished.
    let again = format!("job submit --json --wait --agent edge-1 --idempotency-key k1 {remote} -- true");
    let output = world.command(&again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(object(&output.stdout), ended);
    assert_eq!(world.run(&format!("job logs {id} {remote}")), b"");
}
