//! What the streams tell.

use serde_json::{Value, json};

use super::subscriber::{End, Subscriber, line};
use super::world::World;

fn numbered(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| format!("1:{number} line {number}")).collect()
}

#[test]
fn a_log_goes_on_where_it_was_left_after_a_break_and_after_a_restart_of_the_hub() {
    let mut world = World::new();
    world.add_agent("edge-1");
    world.run_agent("edge-1");
    let mut job = world.submit("edge-1", "input");
    let (topic, token) = (job.logs(), world.token(&job.logs()));
    job.say(1..=3);
    let mut here = world.follow(&topic, None);
    let state = here.push();
    assert_eq!((&state["kind"], &state["job"]["job_id"]), (&json!("state"), &json!(job.id)), "{state}");
    assert_eq!(here.lines(3), numbered(1..=3));
    job.say(4..=4);
    assert_eq!(here.lines(1), numbered(4..=4), "as it comes");
    let offset = here.offset.clone().unwrap();
    drop(here);
    job.say(5..=6);
    let mut there = Subscriber::follow(&world.live, &topic, &token, Some(&offset));
    assert_eq!(there.lines(2), numbered(5..=6), "the other listener, and the same offsets");
    world.restart();
    there.gone();
    job.say(7..=8);
    let mut back = Subscriber::follow(&world.api, &topic, &token, there.offset.as_deref());
    assert_eq!(back.lines(2), numbered(7..=8), "and the same token");
    job.end();
    let end = back.push();
    assert_eq!(end, json!({"kind": "end", "status": "succeeded", "log_lines": 8}));
    // Who comes back behind the end gets nothing more.
    let mut after = world.follow_shortly(&topic, back.offset.as_deref());
    assert_eq!(after.end(), End { code: Some("auth_expired".to_owned()), close: 1008 });
    let mut again = world.follow(&topic, None);
    let whole: Vec<_> = again.until(|payload| payload["kind"] == "end");
    assert_eq!(whole[0]["job"]["status"], "succeeded");
    assert_eq!(whole[1..9].iter().map(line).collect::<Vec<_>>(), numbered(1..=8));
}

fn statuses(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter(|event| event["kind"] == "job")
        .map(|event| event["status"].as_str().unwrap())
        .collect()
}

fn is_over(payload: &Value) -> bool {
    payload["kind"] == "job" && payload["finished_at_ms"].is_i64()
}

#[test]
fn a_job_tells_each_of_its_states_once_over_restarts() {
    let mut world = World::new();
    world.add_agent("edge-1");
    let mut job = world.submit("edge-1", "input");
    let topic = format!("job.{}", job.id);
    let mut here = world.follow(&topic, None);
    let state = here.push();
    assert_eq!((&state["kind"], &state["job"]["status"]), (&json!("state"), &json!("queued")), "{state}");
    assert_eq!(state["job"]["agent"], "edge-1");
    world.run_agent("edge-1");
    let first = here.until(|payload| payload["status"] == "running");
    assert_eq!(statuses(&first), ["offered", "accepted", "running"]);
    assert_eq!((&first[2]["run"], &first[2]["job_id"]), (&json!(1), &json!(job.id)));
    world.restart();
    here.gone();
    job.say(1..=1);
    // Its process has opened the input by then: what is written and closed before is lost.
    let mut log = world.follow(&job.logs(), None);
    log.push();
    assert_eq!(log.lines(1), numbered(1..=1));
    job.end();
    let mut back = world.follow(&topic, here.offset.as_deref());
    let rest = back.until(is_over);
    assert_eq!(statuses(&rest), ["succeeded"], "{rest:?}");
    assert_eq!((&rest[0]["exit_code"], &rest[0]["log_lines"]), (&json!(0), &json!(1)));
    // A fresh one begins with the state, and there is no change after it.
    let mut fresh = world.follow_shortly(&topic, None);
    assert_eq!(fresh.push()["job"]["status"], "succeeded");
    assert_eq!(fresh.end().code.as_deref(), Some("auth_expired"));
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[test]
fn an_agent_tells_of_its_sessions_labels_jobs_and_its_end() {
    let mut world = World::new();
    let id = world.add_agent("edge-1");
    world.add_agent("edge-2");
    let topic = format!("agent.{id}");
    let mut here = world.follow(&topic, None);
    let state = here.push();
    let agent = &state["agent"];
    assert_eq!(
        (&agent["name"], &agent["id"], &agent["connected"]),
        (&json!("edge-1"), &json!(id), &json!(false))
    );
    let place = world.run_agent("edge-1");
    let connected = here.push();
    assert_eq!((&connected["kind"], &connected["agent"]), (&json!("connected"), &json!("edge-1")));
    world.ask("PATCH", "/v1/agents/edge-1/labels", json!({"site": "eu-1"}));
    let label = here.push();
    assert_eq!(
        (&label["kind"], &label["label"], &label["value"]),
        (&json!("label"), &json!("site"), &json!("eu-1"))
    );
    // Said again, nothing has changed; of another agent, it is nothing here.
    world.ask("PATCH", "/v1/agents/edge-1/labels", json!({"site": "eu-1"}));
    world.ask("PATCH", "/v1/agents/edge-2/labels", json!({"site": "eu-2"}));
    world.ask("PATCH", "/v1/agents/edge-1/labels", json!({"site": null}));
    let label = here.push();
    assert_eq!((&label["kind"], &label["value"]), (&json!("label"), &Value::Null));
    let spec = json!({"kind": "exec", "payload": {"command": ["/bin/false"]}});
    world.submit_spec("edge-1", &spec);
    let job = here.until(is_over);
    assert_eq!(statuses(&job), ["queued", "offered", "accepted", "running", "failed"], "{job:?}");
    world.kill_agent(place);
    let gone = here.push();
    assert_eq!((&gone["kind"], &gone["session_id"]), (&json!("disconnected"), &connected["session_id"]));
    world.ask("POST", "/v1/agents/edge-1/revoke", Value::Null);
    assert_eq!(here.push()["kind"], "revoked");
    world.ask("DELETE", "/v1/agents/edge-1", Value::Null);
    assert_eq!(here.push()["kind"], "removed");
    // It is told no more to who comes now, and what was is still told to who was there.
    let mut back = Subscriber::open(&world.api, &format!("topic={topic}")).unwrap();
    let refused = world.ask_as(&world.admin, "POST", "/v1/streams/token", &json!({"topic": topic}));
    assert_eq!(refused.status, 404, "{refused:?}");
    back.show(&json!("x"));
    assert_eq!(back.end().code.as_deref(), Some("unauthorized"));
}

#[test]
fn a_hub_that_was_killed_tells_after_its_restart_that_agents_are_away() {
    let mut world = World::new();
    let id = world.add_agent("edge-1");
    let topic = format!("agent.{id}");
    let mut here = world.follow(&topic, None);
    here.push();
    let place = world.run_agent("edge-1");
    assert_eq!(here.push()["kind"], "connected");
    // Nobody is left to say so.
    world.stop(rustix::process::Signal::KILL);
    world.kill_agent(place);
    here.gone();
    world.start();
    let mut back = world.follow(&topic, here.offset.as_deref());
    assert_eq!(back.push()["kind"], "disconnected");
}

#[test]
fn the_fleet_is_counted_first_and_then_each_change_of_it_is_told_in_short() {
    let mut world = World::new();
    world.add_agent("edge-1");
    let mut here = world.follow("fleet", None);
    let state = here.push();
    assert_eq!(state["agents"], json!({"active": 1, "connected": 0, "revoked": 0}), "{state}");
    assert_eq!(state["open_jobs"], json!({}));
    world.add_agent("edge-2");
    world.run_agent("edge-2");
    let came = here.until(|event| event["kind"] == "connected");
    assert_eq!(kinds(&came), ["added", "connected"]);
    assert!(came.iter().all(|event| event["agent"] == "edge-2"), "{came:?}");
    let job = world.submit_spec("edge-1", &json!({"kind": "exec", "payload": {"command": ["/bin/true"]}}));
    let mut queued = here.push();
    let fields = queued.as_object_mut().unwrap();
    assert!(fields.remove("agent_id").is_some() && fields.remove("at_ms").is_some());
    let short = json!({"kind": "job", "job_id": job, "agent": "edge-1", "status": "queued", "run": 0});
    assert_eq!(queued, short);
    world.ask("POST", &format!("/v1/jobs/{job}/cancel"), Value::Null);
    assert_eq!(here.push()["status"], "cancelled");
    let mut again = world.follow("fleet", None);
    let state = again.push();
    assert_eq!(
        (&state["agents"]["active"], &state["agents"]["connected"]),
        (&json!(2), &json!(1)),
        "{state}"
    );
}

#[test]
fn a_hundred_subscribers_of_a_log_get_each_line_once_and_a_slow_one_loses_nothing_and_holds_up_nobody() {
    const LINES: u32 = 8000;
    /// So many are read by one after the other.
    const STEP: u32 = 500;
    /// And by the slow one meanwhile: a ping waits behind some hundreds, and whoever answers none is sent away.
    const SIP: u32 = STEP / 5;
    let mut world = World::new();
    world.add_agent("edge-1");
    let filler = "x".repeat(1000);
    let script = format!("x={filler}; i=1; while [ $i -le {LINES} ]; do echo line $i $x; i=$((i+1)); done");
    let job = world.submit_spec("edge-1", &json!({"kind": "exec", "payload": {"script": script}}));
    let topic = format!("job.{job}.logs");
    let token = world.token(&topic);
    let follow = |address: &str| {
        let mut subscriber = Subscriber::follow(address, &topic, &token, None);
        assert_eq!(subscriber.push()["kind"], "state");
        subscriber
    };
    let mut slow = follow(&world.api);
    // With less, it would be sent nothing but what probes its window.
    slow.receive_at_most(64 * 1024);
    let mut two = [&world.api, &world.live].map(|address| follow(address));
    let mut some: Vec<_> =
        (0..98).map(|number| follow(if number % 2 == 0 { &world.api } else { &world.live })).collect();
    world.run_agent("edge-1");
    let check = |subscriber: &mut Subscriber, before: u32, count: u32| {
        for number in before + 1..=before + count {
            let line = line(&subscriber.push());
            assert!(line.starts_with(&format!("1:{number} line {number} x")), "{number}: {line}");
        }
    };
    // A hundred read the beginning, two of them all of it, while one reads little: 6 MB are more than its sockets hold.
    some.iter_mut().for_each(|subscriber| check(subscriber, 0, 100));
    drop(some);
    for step in 0..LINES / STEP {
        two.iter_mut().for_each(|subscriber| check(subscriber, step * STEP, STEP));
        check(&mut slow, step * SIP, SIP);
    }
    two.iter_mut().for_each(|subscriber| assert_eq!(subscriber.push()["kind"], "end"));
    slow.receive_at_most(1024 * 1024);
    let sipped = LINES / STEP * SIP;
    check(&mut slow, sipped, LINES - sipped);
    assert_eq!(slow.push()["kind"], "end");
}

#[test]
fn workers_can_neither_register_nor_publish_what_is_outposts_own() {
    let world = World::new();
    let mut here = world.follow("fleet", None);
    here.push();
    let there = Subscriber::follow(&world.live, "fleet", &world.token("fleet"), None);
    let worker = |path: &str, body: Value| {
        let secret = format!("X-Worker-Secret: {}\r\n", crate::node::SECRET);
        let answer = crate::node::send(&world.internal, "POST", path, &secret, body.to_string().as_bytes());
        (answer.status, answer.body)
    };
    for topic in ["fleet", "fleet.x", "job.x", "job.x.logs", "agent.x", "agent."] {
        let registered =
            worker("/internal/register", json!({"topic": topic, "meta": {"require_token": false}}));
        assert_eq!(registered, (400, "bad request".to_owned()), "{topic}");
        let unregistered = worker("/internal/unregister", json!({"topic": topic}));
        assert_eq!(unregistered, (400, "bad request".to_owned()), "{topic}");
        for path in ["/internal/publish", "/internal/push"] {
            let published =
                worker(path, json!({"topic": topic, "payload": {"kind": "added", "agent": "forged"}}));
            assert_eq!(published, (404, "topic not registered".to_owned()), "{topic}");
        }
    }
    world.add_agent("edge-1");
    for mut subscriber in [here, there] {
        let first = subscriber.until(|event| event["kind"] == "added");
        assert_eq!(first.last().unwrap()["agent"], "edge-1", "{first:?}");
        assert!(first.len() <= 2, "{first:?}");
    }
    // And the broker counts nobody who follows an own stream.
    let secret = format!("X-Worker-Secret: {}\r\n", crate::node::SECRET);
    let status = crate::node::send(&world.internal, "GET", "/internal/status?topics=1", &secret, b"").body;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["connected_sockets"], &status["active_topic_list"]), (&json!(0), &json!([])));
}

#[test]
fn the_command_asks_the_hub_for_a_token_of_an_own_stream() {
    let world = World::new();
    let run = |arguments: &[&str]| {
        let mut command = crate::node::outpost();
        command.args(["topic", "token"]).args(arguments).arg("--hub").arg(format!("http://{}", world.api));
        let output = command.arg("--token-file").arg(world.path("data/admin.token")).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, token, error) = run(&["fleet", "--ttl", "1h"]);
    assert_eq!(code, Some(0), "{error}");
    let mut here = Subscriber::follow(&world.api, "fleet", token.trim(), None);
    assert_eq!(here.push()["kind"], "state");
    let nobody = format!("agent.{}", "0".repeat(32));
    for (arguments, exit, said) in [
        (&["fleet", "--user", "7"][..], 64, "--user"),
        (&["fleet", "--ttl", "soon"], 64, "duration"),
        (&["fleet", "--ttl", "25h"], 1, "ttl_s must be 1 to 86400"),
        (&["job.7"], 1, "must be agent.<id>"),
        (&[&nobody], 1, "there is no agent"),
    ] {
        let (code, out, error) = run(arguments);
        assert!(
            code == Some(exit) && out.is_empty() && error.contains(said),
            "{arguments:?}: {code:?} {out} {error}"
        );
    }
}
