//! What a process writes arrives: all of it, in order, cut and masked as promised.

use std::time::Duration;

use outpost::exec::{Ending, Report};
use outpost::limit;
use outpost::wire::job::OutputStream::{Stderr, Stdout};
use outpost::wire::job::{OUTPUT_LINE_OVERHEAD, OUTPUT_OVERHEAD};
use serde_json::json;
use tokio::task::JoinSet;

use crate::helper::{self, Role};
use crate::world::{Story, eventually, exec, job, kill, pool, run, shell, start, state, within};

fn numbers(to: usize) -> Vec<String> {
    (1..=to).map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_of_a_process_that_exits_at_once_is_lost() {
    const RUNS: usize = 2_000;
    let pool = pool();
    let mut jobs = JoinSet::new();
    for number in 0..RUNS {
        let pool = pool.clone();
        // The pool lets eight run at a time.
        jobs.spawn(async move {
            let (count, both) = (1 + number * 7919 % 1000, number % 4 == 3);
            let job = if both {
                shell(&format!("seq {count}; exec seq {count} >&2"))
            } else {
                exec(&json!({"command": ["seq", count.to_string()]}))
            };
            let mut running = start(&pool, job).await;
            let mut story = Story::default();
            story.finish(&mut running).await;
            let expected = numbers(count);
            assert_eq!(story.texts(Stdout), expected, "run {number}");
            assert_eq!(story.texts(Stderr), if both { expected } else { Vec::new() }, "run {number}");
            assert_eq!(story.end().outcome.exit_code, Some(0), "run {number}");
            assert!(!story.end().pipe_held && !story.end().cut, "run {number}");
        });
    }
    let mut done = 0;
    while let Some(job) = within(jobs.join_next()).await {
        job.unwrap();
        done += 1;
    }
    assert_eq!(done, RUNS);
}

#[tokio::test]
async fn output_beyond_the_cap_is_cut_with_a_mark_and_the_process_goes_on() {
    let max = 100_000;
    let script = "yes 0123456 | head -c 104857600; echo the end >&2; exit 3";
    let story = run(&pool(), exec(&json!({"script": script, "output_max": max}))).await;
    let (end, last) = (story.end(), story.lines.last().unwrap());
    assert_eq!((end.outcome.exit_code, end.cut), (Some(3), true));
    assert_eq!((last.stream, &*last.text), (Stderr, b"[output cut at 100000 bytes]".as_slice()));
    assert_eq!(story.texts(Stderr).len(), 1);
    let texts = story.texts(Stdout);
    assert_eq!(texts.iter().map(|text| text.len() + 1).sum::<usize>(), max);
    assert!(texts.iter().all(|text| text == "0123456"));
}

#[tokio::test]
async fn the_cap_counts_line_feeds_and_cuts_within_a_line() {
    let at = |max: u64| exec(&json!({"command": ["printf", "abc\\nabc\\n"], "output_max": max}));
    let pool = pool();
    let whole = run(&pool, at(8)).await;
    assert_eq!((whole.texts(Stdout), whole.end().cut), (vec!["abc".to_owned(), "abc".to_owned()], false));
    let within_line = run(&pool, at(6)).await;
    assert_eq!(within_line.texts(Stdout), ["abc", "ab"]);
    assert_eq!(within_line.texts(Stderr), ["[output cut at 6 bytes]"]);
    let between = run(&pool, at(4)).await;
    assert_eq!((between.texts(Stdout), between.end().cut), (vec!["abc".to_owned()], true));
}

#[test]
fn a_hundred_megabytes_of_output_take_little_memory() {
    let (mut child, mut said) = helper::spawn(&Role::Measure);
    let kib: u64 = said.next().unwrap().parse().unwrap();
    assert!(kib < 2 * 1024, "{kib} KiB");
    assert!(said.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipe_is_waited_for_not_for_ever() {
    let script = "echo one; setsid sleep 1000 & echo $! >&2; printf two";
    let story = run(&pool(), shell(script)).await;
    let grandchild = story.texts(Stderr)[0].parse().unwrap();
    let lived = state(grandchild).is_some();
    kill(grandchild);
    assert!(lived, "what a job leaves running on purpose was ended");
    assert_eq!(story.texts(Stdout), ["one", "two"]);
    assert_eq!((story.end().outcome.ending, story.end().pipe_held), (Ending::Succeeded, true));
}

#[tokio::test]
async fn a_grandchild_that_floods_the_pipe_is_left_too() {
    let story = run(&pool(), shell("echo one; setsid yes flood & exit 0")).await;
    let end = story.end();
    assert_eq!((end.outcome.ending, end.pipe_held), (Ending::Succeeded, true));
    assert!(story.texts(Stdout).contains(&"one".to_owned()));
}

#[tokio::test]
async fn a_long_line_comes_in_pieces_and_the_last_needs_no_line_feed() {
    let max = limit::JOB_LINE_BYTES_MAX;
    let script = format!("head -c {} /dev/zero | tr '\\0' x; echo; echo; printf last", 2 * max + 5);
    let story = run(&pool(), shell(&script)).await;
    let found: Vec<(usize, bool)> =
        story.lines.iter().map(|line| (line.text.len(), line.continues)).collect();
    assert_eq!(found, [(max, true), (max, true), (5, false), (0, false), (4, false)]);
    assert_eq!(story.texts(Stdout)[4], "last");
}

#[tokio::test]
async fn a_secret_is_masked_across_two_reads_and_in_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script =
        "printf 'first\\na hun'; while [ ! -e \"$GO\" ]; do sleep 0.01; done; printf 'ter2 b\\nhunter';";
    let secrets = json!({"TOKEN": "hunter2"});
    let payload = json!({"script": script, "env": {"GO": go}});
    let spoken = job(&json!({"kind": "exec", "secrets": secrets, "payload": payload}));
    let mut running = start(&pool(), spoken).await;
    let mut story = Story::default();
    // The beginning was read together with the first line, or before it.
    story.until(&mut running, |story| !story.lines.is_empty()).await;
    std::fs::write(&go, "").unwrap();
    story.finish(&mut running).await;
    assert_eq!(story.texts(Stdout), ["first", "a *** b", "hunter"]);

    let payload = json!({"command": ["no-hunter2"]});
    let named = job(&json!({"kind": "exec", "secrets": secrets, "payload": payload}));
    let story = run(&pool(), named).await;
    assert!(story.end().outcome.reason.contains("`no-***`"), "{:?}", story.end());
}

#[tokio::test]
async fn lines_leave_while_the_process_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = "echo one; while [ ! -e \"$GO\" ]; do sleep 0.01; done; echo two";
    let mut running = start(&pool(), exec(&json!({"script": script, "env": {"GO": go}}))).await;
    let mut story = Story::default();
    story.until(&mut running, |story| story.texts(Stdout) == ["one"]).await;
    std::fs::write(&go, "").unwrap();
    story.finish(&mut running).await;
    assert_eq!(story.texts(Stdout), ["one", "two"]);
}

#[tokio::test]
async fn a_process_whose_lines_are_not_taken_waits_and_loses_none() {
    let count = 200_000;
    let mut running = start(&pool(), exec(&json!({"command": ["seq", count.to_string()]}))).await;
    let mut story = Story::default();
    story.until(&mut running, |story| !story.started.is_empty()).await;
    let pid = story.started[0].unwrap().pid;
    let written = || std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    // It sleeps in a write: `seq` does nothing else that takes time.
    let mut before = String::new();
    let still = async {
        while before.is_empty() || before != written() || state(pid) != Some('S') {
            before = written();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    within(still).await;
    story.finish(&mut running).await;
    assert_eq!(story.texts(Stdout), numbers(count));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_the_pipe_of_a_process_that_has_ended_waits_for_a_slow_consumer() {
    let pool = pool();
    // More than the reports and one read hold, less than with a pipe behind them.
    let lines = (limit::JOB_OUTPUT_BYTES - OUTPUT_OVERHEAD) / (47 + OUTPUT_LINE_OVERHEAD);
    let bytes = (limit::JOB_REPORTS + 1) * lines * 48 + limit::PIPE_READ_BYTES + 30_000;
    let write = format!("yes 0123456789abcdef0123456789abcdef0123456789abcde | head -c {bytes} >&2");
    let mut free = start(&pool, shell(&write)).await;
    let mut held = start(&pool, shell(&format!("setsid sleep 1000 & echo $!; {write}"))).await;
    let (mut free_story, mut held_story) = (Story::default(), Story::default());
    for (story, running) in [(&mut free_story, &mut free), (&mut held_story, &mut held)] {
        story.until(running, |story| !story.started.is_empty()).await;
        let pid = story.started[0].unwrap().pid;
        eventually("the process has ended", || state(pid).is_none()).await;
    }
    // So much is taken that the reader sees the end and has to wait again, with some of it still in the pipe.
    for (story, running) in [(&mut free_story, &mut free), (&mut held_story, &mut held)] {
        for _report in 0..3 {
            let taken = story.lines.len();
            story.until(running, |story| story.lines.len() > taken).await;
        }
    }
    // A job with a held pipe takes as long as a pipe is waited for.
    let clock = run(&pool, shell("setsid sleep 1000 & echo $!")).await;
    kill(clock.texts(Stdout)[0].parse().unwrap());
    assert!(clock.end().pipe_held);
    free_story.finish(&mut free).await;
    held_story.finish(&mut held).await;
    kill(held_story.texts(Stdout)[0].parse().unwrap());
    for (story, is_held) in [(free_story, false), (held_story, true)] {
        let taken: usize = story.texts(Stderr).iter().map(|text| text.len() + 1).sum();
        assert!((bytes..=bytes + 1).contains(&taken), "{taken} of {bytes}");
        assert_eq!(story.end().pipe_held, is_held);
    }
}

#[tokio::test]
async fn every_batch_fits_one_record() {
    let mut running =
        start(&pool(), shell("seq 5000; head -c 100000 /dev/zero | tr '\\0' x; yes '' | head -n 5000")).await;
    let mut batches = 0;
    while let Some(report) = within(running.next()).await {
        match report {
            Report::Lines(lines) => {
                let output = outpost::wire::job::JobOutput {
                    job: outpost::id::JobId::from_time(u64::MAX >> 16, [255; 10]),
                    run: u32::MAX,
                    first_line: u64::MAX,
                    lines,
                };
                let encoded = outpost::wire::job::JobRecord::Output(output).encode();
                assert!(encoded.len() <= limit::JOB_OUTPUT_BYTES, "{}", encoded.len());
                batches += 1;
            }
            Report::Started { ack, .. } => ack.durable(),
            Report::Finished(_) | Report::Progress { .. } | Report::Artifact { .. } => {}
        }
    }
    assert!(batches > 10, "{batches}");
}
