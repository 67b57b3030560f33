//! The lines of two apps on two agents, followed as they come while the hub goes and comes back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::world::{World, wait_for};

const RESTARTS: usize = 3;

/// What a follower has read: number, app, agent and text of each line; and how many gaps it was told of.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Vec<Line>, usize)>>);

type Line = (i64, String, String, String);

impl Seen {
    fn len(&self) -> usize {
        self.0.lock().unwrap().0.len()
    }
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_else(|| panic!("{field} of {line}")).to_owned()
}

/// Reads events over as many connections as that takes, until it has so many lines.
fn read(url: &str, token: &str, seen: &Seen, lines_max: usize) {
    let mut last = String::new();
    while seen.len() < lines_max {
        let request = ureq::get(url).header("Authorization", format!("Bearer {token}"));
        let Ok(answer) = request.header("Last-Event-ID", &last).call() else {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            continue;
        };
        let mut name = String::new();
        for line in BufReader::new(answer.into_body().into_reader()).lines().map_while(Result::ok) {
            match line.split_once(": ") {
                Some(("id", text)) => text.clone_into(&mut last),
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("data", data)) => {
                    let data: Value = serde_json::from_str(data).unwrap();
                    let mut seen = seen.0.lock().unwrap();
                    if name == "gap" {
                        seen.1 += 1;
                        continue;
                    }
                    let seq = data["seq"].as_i64().unwrap();
                    seen.0.push((seq, text(&data, "app"), text(&data, "agent"), text(&data, "text")));
                }
                _ => {}
            }
            if seen.len() >= lines_max {
                return;
            }
        }
    }
}

/// Emits lines that say their numbers; the agent has them on its disk when this returns.
fn emit(world: &World, agent: &str, app: &str, numbers: std::ops::RangeInclusive<usize>) {
    let words = format!("emit --json --lane logs --app {app} --socket {agent}.sock");
    let mut command = world.command(&words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for number in numbers {
        writeln!(stdin, "{agent} {app} {number}").unwrap();
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

/// Thirty lines of each app on each agent, from this number on. The number after them.
fn emit_all(world: &World, agents: &[&str], first: usize) -> usize {
    for agent in agents {
        emit(world, agent, "web", first..=first + 29);
        emit(world, agent, "till", first..=first + 29);
    }
    first + 30
}

#[test]
fn two_apps_on_two_agents_are_followed_through_restarts_and_outages_each_line_once() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    let agents = ["edge-1", "edge-2"];
    agents.iter().for_each(|name| world.add_agent(name));
    let _running = agents.map(|name| world.start_agent(name));
    let token = std::fs::read_to_string(world.path("hub/admin.token")).unwrap().trim().to_owned();
    // Two apps on each of two agents, each time 30 lines: while the hub is there, while it is not, and at the end.
    let lines_max = (2 * RESTARTS + 1) * 30 * 4;
    let both = Seen::default();
    let url = format!("{}/v1/logs/follow?apps=web,till", world.hub_url());
    let (own, token_of_it) = (both.clone(), token.clone());
    let follower = std::thread::spawn(move || read(&url, &token_of_it, &own, lines_max));
    let mut next = 1;
    for restart in 0..RESTARTS {
        next = emit_all(&world, &agents, next);
        // In turn by force and as it should be.
        if restart % 2 == 0 {
            hub.kill()
        } else {
            assert_eq!(hub.terminate(), Some(0))
        }
        next = emit_all(&world, &agents, next);
        hub = world.start_hub();
    }
    next = emit_all(&world, &agents, next);
    wait_for("the follower to have every line", || (both.len() >= lines_max).then_some(()));
    follower.join().unwrap();
    let (lines, gaps) = both.0.lock().unwrap().clone();
    assert_eq!(gaps, 0);
    assert!(lines.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order and none twice");
    for agent in agents {
        for app in ["web", "till"] {
            let of = lines.iter().filter(|line| line.1 == app && line.2 == agent);
            let found: Vec<_> = of.map(|line| line.3.clone()).collect();
            let expected: Vec<_> = (1..next).map(|number| format!("{agent} {app} {number}")).collect();
            assert!(found == expected, "{agent} {app}: {} of {}: {found:?}", found.len(), expected.len());
        }
    }
}

#[test]
fn lines_of_an_app_that_leave_as_a_file_are_there_once_though_they_come_over_the_line_too() {
    let mut world = World::new();
    let mut hub = world.start_hub();
    world.add_agent("edge-1");
    let mut agent = world.start_agent_with("edge-1", "edge-1", "--no-link");
    emit(&world, "edge-1", "web", 1..=20);
    emit(&world, "edge-1", "till", 1..=3);
    world.run("outbox export bundle --socket edge-1.sock");
    // Into a hub that runs, and into one that does not.
    world.run(&format!("hub import bundle --ack-out acks {}", world.remote()));
    let token = std::fs::read_to_string(world.path("hub/admin.token")).unwrap();
    let log = |world: &World, count: usize| -> Vec<String> {
        let url = format!("{}/v1/apps/web/logs?since=0", world.hub_url());
        let lines = wait_for("the lines", || {
            let request = ureq::get(&url).header("Authorization", format!("Bearer {}", token.trim()));
            let log: Value = request.call().unwrap().body_mut().read_json().unwrap();
            let lines = log["lines"].as_array().unwrap().clone();
            assert_eq!(log["gap"], false, "{log}");
            (lines.len() >= count).then_some(lines)
        });
        lines.iter().map(|line| text(line, "text")).collect()
    };
    let expected =
        |count: usize| -> Vec<_> { (1..=count).map(|number| format!("edge-1 web {number}")).collect() };
    assert_eq!(log(&world, 20), expected(20));
    emit(&world, "edge-1", "web", 21..=30);
    world.run("outbox export second --socket edge-1.sock");
    assert_eq!(hub.terminate(), Some(0));
    world.run("hub import second --data hub --ack-out acks-2");
    let _hub = world.start_hub();
    assert_eq!(log(&world, 30), expected(30));
    // The agent was never told that they are there; now it has a link, and sends what the hub says it lacks.
    agent.terminate();
    let _agent = world.start_agent("edge-1");
    emit(&world, "edge-1", "web", 31..=31);
    world.wait_drained("edge-1");
    assert_eq!(log(&world, 31), expected(31));
}

#[test]
fn the_output_of_jobs_and_what_programs_emit_are_lines_of_the_same_app() {
    let mut world = World::new();
    let _hub = world.start_hub();
    for name in ["edge-1", "edge-2"] {
        world.add_agent(name);
    }
    let _agents = [world.start_agent("edge-1"), world.start_agent("edge-2")];
    let job = world.submit("edge-1", "--app web", "printf 'one\\033[31m red\\033[0m\\n'; echo two >&2");
    world.wait_job(&job);
    emit(&world, "edge-2", "web", 3..=3);
    let other = world.submit("edge-2", "", "echo of no app");
    world.wait_job(&other);
    let token = std::fs::read_to_string(world.path("hub/admin.token")).unwrap();
    let get = |path: &str| -> Value {
        let request = ureq::get(format!("{}{path}", world.hub_url()));
        let mut answer = request.header("Authorization", format!("Bearer {}", token.trim())).call().unwrap();
        answer.body_mut().read_json().unwrap()
    };
    let log = wait_for("all lines", || {
        let log = get("/v1/apps/web/logs");
        (log["lines"].as_array().unwrap().len() == 3).then_some(log)
    });
    let mut texts: Vec<_> = log["lines"].as_array().unwrap().iter().map(|line| text(line, "text")).collect();
    assert_eq!(texts.pop().as_deref(), Some("edge-2 web 3"));
    texts.sort_unstable();
    assert_eq!(texts, ["one red", "two"], "the two streams of a job are read side by side: {log}");
    let first = &log["lines"][0];
    assert_eq!((&first["job_id"], &first["run"]), (&Value::from(job.as_str()), &Value::from(1)), "{first}");
    assert_eq!(world.job(&job)["app"], "web");
    assert_eq!(world.job(&other)["app"], Value::Null);
    let listed = world.run(&format!("job list --json --app web {}", world.remote()));
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed["job_id"], job.as_str());
    let (exit, said) = world.fail("emit --lane events --app web --socket edge-2.sock");
    assert!(exit == 64 && said.contains("the logs lane"), "{exit} {said}");
    let (exit, said) = world.fail("emit --app We_b --socket edge-2.sock");
    assert!(exit == 64 && said.contains("is not an app's name"), "{exit} {said}");
}
