//! The commands of jobs as a person gives them, with a raw agent at the other end.

use std::process::{Output, Stdio};

use outpost::wire::job::{JobState, LogSummary};
use serde_json::Value;
use tokio::process::Command;

use crate::job_agent::{JobAgent, accepted, output, result_with, running};
use crate::raw_agent::{World, within};

fn command(world: &World, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outpost"));
    let (words, tail) = words.split_once(" -- ").map_or((words, None), |(words, tail)| (words, Some(tail)));
    command
        .args(words.split_whitespace())
        .args(["--hub", &format!("http://{}", world.hub.local_addr()), "--token-file"])
        .arg(world.folder.path().join("admin.token"))
        .args(tail.into_iter().flat_map(|tail| std::iter::once("--").chain(tail.split_whitespace())))
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn ran(world: &World, words: &str) -> Output {
    within(command(world, words).output()).await.unwrap()
}

#[tokio::test]
async fn who_waits_gets_the_result_at_once_and_every_line_once() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let submitted = command(&world, "job submit --agent edge-1 --wait --json -- sh -c three").output();
    let agent = async {
        let job = agent.offer().await.job;
        let logs = tokio::spawn(command(&world, &format!("job logs {job}")).output());
        agent.tell([accepted(job), running(job, 1), output(job, 1, 1..=2)]).await;
        let log = LogSummary { end: Some(agent.log_place(0)), lines: Some(3), ..LogSummary::default() };
        agent.tell([result_with(job, JobState::Failed, log)]).await;
        (agent, job, logs)
    };
    let (submitted, (mut agent, job, logs)) = within(async { tokio::join!(submitted, agent) }).await;
    // The result is there before the log is, and who asks for the log now waits for it.
    let submitted = submitted.unwrap();
    assert_eq!(submitted.status.code(), Some(1), "{submitted:?}");
    let ended: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    assert_eq!(
        (&ended["status"], &ended["exit_code"], &ended["logs_complete"], &ended["started_at"]),
        (&"failed".into(), &3.into(), &false.into(), &"1970-01-01T00:00:02.000Z".into()),
        "{ended}"
    );
    let now = ran(&world, &format!("job logs --no-wait {job}")).await;
    assert_eq!(String::from_utf8(now.stdout).unwrap(), "line 1\nline 2\n");
    let asked = tokio::spawn(command(&world, &format!("job logs --json --stream stderr {job}")).output());
    agent.settle().await;
    agent.tell([output(job, 1, 3..=3), output(job, 1, 1..=3)]).await;
    let logs = within(logs).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(logs.stdout).unwrap(), "line 1\nline 2\nline 3\n");
    let asked = within(asked).await.unwrap().unwrap();
    let line: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((&line["n"], &line["text"], &line["run"]), (&3.into(), &"line 3".into(), &1.into()));
    let from = ran(&world, &format!("job logs --from 3 {job}")).await;
    assert_eq!(String::from_utf8(from.stdout).unwrap(), "line 3\n");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn lines_that_will_not_come_are_told_and_not_waited_for() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    let log = LogSummary { end: Some(agent.log_place(1)), lines: Some(9), ..LogSummary::default() };
    agent.tell([accepted(job), output(job, 1, 1..=2), output(job, 1, 5..=6)]).await;
    agent.tell([result_with(job, JobState::Succeeded, log)]).await;
    let logs = ran(&world, &format!("job logs {job}")).await;
    assert_eq!(String::from_utf8(logs.stdout).unwrap(), "line 1\nline 2\nline 5\nline 6\n");
    let said = String::from_utf8(logs.stderr).unwrap();
    for lines in ["lines 3 to 4 of run 1", "lines 7 to 9 of run 1"] {
        assert!(said.contains(lines), "{said}");
    }
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_says_how_the_job_ended() {
    let world = World::new().await;
    let mut agent = JobAgent::register(&world).await;
    let job = world.submit().await;
    agent.offer().await;
    agent.tell([accepted(job), running(job, 1)]).await;
    let cancel = tokio::spawn(command(&world, &format!("job cancel --wait {job}")).output());
    assert_eq!(agent.cancel().await, job);
    agent.tell([result_with(job, JobState::Succeeded, LogSummary::default())]).await;
    let cancel = within(cancel).await.unwrap().unwrap();
    assert_eq!(cancel.status.code(), Some(1));
    let said = String::from_utf8(cancel.stderr).unwrap();
    assert!(said.contains("ended as succeeded before it could be cancelled"), "{said}");
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn the_environment_names_the_hub_where_no_flag_does() {
    let world = World::new().await;
    let job = world.submit().await;
    let commands = [
        format!("job show {job}"),
        "job list".to_owned(),
        format!("job logs --no-wait {job}"),
        format!("job cancel {job}"),
        "job submit --agent edge-1 -- true".to_owned(),
    ];
    for words in commands {
        let ran = Command::new(env!("CARGO_BIN_EXE_outpost"))
            .args(words.split_whitespace())
            .env_clear()
            .env("OUTPOST_HUB", format!("http://{}", world.hub.local_addr()))
            .env("OUTPOST_TOKEN_FILE", world.folder.path().join("admin.token"))
            .stdin(Stdio::null())
            .output();
        let ran = within(ran).await.unwrap();
        assert_eq!(ran.status.code(), Some(0), "{words}: {ran:?}");
    }
    world.hub.shutdown().await;
}
