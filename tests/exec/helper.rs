//! This test binary once more, as a process of its own that can be killed or measured.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use outpost::exec::Report;
use serde_json::json;

use crate::world::{Story, exec, pool, run, start, within};

const ROLE: &str = "OUTPOST_TEST_ROLE";

/// What the process is to do.
pub(crate) enum Role {
    /// Runs a job for ever and says its id and process.
    Agent,
    /// Runs a job that writes 100 MB and says how much memory that took.
    Measure,
}

impl Role {
    const fn name(&self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Measure => "measure",
        }
    }
}

/// Starts this binary in a role; the iterator is what it says, behind the harness's own words.
pub(crate) fn spawn(role: &Role) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper::role", "--nocapture", "--test-threads", "1"])
        .env(ROLE, role.name())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines.filter_map(|line| line.split_once("said: ").map(|(_harness, word)| word.to_owned())))
}

fn say(word: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "said: {word}").unwrap();
    out.flush().unwrap();
}

#[test]
fn role() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match std::env::var(ROLE).as_deref() {
        Ok("agent") => runtime.block_on(agent()),
        Ok("measure") => runtime.block_on(measure()),
        Ok(other) => panic!("no role {other}"),
        Err(_none) => {}
    }
}

async fn agent() {
    // The leader ends at TERM, its child does not; a third one has left the environment behind.
    let script = "sleep 1000 & env -i sleep 1000 & echo up; wait";
    let job = exec(&json!({"script": script}));
    say(job.id);
    let mut running = start(&pool(), job).await;
    while let Some(report) = running.next().await {
        match report {
            Report::Started { process, ack } => {
                let process = process.unwrap();
                say(format!("{} {}", process.pid, process.start_ticks));
                ack.durable();
            }
            Report::Lines(_up) => say("up"),
            Report::Progress { .. } | Report::Artifact { .. } | Report::Finished(_) => {}
        }
    }
}

async fn measure() {
    let high_water = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let pool = pool();
    // What any job takes: code, threads, buffers.
    run(&pool, exec(&json!({"script": "seq 1000"}))).await;
    let before = high_water();
    let script = "yes 'a line of some length' | head -c 104857600";
    let mut running = start(&pool, exec(&json!({"script": script, "output_max": "8MiB"}))).await;
    let mut story = Story::default();
    story.until(&mut running, |story| !story.started.is_empty()).await;
    let mut lines = 0;
    let mut cut = false;
    while let Some(report) = within(running.next()).await {
        match report {
            Report::Lines(batch) => lines += batch.len() as u64,
            Report::Finished(finished) => cut = finished.cut && finished.lines == lines,
            Report::Started { .. } | Report::Progress { .. } | Report::Artifact { .. } => {}
        }
    }
    assert!(cut);
    say(high_water() - before);
}
