//! The programs in `examples/`, against a real hub.

use serde_json::{Value, json};

use crate::world::{Process, World, wait_for};

fn started(example: &str) -> (World, Process, Process) {
    let mut world = World::new();
    let hub = world.start_hub();
    world.add_agent("edge-1");
    let agent = world.start_example(example, "edge-1");
    (world, hub, agent)
}

fn submit(world: &World, payload: &Value) -> String {
    let spec = json!({"kind": "countdown", "payload": payload});
    std::fs::write(world.path("spec.json"), spec.to_string()).unwrap();
    let submitted =
        world.run(&format!("job submit --json --agent edge-1 --spec spec.json {}", world.remote()));
    let submitted: Value = serde_json::from_slice(&submitted).unwrap();
    submitted["job_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_job_of_an_own_kind_logs_tells_its_progress_and_leaves_an_artifact() {
    let (world, _hub, mut agent) = started("custom_job");
    let job = submit(&world, &json!({"from": 3}));
    let shown = world.wait_job(&job);
    assert_eq!(shown["status"], "succeeded", "{shown}");
    assert_eq!(world.job_lines(&job), ["3 left", "2 left", "1 left"]);
    let shown = wait_for("progress and artifact to arrive", || {
        let shown = world.job(&job);
        let arrived = !shown["artifacts"].as_array()?.is_empty() && shown["progress"]["permille"] == 667;
        arrived.then_some(shown)
    });
    assert_eq!(shown["artifacts"][0]["name"], "summary.txt", "{shown}");
    assert_eq!(shown["result"]["text"], "lift-off", "{shown}");
    assert_eq!(agent.interrupt(), Some(0));
}

#[test]
fn a_job_of_an_own_kind_is_cancelled_and_a_wrong_one_rejected() {
    let (world, _hub, _agent) = started("custom_job");
    let wrong = world.wait_job(&submit(&world, &json!({"from": "ten"})));
    assert_eq!(wrong["status"], "rejected", "{wrong}");
    assert!(wrong["reason"].as_str().unwrap().contains("payload"), "{wrong}");
    let job = submit(&world, &json!({"from": 60_000}));
    wait_for("the job to run", || (world.job(&job)["status"] == "running").then_some(()));
    world.run(&format!("job cancel {job} {}", world.remote()));
    assert_eq!(world.wait_job(&job)["status"], "cancelled");
}

#[test]
fn a_service_with_an_agent_inside_delivers_its_records_runs_jobs_and_stops() {
    let (world, mut hub, mut agent) = started("embedded_agent");
    let records = || world.listed("edge-1", "events").iter().filter(|byte| **byte == b'\n').count();
    wait_for("records", || (records() >= 3).then_some(()));
    let job = world.submit("edge-1", "", "echo beside");
    assert_eq!(world.wait_job(&job)["status"], "succeeded");
    assert_eq!(world.job_lines(&job), ["beside"]);
    // With its hub away too.
    hub.kill();
    assert_eq!(agent.terminate(), Some(0));
}

#[test]
fn a_message_outlives_a_hub_and_an_agent_that_are_killed_and_reaches_the_program_once() {
    let mut world = World::new();
    let mut hub = world.start_embedded_hub();
    world.add_agent("edge-1");
    assert_eq!(hub.order("edge-1 note first"), "queued, 0 agents are here");
    // What was said to be queued is on disk.
    hub.process.kill();
    let mut hub = world.start_embedded_hub();
    assert_eq!(hub.order("edge-1 note second"), "queued, 0 agents are here");
    let mut agent = world.start_example("embedded_agent", "edge-1");
    let notes = |world: &World| -> Vec<String> {
        let records = world.listed_objects("edge-1").into_iter();
        let notes = records.filter(|record| record["source"] == "note");
        notes.map(|record| record["text"].as_str().unwrap().to_owned()).collect()
    };
    wait_for("the messages", || (notes(&world).len() == 2).then_some(()));
    assert_eq!(notes(&world), ["first", "second"]);
    // It is here, so the next one is delivered now: its program has it on disk.
    assert_eq!(hub.order("edge-1 note third"), "delivered");
    agent.kill();
    hub.process.kill();
    let mut hub = world.start_embedded_hub();
    let _agent = world.start_example("embedded_agent", "edge-1");
    wait_for("the third message", || (notes(&world).len() == 3).then_some(()));
    assert_eq!(notes(&world), ["first", "second", "third"]);
    // The third may have come before the hub was killed.
    wait_for("the agent", || world.show_agent("edge-1")["connected"].as_bool().filter(|here| *here));
    for (order, answer) in
        [("edge-1 nothing x", "relay_handler"), ("edge-9 note x", "edge-9"), ("edge-1", "AGENT HANDLER TEXT")]
    {
        let said = hub.order(order);
        assert!(said.starts_with("not sent: ") && said.contains(answer), "{said}");
    }
    assert_eq!(hub.end(), Some(0));
}
