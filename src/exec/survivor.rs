//! Ends what an earlier process of the agent left running of a job.
//!
//! Invariant: never a stranger. A pid is used again, but not while it is the number of a living process or group: a group
//! is the job's where its leader has the recorded start time, or where a member carries the job's id in its environment.
//! Never this process or its own group either: a job may have started this very agent.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, kill_process_group};

use crate::id::JobId;
use crate::job::process::{BootId, ProcessId};
use crate::limit;
use crate::obs::clock;

use super::environment::JOB_VARIABLE;
use super::proc::{Stat, living};

/// What there was to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// Nothing was left.
    None,
    /// Something was, and is gone.
    Ended,
}

/// Why something of a job may be left.
#[derive(Debug, thiserror::Error)]
pub enum SurvivorError {
    /// The kernel does not tell.
    #[error("cannot look for what is left of job {job}: {error}; is /proc mounted")]
    Look {
        /// The job.
        job: JobId,
        /// Why.
        error: io::Error,
    },
    /// It does not go.
    #[error("process group {group} of job {job} is still there after KILL; try again, or end it by hand")]
    Stays {
        /// The job.
        job: JobId,
        /// The group's number.
        group: i32,
    },
}

/// Ends what is left of a job's processes with KILL and waits until they are gone, for at most `timeout`.
///
/// With a process: its group, where that is still the job's. Without one (the journal says `starting`): every group with
/// a process that carries the job's id. Processes that left the group are left alone in the first case, as they are
/// when a job ends by itself.
///
/// # Errors
/// Where `/proc` cannot be read, or something is left after `timeout`.
pub async fn end(
    job: JobId,
    process: Option<ProcessId>,
    timeout: Duration,
) -> Result<Survivors, SurvivorError> {
    let deadline = clock::boot_now().after(timeout);
    let mut found = Survivors::None;
    loop {
        let look = tokio::task::spawn_blocking(move || groups(job, process)).await;
        let groups = look.unwrap_or_else(|error| Err(io::Error::other(error)));
        let groups = groups.map_err(|error| SurvivorError::Look { job, error })?;
        let Some(first) = groups.first() else { return Ok(found) };
        if found == Survivors::Ended && deadline.since(clock::boot_now()).is_zero() {
            return Err(SurvivorError::Stays { job, group: first.as_raw_pid() });
        }
        found = Survivors::Ended;
        for group in &groups {
            // Gone meanwhile, or not ours to end: the next look tells.
            let _gone = kill_process_group(*group, Signal::KILL);
        }
        tokio::time::sleep(limit::JOB_GROUP_LOOK).await;
    }
}

/// The living process groups that are the job's.
fn groups(job: JobId, process: Option<ProcessId>) -> io::Result<Vec<Pid>> {
    let marker = format!("{JOB_VARIABLE}={job}");
    let mut groups = match process {
        Some(process) => group_of(process, &marker)?,
        None => {
            let marked = living()?.into_iter().filter(|(pid, _stat)| carries(*pid, &marker));
            marked.filter_map(|(_pid, stat)| Pid::from_raw(stat.group)).collect()
        }
    };
    let own = getpgrp();
    groups.retain(|group| *group != own);
    groups.sort_by_key(|group| group.as_raw_pid());
    groups.dedup();
    Ok(groups)
}

fn group_of(process: ProcessId, marker: &str) -> io::Result<Vec<Pid>> {
    // Of another boot nothing lives.
    let of_this_boot = BootId::current()? == process.boot;
    let Some(leader) = process.raw().filter(|_pid| of_this_boot) else { return Ok(Vec::new()) };
    let known = match Stat::read(leader) {
        Ok(stat) if stat.start_ticks == process.start_ticks => Known::Leader,
        // The number was given away again, which it is not while its group lives.
        Ok(_stranger) => return Ok(Vec::new()),
        Err(_gone) => Known::ByMarker,
    };
    let group = leader.as_raw_pid();
    let members: Vec<Pid> =
        living()?.into_iter().filter(|(_pid, stat)| stat.group == group).map(|(pid, _stat)| pid).collect();
    let ours = match known {
        Known::Leader => !members.is_empty(),
        Known::ByMarker => members.iter().any(|pid| carries(*pid, marker)),
    };
    Ok(if ours { vec![leader] } else { Vec::new() })
}

#[derive(Debug, Clone, Copy)]
enum Known {
    Leader,
    ByMarker,
}

/// Whether a process has the marker in its environment; not where it is none of our business.
fn carries(pid: Pid, marker: &str) -> bool {
    let environ = std::fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
}
