//! Jobs run once and lose no line, whatever is killed meanwhile.

use std::path::Path;

use serde_json::Value;

use crate::world::{Process, World, wait_for};

fn started() -> (World, Process, Process) {
    let mut world = World::new();
    let hub = world.start_hub();
    world.add_agent("edge-1");
    let agent = world.start_agent("edge-1");
    (world, hub, agent)
}

/// A script that notes each of its runs in `name`, with its process group.
fn noting(world: &World, name: &str, script: &str) -> String {
    format!("echo $$ >> {}\n{script}", world.path(name).display())
}

/// The process groups of the runs that were noted.
fn noted(path: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn wait_noted(world: &World, name: &str, runs: usize) -> Vec<i32> {
    let path = world.path(name);
    wait_for("the job to run", || Some(noted(&path)).filter(|noted| noted.len() >= runs))
}

/// Whether anything is left of a process group but what waits to be reaped.
fn group_lives(group: i32) -> bool {
    let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        Some(stat.rsplit_once(") ")?.1.to_owned())
    });
    stats.into_iter().any(|stat| {
        let fields: Vec<&str> = stat.split(' ').collect();
        fields[0] != "Z" && fields[2] == group.to_string()
    })
}

fn numbers(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("line {number}")).collect()
}

/// Writes a line, waits for the file `go`, then writes the rest.
fn waiting_lines(world: &World, count: usize) -> String {
    format!(
        "echo line 1; until [ -e {} ]; do sleep 0.02; done; i=2; while [ $i -le {count} ]; do echo line $i; i=$((i+1)); done",
        world.path("go").display()
    )
}

fn go(world: &World) {
    std::fs::write(world.path("go"), "").unwrap();
}

#[test]
fn a_job_is_waited_for_and_its_lines_are_there_at_that_instant() {
    let (world, _hub, _agent) = started();
    let script = "for i in 1 2 3; do echo line $i; done; exit 3";
    for _ in 0..10 {
        let output = world.submit_output("edge-1", "--wait", script);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&result["exit_code"], &result["status"]), (&3.into(), &"failed".into()), "{result}");
        assert_eq!(world.job_lines(result["job_id"].as_str().unwrap()), numbers(3));
    }
    let output = world.submit_output("edge-1", "--wait", "true");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_job_outlives_its_hub_and_its_result_and_lines_arrive_once() {
    let (mut world, mut hub, agent) = started();
    let script = waiting_lines(&world, 5_000);
    let job = world.submit("edge-1", "", &noting(&world, "runs", &script));
    wait_noted(&world, "runs", 1);
    hub.kill();
    // The whole job ends while there is no hub.
    go(&world);
    wait_for("the job to be over", || {
        world
            .status("edge-1")
            .filter(|status| status["jobs"].as_object().is_some_and(serde_json::Map::is_empty))
    });
    let _hub = world.start_hub();
    let shown = world.wait_job(&job);
    assert_eq!((&shown["status"], &shown["run"]), (&"succeeded".into(), &1.into()), "{shown}");
    assert_eq!(world.job_lines(&job), numbers(5_000));
    assert_eq!(noted(&world.path("runs")).len(), 1);
    drop(agent);
}

#[test]
fn a_hub_that_is_killed_again_and_again_loses_no_line_of_a_running_job() {
    let (mut world, mut hub, _agent) = started();
    let script = "i=1; while [ $i -le 3000 ]; do echo line $i; i=$((i+1)); [ $((i % 100)) = 0 ] && sleep 0.05; done; true";
    let job = world.submit("edge-1", "", script);
    for lines in [200, 800, 1500] {
        wait_for("some lines", || {
            let shown = world.run(&format!("job logs {job} --no-wait {}", world.remote()));
            (shown.iter().filter(|byte| **byte == b'\n').count() >= lines).then_some(())
        });
        hub.kill();
        hub = world.start_hub();
    }
    assert_eq!(world.wait_job(&job)["status"], "succeeded");
    assert_eq!(world.job_lines(&job), numbers(3000));
}

#[test]
fn a_killed_agents_job_is_ended_and_reported_once_as_interrupted() {
    let (world, _hub, mut agent) = started();
    let job = world.submit("edge-1", "", &noting(&world, "runs", "echo begun; sleep 1000 & wait"));
    let [group] = wait_noted(&world, "runs", 1)[..] else { panic!("more than one run") };
    wait_for("its line", || (world.job(&job)["status"] == "running").then_some(()));
    agent.kill();
    assert!(group_lives(group), "a kill of the agent alone leaves the job");
    agent = world.start_agent("edge-1");
    let shown = world.wait_job(&job);
    assert_eq!(shown["status"], "interrupted", "{shown}");
    assert!(!group_lives(group), "what was left of the job is gone before it is reported");
    for _ in 0..2 {
        agent.kill();
        agent = world.start_agent("edge-1");
        world.wait_drained("edge-1");
    }
    assert_eq!(world.job(&job), shown, "nothing is told twice");
    assert_eq!(noted(&world.path("runs")), [group]);
    let results = world.listed_objects("edge-1").into_iter().filter(is_result).count();
    assert_eq!(results, 1);
}

/// Whether a listed record is a job's result.
fn is_result(record: &Value) -> bool {
    record["kind"] == "job_result"
}

#[test]
fn a_job_that_asks_for_it_runs_again_after_a_kill_and_the_first_run_is_gone() {
    let (world, _hub, mut agent) = started();
    let script =
        format!("echo run; until [ -e {} ]; do sleep 0.02; done; exit 7", world.path("go").display());
    let job = world.submit("edge-1", "--on-crash rerun", &noting(&world, "runs", &script));
    let first = wait_noted(&world, "runs", 1)[0];
    agent.kill();
    agent = world.start_agent("edge-1");
    let runs = wait_noted(&world, "runs", 2);
    assert!(!group_lives(first), "the first run is gone before the second begins");
    go(&world);
    let shown = world.wait_job(&job);
    assert_eq!((&shown["exit_code"], &shown["run"]), (&7.into(), &2.into()), "{shown}");
    assert_eq!(noted(&world.path("runs")), runs);
    assert_eq!(world.job_lines(&job), ["run"]);
    drop(agent);
}

#[test]
fn a_stopping_agent_ends_its_jobs_and_says_so() {
    let (world, _hub, mut agent) = started();
    let job = world.submit("edge-1", "", &noting(&world, "runs", "echo begun; sleep 1000"));
    let group = wait_noted(&world, "runs", 1)[0];
    let said = format!("job logs {job} --no-wait {}", world.remote());
    wait_for("its line", || (world.run(&said) == b"begun\n").then_some(()));
    assert_eq!(agent.terminate(), Some(0));
    assert!(!group_lives(group));
    let _agent = world.start_agent("edge-1");
    let shown = world.wait_job(&job);
    assert_eq!(shown["status"], "interrupted", "{shown}");
    assert_eq!(world.job_lines(&job), ["begun"]);
}

#[test]
fn of_more_jobs_than_an_agent_takes_the_rest_wait_at_the_hub_and_run_later() {
    let (world, _hub, _agent) = started();
    let script = waiting_lines(&world, 1);
    let jobs: Vec<_> = (0..40)
        .map(|number| world.submit("edge-1", "", &noting(&world, &format!("runs-{number}"), &script)))
        .collect();
    let in_state = |state: &str| {
        let listed =
            world.run(&format!("job list --json --agent edge-1 --status {state} {}", world.remote()));
        listed.iter().filter(|byte| **byte == b'\n').count()
    };
    wait_for("the agent's queue to be full", || {
        let taken = in_state("accepted") + in_state("running");
        (taken == 32 && in_state("queued") == 8 && in_state("running") == 4).then_some(())
    });
    go(&world);
    for (number, job) in jobs.iter().enumerate() {
        assert_eq!(world.wait_job(job)["status"], "succeeded");
        assert_eq!(noted(&world.path(&format!("runs-{number}"))).len(), 1);
    }
}

#[test]
fn a_running_job_is_cancelled_with_all_its_processes() {
    let (world, _hub, _agent) = started();
    let script = "trap '' TERM; echo begun; sleep 1000 & wait; wait";
    let script = noting(&world, "runs", script);
    let spec = serde_json::json!({"kind": "exec", "grace": "300ms", "payload": {"script": script}});
    std::fs::write(world.path("spec.json"), spec.to_string()).unwrap();
    let submitted =
        world.run(&format!("job submit --json --agent edge-1 --spec spec.json {}", world.remote()));
    let submitted: Value = serde_json::from_slice(&submitted).unwrap();
    let job = submitted["job_id"].as_str().unwrap();
    let group = wait_noted(&world, "runs", 1)[0];
    wait_for("its line", || (world.job(job)["status"] == "running").then_some(()));
    let cancelled = world.run(&format!("job cancel {job} --wait --json {}", world.remote()));
    let cancelled: Value = serde_json::from_slice(&cancelled).unwrap();
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert!(!group_lives(group));
    let (code, said) = world.fail(&format!("job cancel {job} {}", world.remote()));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cancelled"), "{said}");
}

#[test]
fn output_beyond_the_cap_is_cut_with_a_mark_and_costs_no_memory() {
    let (world, _hub, agent) = started();
    let script = "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 100; echo end >&2";
    let job = world.submit("edge-1", "", script);
    let shown = world.wait_job(&job);
    assert_eq!((&shown["status"], &shown["output_cut"]), (&"succeeded".into(), &true.into()), "{shown}");
    let lines = world.job_lines(&job);
    assert!(lines.last().unwrap().contains("cut"), "{:?}", lines.last());
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!((16_000_000..17_000_000).contains(&bytes), "{bytes} bytes of 16 MiB");
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 64 * 1024, "the agent took {peak_kib} KiB");
}

#[test]
fn a_job_that_an_agents_end_finds_unbegun_waits_for_its_next_start() {
    let (world, _hub, mut agent) = started();
    let mut jobs = Vec::new();
    for round in 0..20 {
        for _ in 0..10 {
            let number = jobs.len();
            jobs.push(world.submit("edge-1", "", &noting(&world, &format!("runs-{number}"), "true")));
        }
        wait_noted(&world, &format!("runs-{}", round * 10 + round % 5), 1);
        agent.terminate();
        agent = world.start_agent("edge-1");
    }
    for (number, job) in jobs.iter().enumerate() {
        let shown = world.wait_job(job);
        // What was interrupted had a process, though that may have come to nothing.
        let runs = noted(&world.path(&format!("runs-{number}"))).len();
        let succeeded = shown["status"] == "succeeded" && runs == 1;
        let ended = shown["signal"].is_number() || shown["exit_code"].is_number();
        let interrupted = shown["status"] == "interrupted" && runs <= 1 && ended;
        assert!(succeeded || interrupted, "{shown}, {runs} runs");
    }
}
