//! What an agent that was killed leaves running is ended before its jobs are spoken of again; a stranger never is.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use outpost::exec::survivor::{self, SurvivorError, Survivors};
use outpost::exec::{BootId, ProcessId};
use outpost::id::JobId;
use outpost::obs::random;

use crate::helper::{self, Role};
use crate::world::{DEADLINE, eventually, lives, within};

/// An agent's process that was killed in the middle of a job, and the job's group.
struct Killed {
    job: JobId,
    process: ProcessId,
    members: Vec<u32>,
}

fn members(group: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let in_group = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_name, rest)| rest.split(' ').nth(2).unwrap().to_owned());
        fields.is_some_and(|found| found == group.to_string()) && lives(*pid)
    };
    pids.filter(in_group).collect()
}

fn killed_agent() -> Killed {
    let (mut agent, mut said) = helper::spawn(&Role::Agent);
    let job = said.next().unwrap().parse().unwrap();
    let process = said.next().unwrap();
    let (pid, start) = process.split_once(' ').unwrap();
    let process = ProcessId {
        pid: pid.parse().unwrap(),
        start_ticks: start.parse().unwrap(),
        boot: BootId::current().unwrap(),
    };
    assert_eq!(said.next().unwrap(), "up");
    agent.kill().unwrap();
    agent.wait().unwrap();
    let members = members(process.pid);
    assert_eq!(members.len(), 3, "the group outlives its agent");
    Killed { job, process, members }
}

async fn end(job: JobId, process: Option<ProcessId>) -> Survivors {
    within(survivor::end(job, process, DEADLINE)).await.unwrap()
}

#[tokio::test]
async fn a_group_left_by_a_killed_agent_is_ended_once() {
    let Killed { job, process, members } = killed_agent();
    assert_eq!(end(job, Some(process)).await, Survivors::Ended);
    assert!(!members.iter().any(|pid| lives(*pid)));
    assert_eq!(end(job, Some(process)).await, Survivors::None);
}

#[tokio::test]
async fn a_group_is_found_by_its_marker_alone() {
    let Killed { job, members, .. } = killed_agent();
    let other = JobId::from_time(1, random::bytes());
    assert_eq!(end(other, None).await, Survivors::None);
    assert_eq!(members.iter().filter(|pid| lives(**pid)).count(), 3);
    assert_eq!(end(job, None).await, Survivors::Ended);
    assert!(!members.iter().any(|pid| lives(*pid)));
}

#[tokio::test]
async fn a_group_without_its_leader_is_known_by_its_marker() {
    let Killed { job, process, members } = killed_agent();
    crate::world::kill(process.pid);
    eventually("the leader is gone and reaped", || {
        !std::path::Path::new(&format!("/proc/{}", process.pid)).exists()
    })
    .await;
    let other = JobId::from_time(1, random::bytes());
    assert_eq!(end(other, Some(process)).await, Survivors::None);
    assert_eq!(members.iter().filter(|pid| lives(**pid)).count(), 2);
    assert_eq!(end(job, Some(process)).await, Survivors::Ended);
    assert!(!members.iter().any(|pid| lives(*pid)));
}

/// A process group that is nobody's job, ended when dropped.
struct Stranger(Child);

impl Stranger {
    fn new(job: Option<JobId>) -> Self {
        let mut command = Command::new("sleep");
        command.arg("1000").process_group(0).stdout(Stdio::null());
        if let Some(job) = job {
            command.env("OUTPOST_JOB_ID", job.to_string());
        }
        Self(command.spawn().unwrap())
    }

    fn process(&self) -> ProcessId {
        ProcessId::of(self.0.id()).unwrap()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[tokio::test]
async fn a_stranger_with_a_reused_pid_is_left_alone() {
    let job = JobId::from_time(1, random::bytes());
    let stranger = Stranger::new(None);
    let process = stranger.process();
    let earlier = ProcessId { start_ticks: process.start_ticks - 1, ..process };
    let other_boot = ProcessId { boot: BootId::from_bytes(random::bytes()), ..process };
    for recorded in [earlier, other_boot] {
        assert_eq!(end(job, Some(recorded)).await, Survivors::None);
    }
    assert_eq!(end(job, None).await, Survivors::None);
    assert!(lives(process.pid));
    // Another job's process is a stranger as well.
    let marked = Stranger::new(Some(JobId::from_time(2, random::bytes())));
    assert_eq!(end(job, None).await, Survivors::None);
    assert!(lives(marked.process().pid));
}

#[tokio::test]
async fn a_process_that_only_waits_to_be_reaped_has_ended() {
    let job = JobId::from_time(1, random::bytes());
    let mut stranger = Stranger::new(Some(job));
    let process = stranger.process();
    stranger.0.kill().unwrap();
    eventually("it has ended", || !lives(process.pid)).await;
    assert_eq!(end(job, Some(process)).await, Survivors::None);
    assert_eq!(end(job, None).await, Survivors::None);
}

#[tokio::test]
async fn an_error_says_what_to_do() {
    let error = SurvivorError::Stays { job: JobId::from_time(1, [0; 10]), group: 7 };
    assert!(error.to_string().contains("process group 7"), "{error}");
}
