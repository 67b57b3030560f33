//! How jobs end: by themselves, told to, too late, unrecorded, dropped.

use std::time::Duration;

use outpost::exec::{CancelReason, Ending, Outcome, Report, Running};
use outpost::job::JobState;
use outpost::wire::job::OutputStream::{Stderr, Stdout};
use serde_json::json;

use crate::world::{Story, eventually, exec, job, lives, pool, run, shell, start, within};

/// Starts a job and waits until it has written its first line.
async fn ready(running: &mut Running) -> Story {
    let mut story = Story::default();
    story.until(running, |story| !story.lines.is_empty()).await;
    story
}

fn outcome(story: &Story) -> (JobState, Option<i32>, Option<u32>) {
    let outcome = &story.end().outcome;
    (outcome.state(), outcome.exit_code, outcome.signal)
}

#[tokio::test]
async fn an_exit_code_or_a_signal_says_how_it_ended() {
    let pool = pool();
    let cases = [
        ("exit 0", (JobState::Succeeded, Some(0), None), ""),
        ("exit 3", (JobState::Failed, Some(3), None), "exit code 3"),
        ("kill -9 $$", (JobState::Failed, None, Some(9)), "ended by signal 9"),
    ];
    for (script, expected, reason) in cases {
        let story = run(&pool, shell(script)).await;
        assert_eq!((outcome(&story), story.end().outcome.reason.as_str()), (expected, reason), "{script}");
        assert_eq!(story.started.len(), 1);
    }
}

#[tokio::test]
async fn a_cancelled_process_gets_term_and_may_say_goodbye() {
    let script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let mut running = start(&pool(), shell(script)).await;
    let mut story = ready(&mut running).await;
    running.canceller().cancel(CancelReason::Cancelled);
    running.canceller().cancel(CancelReason::Shutdown);
    story.finish(&mut running).await;
    assert_eq!(story.texts(Stdout), ["up", "bye"]);
    assert_eq!(outcome(&story), (JobState::Cancelled, Some(7), None));
}

#[tokio::test]
async fn a_group_that_ignores_term_is_killed_after_its_grace() {
    let script = "trap '' TERM; sh -c 'while :; do sleep 1000; done' & echo $!; wait; sleep 1000";
    let spec = json!({"kind": "exec", "grace": "300ms", "payload": {"script": script}});
    let mut running = start(&pool(), job(&spec)).await;
    let mut story = ready(&mut running).await;
    let child = story.texts(Stdout)[0].parse().unwrap();
    assert!(lives(child));
    let before = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    running.canceller().cancel(CancelReason::Shutdown);
    story.finish(&mut running).await;
    let after = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    assert_eq!(outcome(&story), (JobState::Interrupted, None, Some(9)));
    let took = Duration::try_from(after).unwrap() - Duration::try_from(before).unwrap();
    assert!(took >= Duration::from_millis(300), "no grace: {took:?}");
    assert!(!lives(child) && !lives(story.started[0].unwrap().pid));
}

#[tokio::test]
async fn a_child_that_outlives_its_parents_term_is_killed_too() {
    let script = "sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.1; done' & echo $! >&2; wait";
    let spec = json!({"kind": "exec", "grace": "200ms", "payload": {"script": script}});
    let mut running = start(&pool(), job(&spec)).await;
    let mut story = Story::default();
    story.until(&mut running, |story| story.lines.len() == 2).await;
    let child = story.texts(Stderr)[0].parse().unwrap();
    running.canceller().cancel(CancelReason::Cancelled);
    story.finish(&mut running).await;
    // The leader ended at TERM.
    assert_eq!(outcome(&story), (JobState::Cancelled, None, Some(15)));
    assert!(!lives(child));
}

#[tokio::test]
async fn a_process_that_runs_too_long_has_timed_out() {
    let spec = json!({"kind": "exec", "timeout": "200ms", "payload": {"command": ["sleep", "1000"]}});
    let story = run(&pool(), job(&spec)).await;
    assert_eq!(outcome(&story), (JobState::TimedOut, None, Some(15)));
    let spec = json!({"kind": "exec", "timeout": "365d", "grace": "365d", "payload": {"command": ["true"]}});
    assert_eq!(run(&pool(), job(&spec)).await.end().outcome, {
        let mut outcome = Outcome::succeeded();
        outcome.exit_code = Some(0);
        outcome
    });
}

#[tokio::test]
async fn cancelled_before_it_runs_it_never_has_a_process() {
    let permit = within(pool().queue(shell("echo up")).unwrap().permit()).await.unwrap();
    permit.canceller().cancel(CancelReason::Cancelled);
    let mut story = Story::default();
    story.finish(&mut permit.start()).await;
    assert_eq!((story.started.len(), story.lines.len()), (0, 0));
    assert_eq!(outcome(&story), (JobState::Cancelled, None, None));
}

#[tokio::test]
async fn the_end_waits_until_the_start_is_durable() {
    let mut running = start(&pool(), shell("echo up")).await;
    let Some(Report::Started { process: Some(process), ack }) = within(running.next()).await else {
        panic!("it did not start");
    };
    let Some(Report::Lines(lines)) = within(running.next()).await else { panic!("its line waits, too") };
    assert_eq!(&*lines[0].text, b"up");
    eventually("the process has ended", || !lives(process.pid)).await;
    let early = tokio::time::timeout(Duration::from_millis(300), running.next()).await;
    assert!(early.is_err(), "before the ack: {early:?}");
    ack.durable();
    let Some(Report::Finished(end)) = within(running.next()).await else { panic!("no end") };
    assert_eq!(end.outcome.ending, Ending::Succeeded);
    assert!(within(running.next()).await.is_none());
}

#[tokio::test]
async fn a_start_that_cannot_be_recorded_ends_the_process() {
    let mut running = start(&pool(), shell("sleep 1000")).await;
    let Some(Report::Started { process: Some(process), ack }) = within(running.next()).await else {
        panic!("it did not start");
    };
    drop(ack);
    let mut story = Story::default();
    story.finish(&mut running).await;
    assert_eq!(story.end().outcome.ending, Ending::Failed);
    assert!(story.end().outcome.reason.contains("could not record"), "{story:?}");
    assert!(!lives(process.pid));
}

#[tokio::test]
async fn a_job_nobody_attends_to_any_more_is_ended() {
    let pool = pool();
    let mut running = start(&pool, exec(&json!({"script": "sleep 1000 & echo $!; wait"}))).await;
    let story = ready(&mut running).await;
    let (leader, child) = (story.started[0].unwrap().pid, story.texts(Stdout)[0].parse().unwrap());
    assert!(lives(leader) && lives(child));
    drop(running);
    within(pool.idle()).await;
    assert!(!lives(leader) && !lives(child));
}

#[tokio::test]
async fn a_runtime_that_ends_takes_its_processes_with_it() {
    let (leader, child) = tokio::task::spawn_blocking(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut running = start(&pool(), exec(&json!({"script": "sleep 1000 & echo $!; wait"}))).await;
            let story = ready(&mut running).await;
            // Still running when the runtime goes.
            std::mem::forget(running);
            (story.started[0].unwrap().pid, story.texts(Stdout)[0].parse().unwrap())
        })
    })
    .await
    .unwrap();
    eventually("the group has ended", || !lives(leader) && !lives(child)).await;
}
